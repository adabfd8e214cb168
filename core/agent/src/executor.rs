//! An executor on this agent: one run in one container, and the tasks that belong to it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use caprock_model::{ContainerId, ExecutorId, FrameworkId, Millis, TaskId};
use caprock_proto::caprock::checkpoint;
use caprock_proto::mesos::v1::{ExecutorInfo, TaskState, task_status::Reason};

use crate::input::ConnectionId;
use crate::task::Task;
use crate::view::{ExecutorKind, ExecutorState, TaskView};

#[derive(Debug, Clone)]
pub(crate) struct Executor {
    pub id: ExecutorId,
    pub framework_id: FrameworkId,
    pub info: Arc<ExecutorInfo>,
    pub kind: ExecutorKind,
    pub state: ExecutorState,
    pub container: ContainerId,
    /// The agent id that its sandbox lies under.
    pub agent_id: String,
    pub launched_at: Millis,
    pub pid: Option<u32>,
    /// A task has been delivered to it in this run.
    pub ever_delivered: bool,
    /// Why its container is being destroyed.
    pub termination: Option<Termination>,
    pub connection: Option<ConnectionId>,
    /// It runs since before the agent's restart and has not subscribed again.
    pub awaited: bool,
    /// When the container is destroyed after a shutdown was asked for.
    pub destroy_at: Option<Millis>,
    /// Live tasks, and those whose terminal update is not acknowledged.
    pub tasks: BTreeMap<TaskId, Task>,
    /// Tasks that wait for the executor to subscribe, in order of their launch.
    pub queue: Vec<TaskId>,
    pub completed: VecDeque<TaskView>,
}

/// What the tasks of a destroyed executor are told; without it they FAILED because the
/// executor terminated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Termination {
    /// Before translation for frameworks that are not partition-aware.
    pub state: TaskState,
    pub reason: Reason,
    pub message: String,
}

impl Termination {
    pub fn executor_terminated() -> Self {
        Self {
            state: TaskState::TaskFailed,
            reason: Reason::ExecutorTerminated,
            message: "Executor terminated".to_string(),
        }
    }
}

impl Executor {
    pub fn new(info: ExecutorInfo, framework_id: FrameworkId, kind: ExecutorKind) -> Self {
        Self {
            id: ExecutorId::from(&info.executor_id),
            framework_id,
            info: Arc::new(info),
            kind,
            state: ExecutorState::Registering,
            container: ContainerId::default(),
            agent_id: String::new(),
            launched_at: Millis::default(),
            pid: None,
            ever_delivered: false,
            termination: None,
            connection: None,
            awaited: false,
            destroy_at: None,
            tasks: BTreeMap::new(),
            queue: Vec::new(),
            completed: VecDeque::new(),
        }
    }

    pub fn is_custom(&self) -> bool {
        self.kind == ExecutorKind::Custom
    }

    /// Whether it can still be given tasks.
    pub fn is_live(&self) -> bool {
        matches!(
            self.state,
            ExecutorState::Registering | ExecutorState::Running
        )
    }

    /// Tasks that have not come to an end.
    pub fn live_tasks(&self) -> Vec<TaskId> {
        let live = self.tasks.iter().filter(|(_, task)| !task.is_terminal());
        live.map(|(id, _)| id.clone()).collect()
    }

    pub fn to_record(&self) -> checkpoint::Run {
        checkpoint::Run {
            framework_id: self.framework_id.to_string(),
            info: Some(self.info.as_ref().clone()),
            kind: kind_to_record(self.kind) as i32,
            container_id: self.container.to_string(),
            launched_at_ms: self.launched_at.0,
            pid: self.pid.unwrap_or_default(),
            state: state_to_record(self.state) as i32,
            ever_delivered: self.ever_delivered,
            termination: self
                .termination
                .as_ref()
                .map(|termination| checkpoint::Termination {
                    state: termination.state as i32,
                    reason: termination.reason as i32,
                    message: termination.message.clone(),
                }),
            agent_id: self.agent_id.clone(),
        }
    }

    pub fn from_record(record: checkpoint::Run) -> Option<Self> {
        let kind = kind_from_record(record.kind());
        let state = state_from_record(record.state());
        let mut executor = Self::new(record.info?, record.framework_id.into(), kind);
        executor.state = state;
        executor.container = record.container_id.into();
        executor.agent_id = record.agent_id;
        executor.launched_at = Millis(record.launched_at_ms);
        executor.pid = Some(record.pid).filter(|pid| *pid != 0);
        executor.ever_delivered = record.ever_delivered;
        executor.termination = record.termination.and_then(|termination| {
            Some(Termination {
                state: TaskState::try_from(termination.state).ok()?,
                reason: Reason::try_from(termination.reason).ok()?,
                message: termination.message,
            })
        });
        Some(executor)
    }
}

fn kind_to_record(kind: ExecutorKind) -> checkpoint::run::Kind {
    match kind {
        ExecutorKind::Command => checkpoint::run::Kind::Command,
        ExecutorKind::Custom => checkpoint::run::Kind::Custom,
        ExecutorKind::Pods => checkpoint::run::Kind::Pods,
    }
}

fn kind_from_record(kind: checkpoint::run::Kind) -> ExecutorKind {
    match kind {
        checkpoint::run::Kind::Command => ExecutorKind::Command,
        checkpoint::run::Kind::Custom => ExecutorKind::Custom,
        checkpoint::run::Kind::Pods => ExecutorKind::Pods,
    }
}

fn state_to_record(state: ExecutorState) -> checkpoint::run::State {
    match state {
        ExecutorState::Registering => checkpoint::run::State::Registering,
        ExecutorState::Running => checkpoint::run::State::Running,
        ExecutorState::Terminating => checkpoint::run::State::Terminating,
        ExecutorState::Terminated => checkpoint::run::State::Terminated,
    }
}

fn state_from_record(state: checkpoint::run::State) -> ExecutorState {
    match state {
        checkpoint::run::State::Registering => ExecutorState::Registering,
        checkpoint::run::State::Running => ExecutorState::Running,
        checkpoint::run::State::Terminating => ExecutorState::Terminating,
        checkpoint::run::State::Terminated => ExecutorState::Terminated,
    }
}
