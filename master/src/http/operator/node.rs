//! Calls about the answering process: health, flags, version, metrics, log verbosity.

use std::sync::Arc;
use std::time::Duration;

use caprock_http::{Reply, reply};
use caprock_proto::mesos::v1::master::{call, response};
use caprock_proto::mesos::v1::{Flag, Metric};
use http::StatusCode;

use super::{Context, answer, of_type};
use crate::{metrics as gauges, version as build};

pub(super) fn health(context: &Context<'_>) -> Reply {
    let mut health = of_type(response::Type::GetHealth);
    health.get_health = Some(response::GetHealth { healthy: true });
    answer(context, &health)
}

pub(super) fn flags(context: &Context<'_>) -> Reply {
    let flags = context.master.config.flags().into_iter();
    let mut shown = of_type(response::Type::GetFlags);
    let flags = flags
        .map(|(name, value)| Flag {
            name,
            value: Some(value),
        })
        .collect();
    shown.get_flags = Some(response::GetFlags { flags });
    answer(context, &shown)
}

pub(super) fn version(context: &Context<'_>) -> Reply {
    let mut version = of_type(response::Type::GetVersion);
    version.get_version = Some(response::GetVersion {
        version_info: build::info(),
    });
    answer(context, &version)
}

/// Every value is at hand, so that the timeout of the call never passes.
pub(super) async fn metrics(context: &Context<'_>) -> Reply {
    let master = Arc::clone(context.master);
    let Ok(values) = tokio::task::spawn_blocking(move || gauges::snapshot(&master)).await else {
        return reply::status_line(StatusCode::INTERNAL_SERVER_ERROR);
    };
    let values = values.into_iter();
    let mut metrics = of_type(response::Type::GetMetrics);
    let values = values
        .map(|(name, value)| Metric {
            name,
            value: Some(value),
        })
        .collect();
    metrics.get_metrics = Some(response::GetMetrics { metrics: values });
    answer(context, &metrics)
}

pub(super) fn logging_level(context: &Context<'_>) -> Reply {
    let mut level = of_type(response::Type::GetLoggingLevel);
    let value = context.master.logging_level.get();
    level.get_logging_level = Some(response::GetLoggingLevel { level: value });
    answer(context, &level)
}

pub(super) fn set_logging_level(
    context: &Context<'_>,
    call: Option<call::SetLoggingLevel>,
) -> Reply {
    let Some(call::SetLoggingLevel { level, duration }) = call else {
        return reply::bad_request("Expecting 'set_logging_level' to be present");
    };
    let Ok(nanoseconds) = u64::try_from(duration.nanoseconds) else {
        return reply::bad_request("Expecting 'duration' not to be negative");
    };
    context
        .master
        .logging_level
        .set(level, Duration::from_nanos(nanoseconds));
    reply::empty(StatusCode::OK)
}

pub(super) fn master(context: &Context<'_>) -> Reply {
    let view = context.master.published.view();
    let mut master = of_type(response::Type::GetMaster);
    master.get_master = Some(response::GetMaster {
        master_info: Some((*view.master).clone()),
        start_time: Some(context.master.started_at.seconds_f64()),
        elected_time: Some(view.elected_at.seconds_f64()),
    });
    answer(context, &master)
}
