//! The replicated state of a Caprock cluster: agents, frameworks, tasks and executors, and
//! the one function that changes them.
//!
//! Each member of the quorum applies the same entries of the log in the same order and so
//! holds the same [`Registry`]. It is pure: no clock, no randomness, no I/O; the time of an
//! entry was read by its proposer. It is not the leader's memory: offers, filters, streams
//! and timers are in `caprock-leader`.
//!
//! ```text
//!   log ──► Entry ──► Registry::apply ──► Outcome ──► leader: events, orders, answers
//!                          │
//!          ┌───────────────┼──────────────────────┐
//!          ▼               ▼                      ▼
//!     clone: O(1)     SnapshotChunk ...       digest, diff, check_invariants
//!     view of a       to disk, to another     are the members equal, and is
//!     moment          member, and back        each of them sound?
//! ```
//!
//! The maps are persistent: a clone shares everything with its original, and a change
//! copies only the path to what it changes. Hence readers and snapshots take a clone and
//! never hold up `apply`.
//!
//! Where to start reading:
//! 1. the nouns: [`Agent`], [`Framework`], [`Task`], [`Executor`];
//! 2. `registry.rs`: the state and the questions that it answers;
//! 3. `apply.rs` and the files below it: one per family of commands;
//! 4. `outcome.rs`: what a command may answer;
//! 5. `accounts.rs`: who uses what, kept up to date with each change;
//! 6. `snapshot.rs`, `digest.rs`, `invariants.rs`, `diff.rs`: the state as a whole.

mod accounts;
mod agent;
mod apply;
mod diff;
mod digest;
mod drain;
mod executor;
mod framework;
mod history;
mod idempotency;
mod invariants;
mod limits;
mod maintenance;
mod operation;
mod outcome;
mod quota;
mod registry;
mod removed;
mod snapshot;
mod task;
mod upgrade;

#[cfg(test)]
mod properties;
#[cfg(test)]
mod testing;

pub use agent::{Agent, Reachability};
pub use digest::Digest;
pub use drain::Drain;
pub use executor::Executor;
pub use framework::Framework;
pub use history::History;
pub use idempotency::Remembered;
pub use limits::Limits;
pub use maintenance::{Machine, Maintenance};
pub use operation::{Operation, OperationUuid};
pub use outcome::{Outcome, Rejection};
pub use quota::{DEFAULT_WEIGHT, Quota, amounts_text};
pub use registry::{Registry, entry};
pub use removed::RemovedAgent;
pub use snapshot::{Chunks, RestoreError};
pub use task::{Kill, Task};
pub use upgrade::Unsupported;

/// Position of an entry in the log.
pub type LogIndex = u64;

/// Version of the entries and records that this build writes; it reads no newer one.
pub const FORMAT: u32 = 1;

/// Persistent ordered map: its clone costs O(1).
pub type Map<K, V> = rpds::RedBlackTreeMapSync<K, V>;

/// Persistent ordered set: its clone costs O(1).
pub type Set<T> = rpds::RedBlackTreeSetSync<T>;
