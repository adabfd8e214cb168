//! Which handler a path belongs to (Mesos: src/slave/slave.cpp `Slave::initialize`).

use caprock_http::{Reply, path, query, reply};
use http::{Method, Request, StatusCode};
use hyper::body::Incoming;

use super::{Context, containers, executor, files, legacy, metrics, operator};

/// Name of the agent's actor in Mesos' paths.
const ACTOR: &str = "slave(1)";

const ROUTES: [&str; 20] = [
    "/api/v1",
    "/api/v1/executor",
    "/api/v1/resource_provider",
    "/containerizer/debug",
    "/containers",
    "/files/browse",
    "/files/browse.json",
    "/files/debug",
    "/files/debug.json",
    "/files/download",
    "/files/download.json",
    "/files/read",
    "/files/read.json",
    "/flags",
    "/health",
    "/metrics/snapshot",
    "/monitor/statistics",
    "/monitor/statistics.json",
    "/state",
    "/version",
];

/// Aliases of old versions that tools still use.
const ALIASES: [(&str, &str); 2] = [
    ("/state.json", "/state"),
    ("/monitor/statistics.json", "/monitor/statistics"),
];

/// Answers one request.
pub async fn handle(context: Context, request: Request<Incoming>) -> Reply {
    let Some(full) = path::normalize(request.uri().path(), ACTOR) else {
        return reply::bad_request("Request URL path must start with '/'");
    };
    let full = full.into_owned();
    let alias = ALIASES
        .iter()
        .find(|(old, _)| *old == full)
        .map(|(_, new)| *new);
    let Some(route) = alias.or_else(|| path::nearest(&full, &ROUTES)) else {
        return reply::status_line(StatusCode::NOT_FOUND);
    };
    match route {
        "/api/v1/executor" => executor::handle(&context, request).await,
        "/api/v1" => operator::handle(&context, request).await,
        "/api/v1/resource_provider" => {
            // There is no manager of resource providers that could become ready.
            reply::status_line(StatusCode::SERVICE_UNAVAILABLE)
        }
        "/health" => reply::empty(StatusCode::OK),
        route => read(&context, route.trim_end_matches(".json"), &request).await,
    }
}

/// The endpoints that only read.
async fn read(context: &Context, route: &str, request: &Request<Incoming>) -> Reply {
    let method = request.method();
    if method != Method::GET && method != Method::HEAD {
        return reply::method_not_allowed(&[Method::GET], method);
    }
    let headers = request.headers();
    let query = query::parse(request.uri().query().unwrap_or_default());
    let outcome = match route {
        "/files/browse" => files::browse(context, headers, &query).await,
        "/files/read" => files::read(context, headers, &query).await,
        "/files/download" => files::download(context, &query).await,
        "/files/debug" => files::debug(context, headers, &query).await,
        "/metrics/snapshot" => metrics::snapshot(context, headers, &query).await,
        "/containers" => containers::containers(context, headers, &query).await,
        "/monitor/statistics" => containers::statistics(context, headers, &query).await,
        "/state" => legacy::state(context, headers, &query).await,
        "/flags" => Ok(legacy::flags(context, headers, &query)),
        "/version" => Ok(legacy::version(headers, &query)),
        "/containerizer/debug" => Ok(legacy::containerizer_debug(headers, &query)),
        _ => Ok(reply::status_line(StatusCode::NOT_FOUND)),
    };
    outcome.unwrap_or_else(|refused| *refused)
}
