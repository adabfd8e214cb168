//! One number for the whole state: equal states have equal digests, whatever their history.

use std::fmt;

use caprock_proto::caprock::registry::SnapshotChunk;
use caprock_proto::caprock::registry::snapshot_chunk::Chunk;
use prost::Message;
use sha2::{Digest as _, Sha256};

use crate::{FORMAT, Registry};

/// SHA-256 over the records of a snapshot, without its header and trailer. The index of the
/// last entry is no part of it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(pub [u8; 32]);

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

impl Registry {
    /// The digest of the state. It reads all of it: some 100,000 tasks take a second or so,
    /// hence take it of a clone where time matters.
    pub fn digest(&self) -> Digest {
        let mut hasher = Hasher::new(self);
        for record in self.records() {
            hasher.add(&SnapshotChunk {
                chunk: Some(record),
            });
        }
        hasher.finish()
    }
}

/// A digest in the making.
pub(crate) struct Hasher {
    sha: Sha256,
    buffer: Vec<u8>,
}

impl Hasher {
    pub fn new(registry: &Registry) -> Self {
        let mut sha = Sha256::new();
        let cluster_id = registry.cluster_id().unwrap_or_default();
        sha.update(FORMAT.to_be_bytes());
        sha.update((cluster_id.len() as u64).to_be_bytes());
        sha.update(cluster_id);
        Self {
            sha,
            buffer: Vec::new(),
        }
    }

    /// Adds a record, in the order of the snapshot; headers and trailers do not count.
    pub fn add(&mut self, chunk: &SnapshotChunk) {
        if matches!(
            chunk.chunk,
            Some(Chunk::Header(_) | Chunk::Trailer(_)) | None
        ) {
            return;
        }
        self.buffer.clear();
        chunk
            .encode_length_delimited(&mut self.buffer)
            .expect("a Vec grows as needed");
        self.sha.update(&self.buffer);
    }

    pub fn finish(self) -> Digest {
        Digest(self.sha.finalize().into())
    }
}

impl fmt::Debug for Hasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hasher").finish_non_exhaustive()
    }
}
