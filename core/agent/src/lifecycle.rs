//! What happens to containers, and through them to executors: started, failed, exited,
//! destroyed, forgotten.

use caprock_model::{ContainerId, ExecutorId, FrameworkId, TaskId};
use caprock_proto::caprock::session::{self, from_agent};
use caprock_proto::mesos::v1::{TaskState, task_status::Reason};

use crate::agent::{Agent, Place};
use crate::checkpoint::Key;
use crate::effect::{Effect, Signal};
use crate::executor::Termination;
use crate::input::TimerKey;
use crate::task::Task;
use crate::view::{ExecutorKind, ExecutorState};

impl Agent {
    pub(crate) fn task_mut(&mut self, framework: &FrameworkId, task: &TaskId) -> Option<&mut Task> {
        self.frameworks.get_mut(framework)?.task_mut(task)
    }

    pub(crate) fn kill_container(&mut self, container: &ContainerId) {
        self.emit(Effect::Signal {
            container: container.clone(),
            signal: Signal::Kill,
        });
    }

    pub(crate) fn container_started(&mut self, container: &ContainerId, pid: u32) {
        let Some(Place {
            framework,
            executor,
            task,
        }) = self.places.get(container).cloned()
        else {
            if let Some(orphan) = self.orphans.get_mut(container) {
                orphan.pid = pid;
                self.mark(Key::Orphan(container.clone()));
            }
            // Nobody wants it any more.
            self.kill_container(container);
            return;
        };
        if let Some(task) = task {
            self.process_started(&framework, &executor, &task, pid);
            return;
        }
        let Some(found) = self.executor_mut(&framework, &executor) else {
            return;
        };
        found.pid = Some(pid);
        let doomed = found.state == ExecutorState::Terminating && found.destroy_at.is_none();
        self.mark(Key::Run(framework, executor));
        if doomed {
            self.kill_container(container);
        }
    }

    pub(crate) fn container_failed(&mut self, container: &ContainerId, message: &str) {
        let Some(Place {
            framework,
            executor,
            task,
        }) = self.places.remove(container)
        else {
            self.orphan_gone(container);
            return;
        };
        self.counters.container_launch_errors += 1;
        let termination = Termination {
            state: TaskState::TaskFailed,
            reason: Reason::ContainerLaunchFailed,
            message: format!("Failed to launch container: {message}"),
        };
        if let Some(task) = task {
            self.process_failed(&framework, &executor, &task, &termination);
            return;
        }
        if let Some(found) = self.executor_mut(&framework, &executor) {
            found.termination.get_or_insert(termination);
        }
        self.executor_gone(&framework, &executor, None);
    }

    pub(crate) fn container_exited(&mut self, container: &ContainerId, wait_status: Option<i32>) {
        let Some(Place {
            framework,
            executor,
            task,
        }) = self.places.remove(container)
        else {
            self.orphan_gone(container);
            return;
        };
        match task {
            Some(task) => self.process_exited(&framework, &executor, &task, wait_status),
            None => self.executor_gone(&framework, &executor, wait_status),
        }
    }

    fn orphan_gone(&mut self, container: &ContainerId) {
        if self.orphans.remove(container).is_some() {
            self.mark(Key::Orphan(container.clone()));
            self.emit(Effect::CollectSandbox(container.clone()));
            self.go_on_retiring();
        }
    }

    /// Kills the container of an executor, or all of them. The tasks are told when they are
    /// gone.
    pub(crate) fn destroy_executor(
        &mut self,
        framework: &FrameworkId,
        executor: &ExecutorId,
        termination: Option<Termination>,
    ) {
        let Some(found) = self.executor_mut(framework, executor) else {
            return;
        };
        if found.state == ExecutorState::Terminated {
            return;
        }
        found.state = ExecutorState::Terminating;
        found.awaited = false;
        found.destroy_at = None;
        if found.termination.is_none() {
            found.termination = termination;
        }
        let mut containers = vec![found.container.clone()];
        if found.kind == ExecutorKind::Pods {
            let live = found.tasks.values().filter(|task| !task.is_terminal());
            let processes = live.filter_map(|task| task.process.as_ref());
            containers = processes.map(|process| process.container.clone()).collect();
        }
        self.mark(Key::Run(framework.clone(), executor.clone()));
        if containers.is_empty() {
            self.executor_gone(framework, executor, Some(0));
            return;
        }
        for container in &containers {
            self.kill_container(container);
        }
    }

    pub(crate) fn destroy_timeout(&mut self, container: &ContainerId) {
        let Some(Place {
            framework,
            executor,
            ..
        }) = self.places.get(container).cloned()
        else {
            return;
        };
        let Some(found) = self.executor(&framework, &executor) else {
            return;
        };
        let deadline = found
            .destroy_at
            .filter(|_| found.state == ExecutorState::Terminating);
        if self.is_due(deadline, TimerKey::Destroy(container.clone())) {
            self.destroy_executor(&framework, &executor, None);
        }
    }

    /// The container of an executor is gone: its live tasks end, the leader is told
    /// (Mesos: Slave::executorTerminated).
    pub(crate) fn executor_gone(
        &mut self,
        framework: &FrameworkId,
        executor: &ExecutorId,
        wait_status: Option<i32>,
    ) {
        let Some(found) = self.executor_mut(framework, executor) else {
            return;
        };
        found.state = ExecutorState::Terminated;
        found.awaited = false;
        found.destroy_at = None;
        let kind = found.kind;
        let container = found.container.clone();
        let connection = found.connection.take();
        let live = found.live_tasks();
        let termination = found
            .termination
            .clone()
            .unwrap_or_else(Termination::executor_terminated);
        self.places.remove(&container);
        if let Some(connection) = connection {
            self.connections.remove(&connection);
            self.emit(Effect::Close(connection));
        }
        for task in live {
            let Termination {
                state,
                reason,
                message,
            } = &termination;
            let status = self.agent_status(framework, executor, &task, *state, *reason, message);
            self.apply_status(framework, executor, status);
        }
        self.counters.executors_terminated += 1;
        let terminating = self
            .frameworks
            .get(framework)
            .is_none_or(|found| found.terminating);
        if kind != ExecutorKind::Command && !terminating {
            self.tell_executor_exited(framework, executor, wait_status);
        }
        self.emit(Effect::CollectSandbox(container));
        self.mark(Key::Run(framework.clone(), executor.clone()));
        self.remove_executor_if_over(framework, executor);
        self.recovered_if_complete();
        self.go_on_retiring();
    }

    pub(crate) fn tell_executor_exited(
        &mut self,
        framework: &FrameworkId,
        executor: &ExecutorId,
        wait_status: Option<i32>,
    ) {
        self.tell_leader(from_agent::Message::ExecutorExited(
            session::ExecutorExited {
                framework_id: framework.to_string(),
                executor_id: executor.to_string(),
                wait_status: wait_status.unwrap_or(-1),
            },
        ));
    }
}
