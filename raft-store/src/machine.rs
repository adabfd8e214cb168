//! The state machine that the store drives, and its type-erased form: the engine below handles
//! only the erased one, so that it is compiled once, here.

use std::any::Any;

use bytes::Bytes;

use crate::{ApplyError, LogIndex};

/// A committed command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committed {
    /// Its place in the log.
    pub index: LogIndex,
    /// The term in which it was proposed.
    pub term: u64,
    /// The command itself.
    pub command: Bytes,
}

/// What every member computes alike from the committed commands.
pub trait StateMachine: Send + 'static {
    /// What a command leads to; handed to the proposer.
    type Outcome: Send + 'static;

    /// Applies consecutive committed commands in order, and returns one outcome for each.
    ///
    /// Must be deterministic: no clock, randomness or hash order. An error means that this member
    /// cannot understand a command; the store then stops with that message.
    fn apply(&mut self, batch: &[Committed]) -> Result<Vec<Self::Outcome>, ApplyError>;

    /// A frozen view, cheap to take; it is written on another thread while `apply` goes on.
    fn freeze(&self) -> Box<dyn FrozenState>;

    /// Replaces the whole state by that of a snapshot, in the pieces that `FrozenState::write`
    /// made.
    fn restore(
        &mut self,
        chunks: &mut dyn Iterator<Item = anyhow::Result<Bytes>>,
    ) -> anyhow::Result<()>;
}

/// A frozen view of a state machine.
pub trait FrozenState: Send {
    /// Writes the state in pieces of some 64 to 256 KiB, never more than 4 MiB; `restore` gets
    /// the same pieces.
    fn write(
        self: Box<Self>,
        sink: &mut dyn FnMut(Bytes) -> anyhow::Result<()>,
    ) -> anyhow::Result<()>;
}

pub(crate) type AnyOutcome = Box<dyn Any + Send>;

/// A state machine whose outcome type is hidden.
pub(crate) trait ErasedMachine: Send {
    fn apply(&mut self, batch: &[Committed]) -> Result<Vec<AnyOutcome>, ApplyError>;
    fn freeze(&self) -> Box<dyn FrozenState>;
    fn restore(
        &mut self,
        chunks: &mut dyn Iterator<Item = anyhow::Result<Bytes>>,
    ) -> anyhow::Result<()>;
}

pub(crate) struct Erased<S>(pub(crate) S);

impl<S: StateMachine> ErasedMachine for Erased<S> {
    fn apply(&mut self, batch: &[Committed]) -> Result<Vec<AnyOutcome>, ApplyError> {
        let outcomes = self.0.apply(batch)?;
        Ok(outcomes
            .into_iter()
            .map(|outcome| Box::new(outcome) as AnyOutcome)
            .collect())
    }

    fn freeze(&self) -> Box<dyn FrozenState> {
        self.0.freeze()
    }

    fn restore(
        &mut self,
        chunks: &mut dyn Iterator<Item = anyhow::Result<Bytes>>,
    ) -> anyhow::Result<()> {
        self.0.restore(chunks)
    }
}
