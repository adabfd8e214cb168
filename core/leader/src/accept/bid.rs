//! One ACCEPT while it is judged: what remains of the offers, and what was decided so far.

use std::collections::{BTreeMap, BTreeSet};

use caprock_model::{ExecutorId, Millis, ResourceError, Resources, Role, TaskId, validate};
use caprock_proto::mesos::v1::offer::Operation;
use caprock_proto::mesos::v1::{
    ExecutorInfo, OperationStatus, Resource, TaskInfo, TaskStatus, resource::AllocationInfo,
};
use caprock_registry::{Agent, Framework, Rejection};

use super::launch::Launching;
use crate::executors::Exits;

/// Where an executor stands that a launch names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// It has to be started.
    New,
    /// A launch before this one starts it, which the registry does not have yet.
    Coming,
    Running,
}

/// What a launch takes, and whether the offers hold that.
#[derive(Debug)]
pub(super) struct Required {
    pub resources: Resources,
    pub fits: bool,
}

/// What is on its way through the log and not in the registry yet.
#[derive(Debug, Clone, Copy)]
pub(super) struct Underway<'a> {
    pub launching: &'a Launching,
    pub exits: &'a Exits,
}

/// Why a task is not launched.
#[derive(Debug)]
pub(super) struct Refusal {
    pub text: String,
    /// Not because of the task: what a former leader offered has been used since.
    pub lapsed: bool,
}

impl From<String> for Refusal {
    fn from(text: String) -> Self {
        let lapsed = false;
        Self { text, lapsed }
    }
}

/// Launches that go into the log as one entry.
#[derive(Debug, Default)]
pub(crate) struct Part {
    /// The operation of the call that it begins with.
    pub run: usize,
    pub tasks: Vec<TaskInfo>,
    /// The tasks form one group.
    pub group: bool,
    pub new_executors: Vec<ExecutorInfo>,
    /// Executors that launches on their way start.
    pub coming_executors: BTreeSet<ExecutorId>,
    pub consumed: Resources,
}

/// The state of one ACCEPT between its operations.
#[derive(Debug)]
pub(super) struct Bid<'a> {
    pub now: Millis,
    pub framework: &'a Framework,
    pub agent: &'a Agent,
    pending: Underway<'a>,
    role: &'a Role,
    /// What later operations may use, in allocated form.
    pub remaining: Resources,
    /// The offers held more when they were made.
    pub lapsed: bool,
    /// The operation that is judged now, or the first of its run.
    pub run: usize,
    pub parts: Vec<Part>,
    /// Conversions, each with the number of parts before it.
    pub operations: Vec<(usize, Operation)>,
    /// What the agent has after them, in unallocated form.
    pub total: Resources,
    pub rejected: Vec<TaskStatus>,
    pub failed: Vec<OperationStatus>,
    /// Tasks and executors of earlier operations.
    task_ids: BTreeSet<TaskId>,
    executors: BTreeMap<ExecutorId, ExecutorInfo>,
}

impl<'a> Bid<'a> {
    pub fn new(
        now: Millis,
        framework: &'a Framework,
        agent: &'a Agent,
        pending: Underway<'a>,
        role: &'a Role,
        remaining: Resources,
    ) -> Self {
        Self {
            now,
            framework,
            agent,
            pending,
            role,
            remaining,
            lapsed: false,
            run: 0,
            parts: Vec::new(),
            operations: Vec::new(),
            total: agent.total.clone(),
            rejected: Vec::new(),
            failed: Vec::new(),
            task_ids: BTreeSet::new(),
            executors: BTreeMap::new(),
        }
    }

    /// The role of the offers.
    pub fn role(&self) -> &Role {
        self.role
    }

    /// Writes resources in the format that is used inside: with the offer's role where none
    /// is given, and with `reservations[]`.
    pub fn normalize(&self, resources: &mut Vec<Resource>) -> Result<(), ResourceError> {
        for resource in resources.iter_mut() {
            if resource.allocation_info.is_none() {
                let role = Some(self.role.to_string());
                resource.allocation_info = Some(AllocationInfo { role });
            }
        }
        let parsed = Resources::from_protos(resources)?;
        *resources = parsed.to_protos();
        Ok(())
    }

    /// Whether a task's id is free: the log, launches on their way, and this call count.
    pub fn check_id(&self, task: &TaskInfo) -> Result<(), String> {
        validate::id(&task.task_id.value)?;
        let id = TaskId::from(&task.task_id);
        let taken = self.framework.tasks.contains_key(&id)
            || self.task_ids.contains(&id)
            || self
                .pending
                .launching
                .agent_of(&self.framework.id, &id)
                .is_some();
        if taken {
            return Err(Rejection::DuplicateTask(id).to_string());
        }
        if self.framework.unreachable_tasks.contains_key(&id) {
            return Err(Rejection::UnreachableTask(id).to_string());
        }
        Ok(())
    }

    pub fn check_limits(&self, task: &TaskInfo) -> Result<(), String> {
        if task.limits.is_empty() || self.agent.capabilities.task_resource_limits {
            return Ok(());
        }
        Err("Agent is not capable of handling task resource limits".to_owned())
    }

    /// Where the executor stands. One that is there, or will be, has to be the same.
    pub fn standing(&self, executor: &ExecutorInfo) -> Result<Standing, String> {
        let id = ExecutorId::from(&executor.executor_id);
        let key = (self.agent.id.clone(), self.framework.id.clone(), id);
        let id = &key.2;
        let running = self
            .agent
            .executor(&self.framework.id, id)
            .map(|known| &*known.info);
        let running = running.filter(|_| !self.pending.exits.has_ended(&key));
        let own = || {
            self.executors
                .get(id)
                .map(|known| (known, Standing::Coming))
        };
        let coming = || {
            self.pending
                .launching
                .executor(&key)
                .map(|known| (known, Standing::Coming))
        };
        let found = running
            .map(|known| (known, Standing::Running))
            .or_else(own)
            .or_else(coming);
        let Some((known, standing)) = found else {
            return Ok(Standing::New);
        };
        if validate::executors_equal(known, executor) {
            return Ok(standing);
        }
        Err(format!(
            "ExecutorInfo is not compatible with existing ExecutorInfo with same ExecutorID.\n\
             ------------------------------------------------------------\n\
             Existing ExecutorInfo:\n{known:?}\n\
             ------------------------------------------------------------\n\
             ExecutorInfo:\n{executor:?}\n\
             ------------------------------------------------------------\n"
        ))
    }

    /// What a launch takes of the remainder: the tasks, and an executor that is started for
    /// them.
    pub fn required(
        &self,
        tasks: Resources,
        executor: Option<(&ExecutorInfo, Standing)>,
    ) -> Result<Required, ResourceError> {
        let mut resources = tasks;
        if let Some((info, Standing::New)) = executor {
            resources += &Resources::from_protos(&info.resources)?;
        }
        let fits = self.remaining.contains(&resources);
        Ok(Required { resources, fits })
    }

    /// Takes a good task, or the tasks of a good group, into the last part.
    pub fn take(
        &mut self,
        tasks: Vec<TaskInfo>,
        executor: Option<(ExecutorInfo, Standing)>,
        consumed: &Resources,
    ) {
        self.remaining -= consumed;
        self.task_ids
            .extend(tasks.iter().map(|task| TaskId::from(&task.task_id)));
        let Some(part) = self.parts.last_mut() else {
            return;
        };
        part.tasks.extend(tasks);
        part.consumed += consumed;
        let Some((info, standing)) = executor else {
            return;
        };
        let id = ExecutorId::from(&info.executor_id);
        match standing {
            Standing::Running => {}
            Standing::Coming => {
                if !part.new_executors.iter().any(|own| id == own.executor_id) {
                    part.coming_executors.insert(id);
                }
            }
            Standing::New => {
                self.executors.insert(id, info.clone());
                part.new_executors.push(info);
            }
        }
    }
}
