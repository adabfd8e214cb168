//! The small process between the agent and a container's command. It outlives the agent, so
//! that the exit status is on disk even if nobody was there to wait for it, and it adopts
//! every process that the command leaves behind, so that none survives the container.
//!
//! `caprock launch SPEC` is synchronous and uses one thread only.

use std::ffi::OsString;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use rustix::process::{Pid, Signal, WaitOptions};

use crate::containerizer::run_dir::{RunDir, ShimSpec};
use crate::fetcher::{self, FetchSpec};
use crate::procfs;

/// First word of the hidden second stage that becomes the task's user.
const BECOME: &str = "--become";

/// The only word of a process that fetches URIs: its work comes on standard input, and the
/// cause of a failure goes to standard output.
pub(crate) const FETCH: &str = "--fetch";

/// First word of a process that becomes a command beside a container, in a session of its
/// own and with its standard input as terminal, if that is one.
pub(crate) const SESSION: &str = "--session";

/// Runs the shim with the arguments that follow `launch`.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let outcome = match arguments.as_slice() {
        [word] if word == FETCH => fetch(),
        [spec] => supervise(Path::new(spec)),
        [word, spec] if word == BECOME => Err(become_command(Path::new(spec))),
        [word, spec] if word == SESSION => Err(begin_session(Path::new(spec))),
        _ => Err("usage: caprock launch SPEC".to_string()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("caprock launch: {message}");
            ExitCode::FAILURE
        }
    }
}

fn supervise(spec_path: &Path) -> Result<(), String> {
    let run = RunDir::of_spec(spec_path);
    // The lock says "the shim lives": it goes with the process, whatever ends it.
    let (spec, _lock) = run.open_locked().map_err(|error| {
        let message = format!("cannot read {}: {error}", spec_path.display());
        tell_agent(&format!("error {message}\n"));
        message
    })?;
    // Fails only for the leader of a process group, which then has a session already.
    let _ = rustix::process::setsid();
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))
        .map_err(|error| format!("cannot become a subreaper: {error}"))?;
    let child = match spawn(&spec, spec_path) {
        Ok(child) => child,
        Err(message) => {
            tell_agent(&format!("error {message}\n"));
            return Err(message);
        }
    };
    let recorded = run.record_processes(std::process::id(), child);
    tell_agent(&match &recorded {
        Ok(()) => format!("started {child}\n"),
        Err(error) => format!("error cannot record the process: {error}\n"),
    });
    if recorded.is_err() {
        kill_descendants();
    }
    let status = wait_for(child).map_err(|error| format!("cannot wait: {error}"))?;
    run.record_status(status)
        .map_err(|error| format!("cannot record the status: {error}"))?;
    reap_leftovers();
    Ok(())
}

/// The agent listens on the other end of standard input.
fn tell_agent(line: &str) {
    // The agent may be gone; the files tell the next one.
    let _ = rustix::io::write(io::stdin().as_fd(), line.as_bytes());
}

fn spawn(spec: &ShimSpec, spec_path: &Path) -> Result<u32, String> {
    let mut command = match &spec.account {
        None => command_of(spec),
        // Still root: the container's environment must not reach this stage's loader.
        Some(_) => {
            let mut command = Command::new("/proc/self/exe");
            command
                .args(&spec.shim_arguments)
                .arg(BECOME)
                .arg(spec_path);
            command
        }
    };
    command.stdin(Stdio::null()).process_group(0);
    // The child is waited for together with everything it leaves behind.
    match command.spawn() {
        Ok(child) => Ok(child.id()),
        Err(error) => Err(format!("Failed to execute '{}': {error}", spec.program)),
    }
}

fn command_of(spec: &ShimSpec) -> Command {
    let mut command = Command::new(program_path(spec));
    if let Some((name, rest)) = spec.arguments.split_first() {
        command.arg0(name).args(rest);
    }
    command
        .current_dir(&spec.directory)
        .env_clear()
        .envs(spec.environment.iter().map(|(name, value)| (name, value)));
    command
}

/// Relative programs are found in the sandbox or in the container's `PATH`, as execvp does
/// after the change of directory.
fn program_path(spec: &ShimSpec) -> PathBuf {
    let program = Path::new(&spec.program);
    if spec.program.contains('/') {
        return spec.directory.join(program);
    }
    let path = spec.environment.iter().rfind(|(name, _)| name == "PATH");
    let folders = path.map(|(_, value)| value.as_str()).unwrap_or_default();
    folders
        .split(':')
        .map(|folder| spec.directory.join(folder).join(program))
        .find(|candidate| candidate.is_file())
        .unwrap_or_else(|| program.to_path_buf())
}

/// Second stage: give up root for good, then become the command. Returns only on failure.
/// Its own process, because the shim must keep the right to write the status.
fn become_command(spec_path: &Path) -> String {
    let spec = match RunDir::of_spec(spec_path).read_spec() {
        Ok(spec) => spec,
        Err(error) => return format!("cannot read {}: {error}", spec_path.display()),
    };
    if let Some(account) = &spec.account
        && let Err(error) = account.take_on()
    {
        return format!("cannot become user {}: {error}", account.uid);
    }
    let error = command_of(&spec).exec();
    format!("Failed to execute '{}': {error}", spec.program)
}

fn begin_session(spec_path: &Path) -> String {
    if let Err(error) = rustix::process::setsid() {
        return format!("cannot begin a session: {error}");
    }
    let terminal = io::stdin();
    if rustix::termios::isatty(&terminal)
        && let Err(error) = rustix::process::ioctl_tiocsctty(&terminal)
    {
        return format!("cannot take the terminal: {error}");
    }
    become_command(spec_path)
}

/// Gives up root if there is another account to use, then fetches.
fn fetch() -> Result<(), String> {
    let outcome = io::read_to_string(io::stdin())
        .map_err(|error| error.to_string())
        .and_then(|text| {
            serde_json::from_str::<FetchSpec>(&text).map_err(|error| error.to_string())
        })
        .and_then(|spec| {
            if let Some(account) = &spec.account {
                account
                    .take_on()
                    .map_err(|error| format!("cannot become user: {error}"))?;
            }
            fetcher::fetch(&spec)
        });
    if let Err(message) = &outcome {
        println!("{message}");
    }
    outcome
}

/// Waits for the command, and for whatever was left to this process meanwhile.
fn wait_for(child: u32) -> io::Result<i32> {
    loop {
        let ended = match rustix::process::wait(WaitOptions::empty()) {
            Err(rustix::io::Errno::INTR) => continue,
            other => other?,
        };
        if let Some((pid, status)) = ended
            && u32::try_from(pid.as_raw_pid()) == Ok(child)
        {
            return Ok(status.as_raw());
        }
    }
}

/// Kills what the command left behind until there is nothing more to wait for.
fn reap_leftovers() {
    loop {
        kill_descendants();
        match rustix::process::wait(WaitOptions::empty()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(_) => return,
        }
    }
}

fn kill_descendants() {
    for process in procfs::descendants(&procfs::processes(), std::process::id()) {
        let pid = i32::try_from(process.pid).ok().and_then(Pid::from_raw);
        if let Some(pid) = pid {
            // It may have ended by itself.
            let _ = rustix::process::kill_process(pid, Signal::KILL);
        }
    }
}
