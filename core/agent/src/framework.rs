//! A framework that runs something on this agent, or has updates to receive from it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use caprock_model::{Capabilities, ExecutorId, FrameworkId, TaskId};
use caprock_proto::mesos::v1::FrameworkInfo;

use crate::executor::Executor;
use crate::task::Task;
use crate::view::ExecutorView;

#[derive(Debug, Clone)]
pub(crate) struct Framework {
    pub id: FrameworkId,
    pub info: Arc<FrameworkInfo>,
    pub capabilities: Capabilities,
    /// It is gone: its executors are being shut down and its updates are dropped.
    pub terminating: bool,
    pub executors: BTreeMap<ExecutorId, Executor>,
    /// The executor of each task in `executors`.
    pub placed: BTreeMap<TaskId, ExecutorId>,
    pub completed: VecDeque<ExecutorView>,
}

impl Framework {
    pub fn new(id: FrameworkId, info: FrameworkInfo) -> Self {
        Self {
            id,
            capabilities: Capabilities::from(&info),
            info: Arc::new(info),
            terminating: false,
            executors: BTreeMap::new(),
            placed: BTreeMap::new(),
            completed: VecDeque::new(),
        }
    }

    /// Whether its executors survive a restart of the agent.
    pub fn checkpoints(&self) -> bool {
        self.info.checkpoint()
    }

    pub fn task(&self, task: &TaskId) -> Option<&Task> {
        self.executors.get(self.placed.get(task)?)?.tasks.get(task)
    }

    pub fn task_mut(&mut self, task: &TaskId) -> Option<&mut Task> {
        self.executors
            .get_mut(self.placed.get(task)?)?
            .tasks
            .get_mut(task)
    }
}
