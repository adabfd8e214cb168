//! Messages between schedulers and executors: best effort, both ways.

use bytes::Bytes;
use caprock_model::{ExecutorId, FrameworkId};
use caprock_proto::caprock::session::{self, from_agent};
use caprock_proto::mesos::v1::executor::{Event, event};

use crate::agent::Agent;
use crate::view::ExecutorState;

impl Agent {
    /// MESSAGE of an executor: lost unless the agent has a leader.
    pub(crate) fn message_of_executor(
        &mut self,
        framework: &FrameworkId,
        executor: &ExecutorId,
        data: Bytes,
    ) {
        let terminating = self
            .frameworks
            .get(framework)
            .is_none_or(|found| found.terminating);
        let message = session::ExecutorMessage {
            framework_id: framework.to_string(),
            executor_id: executor.to_string(),
            data,
        };
        let sent = !terminating && self.tell_leader(from_agent::Message::ExecutorMessage(message));
        self.count_message(sent);
    }

    /// MESSAGE of a scheduler: lost unless the executor runs and listens.
    pub(crate) fn message_of_framework(&mut self, order: session::FrameworkMessage) {
        let framework = FrameworkId::from(order.framework_id);
        let executor = ExecutorId::from(order.executor_id);
        let running = self
            .executor(&framework, &executor)
            .is_some_and(|found| found.state == ExecutorState::Running);
        let event = Event {
            r#type: Some(event::Type::Message as i32),
            message: Some(event::Message { data: order.data }),
            ..Event::default()
        };
        let sent = running && self.send_event(&framework, &executor, event);
        self.count_message(sent);
    }

    fn count_message(&mut self, valid: bool) {
        if valid {
            self.counters.valid_framework_messages += 1;
        } else {
            self.counters.invalid_framework_messages += 1;
        }
    }
}
