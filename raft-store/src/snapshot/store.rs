//! The current snapshot and the making of new ones.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use caprock_proto::caprock::raft as pb;
use prost::Message;
use rocksdb::WriteBatch;

use super::{Generation, SnapshotWriter, key};
use crate::db::{Db, SM};
use crate::identity::FORMAT;

pub(crate) struct SnapshotStore {
    db: Arc<Db>,
    current: Mutex<Option<Arc<Generation>>>,
    next_generation: AtomicU64,
}

impl SnapshotStore {
    /// Finds the current snapshot, and deletes what an interrupted one left behind.
    pub(crate) fn open(db: Arc<Db>) -> Result<Self, String> {
        let meta = match db.get(SM, key::CURRENT)? {
            Some(bytes) => {
                let meta = pb::SnapshotMeta::decode(bytes.as_slice())
                    .map_err(|error| format!("the snapshot's record cannot be read: {error}"))?;
                if meta.format > FORMAT {
                    return Err(format!(
                        "the snapshot has format {}, this version knows formats up to {FORMAT}; \
                         start the newer version again",
                        meta.format
                    ));
                }
                Some(meta)
            }
            None => None,
        };
        let kept = meta.as_ref().map_or(0, |meta| meta.generation);
        let mut batch = WriteBatch::default();
        batch.delete_range_cf(db.family(SM), key::chunk(0, 0), key::chunk(kept, 0));
        let after = key::chunk(kept + 1, 0);
        batch.delete_range_cf(db.family(SM), after, key::chunk(u64::MAX, u64::MAX));
        db.write(batch, false)?;
        let current = meta.map(|meta| {
            Arc::new(Generation {
                db: db.clone(),
                meta,
                current: true.into(),
            })
        });
        let next_generation = AtomicU64::new(kept + 1);
        Ok(Self {
            db,
            current: Mutex::new(current),
            next_generation,
        })
    }

    pub(crate) fn current(&self) -> Option<Arc<Generation>> {
        self.current
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(crate) fn begin(&self) -> SnapshotWriter {
        let generation = self.next_generation.fetch_add(1, Ordering::Relaxed);
        SnapshotWriter::new(self.db.clone(), generation)
    }

    /// Makes a finished snapshot the current one: durable on return. One that is older than the
    /// current one is dropped instead; the current one is returned.
    pub(crate) fn commit(&self, generation: Arc<Generation>) -> Result<Arc<Generation>, String> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(existing) = current.as_ref() {
            let index = |meta: &pb::SnapshotMeta| meta.last_log_id.as_ref().map(|id| id.index);
            let is_same = Arc::ptr_eq(existing, &generation);
            if is_same || index(&existing.meta) > index(&generation.meta) {
                return Ok(existing.clone());
            }
        }
        let mut batch = WriteBatch::default();
        batch.put_cf(
            self.db.family(SM),
            key::CURRENT,
            generation.meta.encode_to_vec(),
        );
        self.db.write(batch, true)?;
        generation.current.store(true, Ordering::Release);
        if let Some(old) = current.replace(generation.clone()) {
            old.current.store(false, Ordering::Release);
        }
        Ok(generation)
    }

    /// The same snapshot in this store: itself, or a copy if it belongs to another store.
    pub(crate) fn adopt(&self, generation: Arc<Generation>) -> anyhow::Result<Arc<Generation>> {
        if Arc::ptr_eq(&generation.db, &self.db) {
            return Ok(generation);
        }
        let mut writer = self.begin();
        for chunk in generation.chunks() {
            writer.push(&chunk?)?;
        }
        writer.finish_received(&generation.meta)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn write(store: &SnapshotStore, index: u64, chunks: &[&'static str]) -> Arc<Generation> {
        let mut writer = store.begin();
        for chunk in chunks {
            writer.push(&Bytes::from_static(chunk.as_bytes())).unwrap();
        }
        writer.finish(pb::SnapshotMeta {
            format: FORMAT,
            last_log_id: Some(pb::LogId { term: 1, index }),
            ..pb::SnapshotMeta::default()
        })
    }

    fn text(generation: &Generation) -> Vec<String> {
        let utf8 = |chunk: Bytes| String::from_utf8(chunk.to_vec()).unwrap();
        generation
            .chunks()
            .map(|chunk| utf8(chunk.unwrap()))
            .collect()
    }

    fn stored_chunks(db: &Db) -> usize {
        let all = db
            .rocks()
            .iterator_cf(db.family(SM), rocksdb::IteratorMode::Start);
        all.filter(|item| item.as_ref().unwrap().0.as_ref() != key::CURRENT)
            .count()
    }

    #[test]
    fn the_current_snapshot_survives_and_the_rest_does_not() {
        let dir = tempfile::tempdir().unwrap();
        let db = Arc::new(Db::open(dir.path()).unwrap().0);
        let store = SnapshotStore::open(db.clone()).unwrap();
        store.commit(write(&store, 5, &["a", "b"])).unwrap();
        let reader = store.current().unwrap();
        store.commit(write(&store, 9, &["c", "d", "e"])).unwrap();
        assert_eq!(text(&reader), ["a", "b"], "a reader keeps the old one");
        assert_eq!(stored_chunks(&db), 5);
        drop(reader);
        assert_eq!(stored_chunks(&db), 3);
        drop(write(&store, 11, &["given up"]));
        assert_eq!(stored_chunks(&db), 3);
        std::mem::forget(write(&store, 12, &["a crash in the middle"]));
        drop(store);

        let store = SnapshotStore::open(db.clone()).unwrap();
        assert_eq!(text(&store.current().unwrap()), ["c", "d", "e"]);
        assert_eq!(stored_chunks(&db), 3);
    }

    #[test]
    fn an_older_snapshot_does_not_replace_a_newer_one() {
        let dir = tempfile::tempdir().unwrap();
        let store = SnapshotStore::open(Arc::new(Db::open(dir.path()).unwrap().0)).unwrap();
        store.commit(write(&store, 9, &["new"])).unwrap();
        let kept = store.commit(write(&store, 5, &["old"])).unwrap();
        assert_eq!(text(&kept), ["new"]);
    }

    #[test]
    fn an_incomplete_arrival_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let store = SnapshotStore::open(Arc::new(Db::open(dir.path()).unwrap().0)).unwrap();
        let sent = write(&store, 9, &["one", "two"]);
        let mut arriving = store.begin();
        arriving.push(&Bytes::from_static(b"one")).unwrap();
        let error = arriving.finish_received(sent.meta()).unwrap_err();
        assert!(error.to_string().contains("incomplete"), "{error}");
    }
}
