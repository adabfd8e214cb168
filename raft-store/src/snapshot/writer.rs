//! Writes the chunks of a new generation: one that is built here, or one that arrives.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use bytes::Bytes;
use caprock_proto::caprock::raft as pb;
use rocksdb::WriteBatch;

use super::{CHUNK_BYTES_MAX, Digest, Generation, key};
use crate::db::{Db, SM};

pub(crate) struct SnapshotWriter {
    // Deletes what was written if the snapshot is given up.
    generation: Generation,
    digest: Digest,
}

impl SnapshotWriter {
    pub(super) fn new(db: Arc<Db>, generation: u64) -> Self {
        let meta = pb::SnapshotMeta {
            generation,
            ..pb::SnapshotMeta::default()
        };
        let generation = Generation {
            db,
            meta,
            current: AtomicBool::new(false),
        };
        Self {
            generation,
            digest: Digest::default(),
        }
    }

    pub(crate) fn push(&mut self, chunk: &Bytes) -> anyhow::Result<()> {
        anyhow::ensure!(
            chunk.len() <= CHUNK_BYTES_MAX,
            "a chunk of a snapshot has {} bytes, the limit is {CHUNK_BYTES_MAX}",
            chunk.len()
        );
        let meta = &mut self.generation.meta;
        let mut batch = WriteBatch::default();
        let key = key::chunk(meta.generation, meta.chunk_count);
        batch.put_cf(self.generation.db.family(SM), key, chunk);
        self.generation
            .db
            .write(batch, false)
            .map_err(anyhow::Error::msg)?;
        self.digest.add(chunk);
        meta.chunk_count += 1;
        meta.byte_count += chunk.len() as u64;
        Ok(())
    }

    /// Ends a snapshot that was built here; `meta` says of what.
    pub(crate) fn finish(mut self, meta: pb::SnapshotMeta) -> Arc<Generation> {
        let written = &self.generation.meta;
        self.generation.meta = pb::SnapshotMeta {
            generation: written.generation,
            chunk_count: written.chunk_count,
            byte_count: written.byte_count,
            digest: self.digest.value(),
            ..meta
        };
        Arc::new(self.generation)
    }

    /// Ends a snapshot that arrived; fails unless all of it did.
    pub(crate) fn finish_received(
        self,
        meta: &pb::SnapshotMeta,
    ) -> anyhow::Result<Arc<Generation>> {
        let written = &self.generation.meta;
        let complete = written.chunk_count == meta.chunk_count
            && written.byte_count == meta.byte_count
            && self.digest.value() == meta.digest;
        anyhow::ensure!(
            complete,
            "the snapshot arrived incomplete: {} of {} chunks, {} of {} bytes",
            written.chunk_count,
            meta.chunk_count,
            written.byte_count,
            meta.byte_count
        );
        Ok(self.finish(meta.clone()))
    }
}
