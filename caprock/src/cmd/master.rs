//! `caprock master`.

use std::process::ExitCode;

use crate::cli::MasterFlags;
use crate::stop::stop_signal;

/// Serves until SIGTERM or Ctrl-C; a leader hands over first.
pub fn run(flags: &MasterFlags) -> anyhow::Result<ExitCode> {
    let config = flags.to_config()?;
    crate::logging::start(&flags.log)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async { caprock_master::run(config, stop_signal()?).await })?;
    Ok(ExitCode::SUCCESS)
}
