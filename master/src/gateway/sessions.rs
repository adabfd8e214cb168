//! The sessions that a gateway holds, by the stream id that their schedulers know.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use caprock_proto::mesos::v1::scheduler::Call;
use tokio::sync::watch;

use super::subscription::Subscription;

/// What calls and the stream of one session share.
#[derive(Debug)]
pub struct SharedSession {
    subscription: Mutex<Subscription>,
    /// The stream id that the present leader knows; none while there is no subscription.
    upstream_id: watch::Sender<Option<String>>,
}

impl SharedSession {
    /// A session whose subscription the leader has under this stream id.
    pub fn new(subscription: Subscription, upstream_id: String) -> Self {
        Self {
            subscription: Mutex::new(subscription),
            upstream_id: watch::Sender::new(Some(upstream_id)),
        }
    }

    /// The subscription, for a short look.
    pub fn subscription(&self) -> MutexGuard<'_, Subscription> {
        self.subscription
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// A call of this session was accepted.
    pub fn note(&self, call: &Call) {
        self.subscription().note_call(call);
    }

    /// The stream id for the leader, waited for while the session is subscribed again.
    pub async fn upstream_id(&self, patience: Duration) -> Option<String> {
        let mut upstream_id = self.upstream_id.subscribe();
        let known = upstream_id.wait_for(Option::is_some);
        tokio::time::timeout(patience, known)
            .await
            .ok()?
            .ok()?
            .clone()
    }

    /// Another subscription, or none for now.
    pub fn set_upstream_id(&self, upstream_id: Option<String>) {
        self.upstream_id.send_replace(upstream_id);
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
