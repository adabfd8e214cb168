//! RECONCILE_OPERATIONS and ACKNOWLEDGE_OPERATION_STATUS (Mesos:
//! Master::reconcileOperations and Master::acknowledgeOperationStatus).

use std::sync::Arc;

use caprock_model::{AgentId, FrameworkId};
use caprock_proto::caprock::registry::remove_agent::Removal;
use caprock_proto::mesos::v1::scheduler::call::{AcknowledgeOperationStatus, ReconcileOperations};
use caprock_proto::mesos::v1::{OperationState, OperationStatus};
use caprock_registry::{Operation, Registry};

use crate::agents::Presence;
use crate::call::Admitted;
use crate::event;
use crate::feedback::{Feedback, status_uuid};
use crate::metrics;
use crate::office::Office;
use crate::turn::Turn;

impl Office {
    pub(crate) fn reconcile_operations(
        &mut self,
        turn: &mut Turn<'_>,
        admitted: &Admitted<'_>,
        reconcile: &ReconcileOperations,
    ) {
        turn.accepted(admitted.request);
        let framework = &admitted.framework.id;
        let mut statuses = Vec::new();
        if reconcile.operations.is_empty() {
            let agents = turn.registry.agents();
            let all = agents.flat_map(|agent| agent.operations.values());
            let own = all.filter(|operation| operation.framework_id.as_ref() == Some(framework));
            statuses.extend(own.map(|operation| latest_status(turn.registry, operation)));
        }
        for asked in &reconcile.operations {
            let agent = asked.agent_id.as_ref().map(AgentId::from);
            let id = asked.operation_id.value.as_str();
            let known = find(turn.registry, framework, agent.as_ref(), id);
            statuses.push(match known {
                Some(operation) => latest_status(turn.registry, operation),
                None => {
                    let (state, message) = self.judge_operation(turn, agent.as_ref());
                    OperationStatus {
                        operation_id: Some(asked.operation_id.clone()),
                        state: state as i32,
                        message: Some(message.to_owned()),
                        agent_id: asked.agent_id.clone(),
                        resource_provider_id: asked.resource_provider_id.clone(),
                        ..OperationStatus::default()
                    }
                }
            });
        }
        for status in statuses {
            self.send(turn, framework, event::operation_status(status));
        }
    }

    /// What is said of an operation that is not in the log, by what became of its agent.
    fn judge_operation(
        &self,
        turn: &Turn<'_>,
        agent: Option<&AgentId>,
    ) -> (OperationState, &'static str) {
        use OperationState as State;

        let Some(agent) = agent else {
            let text = "Reconciliation: Operation is unknown and no 'agent_id' was provided";
            return (State::OperationUnknown, text);
        };
        let Some(known) = turn.registry.agent(agent) else {
            let removed = turn.registry.removed_agent(agent);
            if removed.is_some_and(|removed| removed.removal == Removal::Gone) {
                let text = "Reconciliation: Agent marked gone by operator";
                return (State::OperationGoneByOperator, text);
            }
            let text = "Reconciliation: Both operation and agent are unknown";
            return (State::OperationUnknown, text);
        };
        if !known.is_reachable() {
            return (State::OperationUnreachable, UNREACHABLE);
        }
        let presence = self.agents.peer(agent).map(|peer| peer.presence);
        if presence.is_none_or(|presence| presence == Presence::Recovered) {
            let text = "Reconciliation: Agent is recovered but has not re-registered";
            return (State::OperationRecovering, text);
        }
        (
            State::OperationUnknown,
            "Reconciliation: Operation is unknown",
        )
    }

    /// The framework knows how its operation ended. What does not fit is dropped.
    pub(crate) fn acknowledge_operation(
        &mut self,
        turn: &mut Turn<'_>,
        admitted: &Admitted<'_>,
        acknowledge: &AcknowledgeOperationStatus,
    ) {
        let framework = &admitted.framework.id;
        let agent = acknowledge.agent_id.as_ref().map(AgentId::from);
        let id = acknowledge.operation_id.value.as_str();
        let known = find(turn.registry, framework, agent.as_ref(), id);
        let told = known.and_then(|operation| Some((operation, operation.status.as_ref()?)));
        let told = told.filter(|(_, status)| status_uuid(status) == Some(&acknowledge.uuid));
        let Some((operation, status)) = told else {
            self.metrics.count(metrics::DROPPED_MESSAGES);
            return turn.accepted(admitted.request);
        };
        let feedback = Feedback {
            request: Some(admitted.request),
            agent: operation.agent_id.clone(),
            framework: Some(framework.clone()),
            uuid: operation.uuid,
            status: status.clone(),
        };
        self.forget_operation(turn, feedback);
    }
}

const UNREACHABLE: &str = "Reconciliation: Agent is unreachable";

/// The newest operation that the framework gave this id.
fn find<'a>(
    registry: &'a Registry,
    framework: &FrameworkId,
    agent: Option<&AgentId>,
    id: &str,
) -> Option<&'a Arc<Operation>> {
    let agents: Vec<_> = match agent {
        Some(agent) => registry.agent(agent).into_iter().collect(),
        None => registry.agents().collect(),
    };
    agents
        .into_iter()
        .flat_map(|agent| agent.operations.values())
        .filter(|operation| operation.id() == Some(id))
        .filter(|operation| operation.framework_id.as_ref() == Some(framework))
        .max_by_key(|operation| operation.uuid)
}

/// What the log knows, not to be acknowledged.
fn latest_status(registry: &Registry, operation: &Operation) -> OperationStatus {
    let mut latest = OperationStatus {
        uuid: None,
        ..operation.status.clone().unwrap_or_default()
    };
    latest.operation_id.clone_from(&operation.info.id);
    latest.agent_id = Some(operation.agent_id.to_proto());
    latest.state = operation.state() as i32;
    let agent = registry.agent(&operation.agent_id);
    if agent.is_some_and(|agent| !agent.is_reachable()) {
        latest.state = OperationState::OperationUnreachable as i32;
        latest.message = Some(UNREACHABLE.to_owned());
    }
    latest
}
