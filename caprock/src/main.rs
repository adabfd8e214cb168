//! `caprock`: the master, the agent and the tools of an operator in one program.
//!
//! Reading order: [`cli`] (every command with its flags), [`cmd`] (a file per command),
//! [`config_file`], [`output`].

mod cli;
mod cmd;
mod config_file;
mod logging;
mod output;
mod stop;

use std::process::ExitCode;

use crate::cli::{Cli, Command};

fn main() -> ExitCode {
    // A container's launcher is started for every task: it must not pay for the parser,
    // the runtime or the logging of the rest.
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().is_some_and(|first| first == "launch") {
        return caprock_agent::shim::main(arguments);
    }
    let cli = match config_file::parse_with_file(std::env::args_os()) {
        Ok(matches) => matches,
        Err(config_file::Failure::Usage(error)) => error.exit(),
        Err(config_file::Failure::File(error)) => return failure(&error),
    };
    match run(cli) {
        Ok(code) => code,
        Err(error) => failure(&error),
    }
}

/// One clear line on stderr; scripts look at the exit status.
fn failure(error: &anyhow::Error) -> ExitCode {
    eprintln!("caprock: {error:#}");
    ExitCode::FAILURE
}

fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    match cli.command {
        Command::Master(flags) => cmd::master::run(&flags),
        Command::Agent(flags) => cmd::agent::run(&flags),
        Command::Gateway(flags) => cmd::gateway::run(&flags),
        Command::Dev(flags) => cmd::dev::run(&flags),
        Command::Run(flags) => cmd::run::run(flags),
        Command::Quorum(flags) => cmd::quorum::run(&flags),
        Command::Agents(flags) => cmd::agents::run(&flags),
        Command::Frameworks(flags) => cmd::frameworks::run(&flags),
        Command::Tasks(flags) => cmd::tasks::run(&flags),
        Command::Version => cmd::version::run(),
        Command::Completions { shell } => cmd::completions::run(shell),
    }
}

/// The runtime of a command that talks to a cluster.
fn block_on<F: Future>(future: F) -> anyhow::Result<F::Output> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    Ok(runtime.block_on(future))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{CommandFactory, Parser};

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_explains_itself() {
        for command in Cli::command().get_subcommands() {
            assert!(
                command.get_about().is_some(),
                "{} has no help",
                command.get_name()
            );
        }
    }

    #[test]
    fn a_wrong_flag_is_an_error() {
        assert!(Cli::try_parse_from(["caprock", "master", "--no-such-flag"]).is_err());
    }
}
