//! What the shell hands over at the start: the records of the checkpoint store and what became
//! of the containers in them. [`containers_in`] tells the shell which containers to look for.

mod load;
mod reconfigure;
mod start;

use bytes::Bytes;
use caprock_model::{ContainerId, ExecutorId, FrameworkId, TaskId};
use caprock_proto::caprock::checkpoint::record::Record;

use crate::checkpoint::{DecodeError, decode};

pub(crate) use load::Loaded;

/// The argument of [`crate::Input::Start`].
#[derive(Debug, Clone, Default)]
pub struct Recovered {
    /// Everything in the checkpoint store, in order of the keys.
    pub records: Vec<(Bytes, Bytes)>,
    /// What became of each of [`containers_in`] these records.
    pub containers: Vec<ContainerProbe>,
    /// The machine was booted since the agent wrote its last checkpoint.
    pub rebooted: bool,
}

/// What the shell found out about a container of an earlier life of the agent. From a live
/// one the shell reports [`crate::Input::ContainerExited`] later, like from one that it
/// started itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerProbe {
    pub container: ContainerId,
    pub alive: bool,
    pub pid: Option<u32>,
    /// Raw wait(2) word of a dead one, if its launcher left it behind.
    pub wait_status: Option<i32>,
}

/// A container that the records mention and that may have a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredContainer {
    pub container: ContainerId,
    /// The container of the pod's executor, for a task of a pod.
    pub parent: Option<ContainerId>,
    pub agent_id: String,
    pub framework_id: FrameworkId,
    pub executor_id: ExecutorId,
    /// The task that the container runs, unless it is a custom executor's container.
    pub task_id: Option<TaskId>,
    /// None until the agent had been told that the process runs.
    pub pid: Option<u32>,
}

/// The id under which the agent was admitted, if the records have one.
pub fn agent_id_in(records: &[(Bytes, Bytes)]) -> Result<Option<String>, DecodeError> {
    for (_, value) in records {
        if let Record::Identity(identity) = decode(value)? {
            return Ok(Some(identity.agent_id).filter(|id| !id.is_empty()));
        }
    }
    Ok(None)
}

/// The containers to probe before [`crate::Input::Start`].
pub fn containers_in(records: &[(Bytes, Bytes)]) -> Result<Vec<StoredContainer>, DecodeError> {
    let loaded = Loaded::from_records(records)?;
    Ok(loaded.containers())
}
