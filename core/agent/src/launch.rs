//! Launches: of one task, and what launches of groups share with it. A launch is done once,
//! however often it is ordered: it is known by framework, task and launch index.

use std::sync::Arc;

use caprock_model::{ExecutorId, FrameworkId, TaskId};
use caprock_proto::caprock::session::{self, from_agent};
use caprock_proto::mesos::v1::{ExecutorInfo, FrameworkInfo, TaskInfo, TaskState};
use caprock_proto::mesos::v1::{executor_info, task_status::Reason};

use crate::agent::Agent;
use crate::checkpoint::Key;
use crate::command_task::command_executor_info;
use crate::executor::Executor;
use crate::framework::Framework;
use crate::task::Task;
use crate::view::{ExecutorKind, ExecutorState, Phase};

/// Tasks that are to be launched together under one executor.
#[derive(Debug)]
pub(crate) struct LaunchRequest {
    pub framework: FrameworkInfo,
    pub kind: ExecutorKind,
    pub executor: ExecutorInfo,
    pub tasks: Vec<TaskInfo>,
    pub launch_index: u64,
    pub new_executor: bool,
    pub group: bool,
}

/// Why a launch is dropped.
struct Drop {
    reason: Reason,
    message: &'static str,
}

impl Agent {
    pub(crate) fn launch(&mut self, order: session::Launch) {
        let (Some(framework), Some(task)) = (order.framework, order.task) else {
            self.warn("an order to launch names no framework or no task");
            return;
        };
        let Some(id) = framework.id.clone() else {
            self.warn("an order to launch names a framework without an id");
            return;
        };
        let (kind, executor) = match &task.executor {
            None => (
                ExecutorKind::Command,
                command_executor_info(&self.config, &id, &task),
            ),
            Some(executor) => (kind_of(executor), executor.clone()),
        };
        self.launch_tasks(LaunchRequest {
            framework,
            kind,
            executor,
            tasks: vec![task],
            launch_index: order.launch_index,
            new_executor: order.new_executor,
            group: false,
        });
    }

    /// Launches what is not launched yet.
    pub(crate) fn launch_tasks(&mut self, mut request: LaunchRequest) {
        let Some(framework) = request.framework.id.as_ref().map(FrameworkId::from) else {
            return;
        };
        if self.phase != Phase::Ready || self.identity.agent_id.is_empty() {
            self.log(format!(
                "launch for framework {framework} ignored: the agent is leaving"
            ));
            return;
        }
        if self
            .frameworks
            .get(&framework)
            .is_some_and(|found| found.terminating)
        {
            self.log(format!(
                "launch for framework {framework} ignored: it is being removed"
            ));
            return;
        }
        let index = request.launch_index;
        let fresh = |agent: &mut Self, task: &TaskInfo| {
            agent.is_fresh_launch(&framework, &TaskId::from(&task.task_id), index)
        };
        let mut tasks = std::mem::take(&mut request.tasks);
        tasks.retain(|task| fresh(self, task));
        if tasks.is_empty() {
            return;
        }
        request.executor.framework_id = Some(framework.to_proto());
        self.know_framework(&framework, &request.framework);
        let executor = ExecutorId::from(&request.executor.executor_id);
        if let Err(dropped) = self.check_executor(&framework, &executor, &request) {
            self.drop_launch(&framework, &executor, &tasks, &request, &dropped);
            return;
        }
        if self.executor(&framework, &executor).is_none() {
            self.add_executor(&framework, &executor, &request, &tasks);
        }
        let group_index = if request.group { index } else { 0 };
        for task in tasks {
            self.add_task(&framework, &executor, task, index, group_index);
        }
        self.start_tasks(&framework, &executor);
    }

    /// Whether a launch has not been seen before. What is known of an earlier task with the
    /// same id is cleared away: the leader reuses an id only when that task is acknowledged.
    fn is_fresh_launch(&mut self, framework: &FrameworkId, task: &TaskId, index: u64) -> bool {
        if let Some(over) = self.finished.get(framework, task)
            && over.launch_index >= index
        {
            let same = over.launch_index == index;
            self.counters.repeated_launches += 1;
            if same && !self.tell_end_again(framework, task) {
                self.tell_lost_in_restart(framework, task);
            }
            return false;
        }
        let earlier = self
            .frameworks
            .get(framework)
            .and_then(|found| found.task(task));
        let Some(earlier) = earlier else {
            let over = self.finished.get(framework, task).is_some();
            if !over && self.has_told_end(framework, task) {
                // The scheduler is being told that the agent does not know the task.
                return false;
            }
            self.drop_stream(framework, task);
            return true;
        };
        if earlier.launch_index >= index {
            self.counters.repeated_launches += 1;
            return false;
        }
        if earlier.is_terminal() {
            let last = earlier.statuses.last().cloned();
            self.finish_task(framework, task, last);
            return true;
        }
        self.refuse_task_id(framework, task);
        false
    }

    /// The id belongs to a task that runs: its stream must not be disturbed, so the refusal
    /// goes out once and without uuid.
    fn refuse_task_id(&mut self, framework: &FrameworkId, task: &TaskId) {
        let executor = ExecutorId::from(task.as_str());
        let message = "Another task with this id runs on the agent";
        let mut status = self.agent_status(
            framework,
            &executor,
            task,
            TaskState::TaskDropped,
            Reason::TaskInvalid,
            message,
        );
        status.uuid = None;
        let update = session::StatusUpdate {
            framework_id: framework.to_string(),
            executor_id: executor.to_string(),
            latest_state: status.state,
            status: Some(status),
        };
        self.tell_leader(from_agent::Message::Update(update));
    }

    /// A task that was given up when the agent restarted, because its framework does not
    /// checkpoint, is not run again.
    fn tell_lost_in_restart(&mut self, framework: &FrameworkId, task: &TaskId) {
        let executor = ExecutorId::from(task.as_str());
        let aware = self
            .finished
            .get(framework, task)
            .is_some_and(|over| over.partition_aware);
        let state = if aware {
            TaskState::TaskDropped
        } else {
            TaskState::TaskLost
        };
        let message = "Task launched during agent restart";
        let reason = Reason::AgentRestarted;
        let mut status = self.agent_status(framework, &executor, task, state, reason, message);
        status.state = state as i32;
        self.enqueue_update(framework, &executor, status);
    }

    /// Takes up a framework, or what is new about it.
    pub(crate) fn know_framework(&mut self, id: &FrameworkId, info: &FrameworkInfo) {
        match self.frameworks.get_mut(id) {
            Some(found) if *found.info == *info => return,
            Some(found) => {
                found.info = Arc::new(info.clone());
                found.capabilities = info.into();
            }
            None => {
                let mut framework = Framework::new(id.clone(), info.clone());
                framework.completed = self.take_history(id);
                self.frameworks.insert(id.clone(), framework);
            }
        }
        self.mark(Key::Framework(id.clone()));
    }

    /// What the leader expects of the executor against what is there (Mesos: Slave::__run).
    fn check_executor(
        &self,
        framework: &FrameworkId,
        executor: &ExecutorId,
        request: &LaunchRequest,
    ) -> Result<(), Drop> {
        let terminated = |message| Drop {
            reason: Reason::ExecutorTerminated,
            message,
        };
        if self.drain.is_some() {
            return Err(Drop {
                reason: Reason::AgentDraining,
                message: "Task was received while agent was already draining",
            });
        }
        let command = request.kind == ExecutorKind::Command;
        let Some(found) = self.executor(framework, executor) else {
            if command || request.new_executor {
                return Ok(());
            }
            let message = "No executor is expected to launch and there is none running";
            return Err(terminated(message));
        };
        match found.state {
            ExecutorState::Terminating => return Err(terminated("Executor terminating")),
            ExecutorState::Terminated => return Err(terminated("Executor terminated")),
            ExecutorState::Registering | ExecutorState::Running => {}
        }
        if command || found.kind == ExecutorKind::Command {
            let message = "Cannot reuse an already existing executor for a command task";
            return Err(Drop {
                reason: Reason::TaskInvalid,
                message,
            });
        }
        if request.new_executor {
            let message = "Master wants to launch executor, but one already exists";
            return Err(terminated(message));
        }
        Ok(())
    }

    fn drop_launch(
        &mut self,
        framework: &FrameworkId,
        executor: &ExecutorId,
        tasks: &[TaskInfo],
        request: &LaunchRequest,
        dropped: &Drop,
    ) {
        for task in tasks {
            let id = TaskId::from(&task.task_id);
            let status = self.agent_status(
                framework,
                executor,
                &id,
                TaskState::TaskDropped,
                dropped.reason,
                dropped.message,
            );
            self.remember_finished(framework, &id, request.launch_index, Some(status.clone()));
            self.enqueue_update(framework, executor, status);
        }
        // The leader charged resources for an executor that does not come to life.
        let absent = self
            .executor(framework, executor)
            .is_none_or(|found| found.state == ExecutorState::Terminated);
        if request.new_executor && absent && request.kind != ExecutorKind::Command {
            self.tell_executor_exited(framework, executor, None);
        }
    }

    fn add_executor(
        &mut self,
        framework: &FrameworkId,
        executor: &ExecutorId,
        request: &LaunchRequest,
        tasks: &[TaskInfo],
    ) {
        let mut added = Executor::new(request.executor.clone(), framework.clone(), request.kind);
        added.container = self.ids.uuid_text().into();
        added.agent_id = self.identity.agent_id.clone();
        added.launched_at = self.now;
        if request.kind == ExecutorKind::Pods {
            // It has no process that would have to subscribe.
            added.state = ExecutorState::Running;
        }
        if let Some(found) = self.frameworks.get_mut(framework) {
            found.executors.insert(executor.clone(), added);
        }
        self.mark(Key::Run(framework.clone(), executor.clone()));
        if request.kind == ExecutorKind::Custom {
            let role = tasks.first().and_then(role_of_task);
            self.launch_custom(framework, executor, role);
        }
    }

    fn add_task(
        &mut self,
        framework: &FrameworkId,
        executor: &ExecutorId,
        info: TaskInfo,
        index: u64,
        group_index: u64,
    ) {
        let id = TaskId::from(&info.task_id);
        let Some(found) = self.frameworks.get_mut(framework) else {
            return;
        };
        found.placed.insert(id.clone(), executor.clone());
        if let Some(executor) = found.executors.get_mut(executor) {
            executor.queue.push(id.clone());
            executor
                .tasks
                .insert(id.clone(), Task::new(Arc::new(info), index, group_index));
        }
        self.mark(Key::Task(framework.clone(), id));
    }

    /// Runs the queued tasks of an executor, or gives them to it if it listens.
    fn start_tasks(&mut self, framework: &FrameworkId, executor: &ExecutorId) {
        match self.executor(framework, executor).map(|found| found.kind) {
            Some(ExecutorKind::Custom) => self.deliver_queued(framework, executor),
            Some(ExecutorKind::Command) => self.start_command(framework, executor),
            Some(ExecutorKind::Pods) => self.start_pod_tasks(framework, executor),
            None => {}
        }
    }
}

/// Who runs the tasks of an executor that a framework describes.
pub(crate) fn kind_of(executor: &ExecutorInfo) -> ExecutorKind {
    match executor.r#type() {
        executor_info::Type::Default => ExecutorKind::Pods,
        executor_info::Type::Custom | executor_info::Type::Unknown => ExecutorKind::Custom,
    }
}

/// The role that the resources of a task are allocated to.
pub(crate) fn role_of_task(task: &TaskInfo) -> Option<String> {
    let allocated = task
        .resources
        .iter()
        .find_map(|resource| resource.allocation_info.as_ref());
    allocated.and_then(|allocation| allocation.role.clone())
}
