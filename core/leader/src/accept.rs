//! ACCEPT: offers become operations (Mesos: Master::accept and _accept).
//!
//! The offers leave the list at once; what the operations need is held until the log has
//! taken the launches, the rest is free again. The call is answered when all of it is
//! durable. Reservations and volumes get their files here, beside the launches.

mod bid;
pub(crate) mod launch;
mod launch_group;
mod offers_check;
mod operations;
pub(crate) mod ticket;

use std::sync::Arc;

use caprock_model::task::state_for;
use caprock_model::{OfferId, Resources};
use caprock_proto::mesos::v1::offer::{Operation, operation::Type};
use caprock_proto::mesos::v1::scheduler::call::Accept;
use caprock_proto::mesos::v1::task_status::Reason;
use caprock_proto::mesos::v1::{TaskInfo, TaskState, TaskStatus};
use caprock_registry::{Agent, Framework};

use crate::call::Admitted;
use crate::office::Office;
use crate::turn::Turn;
use bid::{Bid, Underway};
use offers_check::Basis;
use ticket::Ticket;

impl Office {
    pub(crate) fn accept(&mut self, turn: &mut Turn<'_>, admitted: &Admitted<'_>, accept: Accept) {
        let framework = Arc::clone(admitted.framework);
        let ids: Vec<OfferId> = accept.offer_ids.iter().map(OfferId::from).collect();
        let basis = match offers_check::check(&self.offers, &framework.id, &ids) {
            Ok(basis) => basis,
            Err(error) => {
                self.discard_named(turn, &framework, &ids);
                let message = format!("Task launched with invalid offers: {error}");
                let statuses = drop_all(
                    turn,
                    &framework,
                    &accept.operations,
                    Reason::InvalidOffers,
                    &message,
                );
                let text = format!("Operation attempted with invalid offers: {error}");
                let failed = operations::fail_all(&accept.operations, &text);
                let ticket = Ticket {
                    rejected: statuses,
                    failed,
                    ..Ticket::new(&framework.id)
                };
                return self.finish_ticket(turn, admitted.request, ticket);
            }
        };
        let agent = turn.registry.agent(&basis.agent).cloned();
        let Some(agent) = agent.filter(|_| self.agents.is_active(&basis.agent)) else {
            let (reason, message) = match turn.registry.agent(&basis.agent) {
                Some(agent) if agent.is_reachable() => {
                    (Reason::AgentDisconnected, "Agent disconnected")
                }
                _ => (Reason::AgentRemoved, "Agent removed"),
            };
            self.discard_named(turn, &framework, &ids);
            let rejected = drop_all(turn, &framework, &accept.operations, reason, message);
            let ticket = Ticket {
                rejected,
                ..Ticket::new(&framework.id)
            };
            return self.finish_ticket(turn, admitted.request, ticket);
        };
        for id in &ids {
            self.offers.remove(id);
        }
        self.carry_out(turn, admitted, &framework, &agent, basis, accept);
    }

    /// Carries out the operations in order on what the offers hold.
    fn carry_out(
        &mut self,
        turn: &mut Turn<'_>,
        admitted: &Admitted<'_>,
        framework: &Framework,
        agent: &Agent,
        basis: Basis,
        accept: Accept,
    ) {
        let Basis {
            role, resources, ..
        } = basis;
        let pending = Underway {
            launching: &self.launching,
            exits: &self.exits,
        };
        let mut bid = Bid::new(turn.now, framework, agent, pending, &role, resources);
        for operation in accept.operations {
            match operation.r#type() {
                Type::Launch => bid.launch(operation),
                Type::LaunchGroup => bid.launch_group(operation),
                other => bid.operate(other, &operation),
            }
        }
        let Bid {
            remaining,
            parts,
            rejected,
            failed,
            ..
        } = bid;
        self.refuse(
            turn,
            (&framework.id, &role, &agent.id),
            &remaining,
            accept.filters.as_ref(),
        );
        self.mark_dirty(turn, &agent.id);
        let ticket = Ticket {
            rejected,
            failed,
            ..Ticket::new(&framework.id)
        };
        if parts.is_empty() {
            return self.finish_ticket(turn, admitted.request, ticket);
        }
        let ticket = Ticket {
            parts_left: parts.len(),
            ..ticket
        };
        self.tickets.insert(admitted.request, ticket);
        for part in parts {
            self.propose_launch(turn, admitted, &framework.id, &agent.id, part);
        }
    }

    /// The framework's own offers among these are gone; resources return unfiltered.
    fn discard_named(&mut self, turn: &mut Turn<'_>, framework: &Framework, ids: &[OfferId]) {
        for id in ids {
            if self
                .offers
                .get(id)
                .is_some_and(|offer| offer.framework == framework.id)
            {
                self.discard_offer(turn, id);
            }
        }
    }
}

/// The tasks that an operation launches.
fn tasks_of(operation: &Operation) -> &[TaskInfo] {
    match operation.r#type() {
        Type::Launch => operation
            .launch
            .as_ref()
            .map_or(&[][..], |launch| &launch.task_infos[..]),
        Type::LaunchGroup => {
            let group = operation.launch_group.as_ref();
            group.map_or(&[][..], |group| &group.task_group.tasks[..])
        }
        _ => &[],
    }
}

/// No task of these operations was launched, for a reason that is not its own fault.
fn drop_all(
    turn: &Turn<'_>,
    framework: &Framework,
    operations: &[Operation],
    reason: Reason,
    message: &str,
) -> Vec<TaskStatus> {
    let state = state_for(framework.capabilities, TaskState::TaskDropped);
    operations
        .iter()
        .flat_map(tasks_of)
        .map(|task| launch::rejection(turn.now, task, state, reason, message))
        .collect()
}

/// Whether resources are worth holding.
fn sum<'a>(parts: impl IntoIterator<Item = &'a Resources>) -> Resources {
    parts
        .into_iter()
        .fold(Resources::new(), |sum, part| sum + part)
}
