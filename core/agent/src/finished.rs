//! Launches that are over. A leader that does not know what became of a task orders its launch
//! again; the order must not run it twice, so finished launches are remembered, within bounds.

use std::collections::BTreeMap;

use caprock_model::{ExecutorId, FrameworkId, TaskId};
use caprock_proto::caprock::checkpoint;
use caprock_proto::mesos::v1::TaskStatus;

use crate::agent::Agent;
use crate::checkpoint::Key;

#[derive(Debug, Clone, Default)]
pub(crate) struct Finished {
    by_task: BTreeMap<(FrameworkId, TaskId), Over>,
    /// Which of them to forget first.
    by_sequence: BTreeMap<u64, (FrameworkId, TaskId)>,
}

/// A launch that is over.
#[derive(Debug, Clone)]
pub(crate) struct Over {
    pub launch_index: u64,
    /// How it ended; None if only the disappearance of the task is known.
    pub status: Option<TaskStatus>,
    pub partition_aware: bool,
    sequence: u64,
}

impl Finished {
    pub fn get(&self, framework: &FrameworkId, task: &TaskId) -> Option<&Over> {
        self.by_task.get(&(framework.clone(), task.clone()))
    }

    pub fn to_record(
        &self,
        framework: &FrameworkId,
        task: &TaskId,
    ) -> Option<checkpoint::Finished> {
        let over = self.get(framework, task)?;
        Some(checkpoint::Finished {
            framework_id: framework.to_string(),
            task_id: task.to_string(),
            launch_index: over.launch_index,
            status: over.status.clone(),
            partition_aware: over.partition_aware,
            sequence: over.sequence,
        })
    }

    /// The keys of all records.
    pub fn keys(&self) -> impl Iterator<Item = Key> {
        let tasks = self.by_task.keys();
        tasks.map(|(framework, task)| Key::Finished(framework.clone(), task.clone()))
    }

    pub fn restore(&mut self, record: checkpoint::Finished) {
        let key = (record.framework_id.into(), record.task_id.into());
        self.insert(
            key,
            Over {
                launch_index: record.launch_index,
                status: record.status,
                partition_aware: record.partition_aware,
                sequence: record.sequence,
            },
        );
    }

    fn insert(&mut self, key: (FrameworkId, TaskId), over: Over) {
        self.by_sequence.insert(over.sequence, key.clone());
        if let Some(old) = self.by_task.insert(key, over) {
            self.by_sequence.remove(&old.sequence);
        }
    }

    fn next_sequence(&self) -> u64 {
        self.by_sequence
            .last_key_value()
            .map_or(1, |(last, _)| last + 1)
    }

    fn pop_oldest(&mut self) -> Option<(FrameworkId, TaskId)> {
        let (_, key) = self.by_sequence.pop_first()?;
        self.by_task.remove(&key);
        Some(key)
    }
}

impl Agent {
    /// Notes that a launch is over, and how.
    pub(crate) fn remember_finished(
        &mut self,
        framework: &FrameworkId,
        task: &TaskId,
        launch_index: u64,
        status: Option<TaskStatus>,
    ) {
        let partition_aware = self
            .frameworks
            .get(framework)
            .is_some_and(|f| f.capabilities.partition_aware);
        let sequence = self.finished.next_sequence();
        let status = status.map(|mut status| {
            status.data = None;
            status
        });
        let over = Over {
            launch_index,
            status,
            partition_aware,
            sequence,
        };
        self.finished
            .insert((framework.clone(), task.clone()), over);
        self.mark(Key::Finished(framework.clone(), task.clone()));
        while self.finished.by_task.len() > self.config.max_finished_launches {
            let Some((framework, task)) = self.finished.pop_oldest() else {
                break;
            };
            self.mark(Key::Finished(framework, task));
        }
    }

    /// Tells the end of a finished task once more, as reliably as the first time. Answers false
    /// if it is not known how it ended.
    pub(crate) fn tell_end_again(&mut self, framework: &FrameworkId, task: &TaskId) -> bool {
        if self.stream(framework, task).is_some() {
            return true;
        }
        let Some(status) = self
            .finished
            .get(framework, task)
            .and_then(|over| over.status.clone())
        else {
            return false;
        };
        let executor = match &status.executor_id {
            Some(id) => ExecutorId::from(id),
            None => ExecutorId::from(task.as_str()),
        };
        self.enqueue_update(framework, &executor, status);
        true
    }
}
