//! Groups of tasks under the default executor, run by the agent itself: each task in a
//! container below the executor's, which has no process (Mesos: src/launcher/default_executor.cpp).

use caprock_model::{ExecutorId, FrameworkId, TaskId};
use caprock_proto::mesos::v1::TaskState;

use crate::agent::Agent;
use crate::checkpoint::Key;
use crate::task::{KillCause, Process};

impl Agent {
    /// Starts the processes of the queued tasks.
    pub(crate) fn start_pod_tasks(&mut self, framework: &FrameworkId, executor: &ExecutorId) {
        let Some(found) = self.executor_mut(framework, executor) else {
            return;
        };
        found.ever_delivered = true;
        let parent = found.container.clone();
        let queue = std::mem::take(&mut found.queue);
        self.mark(Key::Run(framework.clone(), executor.clone()));
        for id in queue {
            let container = self.ids.uuid_text().into();
            let Some(task) = self.task_mut(framework, &id) else {
                continue;
            };
            task.delivered = true;
            task.process = Some(Process::new(container, Some(parent.clone())));
            let mut status = self.process_status(framework, executor, &id, TaskState::TaskStarting);
            self.add_check_status(framework, &id, &mut status);
            self.apply_status(framework, executor, status);
            self.launch_process(framework, executor, &id);
        }
    }

    /// A task of a pod ended. If it did not finish, the others of its group are killed; with
    /// the last one the executor ends.
    pub(crate) fn pod_task_over(
        &mut self,
        framework: &FrameworkId,
        executor: &ExecutorId,
        id: &TaskId,
    ) {
        let Some(found) = self.executor(framework, executor) else {
            return;
        };
        let live = found.live_tasks();
        if live.is_empty() {
            self.executor_gone(framework, executor, Some(0));
            return;
        }
        let Some(over) = found.tasks.get(id) else {
            return;
        };
        let (state, group) = (over.state, over.group_index);
        if state == TaskState::TaskFinished || group == 0 {
            return;
        }
        let mates: Vec<_> = live
            .into_iter()
            .filter_map(|mate| {
                let task = found
                    .tasks
                    .get(&mate)
                    .filter(|task| task.group_index == group)?;
                Some((self.kill_grace(task, None), mate))
            })
            .collect();
        for (grace, mate) in mates {
            self.kill_process(framework, &mate, grace, KillCause::Requested);
        }
    }

    /// Ends all tasks of a pod executor.
    pub(crate) fn kill_pod_tasks(&mut self, framework: &FrameworkId, executor: &ExecutorId) {
        let Some(found) = self.executor(framework, executor) else {
            return;
        };
        let live = found.live_tasks();
        if live.is_empty() {
            self.executor_gone(framework, executor, Some(0));
            return;
        }
        let graces: Vec<_> = live
            .into_iter()
            .filter_map(|id| Some((self.kill_grace(found.tasks.get(&id)?, None), id)))
            .collect();
        for (grace, id) in graces {
            self.kill_process(framework, &id, grace, KillCause::Requested);
        }
    }
}
