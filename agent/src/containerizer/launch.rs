//! From the order to launch a container to its end.

use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::process::Stdio;

use caprock_agent_core::{Input, LaunchSpec, Signal};
use caprock_model::ContainerId;
use caprock_proto::mesos::v1::{CommandInfo, ContainerInfo, container_info};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::pipe;
use tokio::process::Child;
use tokio::sync::watch;

use super::account::{self, Account};
use super::run_dir::{Processes, RunDir, ShimSpec};
use super::sandbox::Sandbox;
use super::{Containerizer, environment, signal};
use crate::fetcher::{FetchSpec, Item};
use crate::shim::FETCH;
use crate::volumes;

const KILLED: &str = "Container destroyed while it was being launched";

/// Longest text of a failed fetch that is passed on.
const FETCH_ERROR_MAX_BYTES: u64 = 4096;

/// What a container needs before its command can start.
struct Prepared {
    shim: ShimSpec,
    stdout: File,
    stderr: File,
}

type Signals = watch::Receiver<Option<Signal>>;

impl Containerizer {
    /// Runs a container to its end.
    pub(super) async fn run(self, spec: LaunchSpec, signals: Signals) {
        let container = spec.container.clone();
        match self.start(spec, signals).await {
            Ok((child, processes)) => {
                let pid = processes.command;
                self.tell(Input::ContainerStarted {
                    container: container.clone(),
                    pid,
                })
                .await;
                self.deliver_pending(&container, processes);
                self.wait(child, &container, processes).await;
            }
            Err(message) => {
                self.live().remove(&container);
                tracing::warn!(%container, "cannot launch the container: {message}");
                self.tell(Input::ContainerFailed { container, message })
                    .await;
            }
        }
    }

    async fn start(
        &self,
        spec: LaunchSpec,
        mut signals: Signals,
    ) -> Result<(Child, Processes), String> {
        let this = self.clone();
        let items: Vec<Item> = spec.command.uris.iter().map(Item::from).collect();
        let container = spec.container.clone();
        let prepared = tokio::task::spawn_blocking(move || this.prepare(&spec))
            .await
            .map_err(|error| error.to_string())??;
        if !items.is_empty() {
            tokio::select! {
                fetched = self.fetch(&prepared, items) => fetched?,
                _ = signals.wait_for(Option::is_some) => return Err(KILLED.into()),
            }
        }
        if signals.borrow().is_some() {
            return Err(KILLED.into());
        }
        self.spawn(&container, prepared).await
    }

    /// Makes the sandbox and everything that is known before the URIs are there.
    fn prepare(&self, spec: &LaunchSpec) -> Result<Prepared, String> {
        let settings = self.settings();
        spec.container_info.as_ref().map_or(Ok(()), supported)?;
        let account = match &spec.user {
            Some(user) if settings.switch_user => {
                account::lookup(user).map_err(|error| error.to_string())?
            }
            _ => None,
        };
        let failed = |error: io::Error| format!("Failed to create the sandbox: {error}");
        let sandbox = Sandbox::of(&settings.work_dir, spec).map_err(failed)?;
        let run = self.run_dir(&spec.container);
        // A sandbox that lies in another's goes with that one.
        let top = spec.parent.as_ref().map_or(run, |pod| self.run_dir(pod));
        top.record_sandbox(sandbox.pod.as_ref().unwrap_or(&sandbox.path))
            .map_err(failed)?;
        sandbox.create(spec, account.as_ref()).map_err(failed)?;
        let work_dir = &settings.work_dir;
        if let Some(pod) = &sandbox.pod {
            volumes::link(work_dir, pod, &spec.pod_volumes, account.as_ref())?;
        }
        volumes::link(work_dir, &sandbox.path, &spec.volumes, account.as_ref())?;
        let (stdout, stderr) = sandbox.open_outputs(account.as_ref()).map_err(failed)?;
        let shim = self.shim_spec(spec, &sandbox, account)?;
        Ok(Prepared {
            shim,
            stdout,
            stderr,
        })
    }

    fn shim_spec(
        &self,
        spec: &LaunchSpec,
        sandbox: &Sandbox,
        account: Option<Account>,
    ) -> Result<ShimSpec, String> {
        let (program, arguments) = program_of(&spec.command)?;
        let settings = self.settings();
        Ok(ShimSpec {
            program,
            arguments,
            environment: environment::environment(&settings.environment, spec, &sandbox.path),
            directory: sandbox.path.clone(),
            account,
            shim_arguments: settings.shim_arguments.clone(),
        })
    }

    async fn fetch(&self, prepared: &Prepared, items: Vec<Item>) -> Result<(), String> {
        let failed = |error: io::Error| format!("Failed to fetch URIs: {error}");
        let spec = serde_json::to_vec(&FetchSpec {
            directory: prepared.shim.directory.clone(),
            items,
            frameworks_home: self.settings().frameworks_home.clone(),
            account: prepared.shim.account.clone(),
        })
        .map_err(|error| failed(error.into()))?;
        let mut command = tokio::process::Command::from(self.shim_command([FETCH.into()]));
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(prepared.stderr.try_clone().map_err(failed)?)
            .process_group(0)
            .kill_on_drop(true);
        let mut child = command.spawn().map_err(failed)?;
        if let Some(mut input) = child.stdin.take() {
            // A child that is dead already says why with its status.
            let _ = input.write_all(&spec).await;
        }
        let mut cause = Vec::new();
        if let Some(output) = child.stdout.take() {
            output
                .take(FETCH_ERROR_MAX_BYTES)
                .read_to_end(&mut cause)
                .await
                .map_err(failed)?;
        }
        let status = child.wait().await.map_err(failed)?;
        if status.success() {
            return Ok(());
        }
        let cause = String::from_utf8_lossy(&cause);
        match cause.trim() {
            "" => Err(format!("Failed to fetch all URIs: {status}")),
            cause => Err(cause.to_string()),
        }
    }

    async fn spawn(
        &self,
        container: &ContainerId,
        prepared: Prepared,
    ) -> Result<(Child, Processes), String> {
        let failed = |error: io::Error| format!("Failed to start the launcher: {error}");
        let run = self.run_dir(container);
        let shim = prepared.shim.clone();
        let spec_path = tokio::task::spawn_blocking({
            let run = run.clone();
            move || run.create(&shim)
        })
        .await
        .map_err(|error| error.to_string())?
        .map_err(failed)?;
        let (reader, writer) = io::pipe().map_err(failed)?;
        let mut child = {
            let mut command = tokio::process::Command::from(self.shim_command([spec_path.into()]));
            // The shim answers on its standard input: the other two are the container's.
            command
                .stdin(writer)
                .stdout(prepared.stdout)
                .stderr(prepared.stderr);
            command.spawn().map_err(failed)?
        };
        let answer = read_answer(reader.into()).await.map_err(failed)?;
        let Some(command) = answer
            .strip_prefix("started ")
            .and_then(|pid| pid.parse().ok())
        else {
            // It ends by itself; it must not be there when the files go.
            let _ = child.wait().await;
            forget(run);
            return Err(match answer.strip_prefix("error ") {
                Some(cause) => cause.to_string(),
                None => "the launcher ended without an answer".into(),
            });
        };
        let shim = child.id().unwrap_or_default();
        Ok((child, Processes { shim, command }))
    }

    fn deliver_pending(&self, container: &ContainerId, processes: Processes) {
        let mut live = self.live();
        let Some(entry) = live.get_mut(container) else {
            return;
        };
        entry.processes = Some(processes);
        let pending = *entry.pending.borrow();
        drop(live);
        if let Some(signal) = pending {
            self.signal(container, signal);
        }
    }

    async fn wait(&self, mut child: Child, container: &ContainerId, processes: Processes) {
        if let Err(error) = child.wait().await {
            tracing::warn!(%container, "cannot wait for the launcher: {error}");
        }
        self.ended(container, processes).await;
    }

    /// The shim has ended: tells what is known about the command.
    pub(super) async fn ended(&self, container: &ContainerId, processes: Processes) {
        self.live().remove(container);
        let run = self.run_dir(container);
        let wait_status = run.status();
        if wait_status.is_none() {
            tracing::warn!(%container, "the launcher was killed");
            if let Ok(spec) = run.read_spec() {
                kill_abandoned(processes, spec.directory).await;
            }
        }
        let container = container.clone();
        self.tell(Input::ContainerExited {
            container,
            wait_status,
        })
        .await;
    }
}

/// The program of a command, and its arguments with its name first.
pub(super) fn program_of(command: &CommandInfo) -> Result<(String, Vec<String>), String> {
    let value = command.value.clone().unwrap_or_default();
    let (program, arguments) = if command.shell() {
        (
            "/bin/sh".to_string(),
            vec!["sh".to_string(), "-c".to_string(), value],
        )
    } else if command.arguments.is_empty() {
        (value.clone(), vec![value])
    } else {
        (value, command.arguments.clone())
    };
    if program.is_empty() {
        return Err("the command has no value".into());
    }
    Ok((program, arguments))
}

/// Kills what is left of a container whose shim has left no status.
pub(super) async fn kill_abandoned(processes: Processes, sandbox: PathBuf) {
    let killed = tokio::task::spawn_blocking(move || signal::kill_abandoned(processes, &sandbox));
    // Joining fails only if the runtime is going down.
    let _ = killed.await;
}

async fn read_answer(reader: std::os::fd::OwnedFd) -> io::Result<String> {
    let mut line = String::new();
    let receiver = pipe::Receiver::from_owned_fd(reader)?;
    BufReader::new(receiver).read_line(&mut line).await?;
    Ok(line.trim_end().to_string())
}

fn forget(run: RunDir) {
    tokio::task::spawn_blocking(move || {
        if let Err(error) = run.clear() {
            tracing::warn!("cannot remove a run dir: {error}");
        }
    });
}

/// Images need a containerizer that this agent does not have.
fn supported(info: &ContainerInfo) -> Result<(), String> {
    let image = info
        .mesos
        .as_ref()
        .is_some_and(|mesos| mesos.image.is_some());
    match info.r#type() {
        container_info::Type::Docker => Err(
            "None of the enabled containerizers (mesos) could create a container for the \
                 provided TaskInfo/ExecutorInfo message: it asks for Docker"
                .into(),
        ),
        container_info::Type::Mesos if image => {
            Err("No container image provider is enabled on this agent".into())
        }
        container_info::Type::Mesos => Ok(()),
    }
}
