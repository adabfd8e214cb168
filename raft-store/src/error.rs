//! What can go wrong, one enum per family of calls; each message says what to do.

use std::path::PathBuf;

use crate::MemberId;

/// Why a store was not opened. Each variant prints as one line.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A setting is missing or contradicts another.
    #[error("cannot start the replicated log: {reason}")]
    Options {
        /// Which one, and what is expected.
        reason: String,
    },
    /// The folder cannot be created, read or written.
    #[error("cannot use the data directory {}: {reason}", path.display())]
    Unreadable {
        /// The folder.
        path: PathBuf,
        /// What the system says.
        reason: String,
    },
    /// Another process has the folder open.
    #[error(
        "the data directory {} is in use by another process; stop that one, or choose another \
         directory",
        path.display()
    )]
    Locked {
        /// The folder.
        path: PathBuf,
    },
    /// The folder holds something else than a store of this kind.
    #[error(
        "the directory {} does not hold a Caprock log ({reason}); choose an empty directory",
        path.display()
    )]
    ForeignFormat {
        /// The folder.
        path: PathBuf,
        /// What was found.
        reason: String,
    },
    /// A newer version of this software wrote the folder.
    #[error(
        "the data directory {} has format {found}, this version knows formats up to {known}; \
         start the newer version again",
        path.display()
    )]
    NewerFormat {
        /// The folder.
        path: PathBuf,
        /// The format on disk.
        found: u32,
        /// The newest one that this version reads.
        known: u32,
    },
    /// The folder belongs to another member.
    #[error(
        "the data directory {} belongs to member {found}, not to member {given}; use the \
         directory of member {given}",
        path.display()
    )]
    OtherMember {
        /// The folder.
        path: PathBuf,
        /// The id on disk.
        found: MemberId,
        /// The id it was started with.
        given: MemberId,
    },
    /// The peers form another cluster than the one on disk.
    #[error(
        "the data directory {} belongs to cluster {found}, but the peers form cluster {peers}; \
         use the right directory or the right quorum",
        path.display()
    )]
    OtherCluster {
        /// The folder.
        path: PathBuf,
        /// The cluster on disk.
        found: String,
        /// The cluster of the peers.
        peers: String,
    },
    /// The peers know this member id with another disk.
    #[error(
        "member {member_id} already took part in cluster {cluster_id} with another disk; its \
         acknowledgements are lost with that disk, so it may not come back under this id: remove \
         it from the quorum and add the machine with a new id, or restore the old directory"
    )]
    WipedMember {
        /// The id.
        member_id: MemberId,
        /// The cluster that knows it.
        cluster_id: String,
    },
    /// What is on disk contradicts itself, or the engine refused it.
    #[error("the data directory {} cannot be used: {reason}", path.display())]
    Damaged {
        /// The folder.
        path: PathBuf,
        /// What was found.
        reason: String,
    },
}

/// Why a proposal has no outcome.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProposeError {
    /// Not the leader, or not one with a quorum, or not in the expected term; nothing was logged.
    #[error("this member does not lead{}", describe_leader(.leader))]
    NotLeader {
        /// Where to ask instead, if known.
        leader: Option<(MemberId, String)>,
    },
    /// Too many proposals are in flight; nothing was logged.
    #[error("too many proposals are in flight; try again")]
    Overloaded,
    /// The command is larger than the log accepts; nothing was logged.
    #[error("the command has {size} bytes, the limit is {limit}")]
    TooLarge {
        /// Its size in bytes.
        size: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// The command may or may not be, or become, committed: only its effects tell.
    #[error("the outcome of the proposal is unknown: {reason}")]
    Unknown {
        /// What happened.
        reason: String,
    },
    /// The store is stopped; nothing was logged.
    #[error("the replicated log is stopped")]
    Stopped,
}

/// Why leadership was not handed over.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransferError {
    /// Only the leader can hand over.
    #[error("this member does not lead{}", describe_leader(.leader))]
    NotLeader {
        /// Where to ask instead, if known.
        leader: Option<(MemberId, String)>,
    },
    /// The wanted member is not a voter, or is this one.
    #[error("member {to} cannot lead: {reason}")]
    BadTarget {
        /// The wanted leader.
        to: MemberId,
        /// Why not.
        reason: String,
    },
    /// There is no other voter that could take over.
    #[error("no other voter can take over")]
    NoCandidate,
    /// No other leader was seen in time; this member may still lead.
    #[error("no other leader was seen within {waited_ms} ms")]
    TimedOut {
        /// How long it waited.
        waited_ms: u64,
    },
    /// The store is stopped.
    #[error("the replicated log is stopped")]
    Stopped,
}

/// Why the members were not changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MemberError {
    /// Only the leader changes members.
    #[error("this member does not lead{}", describe_leader(.leader))]
    NotLeader {
        /// Where to ask instead, if known.
        leader: Option<(MemberId, String)>,
    },
    /// The id or address cannot be used.
    #[error("member {member_id} is refused: {reason}")]
    Refused {
        /// The member.
        member_id: MemberId,
        /// Why.
        reason: String,
    },
    /// Another change is in progress.
    #[error("another change of members is in progress; try again when it is done")]
    InProgress,
    /// The change may or may not have been made.
    #[error("the outcome of the change is unknown: {reason}")]
    Unknown {
        /// What happened.
        reason: String,
    },
    /// The store is stopped.
    #[error("the replicated log is stopped")]
    Stopped,
}

/// A committed command that this member cannot apply. The member stops: to skip the command would
/// let it diverge from the others.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub struct ApplyError(
    /// What is not understood, and what to do.
    pub String,
);

fn describe_leader(leader: &Option<(MemberId, String)>) -> String {
    match leader {
        Some((id, address)) => format!("; the leader is member {id} at {address}"),
        None => "; no leader is known".to_owned(),
    }
}
