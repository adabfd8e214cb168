//! Tasks that the agent runs itself, each in a process of its own: the command executor's
//! behaviour without a command executor (Mesos: src/launcher/executor.cpp). Pods use it too.

use caprock_model::{ContainerId, DurationMs, ExecutorId, FrameworkId, TaskId};
use caprock_proto::mesos::v1::task_status::Reason;
use caprock_proto::mesos::v1::{
    self, CommandInfo, ExecutorInfo, Resource, TaskInfo, TaskState, value,
};

use crate::agent::{Agent, Place};
use crate::checkpoint::Key;
use crate::config::Config;
use crate::effect::{Effect, LaunchSpec, Signal};
use crate::executor::Termination;
use crate::exit_status;
use crate::input::TimerKey;
use crate::launch::role_of_task;
use crate::task::{Kill, KillCause, Process, Task};
use crate::view::{ExecutorKind, ExecutorState};
use crate::volumes::mounts_of;

/// What a command executor is given beyond its kill grace period, to end in an orderly way.
const SHUTDOWN_MARGIN: DurationMs = DurationMs(2000);

impl Agent {
    /// Starts the process of a command task, in the executor's container.
    pub(crate) fn start_command(&mut self, framework: &FrameworkId, executor: &ExecutorId) {
        let Some(found) = self.executor_mut(framework, executor) else {
            return;
        };
        let container = found.container.clone();
        let Some(id) = found.queue.first().cloned() else {
            return;
        };
        let Some(task) = found.tasks.get_mut(&id) else {
            return;
        };
        task.process = Some(Process::new(container, None));
        self.mark(Key::Task(framework.clone(), id.clone()));
        self.launch_process(framework, executor, &id);
    }

    /// Has the shell launch the process of a task.
    pub(crate) fn launch_process(
        &mut self,
        framework: &FrameworkId,
        executor: &ExecutorId,
        id: &TaskId,
    ) {
        let Some(owner) = self.frameworks.get(framework) else {
            return;
        };
        let Some(found) = owner.executors.get(executor) else {
            return;
        };
        let Some(task) = found.tasks.get(id) else {
            return;
        };
        let Some(process) = &task.process else { return };
        let command = task
            .info
            .command
            .clone()
            .unwrap_or_else(CommandInfo::default);
        let spec = LaunchSpec {
            container: process.container.clone(),
            framework_id: framework.to_string(),
            executor_id: executor.to_string(),
            agent_id: found.agent_id.clone(),
            user: Some(
                command
                    .user
                    .clone()
                    .unwrap_or_else(|| owner.info.user.clone()),
            ),
            command,
            container_info: task.info.container.clone(),
            checkpoint: owner.checkpoints(),
            allocation_role: role_of_task(&task.info),
            is_command_task: found.kind == ExecutorKind::Command,
            task_id: Some(id.to_string()),
            parent: process.parent.clone(),
            volumes: mounts_of(&task.info.resources),
            pod_volumes: match found.kind {
                ExecutorKind::Pods => mounts_of(&found.info.resources),
                ExecutorKind::Command | ExecutorKind::Custom => Vec::new(),
            },
        };
        let place = Place {
            framework: framework.clone(),
            executor: executor.clone(),
            task: Some(id.clone()),
        };
        self.places.insert(spec.container.clone(), place);
        self.emit(Effect::Launch(Box::new(spec)));
    }

    pub(crate) fn process_started(
        &mut self,
        framework: &FrameworkId,
        executor: &ExecutorId,
        id: &TaskId,
        pid: u32,
    ) {
        let now = self.now;
        let Some(found) = self.executor_mut(framework, executor) else {
            return;
        };
        let command = found.kind == ExecutorKind::Command;
        if command {
            found.pid = Some(pid);
        }
        let Some(task) = found.tasks.get_mut(id) else {
            // Killed while it was launched, and that is acknowledged already.
            let container = found.container.clone();
            return self.kill_container(&container);
        };
        let Some(process) = &mut task.process else {
            return;
        };
        let container = process.container.clone();
        let first = process.started_at.is_none();
        process.pid = Some(pid);
        process.started_at.get_or_insert(now);
        let doomed = process.kill.is_some() || task.is_terminal();
        if command && !doomed {
            task.delivered = true;
            found.queue.clear();
            found.ever_delivered = true;
            if found.state == ExecutorState::Registering {
                found.state = ExecutorState::Running;
            }
        }
        self.mark(Key::Run(framework.clone(), executor.clone()));
        self.mark(Key::Task(framework.clone(), id.clone()));
        if doomed {
            self.kill_container(&container);
        } else if first {
            if command {
                self.report(framework, executor, id, TaskState::TaskStarting);
            }
            self.report(framework, executor, id, TaskState::TaskRunning);
            self.watch_process(framework, id);
        }
    }

    /// Sets off what runs beside a process: its checks, and the clock of its completion time.
    pub(crate) fn watch_process(&mut self, framework: &FrameworkId, id: &TaskId) {
        let Some(task) = self
            .frameworks
            .get(framework)
            .and_then(|found| found.task(id))
        else {
            return;
        };
        let Some(process) = &task.process else { return };
        let container = process.container.clone();
        let (check, health) = (task.info.check.clone(), task.info.health_check.clone());
        if let Some(at) = completion_deadline(task) {
            self.wake(at, TimerKey::MaxCompletion(container.clone()));
        }
        if check.is_some() || health.is_some() {
            self.emit(Effect::StartChecks {
                container,
                check,
                health,
            });
        }
    }

    fn report(
        &mut self,
        framework: &FrameworkId,
        executor: &ExecutorId,
        id: &TaskId,
        state: TaskState,
    ) {
        let mut status = self.process_status(framework, executor, id, state);
        self.add_check_status(framework, id, &mut status);
        self.apply_status(framework, executor, status);
    }

    /// Starts a kill, or shortens the grace period of one that is under way.
    pub(crate) fn kill_process(
        &mut self,
        framework: &FrameworkId,
        id: &TaskId,
        grace: DurationMs,
        cause: KillCause,
    ) {
        let now = self.now;
        let Some(owner) = self.frameworks.get_mut(framework) else {
            return;
        };
        let reports_killing = owner.capabilities.task_killing_state;
        let Some(executor) = owner.placed.get(id).cloned() else {
            return;
        };
        let Some(task) = owner.task_mut(id).filter(|task| !task.is_terminal()) else {
            return;
        };
        let Some(process) = &mut task.process else {
            return;
        };
        let container = process.container.clone();
        if let Some(kill) = &mut process.kill {
            // The default executor does not change a grace period that runs.
            let shorter = process.parent.is_none() && grace < kill.grace;
            if shorter && cause == KillCause::Requested {
                kill.grace = grace;
                let at = kill.at + grace;
                self.mark(Key::Task(framework.clone(), id.clone()));
                self.wake(at, TimerKey::EscalateKill(container));
            }
            return;
        }
        process.kill = Some(Kill {
            at: now,
            grace,
            cause,
        });
        let started = process.started_at.is_some();
        self.mark(Key::Task(framework.clone(), id.clone()));
        if !started {
            self.kill_container(&container);
            return;
        }
        self.stop_checks(framework, id);
        if reports_killing {
            self.report(framework, &executor, id, TaskState::TaskKilling);
        }
        if grace.0 <= 0 {
            self.kill_container(&container);
            return;
        }
        self.emit(Effect::Signal {
            container: container.clone(),
            signal: Signal::Terminate,
        });
        self.wake(now + grace, TimerKey::EscalateKill(container));
    }

    pub(crate) fn escalate_kill(&mut self, container: &ContainerId) {
        let Some(task) = self.task_in(container).filter(|task| !task.is_terminal()) else {
            return;
        };
        let kill = task.process.as_ref().and_then(|process| process.kill);
        let deadline = kill.map(|kill| kill.at + kill.grace);
        if self.is_due(deadline, TimerKey::EscalateKill(container.clone())) {
            self.kill_container(container);
        }
    }

    pub(crate) fn completion_timeout(&mut self, container: &ContainerId) {
        let Some(place) = self.places.get(container).cloned() else {
            return;
        };
        let deadline = self.task_in(container).and_then(completion_deadline);
        let Some(id) = place.task else { return };
        if self.is_due(deadline, TimerKey::MaxCompletion(container.clone())) {
            let cause = KillCause::CompletionTime;
            self.kill_process(&place.framework, &id, DurationMs::ZERO, cause);
        }
    }

    pub(crate) fn task_in(&self, container: &ContainerId) -> Option<&Task> {
        let place = self.places.get(container)?;
        self.frameworks
            .get(&place.framework)?
            .task(place.task.as_ref()?)
    }

    /// The process of a task could not be started.
    pub(crate) fn process_failed(
        &mut self,
        framework: &FrameworkId,
        executor: &ExecutorId,
        id: &TaskId,
        termination: &Termination,
    ) {
        let Some(task) = self
            .frameworks
            .get(framework)
            .and_then(|found| found.task(id))
        else {
            return self.executor_gone(framework, executor, None);
        };
        let killed = task
            .process
            .as_ref()
            .is_some_and(|process| process.kill.is_some());
        let over = task.is_terminal();
        if over {
            // Killed before its process came to life; that has been told.
        } else if killed {
            let mut status = self.process_status(framework, executor, id, TaskState::TaskKilled);
            status.message = Some("Command was killed before it was started".to_string());
            self.apply_status(framework, executor, status);
        } else {
            let Termination {
                state,
                reason,
                message,
            } = termination;
            let status = self.agent_status(framework, executor, id, *state, *reason, message);
            self.apply_status(framework, executor, status);
        }
        self.process_over(framework, executor, id, None);
    }

    /// The process of a task ended: the task does, in the state that the reason of its end
    /// asks for.
    pub(crate) fn process_exited(
        &mut self,
        framework: &FrameworkId,
        executor: &ExecutorId,
        id: &TaskId,
        wait_status: Option<i32>,
    ) {
        let Some(task) = self
            .frameworks
            .get(framework)
            .and_then(|found| found.task(id))
        else {
            return self.executor_gone(framework, executor, wait_status);
        };
        let over = task.is_terminal();
        let cause = task
            .process
            .as_ref()
            .and_then(|process| process.kill)
            .map(|kill| kill.cause);
        self.stop_checks(framework, id);
        match wait_status {
            _ if over => {}
            None if cause.is_none() => {
                let Termination {
                    state,
                    reason,
                    message,
                } = Termination::executor_terminated();
                let status = self.agent_status(framework, executor, id, state, reason, &message);
                self.apply_status(framework, executor, status);
            }
            _ => {
                let state = end_state(cause, wait_status);
                let mut status = self.process_status(framework, executor, id, state);
                self.add_check_status(framework, id, &mut status);
                let words = wait_status.map_or("ended".to_string(), exit_status::describe);
                status.message = Some(format!("Command {words}"));
                match cause {
                    Some(KillCause::CompletionTime) => {
                        status.reason = Some(Reason::MaxCompletionTimeReached as i32);
                    }
                    Some(KillCause::Unhealthy) => status.healthy = Some(false),
                    Some(KillCause::Requested) | None => {}
                }
                self.apply_status(framework, executor, status);
            }
        }
        self.process_over(framework, executor, id, wait_status);
    }

    /// What follows from the end of a process for its executor.
    fn process_over(
        &mut self,
        framework: &FrameworkId,
        executor: &ExecutorId,
        id: &TaskId,
        wait_status: Option<i32>,
    ) {
        let Some(found) = self.executor(framework, executor) else {
            return;
        };
        match found.kind {
            ExecutorKind::Pods => self.pod_task_over(framework, executor, id),
            ExecutorKind::Command | ExecutorKind::Custom => {
                self.executor_gone(framework, executor, wait_status);
            }
        }
    }

    /// The time from SIGTERM to SIGKILL: of the call, else of the task, else the default.
    pub(crate) fn kill_grace(&self, task: &Task, call: Option<&v1::KillPolicy>) -> DurationMs {
        kill_grace(&self.config, &task.info, call)
    }

    /// The grace period of a task whose executor is shut down.
    pub(crate) fn shutdown_kill_grace(&self, shutdown: DurationMs) -> DurationMs {
        DurationMs((shutdown - SHUTDOWN_MARGIN).0.max(0))
    }
}

fn kill_grace(config: &Config, task: &TaskInfo, call: Option<&v1::KillPolicy>) -> DurationMs {
    let of_call = call.and_then(|policy| policy.grace_period.as_ref());
    let of_task = task
        .kill_policy
        .as_ref()
        .and_then(|policy| policy.grace_period.as_ref());
    let grace = of_call
        .or(of_task)
        .map_or(config.kill_grace_period, DurationMs::from);
    DurationMs(grace.0.max(0))
}

/// When a process that runs has to be done; None if it may take all time, or is being killed.
fn completion_deadline(task: &Task) -> Option<caprock_model::Millis> {
    let process = task
        .process
        .as_ref()
        .filter(|process| process.kill.is_none())?;
    let span = task
        .info
        .max_completion_time
        .as_ref()
        .map(DurationMs::from)?;
    Some(process.started_at? + span)
}

fn end_state(cause: Option<KillCause>, wait_status: Option<i32>) -> TaskState {
    match cause {
        Some(KillCause::Requested | KillCause::Unhealthy) => TaskState::TaskKilled,
        Some(KillCause::CompletionTime) => TaskState::TaskFailed,
        None if wait_status == Some(0) => TaskState::TaskFinished,
        None => TaskState::TaskFailed,
    }
}

/// The executor that a command task is shown under (Mesos: Slave::getExecutorInfo).
pub(crate) fn command_executor_info(
    config: &Config,
    framework: &v1::FrameworkId,
    task: &TaskInfo,
) -> ExecutorInfo {
    let grace = kill_grace(config, task, None) + SHUTDOWN_MARGIN;
    let scalar = |name: &str, value: f64| Resource {
        name: name.to_string(),
        r#type: value::Type::Scalar as i32,
        scalar: Some(value::Scalar { value }),
        allocation_info: task
            .resources
            .iter()
            .find_map(|r| r.allocation_info.clone()),
        ..Resource::default()
    };
    ExecutorInfo {
        executor_id: v1::ExecutorId {
            value: task.task_id.value.clone(),
        },
        framework_id: Some(framework.clone()),
        command: task.command.clone(),
        container: task.container.clone(),
        resources: vec![scalar("cpus", 0.1), scalar("mem", 32.0)],
        name: Some(format!(
            "Command Executor (Task: {}) ({})",
            task.task_id.value,
            command_text(task.command.as_ref())
        )),
        source: Some(task.task_id.value.clone()),
        labels: task.labels.clone(),
        discovery: task.discovery.clone(),
        shutdown_grace_period: Some(grace.to_proto()),
        ..ExecutorInfo::default()
    }
}

fn command_text(command: Option<&CommandInfo>) -> String {
    let shell = command.is_none_or(CommandInfo::shell);
    match command.and_then(|command| command.value.as_ref()) {
        None if shell => "Command: NO COMMAND".to_string(),
        None => "Command: NO EXECUTABLE".to_string(),
        Some(text) if shell => format!("Command: sh -c '{}'", shortened(text)),
        Some(program) => {
            let arguments = command.map(|command| command.arguments.join(", "));
            let text = format!("{program}, {}", arguments.unwrap_or_default());
            format!("Command: [{}]", shortened(&text))
        }
    }
}

/// At most 15 characters.
fn shortened(text: &str) -> String {
    if text.chars().count() <= 15 {
        return text.to_string();
    }
    let start: String = text.chars().take(12).collect();
    format!("{start}...")
}
