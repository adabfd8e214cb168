//! Agents join, get out of sight, and leave for good.

use std::sync::Arc;

use caprock_model::{AgentId, Millis};
use caprock_proto::caprock::registry::remove_agent::Removal;
use caprock_proto::caprock::registry::{AdmitAgent, MarkAgentUnreachable, RemoveAgent};
use caprock_proto::mesos::v1::TaskState;
use caprock_proto::mesos::v1::task_status::Reason;

use super::loss::Loss;
use crate::outcome::{Outcome, Rejection};
use crate::removed::RemovedAgent;
use crate::{Agent, Reachability, Registry};

/// A new agent joins. A repeated registration is rejected with the id of the first.
pub(super) fn admit(
    registry: &mut Registry,
    now: Millis,
    admit: &AdmitAgent,
) -> Result<Outcome, Rejection> {
    let Some(description) = &admit.agent else {
        return Err(Rejection::Malformed("No agent to admit".to_owned()));
    };
    if let Some(agent) = registry.agent_by_registration(&description.registration_id) {
        return Err(Rejection::AgentExists(agent.id.clone()));
    }
    let agent = Agent::new(description, now)?;
    if registry.agent(&agent.id).is_some() {
        return Err(Rejection::AgentExists(agent.id));
    }
    check_not_gone(registry, &agent.id)?;
    registry.add_agent(agent);
    Ok(Outcome::Applied)
}

/// An agent that was marked gone may never come back.
pub(super) fn check_not_gone(registry: &Registry, id: &AgentId) -> Result<(), Rejection> {
    match registry.removed_agent(id) {
        Some(RemovedAgent {
            removal: Removal::Gone,
            ..
        }) => Err(Rejection::AgentGone(id.clone())),
        Some(_) | None => Ok(()),
    }
}

impl Registry {
    /// Adds an agent that nothing runs on.
    pub(crate) fn add_agent(&mut self, agent: Agent) {
        self.removed_agents.remove(&agent.id);
        self.index_registration(&agent);
        self.agents.insert_mut(agent.id.clone(), Arc::new(agent));
    }

    pub(super) fn index_registration(&mut self, agent: &Agent) {
        if !agent.registration_id.is_empty() {
            self.registrations
                .insert_mut(agent.registration_id.clone(), agent.id.clone());
        }
    }

    pub(super) fn unindex_registration(&mut self, agent: &Agent) {
        if self.registrations.get(&agent.registration_id) == Some(&agent.id) {
            self.registrations.remove_mut(&agent.registration_id);
        }
    }
}

/// The agent gets out of sight: its tasks become unreachable, its executors are forgotten
/// (it reports them when it is back), and it has nothing to offer.
pub(super) fn mark_unreachable(
    registry: &mut Registry,
    now: Millis,
    mark: &MarkAgentUnreachable,
) -> Result<Outcome, Rejection> {
    let id = registry
        .reachable_agent(&AgentId::from(mark.agent_id.as_str()))?
        .id
        .clone();
    let loss = Loss {
        state: TaskState::TaskUnreachable,
        reason: Reason::AgentRemoved,
        message: &mark.cause,
        at: now,
    };
    let ids = registry.task_ids_of(&id);
    if let Some(agent) = registry.agent_mut(&id) {
        agent.reachability = Reachability::Unreachable { at: now };
    }
    let mut tasks = Vec::with_capacity(ids.size());
    for (framework_id, task_id) in &ids {
        let Some(mut task) = registry.take_task(framework_id, task_id, true) else {
            continue;
        };
        let capabilities = registry.capabilities(framework_id);
        let status = loss.status(&task, capabilities);
        Arc::make_mut(&mut task).become_unreachable(status, loss.state_for(capabilities));
        tasks.push(task.clone());
        registry.add_unreachable_task(task, now);
    }
    registry.take_executors_of(&id);
    Ok(Outcome::Ended { tasks })
}

/// The agent leaves for good, reachable or not: its tasks are completed.
pub(super) fn remove(
    registry: &mut Registry,
    now: Millis,
    remove: &RemoveAgent,
) -> Result<Outcome, Rejection> {
    let agent = registry
        .known_agent(&AgentId::from(remove.agent_id.as_str()))?
        .clone();
    let removal = remove.removal();
    let message = match removal {
        Removal::Gone => "Agent has been marked gone".to_owned(),
        Removal::Unregistered | Removal::Replaced => {
            format!("Agent {} removed: {}", agent.info.hostname, remove.cause)
        }
    };
    let (state, reason) = match removal {
        Removal::Gone => (
            TaskState::TaskGoneByOperator,
            Reason::AgentRemovedByOperator,
        ),
        Removal::Unregistered | Removal::Replaced => (TaskState::TaskLost, Reason::AgentRemoved),
    };
    let loss = Loss {
        state,
        reason,
        message: &message,
        at: now,
    };
    let mut tasks = Vec::with_capacity(agent.tasks.size());
    for (framework_id, task_id) in &agent.tasks {
        tasks.extend(registry.lose_task(framework_id, task_id, &loss));
    }
    registry.take_executors_of(&agent.id);
    registry.unindex_registration(&agent);
    registry.agents.remove_mut(&agent.id);
    let max = registry.limits.removed_agents;
    registry
        .removed_agents
        .insert(agent.id.clone(), RemovedAgent { removal, at: now }, max);
    Ok(Outcome::Ended { tasks })
}

#[cfg(test)]
mod tests;
