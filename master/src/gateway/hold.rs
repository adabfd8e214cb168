//! A call of a scheduler on its way to the leader that has the scheduler's stream: held
//! while there is none, and sent again to the next one when the answer got lost.
//!
//! All attempts carry the same key. Calls that change nothing when they are repeated are
//! simply repeated; an ACCEPT is carried out once, because its key goes into the log with
//! its launches. A MESSAGE may get lost in Mesos, but is not doubled, so it is not repeated
//! once it may have been taken.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use caprock_http::{Reply, reply};
use caprock_proto::caprock::gateway::VouchedAccept;
use caprock_proto::mesos::v1::Offer;
use caprock_proto::mesos::v1::scheduler::{Call, call};
use http::header::{CONTENT_TYPE, HeaderValue};
use http::request::Parts;
use http::{Response, StatusCode};
use hyper::body::Incoming;
use prost::Message;
use tokio::time::Instant;

use super::forward::{self, Attempt, NoAnswer, RETRY};
use super::headers::{self, IDEMPOTENCY_KEY, TERM, VOUCHED_ACCEPT};
use super::sessions::{NoUpstream, SharedSession, Upstream};
use super::subscription::Claim;
use super::{Gateway, unavailable};
use crate::http::STREAM_ID;

/// How long a leader that does not know a stream (any more) may need to end it.
const STALE_WAIT: Duration = Duration::from_millis(200);

/// What to do after an attempt.
enum Next {
    Answer(Response<Incoming>),
    /// It may have been carried out, and is not sent again.
    Taken,
    Again,
}

struct Held<'a> {
    gateway: &'a Gateway,
    session: &'a SharedSession,
    parts: Parts,
    body: Bytes,
    call: &'a Call,
    kind: call::Type,
    claim: Claim,
    /// Some attempt may have been carried out.
    doubtful: bool,
}

/// Brings a call to the leader.
pub async fn carry(
    gateway: &Gateway,
    session: &Arc<SharedSession>,
    mut parts: Parts,
    body: Bytes,
    call: &Call,
) -> Reply {
    let key = parts.headers.entry(IDEMPOTENCY_KEY);
    key.or_insert_with(headers::new_key);
    let kind = call.r#type();
    let claim = session.subscription().claim(call, Instant::now());
    if kind == call::Type::Teardown {
        session.tear_down();
    }
    let held = Held {
        gateway,
        session,
        parts,
        body,
        call,
        kind,
        claim,
        doubtful: false,
    };
    held.run().await
}

impl Held<'_> {
    async fn run(mut self) -> Reply {
        let deadline = Instant::now() + self.gateway.settings.leader_wait;
        loop {
            let upstream = match self.session.upstream(deadline).await {
                Ok(upstream) => upstream,
                Err(NoUpstream::InTime) => return self.give_up(),
                Err(NoUpstream::Ended) => return self.after_the_end().await,
            };
            let attempt = tokio::select! {
                attempt = self.attempt(&upstream) => attempt,
                () = self.session.other_than(&upstream) => {
                    Attempt::Broken(format!("{} does not lead any more", upstream.address))
                }
            };
            match self.judge(&upstream, attempt).await {
                Next::Answer(response) => return self.finish(response),
                Next::Taken => return reply::empty(StatusCode::ACCEPTED),
                Next::Again if Instant::now() >= deadline => return self.give_up(),
                Next::Again => {
                    // Usually the stream is about to be found broken.
                    let changed = self.session.other_than(&upstream);
                    drop(tokio::time::timeout(RETRY, changed).await);
                }
            }
        }
    }

    async fn attempt(&self, upstream: &Upstream) -> Attempt {
        let mut parts = self.parts.clone();
        let headers = &mut parts.headers;
        headers.insert(TERM, HeaderValue::from(upstream.term));
        if let Ok(value) = HeaderValue::from_str(&upstream.stream_id) {
            headers.insert(STREAM_ID, value);
        }
        let vouched: Vec<Offer> = self.claim.made_before(upstream.term).cloned().collect();
        let body = if self.kind == call::Type::Accept && !vouched.is_empty() {
            let media = HeaderValue::from_static(VOUCHED_ACCEPT);
            headers.insert(CONTENT_TYPE, media);
            let accept = VouchedAccept {
                call: Some(self.call.clone()),
                offers: vouched,
            };
            Bytes::from(accept.encode_to_vec())
        } else {
            self.body.clone()
        };
        let forwarder = &self.gateway.forwarder;
        forwarder.attempt(&upstream.address, &parts, body).await
    }

    async fn judge(&mut self, upstream: &Arc<Upstream>, attempt: Attempt) -> Next {
        let response = match attempt {
            Attempt::Answered(response) => response,
            Attempt::NotTaken => return Next::Again,
            Attempt::Broken(error) => {
                tracing::debug!(%error, kind = ?self.kind, "a call has to be sent again");
                self.doubtful = true;
                return match self.kind {
                    call::Type::Message => Next::Taken,
                    _ => Next::Again,
                };
            }
        };
        match response.status() {
            StatusCode::SERVICE_UNAVAILABLE => {
                self.doubtful = true;
                Next::Again
            }
            // The leader may have ended the stream already, which is about to be seen here.
            StatusCode::FORBIDDEN | StatusCode::BAD_REQUEST
                if self.is_stale(upstream, response.status()).await =>
            {
                Next::Again
            }
            _ => Next::Answer(response),
        }
    }

    async fn is_stale(&self, upstream: &Arc<Upstream>, status: StatusCode) -> bool {
        let patience = match status {
            StatusCode::FORBIDDEN => STALE_WAIT,
            _ => Duration::ZERO,
        };
        let changed = self.session.other_than(upstream);
        tokio::time::timeout(patience, changed).await.is_ok()
    }

    fn finish(self, response: Response<Incoming>) -> Reply {
        if response.status().is_success() {
            self.session.subscription().note_call(self.call);
        } else {
            self.session.give_back(self.claim);
        }
        forward::pass_on(response)
    }

    fn give_up(self) -> Reply {
        self.session.give_back(self.claim);
        unavailable(&NoAnswer::NoLeader)
    }

    /// The stream is over: because of this very call, or the leader says what is wrong.
    async fn after_the_end(self) -> Reply {
        if self.kind == call::Type::Teardown && self.doubtful {
            return reply::empty(StatusCode::ACCEPTED);
        }
        self.gateway.forward(&self.parts, self.body).await
    }
}
