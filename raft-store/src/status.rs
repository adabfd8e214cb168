//! What a member knows of itself and the others, kept up to date in a watch channel.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use openraft::async_runtime::watch::WatchReceiver;
use openraft::vote::RaftLeaderId;
use openraft::{Instant, ServerState};

use crate::node::Node;
use crate::types::{ClusterState, LogId, Metrics};
use crate::{LogIndex, MemberId};

/// What a member is at the moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Role {
    /// Elected, perhaps without a quorum by now: see `Status::has_quorum_lease`.
    Leader,
    /// Follows a leader, or waits for one.
    Follower,
    /// Stands for election.
    Candidate,
    /// Receives the log, has no vote; also a member that no cluster has admitted yet.
    #[default]
    Learner,
    /// Shut down, or failed: see `Status::failure`.
    Stopped,
}

/// The leader as far as this member knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leader {
    /// Its id.
    pub member_id: MemberId,
    /// Its `host:port`.
    pub address: String,
}

/// One member of the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberStatus {
    /// Its id.
    pub id: MemberId,
    /// Its `host:port`.
    pub address: String,
    /// Has a vote; else it only receives the log.
    pub voter: bool,
    /// The last entry it is known to have. Only the leader knows.
    pub matched_index: Option<LogIndex>,
    /// How many entries it is behind the leader. Only the leader knows.
    pub lag_entries: Option<u64>,
}

/// A member's view of the cluster. An index of 0 stands for "nothing yet".
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// This member.
    pub member_id: MemberId,
    /// Empty until the cluster is formed.
    pub cluster_id: String,
    /// The newest term seen.
    pub term: u64,
    /// What this member is.
    pub role: Role,
    /// The leader, if known.
    pub leader: Option<Leader>,
    /// The end of this member's log.
    pub last_log_index: LogIndex,
    /// What is known to be committed.
    pub committed_index: LogIndex,
    /// What the state machine contains.
    pub applied_index: LogIndex,
    /// What the newest snapshot contains.
    pub snapshot_index: LogIndex,
    /// Every member, by id.
    pub members: Vec<MemberStatus>,
    /// This member leads, and a quorum said so within the lease. Only then may it answer.
    pub has_quorum_lease: bool,
    /// This member leads and has applied everything that earlier leaders committed.
    pub is_ready_to_lead: bool,
    /// Why the store stopped by itself; it does not start again without help.
    pub failure: Option<String>,
}

impl Status {
    /// Whether this member leads.
    pub fn is_leader(&self) -> bool {
        self.role == Role::Leader
    }
}

fn index(id: Option<&LogId>) -> LogIndex {
    LogIndex(id.map_or(0, LogId::index))
}

/// For how long this leader may still trust its lease; none: it may not. A tenth is left for
/// clocks of unlike speed.
pub(crate) fn lease_left(metrics: &Metrics, lease_ms: u64) -> Option<Duration> {
    let leads = metrics.state == ServerState::Leader
        && metrics.current_leader == Some(metrics.id)
        && metrics.running_state.is_ok();
    if !leads {
        return None;
    }
    let mut voters = metrics.membership_config.voter_ids();
    if voters.next() == Some(metrics.id) && voters.next().is_none() {
        return Some(Duration::from_secs(1));
    }
    let since_acknowledged = metrics.last_quorum_acked?.elapsed();
    let left = Duration::from_millis(lease_ms * 9 / 10).checked_sub(since_acknowledged)?;
    (!left.is_zero()).then_some(left)
}

fn role(metrics: &Metrics) -> Role {
    if metrics.running_state.is_err() {
        return Role::Stopped;
    }
    match metrics.state {
        ServerState::Leader => Role::Leader,
        ServerState::Follower => Role::Follower,
        ServerState::Candidate => Role::Candidate,
        ServerState::Learner => Role::Learner,
        ServerState::Shutdown => Role::Stopped,
    }
}

fn members(metrics: &Metrics) -> Vec<MemberStatus> {
    let membership = &metrics.membership_config;
    let voters: Vec<MemberId> = membership.voter_ids().collect();
    let last = metrics.last_log_index.unwrap_or(0);
    let describe = |(id, node): (&MemberId, &openraft::BasicNode)| {
        let matched = metrics.replication.as_ref().map(|progress| {
            let known = progress.get(id).and_then(Option::as_ref);
            if *id == metrics.id {
                LogIndex(last)
            } else {
                index(known)
            }
        });
        MemberStatus {
            id: *id,
            address: node.addr.clone(),
            voter: voters.contains(id),
            matched_index: matched,
            lag_entries: matched.map(|matched| last.saturating_sub(matched.0)),
        }
    };
    membership.nodes().map(describe).collect()
}

fn describe(metrics: &Metrics, cluster: &ClusterState, has_lease: bool) -> Status {
    let leader = metrics.current_leader.and_then(|id| {
        let node = metrics.membership_config.get_node(&id)?;
        Some(Leader {
            member_id: id,
            address: node.addr.clone(),
        })
    });
    let role = role(metrics);
    let applied_term = metrics
        .last_applied
        .as_ref()
        .map(|id| id.committed_leader_id().term);
    Status {
        member_id: metrics.id,
        cluster_id: cluster.cluster_id.clone(),
        term: metrics.current_term.max(metrics.vote.leader_id().term()),
        role,
        leader: leader.filter(|_| role != Role::Stopped),
        last_log_index: LogIndex(metrics.last_log_index.unwrap_or(0)),
        committed_index: index(metrics.local_committed.as_ref()),
        applied_index: index(metrics.last_applied.as_ref()),
        snapshot_index: index(metrics.snapshot.as_ref()),
        members: members(metrics),
        has_quorum_lease: has_lease,
        is_ready_to_lead: role == Role::Leader
            && applied_term == Some(metrics.current_term)
            && !cluster.cluster_id.is_empty(),
        failure: metrics.running_state.as_ref().err().and_then(failure),
    }
}

/// A stop that was asked for is no failure.
fn failure(fatal: &openraft::errors::Fatal<crate::types::TypeConfig>) -> Option<String> {
    match fatal {
        openraft::errors::Fatal::Stopped => None,
        other => Some(other.to_string()),
    }
}

impl Node {
    /// The newest metrics; a copy, since holding them would hold up the engine.
    pub(crate) fn metrics(&self) -> Metrics {
        self.raft.metrics().borrow_watched().clone()
    }

    pub(crate) fn has_quorum_lease(&self) -> bool {
        // Who takes over may be elected within our lease.
        !self.is_stopped()
            && !self.transferring.load(Ordering::Acquire)
            && lease_left(
                &self.raft.metrics().borrow_watched(),
                self.options.lease_ms(),
            )
            .is_some()
    }

    /// Computes the status anew.
    pub(crate) fn current_status(&self) -> Status {
        let metrics = self.metrics();
        let mut status = describe(
            &metrics,
            &self.cluster.borrow().clone(),
            self.has_quorum_lease(),
        );
        if *self.stopping.borrow() {
            // The engine's last word may be that it leads.
            status.role = Role::Stopped;
            status.leader = None;
            status.is_ready_to_lead = false;
            status.failure = self.refusal.get().cloned().or(status.failure);
        }
        status
    }

    pub(crate) fn publish_status(&self) -> Status {
        let status = self.current_status();
        self.status.send_if_modified(|published| {
            let changed = *published != status;
            if changed {
                published.clone_from(&status);
            }
            changed
        });
        status
    }
}

/// Publishes each change, also that a lease ran out, which is no event of the engine.
pub(crate) async fn keep_published(node: Arc<Node>) {
    let mut metrics = node.raft.metrics();
    let mut cluster = node.cluster.clone();
    let mut before = Status::default();
    loop {
        metrics.borrow_and_update();
        let status = node.publish_status();
        log_changes(&before, &status);
        if status.role == Role::Stopped {
            if let Some(failure) = &status.failure {
                tracing::error!(
                    member = status.member_id,
                    failure,
                    "the replicated log stopped"
                );
            }
            return;
        }
        let wake = match lease_left(&node.metrics(), node.options.lease_ms()) {
            Some(left) if status.has_quorum_lease => left,
            _ => Duration::from_secs(1),
        };
        tokio::select! {
            changed = metrics.changed() => if changed.is_err() {
                node.publish_status();
                return;
            },
            _ = cluster.changed() => {}
            () = tokio::time::sleep(wake) => {}
        }
        before = status;
    }
}

/// Elections and the loss of a quorum, for whoever looks into an outage.
fn log_changes(before: &Status, now: &Status) {
    let (member, term) = (now.member_id, now.term);
    if now.is_ready_to_lead && !before.is_ready_to_lead {
        tracing::info!(
            member,
            term,
            index = now.applied_index.0,
            "this member leads"
        );
    }
    if before.is_leader() && !now.is_leader() {
        tracing::info!(member, term, "this member leads no more");
    }
    match &now.leader {
        Some(leader) if before.leader.as_ref() != Some(leader) && !now.is_leader() => {
            tracing::info!(member, term, leader = leader.member_id, "following");
        }
        None if before.leader.is_some() => tracing::info!(member, term, "no leader is known"),
        _ => {}
    }
    if before.has_quorum_lease && now.is_leader() && !now.has_quorum_lease {
        tracing::warn!(
            member,
            term,
            "this leader hears from no quorum and answers nothing; check the other members"
        );
    }
}
