//! The state as a stream of chunks, and back: to disk, and to members that are behind.
//!
//! header, maintenance, removed agents, agents, frameworks, completed frameworks, executors,
//! operations, tasks (live, unreachable, completed), idempotency keys, quotas, weights, trailer.
//! Each chunk only refers to chunks before it; derived data is not written but computed again.

mod restore;

use std::sync::Arc;

use caprock_model::Role;
use caprock_proto::caprock::registry::snapshot_chunk::Chunk;
use caprock_proto::caprock::registry::{SnapshotChunk, SnapshotHeader, SnapshotTrailer};
use caprock_proto::mesos::v1::WeightInfo;

use crate::digest::Hasher;
use crate::{FORMAT, Framework, Registry, Task, removed};

pub use restore::RestoreError;

impl Registry {
    /// The snapshot. Take it of a clone, which nobody changes meanwhile.
    pub fn chunks(&self) -> Chunks<'_> {
        Chunks {
            registry: self,
            records: None,
            hasher: Hasher::new(self),
            count: 0,
            done: false,
        }
    }

    /// All records in the order of the snapshot.
    pub(crate) fn records(&self) -> Box<dyn Iterator<Item = Chunk> + '_> {
        let maintenance = self.maintenance.to_record().map(Chunk::Maintenance);
        let maintenance = maintenance.into_iter();
        let removed_agents = self
            .removed_agents
            .iter()
            .map(|(id, removed)| Chunk::RemovedAgent(removed::to_record(id, removed)));
        let agents = self.agents().map(|agent| Chunk::Agent(agent.to_record()));
        let frameworks = self
            .frameworks()
            .map(|framework| Chunk::Framework(framework.to_record()));
        let completed_frameworks = self
            .completed_frameworks()
            .map(|framework| Chunk::CompletedFramework(framework.to_record()));
        let executors = self
            .agents()
            .flat_map(|agent| agent.executors.values())
            .map(|executor| Chunk::Executor(executor.to_record()));
        let operations = self
            .agents()
            .flat_map(|agent| agent.operations.values())
            .map(|operation| Chunk::Operation(operation.to_record()));
        let outcomes = self
            .idempotency
            .iter()
            .map(|kept| Chunk::IdempotentOutcome(kept.to_record()));
        Box::new(
            maintenance
                .chain(removed_agents)
                .chain(agents)
                .chain(frameworks)
                .chain(completed_frameworks)
                .chain(executors)
                .chain(operations)
                .chain(self.task_records())
                .chain(outcomes)
                .chain(self.quota_records()),
        )
    }

    fn quota_records(&self) -> impl Iterator<Item = Chunk> {
        let quotas = self.quotas();
        let quotas = quotas.map(|(role, quota)| Chunk::Quota(quota.to_config(role)));
        let weight = |(role, weight): (&Role, f64)| {
            let role = Some(role.to_string());
            Chunk::Weight(WeightInfo { role, weight })
        };
        quotas.chain(self.weights().map(weight))
    }

    fn task_records(&self) -> impl Iterator<Item = Chunk> {
        let tasks = self
            .frameworks()
            .flat_map(|framework| framework.tasks.values())
            .map(|task| Chunk::Task(task.to_record(false)));
        let unreachable = self
            .frameworks()
            .flat_map(|framework| framework.unreachable_tasks.values())
            .map(|task| Chunk::UnreachableTask(task.to_record(true)));
        let completed = self
            .frameworks()
            .chain(self.completed_frameworks())
            .flat_map(|framework: &Arc<Framework>| framework.completed_tasks.iter())
            .map(|task: &Arc<Task>| Chunk::CompletedTask(task.to_record(false)));
        tasks.chain(unreachable).chain(completed)
    }
}

/// The chunks of a snapshot, made one by one.
pub struct Chunks<'a> {
    registry: &'a Registry,
    /// None before the header.
    records: Option<Box<dyn Iterator<Item = Chunk> + 'a>>,
    hasher: Hasher,
    count: u64,
    done: bool,
}

impl Iterator for Chunks<'_> {
    type Item = SnapshotChunk;

    fn next(&mut self) -> Option<SnapshotChunk> {
        if self.done {
            return None;
        }
        let chunk = match &mut self.records {
            None => {
                self.records = Some(self.registry.records());
                Chunk::Header(SnapshotHeader {
                    format: FORMAT,
                    cluster_id: self.registry.cluster_id().unwrap_or_default().to_owned(),
                    applied_index: self.registry.applied(),
                })
            }
            Some(records) => match records.next() {
                Some(record) => record,
                None => {
                    self.done = true;
                    let hasher = std::mem::replace(&mut self.hasher, Hasher::new(self.registry));
                    let digest = hasher.finish().0.to_vec().into();
                    Chunk::Trailer(SnapshotTrailer {
                        chunks: self.count,
                        digest,
                    })
                }
            },
        };
        self.count += 1;
        let chunk = SnapshotChunk { chunk: Some(chunk) };
        self.hasher.add(&chunk);
        Some(chunk)
    }
}

impl std::fmt::Debug for Chunks<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Chunks")
            .field("count", &self.count)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
