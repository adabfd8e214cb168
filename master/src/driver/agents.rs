//! Open agent streams of this member, whether it leads or not.

use std::collections::BTreeMap;

use caprock_leader::AgentSessionId;
use caprock_proto::caprock::session::{FromMaster, Hello, Standing, from_master};
use tokio::sync::{mpsc, oneshot};

/// One stream as the driver holds it. Dropping it ends the stream in both directions.
#[derive(Debug)]
pub struct AgentStream {
    pub hello: Hello,
    pub orders: mpsc::Sender<FromMaster>,
    /// Dropped with the stream, which stops the task that reads from the agent.
    #[expect(dead_code, reason = "only its drop matters")]
    pub alive: oneshot::Sender<()>,
}

/// All open agent streams.
#[derive(Debug, Default)]
pub struct Agents {
    streams: BTreeMap<AgentSessionId, AgentStream>,
}

impl Agents {
    /// Adds a stream.
    pub fn insert(&mut self, session: AgentSessionId, stream: AgentStream) {
        self.streams.insert(session, stream);
    }

    /// Ends a stream after what is queued; false if there is none.
    pub fn remove(&mut self, session: AgentSessionId) -> bool {
        self.streams.remove(&session).is_some()
    }

    /// Whether the stream is open.
    pub fn contains(&self, session: AgentSessionId) -> bool {
        self.streams.contains_key(&session)
    }

    /// Queues a message without waiting; false if the agent has gone or does not read.
    pub fn send(&self, session: AgentSessionId, term: u64, message: from_master::Message) -> bool {
        let Some(stream) = self.streams.get(&session) else {
            return false;
        };
        match stream.orders.try_send(FromMaster {
            term,
            message: Some(message),
        }) {
            Ok(()) => true,
            Err(mpsc::error::TrySendError::Full(_)) => {
                tracing::warn!(
                    agent = %stream.hello.agent_id, hostname = %stream.hello.hostname,
                    "agent does not read its orders: its stream is cut off"
                );
                false
            }
            Err(mpsc::error::TrySendError::Closed(_)) => false,
        }
    }

    /// Tells all agents where they stand; the sessions that could not be told are returned.
    pub fn announce(&self, term: u64, standing: &Standing) -> Vec<AgentSessionId> {
        let message = from_master::Message::Standing(standing.clone());
        let told = |session: &AgentSessionId| !self.send(*session, term, message.clone());
        self.streams.keys().copied().filter(told).collect()
    }

    /// Sessions and the Hello that each began with.
    pub fn hellos(&self) -> Vec<(AgentSessionId, Hello)> {
        self.streams
            .iter()
            .map(|(session, stream)| (*session, stream.hello.clone()))
            .collect()
    }

    /// Number of open streams.
    pub fn len(&self) -> usize {
        self.streams.len()
    }
}
