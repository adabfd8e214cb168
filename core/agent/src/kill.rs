//! KILL of a task (Mesos: Slave::killTask).

use caprock_model::{ExecutorId, FrameworkId, TaskId};
use caprock_proto::caprock::session;
use caprock_proto::mesos::v1::{KillPolicy, TaskState, task_status::Reason};

use crate::agent::Agent;
use crate::subscribe::kill_event;
use crate::task::KillCause;
use crate::view::{ExecutorKind, ExecutorState};

impl Agent {
    pub(crate) fn kill_task(&mut self, order: session::Kill) {
        let framework = FrameworkId::from(order.framework_id);
        let id = TaskId::from(order.task_id);
        let Some(owner) = self.frameworks.get(&framework) else {
            self.log(format!(
                "kill of task {id} of unknown framework {framework} ignored"
            ));
            return;
        };
        let Some(executor) = owner.placed.get(&id).cloned() else {
            self.kill_of_unknown(&framework, &id);
            return;
        };
        let Some(found) = owner.executors.get(&executor) else {
            return;
        };
        let Some(task) = found.tasks.get(&id).filter(|task| !task.is_terminal()) else {
            return;
        };
        if !found.is_live() {
            // The end of the executor tells its tasks.
            return;
        }
        let delivered = task.delivered;
        let grace = self.kill_grace(task, order.kill_policy.as_ref());
        match found.kind {
            ExecutorKind::Pods => {
                self.kill_process(&framework, &id, grace, KillCause::Requested);
            }
            ExecutorKind::Command if delivered => {
                self.kill_process(&framework, &id, grace, KillCause::Requested);
            }
            ExecutorKind::Command => self.kill_before_start(&framework, &executor),
            ExecutorKind::Custom if delivered => {
                self.pass_kill(&framework, &executor, &id, order.kill_policy);
            }
            ExecutorKind::Custom => self.kill_queued(&framework, &executor, &id),
        }
    }

    fn kill_of_unknown(&mut self, framework: &FrameworkId, id: &TaskId) {
        let over = self.finished.get(framework, id).is_some();
        if over || self.stream(framework, id).is_some() {
            self.log(format!(
                "kill of task {id} of {framework}, which is over, ignored"
            ));
            return;
        }
        let executor = ExecutorId::from(id.as_str());
        let status = self.agent_status(
            framework,
            &executor,
            id,
            TaskState::TaskDropped,
            Reason::ExecutorTerminated,
            "Cannot find executor",
        );
        self.enqueue_update(framework, &executor, status);
    }

    /// Kills the command task of an executor whose container is being launched.
    pub(crate) fn kill_before_start(&mut self, framework: &FrameworkId, executor: &ExecutorId) {
        let Some(found) = self.executor_mut(framework, executor) else {
            return;
        };
        found.state = ExecutorState::Terminating;
        let container = found.container.clone();
        let live = found.live_tasks();
        for id in live {
            self.killed_during_launch(framework, executor, &id);
        }
        self.mark(crate::checkpoint::Key::Run(
            framework.clone(),
            executor.clone(),
        ));
        self.kill_container(&container);
    }

    /// Kills a task that waits for its executor, and with it its whole group.
    fn kill_queued(&mut self, framework: &FrameworkId, executor: &ExecutorId, id: &TaskId) {
        let Some(found) = self.executor(framework, executor) else {
            return;
        };
        let group = found.tasks.get(id).map_or(0, |task| task.group_index);
        let mut doomed = vec![id.clone()];
        if group != 0 {
            let mates = found.tasks.iter().filter(|(_, task)| {
                task.group_index == group && !task.delivered && !task.is_terminal()
            });
            doomed = mates.map(|(mate, _)| mate.clone()).collect();
        }
        for id in doomed {
            self.killed_during_launch(framework, executor, &id);
        }
    }

    fn killed_during_launch(
        &mut self,
        framework: &FrameworkId,
        executor: &ExecutorId,
        id: &TaskId,
    ) {
        let status = self.agent_status(
            framework,
            executor,
            id,
            TaskState::TaskKilled,
            Reason::TaskKilledDuringLaunch,
            "Killed before delivery to the executor",
        );
        self.apply_status(framework, executor, status);
    }

    /// Passes a kill to the executor, or holds it until the executor subscribes again.
    fn pass_kill(
        &mut self,
        framework: &FrameworkId,
        executor: &ExecutorId,
        id: &TaskId,
        policy: Option<KillPolicy>,
    ) {
        let event = kill_event(id, policy);
        if !self.send_event(framework, executor, event)
            && let Some(task) = self.task_mut(framework, id)
        {
            task.held_kill = Some(policy);
        }
    }
}
