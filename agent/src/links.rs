//! The masters that can be reached now.

use std::collections::BTreeMap;

use caprock_agent_core::LinkId;
use caprock_proto::caprock::session::{FromAgent, from_agent};
use tokio::sync::mpsc::error::TrySendError;

use crate::master_link::Outbox;

/// The way to each master whose link is up.
#[derive(Debug, Default)]
pub struct Links {
    outboxes: BTreeMap<LinkId, Outbox>,
}

impl Links {
    /// A session begins.
    pub fn up(&mut self, link: LinkId, outbox: Outbox) {
        self.outboxes.insert(link, outbox);
    }

    /// It is over.
    pub fn down(&mut self, link: LinkId) {
        self.outboxes.remove(&link);
    }

    /// Queues a message. What is sent while a link is down is lost: the agent attaches anew
    /// when it is up again, and tells then what counts.
    pub fn send(&mut self, link: LinkId, message: from_agent::Message) {
        let Some(outbox) = self.outboxes.get(&link) else {
            return;
        };
        match outbox.try_send(FromAgent {
            message: Some(message),
        }) {
            Ok(()) => {}
            Err(TrySendError::Closed(_)) => {}
            Err(TrySendError::Full(_)) => {
                tracing::warn!("master {} does not take its messages: reconnecting", link.0);
                // Ends the session; the link reports that itself.
                self.outboxes.remove(&link);
            }
        }
    }

    /// Ends all sessions after what was sent; says how many there are.
    pub fn close_all(&mut self) -> usize {
        let open = self.outboxes.len();
        self.outboxes.clear();
        open
    }
}
