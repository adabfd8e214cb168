//! Reading the log: what is not written yet from memory, the rest from RocksDB's caches or disk.

use std::fmt::Debug;
use std::io;
use std::ops::{Bound, RangeBounds};

use caprock_proto::caprock::raft as pb;
use futures::Stream;
use futures::stream;
use openraft::entry::RaftEntry;
use openraft::storage::RaftLogReader;
use prost::Message;
use rocksdb::{Direction, IteratorMode, ReadOptions};

use super::key;
use super::store::LogStore;
use crate::convert::entry_from_proto;
use crate::db::LOG;
use crate::types::{Entry, TypeConfig, Vote};

/// One message to a follower has at most about this many bytes of entries.
const APPEND_BYTES: usize = 2 * 1024 * 1024;
/// The state machine is fed in portions of so many bytes.
const APPLY_BYTES: usize = 4 * 1024 * 1024;

impl LogStore {
    /// The entries of `[start, end)` that the log has, up to about `max_bytes`, at least one.
    pub(super) fn read(&self, start: u64, end: u64, max_bytes: usize) -> io::Result<Vec<Entry>> {
        // Memory first: an entry leaves it only when it can be read from disk.
        let (start, on_disk_end, unwritten) = self.tail().range(start, end);
        let mut entries = Vec::new();
        let mut bytes_left = max_bytes;
        if start < on_disk_end {
            bytes_left = self.read_disk(start, on_disk_end, bytes_left, &mut entries)?;
        }
        for entry in unwritten {
            if bytes_left == 0 {
                break;
            }
            bytes_left = bytes_left.saturating_sub(size_of_entry(&entry));
            entries.push(entry);
        }
        Ok(entries)
    }

    /// Returns how many bytes are left: 0 if the limit ended it.
    fn read_disk(
        &self,
        start: u64,
        end: u64,
        mut bytes_left: usize,
        entries: &mut Vec<Entry>,
    ) -> io::Result<usize> {
        let mut options = ReadOptions::default();
        options.set_iterate_upper_bound(key::entry(end));
        let first = key::entry(start);
        let mode = IteratorMode::From(&first, Direction::Forward);
        for item in self
            .db
            .rocks()
            .iterator_cf_opt(self.db.family(LOG), options, mode)
        {
            let (_, bytes) = item.map_err(io::Error::other)?;
            let entry = pb::Entry::decode(bytes.as_ref()).map_err(io::Error::other)?;
            let entry = entry_from_proto(entry).map_err(io::Error::other)?;
            if let Some(previous) = entries.last() {
                let (expected, found) = (previous.index() + 1, entry.index());
                if expected != found {
                    return Err(io::Error::other(format!(
                        "the log has a hole: entry {expected} is missing, {found} follows"
                    )));
                }
            }
            entries.push(entry);
            bytes_left = bytes_left.saturating_sub(bytes.len());
            if bytes_left == 0 {
                break;
            }
        }
        Ok(bytes_left)
    }
}

fn size_of_entry(entry: &Entry) -> usize {
    use crate::types::Command;
    use openraft::EntryPayload;
    match &entry.payload {
        EntryPayload::Normal(Command::User(bytes)) => bytes.len() + 16,
        EntryPayload::Normal(_) | EntryPayload::Blank | EntryPayload::Membership(_) => 256,
    }
}

/// `[start, end)` of any kind of range.
fn bounds(range: &impl RangeBounds<u64>) -> (u64, u64) {
    let start = match range.start_bound() {
        Bound::Included(index) => *index,
        Bound::Excluded(index) => index.saturating_add(1),
        Bound::Unbounded => 0,
    };
    let end = match range.end_bound() {
        Bound::Included(index) => index.saturating_add(1),
        Bound::Excluded(index) => *index,
        Bound::Unbounded => u64::MAX,
    };
    (start, end)
}

impl RaftLogReader<TypeConfig> for LogStore {
    async fn try_get_log_entries<RB>(&mut self, range: RB) -> io::Result<Vec<Entry>>
    where
        RB: RangeBounds<u64> + Clone + Debug + Send,
    {
        let (start, end) = bounds(&range);
        self.read(start, end, usize::MAX)
    }

    async fn read_vote(&mut self) -> io::Result<Option<Vote>> {
        Ok(self.tail().vote)
    }

    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> io::Result<Vec<Entry>> {
        self.read(start, end, APPEND_BYTES)
    }

    async fn entries_stream<RB>(
        &mut self,
        range: RB,
    ) -> impl Stream<Item = io::Result<Entry>> + Send
    where
        RB: RangeBounds<u64> + Clone + Debug + Send,
    {
        let (start, end) = bounds(&range);
        let log = self.clone();
        let portions = stream::try_unfold((log, start), move |(log, start)| async move {
            let entries = log.read(start, end, APPLY_BYTES)?;
            let Some(last) = entries.last() else {
                return Ok::<_, io::Error>(None);
            };
            let next = last.index() + 1;
            Ok(Some((
                stream::iter(entries.into_iter().map(Ok)),
                (log, next),
            )))
        });
        Box::pin(futures::TryStreamExt::try_flatten(portions))
    }
}
