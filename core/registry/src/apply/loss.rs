//! What the master itself says of tasks that end, or get out of sight, without their
//! executor saying so.

use caprock_model::task::state_for;
use caprock_model::{Capabilities, Millis};
use caprock_proto::mesos::v1::task_status::{Reason, Source};
use caprock_proto::mesos::v1::{TaskState, TaskStatus};

use crate::Task;

/// Why the task ends or gets out of sight.
#[derive(Clone, Copy, Debug)]
pub(super) struct Loss<'a> {
    /// The exact state; LOST is told instead where a framework does not know it.
    pub state: TaskState,
    pub reason: Reason,
    pub message: &'a str,
    pub at: Millis,
}

impl Loss<'_> {
    /// The state that a framework of these capabilities is told.
    pub fn state_for(&self, capabilities: Capabilities) -> TaskState {
        state_for(capabilities, self.state)
    }

    /// The status that the history of the task keeps.
    pub fn status(&self, task: &Task, capabilities: Capabilities) -> TaskStatus {
        let state = self.state_for(capabilities);
        let unreachable = self.state == TaskState::TaskUnreachable;
        // A framework that does not know GONE_BY_OPERATOR knows no operator either
        // (Mesos: Master::_markGone in src/master/master.cpp).
        let reason = match (self.reason, state) {
            (Reason::AgentRemovedByOperator, TaskState::TaskLost) => Reason::AgentRemoved,
            (reason, _) => reason,
        };
        TaskStatus {
            task_id: task.id.to_proto(),
            state: state.into(),
            source: Some(Source::Master.into()),
            reason: Some(reason.into()),
            message: Some(self.message.to_owned()),
            agent_id: Some(task.agent_id.to_proto()),
            timestamp: Some(self.at.seconds_f64()),
            unreachable_time: unreachable.then(|| self.at.to_proto()),
            ..TaskStatus::default()
        }
    }
}
