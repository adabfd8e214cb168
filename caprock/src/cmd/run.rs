//! `caprock run`: a one-off framework that launches a command and waits for it.

mod framework;
mod output;
mod progress;

use std::process::ExitCode;

use anyhow::Context;

use crate::block_on;
use crate::cli::RunFlags;
use framework::{Framework, Verdict};

/// Exit status when the deadline passed before the end.
const TIMED_OUT: u8 = 124;

pub fn run(flags: RunFlags) -> anyhow::Result<ExitCode> {
    for pair in &flags.environment {
        anyhow::ensure!(pair.contains('='), "--env '{pair}' is not NAME=VALUE");
    }
    let deadline = flags.deadline;
    let mut framework = Framework::new(flags)?;
    let verdict = block_on(async {
        let interrupted = tokio::signal::ctrl_c();
        let work = async {
            match deadline {
                Some(limit) => tokio::time::timeout(limit, framework.run()).await.ok(),
                None => Some(framework.run().await),
            }
        };
        let result = tokio::select! {
            result = work => result.unwrap_or(Ok(Verdict::TimedOut)),
            interrupted = interrupted => {
                interrupted.context("Ctrl-C cannot be watched").map(|()| Verdict::Interrupted)
            }
        };
        framework.end().await;
        result
    })??;
    Ok(match verdict {
        Verdict::Finished => ExitCode::SUCCESS,
        Verdict::Failed => ExitCode::FAILURE,
        Verdict::TimedOut => ExitCode::from(TIMED_OUT),
        Verdict::Interrupted => ExitCode::from(130),
    })
}
