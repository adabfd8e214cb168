//! Where the log lines go, and how many there are.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// Logs to stderr. `CAPROCK_LOG` takes filters such as `debug` or `caprock_master=trace`.
pub fn start(filter: &str) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(filter)
        .map_err(|e| anyhow::anyhow!("--log '{filter}' is not a filter: {e}"))?;
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .init();
    Ok(())
}
