//! The sessions that a gateway holds, by the stream id that their schedulers know.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use caprock_http::stream;
use caprock_proto::MediaType;
use caprock_proto::mesos::v1::scheduler::Event;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::subscription::{Claim, Subscription};

/// The leader that has a session's stream.
#[derive(Debug, PartialEq, Eq)]
pub struct Upstream {
    pub address: String,
    /// The stream id that this leader knows.
    pub stream_id: String,
    /// Its leadership.
    pub term: u64,
}

#[derive(Debug, Clone)]
enum State {
    Open(Arc<Upstream>),
    /// It is being subscribed again.
    Away,
    Ended,
}

/// Why there is no leader for a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoUpstream {
    /// None took the stream in time.
    InTime,
    /// The stream is over.
    Ended,
}

/// Why an event did not reach the scheduler.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Undelivered {
    /// The scheduler has left.
    Gone,
    /// Its buffer is full.
    TooSlow,
}

/// What calls and the stream of one session share.
#[derive(Debug)]
pub struct SharedSession {
    subscription: Mutex<Subscription>,
    state: watch::Sender<State>,
    to_scheduler: mpsc::Sender<Bytes>,
    media: MediaType,
    /// A TEARDOWN was sent: the end of the stream is no accident.
    tearing_down: AtomicBool,
}

impl SharedSession {
    /// A session whose subscription this leader has. Its events are sent in this media type.
    pub fn new(
        subscription: Subscription,
        upstream: Upstream,
        to_scheduler: mpsc::Sender<Bytes>,
        media: MediaType,
    ) -> Self {
        let shared = Self {
            subscription: Mutex::new(subscription),
            state: watch::Sender::new(State::Away),
            to_scheduler,
            media,
            tearing_down: AtomicBool::new(false),
        };
        shared.open(upstream);
        shared
    }

    /// The subscription, for a short look.
    pub fn subscription(&self) -> MutexGuard<'_, Subscription> {
        self.subscription
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// The leader that has the stream, waited for while the session is subscribed again.
    pub async fn upstream(&self, deadline: Instant) -> Result<Arc<Upstream>, NoUpstream> {
        let mut state = self.state.subscribe();
        let settled = state.wait_for(|state| !matches!(state, State::Away));
        match tokio::time::timeout_at(deadline, settled).await {
            Ok(Ok(state)) => match &*state {
                State::Open(upstream) => Ok(Arc::clone(upstream)),
                State::Away | State::Ended => Err(NoUpstream::Ended),
            },
            Ok(Err(_)) => Err(NoUpstream::Ended),
            Err(_) => Err(NoUpstream::InTime),
        }
    }

    /// Returns when this leader does not have the stream any more.
    pub async fn other_than(&self, upstream: &Arc<Upstream>) {
        let mut state = self.state.subscribe();
        let is_other = |state: &State| match state {
            State::Open(now) => !Arc::ptr_eq(now, upstream),
            State::Away | State::Ended => true,
        };
        // The sender lives as long as this session.
        let _: Result<_, watch::error::RecvError> = state.wait_for(is_other).await;
    }

    /// A leader has taken the stream.
    pub fn open(&self, upstream: Upstream) {
        self.subscription().begin_term(upstream.term);
        self.state.send_replace(State::Open(Arc::new(upstream)));
    }

    /// The leader is lost.
    pub fn away(&self) {
        self.state.send_replace(State::Away);
    }

    /// The stream is over.
    pub fn end(&self) {
        self.state.send_replace(State::Ended);
    }

    /// A TEARDOWN is on its way, or has arrived.
    pub fn tear_down(&self) {
        self.tearing_down.store(true, Ordering::Relaxed);
    }

    /// Whether a TEARDOWN was sent.
    pub fn is_tearing_down(&self) -> bool {
        self.tearing_down.load(Ordering::Relaxed)
    }

    /// The offers of a call that was not carried out are out again; those whose leader has
    /// gone meanwhile are rescinded.
    pub fn give_back(&self, claim: Claim) {
        let rescinds = self.subscription().give_back(claim, Instant::now());
        for event in rescinds {
            // A full buffer ends the stream at the next event of the leader.
            if self.send_event(&event).is_err() {
                return;
            }
        }
    }

    /// Sends an event of the gateway's own.
    pub fn send_event(&self, event: &Event) -> Result<(), Undelivered> {
        let mut record = Vec::new();
        caprock_proto::encode(self.media, event, &mut record);
        self.send(&record)
    }

    /// Sends an event as it came.
    pub fn send(&self, record: &[u8]) -> Result<(), Undelivered> {
        let sent = self.to_scheduler.try_send(stream::frame(record));
        sent.map_err(|error| match error {
            mpsc::error::TrySendError::Closed(_) => Undelivered::Gone,
            mpsc::error::TrySendError::Full(_) => Undelivered::TooSlow,
        })
    }

    /// Returns when the scheduler has left.
    pub async fn scheduler_left(&self) {
        self.to_scheduler.closed().await;
    }
}

/// All sessions.
#[derive(Debug, Clone, Default)]
pub struct GatewaySessions {
    by_stream_id: Arc<Mutex<BTreeMap<String, Arc<SharedSession>>>>,
}

impl GatewaySessions {
    fn map(&self) -> MutexGuard<'_, BTreeMap<String, Arc<SharedSession>>> {
        self.by_stream_id
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a session.
    pub fn insert(&self, stream_id: String, session: Arc<SharedSession>) {
        self.map().insert(stream_id, session);
    }

    /// The session with this stream id.
    pub fn find(&self, stream_id: &str) -> Option<Arc<SharedSession>> {
        self.map().get(stream_id).cloned()
    }

    /// Whether there is a session with this stream id.
    pub fn contains(&self, stream_id: &str) -> bool {
        self.map().contains_key(stream_id)
    }

    /// Forgets a session.
    pub fn remove(&self, stream_id: &str) {
        self.map().remove(stream_id);
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.map().len()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn upstream(term: u64) -> Upstream {
        Upstream {
            address: "m:1".to_owned(),
            stream_id: format!("stream-{term}"),
            term,
        }
    }

    fn session(buffer: usize) -> (SharedSession, mpsc::Receiver<Bytes>) {
        let (sender, receiver) = mpsc::channel(buffer);
        let subscription = Subscription::new(caprock_proto::mesos::v1::scheduler::Call::default());
        let session = SharedSession::new(subscription, upstream(1), sender, MediaType::Json);
        (session, receiver)
    }

    #[test]
    fn a_scheduler_that_does_not_read_is_told_from_one_that_left() {
        let (session, receiver) = session(2);
        assert_eq!(session.send(b"{}"), Ok(()));
        assert_eq!(session.send(b"{}"), Ok(()));
        assert_eq!(session.send(b"{}"), Err(Undelivered::TooSlow));
        drop(receiver);
        assert_eq!(session.send(b"{}"), Err(Undelivered::Gone));
    }

    #[tokio::test]
    async fn calls_wait_for_the_next_leader_or_the_end() {
        let (session, _receiver) = session(1);
        let soon = || Instant::now() + Duration::from_millis(50);
        let first = session.upstream(soon()).await.unwrap();
        assert_eq!(*first, upstream(1));
        session.away();
        session.other_than(&first).await;
        assert_eq!(session.upstream(soon()).await, Err(NoUpstream::InTime));
        let deadline = Instant::now() + Duration::from_secs(60);
        let (next, ()) = tokio::join!(session.upstream(deadline), async {
            session.open(upstream(2));
        });
        assert_eq!(*next.unwrap(), upstream(2));
        session.end();
        assert_eq!(session.upstream(soon()).await, Err(NoUpstream::Ended));
    }
}
