//! The replicated log of the masters: one state machine, driven alike on every member.
//!
//! It is not a database: the state machine lives in memory, and this crate makes sure that it
//! can be rebuilt (snapshot and log on disk) and that a majority has every command before its
//! outcome is told. The consensus engine (openraft) is named nowhere else.
//!
//! ```text
//!   propose ──► store ──► node ──► engine ──► log ──► writer thread ──► RocksDB (log, meta)
//!      ▲                            │  ▲                  one queue, group commit, fsync
//!      │                            │  └──── network::server ◄──── other members (gRPC)
//!      │                            ├──────► network::client ────► other members
//!      └──── outcome ◄── machine ◄──┘ apply, in order
//!                           │ freeze, restore
//!                           └──► snapshot ──► RocksDB (sm): chunks of the latest snapshot
//! ```
//!
//! Reading order: `machine` (what is replicated), `store` (the handle), `options`, `status`,
//! `error`; then `node` (puts it together), `form` (how members become a cluster), `identity`,
//! `transfer`, `member`, `hurry` and `quiet` (elections sooner, and when answers are lost); then
//! `log`, `snapshot`, `state`, `network`, and `convert`, which defines what is on the wire and on
//! disk.

mod convert;
mod db;
mod error;
mod form;
mod hurry;
mod identity;
mod log;
mod machine;
mod member;
mod network;
mod node;
mod options;
mod quiet;
mod snapshot;
mod state;
mod status;
mod store;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod transfer;
mod types;

pub use error::{ApplyError, MemberError, OpenError, ProposeError, TransferError};
pub use machine::{Committed, FrozenState, StateMachine};
pub use options::Options;
pub use status::{Leader, MemberStatus, Role, Status};
pub use store::{Proposed, Store};

/// What of the engine's own log is of use beside this crate's: it warns of every heartbeat that a
/// dead member misses. To be put in front of the filter that a user gives.
pub const LOG_FILTER: &str = "openraft=error";

/// Identifies a member for ever: the id of a removed member is never used again.
pub type MemberId = u64;

/// A place in the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogIndex(
    /// Counts from 0, the first membership.
    pub u64,
);

impl std::fmt::Display for LogIndex {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}
