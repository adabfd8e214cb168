//! Statuses: how the agent makes its own, completes those of executors, and what a new status
//! does to the task it is about.

use bytes::Bytes;
use caprock_model::task::{is_terminal, state_for};
use caprock_model::{ExecutorId, FrameworkId, TaskId};
use caprock_proto::mesos::v1::executor::{Event, event};
use caprock_proto::mesos::v1::network_info::IpAddress;
use caprock_proto::mesos::v1::task_status::{Reason, Source};
use caprock_proto::mesos::v1::{ContainerStatus, NetworkInfo, TaskState, TaskStatus};

use crate::agent::Agent;
use crate::checkpoint::Key;
use crate::history::task_view;

impl Agent {
    /// A status that the agent itself reports.
    pub(crate) fn agent_status(
        &mut self,
        framework: &FrameworkId,
        executor: &ExecutorId,
        task: &TaskId,
        state: TaskState,
        reason: Reason,
        message: &str,
    ) -> TaskStatus {
        let capabilities = self
            .frameworks
            .get(framework)
            .map(|f| f.capabilities)
            .unwrap_or_default();
        TaskStatus {
            task_id: task.to_proto(),
            state: state_for(capabilities, state) as i32,
            source: Some(Source::Agent as i32),
            reason: Some(reason as i32),
            message: Some(message.to_string()),
            agent_id: self.agent_id().map(|id| id.to_proto()),
            executor_id: Some(executor.to_proto()),
            timestamp: Some(self.now.seconds_f64()),
            uuid: Some(self.ids.uuid()),
            ..TaskStatus::default()
        }
    }

    /// A status that the agent reports as the executor of a task that it runs itself.
    pub(crate) fn process_status(
        &mut self,
        framework: &FrameworkId,
        executor: &ExecutorId,
        task: &TaskId,
        state: TaskState,
    ) -> TaskStatus {
        TaskStatus {
            task_id: task.to_proto(),
            state: state as i32,
            source: Some(Source::Executor as i32),
            agent_id: self.agent_id().map(|id| id.to_proto()),
            executor_id: Some(executor.to_proto()),
            timestamp: Some(self.now.seconds_f64()),
            uuid: Some(self.ids.uuid()),
            container_status: self.container_status(framework, executor, task),
            ..TaskStatus::default()
        }
    }

    /// What the agent knows of the container of a task.
    fn container_status(
        &self,
        framework: &FrameworkId,
        executor: &ExecutorId,
        task: &TaskId,
    ) -> Option<ContainerStatus> {
        let found = self.executor(framework, executor)?;
        let mut container_id = found.container.to_proto();
        let mut executor_pid = found.pid;
        let process = found.tasks.get(task).and_then(|task| task.process.as_ref());
        if let Some(process) = process.filter(|process| process.parent.is_some()) {
            let parent = Box::new(container_id);
            container_id = process.container.to_proto();
            container_id.parent = Some(parent);
            executor_pid = process.pid;
        }
        let address = IpAddress {
            ip_address: Some(self.config.ip.clone()),
            protocol: Some(1),
        };
        Some(ContainerStatus {
            container_id: Some(container_id),
            network_infos: vec![NetworkInfo {
                ip_addresses: vec![address],
                ..NetworkInfo::default()
            }],
            executor_pid,
            ..ContainerStatus::default()
        })
    }

    /// Fills in what executors leave to the agent (Mesos: Slave::statusUpdate).
    fn complete_status(
        &self,
        framework: &FrameworkId,
        executor: &ExecutorId,
        status: &mut TaskStatus,
    ) {
        let task = TaskId::from(&status.task_id);
        status.source = Some(Source::Executor as i32);
        status.agent_id = self.agent_id().map(|id| id.to_proto());
        status
            .executor_id
            .get_or_insert_with(|| executor.to_proto());
        status.timestamp.get_or_insert(self.now.seconds_f64());
        let Some(ours) = self.container_status(framework, executor, &task) else {
            return;
        };
        let theirs = status
            .container_status
            .get_or_insert_with(ContainerStatus::default);
        // The container of a nested task is known to its executor alone.
        if theirs.container_id.is_none() {
            theirs.container_id = ours.container_id;
        }
        if theirs.network_infos.is_empty() {
            theirs.network_infos = ours.network_infos;
        }
        theirs.executor_pid = theirs.executor_pid.or(ours.executor_pid);
    }

    /// UPDATE of an executor, or one of the updates that it repeats when it subscribes.
    pub(crate) fn executor_update(
        &mut self,
        framework: &FrameworkId,
        executor: &ExecutorId,
        mut status: TaskStatus,
    ) {
        let ours = self.agent_id().map(|id| id.to_proto());
        if status.agent_id.is_some() && status.agent_id != ours {
            self.counters.invalid_status_updates += 1;
            self.warn(format!(
                "update of executor {executor} names another agent: dropped"
            ));
            return;
        }
        let uuid = status.uuid.clone().unwrap_or_default();
        let task = TaskId::from(&status.task_id);
        if self
            .stream(framework, &task)
            .is_some_and(|stream| stream.has_seen(&uuid))
        {
            self.counters.valid_status_updates += 1;
            self.acknowledge_to_executor(framework, executor, &task, uuid);
            return;
        }
        let Some(found) = self.frameworks.get(framework) else {
            return;
        };
        if found.terminating {
            self.apply_status(framework, executor, status);
            self.acknowledge_to_executor(framework, executor, &task, uuid);
            return;
        }
        let Some(known) = found.task(&task) else {
            // Never launched, or over and acknowledged: the scheduler is told, the executor
            // is not answered (Mesos: Slave::statusUpdate).
            self.counters.valid_status_updates += 1;
            self.complete_status(framework, executor, &mut status);
            self.enqueue_update(framework, executor, status);
            return;
        };
        let too_early = !known.delivered && !is_terminal(status.state());
        if known.is_terminal() || too_early {
            self.counters.invalid_status_updates += 1;
            self.acknowledge_to_executor(framework, executor, &task, uuid);
            return;
        }
        self.counters.valid_status_updates += 1;
        self.complete_status(framework, executor, &mut status);
        self.apply_status(framework, executor, status);
        self.acknowledge_to_executor(framework, executor, &task, uuid);
    }

    fn acknowledge_to_executor(
        &mut self,
        framework: &FrameworkId,
        executor: &ExecutorId,
        task: &TaskId,
        uuid: Bytes,
    ) {
        let acknowledged = event::Acknowledged {
            task_id: task.to_proto(),
            uuid,
        };
        self.send_event(
            framework,
            executor,
            Event {
                r#type: Some(event::Type::Acknowledged as i32),
                acknowledged: Some(acknowledged),
                ..Event::default()
            },
        );
    }

    /// Records a new status of a task and puts it into the task's stream.
    pub(crate) fn apply_status(
        &mut self,
        framework: &FrameworkId,
        executor: &ExecutorId,
        mut status: TaskStatus,
    ) {
        self.say_draining(framework, &mut status);
        let id = TaskId::from(&status.task_id);
        let Some(found) = self.frameworks.get_mut(framework) else {
            return;
        };
        let terminating = found.terminating;
        let ended = is_terminal(status.state());
        if let Some(task) = found.task_mut(&id) {
            task.record(&status);
            self.mark(Key::Task(framework.clone(), id.clone()));
        }
        if ended {
            if let Some(found) = self.executor_mut(framework, executor) {
                found.queue.retain(|queued| *queued != id);
            }
            self.counters.ended(status.state());
        }
        if !terminating {
            self.enqueue_update(framework, executor, status);
        } else if ended {
            self.finish_task(framework, &id, Some(status));
        }
    }

    /// The terminal update of a task is acknowledged: the task becomes history.
    pub(crate) fn finish_task(
        &mut self,
        framework: &FrameworkId,
        task: &TaskId,
        status: Option<TaskStatus>,
    ) {
        self.drop_stream(framework, task);
        let user = self
            .frameworks
            .get(framework)
            .map(|found| found.info.user.clone());
        let Some(found) = self.frameworks.get_mut(framework) else {
            return;
        };
        let Some(executor_id) = found.placed.remove(task) else {
            self.remove_framework_if_idle(framework);
            return;
        };
        let Some(executor) = found.executors.get_mut(&executor_id) else {
            return;
        };
        if let Some(over) = executor.tasks.remove(task) {
            executor.queue.retain(|queued| queued != task);
            let view = task_view(executor, &over, None, user);
            executor.completed.push_back(view);
            while executor.completed.len() > self.config.max_completed_tasks_per_executor {
                executor.completed.pop_front();
            }
            self.remember_finished(framework, task, over.launch_index, status);
        }
        self.mark(Key::Task(framework.clone(), task.clone()));
        self.remove_executor_if_over(framework, &executor_id);
    }
}
