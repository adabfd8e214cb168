//! `caprock completions SHELL`.

use std::process::ExitCode;

use clap::CommandFactory;
use clap_complete::Shell;

use crate::cli::Cli;

/// Writes the completion script to stdout.
pub fn run(shell: Shell) -> anyhow::Result<ExitCode> {
    clap_complete::generate(
        shell,
        &mut Cli::command(),
        "caprock",
        &mut std::io::stdout(),
    );
    Ok(ExitCode::SUCCESS)
}
