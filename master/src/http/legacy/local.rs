//! Endpoints that every member answers for itself.

use std::sync::Arc;
use std::time::Duration;

use caprock_http::{Reply, reply};
use caprock_model::parse_duration;
use http::StatusCode;
use http::request::Parts;
use serde_json::{Value, json};

use super::{Parameters, json as json_reply};
use crate::context::Master;
use crate::http::leadership;
use crate::standing::Standing;
use crate::{host, metrics, version};

/// The text format of Prometheus.
const PROMETHEUS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

pub(super) fn version() -> Value {
    Value::Object(version::fields())
}

pub(super) fn flags(master: &Master) -> Value {
    json!({"flags": master.config.flags()})
}

/// 307 to the leader, which may be this member.
pub(super) fn redirect(master: &Master) -> Reply {
    match master.published.standing() {
        Standing::Leading { .. } => {
            let own = format!("{}:{}", master.identity.hostname, master.identity.port);
            leadership::redirect_to(&own, None)
        }
        standing => leadership::redirect(&standing, None),
    }
}

pub(super) async fn metrics_snapshot(
    master: &Arc<Master>,
    parts: &Parts,
    parameters: &Parameters,
) -> Reply {
    if let Some(timeout) = parameters.get("timeout")
        && let Err(error) = parse_duration(timeout)
    {
        return reply::bad_request(format!("Invalid timeout '{timeout}': {error}"));
    }
    let master = Arc::clone(master);
    match tokio::task::spawn_blocking(move || metrics::snapshot(&master)).await {
        Ok(values) => json_reply(parts, parameters, &json!(values)),
        Err(error) => failed(&error),
    }
}

pub(super) async fn metrics(master: &Arc<Master>, parts: &Parts) -> Reply {
    let master = Arc::clone(master);
    match tokio::task::spawn_blocking(move || metrics::prometheus(&master)).await {
        Ok(Ok(text)) => reply::ok(&parts.headers, PROMETHEUS, text),
        Ok(Err(error)) => failed(&error),
        Err(error) => failed(&error),
    }
}

fn failed(error: &dyn std::error::Error) -> Reply {
    tracing::error!(%error, "metrics cannot be computed");
    reply::status_line(StatusCode::INTERNAL_SERVER_ERROR)
}

pub(super) fn system_stats() -> Value {
    let load = host::load();
    let memory = host::memory();
    json!({
        "avg_load_1min": load[0],
        "avg_load_5min": load[1],
        "avg_load_15min": load[2],
        "cpus_total": host::cpus(),
        "mem_total_bytes": memory.total_bytes,
        "mem_free_bytes": memory.free_bytes,
    })
}

/// `level` and `duration` come together or not at all
/// (Mesos: 3rdparty/libprocess/src/logging.cpp).
pub(super) fn logging_toggle(master: &Master, parameters: &Parameters) -> Reply {
    let (level, duration) = match (parameters.get("level"), parameters.get("duration")) {
        (None, None) => {
            return reply::text(StatusCode::OK, format!("{}\n", master.logging_level.get()));
        }
        (Some(_), None) => return reply::bad_request("Expecting 'duration=value' in query.\n"),
        (None, Some(_)) => return reply::bad_request("Expecting 'level=value' in query.\n"),
        (Some(level), Some(duration)) => (level, duration),
    };
    let Ok(level) = level.parse::<u32>() else {
        return reply::bad_request(format!("Invalid level '{level}'.\n"));
    };
    let lasting = match parse_duration(duration) {
        Ok(lasting) => Duration::from_millis(u64::try_from(lasting.0).unwrap_or(0)),
        Err(error) => return reply::bad_request(format!("{error}.\n")),
    };
    master.logging_level.set(level, lasting);
    reply::empty(StatusCode::OK)
}

/// No file of a master is served: each path is unknown.
pub(super) fn files(parameters: &Parameters) -> Reply {
    match parameters.get("path") {
        Some(path) if !path.is_empty() => reply::status_line(StatusCode::NOT_FOUND),
        _ => reply::bad_request("Expecting 'path=value' in query.\n"),
    }
}
