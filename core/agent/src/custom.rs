//! Executors of frameworks: launching their process, giving them tasks, and the time that
//! they have to subscribe.

use caprock_model::{ContainerId, ExecutorId, FrameworkId, TaskId, format_duration};
use caprock_proto::mesos::v1::executor::{Event, event};
use caprock_proto::mesos::v1::{
    CommandInfo, TaskGroupInfo, TaskInfo, TaskState, task_status::Reason,
};

use crate::agent::{Agent, Place};
use crate::checkpoint::Key;
use crate::effect::{Effect, LaunchSpec};
use crate::executor::Termination;
use crate::input::TimerKey;
use crate::view::ExecutorState;
use crate::volumes::mounts_of;

impl Agent {
    pub(crate) fn launch_custom(
        &mut self,
        framework: &FrameworkId,
        executor: &ExecutorId,
        role_of_task: Option<String>,
    ) {
        let Some(owner) = self.frameworks.get(framework) else {
            return;
        };
        let Some(found) = owner.executors.get(executor) else {
            return;
        };
        let command = found
            .info
            .command
            .clone()
            .unwrap_or_else(CommandInfo::default);
        let allocated = found
            .info
            .resources
            .iter()
            .find_map(|r| r.allocation_info.as_ref());
        let spec = LaunchSpec {
            container: found.container.clone(),
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
            container_info: found.info.container.clone(),
            checkpoint: owner.checkpoints(),
            allocation_role: allocated
                .and_then(|info| info.role.clone())
                .or(role_of_task),
            is_command_task: false,
            task_id: None,
            parent: None,
            volumes: mounts_of(&found.info.resources),
            pod_volumes: Vec::new(),
        };
        let place = Place {
            framework: framework.clone(),
            executor: executor.clone(),
            task: None,
        };
        let container = spec.container.clone();
        self.places.insert(container.clone(), place);
        self.emit(Effect::Launch(Box::new(spec)));
        // Counted from the start of the launch: fetching takes its share of it.
        let at = self.after(self.config.executor_registration_timeout);
        self.wake(at, TimerKey::Registration(container));
    }

    /// Sends the queued tasks and groups to an executor that has a stream.
    pub(crate) fn deliver_queued(&mut self, framework: &FrameworkId, executor: &ExecutorId) {
        let Some(found) = self.executor_mut(framework, executor) else {
            return;
        };
        if found.state != ExecutorState::Running || found.connection.is_none() {
            return;
        }
        let queue = std::mem::take(&mut found.queue);
        let mut groups: Vec<(u64, Vec<TaskInfo>)> = Vec::new();
        for id in queue {
            let Some(task) = found.tasks.get_mut(&id) else {
                continue;
            };
            task.delivered = true;
            let info = task.info.as_ref().clone();
            match groups.last_mut() {
                Some((index, group)) if *index != 0 && *index == task.group_index => {
                    group.push(info);
                }
                _ => groups.push((task.group_index, vec![info])),
            }
        }
        if groups.is_empty() {
            return;
        }
        found.ever_delivered = true;
        let container = found.container.clone();
        self.mark(Key::Run(framework.clone(), executor.clone()));
        for (index, tasks) in groups {
            let resources = tasks.iter().map(|task| mounts_of(&task.resources));
            let volumes: Vec<_> = resources.flatten().collect();
            if !volumes.is_empty() {
                let container = container.clone();
                self.emit(Effect::LinkVolumes { container, volumes });
            }
            for task in &tasks {
                self.mark(Key::Task(framework.clone(), TaskId::from(&task.task_id)));
            }
            self.send_event(framework, executor, launch_event(index != 0, tasks));
        }
    }

    pub(crate) fn registration_timeout(&mut self, container: &ContainerId) {
        let Some(place) = self.places.get(container).cloned() else {
            return;
        };
        let Some(found) = self.executor(&place.framework, &place.executor) else {
            return;
        };
        if found.state != ExecutorState::Registering || found.awaited {
            return;
        }
        let timeout = self.config.executor_registration_timeout;
        let deadline = found.launched_at + timeout;
        if !self.is_due(Some(deadline), TimerKey::Registration(container.clone())) {
            return;
        }
        let termination = Termination {
            state: TaskState::TaskFailed,
            reason: Reason::ExecutorRegistrationTimeout,
            message: format!(
                "Executor did not register within {}",
                format_duration(timeout)
            ),
        };
        self.destroy_executor(&place.framework, &place.executor, Some(termination));
    }

    /// The executors that outlived the agent's restart had time to subscribe again.
    pub(crate) fn reregistration_timeout(&mut self) {
        let timeout = self.config.executor_reregistration_timeout;
        let deadline = self.started_at + timeout;
        if !self.is_due(Some(deadline), TimerKey::Reregistration) {
            return;
        }
        let awaited = self.frameworks.values().flat_map(|framework| {
            let missing = framework
                .executors
                .values()
                .filter(|executor| executor.awaited);
            missing.map(|executor| (framework.id.clone(), executor.id.clone()))
        });
        let awaited: Vec<_> = awaited.collect();
        for (framework, executor) in awaited {
            let text = format_duration(timeout);
            let termination = Termination {
                state: TaskState::TaskGone,
                reason: Reason::ExecutorReregistrationTimeout,
                message: format!("Executor did not reregister within {text}"),
            };
            self.destroy_executor(&framework, &executor, Some(termination));
        }
        self.recovered();
    }
}

fn launch_event(group: bool, mut tasks: Vec<TaskInfo>) -> Event {
    if group {
        return Event {
            r#type: Some(event::Type::LaunchGroup as i32),
            launch_group: Some(event::LaunchGroup {
                task_group: TaskGroupInfo { tasks },
            }),
            ..Event::default()
        };
    }
    Event {
        r#type: Some(event::Type::Launch as i32),
        launch: tasks.pop().map(|task| event::Launch { task }),
        ..Event::default()
    }
}
