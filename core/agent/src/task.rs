//! A task on this agent, from its launch until its terminal update is acknowledged.

use std::sync::Arc;

use caprock_model::task::is_terminal;
use caprock_model::{ContainerId, DurationMs, Millis};
use caprock_proto::caprock::checkpoint;
use caprock_proto::mesos::v1::{KillPolicy, TaskInfo, TaskState, TaskStatus};

/// More statuses of one task than this are not kept: a task that flaps between two states
/// must not fill the memory.
const MAX_STATUSES: usize = 50;

#[derive(Debug, Clone)]
pub(crate) struct Task {
    pub info: Arc<TaskInfo>,
    pub launch_index: u64,
    /// Launch index of the group that it belongs to; 0 for a task that was launched alone.
    pub group_index: u64,
    /// The executor has been sent the task.
    pub delivered: bool,
    /// The newest state, whatever has been forwarded.
    pub state: TaskState,
    /// One status per state so far, without data.
    pub statuses: Vec<TaskStatus>,
    /// Set if the agent runs the task itself.
    pub process: Option<Process>,
    /// A KILL for a custom executor that had no stream when it came.
    pub held_kill: Option<Option<KillPolicy>>,
}

/// The process of a task that the agent runs itself.
#[derive(Debug, Clone)]
pub(crate) struct Process {
    pub container: ContainerId,
    /// The container of the pod's executor, for a task of a pod.
    pub parent: Option<ContainerId>,
    pub pid: Option<u32>,
    pub started_at: Option<Millis>,
    pub kill: Option<Kill>,
    /// Unhealthy results in a row.
    pub unhealthy: u32,
}

/// A kill that is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Kill {
    pub at: Millis,
    pub grace: DurationMs,
    pub cause: KillCause,
}

/// Why a process is killed; decides the state that the task ends in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KillCause {
    /// KILL, a shutdown, or the failure of another task of the group.
    Requested,
    /// `max_completion_time` is over.
    CompletionTime,
    /// Too many failed health checks.
    Unhealthy,
}

impl Task {
    pub fn new(info: Arc<TaskInfo>, launch_index: u64, group_index: u64) -> Self {
        Self {
            info,
            launch_index,
            group_index,
            delivered: false,
            state: TaskState::TaskStaging,
            statuses: Vec::new(),
            process: None,
            held_kill: None,
        }
    }

    pub fn is_terminal(&self) -> bool {
        is_terminal(self.state)
    }

    /// Takes over a new status (Mesos: Executor::updateTaskState in src/slave/slave.cpp).
    pub fn record(&mut self, status: &TaskStatus) {
        self.state = status.state();
        let mut kept = status.clone();
        kept.data = None;
        match self.statuses.last_mut() {
            Some(last) if last.state == kept.state => *last = kept,
            _ => self.statuses.push(kept),
        }
        if self.statuses.len() > MAX_STATUSES {
            self.statuses.remove(0);
        }
    }

    pub fn to_record(&self, framework_id: &str, executor_id: &str) -> checkpoint::Task {
        checkpoint::Task {
            framework_id: framework_id.to_owned(),
            executor_id: executor_id.to_owned(),
            info: Some(self.info.as_ref().clone()),
            launch_index: self.launch_index,
            group_index: self.group_index,
            delivered: self.delivered,
            state: self.state as i32,
            statuses: self.statuses.clone(),
            process: self.process.as_ref().map(Process::to_record),
        }
    }

    pub fn from_record(record: checkpoint::Task) -> Option<Self> {
        Some(Self {
            info: Arc::new(record.info?),
            launch_index: record.launch_index,
            group_index: record.group_index,
            delivered: record.delivered,
            state: TaskState::try_from(record.state).ok()?,
            statuses: record.statuses,
            process: record.process.map(Process::from_record),
            held_kill: None,
        })
    }
}

impl Process {
    pub fn new(container: ContainerId, parent: Option<ContainerId>) -> Self {
        Self {
            container,
            parent,
            pid: None,
            started_at: None,
            kill: None,
            unhealthy: 0,
        }
    }

    fn to_record(&self) -> checkpoint::Process {
        checkpoint::Process {
            container_id: self.container.to_string(),
            parent_container_id: self
                .parent
                .as_ref()
                .map(ToString::to_string)
                .unwrap_or_default(),
            pid: self.pid.unwrap_or_default(),
            started_at_ms: self.started_at.unwrap_or_default().0,
            kill: self.kill.map(|kill| checkpoint::Kill {
                at_ms: kill.at.0,
                grace_ms: kill.grace.0,
                cause: kill.cause.to_record() as i32,
            }),
        }
    }

    fn from_record(record: checkpoint::Process) -> Self {
        let kill = record.kill.map(|kill| Kill {
            at: Millis(kill.at_ms),
            grace: DurationMs(kill.grace_ms),
            cause: KillCause::from_record(kill.cause()),
        });
        let parent = record.parent_container_id;
        Self {
            container: record.container_id.into(),
            parent: (!parent.is_empty()).then(|| parent.into()),
            pid: Some(record.pid).filter(|pid| *pid != 0),
            started_at: Some(Millis(record.started_at_ms)).filter(|at| at.0 != 0),
            kill,
            unhealthy: 0,
        }
    }
}

impl KillCause {
    fn to_record(self) -> checkpoint::kill::Cause {
        match self {
            Self::Requested => checkpoint::kill::Cause::Requested,
            Self::CompletionTime => checkpoint::kill::Cause::CompletionTime,
            Self::Unhealthy => checkpoint::kill::Cause::Unhealthy,
        }
    }

    fn from_record(record: checkpoint::kill::Cause) -> Self {
        match record {
            checkpoint::kill::Cause::Requested => Self::Requested,
            checkpoint::kill::Cause::CompletionTime => Self::CompletionTime,
            checkpoint::kill::Cause::Unhealthy => Self::Unhealthy,
        }
    }
}
