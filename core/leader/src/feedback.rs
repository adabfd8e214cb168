//! Operations between the log and the agents: orders to carry them out, and what the agents
//! say of them (Mesos: Master::updateOperationStatus).
//!
//! ```text
//!   log: pending ── ApplyOperation ──► agent
//!        recorded ◄─ OperationUpdate ─┘   ──► framework, if it gave the operation an id
//!        forgotten ◄─ acknowledgement ────────┘ (or at once, if nobody wants to know)
//!             └─────── AcknowledgeOperation ──► agent
//! ```
//!
//! The agent repeats its report until it is acknowledged, so that nothing here has to be
//! remembered; orders for pending operations are repeated when it attaches.

use std::sync::Arc;

use caprock_model::operation::conversion;
use caprock_model::{AgentId, FrameworkId, Resources};
use caprock_proto::caprock::registry::{AcknowledgeOperation, RecordOperation, entry::Command};
use caprock_proto::caprock::session::{self, Attach, OperationUpdate, order::Order};
use caprock_proto::mesos::v1::offer::operation::Type;
use caprock_proto::mesos::v1::{OperationId, OperationState, OperationStatus};
use caprock_registry::{Agent, Operation, OperationUuid};
use prost::bytes::Bytes;

use crate::event;
use crate::input::RequestId;
use crate::metrics;
use crate::office::Office;
use crate::propose::{Pending, Verdict};
use crate::turn::Turn;

/// What an agent said, or a framework acknowledged, on its way through the log.
#[derive(Debug)]
pub(crate) struct Feedback {
    pub request: Option<RequestId>,
    pub agent: AgentId,
    pub framework: Option<FrameworkId>,
    pub uuid: OperationUuid,
    pub status: OperationStatus,
}

/// The uuid by which a status is acknowledged.
pub(crate) fn status_uuid(status: &OperationStatus) -> Option<&Bytes> {
    status.uuid.as_ref().map(|uuid| &uuid.value)
}

impl Office {
    /// The agent has carried out an operation, or could not.
    pub(crate) fn operation_update(
        &mut self,
        turn: &mut Turn<'_>,
        agent: &AgentId,
        update: OperationUpdate,
    ) {
        self.metrics.count(metrics::OPERATION_UPDATES);
        let uuid = OperationUuid::from_bytes(&update.operation_uuid);
        let status = update.latest_status.or(update.status);
        let (Some(uuid), Some(mut status)) = (uuid, status) else {
            return self.metrics.count(metrics::DROPPED_MESSAGES);
        };
        status.agent_id.get_or_insert_with(|| agent.to_proto());
        let known = turn.registry.agent(agent);
        let Some(operation) = known.and_then(|known| known.operations.get(&uuid)) else {
            // It was acknowledged before, and the agent has not heard of it.
            return self.order_acknowledged(turn, agent, None, uuid, &status);
        };
        let listener = operation.framework_id.clone().filter(|framework| {
            operation.id().is_some() && turn.registry.framework(framework).is_some()
        });
        if operation.is_pending() {
            self.count_operation_end(status.state());
        }
        let feedback = Feedback {
            request: None,
            agent: agent.clone(),
            framework: listener,
            uuid,
            status,
        };
        let recorded = operation.status.as_ref().and_then(status_uuid);
        match &feedback.framework {
            None => self.forget_operation(turn, feedback),
            Some(framework) if recorded == status_uuid(&feedback.status) => {
                let event = event::operation_status(feedback.status);
                self.send(turn, framework, event);
            }
            Some(_) => {
                let command = RecordOperation {
                    agent_id: agent.to_string(),
                    operation_uuid: uuid.to_bytes(),
                    status: Some(feedback.status.clone()),
                };
                let pending = Pending::RecordOperation(feedback);
                self.propose(turn, Command::RecordOperation(command), pending);
            }
        }
    }

    /// It is in the log, so that the framework may be told.
    pub(crate) fn operation_recorded(
        &mut self,
        turn: &mut Turn<'_>,
        feedback: &Feedback,
        verdict: &Verdict,
    ) {
        // Otherwise it was forgotten meanwhile, or the agent says it again.
        if let (Verdict::Applied(_), Some(framework)) = (verdict, &feedback.framework) {
            self.mark_dirty(turn, &feedback.agent);
            let event = event::operation_status(feedback.status.clone());
            self.send(turn, framework, event);
        }
    }

    /// Nobody has to hear of the operation any more.
    pub(crate) fn forget_operation(&mut self, turn: &mut Turn<'_>, feedback: Feedback) {
        let command = AcknowledgeOperation {
            agent_id: feedback.agent.to_string(),
            operation_uuid: feedback.uuid.to_bytes(),
            status: Some(feedback.status.clone()),
        };
        let pending = Pending::AcknowledgeOperation(feedback);
        self.propose(turn, Command::AcknowledgeOperation(command), pending);
    }

    pub(crate) fn operation_forgotten(
        &mut self,
        turn: &mut Turn<'_>,
        feedback: &Feedback,
        verdict: &Verdict,
    ) {
        let Feedback {
            request,
            agent,
            framework,
            uuid,
            status,
        } = feedback;
        if let Verdict::Refused | Verdict::Unknown = verdict {
            if let Some(request) = request {
                turn.unavailable(*request);
            }
            return;
        }
        if let Some(request) = request {
            turn.accepted(*request);
        }
        self.mark_dirty(turn, agent);
        self.order_acknowledged(turn, agent, framework.as_ref(), *uuid, status);
    }

    /// The agent may forget the operation.
    fn order_acknowledged(
        &self,
        turn: &mut Turn<'_>,
        agent: &AgentId,
        framework: Option<&FrameworkId>,
        uuid: OperationUuid,
        status: &OperationStatus,
    ) {
        let (Some(session), Some(status_uuid)) = (self.orders_go_to(agent), status_uuid(status))
        else {
            return;
        };
        let order = session::AcknowledgeOperation {
            framework_id: framework.map(FrameworkId::to_string).unwrap_or_default(),
            operation_uuid: uuid.to_bytes(),
            status_uuid: status_uuid.clone(),
        };
        turn.order(session, Order::AcknowledgeOperation(order));
    }

    /// Orders an operation that has just got into the log; if the agent is away it gets the
    /// order when it attaches.
    pub(crate) fn order_operation(&self, turn: &mut Turn<'_>, operation: &Operation) {
        let Some(session) = self.orders_go_to(&operation.agent_id) else {
            return;
        };
        let framework = operation.framework_id.as_ref();
        let order = session::ApplyOperation {
            framework_id: framework.map(FrameworkId::to_string).unwrap_or_default(),
            operation: Some((*operation.info).clone()),
            operation_uuid: operation.uuid.to_bytes(),
        };
        turn.order(session, Order::ApplyOperation(order));
    }

    /// Orders everything that the agent has not reported on, in the order of the log. It
    /// recognizes what it has done by the uuid.
    pub(crate) fn order_operations(&self, turn: &mut Turn<'_>, agent: &AgentId) {
        let Some(known) = turn.registry.agent(agent).cloned() else {
            return;
        };
        for operation in known.operations.values().filter(|one| one.is_pending()) {
            self.order_operation(turn, operation);
        }
    }

    /// An agent attached: what it has missed is ordered, what differs otherwise is told.
    pub(crate) fn catch_up_operations(
        &self,
        turn: &mut Turn<'_>,
        agent: &AgentId,
        attach: &Attach,
    ) {
        self.order_operations(turn, agent);
        let Some(known) = turn.registry.agent(agent) else {
            return;
        };
        if let Some(found) = expected_of(known, attach)
            && found != known.total
        {
            turn.warn(format!(
                "Agent {agent} has {found} and not {}, which is in the log",
                known.total
            ));
        }
    }

    /// The agent is out of sight or gone, and so is the fate of its operations (Mesos:
    /// Master::sendBulkOperationFeedback).
    pub(crate) fn tell_operations<'a>(
        &mut self,
        turn: &mut Turn<'_>,
        operations: impl Iterator<Item = &'a Arc<Operation>>,
        state: OperationState,
        message: &str,
    ) {
        for operation in operations {
            let (Some(framework), Some(id)) = (&operation.framework_id, operation.id()) else {
                continue;
            };
            let status = OperationStatus {
                operation_id: Some(OperationId {
                    value: id.to_owned(),
                }),
                state: state as i32,
                message: Some(message.to_owned()),
                agent_id: Some(operation.agent_id.to_proto()),
                ..OperationStatus::default()
            };
            self.send(turn, framework, event::operation_status(status));
        }
    }

    pub(crate) fn count_operation(&mut self, kind: Type) {
        self.metrics.count(match kind {
            Type::Reserve => "caprock/operations/reserve",
            Type::Unreserve => "caprock/operations/unreserve",
            Type::Create => "caprock/operations/create",
            Type::Destroy => "caprock/operations/destroy",
            Type::GrowVolume => "caprock/operations/grow_volume",
            Type::ShrinkVolume => "caprock/operations/shrink_volume",
            Type::Unknown
            | Type::Launch
            | Type::LaunchGroup
            | Type::CreateDisk
            | Type::DestroyDisk => return,
        });
    }

    fn count_operation_end(&mut self, state: OperationState) {
        self.metrics.count(match state {
            OperationState::OperationFinished => "master/operations/finished",
            OperationState::OperationFailed => "master/operations/failed",
            _ => return,
        });
    }
}

/// What the agent will have when it has done what it has missed; none if it does not say.
fn expected_of(known: &Agent, attach: &Attach) -> Option<Resources> {
    let reported = match attach.checkpointed_resources.is_empty() {
        true => &attach.info.as_ref()?.resources,
        false => &attach.checkpointed_resources,
    };
    let mut expected = Resources::from_protos(reported).ok()?.unallocated();
    let missed = known.operations.values().filter(|operation| {
        let uuid = operation.uuid.to_bytes();
        operation.is_pending() && !attach.applied_operations.contains(&uuid)
    });
    for operation in missed {
        let conversion = conversion(&operation.info).ok()?.unallocated();
        expected = conversion.apply(&expected)?;
    }
    Some(expected)
}
