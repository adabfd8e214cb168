//! The signals that an operator sends to an agent.

use anyhow::Context;
use tokio::signal::unix::{Signal as Stream, SignalKind, signal};

/// What an operator wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// SIGTERM or SIGINT: stop; executors go on.
    Stop,
    /// SIGUSR1: kill the executors, unregister, stop.
    Retire,
}

/// The signals that have arrived.
#[derive(Debug)]
pub struct Signals {
    terminate: Stream,
    interrupt: Stream,
    retire: Stream,
}

impl Signals {
    /// From here on signals no longer end the process by themselves.
    pub fn listen() -> anyhow::Result<Self> {
        let listen = |kind| signal(kind).context("cannot listen to signals");
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            retire: listen(SignalKind::user_defined1())?,
        })
    }

    /// Waits for the next one.
    pub async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.terminate.recv() => Signal::Stop,
            _ = self.interrupt.recv() => Signal::Stop,
            _ = self.retire.recv() => Signal::Retire,
        }
    }
}
