//! `--config FILE`: the flags of a command in a TOML file. A flag on the command line wins
//! over an environment variable, which wins over the file.

use std::ffi::OsString;

use anyhow::Context;
use clap::{CommandFactory, FromArgMatches};

use crate::cli::Cli;

/// Why there is nothing to run.
#[derive(Debug)]
pub enum Failure {
    /// Help, version, or a wrong command line.
    Usage(clap::Error),
    /// The file cannot be used.
    File(anyhow::Error),
}

/// Parses the command line and, if it names a file, that file below it.
///
/// Keys of the file become defaults of the flags of the same name, so that clap itself
/// keeps the precedence and checks the values.
pub fn parse_with_file(arguments: impl Iterator<Item = OsString>) -> Result<Cli, Failure> {
    let arguments: Vec<OsString> = arguments.collect();
    let command = with_environment(Cli::command());
    let matches = command
        .clone()
        .try_get_matches_from(&arguments)
        .map_err(Failure::Usage)?;
    let Some((name, inner)) = matches.subcommand() else {
        return Cli::from_arg_matches(&matches).map_err(Failure::Usage);
    };
    let path = inner
        .try_get_one::<std::path::PathBuf>("config")
        .ok()
        .flatten();
    let Some(path) = path else {
        return Cli::from_arg_matches(&matches).map_err(Failure::Usage);
    };
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("the configuration file {} cannot be read", path.display()))
        .map_err(Failure::File)?;
    let command = with_defaults(command, name, &text)
        .with_context(|| format!("the configuration file {}", path.display()))
        .map_err(Failure::File)?;
    let matches = command
        .try_get_matches_from(&arguments)
        .map_err(Failure::Usage)?;
    Cli::from_arg_matches(&matches).map_err(Failure::Usage)
}

/// Gives every flag of every command its variable: `--data-dir` is `CAPROCK_DATA_DIR`.
fn with_environment(command: clap::Command) -> clap::Command {
    command
        .mut_args(|argument| match argument.get_long().map(variable) {
            Some(name) => argument.env(name).hide_env(true),
            None => argument,
        })
        .mut_subcommands(with_environment)
}

fn variable(flag: &str) -> String {
    format!("CAPROCK_{}", flag.replace('-', "_").to_uppercase())
}

fn with_defaults(command: clap::Command, name: &str, text: &str) -> anyhow::Result<clap::Command> {
    let table: toml::Table = text.parse().context("is not TOML")?;
    let mut command = command;
    for (key, value) in table {
        let id = key.replace('-', "_");
        let known = command
            .find_subcommand(name)
            .is_some_and(|c| c.get_arguments().any(|a| a.get_id() == id.as_str()));
        anyhow::ensure!(known, "sets '{key}', which is not a flag of caprock {name}");
        let value = text_of(&key, &value)?;
        command = command.mut_subcommand(name, |c| c.mut_arg(id, |a| a.default_value(value)));
    }
    Ok(command)
}

fn text_of(key: &str, value: &toml::Value) -> anyhow::Result<String> {
    Ok(match value {
        toml::Value::String(text) => text.clone(),
        toml::Value::Integer(number) => number.to_string(),
        toml::Value::Float(number) => number.to_string(),
        toml::Value::Boolean(flag) => flag.to_string(),
        toml::Value::Array(_) | toml::Value::Table(_) | toml::Value::Datetime(_) => {
            anyhow::bail!("gives '{key}' a value that is neither text nor a number")
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Command;

    fn parse(file: &str, extra: &[&str]) -> Result<Cli, Failure> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("master.toml");
        std::fs::write(&path, file).unwrap();
        let mut arguments: Vec<OsString> = vec![
            "caprock".into(),
            "master".into(),
            "--config".into(),
            path.into(),
        ];
        arguments.extend(extra.iter().map(OsString::from));
        parse_with_file(arguments.into_iter())
    }

    #[test]
    fn a_flag_wins_over_the_file() {
        let cli = parse("id = 3\nhostname = 'h'\n", &["--id", "2"]).unwrap();
        let Command::Master(flags) = cli.command else {
            panic!("not a master")
        };
        assert_eq!((flags.id, flags.hostname.as_deref()), (2, Some("h")));
    }

    #[test]
    fn every_flag_has_a_variable() {
        let command = with_environment(Cli::command());
        let master = command.find_subcommand("master").unwrap();
        let dir = master
            .get_arguments()
            .find(|a| a.get_id() == "data_dir")
            .unwrap();
        assert_eq!(dir.get_env().unwrap(), "CAPROCK_DATA_DIR");
    }

    #[test]
    fn an_unknown_key_is_refused() {
        let Err(Failure::File(error)) = parse("colour = 'red'\n", &[]) else {
            panic!("was accepted")
        };
        assert!(format!("{error:#}").contains("'colour'"), "{error:#}");
    }

    #[test]
    fn a_wrong_value_is_refused() {
        assert!(matches!(parse("id = 'one'\n", &[]), Err(Failure::Usage(_))));
    }
}
