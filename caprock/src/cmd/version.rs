//! `caprock version`.

use std::process::ExitCode;

/// Prints Caprock's version and the level of the Mesos API that it speaks.
pub fn run() -> anyhow::Result<ExitCode> {
    println!("caprock {}", env!("CARGO_PKG_VERSION"));
    println!("Mesos API {}", caprock_master::MESOS_VERSION);
    Ok(ExitCode::SUCCESS)
}
