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
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior};

use super::Gateway;
use super::forward::{self, Answered};
use super::sessions::SharedSession;
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
    to_scheduler: mpsc::Sender<Bytes>,
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
    let Some((event_media, stream_id)) = stream_of(&answer) else {
        return Err(Box::new(answer));
    };
    let shared = Arc::new(SharedSession::new(
        Subscription::new(call),
        stream_id.clone(),
    ));
    gateway
        .sessions
        .insert(stream_id.clone(), Arc::clone(&shared));
    let (to_scheduler, mut reply) =
        stream::open(event_media.as_str(), gateway.settings.event_buffer);
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
        to_scheduler,
    };
    tokio::spawn(session.run(answer));
    Ok(reply)
}

fn stream_of(answer: &Answered) -> Option<(MediaType, String)> {
    let headers = answer.response.headers();
    let media = MediaType::from_content_type(caprock_http::accept::content_type(headers)?)?;
    let stream_id = headers.get(STREAM_ID)?.to_str().ok()?;
    Some((media, stream_id.to_owned()))
}

impl Session {
    async fn run(self, first: Answered) {
        let mut answer = first;
        let mut resumed = None;
        loop {
            let end = self.relay(answer, resumed).await;
            if end == End::Over {
                break;
            }
            self.shared.set_upstream_id(None);
            tracing::info!(stream = %self.stream_id, ?end, "the leader's stream ended");
            let Some(next) = self.resubscribe().await else {
                break;
            };
            answer = next;
            resumed = Some(end);
        }
        self.gateway.sessions.remove(&self.stream_id);
    }

    /// Passes on events until the leader or the scheduler ends the stream. `resumed` says
    /// how the subscription before this one ended.
    async fn relay(&self, answer: Answered, resumed: Option<End>) -> End {
        let mut body = answer.response.into_body();
        let mut decoder = recordio::Decoder::new(RECORD_BYTES_MAX);
        let mut first = resumed.is_some();
        loop {
            let frame = tokio::select! {
                () = self.to_scheduler.closed() => return End::Over,
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
    fn take(&self, record: &Bytes) -> bool {
        let meaning = self.note(record);
        self.send(record) && meaning != Meaning::Error
    }

    /// The first event of a resumed subscription: the scheduler has had its SUBSCRIBED, but
    /// its offers are void.
    fn take_first(&self, record: &Bytes, resumed: &Option<End>) -> bool {
        match self.note(record) {
            Meaning::Subscribed => {
                let rescinds = self.shared.subscription().rescind_all();
                rescinds.iter().all(|event| self.send(&self.encode(event)))
            }
            // The stream ended in good order because the framework is no more.
            Meaning::Error if *resumed == Some(End::Closed) => false,
            Meaning::Error => {
                self.send(record);
                false
            }
            Meaning::Ordinary => self.send(record),
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
        match self.to_scheduler.try_send(stream::frame(record)) {
            Ok(()) => true,
            Err(mpsc::error::TrySendError::Closed(_)) => false,
            Err(mpsc::error::TrySendError::Full(_)) => {
                tracing::warn!(
                    stream = %self.stream_id,
                    buffered_events = self.gateway.settings.event_buffer,
                    "a scheduler does not read its events: its stream is cut off"
                );
                false
            }
        }
    }

    fn encode(&self, event: &Event) -> Bytes {
        let mut record = Vec::new();
        caprock_proto::encode(self.event_media, event, &mut record);
        record.into()
    }

    /// Subscribes at whoever leads next; none if that took too long or the scheduler left.
    async fn resubscribe(&self) -> Option<Answered> {
        let deadline = Instant::now() + self.gateway.settings.stream_wait;
        let call = self.shared.subscription().resubscribe()?;
        let mut body = Vec::new();
        caprock_proto::encode(self.request_media, &call, &mut body);
        let body = Bytes::from(body);
        let mut heartbeat = tokio::time::interval_at(Instant::now() + HEARTBEAT, HEARTBEAT);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let asking = self.ask(deadline, body.clone());
            tokio::pin!(asking);
            let answered = loop {
                tokio::select! {
                    answered = &mut asking => break answered,
                    () = self.to_scheduler.closed() => return None,
                    _ = heartbeat.tick() => {
                        let event = Event {
                            r#type: Some(event::Type::Heartbeat as i32),
                            ..Event::default()
                        };
                        if !self.send(&self.encode(&event)) {
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
        parts.headers.insert(
            header::ACCEPT,
            HeaderValue::from_static(self.event_media.as_str()),
        );
        let patience = deadline.saturating_duration_since(Instant::now());
        let gateway = &self.gateway;
        let asked =
            forward::until_answered(&gateway.forwarder, &gateway.leader, patience, &parts, body);
        let answered = asked.await.map_err(|_| Refused::TryAgain)?;
        match (answered.response.status(), stream_of(&answered)) {
            (StatusCode::OK, Some((media, stream_id))) if media == self.event_media => {
                self.shared.set_upstream_id(Some(stream_id));
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
