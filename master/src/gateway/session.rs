//! A scheduler's stream through a gateway. Each record is read whole from the leader and
//! leaves as one chunk. When the leader is lost the stream stays open: the session
//! subscribes again at the next one, under the framework's id.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use caprock_http::{Reply, stream};
use caprock_proto::mesos::v1::scheduler::{Call, Event, event};
use caprock_proto::{MediaType, recordio};
use http::StatusCode;
use http::header::{self, HeaderValue};
use http::request::Parts;
use http_body_util::BodyExt;
use tokio::time::{Instant, MissedTickBehavior};

use super::Gateway;
use super::forward::{self, Answered, Patience};
use super::headers::{self, RESUMES, TERM};
use super::sessions::{SharedSession, Undelivered, Upstream};
use super::subscription::{Meaning, Subscription};
use crate::http::STREAM_ID;

/// Records of the leader beyond this size are refused.
const RECORD_BYTES_MAX: usize = 256 << 20;
/// Heartbeats of the gateway's own while nobody leads, as often as Mesos' masters send them.
const HEARTBEAT: Duration = Duration::from_secs(15);

struct Session {
    gateway: Gateway,
    /// The scheduler's request, without its body.
    parts: Parts,
    request_media: MediaType,
    event_media: MediaType,
    /// The id that the scheduler knows.
    stream_id: String,
    shared: Arc<SharedSession>,
    /// When the scheduler was sent the last HEARTBEAT.
    heartbeat_at: Instant,
}

/// How the connection to one leader ended.
#[derive(Debug, PartialEq, Eq)]
enum End {
    /// The leader ended the stream in good order, without an ERROR.
    Closed,
    /// The leader was lost.
    Lost,
    /// The scheduler's stream is over.
    Over,
}

/// Begins a session with the leader's answer to SUBSCRIBE; gives the answer back if it is
/// no event stream.
pub fn begin(
    gateway: &Gateway,
    parts: Parts,
    request_media: MediaType,
    call: Call,
    answer: Answered,
) -> Result<Reply, Box<Answered>> {
    let Some((event_media, upstream)) = stream_of(&answer) else {
        return Err(Box::new(answer));
    };
    let stream_id = upstream.stream_id.clone();
    let (to_scheduler, mut reply) =
        stream::open(event_media.as_str(), gateway.settings.event_buffer);
    let subscription = Subscription::new(call);
    let shared = SharedSession::new(subscription, upstream, to_scheduler, event_media);
    let shared = Arc::new(shared);
    let known = Arc::clone(&shared);
    gateway.sessions.insert(stream_id.clone(), known);
    if let Ok(value) = HeaderValue::from_str(&stream_id) {
        reply.headers_mut().insert(STREAM_ID, value);
    }
    let session = Session {
        gateway: gateway.clone(),
        parts,
        request_media,
        event_media,
        stream_id,
        shared,
        heartbeat_at: Instant::now(),
    };
    tokio::spawn(session.run(answer));
    Ok(reply)
}

fn stream_of(answer: &Answered) -> Option<(MediaType, Upstream)> {
    let found = answer.response.headers();
    let media = MediaType::from_content_type(caprock_http::accept::content_type(found)?)?;
    let upstream = Upstream {
        address: answer.leader.clone(),
        stream_id: headers::text(found, &STREAM_ID)?.to_owned(),
        term: headers::term(found).unwrap_or_default(),
    };
    Some((media, upstream))
}

impl Session {
    async fn run(mut self, first: Answered) {
        let mut answer = first;
        let mut resumed = None;
        loop {
            let end = self.relay(answer, resumed).await;
            let torn_down = end == End::Closed && self.shared.is_tearing_down();
            if end == End::Over || torn_down {
                break;
            }
            self.shared.away();
            tracing::info!(stream = %self.stream_id, ?end, "the leader's stream ended");
            // Before the next leader makes new offers, and while the scheduler has time:
            // what it accepts until it reads this is held.
            if !self.rescind_offers() {
                break;
            }
            let Some(next) = self.resubscribe().await else {
                break;
            };
            answer = next;
            resumed = Some(end);
        }
        self.shared.end();
        self.gateway.sessions.remove(&self.stream_id);
    }

    fn rescind_offers(&self) -> bool {
        let rescinds = self.shared.subscription().rescind_all(Instant::now());
        let mut sent = rescinds.iter().map(|event| self.shared.send_event(event));
        sent.all(|sent| self.is_delivered(sent))
    }

    /// Passes on events until the leader or the scheduler ends the stream. `resumed` says
    /// how the subscription before this one ended.
    async fn relay(&mut self, answer: Answered, resumed: Option<End>) -> End {
        let mut body = answer.response.into_body();
        let mut decoder = recordio::Decoder::new(RECORD_BYTES_MAX);
        let mut first = resumed.is_some();
        loop {
            let frame = tokio::select! {
                () = self.shared.scheduler_left() => return End::Over,
                () = self.gateway.leader.other_than(&answer.leader) => return End::Lost,
                frame = body.frame() => frame,
            };
            match frame {
                Some(Ok(frame)) => decoder.feed(frame.data_ref().map_or(&[][..], |data| data)),
                Some(Err(_)) => return End::Lost,
                None => return End::Closed,
            }
            loop {
                let record = match decoder.next() {
                    Ok(Some(record)) => record,
                    Ok(None) => break,
                    Err(error) => {
                        tracing::warn!(%error, "the leader's stream is no RecordIO");
                        return End::Lost;
                    }
                };
                let taken = if first {
                    self.take_first(&record, &resumed)
                } else {
                    self.take(&record)
                };
                if !taken {
                    return End::Over;
                }
                first = false;
            }
        }
    }

    /// One event on its way; false if it is the last.
    fn take(&mut self, record: &Bytes) -> bool {
        let meaning = self.note(record);
        if meaning == Meaning::Heartbeat {
            self.heartbeat_at = Instant::now();
        }
        self.send(record) && !matches!(meaning, Meaning::Error | Meaning::Removed)
    }

    /// The first event of a resumed subscription: the scheduler has had its SUBSCRIBED.
    fn take_first(&mut self, record: &Bytes, resumed: &Option<End>) -> bool {
        match self.note(record) {
            Meaning::Subscribed => true,
            // The framework is no more: its stream ended in good order, or it asked for that.
            Meaning::Removed if *resumed == Some(End::Closed) => false,
            Meaning::Removed if self.shared.is_tearing_down() => false,
            Meaning::Error | Meaning::Removed => {
                self.send(record);
                false
            }
            Meaning::Heartbeat | Meaning::Ordinary => self.send(record),
        }
    }

    fn note(&self, record: &Bytes) -> Meaning {
        match caprock_proto::decode::<Event>(self.event_media, record.clone()) {
            Ok(event) => self.shared.subscription().note_event(&event),
            // An event of a newer leader: the scheduler may know it.
            Err(_) => Meaning::Ordinary,
        }
    }

    fn send(&self, record: &Bytes) -> bool {
        self.is_delivered(self.shared.send(record))
    }

    fn is_delivered(&self, sent: Result<(), Undelivered>) -> bool {
        if sent == Err(Undelivered::TooSlow) {
            tracing::warn!(
                stream = %self.stream_id,
                buffered_events = self.gateway.settings.event_buffer,
                "a scheduler does not read its events: its stream is cut off"
            );
        }
        sent.is_ok()
    }

    /// Subscribes at whoever leads next; none if that took too long or the scheduler left.
    async fn resubscribe(&mut self) -> Option<Answered> {
        let deadline = Instant::now() + self.gateway.settings.stream_wait;
        let call = self.shared.subscription().resubscribe()?;
        let mut body = Vec::new();
        caprock_proto::encode(self.request_media, &call, &mut body);
        let body = Bytes::from(body);
        let mut heartbeat = tokio::time::interval_at(self.heartbeat_at + HEARTBEAT, HEARTBEAT);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let asking = self.ask(deadline, body.clone());
            tokio::pin!(asking);
            let answered = loop {
                tokio::select! {
                    answered = &mut asking => break answered,
                    () = self.shared.scheduler_left() => return None,
                    _ = heartbeat.tick() => {
                        let event = Event {
                            r#type: Some(event::Type::Heartbeat as i32),
                            ..Event::default()
                        };
                        if !self.is_delivered(self.shared.send_event(&event)) {
                            return None;
                        }
                    }
                }
            };
            match answered {
                Ok(answered) => return Some(answered),
                Err(Refused::Final) => return None,
                Err(Refused::TryAgain) if Instant::now() < deadline => {
                    self.gateway
                        .leader
                        .changed_or(Duration::from_millis(50))
                        .await;
                }
                Err(Refused::TryAgain) => {
                    tracing::warn!(stream = %self.stream_id, "no leader took the stream over");
                    return None;
                }
            }
        }
    }

    async fn ask(&self, deadline: Instant, body: Bytes) -> Result<Answered, Refused> {
        let mut parts = self.parts.clone();
        parts.headers.remove(STREAM_ID);
        parts.headers.remove(TERM);
        parts.headers.insert(RESUMES, HeaderValue::from_static("1"));
        parts.headers.insert(
            header::ACCEPT,
            HeaderValue::from_static(self.event_media.as_str()),
        );
        let patience = Patience {
            deadline,
            repeatable: true,
        };
        let gateway = &self.gateway;
        let asked =
            forward::until_answered(&gateway.forwarder, &gateway.leader, patience, &parts, body);
        let answered = asked.await.map_err(|_| Refused::TryAgain)?;
        match (answered.response.status(), stream_of(&answered)) {
            (StatusCode::OK, Some((media, upstream))) if media == self.event_media => {
                self.shared.open(upstream);
                Ok(answered)
            }
            (StatusCode::SERVICE_UNAVAILABLE, _) => Err(Refused::TryAgain),
            (status, _) => {
                tracing::warn!(stream = %self.stream_id, %status, "the leader refuses the stream");
                Err(Refused::Final)
            }
        }
    }
}

/// Why the stream was not taken over.
enum Refused {
    TryAgain,
    Final,
}
