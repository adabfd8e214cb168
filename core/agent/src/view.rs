//! The agent's state as readers see it: a copy that the shell takes between steps, for
//! `/state`, the GET_* calls and the metrics.

use std::collections::BTreeMap;
use std::sync::Arc;

use caprock_model::{AgentId, ContainerId, ExecutorId, FrameworkId, Millis, Resources, TaskId};
use caprock_proto::mesos::v1::agent::response::get_containers::Container;
use caprock_proto::mesos::v1::agent::response::{
    GetContainers, GetExecutors, GetFrameworks, GetTasks, get_executors, get_frameworks,
};
use caprock_proto::mesos::v1::{
    AgentInfo, ContainerStatus, ExecutorInfo, FrameworkInfo, Operation, Task, TaskInfo, TaskState,
    TaskStatus,
};

use crate::drain::Drain;
use crate::input::LinkId;

/// A copy of what the agent knows.
#[derive(Debug, Clone)]
pub struct AgentView {
    /// None until a leader has admitted the agent.
    pub agent_id: Option<AgentId>,
    /// With the id, once there is one.
    pub info: AgentInfo,
    pub cluster_id: String,
    pub phase: Phase,
    pub highest_term: u64,
    /// The leader that the agent is attached to.
    pub attached: Option<AttachedView>,
    pub started_at: Millis,
    pub recovered_at: Option<Millis>,
    /// Live frameworks, by id.
    pub frameworks: Vec<FrameworkView>,
    /// Oldest first.
    pub completed_frameworks: Vec<FrameworkView>,
    pub operations: Vec<Operation>,
    /// The leader empties the agent.
    pub drain: Option<Drain>,
    /// Total resources with the changes that operations made.
    pub total: Resources,
    /// What live tasks and executors hold, in allocated form.
    pub used: Resources,
    /// Counters and gauges by metric name, such as `slave/tasks_running`.
    pub metrics: BTreeMap<&'static str, f64>,
}

/// How far the agent's life has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Before [`crate::Input::Start`].
    Starting,
    /// Waiting for executors of an earlier life.
    Recovering,
    Ready,
    /// Killing what runs, to exit.
    Retiring,
    Ended,
}

/// The leader that the agent is attached to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttachedView {
    pub link: LinkId,
    pub term: u64,
    pub master_id: String,
    pub since: Millis,
}

/// A framework on this agent.
#[derive(Debug, Clone)]
pub struct FrameworkView {
    pub id: FrameworkId,
    pub info: Arc<FrameworkInfo>,
    pub executors: Vec<ExecutorView>,
    /// Oldest first.
    pub completed_executors: Vec<ExecutorView>,
}

/// An executor, or the run of one that is over.
#[derive(Debug, Clone)]
pub struct ExecutorView {
    pub id: ExecutorId,
    pub framework_id: FrameworkId,
    pub info: Arc<ExecutorInfo>,
    pub kind: ExecutorKind,
    pub state: ExecutorState,
    pub container: ContainerId,
    pub pid: Option<u32>,
    /// The executor's own and its live tasks'.
    pub resources: Resources,
    /// Waiting for the executor to subscribe.
    pub queued_tasks: Vec<TaskView>,
    /// Delivered and live.
    pub launched_tasks: Vec<TaskView>,
    /// Over, with updates that are not acknowledged.
    pub terminated_tasks: Vec<TaskView>,
    /// Over, oldest first.
    pub completed_tasks: Vec<TaskView>,
}

/// Who runs the tasks of an executor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExecutorKind {
    /// The agent itself, one task; it has the id of the task.
    Command,
    /// A process of the framework.
    Custom,
    /// The agent itself, groups of tasks, each in a container below the executor's.
    Pods,
}

/// Life of an executor (Mesos: Executor::State in src/slave/slave.hpp).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExecutorState {
    /// The container is being launched; tasks wait.
    Registering,
    Running,
    /// It was told to stop, or its container is being destroyed.
    Terminating,
    /// The container is gone; updates wait for their acknowledgement.
    Terminated,
}

/// A task.
#[derive(Debug, Clone)]
pub struct TaskView {
    pub id: TaskId,
    pub framework_id: FrameworkId,
    pub executor_id: ExecutorId,
    pub info: Arc<TaskInfo>,
    pub state: TaskState,
    /// One per state so far, without data.
    pub statuses: Vec<TaskStatus>,
    /// The update that waits for its acknowledgement.
    pub in_flight: Option<(TaskState, bytes::Bytes)>,
    /// The task's own container, if it is not the executor's.
    pub container: Option<ContainerId>,
    pub pid: Option<u32>,
    pub user: Option<String>,
    /// Command tasks' executors are hidden from some readers.
    pub is_command_task: bool,
}

impl TaskView {
    /// The task in the form of the operator API.
    pub fn to_proto(&self) -> Task {
        let info = &self.info;
        Task {
            name: info.name.clone(),
            task_id: info.task_id.clone(),
            framework_id: self.framework_id.to_proto(),
            executor_id: (!self.is_command_task).then(|| self.executor_id.to_proto()),
            agent_id: info.agent_id.clone(),
            state: self.state as i32,
            resources: info.resources.clone(),
            statuses: self.statuses.clone(),
            status_update_state: self.in_flight.as_ref().map(|(state, _)| *state as i32),
            status_update_uuid: self.in_flight.as_ref().map(|(_, uuid)| uuid.clone()),
            labels: info.labels.clone(),
            discovery: info.discovery.clone(),
            container: info.container.clone(),
            health_check: info.health_check.clone(),
            kill_policy: info.kill_policy,
            user: self.user.clone(),
            limits: info.limits.clone(),
        }
    }
}

impl AgentView {
    fn all_frameworks(&self) -> impl Iterator<Item = &FrameworkView> {
        self.completed_frameworks.iter().chain(&self.frameworks)
    }

    fn live_executors(&self) -> impl Iterator<Item = &ExecutorView> {
        self.frameworks
            .iter()
            .flat_map(|framework| &framework.executors)
    }

    fn completed_executors(&self) -> impl Iterator<Item = &ExecutorView> {
        let of_live = self
            .frameworks
            .iter()
            .flat_map(|framework| &framework.completed_executors);
        let of_completed = self.completed_frameworks.iter().flat_map(|framework| {
            framework
                .completed_executors
                .iter()
                .chain(&framework.executors)
        });
        of_completed.chain(of_live)
    }

    /// GET_TASKS
    pub fn get_tasks(&self) -> GetTasks {
        let mut tasks = GetTasks::default();
        for executor in self.live_executors().chain(self.completed_executors()) {
            let add = |to: &mut Vec<Task>, from: &[TaskView]| {
                to.extend(from.iter().map(TaskView::to_proto));
            };
            add(&mut tasks.queued_tasks, &executor.queued_tasks);
            add(&mut tasks.launched_tasks, &executor.launched_tasks);
            add(&mut tasks.terminated_tasks, &executor.terminated_tasks);
            add(&mut tasks.completed_tasks, &executor.completed_tasks);
        }
        tasks
    }

    /// GET_EXECUTORS
    pub fn get_executors(&self) -> GetExecutors {
        let wire = |executor: &ExecutorView| get_executors::Executor {
            executor_info: executor.info.as_ref().clone(),
        };
        GetExecutors {
            executors: self.live_executors().map(wire).collect(),
            completed_executors: self.completed_executors().map(wire).collect(),
        }
    }

    /// GET_FRAMEWORKS
    pub fn get_frameworks(&self) -> GetFrameworks {
        let wire = |framework: &FrameworkView| get_frameworks::Framework {
            framework_info: framework.info.as_ref().clone(),
        };
        GetFrameworks {
            frameworks: self.frameworks.iter().map(wire).collect(),
            completed_frameworks: self.completed_frameworks.iter().map(wire).collect(),
        }
    }

    /// GET_CONTAINERS, without resource statistics: those are the shell's to measure.
    pub fn get_containers(&self, show_nested: bool) -> GetContainers {
        let mut containers = Vec::new();
        for executor in self.live_executors() {
            if executor.state == ExecutorState::Terminated {
                continue;
            }
            containers.push(executor_container(executor));
            if show_nested {
                containers.extend(nested_containers(executor));
            }
        }
        GetContainers { containers }
    }

    /// The executor that runs in this container, or that ran in it.
    pub fn executor_of(&self, container: &ContainerId) -> Option<&ExecutorView> {
        self.all_frameworks()
            .flat_map(|framework| {
                framework
                    .executors
                    .iter()
                    .chain(&framework.completed_executors)
            })
            .find(|executor| executor.container == *container)
    }
}

fn executor_container(executor: &ExecutorView) -> Container {
    let container_id = executor.container.to_proto();
    Container {
        framework_id: Some(executor.framework_id.to_proto()),
        executor_id: Some(executor.id.to_proto()),
        executor_name: executor.info.name.clone(),
        container_status: Some(ContainerStatus {
            container_id: Some(container_id.clone()),
            executor_pid: executor.pid,
            ..ContainerStatus::default()
        }),
        container_id,
        resource_statistics: None,
    }
}

fn nested_containers(executor: &ExecutorView) -> impl Iterator<Item = Container> {
    executor.launched_tasks.iter().filter_map(|task| {
        let container_id = caprock_proto::mesos::v1::ContainerId {
            value: task.container.as_ref()?.to_string(),
            parent: Some(Box::new(executor.container.to_proto())),
        };
        Some(Container {
            framework_id: None,
            executor_id: None,
            executor_name: None,
            container_status: Some(ContainerStatus {
                container_id: Some(container_id.clone()),
                executor_pid: task.pid,
                ..ContainerStatus::default()
            }),
            container_id,
            resource_statistics: None,
        })
    })
}
