//! One HTTP request from end to end: route, authentication, leadership, method, handler.
//! The order is Mesos', since clients and tests look at the first error.

use std::sync::Arc;

use bytes::Bytes;
use caprock_http::{Reply, reply};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode};

use super::leadership::{self, Place};
use super::route::{self, Endpoint, NoRoute, Route};
use super::{call, legacy, operator, scheduler};
use crate::context::Master;
use crate::gateway::FORWARDED_BY;

/// Asks a member for its own copy of the state, whether it leads or not: `?local`.
const LOCAL: &str = "local";

/// Answers HTTP requests.
#[derive(Debug, Clone)]
pub struct Server {
    master: Arc<Master>,
}

impl Server {
    /// A server of this master.
    pub fn new(master: Arc<Master>) -> Self {
        Self { master }
    }

    /// Answers one request.
    pub async fn handle<B>(&self, request: Request<B>) -> Reply
    where
        B: http_body::Body<Data = Bytes> + Send,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let in_flight = self.master.requests.begin();
        let (parts, body) = request.into_parts();
        let (method, path) = (parts.method.clone(), parts.uri.path().to_owned());
        let answer = self
            .answer(parts, body)
            .await
            .unwrap_or_else(|refused| *refused);
        drop(in_flight);
        self.master.requests.answered(answer.status());
        if self.master.logging_level.get() > 0 {
            tracing::info!(%method, path, status = answer.status().as_u16(), "request");
        }
        answer
    }

    async fn answer<B>(&self, parts: Parts, body: B) -> Result<Reply, Box<Reply>>
    where
        B: http_body::Body<Data = Bytes> + Send,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let master = &self.master;
        let route = find(&parts)?;
        let principal = match route.realm {
            Some(realm) => master.authenticator.authenticate(realm, &parts.headers)?,
            None => None,
        };
        if route.leader_only && !wants_local_copy(&parts) {
            let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
            let held = route.endpoint == Endpoint::SchedulerApi
                && !parts.headers.contains_key(FORWARDED_BY)
                && master.gateway.holds_stream_of(&parts.headers);
            let place = match held {
                true => Place::Gateway,
                false => leadership::place(master, &parts.headers, path).await,
            };
            match place {
                Place::Here => {}
                Place::Gateway => return self.through_gateway(route, parts, body).await,
                Place::Answered(answer) => return Ok(*answer),
            }
        }
        check_method(route, &parts.method)?;
        self.dispatch(route, principal, &parts, body).await
    }

    async fn through_gateway<B>(
        &self,
        route: &Route,
        parts: Parts,
        body: B,
    ) -> Result<Reply, Box<Reply>>
    where
        B: http_body::Body<Data = Bytes>,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let limit = self.master.config.max_request_body_bytes;
        let bytes = call::bytes(&parts.headers, body, limit).await?;
        Ok(match route.endpoint {
            Endpoint::SchedulerApi => self.master.gateway.forward_scheduler(parts, bytes).await,
            _ => self.master.gateway.forward(&parts, bytes).await,
        })
    }

    async fn dispatch<B>(
        &self,
        route: &Route,
        principal: Option<String>,
        parts: &Parts,
        body: B,
    ) -> Result<Reply, Box<Reply>>
    where
        B: http_body::Body<Data = Bytes> + Send,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let master = &self.master;
        let limit = master.config.max_request_body_bytes;
        Ok(match route.endpoint {
            Endpoint::SchedulerApi => {
                scheduler::handle(master, principal, &parts.headers, body).await
            }
            Endpoint::OperatorApi => {
                operator::handle(master, principal, &parts.headers, body).await
            }
            endpoint => {
                let body = call::bytes(&parts.headers, body, limit).await?;
                legacy::handle(master, endpoint, principal, parts, body).await
            }
        })
    }
}

fn find(parts: &Parts) -> Result<&'static Route, Box<Reply>> {
    route::find(parts.uri.path()).map_err(|no_route| {
        Box::new(match no_route {
            NoRoute::Relative => reply::bad_request("Request URL path must start with '/'"),
            NoRoute::Unknown => reply::status_line(StatusCode::NOT_FOUND),
        })
    })
}

fn check_method(route: &Route, method: &Method) -> Result<(), Box<Reply>> {
    // hyper answers HEAD as GET without its body.
    let asked = if method == Method::HEAD {
        &Method::GET
    } else {
        method
    };
    if route.methods.is_empty() || route.methods.contains(asked) {
        return Ok(());
    }
    Err(Box::new(reply::method_not_allowed(route.methods, method)))
}

fn wants_local_copy(parts: &Parts) -> bool {
    let query = parts.uri.query().unwrap_or_default();
    parts.method == Method::GET && caprock_http::query::parse(query).contains_key(LOCAL)
}

/// The media type and size of an answer, for tests.
#[cfg(test)]
pub(super) async fn body_text(reply: Reply) -> String {
    use http_body_util::BodyExt;

    let bytes = reply
        .into_body()
        .collect()
        .await
        .map(|body| body.to_bytes());
    String::from_utf8_lossy(&bytes.unwrap_or_default()).into_owned()
}

/// Headers that say which state an answer shows.
pub(super) fn mark_state(reply: &mut Reply, applied_index: u64, age_ms: u64) {
    let headers: &mut HeaderMap = reply.headers_mut();
    headers.insert("caprock-applied-index", HeaderValue::from(applied_index));
    headers.insert("caprock-age-ms", HeaderValue::from(age_ms));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn methods_and_paths_are_refused_in_mesos_words() {
        let parts = |uri: &str| Request::get(uri).body(()).unwrap().into_parts().0;
        let not_found = find(&parts("http://x/no")).unwrap_err();
        assert_eq!(not_found.status(), StatusCode::NOT_FOUND);
        assert_eq!(body_text(*not_found).await, "404 Not Found.");
        let route = find(&parts("http://x/api/v1")).unwrap();
        let refused = check_method(route, &Method::GET).unwrap_err();
        assert_eq!(refused.headers()["allow"], "POST");
        assert!(check_method(route, &Method::POST).is_ok());
        assert!(wants_local_copy(&parts("http://x/state?local")));
        assert!(!wants_local_copy(&parts("http://x/state")));
    }
}
