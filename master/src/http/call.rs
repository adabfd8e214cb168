//! From the body of a POST to a call of the v1 API: content type, size, encoding, required
//! fields, each with Mesos' status and text.

use caprock_http::{Reply, accept, body, reply};
use caprock_proto::{MediaType, MesosMessage};
use http::{HeaderMap, StatusCode};

/// Reads a call from the request.
pub async fn read<M, B>(
    headers: &HeaderMap,
    request_body: B,
    limit_bytes: usize,
) -> Result<M, Box<Reply>>
where
    M: MesosMessage,
    B: http_body::Body<Data = bytes::Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let media = media_type(headers)?;
    let bytes = bytes(headers, request_body, limit_bytes).await?;
    caprock_proto::decode(media, bytes).map_err(|bad| Box::new(reply::bad_request(bad.to_string())))
}

/// The media type that the request says its body has.
pub fn media_type(headers: &HeaderMap) -> Result<MediaType, Box<Reply>> {
    let Some(content_type) = accept::content_type(headers) else {
        return Err(Box::new(reply::bad_request(
            "Expecting 'Content-Type' to be present",
        )));
    };
    MediaType::from_content_type(content_type).ok_or_else(|| {
        let expected = "Expecting 'Content-Type' of application/json or application/x-protobuf";
        Box::new(reply::text(StatusCode::UNSUPPORTED_MEDIA_TYPE, expected))
    })
}

/// Reads the body whole.
pub async fn bytes<B>(
    headers: &HeaderMap,
    request_body: B,
    limit_bytes: usize,
) -> Result<bytes::Bytes, Box<Reply>>
where
    B: http_body::Body<Data = bytes::Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    body::read(headers, request_body, limit_bytes)
        .await
        .map_err(|error| {
            let status = match error {
                body::BodyError::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
                body::BodyError::Gzip(_) | body::BodyError::Broken(_) => StatusCode::BAD_REQUEST,
            };
            Box::new(reply::text(status, error.to_string()))
        })
}

/// The media type of the answer: JSON if the client takes it, else protobuf.
pub fn answer_media(headers: &HeaderMap) -> Result<MediaType, Box<Reply>> {
    if accept::allows(headers, accept::JSON) {
        Ok(MediaType::Json)
    } else if accept::allows(headers, accept::PROTOBUF) {
        Ok(MediaType::Protobuf)
    } else {
        let expected = "Expecting 'Accept' to allow 'application/x-protobuf' or 'application/json'";
        Err(Box::new(reply::text(StatusCode::NOT_ACCEPTABLE, expected)))
    }
}

#[cfg(test)]
mod tests {
    use caprock_proto::mesos::v1::scheduler::Call;
    use http::header::{ACCEPT, CONTENT_TYPE};
    use http_body_util::Full;

    use super::*;

    async fn status(content_type: Option<&str>, body: &'static [u8], limit: usize) -> u16 {
        let mut headers = HeaderMap::new();
        if let Some(content_type) = content_type {
            headers.insert(CONTENT_TYPE, content_type.parse().unwrap());
        }
        match read::<Call, _>(&headers, Full::new(body.into()), limit).await {
            Ok(_) => 200,
            Err(reply) => reply.status().as_u16(),
        }
    }

    #[tokio::test]
    async fn statuses_of_bad_requests() {
        let json = Some("application/json");
        assert_eq!(status(None, b"{}", 99).await, 400);
        assert_eq!(status(Some("text/plain"), b"{}", 99).await, 415);
        assert_eq!(
            status(Some("application/json; charset=utf-8"), b"{}", 99).await,
            415
        );
        assert_eq!(status(json, b"{", 99).await, 400);
        assert_eq!(status(json, b"[]", 99).await, 400);
        assert_eq!(status(json, b"{\"type\":\"REVIVE\"}", 3).await, 413);
        assert_eq!(status(json, b"{\"type\":\"REVIVE\"}", 99).await, 200);
        assert_eq!(
            status(Some("application/x-protobuf"), b"\xff\xff", 99).await,
            400
        );
    }

    #[test]
    fn json_comes_first() {
        let media = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT, value.parse().unwrap());
            answer_media(&headers).map_err(|reply| reply.status().as_u16())
        };
        assert_eq!(
            media("application/x-protobuf, application/json;q=0.1"),
            Ok(MediaType::Json)
        );
        assert_eq!(media("application/x-protobuf"), Ok(MediaType::Protobuf));
        assert_eq!(media("application/recordio"), Err(406));
        assert_eq!(answer_media(&HeaderMap::new()).ok(), Some(MediaType::Json));
    }
}
