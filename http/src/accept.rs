//! Media type negotiation. Mesos compares `Content-Type` as a whole string and treats
//! `Accept` as a set: a range with `q=0` is out, other q values are not ordered.
//! Mesos: 3rdparty/libprocess/src/http.cpp `_acceptsMediaType`.

use http::HeaderMap;
use http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_TYPE};

/// `application/json`.
pub const JSON: &str = "application/json";
/// `application/x-protobuf`.
pub const PROTOBUF: &str = "application/x-protobuf";
/// `application/recordio`.
pub const RECORDIO: &str = "application/recordio";

/// Whether the request allows an answer of this media type (`type/subtype`).
/// No `Accept` header allows everything.
pub fn allows(headers: &HeaderMap, media_type: &str) -> bool {
    let mut present = false;
    let mut allowed = false;
    for value in headers.get_all(ACCEPT) {
        let Ok(value) = value.to_str() else { continue };
        for range in value.split(',') {
            present = true;
            allowed |= range_allows(range, media_type);
        }
    }
    allowed || !present
}

fn range_allows(range: &str, media_type: &str) -> bool {
    let mut parts = range.split(';');
    let name = parts.next().unwrap_or_default().trim();
    let family = media_type.split('/').next().unwrap_or_default();
    let matches = name == "*/*"
        || name.eq_ignore_ascii_case(media_type)
        || name
            .strip_suffix("/*")
            .is_some_and(|wanted| wanted.eq_ignore_ascii_case(family));
    matches && !parts.any(is_zero_quality)
}

fn is_zero_quality(parameter: &str) -> bool {
    parameter
        .trim()
        .strip_prefix("q=")
        .and_then(|quality| quality.trim().parse::<f64>().ok())
        .is_some_and(|quality| quality == 0.0)
}

/// Whether the client takes a gzipped body.
pub fn allows_gzip(headers: &HeaderMap) -> bool {
    headers
        .get_all(ACCEPT_ENCODING)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .any(|value| {
            value.split(',').any(|coding| {
                let mut parts = coding.split(';');
                let name = parts.next().unwrap_or_default().trim();
                (name.eq_ignore_ascii_case("gzip") || name == "*") && !parts.any(is_zero_quality)
            })
        })
}

/// The `Content-Type` header as it stands.
pub fn content_type(headers: &HeaderMap) -> Option<&str> {
    headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accept(value: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, value.parse().unwrap());
        headers
    }

    #[test]
    fn without_a_header_everything_is_allowed() {
        assert!(allows(&HeaderMap::new(), JSON));
        assert!(allows(&HeaderMap::new(), PROTOBUF));
    }

    #[test]
    fn ranges_and_qualities() {
        assert!(allows(&accept("*/*"), JSON));
        assert!(allows(&accept("application/*"), PROTOBUF));
        assert!(!allows(&accept("text/*"), PROTOBUF));
        assert!(allows(&accept("text/html, application/json;q=0.1"), JSON));
        assert!(!allows(&accept("application/json;q=0"), JSON));
        assert!(!allows(
            &accept("application/json; q=0.0, text/plain"),
            JSON
        ));
        assert!(!allows(&accept("application/recordio"), JSON));
    }

    #[test]
    fn gzip_is_negotiated() {
        let mut headers = HeaderMap::new();
        assert!(!allows_gzip(&headers));
        headers.insert(ACCEPT_ENCODING, "deflate, gzip;q=0.5".parse().unwrap());
        assert!(allows_gzip(&headers));
        headers.insert(ACCEPT_ENCODING, "gzip;q=0".parse().unwrap());
        assert!(!allows_gzip(&headers));
    }
}
