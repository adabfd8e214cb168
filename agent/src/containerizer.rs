//! Starts, signals and forgets containers, and tells the driver what became of them. A
//! container is a process group under a shim; it survives the agent.
//!
//! Reading order: `sandbox`, `environment`, `run_dir`, `launch`, `signal`, `recover`.

pub mod account;
mod collector;
pub mod environment;
mod launch;
mod recover;
pub mod run_dir;
pub mod sandbox;
pub mod session;
mod signal;
mod statistics;
#[cfg(test)]
pub(crate) mod test_support;
mod watch;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use caprock_agent_core::{Input, LaunchSpec, Signal, Volume, VolumeMount};
use caprock_model::{ContainerId, Millis};
use caprock_proto::mesos::v1::ResourceStatistics;
use tokio::sync::watch as channel;

use crate::inbox::Inbox;
use crate::volumes;
use collector::Collector;
pub use collector::Policy as CollectionPolicy;
pub use recover::Survivors;
use run_dir::{Processes, RunDir, ShimSpec};
use session::Sessions;

/// What is the same for all containers.
#[derive(Debug, Clone)]
pub struct Settings {
    pub work_dir: PathBuf,
    pub environment: environment::Settings,
    /// `--switch_user`
    pub switch_user: bool,
    /// `--frameworks_home`
    pub frameworks_home: Option<PathBuf>,
    /// The program that is the shim, and the arguments before the shim's own.
    pub shim_program: PathBuf,
    pub shim_arguments: Vec<String>,
    pub collection: CollectionPolicy,
}

impl Settings {
    /// The folder of the run dirs.
    pub fn containers_dir(&self) -> PathBuf {
        self.work_dir.join("containers")
    }
}

/// A handle; cheap to clone.
#[derive(Debug, Clone)]
pub struct Containerizer {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    settings: Settings,
    inbox: Inbox,
    /// The containers that have a process, or will have one.
    live: Mutex<BTreeMap<ContainerId, Live>>,
    sessions: Sessions,
    collector: Collector,
}

/// A container between the order to launch it and the end of its shim.
#[derive(Debug)]
struct Live {
    processes: Option<Processes>,
    /// The worst signal that came before there was a process; the launch looks at it.
    pending: channel::Sender<Option<Signal>>,
}

impl Containerizer {
    /// Nothing is started by this; the folders are made.
    pub fn new(settings: Settings, inbox: Inbox) -> std::io::Result<Self> {
        std::fs::create_dir_all(settings.containers_dir())?;
        volumes::clear_leftovers(&settings.work_dir);
        let collector = Collector::start(&settings);
        let live = Mutex::new(BTreeMap::new());
        Ok(Self {
            shared: Arc::new(Shared {
                settings,
                inbox,
                live,
                sessions: Sessions::default(),
                collector,
            }),
        })
    }

    /// Starts a container. The inbox gets either ContainerStarted and later ContainerExited,
    /// or ContainerFailed.
    pub fn launch(&self, spec: LaunchSpec) {
        let (pending, signals) = channel::channel(None);
        let container = spec.container.clone();
        self.live().insert(
            container,
            Live {
                processes: None,
                pending,
            },
        );
        let this = self.clone();
        tokio::spawn(async move { this.run(spec, signals).await });
    }

    /// Signals all processes of a container; one that is still being launched is not
    /// started, or gets the signal as soon as it is.
    pub fn signal(&self, container: &ContainerId, signal: Signal) {
        let live = self.live();
        let Some(entry) = live.get(container) else {
            return;
        };
        match entry.processes {
            Some(processes) => {
                tokio::task::spawn_blocking(move || signal::send(processes, signal));
            }
            None => entry.pending.send_modify(|pending| {
                if *pending != Some(Signal::Kill) {
                    *pending = Some(signal);
                }
            }),
        }
    }

    /// The sandbox may go after the collection delay.
    pub fn collect(&self, container: &ContainerId) {
        let run = self.run_dir(container);
        self.shared.collector.collect(container.clone(), run);
    }

    /// Makes the folders of volumes, unless they are there.
    pub fn make_volumes(&self, all: &[Volume]) -> Result<(), String> {
        volumes::make(&self.settings().work_dir, all)
            .map_err(|error| format!("cannot make persistent volumes: {error}"))
    }

    /// Deletes volumes with all that is in them.
    pub fn delete_volumes(&self, all: &[Volume]) -> Result<(), String> {
        volumes::delete(&self.settings().work_dir, all)
            .map_err(|error| format!("cannot delete persistent volumes: {error}"))
    }

    /// Shows volumes to a container that runs.
    pub fn link_volumes(&self, container: &ContainerId, mounts: &[VolumeMount]) {
        let run = self.run_dir(container);
        let Some(sandbox) = run.sandbox() else {
            return;
        };
        let account = run.read_spec().ok().and_then(|spec| spec.account);
        let work_dir = &self.settings().work_dir;
        if let Err(error) = volumes::link(work_dir, &sandbox, mounts, account.as_ref()) {
            tracing::warn!(%container, "{error}");
        }
    }

    /// What the container is, for its checks: they run in the same environment.
    pub fn spec(&self, container: &ContainerId) -> std::io::Result<ShimSpec> {
        self.run_dir(container).read_spec()
    }

    /// Measures those of the containers that run, together; `None` if none does. Walks
    /// `/proc`: not for the threads of the runtime.
    pub fn statistics(
        &self,
        containers: &[ContainerId],
        now: Millis,
    ) -> Option<ResourceStatistics> {
        let running: Vec<Processes> = {
            let live = self.live();
            containers
                .iter()
                .filter_map(|container| live.get(container)?.processes)
                .collect()
        };
        (!running.is_empty()).then(|| statistics::measure(&running, now))
    }

    /// Settings of this containerizer.
    pub fn settings(&self) -> &Settings {
        &self.shared.settings
    }

    fn run_dir(&self, container: &ContainerId) -> RunDir {
        RunDir::new(&self.shared.settings.containers_dir(), container)
    }

    fn live(&self) -> MutexGuard<'_, BTreeMap<ContainerId, Live>> {
        // A panic elsewhere leaves the map whole: every change of it is one call.
        self.shared
            .live
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    async fn tell(&self, input: Input) {
        self.shared.inbox.input(input).await;
    }

    /// The command line of another process of this program.
    fn shim_command(&self, arguments: impl IntoIterator<Item = OsString>) -> std::process::Command {
        let mut command = std::process::Command::new(&self.shared.settings.shim_program);
        command
            .args(&self.shared.settings.shim_arguments)
            .args(arguments);
        command
    }
}
