//! Task statuses that the master makes itself: no uuid, never acknowledged.

use caprock_model::{AgentId, ExecutorId, Millis, TaskId};
use caprock_proto::mesos::v1::task_status::{Reason, Source};
use caprock_proto::mesos::v1::{TaskState, TaskStatus};

/// What distinguishes one master-made status from another.
pub(crate) struct MasterStatus<'a> {
    pub task: &'a TaskId,
    /// Absent only in answers about a task that was named without its agent.
    pub agent: Option<&'a AgentId>,
    pub executor: Option<&'a ExecutorId>,
    pub state: TaskState,
    pub reason: Reason,
    pub message: String,
}

impl MasterStatus<'_> {
    pub fn at(self, now: Millis) -> TaskStatus {
        TaskStatus {
            task_id: self.task.to_proto(),
            state: self.state as i32,
            message: Some(self.message),
            source: Some(Source::Master as i32),
            reason: Some(self.reason as i32),
            agent_id: self.agent.map(AgentId::to_proto),
            executor_id: self.executor.map(ExecutorId::to_proto),
            timestamp: Some(now.seconds_f64()),
            ..TaskStatus::default()
        }
    }
}
