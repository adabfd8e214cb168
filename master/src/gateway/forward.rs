//! One request to the leader and back: which headers go along, when to try again.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use caprock_http::Reply;
use http::header::{self, HeaderName, HeaderValue};
use http::request::Parts;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{Client, Error};
use hyper_util::rt::TokioExecutor;
use tokio::time::Instant;

use super::headers::{FORWARDED_BY, NOT_LEADER, TERM};
use super::leader::LeaderAddress;

/// A member on the same network answers a connection attempt within this.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(1_000);
/// Wait before asking again while an election goes on.
pub const RETRY: Duration = Duration::from_millis(25);

/// Headers that concern one connection only (RFC 9110, 7.6.1), and those that the client
/// sets by itself.
const HOP_BY_HOP: [HeaderName; 9] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::HOST,
    header::EXPECT,
];

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum NoAnswer {
    /// Nobody leads, or nobody that leads could be reached; the request was not looked at.
    #[error("no leader")]
    NoLeader,
    /// The connection broke after the request was sent.
    #[error("{0}")]
    Broken(String),
}

/// What came of sending a request once.
#[derive(Debug)]
pub enum Attempt {
    Answered(Response<Incoming>),
    /// The member does not lead, or cannot be reached: the request was not looked at.
    NotTaken,
    /// The connection broke after the request was sent.
    Broken(String),
}

/// How long to try, and whether a request may be sent again that may have been looked at.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    pub deadline: Instant,
    pub repeatable: bool,
}

/// The leader's answer, with its address.
#[derive(Debug)]
pub struct Answered {
    pub leader: String,
    pub response: Response<Incoming>,
}

/// Sends requests to other members.
#[derive(Debug, Clone)]
pub struct Forwarder {
    client: Client<HttpConnector, Full<Bytes>>,
    name: HeaderValue,
}

impl Forwarder {
    /// A forwarder that signs with this name.
    pub fn new(name: &str) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
        connector.set_nodelay(true);
        let client = Client::builder(TokioExecutor::new()).build(connector);
        let name = HeaderValue::from_str(name).unwrap_or(HeaderValue::from_static("caprock"));
        Self { client, name }
    }

    /// Sends a request once.
    pub async fn attempt(&self, to: &str, parts: &Parts, body: Bytes) -> Attempt {
        match self.send(to, parts, body).await {
            Ok(response) if is_refusal(&response) => Attempt::NotTaken,
            Ok(response) => Attempt::Answered(response),
            Err(error) if error.is_connect() => {
                tracing::debug!(address = to, %error, "the leader cannot be reached");
                Attempt::NotTaken
            }
            Err(error) => Attempt::Broken(describe(&error)),
        }
    }

    async fn send(
        &self,
        to: &str,
        parts: &Parts,
        body: Bytes,
    ) -> Result<Response<Incoming>, Error> {
        let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = parts.method.clone();
        *request.uri_mut() = format!("http://{to}{path}").parse().unwrap_or_default();
        let headers = request.headers_mut();
        headers.clone_from(&parts.headers);
        remove_hop_by_hop(headers);
        // The body has been read whole and unpacked.
        headers.remove(header::CONTENT_LENGTH);
        headers.remove(header::CONTENT_ENCODING);
        headers.insert(FORWARDED_BY, self.name.clone());
        self.client.request(request).await
    }
}

/// Asks the leader, whoever it becomes until the deadline.
pub async fn until_answered(
    forwarder: &Forwarder,
    leader: &LeaderAddress,
    patience: Patience,
    parts: &Parts,
    body: Bytes,
) -> Result<Answered, NoAnswer> {
    let Patience {
        deadline,
        repeatable,
    } = patience;
    loop {
        let Some(address) = leader.by(deadline).await else {
            return Err(NoAnswer::NoLeader);
        };
        let attempt = tokio::select! {
            attempt = forwarder.attempt(&address, parts, body.clone()) => attempt,
            () = leader.other_than(&address) => {
                Attempt::Broken(format!("{address} does not lead any more"))
            }
        };
        let over = Instant::now() >= deadline;
        match attempt {
            Attempt::Answered(response)
                if !repeatable || over || !is_unavailable(response.status()) =>
            {
                return Ok(Answered {
                    leader: address,
                    response,
                });
            }
            Attempt::Broken(error) if !repeatable || over => {
                return Err(NoAnswer::Broken(error));
            }
            Attempt::NotTaken if over => return Err(NoAnswer::NoLeader),
            Attempt::Answered(_) | Attempt::Broken(_) | Attempt::NotTaken => {}
        }
        leader.changed_or(RETRY).await;
    }
}

/// The leader is one no more, or its log takes nothing now.
pub fn is_unavailable(status: StatusCode) -> bool {
    status == StatusCode::SERVICE_UNAVAILABLE
}

fn is_refusal(response: &Response<Incoming>) -> bool {
    is_unavailable(response.status()) && response.headers().contains_key(NOT_LEADER)
}

fn describe(error: &Error) -> String {
    let source = std::error::Error::source(error);
    source.map_or_else(|| error.to_string(), |source| format!("{error}: {source}"))
}

/// Hands the answer on as it comes.
pub fn pass_on(response: Response<Incoming>) -> Reply {
    let (mut parts, body) = response.into_parts();
    remove_hop_by_hop(&mut parts.headers);
    parts.headers.remove(TERM);
    Response::from_parts(parts, caprock_http::Body::new(PassedOn { body }))
}

fn remove_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in HOP_BY_HOP.iter().chain(&named) {
        headers.remove(name);
    }
}

/// A body that ends where the leader's broke off. Its announced length stays, so that the
/// client sees the difference.
struct PassedOn {
    body: Incoming,
}

impl Body for PassedOn {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match ready!(Pin::new(&mut self.body).poll_frame(context)) {
            Some(Ok(frame)) => Poll::Ready(Some(Ok(frame))),
            Some(Err(error)) => {
                tracing::info!(%error, "the leader's answer broke off");
                Poll::Ready(None)
            }
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_concerns_the_connection_stays_behind() {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONNECTION, "close, X-Private".parse().unwrap());
        headers.insert("x-private", "1".parse().unwrap());
        headers.insert(header::TRANSFER_ENCODING, "chunked".parse().unwrap());
        headers.insert(header::ACCEPT, "application/json".parse().unwrap());
        remove_hop_by_hop(&mut headers);
        assert_eq!(headers.len(), 1);
        assert!(headers.contains_key(header::ACCEPT));
    }
}
