//! Which route a path means. Mesos serves each route also under the name of its actor
//! (`/master/state`, `/slave(1)/state`), ignores a trailing slash and cuts unknown path ends
//! until a route matches. Mesos: 3rdparty/libprocess/src/process.cpp `ProcessManager::handle`.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

/// The path without the actor's prefix, with a leading and without a trailing slash; `None`
/// if it does not start with a slash. `%28` and the like are decoded in the first component
/// only.
pub fn normalize<'a>(path: &'a str, actor: &str) -> Option<Cow<'a, str>> {
    let rest = path.strip_prefix('/')?;
    let (first, tail) = rest.split_once('/').unwrap_or((rest, ""));
    let decoded = percent_decode_str(first).decode_utf8_lossy();
    let kept = if decoded == actor { tail } else { rest };
    let kept = kept.trim_end_matches('/');
    if kept.len() + 1 == path.len() {
        Some(Cow::Borrowed(path))
    } else {
        Some(format!("/{kept}").into())
    }
}

/// The longest of `routes` that is the path or one of its parents.
pub fn nearest<'r>(path: &str, routes: &[&'r str]) -> Option<&'r str> {
    let mut candidate = path;
    loop {
        if let Some(route) = routes.iter().find(|route| **route == candidate) {
            return Some(route);
        }
        let cut = candidate.rfind('/')?;
        if cut == 0 {
            return None;
        }
        candidate = &candidate[..cut];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actor_prefixes_and_slashes() {
        let own = |path| normalize(path, "slave(1)").map(Cow::into_owned);
        assert_eq!(own("/state").as_deref(), Some("/state"));
        assert_eq!(own("/state/").as_deref(), Some("/state"));
        assert_eq!(own("/slave(1)/state").as_deref(), Some("/state"));
        assert_eq!(
            own("/slave%281%29/api/v1/executor").as_deref(),
            Some("/api/v1/executor")
        );
        assert_eq!(own("/slave(2)/state").as_deref(), Some("/slave(2)/state"));
        assert_eq!(own("/slave(1)").as_deref(), Some("/"));
        assert_eq!(own("/").as_deref(), Some("/"));
        assert_eq!(own("state"), None);
    }

    #[test]
    fn the_nearest_shorter_route_answers() {
        let routes = ["/api/v1", "/api/v1/executor", "/state"];
        assert_eq!(
            nearest("/api/v1/executor", &routes),
            Some("/api/v1/executor")
        );
        assert_eq!(nearest("/api/v1/operator", &routes), Some("/api/v1"));
        assert_eq!(nearest("/state/x/y", &routes), Some("/state"));
        assert_eq!(nearest("/states", &routes), None);
        assert_eq!(nearest("/", &routes), None);
    }
}
