//! The engine's types as this crate uses them; nothing outside sees them.
#![allow(deprecated)] // The macro's default runtime path is; the newer one is another crate.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use openraft::impls::leader_id_std;

use crate::MemberId;
use crate::machine::AnyOutcome;
use crate::state::StateStore;

openraft::declare_raft_types!(
    /// One leader per term, as in Raft's paper: the term alone tells leaderships apart.
    pub(crate) TypeConfig:
        D = Command,
        R = Reply,
        LeaderId = leader_id_std::LeaderId<u64, u64>,
);

pub(crate) type Raft = openraft::Raft<TypeConfig, StateStore>;
pub(crate) type CommittedLeaderId = openraft::alias::CommittedLeaderIdOf<TypeConfig>;
pub(crate) type LogId = openraft::LogId<CommittedLeaderId>;
pub(crate) type Vote = openraft::Vote<leader_id_std::LeaderId<u64, u64>>;
pub(crate) type Entry = openraft::alias::EntryOf<TypeConfig>;
pub(crate) type Payload = openraft::alias::PayloadOf<TypeConfig>;
pub(crate) type Node = openraft::BasicNode;
pub(crate) type Membership = openraft::Membership<MemberId, Node>;
pub(crate) type StoredMembership = openraft::alias::StoredMembershipOf<TypeConfig>;
pub(crate) type SnapshotMeta = openraft::alias::SnapshotMetaOf<TypeConfig>;
pub(crate) type Metrics = openraft::RaftMetrics<TypeConfig>;

/// What a log entry can ask for, beside the engine's own entries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    /// A command of the state machine above.
    User(Bytes),
    /// Gives the cluster its id.
    Formed { cluster_id: String },
    /// Binds a member id to the disk that it acknowledges with.
    Bound {
        member_id: MemberId,
        disk_id: String,
    },
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(bytes) => write!(f, "command of {} bytes", bytes.len()),
            Self::Formed { cluster_id } => write!(f, "cluster {cluster_id} formed"),
            Self::Bound { member_id, disk_id } => write!(f, "member {member_id} has {disk_id}"),
        }
    }
}

/// What applying an entry gives to its proposer. The engine wants it shareable between threads,
/// an outcome need not be: hence the lock, taken once.
pub(crate) struct Reply(Mutex<Option<AnyOutcome>>);

impl Reply {
    pub(crate) fn none() -> Self {
        Self(Mutex::new(None))
    }

    pub(crate) fn of(outcome: AnyOutcome) -> Self {
        Self(Mutex::new(Some(outcome)))
    }

    pub(crate) fn into_outcome(self) -> Option<AnyOutcome> {
        self.0.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reply")
    }
}

/// What the log says about the cluster itself; part of every snapshot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ClusterState {
    /// Empty until the cluster is formed.
    pub(crate) cluster_id: String,
    /// Which disk each member id acknowledges with.
    pub(crate) disks: BTreeMap<MemberId, String>,
}
