//! A leader that hears from no quorum falls silent now and then. If only the answers are lost, its
//! heartbeats would keep the others from electing a leader that can work.
//!
//! The engine can do so by itself, but starts with the silence as soon as the lease is over: any
//! hiccup of a busy machine would cost the leadership.

use std::sync::Arc;
use std::time::Duration;

use crate::node::Node;

/// So many leases without a quorum are taken for a hiccup.
const PATIENCE: u32 = 4;
/// For so many leases nothing is said: a follower waits one, and an election timeout.
const SILENCE: u32 = 3;

pub(crate) async fn run(node: Arc<Node>) {
    let lease = Duration::from_millis(node.options.lease_ms());
    let mut without_quorum = 0;
    loop {
        tokio::time::sleep(lease).await;
        let deaf = node.leads() && !node.has_quorum_lease();
        without_quorum = if deaf { without_quorum + 1 } else { 0 };
        if without_quorum < PATIENCE {
            continue;
        }
        tracing::warn!(
            member = node.id(),
            "this leader hears from no quorum and is silent for a while, so that the others may \
             elect another"
        );
        node.raft.runtime_config().heartbeat(false);
        tokio::time::sleep(lease * SILENCE).await;
        node.raft.runtime_config().heartbeat(true);
        without_quorum = 0;
    }
}
