//! Handing leadership over.

use std::sync::atomic::Ordering;
use std::time::Duration;

use openraft::ServerState;
use openraft::async_runtime::watch::WatchReceiver;

use crate::node::Node;
use crate::types::Metrics;
use crate::{MemberId, TransferError};

impl Node {
    /// Asks `to`, or the voter that is most caught up, to take over, and waits until another
    /// member leads.
    pub(crate) async fn transfer_leadership(
        &self,
        to: Option<MemberId>,
    ) -> Result<MemberId, TransferError> {
        let metrics = self.metrics();
        if metrics.running_state.is_err() {
            return Err(TransferError::Stopped);
        }
        if metrics.state != ServerState::Leader {
            return Err(TransferError::NotLeader {
                leader: self.known_leader(),
            });
        }
        let target = match to {
            Some(to) => check_target(&metrics, to)?,
            None => most_caught_up(&metrics).ok_or(TransferError::NoCandidate)?,
        };
        tracing::info!(target, "handing leadership over");
        // The target may be elected within our lease: from here on it is not trusted.
        self.transferring.store(true, Ordering::Release);
        self.publish_status();
        let result = self
            .wait_for_other_leader(target, metrics.current_term)
            .await;
        self.transferring.store(false, Ordering::Release);
        self.publish_status();
        result
    }

    async fn wait_for_other_leader(
        &self,
        target: MemberId,
        term: u64,
    ) -> Result<MemberId, TransferError> {
        let (_, upper) = self.options.election_timeout_ms;
        let limit = Duration::from_millis(upper * 10);
        // Asked again now and then: the target refuses while its log is not flushed.
        let ask_again = Duration::from_millis(upper);
        let me = self.id();
        let mut metrics = self.raft.metrics();
        let waited = tokio::time::timeout(limit, async {
            loop {
                let ask = self.raft.trigger().transfer_leader(target).await;
                ask.map_err(|_| TransferError::Stopped)?;
                let other = tokio::time::timeout(ask_again, async {
                    loop {
                        let (leader, now) = {
                            let metrics = metrics.borrow_and_update();
                            (metrics.current_leader, metrics.current_term)
                        };
                        match leader {
                            Some(leader) if leader != me && now > term => return Ok(leader),
                            _ => metrics
                                .changed()
                                .await
                                .map_err(|_| TransferError::Stopped)?,
                        }
                    }
                });
                if let Ok(other) = other.await {
                    return other;
                }
            }
        });
        let timed_out = TransferError::TimedOut {
            waited_ms: upper * 10,
        };
        waited.await.unwrap_or(Err(timed_out))
    }
}

fn check_target(metrics: &Metrics, to: MemberId) -> Result<MemberId, TransferError> {
    let refuse = |reason: &str| {
        Err(TransferError::BadTarget {
            to,
            reason: reason.to_owned(),
        })
    };
    if to == metrics.id {
        return refuse("it leads already");
    }
    if !metrics.membership_config.voter_ids().any(|id| id == to) {
        return refuse("it is not a voter");
    }
    Ok(to)
}

/// The voter with the most entries; among equals the one that answered last.
fn most_caught_up(metrics: &Metrics) -> Option<MemberId> {
    let matched = metrics.replication.as_ref()?;
    let answered = metrics.heartbeat.as_ref()?;
    metrics
        .membership_config
        .voter_ids()
        .filter(|id| *id != metrics.id)
        .filter(|id| answered.get(id).is_some_and(Option::is_some))
        .max_by_key(|id| {
            let index = matched
                .get(id)
                .and_then(|log_id| log_id.map(|log_id| log_id.index()));
            (index, answered.get(id).copied().flatten())
        })
}
