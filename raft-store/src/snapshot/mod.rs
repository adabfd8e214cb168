//! Snapshots in the family `sm`: each is a generation of chunks; one record points at the current
//! generation. A new one is written beside the old, then the pointer is switched.

mod generation;
mod store;
mod writer;

pub(crate) use generation::Generation;
pub(crate) use store::SnapshotStore;
pub(crate) use writer::SnapshotWriter;

/// Chunks are kept and sent as the state machine made them; this is the largest accepted.
pub(crate) const CHUNK_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Keys of the family `sm`.
mod key {
    pub(super) const CURRENT: &[u8] = b"current";
    /// Sorts before `CURRENT`, so that ranges of chunks never reach it.
    const CHUNK: u8 = b'!';

    pub(super) fn chunk(generation: u64, index: u64) -> [u8; 17] {
        let mut key = [CHUNK; 17];
        key[1..9].copy_from_slice(&generation.to_be_bytes());
        key[9..].copy_from_slice(&index.to_be_bytes());
        key
    }
}

/// FNV-1a over the length and the bytes of each chunk: tells a truncated or mixed-up transfer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Digest(u64);

impl Default for Digest {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Digest {
    pub(crate) fn add(&mut self, chunk: &[u8]) {
        let length = (chunk.len() as u64).to_be_bytes();
        for byte in length.iter().chain(chunk) {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }

    pub(crate) fn value(self) -> u64 {
        self.0
    }
}
