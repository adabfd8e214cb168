//! A task from its accepted launch until its end is acknowledged, and after.

use std::sync::Arc;

use bytes::Bytes;
use caprock_model::task::{executor_id_of, is_terminal};
use caprock_model::{AgentId, ExecutorId, FrameworkId, Millis, Resources, TaskId};
use caprock_proto::caprock::registry::TaskRecord;
use caprock_proto::mesos::v1::{KillPolicy, TaskInfo, TaskState, TaskStatus};

use crate::LogIndex;
use crate::outcome::Rejection;

/// One task.
#[derive(Clone, Debug)]
pub struct Task {
    pub id: TaskId,
    pub framework_id: FrameworkId,
    pub agent_id: AgentId,
    /// The task's own id for a command task.
    pub executor_id: ExecutorId,
    pub info: Arc<TaskInfo>,
    /// In allocated form.
    pub resources: Resources,
    /// What the scheduler was told last; STAGING before the first update.
    pub state: TaskState,
    /// What the agent knew last: the resources are free as soon as this is terminal.
    pub latest_state: TaskState,
    /// The latest status of each state, newest last, without `data`.
    pub statuses: Vec<Arc<TaskStatus>>,
    /// Of the status that the scheduler was told last; empty if that had none.
    pub status_uuid: Bytes,
    /// Where its launch is in the log.
    pub launch_index: LogIndex,
    pub launched_at: Millis,
    pub kill: Option<Kill>,
    /// Launched as part of a group.
    pub group: bool,
    /// Run by the built-in command executor.
    pub is_command: bool,
}

/// The scheduler asked for the task to be killed.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Kill {
    pub policy: Option<KillPolicy>,
}

impl Task {
    /// A task that has just been accepted.
    pub(crate) fn staged(
        mut info: TaskInfo,
        framework_id: FrameworkId,
        agent_id: AgentId,
        group: bool,
    ) -> Result<Self, Rejection> {
        // Records tell the agent by the info alone.
        info.agent_id = agent_id.to_proto();
        let resources = Resources::from_protos(&info.resources)
            .map_err(|error| Rejection::Malformed(format!("Task's resources: {error}")))?;
        Ok(Self {
            id: TaskId::from(&info.task_id),
            framework_id,
            agent_id,
            executor_id: executor_id_of(&info),
            resources,
            state: TaskState::TaskStaging,
            latest_state: TaskState::TaskStaging,
            statuses: Vec::new(),
            status_uuid: Bytes::new(),
            launch_index: 0,
            launched_at: Millis::default(),
            kill: None,
            group,
            is_command: info.executor.is_none() && !group,
            info: Arc::new(info),
        })
    }

    /// Whether the agent has ended it, so that it uses nothing any more.
    pub fn has_ended(&self) -> bool {
        is_terminal(self.latest_state)
    }

    /// Whether the scheduler was told of its end: only the acknowledgement is missing.
    pub fn end_was_told(&self) -> bool {
        self.has_ended() && is_terminal(self.state)
    }

    /// Adds a status to the history, in the place of an earlier one of the same state
    /// (Mesos: Master::updateTask keeps no data, which may be large).
    pub(crate) fn observe(&mut self, mut status: TaskStatus) {
        status.data = None;
        self.statuses
            .retain(|earlier| earlier.state != status.state);
        self.statuses.push(Arc::new(status));
    }

    /// Takes over a status that the agent reported. What has ended stays as it ended; a
    /// second terminal status only replaces the uuid, so that its acknowledgement counts.
    pub(crate) fn record(
        &mut self,
        status: TaskStatus,
        state: TaskState,
        latest_state: TaskState,
    ) -> Result<(), Rejection> {
        if self.end_was_told() {
            if !is_terminal(state) {
                return Err(Rejection::TaskEnded(self.id.clone(), self.state));
            }
            self.status_uuid = status.uuid.clone().unwrap_or_default();
            if state == self.state {
                self.observe(status);
            }
            return Ok(());
        }
        self.state = state;
        self.status_uuid = status.uuid.clone().unwrap_or_default();
        if is_terminal(state) {
            self.latest_state = state;
        } else if !self.has_ended() {
            self.latest_state = latest_state;
        }
        self.observe(status);
        Ok(())
    }

    /// The master ends or loses the task by itself: the scheduler is told `status`. The
    /// state of a task that the agent has ended already is only completed by that.
    pub(crate) fn lose(&mut self, status: TaskStatus, state: TaskState) {
        if self.has_ended() {
            self.state = self.latest_state;
            return;
        }
        self.state = state;
        self.latest_state = state;
        self.status_uuid = Bytes::new();
        self.observe(status);
    }

    /// The agent became unreachable; `latest_state` still tells what it last reported.
    pub(crate) fn become_unreachable(&mut self, status: TaskStatus, state: TaskState) {
        if self.end_was_told() {
            return;
        }
        self.state = state;
        self.status_uuid = Bytes::new();
        self.observe(status);
    }

    /// The agent is back; `report` is what it says of the task, if anything.
    pub(crate) fn return_from_unreachable(&mut self, report: Option<&TaskRecord>) {
        let latest_state = report.and_then(|report| TaskState::try_from(report.latest_state).ok());
        if let (Some(report), Some(latest_state), false) = (report, latest_state, self.has_ended())
        {
            self.latest_state = latest_state;
            // The scheduler is told the latest state now: the uuid of an earlier one must
            // not acknowledge it.
            if report.state == report.latest_state {
                self.status_uuid = report.status_uuid.clone();
            }
            report
                .statuses
                .iter()
                .for_each(|status| self.observe(status.clone()));
        }
        self.state = self.latest_state;
    }

    pub(crate) fn to_record(&self, unreachable: bool) -> TaskRecord {
        TaskRecord {
            info: Some(TaskInfo::clone(&self.info)),
            framework_id: self.framework_id.to_string(),
            state: self.state.into(),
            latest_state: self.latest_state.into(),
            statuses: self
                .statuses
                .iter()
                .map(|status| TaskStatus::clone(status))
                .collect(),
            status_uuid: self.status_uuid.clone(),
            launch_index: self.launch_index,
            launched_ms: self.launched_at.0,
            kill_requested: self.kill.is_some(),
            kill_policy: self.kill.as_ref().and_then(|kill| kill.policy),
            group: self.group,
            unreachable,
            executor_id: self.executor_id.to_string(),
        }
    }

    /// Reads a record of a snapshot, or of an agent's report.
    pub(crate) fn from_record(
        record: &TaskRecord,
        framework_id: FrameworkId,
        agent_id: AgentId,
    ) -> Result<Self, Rejection> {
        let malformed = |text: &str| Rejection::Malformed(text.to_owned());
        let info = record
            .info
            .clone()
            .ok_or_else(|| malformed("Task without TaskInfo"))?;
        let state = TaskState::try_from(record.state);
        let latest_state = TaskState::try_from(record.latest_state);
        let (Ok(state), Ok(latest_state)) = (state, latest_state) else {
            return Err(malformed("Task with an unknown state"));
        };
        let mut task = Self::staged(info, framework_id, agent_id, record.group)?;
        if !record.executor_id.is_empty() {
            task.executor_id = ExecutorId::from(record.executor_id.as_str());
        }
        task.state = state;
        task.latest_state = latest_state;
        task.statuses = record.statuses.iter().cloned().map(Arc::new).collect();
        task.status_uuid = record.status_uuid.clone();
        task.launch_index = record.launch_index;
        task.launched_at = Millis(record.launched_ms);
        let policy = record.kill_policy;
        task.kill = record.kill_requested.then_some(Kill { policy });
        Ok(task)
    }
}
