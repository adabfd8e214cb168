//! Accepted launches. The leader has validated the request as a whole; what depends on
//! other entries of the log is judged here: ids that are taken, executors that are there,
//! resources that are free.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use caprock_model::{AgentId, ExecutorId, FrameworkId, Resources, TaskId, validate};
use caprock_proto::caprock::registry::Launch;
use caprock_proto::mesos::v1::{ExecutorInfo, TaskInfo};

use super::Moment;
use crate::outcome::{Outcome, Rejection};
use crate::{Agent, Executor, Framework, Registry, Task};

/// Launches tasks on one agent: a group as a whole or not at all, others one by one.
pub(super) fn launch(
    registry: &mut Registry,
    moment: Moment,
    launch: &Launch,
) -> Result<Outcome, Rejection> {
    let framework = registry.live_framework(&FrameworkId::from(launch.framework_id.as_str()))?;
    let agent = registry.reachable_agent(&AgentId::from(launch.agent_id.as_str()))?;
    let mut plan = Plan::new(moment, framework, agent, launch);
    let mut rejected = Vec::new();
    if launch.group {
        plan.add_group(&launch.tasks)?;
    } else {
        for info in &launch.tasks {
            if let Err(rejection) = plan.add_task(info) {
                rejected.push((TaskId::from(&info.task_id), rejection));
            }
        }
    }
    let Plan {
        tasks, executors, ..
    } = plan;
    executors
        .values()
        .for_each(|executor| registry.add_executor(executor));
    tasks.into_iter().for_each(|task| registry.add_task(task));
    Ok(Outcome::Launched { rejected })
}

/// What a launch will add, and what it leaves free.
struct Plan<'a> {
    moment: Moment,
    framework: &'a Framework,
    agent: &'a Agent,
    launch: &'a Launch,
    available: Resources,
    tasks: Vec<Arc<Task>>,
    task_ids: BTreeSet<TaskId>,
    executors: BTreeMap<ExecutorId, Arc<Executor>>,
}

impl<'a> Plan<'a> {
    fn new(moment: Moment, framework: &'a Framework, agent: &'a Agent, launch: &'a Launch) -> Self {
        Self {
            moment,
            framework,
            agent,
            launch,
            available: agent.available(),
            tasks: Vec::with_capacity(launch.tasks.len()),
            task_ids: BTreeSet::new(),
            executors: BTreeMap::new(),
        }
    }

    fn add_task(&mut self, info: &TaskInfo) -> Result<(), Rejection> {
        let task = self.check_task(info)?;
        let executor = self.new_executor(&task)?;
        let required = with_executor(&task.resources, executor.as_deref());
        self.take(&required)
            .map_err(|(required, available)| Rejection::NotEnoughResources {
                required,
                available,
            })?;
        self.add(task, executor);
        Ok(())
    }

    /// The plan is only carried out if the whole group fits.
    fn add_group(&mut self, infos: &[TaskInfo]) -> Result<(), Rejection> {
        let mut required = Resources::default();
        for info in infos {
            let task = self.check_task(info)?;
            let executor = self.new_executor(&task)?;
            required += &with_executor(&task.resources, executor.as_deref());
            self.add(task, executor);
        }
        self.take(&required)
            .map_err(|(required, available)| Rejection::NotEnoughForGroup {
                required,
                available,
            })
    }

    fn add(&mut self, task: Task, executor: Option<Arc<Executor>>) {
        if let Some(executor) = executor {
            self.executors.insert(executor.id.clone(), executor);
        }
        self.task_ids.insert(task.id.clone());
        self.tasks.push(Arc::new(task));
    }

    fn take(&mut self, required: &Resources) -> Result<(), (String, String)> {
        let plain = required.unallocated();
        if !self.available.contains(&plain) {
            return Err((required.to_string(), self.available.to_string()));
        }
        self.available -= &plain;
        Ok(())
    }

    fn check_task(&self, info: &TaskInfo) -> Result<Task, Rejection> {
        let id = TaskId::from(&info.task_id);
        if self.framework.tasks.contains_key(&id) || self.task_ids.contains(&id) {
            return Err(Rejection::DuplicateTask(id));
        }
        if self.framework.unreachable_tasks.contains_key(&id) {
            return Err(Rejection::UnreachableTask(id));
        }
        let framework_id = self.framework.id.clone();
        let group = self.launch.group;
        let mut task = Task::staged(info.clone(), framework_id, self.agent.id.clone(), group)?;
        if group && info.executor.is_none() {
            let Some(executor) = self.launch.new_executors.first() else {
                return Err(Rejection::UnknownExecutor(task.executor_id));
            };
            task.executor_id = ExecutorId::from(&executor.executor_id);
        }
        task.launch_index = self.moment.index;
        task.launched_at = self.moment.now;
        Ok(task)
    }

    /// The task's executor if it has to be started for it.
    fn new_executor(&self, task: &Task) -> Result<Option<Arc<Executor>>, Rejection> {
        if task.is_command {
            return Ok(None);
        }
        let id = &task.executor_id;
        let Some(wanted) = self.executor_info(task) else {
            return Err(Rejection::UnknownExecutor(id.clone()));
        };
        let present = self.agent.executor(&self.framework.id, id);
        if let Some(present) = present.or_else(|| self.executors.get(id)) {
            return match validate::executors_equal(&present.info, wanted) {
                true => Ok(None),
                false => Err(Rejection::ExecutorMismatch(id.clone())),
            };
        }
        let framework_id = self.framework.id.clone();
        let executor = Executor::new(wanted.clone(), framework_id, self.agent.id.clone())?;
        Ok(Some(Arc::new(executor)))
    }

    fn executor_info<'b>(&'b self, task: &'b Task) -> Option<&'b ExecutorInfo> {
        let mut given = self.launch.new_executors.iter();
        given
            .find(|executor| task.executor_id == executor.executor_id)
            .or(task.info.executor.as_ref())
    }
}

/// A task's resources, with those of an executor that is started for it.
fn with_executor(resources: &Resources, executor: Option<&Executor>) -> Resources {
    match executor {
        Some(executor) => resources + &executor.resources,
        None => resources.clone(),
    }
}

#[cfg(test)]
mod tests;
