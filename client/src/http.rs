//! One HTTP/1.1 request to one address. Redirects of a master are followed here.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

use crate::ClientError;

/// Media type of all requests and answers of this crate.
pub const PROTOBUF: &str = "application/x-protobuf";

/// A master redirects at most to the leader, and the leader may change meanwhile.
const MAX_REDIRECTS: usize = 5;

/// A pool of connections.
#[derive(Debug, Clone)]
pub struct Http {
    client: Client<HttpConnector, Full<Bytes>>,
}

impl Default for Http {
    fn default() -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(std::time::Duration::from_secs(2)));
        Http {
            client: Client::builder(TokioExecutor::new()).build(connector),
        }
    }
}

impl Http {
    /// POSTs a protobuf body. Returns the answer whatever its status, and who gave it.
    pub async fn post(
        &self,
        address: &str,
        path: &str,
        headers: &HeaderMap,
        body: Bytes,
    ) -> Result<(String, Response<Incoming>), ClientError> {
        let mut headers = headers.clone();
        let protobuf = HeaderValue::from_static(PROTOBUF);
        headers.insert(header::CONTENT_TYPE, protobuf.clone());
        headers.entry(header::ACCEPT).or_insert(protobuf);
        self.send(Method::POST, address, path, headers, body).await
    }

    /// GETs a path.
    pub async fn get(
        &self,
        address: &str,
        path: &str,
    ) -> Result<(String, Response<Incoming>), ClientError> {
        self.send(Method::GET, address, path, HeaderMap::new(), Bytes::new())
            .await
    }

    async fn send(
        &self,
        method: Method,
        address: &str,
        path: &str,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<(String, Response<Incoming>), ClientError> {
        let mut at = address.to_owned();
        for _ in 0..=MAX_REDIRECTS {
            let mut request = Request::builder()
                .method(method.clone())
                .uri(format!("http://{at}{path}"))
                .body(Full::new(body.clone()))
                .map_err(|_| ClientError::BadAddress(at.clone()))?;
            request.headers_mut().extend(headers.clone());
            let response = self
                .client
                .request(request)
                .await
                .map_err(|e| broken(&at, &e))?;
            if response.status() != StatusCode::TEMPORARY_REDIRECT {
                return Ok((at, response));
            }
            at = redirect_target(&response).ok_or_else(|| ClientError::BadAnswer {
                address: at.clone(),
                reason: "a redirect without a usable Location".to_owned(),
            })?;
        }
        Err(ClientError::Unreachable {
            tried: address.to_owned(),
            last: "redirected too often".to_owned(),
        })
    }
}

/// The whole body of an answer.
pub async fn body_of(address: &str, response: Response<Incoming>) -> Result<Bytes, ClientError> {
    let collected = response.into_body().collect().await;
    collected
        .map(|c| c.to_bytes())
        .map_err(|e| broken(address, &e))
}

/// Turns any status but the expected ones into an error that carries the answer's text.
pub async fn expect_status(
    address: &str,
    response: Response<Incoming>,
    expected: &[StatusCode],
) -> Result<Response<Incoming>, ClientError> {
    if expected.contains(&response.status()) {
        return Ok(response);
    }
    let status = response.status().as_u16();
    let text = body_of(address, response).await?;
    let text = String::from_utf8_lossy(&text).into_owned();
    Err(ClientError::Status {
        address: address.to_owned(),
        status,
        text,
    })
}

fn broken(address: &str, error: &(dyn std::error::Error + 'static)) -> ClientError {
    // hyper's own texts name only the stage; the cause below says what happened.
    let mut reason = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        reason = format!("{reason}: {cause}");
        source = cause.source();
    }
    ClientError::Broken {
        address: address.to_owned(),
        reason,
    }
}

/// `//host:port/path` (Mesos leaves the scheme out) or an absolute URL.
fn redirect_target(response: &Response<Incoming>) -> Option<String> {
    let location = response.headers().get(header::LOCATION)?.to_str().ok()?;
    authority(location).map(str::to_owned)
}

fn authority(location: &str) -> Option<&str> {
    let rest = location.split_once("//")?.1;
    let authority = rest.split(['/', '?']).next()?;
    (!authority.is_empty()).then_some(authority)
}

#[cfg(test)]
mod tests {
    use super::authority;

    #[test]
    fn takes_the_authority_of_a_location() {
        assert_eq!(authority("//h:5050/master/x?y"), Some("h:5050"));
        assert_eq!(authority("http://h:5050"), Some("h:5050"));
        assert_eq!(authority("/relative"), None);
        assert_eq!(authority("//"), None);
    }
}
