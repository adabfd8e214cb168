//! `caprock master`.

use std::process::ExitCode;

use tokio::signal::unix::{SignalKind, signal};

use crate::cli::MasterFlags;

/// Serves until SIGTERM or Ctrl-C; a leader hands over first.
pub fn run(flags: &MasterFlags) -> anyhow::Result<ExitCode> {
    let config = flags.to_config()?;
    crate::logging::start(&flags.log)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let stop = async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        };
        caprock_master::run(config, stop).await
    })?;
    Ok(ExitCode::SUCCESS)
}
