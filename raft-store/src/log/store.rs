//! The engine's log storage over `Tail` (memory), `Writer` (queue) and RocksDB.

use std::io;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use openraft::LogState;
use openraft::storage::{IOFlushed, RaftLogStorage};
use prost::Message;
use rocksdb::IteratorMode;
use tokio::sync::oneshot;

use super::key;
use super::tail::Tail;
use super::writer::{Operation, Writer};
use crate::convert::{log_id_from_proto, vote_from_proto};
use crate::db::{Db, LOG, META};
use crate::types::{Entry, LogId, TypeConfig, Vote};

use caprock_proto::caprock::raft as pb;

/// A handle of the log; the writer's thread ends with the last one.
#[derive(Clone)]
pub(crate) struct LogStore {
    pub(super) db: Arc<Db>,
    pub(super) tail: Arc<Mutex<Tail>>,
    queue: Arc<Queue>,
}

/// What is to be written. The last handle waits for the thread: then the database is closed for
/// certain, and a process that ends does not pull it away from under the thread.
struct Queue {
    operations: Option<Sender<Operation>>,
    writer: Option<JoinHandle<()>>,
}

impl Drop for Queue {
    fn drop(&mut self) {
        self.operations.take();
        if let Some(Err(_)) = self.writer.take().map(JoinHandle::join) {
            tracing::error!("the thread that writes the log panicked");
        }
    }
}

impl LogStore {
    /// Reads the bounds of the log and starts the writer.
    pub(crate) fn open(db: Arc<Db>) -> Result<Self, String> {
        let tail = Arc::new(Mutex::new(load(&db)?));
        let (queue, operations) = channel();
        let writer = Writer {
            db: db.clone(),
            tail: tail.clone(),
            queue: operations,
            failure: None,
        };
        let writer = std::thread::Builder::new()
            .name("raft-log".to_owned())
            .spawn(move || writer.run())
            .map_err(|error| format!("cannot start the thread that writes the log: {error}"))?;
        let queue = Queue {
            operations: Some(queue),
            writer: Some(writer),
        };
        Ok(Self {
            db,
            tail,
            queue: Arc::new(queue),
        })
    }

    pub(super) fn tail(&self) -> MutexGuard<'_, Tail> {
        self.tail.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enqueue(&self, operation: Operation) -> io::Result<()> {
        let sent = self
            .queue
            .operations
            .as_ref()
            .map(|queue| queue.send(operation));
        match sent {
            Some(Ok(())) => Ok(()),
            _ => Err(io::Error::other("the thread that writes the log has ended")),
        }
    }
}

fn load(db: &Db) -> Result<Tail, String> {
    let purged = load_log_id(db, key::PURGED)?;
    let committed = load_log_id(db, key::COMMITTED)?;
    let vote = match db.get(META, key::VOTE)? {
        Some(bytes) => Some(decode_vote(&bytes)?),
        None => None,
    };
    let mut from_end = db.rocks().iterator_cf(db.family(LOG), IteratorMode::End);
    let last = match from_end.next() {
        Some(item) => {
            let (_, bytes) = item.map_err(|error| error.to_string())?;
            let entry = pb::Entry::decode(bytes.as_ref()).map_err(|error| error.to_string())?;
            let id = entry.id.ok_or("the last log entry has no id")?;
            Some(log_id_from_proto(&id))
        }
        None => None,
    };
    let last = last.max(purged);
    Ok(Tail {
        purged,
        last,
        vote,
        committed,
        ..Tail::default()
    })
}

fn load_log_id(db: &Db, key: &[u8]) -> Result<Option<LogId>, String> {
    let Some(bytes) = db.get(META, key)? else {
        return Ok(None);
    };
    let id = pb::LogId::decode(bytes.as_slice()).map_err(|error| error.to_string())?;
    Ok(Some(log_id_from_proto(&id)))
}

fn decode_vote(bytes: &[u8]) -> Result<Vote, String> {
    let vote = pb::Vote::decode(bytes).map_err(|error| error.to_string())?;
    vote_from_proto(Some(&vote)).map_err(|error| error.to_string())
}

impl RaftLogStorage<TypeConfig> for LogStore {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> io::Result<LogState<TypeConfig>> {
        let tail = self.tail();
        Ok(LogState {
            last_purged_log_id: tail.purged,
            last_log_id: tail.last,
        })
    }

    async fn get_log_reader(&mut self) -> Self::LogReader {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> io::Result<()> {
        let (done, written) = oneshot::channel();
        self.enqueue(Operation::Vote { vote: *vote, done })?;
        written
            .await
            .map_err(|_| io::Error::other("the thread that writes the log has ended"))?
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> io::Result<()> {
        self.tail().committed = committed;
        self.enqueue(Operation::Committed(committed))
    }

    async fn read_committed(&mut self) -> io::Result<Option<LogId>> {
        Ok(self.tail().committed)
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<TypeConfig>) -> io::Result<()>
    where
        I: IntoIterator<Item = Entry> + Send,
        I::IntoIter: Send,
    {
        let mut numbered = Vec::new();
        {
            let mut tail = self.tail();
            for entry in entries {
                numbered.push((tail.push(entry.clone()), entry));
            }
        }
        self.enqueue(Operation::Append {
            entries: numbered,
            done: callback,
        })
    }

    async fn truncate_after(&mut self, last_log_id: Option<LogId>) -> io::Result<()> {
        let from = last_log_id.as_ref().map_or(0, |id| id.index() + 1);
        let to = {
            let mut tail = self.tail();
            let to = tail.last.as_ref().map_or(0, |id| id.index() + 1);
            if from >= to {
                return Ok(());
            }
            tail.truncate_after(last_log_id);
            to
        };
        self.enqueue(Operation::Truncate { from, to })
    }

    async fn purge(&mut self, log_id: LogId) -> io::Result<()> {
        self.tail().purge(log_id);
        self.enqueue(Operation::Purge { upto: log_id })
    }
}
