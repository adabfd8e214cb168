//! Reads the checkpoint records into the shapes that the agent works with.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use caprock_model::{ContainerId, ExecutorId, FrameworkId, TaskId};
use caprock_proto::caprock::checkpoint;
use caprock_proto::caprock::checkpoint::record::Record;

use super::StoredContainer;
use crate::checkpoint::{DecodeError, decode};
use crate::executor::Executor;
use crate::framework::Framework;
use crate::operations::PendingOperation;
use crate::task::Task;
use crate::view::{ExecutorKind, ExecutorState};

/// All records, sorted by what they are.
#[derive(Debug, Default)]
pub(crate) struct Loaded {
    pub identity: Option<checkpoint::Identity>,
    pub highest_term: u64,
    pub frameworks: BTreeMap<FrameworkId, Framework>,
    /// In order of the streams and of the sequence.
    pub updates: Vec<checkpoint::Update>,
    pub finished: Vec<checkpoint::Finished>,
    pub orphans: Vec<checkpoint::Orphan>,
    pub operations: Vec<PendingOperation>,
    pub converted: Option<checkpoint::Converted>,
    pub drain: Option<checkpoint::Drain>,
    /// Records that are damaged or that belong to nothing.
    pub damaged: Vec<String>,
}

impl Loaded {
    /// Fails only on a record of a newer format: that must not be overwritten.
    pub fn from_records(records: &[(Bytes, Bytes)]) -> Result<Self, DecodeError> {
        let mut loaded = Self::default();
        let mut runs = Vec::new();
        let mut tasks = Vec::new();
        for (_, value) in records {
            match decode(value) {
                Ok(Record::Run(run)) => runs.push(run),
                Ok(Record::Task(task)) => tasks.push(task),
                Ok(record) => loaded.take(record),
                Err(error @ DecodeError::Newer { .. }) => return Err(error),
                Err(error) => loaded.damaged.push(error.to_string()),
            }
        }
        for run in runs {
            loaded.take_run(run);
        }
        for task in tasks {
            loaded.take_task(task);
        }
        loaded.sort_queues();
        loaded.updates.sort_by_key(|update| update.sequence);
        Ok(loaded)
    }

    fn take(&mut self, record: Record) {
        match record {
            Record::Identity(identity) => self.identity = Some(identity),
            Record::Fence(fence) => self.highest_term = fence.highest_term,
            Record::Framework(checkpoint::Framework {
                info: Some(info),
                terminating,
            }) => {
                let Some(id) = info.id.as_ref().map(FrameworkId::from) else {
                    return self.damaged.push("a framework without id".to_string());
                };
                let mut framework = Framework::new(id.clone(), info);
                framework.terminating = terminating;
                self.frameworks.insert(id, framework);
            }
            Record::Framework(_) => self.damaged.push("a framework without info".to_string()),
            Record::Update(update) => self.updates.push(update),
            Record::Finished(finished) => self.finished.push(finished),
            Record::Orphan(orphan) => self.orphans.push(orphan),
            Record::Operation(operation) => match PendingOperation::from_record(operation) {
                Some(operation) => self.operations.push(operation),
                None => self
                    .damaged
                    .push("an operation without info or status".to_string()),
            },
            Record::Converted(converted) => self.converted = Some(converted),
            Record::Drain(drain) => self.drain = Some(drain),
            // These have a framework to go to, see above.
            Record::Run(_) | Record::Task(_) => {}
        }
    }

    fn take_run(&mut self, run: checkpoint::Run) {
        let framework = FrameworkId::from(run.framework_id.as_str());
        let executor = Executor::from_record(run);
        match (self.frameworks.get_mut(&framework), executor) {
            (Some(found), Some(executor)) => {
                found.executors.insert(executor.id.clone(), executor);
            }
            _ => self
                .damaged
                .push(format!("an executor of framework {framework}")),
        }
    }

    fn take_task(&mut self, record: checkpoint::Task) {
        let framework = FrameworkId::from(record.framework_id.as_str());
        let executor = ExecutorId::from(record.executor_id.as_str());
        let found = self.frameworks.get_mut(&framework);
        let Some((found, task)) = found.zip(Task::from_record(record)) else {
            return self
                .damaged
                .push(format!("a task of framework {framework}"));
        };
        let Some(place) = found.executors.get_mut(&executor) else {
            return self
                .damaged
                .push(format!("a task of executor {executor} of {framework}"));
        };
        let id = TaskId::from(&task.info.task_id);
        if !task.delivered && !task.is_terminal() {
            place.queue.push(id.clone());
        }
        place.tasks.insert(id.clone(), task);
        found.placed.insert(id, executor);
    }

    /// The order in which tasks wait is that of their launches.
    fn sort_queues(&mut self) {
        let executors = self
            .frameworks
            .values_mut()
            .flat_map(|f| f.executors.values_mut());
        for executor in executors {
            let tasks = &executor.tasks;
            executor
                .queue
                .sort_by_key(|id| tasks.get(id).map_or(0, |task| task.launch_index));
        }
    }

    /// The containers that may have a process.
    pub fn containers(&self) -> Vec<StoredContainer> {
        let mut found = Vec::new();
        for framework in self.frameworks.values() {
            for executor in framework.executors.values() {
                if executor.state != ExecutorState::Terminated {
                    containers_of(framework, executor, &mut found);
                }
            }
        }
        let known: BTreeSet<ContainerId> = found.iter().map(|c| c.container.clone()).collect();
        let orphans = self
            .orphans
            .iter()
            .filter(|o| !known.contains(o.container_id.as_str()));
        found.extend(orphans.map(|orphan| {
            StoredContainer {
                container: orphan.container_id.as_str().into(),
                parent: (!orphan.parent_container_id.is_empty())
                    .then(|| orphan.parent_container_id.as_str().into()),
                agent_id: orphan.agent_id.clone(),
                framework_id: orphan.framework_id.as_str().into(),
                executor_id: orphan.executor_id.as_str().into(),
                task_id: None,
                pid: Some(orphan.pid).filter(|pid| *pid != 0),
            }
        }));
        found
    }
}

fn containers_of(framework: &Framework, executor: &Executor, to: &mut Vec<StoredContainer>) {
    let stored = |container: &ContainerId, parent, task_id, pid| StoredContainer {
        container: container.clone(),
        parent,
        agent_id: executor.agent_id.clone(),
        framework_id: framework.id.clone(),
        executor_id: executor.id.clone(),
        task_id,
        pid,
    };
    match executor.kind {
        ExecutorKind::Custom => to.push(stored(&executor.container, None, None, executor.pid)),
        ExecutorKind::Command => {
            let task = Some(TaskId::from(executor.id.as_str()));
            to.push(stored(&executor.container, None, task, executor.pid));
        }
        ExecutorKind::Pods => {
            for (id, task) in executor
                .tasks
                .iter()
                .filter(|(_, task)| !task.is_terminal())
            {
                if let Some(process) = &task.process {
                    let parent = Some(executor.container.clone());
                    to.push(stored(
                        &process.container,
                        parent,
                        Some(id.clone()),
                        process.pid,
                    ));
                }
            }
        }
    }
}

/// The containers of an executor, as orphans.
pub(super) fn orphans_of(framework: &Framework, executor: &Executor) -> Vec<checkpoint::Orphan> {
    let mut containers = Vec::new();
    containers_of(framework, executor, &mut containers);
    let orphans = containers.into_iter().map(|stored| checkpoint::Orphan {
        container_id: stored.container.to_string(),
        parent_container_id: stored.parent.map(|id| id.to_string()).unwrap_or_default(),
        framework_id: stored.framework_id.to_string(),
        executor_id: stored.executor_id.to_string(),
        agent_id: stored.agent_id,
        pid: stored.pid.unwrap_or_default(),
    });
    orphans.collect()
}
