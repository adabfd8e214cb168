//! Answers with Mesos' bodies: plain text errors, empty 202, JSON that is gzipped from 1024
//! bytes on. Mesos: 3rdparty/libprocess/include/process/http.hpp, src/encoder.hpp.

use std::io::Write;

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_ENCODING, CONTENT_TYPE, HeaderValue};
use http::{HeaderMap, Method, StatusCode};
use http_body_util::{BodyExt, Empty, Full};

use crate::{Body, Reply, accept};

/// Bodies from this size on are gzipped for clients that take gzip.
pub const GZIP_FROM_BYTES: usize = 1024;

const TEXT: &str = "text/plain; charset=utf-8";

/// A body of these bytes.
pub fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).boxed()
}

/// No body.
pub fn empty(status: StatusCode) -> Reply {
    let mut reply = Reply::new(Empty::new().boxed());
    *reply.status_mut() = status;
    reply
}

/// A status with the bare message as text.
pub fn text(status: StatusCode, message: impl Into<String>) -> Reply {
    let mut reply = Reply::new(full(message.into()));
    *reply.status_mut() = status;
    reply
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(TEXT));
    reply
}

/// `400 Bad Request` with a text.
pub fn bad_request(message: impl Into<String>) -> Reply {
    text(StatusCode::BAD_REQUEST, message)
}

/// A status whose body is its own name, as `404 Not Found.`
pub fn status_line(status: StatusCode) -> Reply {
    let reason = status.canonical_reason().unwrap_or("Unknown");
    text(status, format!("{} {reason}.", status.as_u16()))
}

/// `405 Method Not Allowed` with the `Allow` header.
pub fn method_not_allowed(allowed: &[Method], received: &Method) -> Reply {
    let quoted: Vec<_> = allowed.iter().map(|method| format!("'{method}'")).collect();
    let names: Vec<_> = allowed.iter().map(Method::as_str).collect();
    let message = format!(
        "405 Method Not Allowed. Expecting one of {{ {} }}, but received '{received}'.",
        quoted.join(", ")
    );
    let mut reply = text(StatusCode::METHOD_NOT_ALLOWED, message);
    if let Ok(value) = HeaderValue::from_str(&names.join(", ")) {
        reply.headers_mut().insert(ALLOW, value);
    }
    reply
}

/// `200 OK` with a body of this content type, gzipped if large and the client agrees.
pub fn ok(request: &HeaderMap, content_type: &'static str, bytes: impl Into<Bytes>) -> Reply {
    let bytes = bytes.into();
    let zip = bytes.len() >= GZIP_FROM_BYTES && accept::allows_gzip(request);
    let zipped = if zip { gzip(&bytes) } else { None };
    let mut reply = Reply::new(full(zipped.clone().unwrap_or(bytes)));
    let headers = reply.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    if zipped.is_some() {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    reply
}

/// `200 OK` with JSON text; with `jsonp` as a call of that function, for old web pages.
pub fn json(request: &HeaderMap, jsonp: Option<&str>, text: String) -> Reply {
    match jsonp {
        Some(function) => ok(request, "text/javascript", format!("{function}({text});")),
        None => ok(request, accept::JSON, text),
    }
}

fn gzip(bytes: &[u8]) -> Option<Bytes> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).ok()?;
    encoder.finish().ok().map(Bytes::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn body_of(reply: Reply) -> String {
        String::from_utf8(
            reply
                .into_body()
                .collect()
                .await
                .unwrap()
                .to_bytes()
                .to_vec(),
        )
        .unwrap()
    }

    #[tokio::test]
    async fn errors_are_bare_text() {
        let reply = method_not_allowed(&[Method::POST], &Method::GET);
        assert_eq!(reply.headers()[ALLOW], "POST");
        assert_eq!(
            body_of(reply).await,
            "405 Method Not Allowed. Expecting one of { 'POST' }, but received 'GET'."
        );
        let reply = status_line(StatusCode::NOT_FOUND);
        assert_eq!(reply.headers()[CONTENT_TYPE], TEXT);
        assert_eq!(body_of(reply).await, "404 Not Found.");
        assert!(empty(StatusCode::ACCEPTED).headers().is_empty());
    }

    #[tokio::test]
    async fn large_bodies_are_zipped_on_request_only() {
        let mut request = HeaderMap::new();
        let large = "x".repeat(GZIP_FROM_BYTES);
        let plain = json(&request, None, large.clone());
        assert!(plain.headers().get(CONTENT_ENCODING).is_none());
        request.insert(
            http::header::ACCEPT_ENCODING,
            HeaderValue::from_static("gzip"),
        );
        assert_eq!(
            json(&request, None, large).headers()[CONTENT_ENCODING],
            "gzip"
        );
        let small = json(&request, None, "{}".into());
        assert!(small.headers().get(CONTENT_ENCODING).is_none());
        assert_eq!(
            body_of(json(&request, Some("cb"), "{}".into())).await,
            "cb({});"
        );
    }
}
