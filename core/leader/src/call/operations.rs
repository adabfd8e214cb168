//! RECONCILE_OPERATIONS and ACKNOWLEDGE_OPERATION_STATUS (Mesos:
//! Master::reconcileOperations). No operation outlives its ACCEPT yet, so none is known.

use caprock_model::AgentId;
use caprock_proto::caprock::registry::remove_agent::Removal;
use caprock_proto::mesos::v1::scheduler::call::ReconcileOperations;
use caprock_proto::mesos::v1::{OperationState, OperationStatus};

use crate::agents::Presence;
use crate::call::Admitted;
use crate::event;
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
        for asked in &reconcile.operations {
            let agent = asked.agent_id.as_ref().map(AgentId::from);
            let (state, message) = self.judge_operation(turn, agent.as_ref());
            let status = OperationStatus {
                operation_id: Some(asked.operation_id.clone()),
                state: state as i32,
                message: Some(message.to_owned()),
                agent_id: asked.agent_id.clone(),
                resource_provider_id: asked.resource_provider_id.clone(),
                ..OperationStatus::default()
            };
            self.send(
                turn,
                &admitted.framework.id,
                event::operation_status(status),
            );
        }
    }

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
            return (
                State::OperationUnreachable,
                "Reconciliation: Agent is unreachable",
            );
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

    /// Dropped, as for every unknown operation.
    pub(crate) fn acknowledge_operation(&mut self, turn: &mut Turn<'_>, admitted: &Admitted<'_>) {
        self.metrics.count(metrics::DROPPED_MESSAGES);
        turn.accepted(admitted.request);
    }
}
