//! `caprock gateway`.

use std::process::ExitCode;

use crate::cli::GatewayFlags;
use crate::stop::stop_signal;

/// Serves until SIGTERM or Ctrl-C.
pub fn run(flags: &GatewayFlags) -> anyhow::Result<ExitCode> {
    crate::logging::start(&flags.log)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        caprock_master::gateway::run(flags.to_config(), stop_signal()?).await
    })?;
    Ok(ExitCode::SUCCESS)
}
