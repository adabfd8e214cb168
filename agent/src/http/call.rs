//! Reading a call: what the executor API and the operator API have in common.

use bytes::Bytes;
use caprock_http::body::{self, BodyError};
use caprock_http::{accept, reply};
use caprock_proto::{MediaType, MesosMessage};
use http::{HeaderMap, Method, Request, StatusCode};
use hyper::body::Incoming;

use super::Refusal;

/// A decoded call with the headers of its request.
pub struct Decoded<T> {
    pub headers: HeaderMap,
    pub call: T,
}

const WRONG_TYPE: &str = "Expecting 'Content-Type' of application/json or application/x-protobuf";

/// Checks method and content type, then reads and parses the body, in Mesos' order.
pub async fn decode<T: MesosMessage>(
    request: Request<Incoming>,
    max_body_bytes: usize,
) -> Result<Decoded<T>, Refusal> {
    if request.method() != Method::POST {
        return Err(reply::method_not_allowed(&[Method::POST], request.method()).into());
    }
    let (parts, incoming) = request.into_parts();
    let Some(content_type) = accept::content_type(&parts.headers) else {
        return Err(reply::bad_request("Expecting 'Content-Type' to be present").into());
    };
    let media = MediaType::from_content_type(content_type)
        .ok_or_else(|| reply::text(StatusCode::UNSUPPORTED_MEDIA_TYPE, WRONG_TYPE))?;
    let bytes = read(&parts.headers, incoming, max_body_bytes).await?;
    let call = caprock_proto::decode(media, bytes)
        .map_err(|error| reply::bad_request(error.to_string()))?;
    Ok(Decoded {
        headers: parts.headers,
        call,
    })
}

async fn read(headers: &HeaderMap, incoming: Incoming, max: usize) -> Result<Bytes, Refusal> {
    let bytes = body::read(headers, incoming, max).await.map_err(|error| {
        let status = match error {
            BodyError::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            BodyError::Gzip(_) | BodyError::Broken(_) => StatusCode::BAD_REQUEST,
        };
        reply::text(status, error.to_string())
    })?;
    Ok(bytes)
}

/// The media type of the answer: JSON wherever it is allowed.
pub fn acceptable(headers: &HeaderMap) -> Result<MediaType, Refusal> {
    let preferred = [MediaType::Json, MediaType::Protobuf];
    let allowed = |media: &MediaType| accept::allows(headers, media.as_str());
    let media = preferred.into_iter().find(allowed).ok_or_else(|| {
        reply::text(
            StatusCode::NOT_ACCEPTABLE,
            "Expecting 'Accept' to allow 'application/x-protobuf' or 'application/json'",
        )
    })?;
    Ok(media)
}
