//! Where requests are forwarded to.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

/// The leader's host:port as it changes; none during an election.
#[derive(Debug, Clone)]
pub struct LeaderAddress {
    address: watch::Receiver<Option<String>>,
}

impl LeaderAddress {
    /// What this channel says.
    pub fn new(address: watch::Receiver<Option<String>>) -> Self {
        Self { address }
    }

    /// The leader now.
    pub fn now(&self) -> Option<String> {
        self.address.borrow().clone()
    }

    /// The leader, waited for until the deadline.
    pub async fn by(&self, deadline: Instant) -> Option<String> {
        let mut address = self.address.clone();
        let known = address.wait_for(Option::is_some);
        tokio::time::timeout_at(deadline, known)
            .await
            .ok()?
            .ok()?
            .clone()
    }

    /// Returns when somebody else than `address` is known to lead.
    pub async fn other_than(&self, address: &str) {
        let mut watched = self.address.clone();
        let is_other = |leader: &Option<String>| leader.as_deref().is_some_and(|l| l != address);
        if watched.wait_for(is_other).await.is_err() {
            // Nobody publishes any more: the process is stopping.
            std::future::pending::<()>().await;
        }
    }

    /// Returns at the next change, or after `patience`.
    pub async fn changed_or(&self, patience: Duration) {
        let mut watched = self.address.clone();
        watched.mark_unchanged();
        tokio::select! {
            _ = watched.changed() => {}
            () = tokio::time::sleep(patience) => {}
        }
    }
}
