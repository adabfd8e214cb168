//! The signals that end a server.

use tokio::signal::unix::{SignalKind, signal};

/// Ends with SIGTERM or SIGINT. From here on they no longer end the process by themselves.
pub fn stop_signal() -> std::io::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}
