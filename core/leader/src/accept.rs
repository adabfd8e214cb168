//! ACCEPT: offers become operations (Mesos: Master::accept and _accept).
//!
//! The offers leave the list at once; what the operations need is held until the log has
//! taken the launches, the rest is free again. The call is answered when all of it is
//! durable. `operations` are reservations and volumes, beside the launches; `steps` puts both
//! into one entry.

mod bid;
pub(crate) mod launch;
mod launch_group;
mod offers_check;
mod operations;
pub(crate) mod repeat;
pub(crate) mod steps;
pub(crate) mod ticket;
mod vouched;

use std::sync::Arc;

use caprock_model::task::state_for;
use caprock_model::{AgentId, FrameworkId, OfferId, Resources};
use caprock_proto::mesos::v1::offer::{Operation, operation::Type};
use caprock_proto::mesos::v1::scheduler::call::Accept;
use caprock_proto::mesos::v1::task_status::Reason;
use caprock_proto::mesos::v1::{Filters, TaskInfo, TaskState, TaskStatus};
use caprock_registry::{Agent, Framework};

use crate::call::Admitted;
use crate::metrics;
use crate::office::Office;
use crate::turn::Turn;
use bid::{Bid, Underway};
use offers_check::Basis;
use repeat::Todo;
use steps::Steps;
use ticket::Ticket;

impl Office {
    pub(crate) fn accept(&mut self, turn: &mut Turn<'_>, admitted: &Admitted<'_>, accept: Accept) {
        let (framework, key) = (Arc::clone(admitted.framework), admitted.key.as_ref());
        if key.is_some_and(|key| self.is_under_way(turn, admitted.request, key)) {
            return;
        }
        let mut ticket = Ticket {
            key: admitted.key.clone(),
            ..Ticket::new(&framework.id)
        };
        let denied = admitted.denied_operations;
        let (operations, failed) = operations::split_denied(accept.operations, denied);
        ticket.failed = failed;
        let todo = Todo::new(turn, &framework, key, operations, &mut ticket.rejected);
        if todo.repeated {
            self.metrics.count(metrics::REPEATED_CALLS);
            if todo.operations.is_empty() {
                return self.finish_ticket(turn, admitted.request, ticket);
            }
        }
        let ids: Vec<OfferId> = accept.offer_ids.iter().map(OfferId::from).collect();
        let vouched = self.vouched(&framework, admitted.vouched);
        let mut basis = match offers_check::check(&self.offers, &vouched, &framework.id, &ids) {
            Ok(basis) => basis,
            Err(error) => {
                self.discard_named(turn, &framework, &ids);
                let message = format!("Task launched with invalid offers: {error}");
                let reason = Reason::InvalidOffers;
                let statuses = drop_all(turn, &framework, &todo.operations, reason, &message);
                let text = format!("Operation attempted with invalid offers: {error}");
                ticket.rejected.extend(statuses);
                let failed = operations::fail_all(&todo.operations, &text);
                ticket.failed.extend(failed);
                return self.finish_ticket(turn, admitted.request, ticket);
            }
        };
        let agent = turn.registry.agent(&basis.agent).cloned();
        let Some(agent) = agent.filter(|agent| self.may_launch_on(agent, &basis)) else {
            let (reason, message) = match turn.registry.agent(&basis.agent) {
                Some(agent) if agent.is_reachable() => {
                    (Reason::AgentDisconnected, "Agent disconnected")
                }
                _ => (Reason::AgentRemoved, "Agent removed"),
            };
            self.discard_named(turn, &framework, &ids);
            let rejected = drop_all(turn, &framework, &todo.operations, reason, message);
            ticket.rejected.extend(rejected);
            return self.finish_ticket(turn, admitted.request, ticket);
        };
        for id in &ids {
            self.offers.remove(id);
        }
        self.limit_to_free(turn, &agent, &mut basis);
        let is_vouched = !basis.vouched.is_empty();
        let accepted = Accepted {
            basis,
            todo,
            filters: accept.filters,
        };
        self.carry_out(turn, admitted, &framework, &agent, accepted, ticket);
        if is_vouched {
            self.make_room(turn, &framework.id, &agent);
        }
    }

    /// Offers are made of agents that take orders now. One that a former leader made may be
    /// used before its agent has attached again: it gets its orders then.
    fn may_launch_on(&self, agent: &Agent, basis: &Basis) -> bool {
        let id = &agent.id;
        if agent.deactivated {
            return false;
        }
        self.agents.is_active(id)
            || (!basis.vouched.is_empty() && agent.is_reachable() && self.agents.is_returning(id))
    }

    /// Carries out the operations in order on what the offers hold.
    fn carry_out(
        &mut self,
        turn: &mut Turn<'_>,
        admitted: &Admitted<'_>,
        framework: &Framework,
        agent: &Agent,
        accepted: Accepted,
        mut ticket: Ticket,
    ) {
        let Accepted {
            basis,
            todo,
            filters,
        } = accepted;
        let Basis {
            role,
            resources,
            lapsed,
            ..
        } = basis;
        let pending = Underway {
            launching: &self.launching,
            exits: &self.exits,
        };
        let mut bid = Bid::new(
            turn.now,
            framework,
            agent,
            pending,
            &role,
            resources.clone(),
        );
        bid.lapsed = lapsed;
        for (operation, run) in todo.operations.into_iter().zip(todo.runs) {
            bid.run = run;
            match operation.r#type() {
                Type::Launch => bid.launch(operation),
                Type::LaunchGroup => bid.launch_group(operation),
                other => bid.operate(other, operation),
            }
        }
        let Bid {
            remaining,
            parts,
            operations,
            rejected,
            failed,
            ..
        } = bid;
        // What operations made is offered again soon; only what nobody touched was refused.
        let made = &remaining - &resources;
        let untouched = &remaining - &made;
        self.refuse(
            turn,
            (&framework.id, &role, &agent.id),
            &untouched,
            filters.as_ref(),
        );
        self.mark_returned(turn, &agent.id);
        ticket.rejected.extend(rejected);
        ticket.failed.extend(failed);
        let steps = Steps {
            parts,
            operations,
            held: &resources - &untouched,
        };
        self.propose_all(turn, admitted, (&framework.id, &agent.id), steps, ticket);
    }

    /// Launches are entries of their own, unless they need what operations make.
    fn propose_all(
        &mut self,
        turn: &mut Turn<'_>,
        admitted: &Admitted<'_>,
        whose: (&FrameworkId, &AgentId),
        steps: Steps,
        mut ticket: Ticket,
    ) {
        if !steps.operations.is_empty() {
            ticket.parts_left = Self::count_steps(&steps);
            self.keep_ticket(admitted.request, ticket);
            return self.propose_steps(turn, admitted, whose, steps);
        }
        if steps.parts.is_empty() {
            return self.finish_ticket(turn, admitted.request, ticket);
        }
        ticket.parts_left = steps.parts.len();
        self.keep_ticket(admitted.request, ticket);
        for part in steps.parts {
            self.propose_launch(turn, admitted, whose.0, whose.1, part);
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

/// An ACCEPT whose offers are good.
struct Accepted {
    basis: Basis,
    todo: Todo,
    filters: Option<Filters>,
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
