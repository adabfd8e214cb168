//! The handle that the rest of Caprock holds. Only this file and `machine` are generic, and
//! neither touches the engine.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::watch;
use tonic::service::Routes;

use crate::machine::{AnyOutcome, Erased};
use crate::node::{Applied, Node};
use crate::{
    LogIndex, MemberError, MemberId, OpenError, Options, ProposeError, StateMachine, Status,
    TransferError,
};

/// A proposal that is committed, and applied on this leader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposed<O> {
    /// Its place in the log.
    pub index: LogIndex,
    /// The term of the leader that logged it.
    pub term: u64,
    /// What the state machine made of it.
    pub outcome: O,
}

/// A handle of one member's replicated log and state machine; cheap to clone.
pub struct Store<S> {
    node: Arc<Node>,
    _machine: PhantomData<fn() -> S>,
}

impl<S> Clone for Store<S> {
    fn clone(&self) -> Self {
        Self {
            node: self.node.clone(),
            _machine: PhantomData,
        }
    }
}

impl<S> fmt::Debug for Store<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store")
            .field("member_id", &self.node.id())
            .finish_non_exhaustive()
    }
}

impl<S: StateMachine> Store<S> {
    /// Opens the data directory, restores the state machine from snapshot and log, and starts to
    /// take part. Mount [`Store::routes`] right after: the others must be able to answer.
    ///
    /// A cluster of more than one forms in the background; watch [`Store::status`], in particular
    /// `failure`, which says that the cluster does not take this member.
    pub async fn open(options: Options, machine: S) -> Result<Self, OpenError> {
        let node = Node::open(options, Box::new(Erased(machine)));
        Ok(Self {
            node: Box::pin(node).await?,
            _machine: PhantomData,
        })
    }

    /// Proposes a command; returns once it is committed, and applied here.
    pub async fn propose(&self, command: Bytes) -> Result<Proposed<S::Outcome>, ProposeError> {
        downcast(Box::pin(self.node.propose(None, command)).await?)
    }

    /// As `propose`, but only while this member leads in that very term: for commands that were
    /// decided on what that leadership knew.
    pub async fn propose_in_term(
        &self,
        term: u64,
        command: Bytes,
    ) -> Result<Proposed<S::Outcome>, ProposeError> {
        downcast(Box::pin(self.node.propose(Some(term), command)).await?)
    }
}

impl<S> Store<S> {
    /// The member-to-member gRPC service, to be mounted on the member's one port.
    pub fn routes(&self) -> Routes {
        self.node.routes()
    }

    /// What this member knows now.
    pub fn status(&self) -> Status {
        self.node.current_status()
    }

    /// The status as it changes.
    pub fn watch(&self) -> watch::Receiver<Status> {
        self.node.status.subscribe()
    }

    /// The cluster's id, once it is formed and known here.
    pub fn cluster_id(&self) -> Option<String> {
        Some(self.node.identity.cluster_id()).filter(|id| !id.is_empty())
    }

    /// True only while this member leads and was acknowledged by a quorum within the lease, so
    /// that no other can lead. Whatever claims leadership must be gated on it.
    pub fn has_quorum_lease(&self) -> bool {
        self.node.has_quorum_lease()
    }

    /// Confirms leadership with a quorum and waits until everything committed before is applied:
    /// what is read from the state machine after that is current. Returns the index up to which.
    pub async fn ensure_linearizable(&self) -> Result<LogIndex, ProposeError> {
        Box::pin(self.node.ensure_linearizable()).await
    }

    /// Hands leadership to that member, or to the voter that is most caught up; returns who leads
    /// then. To be called before `shutdown`, so that nobody waits for a timeout.
    pub async fn transfer_leadership(
        &self,
        to: Option<MemberId>,
    ) -> Result<MemberId, TransferError> {
        self.node.transfer_leadership(to).await
    }

    /// Adds a member without a vote. On the leader only.
    pub async fn add_learner(&self, id: MemberId, address: String) -> Result<(), MemberError> {
        Box::pin(self.node.add_learner(id, address)).await
    }

    /// Gives a learner a vote if it is at most `lag_entries_max` behind. On the leader only.
    pub async fn promote(&self, id: MemberId, lag_entries_max: u64) -> Result<(), MemberError> {
        Box::pin(self.node.promote(id, lag_entries_max)).await
    }

    /// Removes a member. On the leader only, and not itself.
    pub async fn remove(&self, id: MemberId) -> Result<(), MemberError> {
        Box::pin(self.node.remove(id)).await
    }

    /// Writes a snapshot soon, whatever the policy says; `Status::snapshot_index` tells when.
    pub async fn take_snapshot(&self) {
        self.node.take_snapshot().await;
    }

    /// Waits until the store stops by itself, if ever, and says why and what to do.
    pub async fn failed(&self) -> String {
        let mut watch = self.watch();
        let failure = watch.wait_for(|status| status.failure.is_some()).await;
        let failure = failure.ok().and_then(|status| status.failure.clone());
        match failure {
            Some(failure) => failure,
            // The sender lives as long as this handle.
            None => std::future::pending().await,
        }
    }

    /// Stops at once, and closes the data directory. Other handles answer `Stopped` from then on.
    pub async fn shutdown(self) {
        Box::pin(self.node.shutdown()).await;
    }
}

fn downcast<O: 'static>(applied: Applied) -> Result<Proposed<O>, ProposeError> {
    let outcome: Option<AnyOutcome> = applied.outcome;
    let outcome = outcome.and_then(|outcome| outcome.downcast::<O>().ok());
    let outcome = *outcome.expect("a command of the state machine gives its outcome");
    Ok(Proposed {
        index: applied.index,
        term: applied.term,
        outcome,
    })
}

#[cfg(test)]
impl<S> Store<S> {
    pub(crate) fn watch_cluster(&self) -> watch::Receiver<crate::types::ClusterState> {
        self.node.cluster.clone()
    }

    pub(crate) async fn bury(self) {
        self.node.bury().await;
    }
}
