//! The log and the vote on disk. Appends are readable at once from memory and become durable on
//! the writer's thread; everything that is written goes through that thread's one queue.

mod reader;
mod store;
mod tail;
mod writer;

pub(crate) use store::LogStore;

/// Keys of the family `meta`.
mod key {
    pub(super) const VOTE: &[u8] = b"vote";
    pub(super) const COMMITTED: &[u8] = b"committed";
    pub(super) const PURGED: &[u8] = b"purged";

    pub(super) fn entry(index: u64) -> [u8; 8] {
        index.to_be_bytes()
    }
}
