//! `caprock agent`.

use std::process::ExitCode;

use caprock_agent::Signals;

use crate::cli::AgentFlags;

/// Serves until SIGTERM or Ctrl-C, which leave the tasks running, or SIGUSR1, which ends them.
pub fn run(flags: &AgentFlags) -> anyhow::Result<ExitCode> {
    let config = flags.to_config()?;
    crate::logging::start(&flags.log)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async { caprock_agent::run(config, Signals::listen()?).await })?;
    Ok(ExitCode::SUCCESS)
}
