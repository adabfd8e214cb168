//! The endpoints older than the v1 API, in their own JSON (Mesos: src/master/http.cpp,
//! src/master/readonly_handler.cpp). mesos-dns, exporters, the CLI and web pages read them.

mod frameworks;
mod local;
mod maintenance;
mod operations;
mod quota;
mod resources;
mod roles;
mod slaves;
mod state;
mod summary;
mod tasks;

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use caprock_http::{Reply, query, reply};
use http::StatusCode;
use http::request::Parts;
use serde_json::Value;

use super::operator::teardown::teardown;
use super::route::Endpoint;
use super::server::mark_state;
use crate::context::Master;
use crate::reads::Snapshot;

/// Decoded query parameters.
type Parameters = BTreeMap<String, String>;

/// Answers a request to one of these endpoints.
pub async fn handle(
    master: &Arc<Master>,
    endpoint: Endpoint,
    principal: Option<String>,
    parts: &Parts,
    body: Bytes,
) -> Reply {
    let parameters = query::parse(parts.uri.query().unwrap_or_default());
    match endpoint {
        Endpoint::Health => reply::empty(StatusCode::OK),
        Endpoint::Redirect => local::redirect(master),
        Endpoint::Version => json(parts, &parameters, &local::version()),
        Endpoint::Flags => json(parts, &parameters, &local::flags(master)),
        Endpoint::MetricsSnapshot => local::metrics_snapshot(master, parts, &parameters).await,
        Endpoint::Metrics => local::metrics(master, parts).await,
        Endpoint::SystemStats => json(parts, &parameters, &local::system_stats()),
        Endpoint::LoggingToggle => local::logging_toggle(master, &parameters),
        Endpoint::FilesDebug => json(parts, &parameters, &serde_json::json!({})),
        Endpoint::FilesBrowse | Endpoint::FilesRead => local::files(&parameters),
        Endpoint::Teardown => teardown_form(master, principal, &body).await,
        Endpoint::Reserve
        | Endpoint::Unreserve
        | Endpoint::CreateVolumes
        | Endpoint::DestroyVolumes => {
            let principal = principal.as_deref();
            Box::pin(operations::handle(master, principal, endpoint, &body)).await
        }
        Endpoint::Weights => {
            quota::weights(master, principal.as_deref(), parts, &parameters, &body).await
        }
        Endpoint::Quota => {
            quota::quota(master, principal.as_deref(), parts, &parameters, body).await
        }
        Endpoint::MaintenanceSchedule => {
            let principal = principal.as_deref();
            maintenance::schedule(master, principal, parts, &parameters, body).await
        }
        Endpoint::MaintenanceStatus => {
            maintenance::status(master, principal.as_deref(), parts, &parameters)
        }
        Endpoint::MachineDown => maintenance::down(master, principal.as_deref(), &body).await,
        Endpoint::MachineUp => maintenance::up(master, principal.as_deref(), &body).await,
        Endpoint::State
        | Endpoint::StateSummary
        | Endpoint::Slaves
        | Endpoint::Frameworks
        | Endpoint::Tasks
        | Endpoint::Roles => state_read(master, endpoint, principal, parts, parameters).await,
        Endpoint::SchedulerApi | Endpoint::OperatorApi => reply::status_line(StatusCode::NOT_FOUND),
    }
}

fn json(parts: &Parts, parameters: &Parameters, value: &Value) -> Reply {
    let jsonp = parameters.get("jsonp").map(String::as_str);
    reply::json(&parts.headers, jsonp, value.to_string())
}

/// A read of the state, built on a thread of its own from one snapshot.
async fn state_read(
    master: &Arc<Master>,
    endpoint: Endpoint,
    principal: Option<String>,
    parts: &Parts,
    parameters: Parameters,
) -> Reply {
    let master = Arc::clone(master);
    let headers = parts.headers.clone();
    let built = tokio::task::spawn_blocking(move || {
        let snapshot = Snapshot::take(&master.published);
        let value = match endpoint {
            Endpoint::StateSummary => Ok(summary::state_summary(&master, &snapshot)),
            Endpoint::Slaves => Ok(slaves::slaves(&snapshot, parameters.get("slave_id"))),
            Endpoint::Frameworks => Ok(frameworks::frameworks(
                &snapshot,
                parameters.get("framework_id"),
            )),
            Endpoint::Tasks => tasks::page(&snapshot, &parameters),
            Endpoint::Roles => {
                let may_see = |role: &str| master.acls.may_view_role(principal.as_deref(), role);
                let whitelist = master.config.roles.as_deref();
                Ok(roles::roles(&snapshot, whitelist, may_see))
            }
            _ => Ok(state::state(&master, &snapshot)),
        };
        let jsonp = parameters.get("jsonp").map(String::as_str);
        let mut reply = match value {
            Ok(value) => reply::json(&headers, jsonp, value.to_string()),
            Err(error) => return reply::bad_request(error),
        };
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

async fn teardown_form(master: &Master, principal: Option<String>, body: &Bytes) -> Reply {
    let form = query::parse(&String::from_utf8_lossy(body));
    match form.get("frameworkId") {
        Some(framework_id) => teardown(master, principal.as_deref(), framework_id).await,
        None => reply::bad_request("Missing 'frameworkId' query parameter in the request body"),
    }
}
