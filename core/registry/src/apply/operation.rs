//! Operations on resources. An agent's total changes when the entry is applied; the agent
//! follows, and its report is kept until whoever wants to know has acknowledged it.

use std::sync::Arc;

use caprock_model::operation::{Conversion, conversion};
use caprock_model::{AgentId, FrameworkId, Resources, validate};
use caprock_proto::caprock::registry::accept_step::Step;
use caprock_proto::caprock::registry::{
    Accept, AcknowledgeOperation, ApplyOperation, Launch, RecordOperation,
};
use caprock_proto::mesos::v1::{OperationState, offer};

use super::{Moment, launch};
use crate::outcome::{Outcome, Rejection};
use crate::{Agent, Operation, OperationUuid, Registry};

/// Carries out the steps of an ACCEPT in order; one that is rejected changes nothing, and
/// those after it fail by themselves if they needed its result.
pub(super) fn accept(
    registry: &mut Registry,
    moment: Moment,
    accept: &Accept,
) -> Result<Outcome, Rejection> {
    let framework_id = FrameworkId::from(accept.framework_id.as_str());
    registry.live_framework(&framework_id)?;
    let agent_id = AgentId::from(accept.agent_id.as_str());
    registry.reachable_agent(&agent_id)?;
    let mut outcomes = Vec::with_capacity(accept.steps.len());
    for (number, step) in (0..).zip(&accept.steps) {
        let result = match &step.step {
            None => Err(Rejection::Malformed("A step without content".to_owned())),
            Some(Step::Launch(step)) => {
                let launch = Launch {
                    framework_id: accept.framework_id.clone(),
                    agent_id: accept.agent_id.clone(),
                    ..step.clone()
                };
                launch::launch(registry, moment, &launch)
            }
            Some(Step::Operation(info)) => {
                let uuid = OperationUuid::new(moment.index, number, moment.now);
                let framework = Some(framework_id.clone());
                convert(registry, uuid, &agent_id, framework, info).map(Outcome::Converted)
            }
        };
        outcomes.push(Outcome::from(result));
    }
    Ok(Outcome::Steps(outcomes))
}

/// An operation that an operator asks for.
pub(super) fn apply_operation(
    registry: &mut Registry,
    moment: Moment,
    apply: &ApplyOperation,
) -> Result<Outcome, Rejection> {
    let agent_id = AgentId::from(apply.agent_id.as_str());
    let info = apply.operation.as_ref();
    let info = info.ok_or_else(|| Rejection::Malformed("No operation to apply".to_owned()))?;
    let uuid = OperationUuid::new(moment.index, 0, moment.now);
    convert(registry, uuid, &agent_id, None, info).map(Outcome::Converted)
}

/// Changes the agent's total. Only what nobody uses can be converted.
fn convert(
    registry: &mut Registry,
    uuid: OperationUuid,
    agent_id: &AgentId,
    framework_id: Option<FrameworkId>,
    info: &offer::Operation,
) -> Result<Arc<Operation>, Rejection> {
    let agent = registry.reachable_agent(agent_id)?;
    let conversion = conversion(info).map_err(|error| Rejection::Malformed(error.0))?;
    let total = converted_total(agent, &conversion.unallocated())?;
    let operation = Arc::new(Operation {
        uuid,
        agent_id: agent.id.clone(),
        framework_id,
        info: Arc::new(info.clone()),
        status: None,
    });
    if let Some(agent) = registry.agent_mut(agent_id) {
        agent.total = total;
        agent.operations.insert_mut(uuid, Arc::clone(&operation));
    }
    Ok(operation)
}

fn converted_total(agent: &Agent, conversion: &Conversion) -> Result<Resources, Rejection> {
    let available = agent.available();
    let total = conversion.apply(&agent.total);
    let total = total.filter(|_| available.contains(&conversion.consumed));
    let Some(total) = total else {
        return Err(Rejection::NotConvertible {
            required: conversion.consumed.to_string(),
            available: available.to_string(),
        });
    };
    // Another entry may have made a volume of this id meanwhile.
    validate::resources::unique_persistence_ids(&total).map_err(Rejection::InvalidOperation)?;
    Ok(total)
}

fn known<'a>(
    registry: &'a Registry,
    agent_id: &AgentId,
    uuid: &[u8],
) -> Result<&'a Arc<Operation>, Rejection> {
    let agent = registry.known_agent(agent_id)?;
    OperationUuid::from_bytes(uuid)
        .and_then(|uuid| agent.operations.get(&uuid))
        .ok_or(Rejection::UnknownOperation)
}

/// The agent has done it, or could not: then its resources are as they were before.
pub(super) fn record(
    registry: &mut Registry,
    record: &RecordOperation,
) -> Result<Outcome, Rejection> {
    let agent_id = AgentId::from(record.agent_id.as_str());
    let operation = known(registry, &agent_id, &record.operation_uuid)?.clone();
    let Some(status) = &record.status else {
        return Err(Rejection::Malformed("No status to record".to_owned()));
    };
    if operation.is_pending() && status.state() != OperationState::OperationFinished {
        take_back(registry, &operation);
    }
    if let Some(agent) = registry.agent_mut(&agent_id) {
        let recorded = Operation {
            status: Some(status.clone()),
            ..Operation::clone(&operation)
        };
        agent
            .operations
            .insert_mut(operation.uuid, Arc::new(recorded));
    }
    Ok(Outcome::Applied)
}

/// Forgets an operation.
pub(super) fn acknowledge(
    registry: &mut Registry,
    acknowledge: &AcknowledgeOperation,
) -> Result<Outcome, Rejection> {
    let agent_id = AgentId::from(acknowledge.agent_id.as_str());
    let operation = known(registry, &agent_id, &acknowledge.operation_uuid)?.clone();
    if let Some(status) = &acknowledge.status
        && operation.is_pending()
        && status.state() != OperationState::OperationFinished
    {
        take_back(registry, &operation);
    }
    if let Some(agent) = registry.agent_mut(&agent_id) {
        agent.operations.remove_mut(&operation.uuid);
    }
    Ok(Outcome::Applied)
}

/// Undoes a conversion, as far as nobody uses its result.
fn take_back(registry: &mut Registry, operation: &Operation) {
    let Ok(conversion) = conversion(&operation.info) else {
        return;
    };
    let back = conversion.unallocated().reversed();
    if let Some(agent) = registry.agent_mut(&operation.agent_id)
        && let Ok(total) = converted_total(agent, &back)
    {
        agent.total = total;
    }
}

impl Agent {
    /// What operations have made of the resources that the agent describes becomes that of
    /// the resources that it describes now (Mesos: applyCheckpointedResources in
    /// src/common/resources_utils.cpp). What is not there any more cannot be converted.
    pub(crate) fn rebase_total(&mut self, before: &Resources, total: &Resources) {
        if before == total {
            return;
        }
        let consumed = before - total;
        let converted = total - before;
        match self.total.checked_sub(&consumed) {
            Some(rest) => self.total = rest + &converted,
            // The agent has less than its reservations take: what it can do nobody knows.
            None => self.total = total.clone(),
        }
    }
}

#[cfg(test)]
mod tests;
