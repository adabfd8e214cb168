//! The registry as the state machine of the replicated log.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use caprock_proto::caprock::registry::{Entry, SnapshotChunk};
use caprock_raft_store::{ApplyError, Committed, FrozenState, StateMachine, Store};
use caprock_registry::{Limits, Outcome, Registry};
use prost::Message;

use crate::change::Change;
use crate::published::Published;

/// The replicated log with the registry on top.
pub type RegistryStore = Store<RegistryMachine>;

/// Snapshot chunks are packed into pieces of about this size.
const PIECE_BYTES: usize = 128 * 1024;

/// Applies committed entries and publishes the registry after each batch.
#[derive(Debug)]
pub struct RegistryMachine {
    registry: Registry,
    published: Arc<Published>,
}

impl RegistryMachine {
    /// An empty registry that publishes there.
    pub fn new(published: Arc<Published>) -> Self {
        Self {
            registry: Registry::new(Limits::default()),
            published,
        }
    }

    fn apply_one(&mut self, committed: &Committed) -> Result<Outcome, ApplyError> {
        let entry = Entry::decode(committed.command.clone()).map_err(|error| {
            ApplyError(format!(
                "entry {} of the log is not readable: {error}",
                committed.index
            ))
        })?;
        let watched = self.published.change_watchers() > 0;
        let before = watched.then(|| self.registry.clone());
        let outcome = self
            .registry
            .apply(committed.index.0, &entry)
            .map_err(|error| ApplyError(format!("entry {}: {error}", committed.index)))?;
        if let Some(before) = before {
            let after = self.registry.clone();
            self.published.publish_change(Change {
                index: committed.index.0,
                entry,
                before,
                after,
            });
        }
        Ok(outcome)
    }
}

impl StateMachine for RegistryMachine {
    type Outcome = Outcome;

    fn apply(&mut self, batch: &[Committed]) -> Result<Vec<Outcome>, ApplyError> {
        let outcomes: Result<Vec<_>, _> = batch
            .iter()
            .map(|committed| self.apply_one(committed))
            .collect();
        self.published.set_registry(self.registry.clone());
        outcomes
    }

    fn freeze(&self) -> Box<dyn FrozenState> {
        Box::new(FrozenRegistry(self.registry.clone()))
    }

    fn restore(
        &mut self,
        chunks: &mut dyn Iterator<Item = anyhow::Result<Bytes>>,
    ) -> anyhow::Result<()> {
        let mut unpacked = Vec::new();
        for piece in chunks {
            unpack(piece?, &mut unpacked)?;
        }
        self.registry = Registry::restore(unpacked)?;
        self.published.set_registry(self.registry.clone());
        Ok(())
    }
}

struct FrozenRegistry(Registry);

impl FrozenState for FrozenRegistry {
    fn write(
        self: Box<Self>,
        sink: &mut dyn FnMut(Bytes) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let mut piece = BytesMut::new();
        for chunk in self.0.chunks() {
            chunk.encode_length_delimited(&mut piece)?;
            if piece.len() >= PIECE_BYTES {
                sink(piece.split().freeze())?;
            }
        }
        if piece.is_empty() {
            Ok(())
        } else {
            sink(piece.freeze())
        }
    }
}

fn unpack(mut piece: Bytes, chunks: &mut Vec<SnapshotChunk>) -> anyhow::Result<()> {
    while !piece.is_empty() {
        chunks.push(SnapshotChunk::decode_length_delimited(&mut piece)?);
    }
    Ok(())
}
