//! Waiting for the end of a shim that an earlier life of the agent has started: such a
//! process is nobody's child here, but a pidfd becomes readable when it ends.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, pidfd_open};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::run_dir::{Found, Processes, RunDir};

/// How long a shim may take from its lock to the pids of its command.
const START_TIMEOUT: Duration = Duration::from_secs(10);
const START_POLL: Duration = Duration::from_millis(5);

/// The hold on a live shim.
#[derive(Debug)]
pub struct Watch {
    pidfd: AsyncFd<OwnedFd>,
    pub processes: Processes,
}

impl Watch {
    /// Takes hold of the container's shim if it lives, or says what is left of it.
    pub async fn open(run: &RunDir) -> Result<Watch, Found> {
        let deadline = tokio::time::Instant::now() + START_TIMEOUT;
        loop {
            match run.probe() {
                Found::Alive(Some(processes)) => match open_pidfd(processes.shim) {
                    // Alive after the pidfd was opened: so it is the shim's, not that of
                    // another process that was given its pid.
                    Ok(pidfd) if matches!(run.probe(), Found::Alive(_)) => {
                        return Ok(Watch { pidfd, processes });
                    }
                    Ok(_) => {}
                    Err(error) => tracing::debug!("cannot watch {}: {error}", processes.shim),
                },
                Found::Alive(None) => {}
                ended => return Err(ended),
            }
            if tokio::time::Instant::now() > deadline {
                return Err(Found::Unknown);
            }
            tokio::time::sleep(START_POLL).await;
        }
    }

    /// Returns when the shim has ended.
    pub async fn ended(&self) -> io::Result<()> {
        self.pidfd.readable().await.map(|_| ())
    }
}

#[expect(
    deprecated,
    reason = "an OwnedFd keeps the descriptor open; the new form is unsafe"
)]
fn open_pidfd(pid: u32) -> io::Result<AsyncFd<OwnedFd>> {
    let pid = i32::try_from(pid)
        .ok()
        .and_then(Pid::from_raw)
        .ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))?;
    let pidfd = pidfd_open(pid, PidfdFlags::empty())?;
    AsyncFd::with_interest(pidfd, Interest::READABLE)
}
