//! Bounded history of what is over: tasks per executor, executors per framework, frameworks;
//! and the removal of executors and frameworks that have nothing left to do.

use std::collections::VecDeque;

use caprock_model::{ExecutorId, FrameworkId, Resources, TaskId};
use caprock_proto::mesos::v1::TaskState;

use crate::agent::Agent;
use crate::checkpoint::Key;
use crate::executor::Executor;
use crate::framework::Framework;
use crate::status_updates::Stream;
use crate::task::Task;
use crate::view::{ExecutorKind, ExecutorState, ExecutorView, FrameworkView, TaskView};

impl Agent {
    /// An executor that is gone and has no unacknowledged update becomes history.
    pub(crate) fn remove_executor_if_over(
        &mut self,
        framework: &FrameworkId,
        executor: &ExecutorId,
    ) {
        let Some(found) = self.executor(framework, executor) else {
            return;
        };
        if found.state != ExecutorState::Terminated || !found.tasks.is_empty() {
            return;
        }
        let view = self.executor_view(framework, found);
        let most = self.config.max_completed_executors_per_framework;
        if let Some(owner) = self.frameworks.get_mut(framework) {
            owner.executors.remove(executor);
            owner.completed.push_back(view);
            while owner.completed.len() > most {
                owner.completed.pop_front();
            }
        }
        self.mark(Key::Run(framework.clone(), executor.clone()));
        self.remove_framework_if_idle(framework);
    }

    /// A framework without executors and without updates becomes history.
    pub(crate) fn remove_framework_if_idle(&mut self, framework: &FrameworkId) {
        let Some(found) = self.frameworks.get(framework) else {
            return;
        };
        if !found.executors.is_empty() || self.has_streams(framework) {
            return;
        }
        let view = self.framework_view(found);
        self.frameworks.remove(framework);
        self.mark(Key::Framework(framework.clone()));
        self.completed.push_back(view);
        while self.completed.len() > self.config.max_completed_frameworks {
            self.completed.pop_front();
        }
    }

    /// The completed executors of a framework that comes back to this agent.
    pub(crate) fn take_history(&mut self, framework: &FrameworkId) -> VecDeque<ExecutorView> {
        let at = self
            .completed
            .iter()
            .position(|completed| completed.id == *framework);
        let found = at.and_then(|at| self.completed.remove(at));
        found
            .map(|view| view.completed_executors.into())
            .unwrap_or_default()
    }

    pub(crate) fn framework_view(&self, framework: &Framework) -> FrameworkView {
        let executors = framework.executors.values();
        FrameworkView {
            id: framework.id.clone(),
            info: framework.info.clone(),
            executors: executors
                .map(|found| self.executor_view(&framework.id, found))
                .collect(),
            completed_executors: framework.completed.iter().cloned().collect(),
        }
    }

    pub(crate) fn executor_view(&self, framework: &FrameworkId, found: &Executor) -> ExecutorView {
        let user = self
            .frameworks
            .get(framework)
            .map(|owner| owner.info.user.clone());
        let mut view = ExecutorView {
            id: found.id.clone(),
            framework_id: framework.clone(),
            info: found.info.clone(),
            kind: found.kind,
            state: found.state,
            container: found.container.clone(),
            pid: found.pid,
            resources: Resources::from_protos(&found.info.resources).unwrap_or_default(),
            queued_tasks: Vec::new(),
            launched_tasks: Vec::new(),
            terminated_tasks: Vec::new(),
            completed_tasks: found.completed.iter().cloned().collect(),
        };
        for (id, task) in &found.tasks {
            let stream = self.stream(framework, id);
            let task_view = task_view(found, task, stream, user.clone());
            if task.is_terminal() {
                view.terminated_tasks.push(task_view);
                continue;
            }
            if let Ok(resources) = Resources::from_protos(&task.info.resources) {
                view.resources += &resources;
            }
            if task.delivered {
                view.launched_tasks.push(task_view);
            } else {
                view.queued_tasks.push(task_view);
            }
        }
        view
    }
}

pub(crate) fn task_view(
    executor: &Executor,
    task: &Task,
    stream: Option<&Stream>,
    user: Option<String>,
) -> TaskView {
    let nested = task
        .process
        .as_ref()
        .filter(|process| process.parent.is_some());
    let head = stream.and_then(Stream::head);
    let command_user = task
        .info
        .command
        .as_ref()
        .and_then(|command| command.user.clone());
    TaskView {
        id: TaskId::from(&task.info.task_id),
        framework_id: executor.framework_id.clone(),
        executor_id: executor.id.clone(),
        info: task.info.clone(),
        state: task.state,
        statuses: task.statuses.clone(),
        in_flight: head.map(|status| {
            let state: TaskState = status.state();
            (state, status.uuid.clone().unwrap_or_default())
        }),
        container: nested.map(|process| process.container.clone()),
        pid: task.process.as_ref().and_then(|process| process.pid),
        user: command_user.or(user),
        is_command_task: executor.kind == ExecutorKind::Command,
    }
}
