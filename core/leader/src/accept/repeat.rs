//! Calls that are sent again, because the answer was lost with a leader or a connection.
//!
//! A gateway gives each call a key, and each launch of an ACCEPT enters the log under a key
//! made of it, so that `Registry::apply` carries it out once. What the log has already is
//! told again here, and not judged a second time.

use std::sync::Arc;

use caprock_model::task::state_for;
use caprock_model::{FrameworkId, Millis, TaskId};
use caprock_proto::mesos::v1::offer::{Operation, operation::Type};
use caprock_proto::mesos::v1::task_status::Reason;
use caprock_proto::mesos::v1::{TaskInfo, TaskState, TaskStatus};
use caprock_registry::{Framework, Registry, Remembered};

use super::launch::rejection;
use super::tasks_of;
use super::ticket::Ticket;
use crate::input::RequestId;
use crate::metrics;
use crate::office::Office;
use crate::turn::Turn;

/// Identifies one call, however often it is sent.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct CallKey(Arc<str>);

impl CallKey {
    /// The key of a framework's call; frameworks cannot touch each other's.
    pub fn new(framework: &FrameworkId, key: &str) -> Self {
        Self(format!("{framework}/{key}").into())
    }

    /// The key of an entry that holds all of the call.
    pub fn whole(&self) -> String {
        self.0.to_string()
    }

    /// The key of the entry that begins with this operation of the call.
    pub fn part(&self, operation: usize) -> String {
        format!("{}/{operation}", self.0)
    }
}

/// The operations of an ACCEPT that are still to be carried out.
#[derive(Debug, Default)]
pub(super) struct Todo {
    pub operations: Vec<Operation>,
    /// For each of them the first operation of its run: consecutive LAUNCHes are one, and
    /// become one entry of the log.
    pub runs: Vec<usize>,
    /// Some operations are in the log already.
    pub repeated: bool,
}

impl Todo {
    /// Leaves out what the log has; their tasks that were not launched are told of again,
    /// as nobody knows whether the scheduler has heard it.
    pub fn new(
        turn: &Turn<'_>,
        framework: &Framework,
        key: Option<&CallKey>,
        operations: Vec<Operation>,
        rejected: &mut Vec<TaskStatus>,
    ) -> Self {
        let mut todo = Self::default();
        let whole = key.and_then(|key| turn.registry.remembered(&key.whole()));
        let mut run = 0;
        let mut launching = false;
        for (place, operation) in operations.into_iter().enumerate() {
            let is_launch = operation.r#type() == Type::Launch;
            if !(is_launch && launching) {
                run = place;
            }
            launching = is_launch;
            let part = || key.and_then(|key| turn.registry.remembered(&key.part(run)));
            let known = whole.or_else(part);
            if let Some(remembered) = known {
                todo.repeated = true;
                rejected.extend(told_again(turn, framework, &operation, remembered));
            } else {
                todo.operations.push(operation);
                todo.runs.push(run);
            }
        }
        todo
    }
}

fn told_again(
    turn: &Turn<'_>,
    framework: &Framework,
    operation: &Operation,
    remembered: &Remembered,
) -> Vec<TaskStatus> {
    let tasks = tasks_of(operation);
    let invalid = match operation.r#type() {
        Type::LaunchGroup => Reason::TaskGroupInvalid,
        _ => Reason::TaskInvalid,
    };
    let status = |task: &TaskInfo| {
        let id = TaskId::from(&task.task_id);
        if let Some(text) = &remembered.rejection {
            return Some(dropped(turn.now, framework, task, text));
        }
        let refused = remembered
            .rejected_tasks
            .iter()
            .find(|(task, _)| *task == id);
        if let Some((_, text)) = refused {
            let state = TaskState::TaskError;
            return Some(rejection(turn.now, task, state, invalid, text));
        }
        // What is neither there nor refused by the log was refused on its way to it.
        let text = "Task was refused by a former leader";
        let state = TaskState::TaskError;
        (!is_known(turn.registry, framework, &id))
            .then(|| rejection(turn.now, task, state, invalid, text))
    };
    tasks.iter().filter_map(status).collect()
}

fn is_known(registry: &Registry, framework: &Framework, task: &TaskId) -> bool {
    registry.task(&framework.id, task).is_some()
        || framework.unreachable_tasks.contains_key(task)
        || framework
            .completed_tasks
            .iter()
            .any(|done| done.id == *task)
}

/// A task that is not launched because its offers, or its agent, are no more.
pub(super) fn dropped(
    now: Millis,
    framework: &Framework,
    task: &TaskInfo,
    text: &str,
) -> TaskStatus {
    let state = state_for(framework.capabilities, TaskState::TaskDropped);
    let message = format!("Task launched with invalid offers: {text}");
    rejection(now, task, state, Reason::InvalidOffers, &message)
}

impl Office {
    /// Whether this call has been sent before and is not decided yet. Then it is answered
    /// together with the first, or its sender has to ask once more.
    pub(super) fn is_under_way(
        &mut self,
        turn: &mut Turn<'_>,
        request: RequestId,
        key: &CallKey,
    ) -> bool {
        let first = self.keyed.get(key);
        if let Some(ticket) = first.and_then(|first| self.tickets.get_mut(first)) {
            ticket.also.push(request);
            self.metrics.count(metrics::REPEATED_CALLS);
            return true;
        }
        if self.proposals.doubts_about(key) {
            turn.unavailable(request);
            return true;
        }
        false
    }

    /// Keeps an ACCEPT until the log has decided about its parts.
    pub(super) fn keep_ticket(&mut self, request: RequestId, ticket: Ticket) {
        if let Some(key) = &ticket.key {
            self.keyed.insert(key.clone(), request);
        }
        self.tickets.insert(request, ticket);
    }
}
