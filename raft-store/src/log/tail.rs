//! What the log store knows without the disk: its bounds, the vote, and the entries that the
//! writer has not written yet.

use std::collections::BTreeMap;

use openraft::entry::RaftEntry;

use crate::types::{Entry, LogId, Vote};

#[derive(Debug, Default)]
pub(super) struct Tail {
    /// The last entry that was purged from the front.
    pub(super) purged: Option<LogId>,
    /// The last entry of the log, on disk or not; the purged one if there is none.
    pub(super) last: Option<LogId>,
    pub(super) vote: Option<Vote>,
    pub(super) committed: Option<LogId>,
    /// Not yet written; the number tells a rewritten entry from the one before.
    pub(super) unwritten: BTreeMap<u64, (u64, Entry)>,
    pub(super) next_number: u64,
}

impl Tail {
    /// Takes an entry to be written; returns its number.
    pub(super) fn push(&mut self, entry: Entry) -> u64 {
        let number = self.next_number;
        self.next_number += 1;
        self.last = Some(entry.log_id());
        self.unwritten.insert(entry.index(), (number, entry));
        number
    }

    /// Forgets entries that are now readable from disk.
    pub(super) fn written(&mut self, numbers: impl Iterator<Item = (u64, u64)>) {
        for (index, number) in numbers {
            if self
                .unwritten
                .get(&index)
                .is_some_and(|(current, _)| *current == number)
            {
                self.unwritten.remove(&index);
            }
        }
    }

    /// Drops the end of the log; `last` is the entry that is then the last one.
    pub(super) fn truncate_after(&mut self, last: Option<LogId>) {
        let keep_below = last.as_ref().map_or(0, |id| id.index() + 1);
        self.unwritten.split_off(&keep_below);
        self.last = last;
    }

    pub(super) fn purge(&mut self, upto: LogId) {
        self.unwritten = self.unwritten.split_off(&(upto.index() + 1));
        if self.last.as_ref() < Some(&upto) {
            self.last = Some(upto);
        }
        self.purged = Some(upto);
    }

    /// The part of `[start, end)` that the log has, and the entries of it that are only here:
    /// a suffix, since entries are written in order.
    pub(super) fn range(&self, start: u64, end: u64) -> (u64, u64, Vec<Entry>) {
        let first = self.purged.as_ref().map_or(0, |id| id.index() + 1);
        let beyond = self.last.as_ref().map_or(0, |id| id.index() + 1);
        let (start, end) = (start.max(first), end.min(beyond));
        if start >= end {
            return (start, start, Vec::new());
        }
        let entries: Vec<Entry> = self
            .unwritten
            .range(start..end)
            .map(|(_, (_, entry))| entry.clone())
            .collect();
        let on_disk_end = entries.first().map_or(end, RaftEntry::index);
        (start, on_disk_end, entries)
    }
}

#[cfg(test)]
mod tests {
    use openraft::EntryPayload;

    use super::*;
    use crate::convert::log_id;

    fn blank(term: u64, index: u64) -> Entry {
        Entry::new(log_id(term, index), EntryPayload::Blank)
    }

    #[test]
    fn an_entry_that_was_rewritten_stays_until_its_own_write() {
        let mut tail = Tail::default();
        let old = tail.push(blank(1, 0));
        tail.truncate_after(None);
        let new = tail.push(blank(2, 0));
        tail.written([(0, old)].into_iter());
        assert_eq!(tail.range(0, 10), (0, 0, vec![blank(2, 0)]));
        tail.written([(0, new)].into_iter());
        assert_eq!(tail.range(0, 10), (0, 1, vec![]));
    }

    #[test]
    fn a_range_is_cut_to_what_the_log_has() {
        let mut tail = Tail {
            purged: Some(log_id(1, 4)),
            last: Some(log_id(1, 6)),
            ..Tail::default()
        };
        tail.push(blank(1, 7));
        assert_eq!(tail.range(0, 100), (5, 7, vec![blank(1, 7)]));
        assert_eq!(tail.range(0, 3), (5, 5, vec![]));
        tail.purge(log_id(1, 9));
        assert_eq!(
            (tail.last, tail.range(0, 100).2),
            (Some(log_id(1, 9)), vec![])
        );
    }
}
