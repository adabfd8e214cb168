//! Calls that read the state. The answer is built on a thread of its own from one snapshot:
//! neither the driver nor the log waits for it.

use std::sync::Arc;

use caprock_http::{Reply, reply};
use caprock_proto::mesos::v1::master::{Response, call, response};
use http::StatusCode;

use super::{Context, of_type};
use crate::http::server::mark_state;
use crate::reads::{self, Snapshot};

/// GET_STATE and its parts.
pub(super) async fn read(context: &Context<'_>, kind: call::Type) -> Reply {
    let master = Arc::clone(context.master);
    let (headers, media) = (context.headers.clone(), context.media);
    let built = tokio::task::spawn_blocking(move || {
        let snapshot = Snapshot::take(&master.published);
        let answer = build(&snapshot, kind);
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

fn build(snapshot: &Snapshot, kind: call::Type) -> Response {
    let mut answer = of_type(response_type(kind));
    match kind {
        call::Type::GetState => answer.get_state = Some(reads::state(snapshot)),
        call::Type::GetAgents => answer.get_agents = Some(reads::agents(snapshot)),
        call::Type::GetFrameworks => answer.get_frameworks = Some(reads::frameworks(snapshot)),
        call::Type::GetExecutors => answer.get_executors = Some(reads::executors(snapshot)),
        call::Type::GetTasks => answer.get_tasks = Some(reads::tasks(snapshot)),
        _ => {}
    }
    answer
}

fn response_type(kind: call::Type) -> response::Type {
    match kind {
        call::Type::GetState => response::Type::GetState,
        call::Type::GetAgents => response::Type::GetAgents,
        call::Type::GetFrameworks => response::Type::GetFrameworks,
        call::Type::GetExecutors => response::Type::GetExecutors,
        call::Type::GetTasks => response::Type::GetTasks,
        call::Type::GetOperations => response::Type::GetOperations,
        _ => response::Type::Unknown,
    }
}
