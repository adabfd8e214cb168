//! A known agent comes back, and with it what it runs.

use std::collections::BTreeMap;
use std::sync::Arc;

use caprock_model::task::is_terminal;
use caprock_model::{AgentId, FrameworkId, Millis, TaskId};
use caprock_proto::caprock::registry::{
    AgentDescription, AttachAgent, ExecutorKey, ExecutorRecord, TaskRecord,
};
use caprock_proto::mesos::v1::FrameworkInfo;

use super::{agent, executor};
use crate::outcome::{Outcome, Rejection};
use crate::{Agent, Executor, Framework, Reachability, Registry, Task};

type Reports<'a> = BTreeMap<(FrameworkId, TaskId), &'a TaskRecord>;

/// Makes the agent reachable, replaces its description, and takes up what the log does not
/// know yet (Mesos: Master::_reregisterSlave). The log stays the truth about what it knows.
pub(super) fn attach(
    registry: &mut Registry,
    now: Millis,
    attach: &AttachAgent,
) -> Result<Outcome, Rejection> {
    let Some(description) = &attach.agent else {
        return Err(Rejection::Malformed("No agent to attach".to_owned()));
    };
    let id = AgentId::from(description.agent_id.as_str());
    agent::check_not_gone(registry, &id)?;
    let unreachable_since = describe(registry, now, &id, attach, description)?;

    let mut reports = reports_by_id(&attach.unknown_tasks);
    let returned = match unreachable_since {
        Some(since) => return_tasks(registry, &id, since, &mut reports),
        None => Vec::new(),
    };
    for key in &attach.lost_executors {
        executor::take(
            registry,
            &ExecutorKey {
                agent_id: id.to_string(),
                ..key.clone()
            },
        );
    }
    for info in &attach.unknown_frameworks {
        recover_framework(registry, now, info);
    }
    for record in &attach.unknown_executors {
        recover_executor(registry, &id, record);
    }
    let mut skipped = Vec::new();
    for ((framework_id, task_id), record) in reports {
        if let Err(rejection) = recover_task(registry, &id, &framework_id, &task_id, record) {
            skipped.push((framework_id, task_id, rejection));
        }
    }
    Ok(Outcome::Attached { returned, skipped })
}

/// Takes over the description; answers since when the agent was unreachable, if it was. An
/// agent that is not known, or was removed without being gone, is welcome as a new one.
fn describe(
    registry: &mut Registry,
    now: Millis,
    id: &AgentId,
    attach: &AttachAgent,
    description: &AgentDescription,
) -> Result<Option<Millis>, Rejection> {
    let Some(before) = registry.agent(id).cloned() else {
        let mut agent = Agent::new(description, now)?;
        agent.restore_total(&attach.checkpointed_resources)?;
        registry.add_agent(agent);
        return Ok(None);
    };
    let mut after = Agent::clone(&before);
    after.describe(description)?;
    after.reachability = Reachability::Reachable;
    after.reregistered_at = Some(now);
    registry.unindex_registration(&before);
    registry.index_registration(&after);
    registry.agents.insert_mut(id.clone(), Arc::new(after));
    Ok(before.unreachable_since())
}

fn reports_by_id(records: &[TaskRecord]) -> Reports<'_> {
    let key = |record: &TaskRecord| {
        let info = record.info.as_ref()?;
        Some((
            FrameworkId::from(record.framework_id.as_str()),
            TaskId::from(&info.task_id),
        ))
    };
    records
        .iter()
        .filter_map(|record| Some((key(record)?, record)))
        .collect()
}

/// Brings back the tasks that became unreachable with the agent; what it says of them is
/// taken out of the reports.
fn return_tasks(
    registry: &mut Registry,
    agent_id: &AgentId,
    since: Millis,
    reports: &mut Reports<'_>,
) -> Vec<Arc<Task>> {
    let mut returned = Vec::new();
    for (framework_id, task_id) in &registry.task_ids_of(agent_id) {
        let Some(mut task) = registry.take_unreachable_task(framework_id, task_id, since) else {
            continue;
        };
        let report = reports.remove(&(framework_id.clone(), task_id.clone()));
        Arc::make_mut(&mut task).return_from_unreachable(report);
        returned.push(task.clone());
        registry.add_task(task);
    }
    returned
}

/// A framework that only the agent tells of: it has no stream and no deadline until it
/// subscribes (Mesos: Master::recoverFramework). A completed one stays so.
fn recover_framework(registry: &mut Registry, now: Millis, info: &FrameworkInfo) {
    let Some(id) = info.id.as_ref().filter(|id| !id.value.is_empty()) else {
        return;
    };
    let id = FrameworkId::from(id);
    if let Err(Rejection::UnknownFramework(_)) = registry.live_framework(&id) {
        let framework = Framework::new(id.clone(), info.clone(), now);
        registry.frameworks.insert_mut(id, Arc::new(framework));
    }
}

/// An executor that the log does not have on this agent. One of an unknown or completed
/// framework, or with broken resources, is none of the registry's business.
fn recover_executor(registry: &mut Registry, agent_id: &AgentId, record: &ExecutorRecord) {
    let framework_id = FrameworkId::from(record.framework_id.as_str());
    let Some(info) = &record.info else { return };
    if registry.framework(&framework_id).is_none() {
        return;
    }
    let executor = Executor::new(info.clone(), framework_id, agent_id.clone());
    let Ok(executor) = executor else { return };
    let known = registry
        .agent(agent_id)
        .and_then(|agent| agent.executor(&executor.framework_id, &executor.id));
    if known.is_none() {
        registry.add_executor(&Arc::new(executor));
    }
}

fn recover_task(
    registry: &mut Registry,
    agent_id: &AgentId,
    framework_id: &FrameworkId,
    task_id: &TaskId,
    record: &TaskRecord,
) -> Result<(), Rejection> {
    let framework = registry.live_framework(framework_id)?;
    if framework.tasks.contains_key(task_id) {
        return Err(Rejection::DuplicateTask(task_id.clone()));
    }
    if framework.unreachable_tasks.contains_key(task_id) {
        return Err(Rejection::UnreachableTask(task_id.clone()));
    }
    let mut task = Task::from_record(record, framework.id.clone(), agent_id.clone())?;
    if is_terminal(task.state) {
        task.latest_state = task.state;
    }
    registry.add_task(Arc::new(task));
    Ok(())
}

#[cfg(test)]
mod tests;
