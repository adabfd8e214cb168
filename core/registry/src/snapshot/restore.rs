//! From chunks to the state: checked for completeness and for the digest.

use std::collections::BTreeMap;
use std::sync::Arc;

use caprock_model::{AgentId, FrameworkId, Millis};
use caprock_proto::caprock::registry::snapshot_chunk::Chunk;
use caprock_proto::caprock::registry::{
    ExecutorRecord, FrameworkRecord, OperationRecord, RemovedAgentRecord, SnapshotChunk,
    SnapshotHeader, SnapshotTrailer, TaskRecord,
};

use crate::Maintenance;
use crate::idempotency::Remembered;
use crate::outcome::Rejection;
use crate::removed::RemovedAgent;
use crate::upgrade::{self, Unsupported};
use crate::{Agent, Digest, Executor, Framework, Limits, Operation, Registry, Task};

/// Why chunks are no snapshot that this build can use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RestoreError {
    #[error(transparent)]
    Unsupported(#[from] Unsupported),
    #[error("the snapshot does not begin with a header")]
    NoHeader,
    #[error("the snapshot goes on after its end, or begins twice")]
    Disordered,
    #[error("the snapshot ends early: there are {found} chunks and no trailer")]
    Truncated { found: u64 },
    #[error("the snapshot has {found} chunks and not {expected}")]
    ChunkCount { expected: u64, found: u64 },
    #[error("the snapshot's digest is {found} and not {expected}")]
    DigestMismatch { expected: String, found: Digest },
    #[error("the snapshot has a chunk that this build does not know")]
    UnknownChunk,
    #[error("the snapshot has a broken record: {0}")]
    Broken(#[from] Rejection),
}

impl Registry {
    /// The state that the chunks of a snapshot hold.
    pub fn restore(
        chunks: impl IntoIterator<Item = SnapshotChunk>,
    ) -> Result<Registry, RestoreError> {
        Self::restore_with(Limits::default(), chunks)
    }

    /// The same with other limits than the usual ones.
    pub fn restore_with(
        limits: Limits,
        chunks: impl IntoIterator<Item = SnapshotChunk>,
    ) -> Result<Registry, RestoreError> {
        let mut chunks = chunks.into_iter();
        let Some(SnapshotChunk {
            chunk: Some(Chunk::Header(header)),
        }) = chunks.next()
        else {
            return Err(RestoreError::NoHeader);
        };
        let mut restorer = Restorer::new(limits, &header)?;
        let mut found = 1;
        let trailer = loop {
            match chunks.next().map(|chunk| chunk.chunk) {
                None => return Err(RestoreError::Truncated { found }),
                Some(None) => return Err(RestoreError::UnknownChunk),
                Some(Some(Chunk::Trailer(trailer))) => break trailer,
                Some(Some(chunk)) => restorer.add(&chunk)?,
            }
            found += 1;
        };
        if chunks.next().is_some() {
            return Err(RestoreError::Disordered);
        }
        restorer.finish(&trailer, found)
    }
}

struct Restorer {
    registry: Registry,
    completed: Vec<Framework>,
    /// Where the completed frameworks are.
    completed_at: BTreeMap<FrameworkId, usize>,
}

impl Restorer {
    fn new(limits: Limits, header: &SnapshotHeader) -> Result<Self, RestoreError> {
        upgrade::check_format(header.format)?;
        let mut registry = Registry::new(limits);
        registry.applied = header.applied_index;
        registry.cluster_id =
            (!header.cluster_id.is_empty()).then(|| header.cluster_id.as_str().into());
        Ok(Self {
            registry,
            completed: Vec::new(),
            completed_at: BTreeMap::new(),
        })
    }

    fn add(&mut self, chunk: &Chunk) -> Result<(), RestoreError> {
        match chunk {
            Chunk::Header(_) | Chunk::Trailer(_) => return Err(RestoreError::Disordered),
            Chunk::Maintenance(record) => {
                self.registry.maintenance = Maintenance::from_record(record);
            }
            Chunk::RemovedAgent(record) => self.add_removed_agent(record)?,
            Chunk::Agent(record) => self.registry.add_agent(Agent::from_record(record)?),
            Chunk::Framework(record) => {
                let framework = Framework::from_record(record)?;
                self.registry
                    .frameworks
                    .insert_mut(framework.id.clone(), Arc::new(framework));
            }
            Chunk::CompletedFramework(record) => self.add_completed_framework(record)?,
            Chunk::Executor(record) => self.add_executor(record)?,
            Chunk::Operation(record) => self.add_operation(record)?,
            Chunk::Task(record) => {
                let task = self.live_task(record)?;
                self.registry.add_task(Arc::new(task));
            }
            Chunk::UnreachableTask(record) => self.add_unreachable_task(record)?,
            Chunk::CompletedTask(record) => self.add_completed_task(record)?,
            Chunk::IdempotentOutcome(record) => {
                let max = self.registry.limits.idempotency_keys;
                self.registry
                    .idempotency
                    .insert(Remembered::from_record(record), max);
            }
            Chunk::Quota(config) => self.registry.put_quota(config),
            Chunk::Weight(info) => self.registry.put_weight(info),
        }
        Ok(())
    }

    fn add_removed_agent(&mut self, record: &RemovedAgentRecord) -> Result<(), Rejection> {
        let removal = record
            .removal
            .try_into()
            .map_err(|_| Rejection::Malformed("agent removed in an unknown way".to_owned()))?;
        let removed = RemovedAgent {
            removal,
            at: Millis(record.removed_ms),
        };
        let max = self.registry.limits.removed_agents;
        let id = AgentId::from(record.agent_id.as_str());
        self.registry.removed_agents.insert(id, removed, max);
        Ok(())
    }

    fn add_completed_framework(&mut self, record: &FrameworkRecord) -> Result<(), Rejection> {
        let framework = Framework::from_record(record)?;
        self.completed_at
            .insert(framework.id.clone(), self.completed.len());
        self.completed.push(framework);
        Ok(())
    }

    fn add_executor(&mut self, record: &ExecutorRecord) -> Result<(), Rejection> {
        let framework_id = self.framework_id(&record.framework_id)?;
        let agent = self
            .registry
            .known_agent(&AgentId::from(record.agent_id.as_str()))?;
        let info = record.info.clone();
        let info =
            info.ok_or_else(|| Rejection::Malformed("executor without ExecutorInfo".to_owned()))?;
        let executor = Executor::new(info, framework_id, agent.id.clone())?;
        self.registry.add_executor(&Arc::new(executor));
        Ok(())
    }

    fn add_operation(&mut self, record: &OperationRecord) -> Result<(), Rejection> {
        let operation = Operation::from_record(record)?;
        let id = self.registry.known_agent(&operation.agent_id)?.id.clone();
        if let Some(agent) = self.registry.agent_mut(&id) {
            agent
                .operations
                .insert_mut(operation.uuid, Arc::new(operation));
        }
        Ok(())
    }

    /// The id of a framework that is there, sharing its text.
    fn framework_id(&self, id: &str) -> Result<FrameworkId, Rejection> {
        let id = FrameworkId::from(id);
        self.registry
            .live_framework(&id)
            .map(|framework| framework.id.clone())
    }

    fn live_task(&self, record: &TaskRecord) -> Result<Task, Rejection> {
        let framework_id = self.framework_id(&record.framework_id)?;
        let agent = self.registry.known_agent(&agent_id_of(record))?;
        Task::from_record(record, framework_id, agent.id.clone())
    }

    fn add_unreachable_task(&mut self, record: &TaskRecord) -> Result<(), Rejection> {
        let task = self.live_task(record)?;
        let agent = self.registry.known_agent(&task.agent_id)?;
        let since = agent.unreachable_since().ok_or_else(|| {
            Rejection::Malformed(format!("unreachable task {} of a reachable agent", task.id))
        })?;
        self.registry.add_unreachable_task(Arc::new(task), since);
        Ok(())
    }

    fn add_completed_task(&mut self, record: &TaskRecord) -> Result<(), Rejection> {
        let framework_id = FrameworkId::from(record.framework_id.as_str());
        let agent_id = agent_id_of(record);
        let agent_id = self
            .registry
            .agent(&agent_id)
            .map_or(agent_id, |agent| agent.id.clone());
        if let Some(at) = self.completed_at.get(&framework_id) {
            let framework = &mut self.completed[*at];
            let task = Task::from_record(record, framework.id.clone(), agent_id)?;
            let max = self.registry.limits.completed_tasks_per_framework;
            framework.completed_tasks.push(Arc::new(task), max);
            return Ok(());
        }
        let framework_id = self.framework_id(&record.framework_id)?;
        let task = Task::from_record(record, framework_id, agent_id)?;
        self.registry.add_completed_task(Arc::new(task));
        Ok(())
    }

    fn finish(self, trailer: &SnapshotTrailer, found: u64) -> Result<Registry, RestoreError> {
        let Self {
            mut registry,
            completed,
            ..
        } = self;
        if trailer.chunks != found {
            return Err(RestoreError::ChunkCount {
                expected: trailer.chunks,
                found,
            });
        }
        let max = registry.limits.completed_frameworks;
        for framework in completed {
            registry.completed_frameworks.push(Arc::new(framework), max);
        }
        let digest = registry.digest();
        if trailer.digest != digest.0[..] {
            let expected = trailer
                .digest
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect();
            return Err(RestoreError::DigestMismatch {
                expected,
                found: digest,
            });
        }
        Ok(registry)
    }
}

/// The agent that the task was launched on.
fn agent_id_of(record: &TaskRecord) -> AgentId {
    record
        .info
        .as_ref()
        .map(|info| AgentId::from(&info.agent_id))
        .unwrap_or_default()
}
