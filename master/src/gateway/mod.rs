//! Requests that came to a member that does not lead: forwarded to the leader, held while
//! there is none; streams of schedulers outlive the leader that they began with.
//!
//! ```text
//!   scheduler ──► follower: session ──► leader of term 7 (dies)
//!                      │  holds the stream, rescinds dead offers
//!                      └───────────────► leader of term 8: SUBSCRIBE with the same id
//! ```
//!
//! Reading order: `leader`, `forward`, `session`, `sessions`, `subscription`, `hold`,
//! `standalone`.

mod forward;
pub mod headers;
mod hold;
mod leader;
mod session;
mod sessions;
mod standalone;
mod subscription;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use caprock_http::{Reply, reply};
use caprock_proto::MediaType;
use caprock_proto::mesos::v1::scheduler::{Call, call};
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, StatusCode};
use tokio::time::Instant;

pub use headers::{FORWARDED_BY, NOT_LEADER};
pub use leader::LeaderAddress;
pub use standalone::{GatewayConfig, run};

use crate::driver::NO_LEADER;
use crate::http::STREAM_ID;
use forward::{Forwarder, NoAnswer, Patience};
use headers::{IDEMPOTENCY_KEY, RESUMES, TERM, VOUCHED_ACCEPT};
use sessions::GatewaySessions;

/// When a client that got no leader should try again.
const RETRY_AFTER_SECONDS: &str = "1";

/// Settings of a gateway.
#[derive(Debug, Clone)]
pub struct GatewaySettings {
    /// Named in the header that stops requests from going round in circles.
    pub name: String,
    /// How long a request waits for a leader.
    pub leader_wait: Duration,
    /// How long a scheduler's stream waits for the next leader.
    pub stream_wait: Duration,
    /// Events kept for a scheduler that reads slowly before it is cut off.
    pub event_buffer: usize,
}

/// Forwards requests to whoever leads.
#[derive(Debug, Clone)]
pub struct Gateway {
    settings: Arc<GatewaySettings>,
    forwarder: Forwarder,
    leader: LeaderAddress,
    sessions: GatewaySessions,
}

impl Gateway {
    /// A gateway that follows this leader.
    pub fn new(settings: GatewaySettings, leader: LeaderAddress) -> Self {
        Self {
            forwarder: Forwarder::new(&settings.name),
            settings: Arc::new(settings),
            leader,
            sessions: GatewaySessions::default(),
        }
    }

    /// Open streams of schedulers.
    pub fn session_count(&self) -> usize {
        self.sessions.len()
    }

    /// Whether the request belongs to a stream that this gateway holds. That stays so when
    /// its own member becomes the leader.
    pub fn holds_stream_of(&self, headers: &HeaderMap) -> bool {
        headers::text(headers, &STREAM_ID)
            .is_some_and(|stream_id| self.sessions.contains(stream_id))
    }

    /// Forwards any request but a scheduler's. Only questions are asked twice.
    pub async fn forward(&self, parts: &Parts, body: Bytes) -> Reply {
        let patience = Patience {
            deadline: Instant::now() + self.settings.leader_wait,
            repeatable: parts.method.is_safe(),
        };
        let (forwarder, leader) = (&self.forwarder, &self.leader);
        match forward::until_answered(forwarder, leader, patience, parts, body).await {
            Ok(answer) => forward::pass_on(answer.response),
            Err(error) => unavailable(&error),
        }
    }

    /// Forwards a scheduler's request: SUBSCRIBE begins a session, other calls belong to one.
    pub async fn forward_scheduler(&self, mut parts: Parts, body: Bytes) -> Reply {
        // What only members say to each other.
        parts.headers.remove(TERM);
        parts.headers.remove(RESUMES);
        if headers::text(&parts.headers, &CONTENT_TYPE) == Some(VOUCHED_ACCEPT) {
            return reply::status_line(StatusCode::UNSUPPORTED_MEDIA_TYPE);
        }
        let Some((media, call)) = read_call(&parts, &body) else {
            // The leader says what is wrong with it.
            return self.forward(&parts, body).await;
        };
        if call.r#type() == call::Type::Subscribe {
            return self.subscribe(parts, body, media, call).await;
        }
        let session = headers::text(&parts.headers, &STREAM_ID)
            .and_then(|stream_id| self.sessions.find(stream_id));
        match session {
            Some(session) => hold::carry(self, &session, parts, body, &call).await,
            None => self.forward(&parts, body).await,
        }
    }

    /// The key makes the id of a new framework, so that the call may be sent again.
    async fn subscribe(
        &self,
        mut parts: Parts,
        body: Bytes,
        media: MediaType,
        call: Call,
    ) -> Reply {
        let key = parts.headers.entry(IDEMPOTENCY_KEY);
        key.or_insert_with(headers::new_key);
        let patience = Patience {
            deadline: Instant::now() + self.settings.leader_wait,
            repeatable: true,
        };
        let (forwarder, leader) = (&self.forwarder, &self.leader);
        let opened = forward::until_answered(forwarder, leader, patience, &parts, body);
        let answer = match opened.await {
            Ok(answer) => answer,
            Err(error) => return unavailable(&error),
        };
        if answer.response.status() != StatusCode::OK {
            return forward::pass_on(answer.response);
        }
        let begun = session::begin(self, parts, media, call, answer);
        begun.unwrap_or_else(|answer| forward::pass_on(answer.response))
    }
}

/// The call, if the request is one.
fn read_call(parts: &Parts, body: &Bytes) -> Option<(MediaType, Call)> {
    let content_type = caprock_http::accept::content_type(&parts.headers)?;
    let media = MediaType::from_content_type(content_type)?;
    Some((media, caprock_proto::decode(media, body.clone()).ok()?))
}

fn unavailable(error: &NoAnswer) -> Reply {
    let text = match error {
        NoAnswer::NoLeader => NO_LEADER,
        NoAnswer::Broken(error) => {
            tracing::info!(%error, "the leader did not answer a forwarded request");
            "The leader did not answer; the request may have been carried out"
        }
    };
    let mut reply = reply::text(StatusCode::SERVICE_UNAVAILABLE, text);
    let headers = reply.headers_mut();
    headers.insert(RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER_SECONDS));
    reply
}
