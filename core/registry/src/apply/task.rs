//! What happens to a task after its launch: updates, acknowledgements, kills.

use std::sync::Arc;

use caprock_model::task::is_terminal;
use caprock_model::{FrameworkId, TaskId};
use caprock_proto::caprock::registry::{
    AcknowledgeTask, RecordUpdates, RecordedUpdate, RequestKill,
};
use caprock_proto::mesos::v1::TaskState;

use crate::outcome::{Outcome, Rejection};
use crate::{Kill, Registry, Task};

/// Records updates one by one; those that do not fit are named in the outcome.
pub(super) fn record_updates(
    registry: &mut Registry,
    record: &RecordUpdates,
) -> Result<Outcome, Rejection> {
    let mut ignored = Vec::new();
    for update in &record.updates {
        if let Err(rejection) = record_update(registry, update) {
            let task_id = update
                .status
                .as_ref()
                .map(|status| TaskId::from(&status.task_id));
            let framework_id = FrameworkId::from(update.framework_id.as_str());
            ignored.push((framework_id, task_id.unwrap_or_default(), rejection));
        }
    }
    Ok(Outcome::Recorded { ignored })
}

fn record_update(registry: &mut Registry, update: &RecordedUpdate) -> Result<(), Rejection> {
    let malformed = |text: &str| Rejection::Malformed(text.to_owned());
    let status = update
        .status
        .as_ref()
        .ok_or_else(|| malformed("Update without a status"))?;
    let (Ok(state), Ok(latest_state)) = (
        TaskState::try_from(status.state),
        TaskState::try_from(update.latest_state),
    ) else {
        return Err(malformed("Update with an unknown state"));
    };
    let framework_id = FrameworkId::from(update.framework_id.as_str());
    let task = known_task(registry, &framework_id, &TaskId::from(&status.task_id))?;
    if !update.agent_id.is_empty() && task.agent_id != *update.agent_id {
        return Err(Rejection::OtherAgent(
            task.id.clone(),
            task.agent_id.clone(),
        ));
    }
    let before = task.clone();
    let mut after = Task::clone(task);
    after.record(status.clone(), state, latest_state)?;
    let frees = after.has_ended() && !before.has_ended();
    let ends = is_terminal(state) && after.status_uuid.is_empty();
    if let Some(framework) = registry.framework_mut(&framework_id) {
        framework
            .tasks
            .insert_mut(before.id.clone(), Arc::new(after));
    }
    if frees {
        registry.release(&before.agent_id, &framework_id, &before.resources);
    }
    if ends {
        complete(registry, &framework_id, &before.id);
    }
    Ok(())
}

/// The acknowledgement of a terminal update ends the task for good: its id is free again.
pub(super) fn acknowledge(
    registry: &mut Registry,
    call: &AcknowledgeTask,
) -> Result<Outcome, Rejection> {
    let framework_id = FrameworkId::from(call.framework_id.as_str());
    let task = known_task(
        registry,
        &framework_id,
        &TaskId::from(call.task_id.as_str()),
    )?;
    let task_id = task.id.clone();
    let is_last = !call.uuid.is_empty() && task.status_uuid == call.uuid;
    if !is_last || !task.end_was_told() {
        return Err(Rejection::NotTheLastUpdate(task_id));
    }
    complete(registry, &framework_id, &task_id);
    Ok(Outcome::Applied)
}

/// Remembers that the scheduler wants the task killed, until it ends. Repeating it is safe.
pub(super) fn request_kill(
    registry: &mut Registry,
    request: &RequestKill,
) -> Result<Outcome, Rejection> {
    let framework_id = FrameworkId::from(request.framework_id.as_str());
    let task = known_task(
        registry,
        &framework_id,
        &TaskId::from(request.task_id.as_str()),
    )?;
    if !task.has_ended() {
        let task_id = task.id.clone();
        edit(registry, &framework_id, &task_id, |task| {
            task.kill = Some(Kill {
                policy: request.kill_policy,
            });
        });
    }
    Ok(Outcome::Applied)
}

/// A live or terminal unacknowledged task, or why there is none.
fn known_task<'a>(
    registry: &'a Registry,
    framework_id: &FrameworkId,
    task_id: &TaskId,
) -> Result<&'a Arc<Task>, Rejection> {
    let framework = registry.live_framework(framework_id)?;
    framework
        .task(task_id)
        .ok_or_else(|| match framework.unreachable_tasks.get(task_id) {
            Some(task) => Rejection::AgentUnreachable(task.agent_id.clone()),
            None => Rejection::UnknownTask(task_id.clone()),
        })
}

/// Changes a task where that does not touch what it uses.
fn edit(
    registry: &mut Registry,
    framework_id: &FrameworkId,
    task_id: &TaskId,
    edit: impl FnOnce(&mut Task),
) {
    let framework = registry.framework_mut(framework_id);
    if let Some(task) = framework.and_then(|framework| framework.tasks.get_mut(task_id)) {
        edit(Arc::make_mut(task));
    }
}

fn complete(registry: &mut Registry, framework_id: &FrameworkId, task_id: &TaskId) {
    if let Some(task) = registry.take_task(framework_id, task_id, false) {
        registry.add_completed_task(task);
    }
}

#[cfg(test)]
mod tests;
