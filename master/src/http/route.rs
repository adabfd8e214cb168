//! Which endpoint a path means, and what holds for it before its handler runs
//! (Mesos: src/master/master.cpp, the routes of `Master::initialize`).

use caprock_http::path;
use http::Method;

use crate::auth::Realm;

/// libprocess' name of the master, which may precede each path.
const ACTOR: &str = "master";

/// Every endpoint of a master.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Endpoint {
    SchedulerApi,
    OperatorApi,
    Health,
    Version,
    Redirect,
    Flags,
    MetricsSnapshot,
    Metrics,
    State,
    StateSummary,
    Slaves,
    Frameworks,
    Tasks,
    Roles,
    Weights,
    Quota,
    Teardown,
    Reserve,
    Unreserve,
    CreateVolumes,
    DestroyVolumes,
    MaintenanceSchedule,
    MaintenanceStatus,
    MachineDown,
    MachineUp,
    SystemStats,
    LoggingToggle,
    FilesBrowse,
    FilesRead,
    FilesDebug,
}

/// An endpoint and its rules.
#[derive(Debug, Clone, Copy)]
pub struct Route {
    pub path: &'static str,
    pub endpoint: Endpoint,
    /// Who has to prove who they are; none: everybody may ask.
    pub realm: Option<Realm>,
    /// Only the leader answers.
    pub leader_only: bool,
    /// Empty: any method.
    pub methods: &'static [Method],
}

const POST: &[Method] = &[Method::POST];
const GET: &[Method] = &[Method::GET];
const GET_PUT: &[Method] = &[Method::GET, Method::PUT];
const GET_POST: &[Method] = &[Method::GET, Method::POST];
const GET_POST_DELETE: &[Method] = &[Method::GET, Method::POST, Method::DELETE];
const ANY: &[Method] = &[];

const fn leader(
    path: &'static str,
    endpoint: Endpoint,
    realm: Realm,
    methods: &'static [Method],
) -> Route {
    Route {
        path,
        endpoint,
        realm: Some(realm),
        leader_only: true,
        methods,
    }
}

const fn local(
    path: &'static str,
    endpoint: Endpoint,
    realm: Option<Realm>,
    methods: &'static [Method],
) -> Route {
    Route {
        path,
        endpoint,
        realm,
        leader_only: false,
        methods,
    }
}

const ROUTES: &[Route] = &[
    leader(
        "/api/v1/scheduler",
        Endpoint::SchedulerApi,
        Realm::Scheduler,
        POST,
    ),
    leader("/api/v1", Endpoint::OperatorApi, Realm::ReadWrite, POST),
    local("/health", Endpoint::Health, None, ANY),
    local("/version", Endpoint::Version, None, GET),
    local("/redirect", Endpoint::Redirect, None, ANY),
    local("/flags", Endpoint::Flags, Some(Realm::ReadOnly), GET),
    local(
        "/metrics/snapshot",
        Endpoint::MetricsSnapshot,
        Some(Realm::ReadOnly),
        ANY,
    ),
    local("/metrics", Endpoint::Metrics, Some(Realm::ReadOnly), GET),
    leader("/state", Endpoint::State, Realm::ReadOnly, ANY),
    leader(
        "/state-summary",
        Endpoint::StateSummary,
        Realm::ReadOnly,
        ANY,
    ),
    leader("/slaves", Endpoint::Slaves, Realm::ReadOnly, ANY),
    leader("/frameworks", Endpoint::Frameworks, Realm::ReadOnly, ANY),
    leader("/tasks", Endpoint::Tasks, Realm::ReadOnly, ANY),
    leader("/roles", Endpoint::Roles, Realm::ReadOnly, ANY),
    leader("/weights", Endpoint::Weights, Realm::ReadWrite, GET_PUT),
    leader("/quota", Endpoint::Quota, Realm::ReadWrite, GET_POST_DELETE),
    leader("/teardown", Endpoint::Teardown, Realm::ReadWrite, POST),
    leader(
        "/maintenance/schedule",
        Endpoint::MaintenanceSchedule,
        Realm::ReadWrite,
        GET_POST,
    ),
    leader(
        "/maintenance/status",
        Endpoint::MaintenanceStatus,
        Realm::ReadOnly,
        ANY,
    ),
    leader(
        "/machine/down",
        Endpoint::MachineDown,
        Realm::ReadWrite,
        POST,
    ),
    leader("/machine/up", Endpoint::MachineUp, Realm::ReadWrite, POST),
    leader("/reserve", Endpoint::Reserve, Realm::ReadWrite, POST),
    leader("/unreserve", Endpoint::Unreserve, Realm::ReadWrite, POST),
    leader(
        "/create-volumes",
        Endpoint::CreateVolumes,
        Realm::ReadWrite,
        POST,
    ),
    leader(
        "/destroy-volumes",
        Endpoint::DestroyVolumes,
        Realm::ReadWrite,
        POST,
    ),
    local("/system/stats.json", Endpoint::SystemStats, None, ANY),
    local(
        "/logging/toggle",
        Endpoint::LoggingToggle,
        Some(Realm::ReadWrite),
        POST,
    ),
    local(
        "/files/browse",
        Endpoint::FilesBrowse,
        Some(Realm::ReadOnly),
        GET,
    ),
    local(
        "/files/read",
        Endpoint::FilesRead,
        Some(Realm::ReadOnly),
        GET,
    ),
    local(
        "/files/debug",
        Endpoint::FilesDebug,
        Some(Realm::ReadOnly),
        GET,
    ),
];

/// Why a path means no endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoRoute {
    /// The path does not start with a slash.
    Relative,
    /// There is no such endpoint.
    Unknown,
}

/// Finds the endpoint of a path: the longest registered one that the path continues.
pub fn find(request_path: &str) -> Result<&'static Route, NoRoute> {
    let normal = path::normalize(request_path, ACTOR).ok_or(NoRoute::Relative)?;
    let mut candidate = normal.as_ref();
    loop {
        if let Some(route) = ROUTES.iter().find(|route| route.path == candidate) {
            let below = candidate != normal;
            // Mesos: src/master/http.cpp `redirect` refuses what is below /redirect.
            let refused = below && route.endpoint == Endpoint::Redirect;
            return if refused {
                Err(NoRoute::Unknown)
            } else {
                Ok(route)
            };
        }
        match candidate.rfind('/') {
            Some(0) | None => return Err(NoRoute::Unknown),
            Some(cut) => candidate = &candidate[..cut],
        }
    }
}

/// The path that a redirect names: libprocess has put the actor's name before it.
pub fn delegated_path(request_path: &str) -> String {
    let prefixed = request_path
        .strip_prefix("/master")
        .is_some_and(|r| r.is_empty() || r.starts_with('/'));
    if prefixed {
        request_path.to_owned()
    } else {
        format!("/{ACTOR}{request_path}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(path: &str) -> Result<Endpoint, NoRoute> {
        find(path).map(|route| route.endpoint)
    }

    #[test]
    fn both_forms_of_a_path_and_trailing_slashes() {
        for path in [
            "/api/v1/scheduler",
            "/master/api/v1/scheduler",
            "/api/v1/scheduler/",
            "/api/v1/scheduler/x",
        ] {
            assert_eq!(endpoint(path), Ok(Endpoint::SchedulerApi), "{path}");
        }
        assert_eq!(endpoint("/api/v1/operator"), Ok(Endpoint::OperatorApi));
        assert_eq!(endpoint("/master/state/anything"), Ok(Endpoint::State));
        assert_eq!(endpoint("/quota/role"), Ok(Endpoint::Quota));
        assert_eq!(endpoint("/metrics/snapshot"), Ok(Endpoint::MetricsSnapshot));
        assert_eq!(endpoint("/master/redirect"), Ok(Endpoint::Redirect));
    }

    #[test]
    fn what_is_unknown() {
        for path in [
            "/",
            "/no/such/endpoint",
            "/state.json",
            "/master",
            "/redirect/x",
            "/api",
        ] {
            assert_eq!(endpoint(path), Err(NoRoute::Unknown), "{path}");
        }
        assert_eq!(endpoint("*"), Err(NoRoute::Relative));
    }

    #[test]
    fn a_redirect_names_the_actor() {
        assert_eq!(delegated_path("/api/v1"), "/master/api/v1");
        assert_eq!(delegated_path("/master/state"), "/master/state");
        assert_eq!(delegated_path("/masterful"), "/master/masterful");
    }
}
