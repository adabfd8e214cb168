//! One ACCEPT that waits until the log has all its launches.

use caprock_model::FrameworkId;
use caprock_proto::mesos::v1::{OperationStatus, TaskStatus};

use super::repeat::CallKey;
use crate::event;
use crate::input::RequestId;
use crate::office::Office;
use crate::turn::Turn;

/// What is said, and how the call is answered, once all parts are done.
#[derive(Debug)]
pub(crate) struct Ticket {
    pub framework: FrameworkId,
    pub key: Option<CallKey>,
    /// The same call, sent again while this one was under way.
    pub also: Vec<RequestId>,
    pub parts_left: usize,
    /// Tasks that were not launched for reasons of their own.
    pub rejected: Vec<TaskStatus>,
    pub failed: Vec<OperationStatus>,
    /// Tasks that were not launched because the log did not take the entry.
    pub refused: Vec<TaskStatus>,
    /// Operations that the log did not take.
    pub operations_refused: bool,
    /// Some part is in the log.
    pub applied: bool,
    /// Of some part it is not known.
    pub doubtful: bool,
}

impl Ticket {
    pub fn new(framework: &FrameworkId) -> Self {
        Self {
            framework: framework.clone(),
            key: None,
            also: Vec::new(),
            parts_left: 0,
            rejected: Vec::new(),
            failed: Vec::new(),
            refused: Vec::new(),
            operations_refused: false,
            applied: false,
            doubtful: false,
        }
    }

    /// Whether the scheduler has to take the whole call as not done.
    fn came_to_nothing(&self) -> bool {
        let refused = self.operations_refused || !self.refused.is_empty();
        self.doubtful || (refused && !self.applied)
    }
}

impl Office {
    pub(crate) fn part_done(
        &mut self,
        turn: &mut Turn<'_>,
        request: RequestId,
        note: impl FnOnce(&mut Ticket),
    ) {
        let Some(ticket) = self.tickets.get_mut(&request) else {
            return;
        };
        note(ticket);
        ticket.parts_left = ticket.parts_left.saturating_sub(1);
        if ticket.parts_left == 0
            && let Some(ticket) = self.tickets.remove(&request)
        {
            self.finish_ticket(turn, request, ticket);
        }
    }

    pub(crate) fn finish_ticket(
        &mut self,
        turn: &mut Turn<'_>,
        request: RequestId,
        ticket: Ticket,
    ) {
        if let Some(key) = &ticket.key {
            self.keyed.remove(key);
        }
        let answered = || std::iter::once(request).chain(ticket.also.iter().copied());
        if ticket.came_to_nothing() {
            return answered().for_each(|request| turn.unavailable(request));
        }
        answered().for_each(|request| turn.accepted(request));
        for status in ticket.rejected.into_iter().chain(ticket.refused) {
            self.count_end(status.state());
            self.send(turn, &ticket.framework, event::update(status));
        }
        for status in ticket.failed {
            self.send(turn, &ticket.framework, event::operation_status(status));
        }
    }
}
