//! What applying an entry may answer. The leader makes events and replies of it.

use std::sync::Arc;

use caprock_model::{AgentId, ExecutorId, FrameworkId, Role, TaskId};
use caprock_proto::mesos::v1::TaskState;

use crate::{LogIndex, Operation, Task};

/// The outcome of one entry; the same on every member.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// Done.
    Applied,
    /// The launch was carried out but for these tasks; a rejected group is [`Self::Rejected`].
    Launched { rejected: Vec<(TaskId, Rejection)> },
    /// The operation has changed its agent's resources, and is pending.
    Converted(Arc<Operation>),
    /// What became of each step of an ACCEPT.
    Steps(Vec<Outcome>),
    /// The updates were recorded but for these.
    Recorded {
        ignored: Vec<(FrameworkId, TaskId, Rejection)>,
    },
    /// The agent is attached.
    Attached {
        /// Tasks that were unreachable and are no more, in their present state.
        returned: Vec<Arc<Task>>,
        /// Reported tasks that were not taken up.
        skipped: Vec<(FrameworkId, TaskId, Rejection)>,
    },
    /// An agent became unreachable, or an agent or framework was removed, with these tasks:
    /// as they are recorded now, in the order of their ids.
    Ended { tasks: Vec<Arc<Task>> },
    /// Nothing was changed.
    Rejected(Rejection),
    /// An entry with this idempotency key was applied before; nothing was changed now.
    Duplicate {
        /// Where it was applied.
        first: LogIndex,
        /// Why it was rejected, if it was.
        rejection: Option<Arc<str>>,
        /// The tasks of an otherwise applied launch that were rejected.
        rejected_tasks: Vec<(TaskId, Arc<str>)>,
    },
}

impl Outcome {
    /// Why the entry as a whole changed nothing, if so.
    pub fn rejection(&self) -> Option<String> {
        match self {
            Self::Rejected(rejection) => Some(rejection.to_string()),
            Self::Duplicate { rejection, .. } => rejection.as_deref().map(str::to_owned),
            Self::Applied
            | Self::Launched { .. }
            | Self::Converted(_)
            | Self::Steps(_)
            | Self::Recorded { .. }
            | Self::Attached { .. }
            | Self::Ended { .. } => None,
        }
    }
}

impl From<Result<Outcome, Rejection>> for Outcome {
    fn from(result: Result<Outcome, Rejection>) -> Self {
        result.unwrap_or_else(Self::Rejected)
    }
}

/// Why a command, or a part of it, was not carried out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    #[error("The log belongs to cluster {0}")]
    ClusterExists(Arc<str>),

    #[error("Agent {0} is unknown")]
    UnknownAgent(AgentId),
    #[error("Agent {0} is unreachable")]
    AgentUnreachable(AgentId),
    #[error("Agent {0} has been removed")]
    AgentRemoved(AgentId),
    #[error("Agent {0} has been marked gone")]
    AgentGone(AgentId),
    /// Its id, or its registration id: then this is the id that it was given.
    #[error("Agent {0} has been admitted already")]
    AgentExists(AgentId),

    #[error("Agent {0} is not draining")]
    NotDraining(AgentId),
    #[error("Agent {0} is still draining")]
    StillDraining(AgentId),
    #[error("Agent {0} is not deactivated")]
    NotDeactivated(AgentId),
    /// Of the maintenance schedule, in Mesos' words.
    #[error("{0}")]
    Maintenance(String),

    #[error("Framework {0} is unknown")]
    UnknownFramework(FrameworkId),
    #[error("Framework has been removed")]
    FrameworkRemoved(FrameworkId),
    #[error("Framework {0} has come back meanwhile")]
    FrameworkReturned(FrameworkId),
    #[error("Framework {0} does not have the role '{1}'")]
    RoleNotHeld(FrameworkId, String),

    #[error("Task {0} is unknown")]
    UnknownTask(TaskId),
    #[error("Task has duplicate ID: {0}")]
    DuplicateTask(TaskId),
    #[error("Task reuses the ID of an unreachable task: {0}")]
    UnreachableTask(TaskId),
    #[error("Task {0} runs on agent {1}")]
    OtherAgent(TaskId, AgentId),
    #[error("Task {0} has ended with {name} already", name = .1.as_str_name())]
    TaskEnded(TaskId, TaskState),
    #[error("The acknowledged update is not the last one of task {0}, or does not end it")]
    NotTheLastUpdate(TaskId),
    /// Texts of resources; `required` includes that of a new executor.
    #[error(
        "Total resources {required} required by task and its executor is more than \
             available {available}"
    )]
    NotEnoughResources { required: String, available: String },
    #[error(
        "Total resources {required} required by task group and its executor are more than \
             available {available}"
    )]
    NotEnoughForGroup { required: String, available: String },

    /// Texts of resources.
    #[error("{available} does not contain {required}")]
    NotConvertible { required: String, available: String },
    #[error("{0}")]
    InvalidOperation(String),
    #[error("The operation is unknown")]
    UnknownOperation,

    #[error("Executor {0} is unknown")]
    UnknownExecutor(ExecutorId),
    #[error(
        "ExecutorInfo is not compatible with existing ExecutorInfo with same ExecutorID \
             {0}."
    )]
    ExecutorMismatch(ExecutorId),

    #[error("Cannot set quota for role '{0}' which already has quota")]
    QuotaExists(Role),
    #[error("Role '{0}' has no quota set")]
    NoQuota(Role),
    #[error("total quota guarantees '{guarantees}' exceed cluster capacity '{capacity}'")]
    QuotaExceedsCapacity {
        guarantees: String,
        capacity: String,
    },
    #[error(
        "Role '{role}' is already consuming '{consumed}'; this is more than the requested \
             limits '{limits}'"
    )]
    QuotaBelowUse {
        role: Role,
        consumed: String,
        limits: String,
    },

    /// A field that the proposer must have set and checked is not so.
    #[error("{0}")]
    Malformed(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_those_of_mesos_where_it_has_one() {
        let duplicate = Rejection::DuplicateTask(TaskId::from("t"));
        assert_eq!(duplicate.to_string(), "Task has duplicate ID: t");
        let removed = Rejection::FrameworkRemoved(FrameworkId::from("f"));
        assert_eq!(removed.to_string(), "Framework has been removed");
        let not_enough = Rejection::NotEnoughForGroup {
            required: "cpus:2".to_owned(),
            available: "cpus:1".to_owned(),
        };
        assert_eq!(
            not_enough.to_string(),
            "Total resources cpus:2 required by task group and its executor are more than \
             available cpus:1"
        );
        let ended = Rejection::TaskEnded(TaskId::from("t"), TaskState::TaskLost);
        assert_eq!(ended.to_string(), "Task t has ended with TASK_LOST already");
    }
}
