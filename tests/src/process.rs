//! One process of the cluster.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process};

use crate::wait::eventually;

/// How long an agent may take to end its tasks when a test is over.
const RETIREMENT: Duration = Duration::from_secs(10);

/// The program under test: `CAPROCK`, or what cargo built beside this test.
///
/// # Panics
/// If there is none.
pub fn binary() -> PathBuf {
    if let Some(path) = std::env::var_os("CAPROCK") {
        return path.into();
    }
    let test = std::env::current_exe().expect("a running test has an executable");
    let path = test.ancestors().nth(2).map(|dir| dir.join("caprock"));
    path.filter(|p| p.exists())
        .expect("no caprock binary: run `cargo build --workspace --bins` first")
}

/// A started process; killed when dropped.
#[derive(Debug)]
pub struct Process {
    pub name: String,
    pub port: u16,
    arguments: Vec<String>,
    log: PathBuf,
    child: Option<Child>,
}

impl Process {
    /// Starts `caprock ARGUMENTS`; its output goes to `<dir>/<name>.log`.
    pub fn start(dir: &Path, name: &str, port: u16, arguments: Vec<String>) -> Result<Self> {
        let log = dir.join(format!("{name}.log"));
        let mut process = Process {
            name: name.to_owned(),
            port,
            arguments,
            log,
            child: None,
        };
        process.start_again()?;
        Ok(process)
    }

    /// Starts the same command line again after the process has ended.
    pub fn start_again(&mut self) -> Result<()> {
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.log)?;
        let child = Command::new(binary())
            .args(&self.arguments)
            .env("CAPROCK_LOG", "info")
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("{} cannot be started", self.name))?;
        self.child = Some(child);
        Ok(())
    }

    /// host:port
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The process id, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// SIGKILL, as if the machine had lost power.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("an own child can be killed");
            child.wait().expect("an own child can be waited for");
        }
    }

    /// Sends a signal to the running process.
    pub fn signal(&self, signal: Signal) {
        let pid = self
            .pid()
            .and_then(|pid| i32::try_from(pid).ok())
            .and_then(Pid::from_raw);
        let pid = pid.expect("the process runs");
        kill_process(pid, signal).expect("an own child can be signalled");
    }

    /// Waits for the end of a process that was told to stop.
    pub async fn ended(&mut self) -> ExitStatus {
        let mut child = self.child.take().expect("the process runs");
        eventually(&format!("the end of {}", self.name), async || {
            child
                .try_wait()
                .map_err(|e| e.to_string())?
                .ok_or_else(|| "it runs".to_owned())
        })
        .await
    }

    /// SIGTERM, and the exit status.
    pub async fn stop(&mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.ended().await
    }

    /// SIGUSR1: an agent ends its tasks, so that a test leaves nothing behind.
    pub(crate) fn retire(&mut self) {
        let Some(child) = &self.child else { return };
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        let pid = pid.expect("a running child has a process id");
        // A paused agent has to hear it, too. One that has ended by itself cannot.
        for signal in [Signal::CONT, Signal::USR1] {
            if kill_process(pid, signal).is_err() {
                return;
            }
        }
        let deadline = Instant::now() + RETIREMENT;
        let Some(child) = &mut self.child else { return };
        while matches!(child.try_wait(), Ok(None)) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log();
            let tail: Vec<&str> = log.lines().rev().take(40).collect();
            eprintln!("---- last lines of {} ----", self.name);
            for line in tail.iter().rev() {
                eprintln!("{line}");
            }
        }
        self.kill();
    }
}
