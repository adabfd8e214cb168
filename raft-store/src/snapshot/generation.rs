//! One snapshot's chunks on disk. They are deleted when the last handle goes, unless the pointer
//! names this generation: a transfer in progress keeps what it reads.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use caprock_proto::caprock::raft as pb;
use rocksdb::WriteBatch;

use super::{Digest, key};
use crate::db::{Db, SM};

pub(crate) struct Generation {
    pub(super) db: Arc<Db>,
    pub(super) meta: pb::SnapshotMeta,
    /// The pointer names this generation.
    pub(super) current: AtomicBool,
}

impl fmt::Debug for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Generation")
            .field("meta", &self.meta)
            .finish_non_exhaustive()
    }
}

impl Generation {
    pub(crate) fn meta(&self) -> &pb::SnapshotMeta {
        &self.meta
    }

    /// The chunk at `index`, read from disk.
    pub(crate) fn chunk(&self, index: u64) -> anyhow::Result<Bytes> {
        let key = key::chunk(self.meta.generation, index);
        let stored = self.db.get(SM, &key).map_err(anyhow::Error::msg)?;
        let bytes = stored.ok_or_else(|| {
            anyhow::anyhow!(
                "chunk {index} of {} of the snapshot is missing",
                self.meta.chunk_count
            )
        })?;
        Ok(Bytes::from(bytes))
    }

    /// All chunks in order; the last step fails if they are not those that were written.
    pub(crate) fn chunks(&self) -> impl Iterator<Item = anyhow::Result<Bytes>> + '_ {
        let mut digest = Digest::default();
        (0..self.meta.chunk_count).map(move |index| {
            let chunk = self.chunk(index)?;
            digest.add(&chunk);
            let is_last = index + 1 == self.meta.chunk_count;
            anyhow::ensure!(
                !is_last || digest.value() == self.meta.digest,
                "the chunks of the snapshot are not those that were written: check the disk"
            );
            Ok(chunk)
        })
    }
}

impl Drop for Generation {
    fn drop(&mut self) {
        if self.current.load(Ordering::Acquire) {
            return;
        }
        let mut batch = WriteBatch::default();
        let generation = self.meta.generation;
        let family = self.db.family(SM);
        batch.delete_range_cf(
            family,
            key::chunk(generation, 0),
            key::chunk(generation + 1, 0),
        );
        if let Err(error) = self.db.write(batch, false) {
            tracing::warn!(
                generation,
                %error,
                "an old snapshot could not be deleted; the next start deletes it"
            );
        }
    }
}
