//! Frameworks subscribe, change, go away and come back, and are removed.

use std::collections::BTreeSet;
use std::sync::Arc;

use caprock_model::{Capabilities, FrameworkId, Millis, Role, TaskId};
use caprock_proto::caprock::registry::{
    DisconnectFramework, RemoveFramework, ReviveRoles, SubscribeFramework, SuppressRoles,
    UpdateFramework,
};
use caprock_proto::mesos::v1::TaskState;
use caprock_proto::mesos::v1::task_status::Reason;

use super::loss::Loss;
use crate::framework::Subscription;
use crate::outcome::{Outcome, Rejection};
use crate::{Framework, Registry, Task};

/// A scheduler subscribes: with a known id it replaces its predecessor, with an unknown one
/// the framework is created as if it had existed (Mesos: Master::_subscribe).
pub(super) fn subscribe(
    registry: &mut Registry,
    now: Millis,
    call: &SubscribeFramework,
) -> Result<Outcome, Rejection> {
    let subscription = Subscription {
        info: &call.info,
        suppressed_roles: &call.suppressed_roles,
        offer_constraints: &call.offer_constraints,
    };
    let id = subscription.id()?;
    match registry.live_framework(&id) {
        Err(Rejection::UnknownFramework(_)) => {
            let info = call.info.clone().unwrap_or_default();
            let mut framework = Framework::new(id.clone(), info, now);
            framework.update(&subscription);
            framework.subscribed = true;
            framework.first_key = Arc::from(call.first_key.as_str());
            registry.frameworks.insert_mut(id, Arc::new(framework));
        }
        Err(other) => return Err(other),
        Ok(_) => {
            if let Some(framework) = registry.framework_mut(&id) {
                framework.update(&subscription);
                framework.subscribed = true;
                framework.deadline = None;
                framework.reregistered_at = Some(now);
            }
        }
    }
    Ok(Outcome::Applied)
}

/// Replaces what the scheduler says of its framework.
pub(super) fn update(
    registry: &mut Registry,
    call: &UpdateFramework,
) -> Result<Outcome, Rejection> {
    let subscription = Subscription {
        info: &call.info,
        suppressed_roles: &call.suppressed_roles,
        offer_constraints: &call.offer_constraints,
    };
    let id = subscription.id()?;
    change(registry, &id, |framework| {
        framework.update(&subscription);
        Ok(())
    })
}

/// The framework's stream ended; from now on its deadline counts.
pub(super) fn disconnect(
    registry: &mut Registry,
    call: &DisconnectFramework,
) -> Result<Outcome, Rejection> {
    let id = FrameworkId::from(call.framework_id.as_str());
    change(registry, &id, |framework| {
        framework.subscribed = false;
        framework.deadline = Some(Millis(call.deadline_ms));
        Ok(())
    })
}

/// No more offers for some roles, or for all.
pub(super) fn suppress(
    registry: &mut Registry,
    call: &SuppressRoles,
) -> Result<Outcome, Rejection> {
    let id = FrameworkId::from(call.framework_id.as_str());
    change(registry, &id, |framework| {
        let roles = held_roles(framework, &call.roles)?;
        framework.suppressed.extend(roles);
        Ok(())
    })
}

/// Offers again for some roles, or for all.
pub(super) fn revive(registry: &mut Registry, call: &ReviveRoles) -> Result<Outcome, Rejection> {
    let id = FrameworkId::from(call.framework_id.as_str());
    change(registry, &id, |framework| {
        let roles = held_roles(framework, &call.roles)?;
        framework.suppressed.retain(|role| !roles.contains(role));
        Ok(())
    })
}

/// Changes a framework that was not removed. `edit` changes nothing on an error.
fn change(
    registry: &mut Registry,
    id: &FrameworkId,
    edit: impl FnOnce(&mut Framework) -> Result<(), Rejection>,
) -> Result<Outcome, Rejection> {
    registry.live_framework(id)?;
    if let Some(framework) = registry.framework_mut(id) {
        edit(framework)?;
    }
    Ok(Outcome::Applied)
}

/// The named roles, all of which the framework must have; without names, all that it has.
fn held_roles(framework: &Framework, names: &[String]) -> Result<BTreeSet<Role>, Rejection> {
    if names.is_empty() {
        return Ok(framework.roles.clone());
    }
    let held = |name: &String| {
        framework
            .roles
            .get(name.as_str())
            .cloned()
            .ok_or_else(|| Rejection::RoleNotHeld(framework.id.clone(), name.clone()))
    };
    names.iter().map(held).collect()
}

/// Ends the framework: its tasks are killed as far as the registry is concerned, at once
/// (Mesos: Master::removeFramework), and its id is remembered.
pub(super) fn remove(
    registry: &mut Registry,
    now: Millis,
    remove: &RemoveFramework,
) -> Result<Outcome, Rejection> {
    let wanted = FrameworkId::from(remove.framework_id.as_str());
    let framework = registry.live_framework(&wanted)?.clone();
    let id = &framework.id;
    let expired = remove.expired_deadline_ms.map(Millis);
    if expired.is_some() && framework.deadline != expired {
        return Err(Rejection::FrameworkReturned(id.clone()));
    }
    let message = format!("Framework {id} removed");
    let loss = Loss {
        state: TaskState::TaskKilled,
        reason: Reason::FrameworkRemoved,
        message: &message,
        at: now,
    };
    let mut ids: Vec<&TaskId> = framework.tasks.keys().collect();
    ids.extend(framework.unreachable_tasks.keys());
    ids.sort_unstable();
    let lost = ids
        .into_iter()
        .filter_map(|task_id| registry.lose_task(id, task_id, &loss));
    let tasks = lost.collect();
    for (agent_id, executor_id) in &framework.executors {
        registry.take_executor(agent_id, id, executor_id);
    }
    registry.complete_framework(id, now);
    Ok(Outcome::Ended { tasks })
}

impl Registry {
    /// Moves a framework without tasks and executors to the completed ones.
    fn complete_framework(&mut self, id: &FrameworkId, now: Millis) {
        let Some(mut framework) = self.framework(id).cloned() else {
            return;
        };
        self.frameworks.remove_mut(id);
        let completed = Arc::make_mut(&mut framework);
        completed.subscribed = false;
        completed.deadline = None;
        completed.unregistered_at = Some(now);
        self.completed_frameworks
            .push(framework, self.limits.completed_frameworks);
    }

    /// What the framework of a task understands; nothing if it was removed.
    pub(super) fn capabilities(&self, id: &FrameworkId) -> Capabilities {
        self.framework(id)
            .map(|framework| framework.capabilities)
            .unwrap_or_default()
    }

    /// Ends a task without its agent: it is completed and returned.
    pub(super) fn lose_task(
        &mut self,
        framework_id: &FrameworkId,
        task_id: &TaskId,
        loss: &Loss<'_>,
    ) -> Option<Arc<Task>> {
        let mut task = self.take_any_task(framework_id, task_id)?;
        let capabilities = self.capabilities(framework_id);
        let status = loss.status(&task, capabilities);
        Arc::make_mut(&mut task).lose(status, loss.state_for(capabilities));
        self.add_completed_task(task.clone());
        Some(task)
    }
}

#[cfg(test)]
mod tests;
