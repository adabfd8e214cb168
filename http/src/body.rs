//! Reading a request's body whole: bounded, and gunzipped when it says so. Mesos' HTTP layer
//! does the same before a handler sees the request (3rdparty/libprocess/src/decoder.hpp).

use std::io::Read;

use bytes::Bytes;
use http::HeaderMap;
use http::header::CONTENT_ENCODING;
use http_body_util::{BodyExt, Limited};

/// Why a body could not be read.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum BodyError {
    /// The body is larger than this endpoint takes.
    #[error("Request body is larger than {limit_bytes} bytes")]
    TooLarge { limit_bytes: usize },
    /// The body was announced as gzip and is not.
    #[error("Failed to decompress request body: {0}")]
    Gzip(String),
    /// The connection broke while the body was read.
    #[error("Failed to read request body: {0}")]
    Broken(String),
}

/// Reads the body; both its wire form and its decompressed form are bounded.
pub async fn read<B>(headers: &HeaderMap, body: B, limit_bytes: usize) -> Result<Bytes, BodyError>
where
    B: http_body::Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let collected = Limited::new(body, limit_bytes)
        .collect()
        .await
        .map_err(|error| {
            if error.is::<http_body_util::LengthLimitError>() {
                BodyError::TooLarge { limit_bytes }
            } else {
                BodyError::Broken(error.to_string())
            }
        })?;
    let bytes = collected.to_bytes();
    if is_gzip(headers) {
        gunzip(&bytes, limit_bytes)
    } else {
        Ok(bytes)
    }
}

fn is_gzip(headers: &HeaderMap) -> bool {
    headers
        .get(CONTENT_ENCODING)
        .is_some_and(|value| value.as_bytes() == b"gzip")
}

fn gunzip(bytes: &[u8], limit_bytes: usize) -> Result<Bytes, BodyError> {
    let mut plain = Vec::new();
    let bound = u64::try_from(limit_bytes)
        .unwrap_or(u64::MAX)
        .saturating_add(1);
    flate2::read::GzDecoder::new(bytes)
        .take(bound)
        .read_to_end(&mut plain)
        .map_err(|error| BodyError::Gzip(error.to_string()))?;
    if plain.len() > limit_bytes {
        return Err(BodyError::TooLarge { limit_bytes });
    }
    Ok(plain.into())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use http_body_util::Full;

    use super::*;

    fn gzipped(data: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(data).unwrap();
        encoder.finish().unwrap()
    }

    async fn read_with(headers: &HeaderMap, body: &[u8], limit: usize) -> Result<Bytes, BodyError> {
        read(headers, Full::new(Bytes::copy_from_slice(body)), limit).await
    }

    #[tokio::test]
    async fn plain_and_gzip() {
        let mut headers = HeaderMap::new();
        assert_eq!(read_with(&headers, b"abc", 3).await.unwrap(), "abc");
        headers.insert(CONTENT_ENCODING, "gzip".parse().unwrap());
        assert_eq!(
            read_with(&headers, &gzipped(b"hello"), 1000).await.unwrap(),
            "hello"
        );
        assert!(matches!(
            read_with(&headers, b"hello", 1000).await,
            Err(BodyError::Gzip(_))
        ));
    }

    #[tokio::test]
    async fn a_small_bomb_does_not_grow_past_the_limit() {
        let mut headers = HeaderMap::new();
        let limit_bytes = 10_000;
        let too_large = Err(BodyError::TooLarge { limit_bytes });
        assert_eq!(
            read_with(&headers, &[0; 10_001], limit_bytes).await,
            too_large
        );
        headers.insert(CONTENT_ENCODING, "gzip".parse().unwrap());
        let bomb = gzipped(&vec![0; 5_000_000]);
        assert!(bomb.len() < limit_bytes);
        assert_eq!(read_with(&headers, &bomb, limit_bytes).await, too_large);
    }
}
