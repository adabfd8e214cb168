//! Shutting down executors, and whole frameworks that are gone
//! (Mesos: Slave::_shutdownExecutor, Slave::shutdownFramework).

use caprock_model::{DurationMs, ExecutorId, FrameworkId};

use crate::agent::Agent;
use crate::checkpoint::Key;
use crate::input::TimerKey;
use crate::subscribe::shutdown_event;
use crate::task::KillCause;
use crate::view::{ExecutorKind, ExecutorState};

impl Agent {
    /// SHUTDOWN of a scheduler.
    pub(crate) fn shutdown_order(&mut self, framework: &FrameworkId, executor: &ExecutorId) {
        if self.executor(framework, executor).is_none() {
            self.log(format!(
                "shutdown of unknown executor {executor} of {framework} ignored"
            ));
            return;
        }
        let grace = self.config.executor_shutdown_grace_period;
        self.shut_down_executor(framework, executor, grace);
    }

    /// Asks an executor to end; its container is destroyed after a grace period.
    pub(crate) fn shut_down_executor(
        &mut self,
        framework: &FrameworkId,
        executor: &ExecutorId,
        grace: DurationMs,
    ) {
        let now = self.now;
        let Some(found) = self.executor_mut(framework, executor) else {
            return;
        };
        if !found.is_live() {
            return;
        }
        let delivered = found.ever_delivered;
        let kind = found.kind;
        let own = found
            .info
            .shutdown_grace_period
            .as_ref()
            .map(DurationMs::from);
        let grace = own.unwrap_or(grace);
        found.state = ExecutorState::Terminating;
        found.awaited = false;
        let container = found.container.clone();
        let live = found.live_tasks();
        self.mark(Key::Run(framework.clone(), executor.clone()));
        match kind {
            ExecutorKind::Custom => {
                if let Some(found) = self.executor_mut(framework, executor) {
                    found.destroy_at = Some(now + grace);
                }
                self.send_event(framework, executor, shutdown_event());
                self.wake(now + grace, TimerKey::Destroy(container));
            }
            ExecutorKind::Command if !delivered => self.kill_before_start(framework, executor),
            ExecutorKind::Command => {
                let grace = self.shutdown_kill_grace(grace);
                for id in live {
                    self.kill_process(framework, &id, grace, KillCause::Requested);
                }
            }
            ExecutorKind::Pods => self.kill_pod_tasks(framework, executor),
        }
    }

    /// The framework is gone: its executors end, its updates are of no interest any more.
    pub(crate) fn shut_down_framework(&mut self, framework: &FrameworkId) {
        for task in self.tasks_with_stream(framework) {
            self.drop_stream(framework, &task);
        }
        let Some(found) = self.frameworks.get_mut(framework) else {
            return;
        };
        if std::mem::replace(&mut found.terminating, true) {
            return;
        }
        self.mark(Key::Framework(framework.clone()));
        self.settle_terminating(framework);
    }

    /// Ends what a framework that is gone has left: tasks that are over become history, live
    /// executors are shut down.
    pub(crate) fn settle_terminating(&mut self, framework: &FrameworkId) {
        let Some(found) = self.frameworks.get(framework) else {
            return;
        };
        let over = found
            .executors
            .values()
            .flat_map(|executor| executor.tasks.iter().filter(|(_, task)| task.is_terminal()));
        let over: Vec<_> = over
            .map(|(id, task)| (id.clone(), task.statuses.last().cloned()))
            .collect();
        for (task, status) in over {
            self.finish_task(framework, &task, status);
        }
        let Some(found) = self.frameworks.get(framework) else {
            return;
        };
        let executors: Vec<_> = found.executors.keys().cloned().collect();
        let grace = self.config.executor_shutdown_grace_period;
        for executor in executors {
            self.shut_down_executor(framework, &executor, grace);
        }
        self.remove_framework_if_idle(framework);
    }
}
