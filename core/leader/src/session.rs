//! Event streams of schedulers: which one is current for a framework, and heartbeats.

use std::collections::BTreeMap;
use std::sync::Arc;

use caprock_model::FrameworkId;
use caprock_proto::mesos::v1::scheduler::Event;
use rpds::RedBlackTreeMapSync;

use crate::event;
use crate::input::{SessionId, TimerKey};
use crate::metrics;
use crate::office::Office;
use crate::turn::Turn;

/// A framework's current subscription.
#[derive(Debug, Clone)]
pub(crate) struct Session {
    pub id: SessionId,
    /// What its calls have to carry as `Mesos-Stream-Id`.
    pub stream_id: String,
    /// The key of its SUBSCRIBE call.
    pub key: Option<String>,
    /// It goes on with the stream of a former SUBSCRIBE with this key.
    pub resumes: bool,
}

/// All open streams. A stream exists from its `Subscribed` event until it is replaced,
/// closed, or its framework is removed.
#[derive(Debug, Default)]
pub(crate) struct Sessions {
    current: BTreeMap<FrameworkId, Session>,
    framework_of: BTreeMap<SessionId, FrameworkId>,
    /// Subscriptions on their way through the log.
    opening: BTreeMap<SessionId, FrameworkId>,
    connected: RedBlackTreeMapSync<FrameworkId, ()>,
}

impl Sessions {
    pub fn of(&self, framework: &FrameworkId) -> Option<&Session> {
        self.current.get(framework)
    }

    pub fn is_connected(&self, framework: &FrameworkId) -> bool {
        self.current.contains_key(framework)
    }

    /// Whether a SUBSCRIBE of this framework is in the log but not answered yet.
    pub fn is_opening(&self, framework: &FrameworkId) -> bool {
        self.opening.values().any(|opening| opening == framework)
    }

    pub fn begin(&mut self, session: SessionId, framework: FrameworkId) {
        self.opening.insert(session, framework);
    }

    /// Ends the wait of an opening session: false if the scheduler hung up meanwhile.
    pub fn finish(&mut self, session: SessionId) -> bool {
        self.opening.remove(&session).is_some()
    }

    /// Makes a stream the current one of its framework and returns the former.
    pub fn open(&mut self, framework: FrameworkId, session: Session) -> Option<Session> {
        self.framework_of.insert(session.id, framework.clone());
        self.connected.insert_mut(framework.clone(), ());
        let former = self.current.insert(framework, session);
        if let Some(former) = &former {
            self.framework_of.remove(&former.id);
        }
        former
    }

    /// Forgets a stream that ended; the framework whose current stream it was.
    pub fn remove(&mut self, session: SessionId) -> Option<FrameworkId> {
        self.opening.remove(&session);
        let framework = self.framework_of.remove(&session)?;
        self.current.remove(&framework);
        self.connected.remove_mut(&framework);
        Some(framework)
    }

    pub fn frameworks(&self) -> impl Iterator<Item = (&FrameworkId, SessionId)> {
        self.current
            .iter()
            .map(|(framework, session)| (framework, session.id))
    }

    pub fn framework_of(&self, session: SessionId) -> Option<&FrameworkId> {
        self.framework_of.get(&session)
    }

    pub fn connected(&self) -> &RedBlackTreeMapSync<FrameworkId, ()> {
        &self.connected
    }

    /// Contradictions between the maps, for tests.
    pub fn contradictions(&self) -> Vec<String> {
        let mut found = Vec::new();
        for (framework, session) in &self.current {
            if self.framework_of.get(&session.id) != Some(framework) {
                found.push(format!(
                    "session {:?} of {framework} is not indexed",
                    session.id
                ));
            }
            if !self.connected.contains_key(framework) {
                found.push(format!("{framework} is connected but not in the view"));
            }
        }
        if self.current.len() != self.framework_of.len()
            || self.current.len() != self.connected.size()
        {
            found.push("the session maps differ in size".to_owned());
        }
        found
    }
}

impl Office {
    /// Sends an event to a framework; it is lost if the framework is not connected, as
    /// nothing is queued (Mesos: Framework::send in src/master/framework.cpp).
    pub(crate) fn send(&mut self, turn: &mut Turn<'_>, to: &FrameworkId, event: Arc<Event>) {
        if let Some(session) = self.sessions.of(to) {
            turn.event(session.id, event);
        }
    }

    pub(crate) fn send_to_all(&mut self, turn: &mut Turn<'_>, event: &Arc<Event>) {
        for (_, session) in self.sessions.frameworks() {
            turn.event(session, Arc::clone(event));
        }
    }

    pub(crate) fn heartbeat(&mut self, turn: &mut Turn<'_>, session: SessionId) {
        if self.sessions.framework_of(session).is_none() {
            return;
        }
        turn.event(session, event::heartbeat());
        let at = turn.now + self.config.heartbeat_interval;
        turn.wake(at, TimerKey::Heartbeat(session));
    }

    /// The scheduler hung up, or was cut off.
    pub(crate) fn session_closed(&mut self, turn: &mut Turn<'_>, session: SessionId) {
        let Some(framework) = self.sessions.remove(session) else {
            return;
        };
        self.metrics.count(metrics::FRAMEWORKS_DISCONNECTED);
        turn.info(format!("Framework {framework} disconnected"));
        self.framework_away(turn, &framework);
    }
}
