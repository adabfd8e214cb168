//! Signals for everything in a container: the process group of its command, and what has
//! left that group but not the container (Mesos: stout/os/killtree.hpp).

use std::path::Path;

use caprock_agent_core::Signal;
use rustix::process::{Pid, kill_process, kill_process_group};

use super::run_dir::Processes;
use crate::procfs;

/// Signals all processes of a container, but not its shim.
pub fn send(container: Processes, signal: Signal) {
    let signal = match signal {
        Signal::Terminate => rustix::process::Signal::TERM,
        Signal::Kill => rustix::process::Signal::KILL,
    };
    let all = procfs::processes();
    let below = procfs::descendants(&all, container.shim);
    // The id of the group stays taken while it has a member, so a group with a member in
    // this container is the container's.
    if below
        .iter()
        .any(|process| process.group == container.command)
    {
        with_pid(container.command, |pid| kill_process_group(pid, signal));
    }
    for process in below
        .iter()
        .filter(|process| process.group != container.command)
    {
        with_pid(process.pid, |pid| kill_process(pid, signal));
    }
}

/// Kills what a shim left behind that was itself killed: its session outlives it. It may be
/// long since, so that the id is another's by now: only what has the sandbox in its
/// environment is the container's.
pub fn kill_abandoned(container: Processes, sandbox: &Path) {
    let sandbox = sandbox.as_os_str().as_encoded_bytes();
    for process in procfs::processes().values() {
        if process.session == container.shim
            && process.pid != container.shim
            && procfs::environment_has(process.pid, sandbox)
        {
            with_pid(process.pid, |pid| {
                kill_process(pid, rustix::process::Signal::KILL)
            });
        }
    }
}

/// Kills all processes of a session. No other process can be given its id while it has one.
pub fn kill_session(session: u32) {
    for process in procfs::processes()
        .values()
        .filter(|process| process.session == session)
    {
        with_pid(process.pid, |pid| {
            kill_process(pid, rustix::process::Signal::KILL)
        });
    }
}

/// Asks the process group of a session's leader to end.
pub fn terminate_group(leader: u32) {
    with_pid(leader, |pid| {
        kill_process_group(pid, rustix::process::Signal::TERM)
    });
}

fn with_pid(pid: u32, action: impl FnOnce(Pid) -> rustix::io::Result<()>) {
    let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) else {
        return;
    };
    match action(pid) {
        // It has just ended by itself.
        Ok(()) | Err(rustix::io::Errno::SRCH) => {}
        Err(error) => tracing::warn!("cannot signal {pid:?}: {error}"),
    }
}
