//! Member to member over gRPC: the engine's messages one way, their handlers the other.

mod channels;
mod client;
mod server;
mod snapshot;

pub(crate) use channels::{Channels, Lane};
pub(crate) use client::Network;
pub(crate) use server::{AdmitJoin, Service, Throttle};

/// No message between members is larger: 2 MiB of entries, or one command or chunk of 4 MiB.
pub(crate) const MESSAGE_BYTES_MAX: usize = 16 * 1024 * 1024;
