//! Calls that read the state. The answer is built on a thread of its own from one snapshot:
//! neither the driver nor the log waits for it.

use std::sync::Arc;

use caprock_http::{Reply, reply};
use caprock_proto::mesos::v1::master::{Response, call, response};
use caprock_proto::mesos::v1::{maintenance, quota};
use http::StatusCode;

use super::{Context, answer, of_type};
use crate::http::server::mark_state;
use crate::reads::{self, Snapshot};

/// GET_STATE and its parts, GET_ROLES.
pub(super) async fn read(context: &Context<'_>, kind: call::Type) -> Reply {
    let master = Arc::clone(context.master);
    let (headers, media) = (context.headers.clone(), context.media);
    let built = tokio::task::spawn_blocking(move || {
        let snapshot = Snapshot::take(&master.published);
        let answer = build(&snapshot, kind, master.config.roles.as_deref());
        let bytes = reads::write_response(media, &answer);
        let mut reply = reply::ok(&headers, media.as_str(), bytes);
        mark_state(
            &mut reply,
            snapshot.registry.applied(),
            master.published.age_ms(),
        );
        reply
    });
    built.await.unwrap_or_else(|error| {
        tracing::error!(%error, "a read failed");
        reply::status_line(StatusCode::INTERNAL_SERVER_ERROR)
    })
}

fn build(snapshot: &Snapshot, kind: call::Type, whitelist: Option<&[String]>) -> Response {
    let mut answer = of_type(response_type(kind));
    match kind {
        call::Type::GetState => answer.get_state = Some(reads::state(snapshot)),
        call::Type::GetAgents => answer.get_agents = Some(reads::agents(snapshot)),
        call::Type::GetFrameworks => answer.get_frameworks = Some(reads::frameworks(snapshot)),
        call::Type::GetExecutors => answer.get_executors = Some(reads::executors(snapshot)),
        call::Type::GetTasks => answer.get_tasks = Some(reads::tasks(snapshot)),
        call::Type::GetRoles => answer.get_roles = Some(reads::roles(snapshot, whitelist)),
        _ => {}
    }
    answer
}

/// Calls about what this version never has: no operations, weights, quotas or maintenance.
pub(super) fn nothing(context: &Context<'_>, kind: call::Type) -> Reply {
    let mut empty = of_type(response_type(kind));
    match kind {
        call::Type::GetOperations => {
            empty.get_operations = Some(response::GetOperations::default());
        }
        call::Type::GetWeights => empty.get_weights = Some(response::GetWeights::default()),
        call::Type::GetQuota => {
            let status = quota::QuotaStatus::default();
            empty.get_quota = Some(response::GetQuota { status });
        }
        call::Type::GetMaintenanceStatus => {
            let status = maintenance::ClusterStatus::default();
            empty.get_maintenance_status = Some(response::GetMaintenanceStatus { status });
        }
        call::Type::GetMaintenanceSchedule => {
            let schedule = maintenance::Schedule::default();
            empty.get_maintenance_schedule = Some(response::GetMaintenanceSchedule { schedule });
        }
        _ => {}
    }
    answer(context, &empty)
}

fn response_type(kind: call::Type) -> response::Type {
    match kind {
        call::Type::GetState => response::Type::GetState,
        call::Type::GetAgents => response::Type::GetAgents,
        call::Type::GetFrameworks => response::Type::GetFrameworks,
        call::Type::GetExecutors => response::Type::GetExecutors,
        call::Type::GetTasks => response::Type::GetTasks,
        call::Type::GetRoles => response::Type::GetRoles,
        call::Type::GetOperations => response::Type::GetOperations,
        call::Type::GetWeights => response::Type::GetWeights,
        call::Type::GetQuota => response::Type::GetQuota,
        call::Type::GetMaintenanceStatus => response::Type::GetMaintenanceStatus,
        call::Type::GetMaintenanceSchedule => response::Type::GetMaintenanceSchedule,
        _ => response::Type::Unknown,
    }
}
