//! The thread that writes the log. It takes all that waits in its queue, writes it as one batch
//! in order, syncs once, and then tells everybody (group commit).

use std::io;
use std::sync::mpsc::{Receiver, TryRecvError};
use std::sync::{Arc, Mutex, PoisonError};

use openraft::entry::RaftEntry;
use openraft::storage::IOFlushed;
use prost::Message;
use rocksdb::WriteBatch;
use tokio::sync::oneshot;

use super::key;
use super::tail::Tail;
use crate::convert::{entry_to_proto, log_id_to_proto, vote_to_proto};
use crate::db::{Db, LOG, META};
use crate::types::{Entry, LogId, TypeConfig, Vote};

/// A batch is closed when it has this many bytes, so that its first writer is not kept waiting.
const BATCH_BYTES: usize = 4 * 1024 * 1024;

pub(super) enum Operation {
    Append {
        entries: Vec<(u64, Entry)>,
        done: IOFlushed<TypeConfig>,
    },
    Vote {
        vote: Vote,
        done: oneshot::Sender<io::Result<()>>,
    },
    Committed(Option<LogId>),
    /// Deletes `[from, to)`.
    Truncate {
        from: u64,
        to: u64,
    },
    Purge {
        upto: LogId,
    },
}

/// Whom to tell once a batch is on disk.
enum Waiter {
    Append(IOFlushed<TypeConfig>),
    Vote(oneshot::Sender<io::Result<()>>),
}

pub(super) struct Writer {
    pub(super) db: Arc<Db>,
    pub(super) tail: Arc<Mutex<Tail>>,
    pub(super) queue: Receiver<Operation>,
    /// The first error; nothing is written after it, since the order would have a hole.
    pub(super) failure: Option<String>,
}

#[derive(Default)]
struct Group {
    batch: WriteBatch,
    waiters: Vec<Waiter>,
    written: Vec<(u64, u64)>,
    vote: Option<Vote>,
}

impl Writer {
    /// Runs until every handle of the log store is gone.
    pub(super) fn run(mut self) {
        while let Ok(first) = self.queue.recv() {
            let mut group = Group::default();
            self.add(&mut group, first);
            let mut open = true;
            while open && group.batch.size_in_bytes() < BATCH_BYTES {
                match self.queue.try_recv() {
                    Ok(operation) => self.add(&mut group, operation),
                    Err(TryRecvError::Empty | TryRecvError::Disconnected) => open = false,
                }
            }
            self.finish(group);
        }
    }

    fn add(&self, group: &mut Group, operation: Operation) {
        let meta = self.db.family(META);
        let log = self.db.family(LOG);
        match operation {
            Operation::Append { entries, done } => {
                for (number, entry) in entries {
                    let bytes = entry_to_proto(&entry).encode_to_vec();
                    group.batch.put_cf(log, key::entry(entry.index()), bytes);
                    group.written.push((entry.index(), number));
                }
                group.waiters.push(Waiter::Append(done));
            }
            Operation::Vote { vote, done } => {
                group
                    .batch
                    .put_cf(meta, key::VOTE, vote_to_proto(&vote).encode_to_vec());
                group.vote = Some(vote);
                group.waiters.push(Waiter::Vote(done));
            }
            Operation::Committed(Some(id)) => {
                let bytes = log_id_to_proto(&id).encode_to_vec();
                group.batch.put_cf(meta, key::COMMITTED, bytes);
            }
            Operation::Committed(None) => group.batch.delete_cf(meta, key::COMMITTED),
            Operation::Truncate { from, to } => {
                for index in from..to {
                    group.batch.delete_cf(log, key::entry(index));
                }
            }
            Operation::Purge { upto } => {
                let bytes = log_id_to_proto(&upto).encode_to_vec();
                group.batch.put_cf(meta, key::PURGED, bytes);
                group
                    .batch
                    .delete_range_cf(log, key::entry(0), key::entry(upto.index() + 1));
            }
        }
    }

    fn finish(&mut self, group: Group) {
        if self.failure.is_none() {
            // Nobody waits for a purge or a committed index: they ride with the next sync.
            let sync = !group.waiters.is_empty();
            if let Err(error) = self.db.write(group.batch, sync) {
                tracing::error!(
                    path = %self.db.path().display(),
                    %error,
                    "the log cannot be written; this member stops: check the disk, then restart it"
                );
                self.failure = Some(error);
            }
        }
        if self.failure.is_none() {
            let mut tail = self.tail.lock().unwrap_or_else(PoisonError::into_inner);
            tail.written(group.written.into_iter());
            if let Some(vote) = group.vote {
                tail.vote = Some(vote);
            }
        }
        for waiter in group.waiters {
            let result = match &self.failure {
                None => Ok(()),
                Some(error) => Err(io::Error::other(error.clone())),
            };
            match waiter {
                Waiter::Append(done) => done.io_completed(result),
                // The engine may have been stopped meanwhile; then nobody listens.
                Waiter::Vote(done) => drop(done.send(result)),
            }
        }
    }
}
