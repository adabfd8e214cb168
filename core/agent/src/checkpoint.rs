//! What survives a restart: typed keys with an ordered byte form, and records with a format
//! version. The agent lists the changes of a step in one [`crate::Effect::Checkpoint`];
//! the shell makes them durable and gives all records back at the next start.

mod key;
mod record;

use bytes::Bytes;

pub use key::Key;
pub use record::{DecodeError, FORMAT, decode, encode};

/// One change of the checkpoint store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    pub key: Key,
    /// The new value; None deletes.
    pub value: Option<Bytes>,
}
