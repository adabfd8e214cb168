//! A leader whose process died closes its connections. Its followers need not wait for their
//! election timeout then: when the leader's lease is over, they ask each other at once.
//!
//! That is safe with a leader that is alive after all: only a pre-vote is started, which everyone
//! refuses who has heard of the leader within the lease.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use caprock_proto::caprock::raft as pb;
use tokio::sync::watch;
use tonic::Streaming;

use crate::network::Lane;
use crate::node::Node;
use crate::status::{Leader, Status};

/// Added to the lease, so that it is over for the others as well.
const MARGIN: Duration = Duration::from_millis(10);
/// Between one voter and the next, so that they do not stand against each other.
const STAGGER: Duration = Duration::from_millis(30);
/// Between two tries to reach a leader.
const RETRY_AFTER: Duration = Duration::from_millis(100);

/// Counts what this member hears from its leader.
#[derive(Debug, Default)]
pub(crate) struct Contact(AtomicU64);

impl Contact {
    pub(crate) fn heard(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

pub(crate) async fn run(node: Arc<Node>) {
    let mut status = node.status.subscribe();
    loop {
        let Ok(leader) = other_leader(&node, &mut status).await else {
            return;
        };
        match watch_leader(&node, &leader).await {
            Some(mut presence) => {
                let changed = status.wait_for(|status| status.leader.as_ref() != Some(&leader));
                tokio::select! {
                    _ = changed => continue,
                    // What it says does not matter, nor how it ends.
                    _ = presence.message() => {}
                }
                node.channels.forget(&leader.address, Lane::Control);
                ask_for_election(&node, &leader).await;
            }
            None => tokio::time::sleep(RETRY_AFTER).await,
        }
    }
}

/// Waits until another member leads.
async fn other_leader(
    node: &Node,
    status: &mut watch::Receiver<Status>,
) -> Result<Leader, watch::error::RecvError> {
    let me = node.id();
    let is_other = |status: &Status| status.leader.as_ref().is_some_and(|l| l.member_id != me);
    let known = status.wait_for(is_other).await?;
    Ok(known.leader.clone().expect("that is what was waited for"))
}

async fn watch_leader(node: &Node, leader: &Leader) -> Option<Streaming<pb::Gone>> {
    let mut client = node.channels.client(&leader.address, Lane::Control).ok()?;
    let header = pb::Header {
        cluster_id: node.identity.cluster_id(),
        from: node.id(),
        to: leader.member_id,
    };
    let limit = Duration::from_millis(node.options.lease_ms());
    let presence = tokio::time::timeout(limit, client.presence(header))
        .await
        .ok()?;
    Some(presence.ok()?.into_inner())
}

async fn ask_for_election(node: &Node, leader: &Leader) {
    let heard = node.contact.count();
    let membership = node.metrics().membership_config;
    let mut others = membership.voter_ids().filter(|id| *id != leader.member_id);
    let Some(rank) = others.position(|id| id == node.id()) else {
        return;
    };
    let rank = u32::try_from(rank).unwrap_or(u32::MAX);
    let lease = Duration::from_millis(node.options.lease_ms());
    tokio::time::sleep(lease + MARGIN + STAGGER.saturating_mul(rank)).await;
    if node.contact.count() != heard || node.is_stopped() {
        return;
    }
    tracing::info!(
        member = node.id(),
        leader = leader.member_id,
        "the leader's connection broke, asking for an election"
    );
    if let Err(error) = node.raft.trigger().elect(true).await {
        tracing::debug!(%error, "the engine is stopping");
    }
}
