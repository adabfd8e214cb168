//! Commands that run beside a container for as long as somebody is connected: what
//! `mesos task exec` uses. They share the container's sandbox, environment and user, and do
//! not survive the agent (Mesos: src/slave/containerizer/mesos/io/switchboard.cpp).

mod io;
mod terminal;

use std::collections::BTreeMap;
use std::process::ExitStatus;
use std::sync::{Mutex, MutexGuard, PoisonError};

use caprock_agent_core::Signal;
use caprock_model::ContainerId;
use caprock_proto::mesos::v1::CommandInfo;
use tokio::process::{Child, Command};
use tokio::sync::{mpsc, watch};

use super::run_dir::{RunDir, ShimSpec};
use super::{Containerizer, launch, signal};
use crate::shim::SESSION;
pub use io::{Ends, Output, SessionInput};

/// Pieces of input that wait for the command to read them.
const INPUT_CAPACITY: usize = 64;

/// A session by its container ids, from the outermost.
pub type SessionId = Vec<String>;

/// The sessions that are open.
#[derive(Debug, Default)]
pub(super) struct Sessions(Mutex<BTreeMap<SessionId, Session>>);

impl Sessions {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<SessionId, Session>> {
        // A panic elsewhere leaves the map whole: every change of it is one call.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What others may do with an open session.
#[derive(Debug, Clone)]
pub struct Session {
    pid: u32,
    pub input: mpsc::Sender<SessionInput>,
    /// The raw wait(2) word, once it has ended.
    pub ended: watch::Receiver<Option<i32>>,
}

/// A session for the one who has opened it. It ends when this is dropped.
#[derive(Debug)]
pub struct OpenSession {
    pub output: mpsc::Receiver<Output>,
    _guard: Guard,
}

#[derive(Debug)]
struct Guard {
    pid: u32,
    ended: watch::Receiver<Option<i32>>,
}

impl Drop for Guard {
    fn drop(&mut self) {
        if self.ended.borrow().is_some() {
            return;
        }
        let pid = self.pid;
        // Walks /proc. Without a runtime the process ends, and its pipes with it.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn_blocking(move || signal::kill_session(pid));
        }
    }
}

impl Containerizer {
    /// Starts a command beside the container that is the last but one of the ids.
    pub async fn open_session(
        &self,
        id: SessionId,
        command: &CommandInfo,
        terminal: bool,
    ) -> Result<OpenSession, String> {
        let [.., parent, own] = id.as_slice() else {
            return Err("Expecting 'container_id.parent' to be present".into());
        };
        let (parent, own) = (
            ContainerId::from(parent.as_str()),
            ContainerId::from(own.as_str()),
        );
        if !self.live().contains_key(&parent) {
            return Err(format!("Container {parent} cannot be found"));
        }
        if self.live().contains_key(&own) || self.shared.sessions.lock().contains_key(&id) {
            return Err(format!("Container {own} has already been started"));
        }
        let spec = self.session_spec(&parent, command)?;
        let run = self.run_dir(&own);
        let failed = |error: std::io::Error| format!("Failed to launch container: {error}");
        let spec_path = run.create(&spec).map_err(failed)?;
        let started = self
            .start_session(spec_path.into(), terminal)
            .map_err(failed);
        let (child, ends) = match started {
            Ok(started) => started,
            Err(error) => {
                remove(&run);
                return Err(error);
            }
        };
        Ok(self.follow(id, run, child, ends))
    }

    /// An open session.
    pub fn session(&self, id: &SessionId) -> Option<Session> {
        self.shared.sessions.lock().get(id).cloned()
    }

    /// Signals a session's processes; false if there is no such session.
    pub fn signal_session(&self, id: &SessionId, number: Signal) -> bool {
        let Some(session) = self.session(id) else {
            return false;
        };
        match number {
            Signal::Kill => drop(tokio::task::spawn_blocking(move || {
                signal::kill_session(session.pid);
            })),
            Signal::Terminate => signal::terminate_group(session.pid),
        }
        true
    }

    fn session_spec(
        &self,
        parent: &ContainerId,
        command: &CommandInfo,
    ) -> Result<ShimSpec, String> {
        let mut spec = self.spec(parent).map_err(|error| error.to_string())?;
        (spec.program, spec.arguments) = launch::program_of(command)?;
        let own = command
            .environment
            .iter()
            .flat_map(|environment| &environment.variables);
        let own = own.filter_map(|given| Some((given.name.clone(), given.value.clone()?)));
        spec.environment.extend(own);
        Ok(spec)
    }

    fn start_session(
        &self,
        spec_path: std::ffi::OsString,
        terminal: bool,
    ) -> std::io::Result<(Child, Ends)> {
        let mut command = Command::from(self.shim_command([SESSION.into(), spec_path]));
        if terminal {
            terminal::spawn(&mut command)
        } else {
            io::spawn_with_pipes(&mut command)
        }
    }

    fn follow(&self, id: SessionId, run: RunDir, mut child: Child, ends: Ends) -> OpenSession {
        let pid = child.id().unwrap_or_default();
        let (input, inputs) = mpsc::channel(INPUT_CAPACITY);
        let (ended, watched) = watch::channel(None);
        let guard = Guard {
            pid,
            ended: watched.clone(),
        };
        let session = Session {
            pid,
            input,
            ended: watched,
        };
        self.shared.sessions.lock().insert(id.clone(), session);
        let output = ends.start(inputs);
        let this = self.clone();
        tokio::spawn(async move {
            let status = child.wait().await;
            // What it left behind keeps the id of the session from being used again.
            let _ = tokio::task::spawn_blocking(move || signal::kill_session(pid)).await;
            this.shared.sessions.lock().remove(&id);
            remove(&run);
            // Nobody may be waiting.
            let _ = ended.send(Some(status.map_or(-1, raw)));
        });
        OpenSession {
            output,
            _guard: guard,
        }
    }
}

fn raw(status: ExitStatus) -> i32 {
    std::os::unix::process::ExitStatusExt::into_raw(status)
}

fn remove(run: &RunDir) {
    if let Err(error) = run.remove() {
        tracing::warn!("cannot remove the files of a session: {error}");
    }
}
