//! An executor that an agent runs for a framework.

use std::sync::Arc;

use caprock_model::{AgentId, ExecutorId, FrameworkId, Resources};
use caprock_proto::caprock::registry::ExecutorRecord;
use caprock_proto::mesos::v1::ExecutorInfo;

use crate::outcome::Rejection;

/// A custom or default executor. The built-in executor of a command task is part of its
/// task and has no record (Mesos does not account for it either).
#[derive(Clone, Debug)]
pub struct Executor {
    pub id: ExecutorId,
    pub framework_id: FrameworkId,
    pub agent_id: AgentId,
    pub info: Arc<ExecutorInfo>,
    /// In allocated form.
    pub resources: Resources,
}

impl Executor {
    /// Checks what a record of it needs.
    pub(crate) fn new(
        info: ExecutorInfo,
        framework_id: FrameworkId,
        agent_id: AgentId,
    ) -> Result<Self, Rejection> {
        let resources = Resources::from_protos(&info.resources)
            .map_err(|error| Rejection::Malformed(format!("Executor's resources: {error}")))?;
        let id = ExecutorId::from(&info.executor_id);
        Ok(Self {
            id,
            framework_id,
            agent_id,
            info: Arc::new(info),
            resources,
        })
    }

    pub(crate) fn to_record(&self) -> ExecutorRecord {
        ExecutorRecord {
            info: Some(ExecutorInfo::clone(&self.info)),
            framework_id: self.framework_id.to_string(),
            agent_id: self.agent_id.to_string(),
        }
    }
}
