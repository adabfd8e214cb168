//! One step from the inside: what is known at its moment, and where its effects go.

use std::sync::Arc;

use caprock_model::Millis;
use caprock_proto::caprock::session::{Order, from_master, order};
use caprock_proto::mesos::v1::scheduler;
use caprock_registry::Registry;

use crate::effect::{Effect, Effects, LogLevel, Reply};
use crate::input::{AgentSessionId, RequestId, SessionId, TimerKey};

/// The context that every part of a step gets.
pub(crate) struct Turn<'a> {
    /// The applied state. It may be ahead of the `Applied` inputs.
    pub registry: &'a Registry,
    pub now: Millis,
    pub out: &'a mut Effects,
}

impl Turn<'_> {
    pub fn reply(&mut self, request: RequestId, reply: Reply) {
        self.out.push(Effect::Reply { request, reply });
    }

    pub fn accepted(&mut self, request: RequestId) {
        self.reply(request, Reply::Accepted);
    }

    pub fn unavailable(&mut self, request: RequestId) {
        let text = "The registry did not take the change, try again".to_owned();
        self.reply(request, Reply::Unavailable(text));
    }

    pub fn event(&mut self, session: SessionId, event: Arc<scheduler::Event>) {
        self.out.push(Effect::Event { session, event });
    }

    pub fn close(&mut self, session: SessionId) {
        self.out.push(Effect::Close(session));
    }

    #[expect(clippy::wrong_self_convention, reason = "named after the effect")]
    pub fn to_agent(&mut self, session: AgentSessionId, message: from_master::Message) {
        self.out.push(Effect::ToAgent { session, message });
    }

    pub fn order(&mut self, session: AgentSessionId, order: order::Order) {
        self.to_agent(
            session,
            from_master::Message::Order(Order { order: Some(order) }),
        );
    }

    pub fn wake(&mut self, at: Millis, key: TimerKey) {
        self.out.push(Effect::Wake { at, key });
    }

    pub fn info(&mut self, text: String) {
        self.out.push(Effect::Log {
            level: LogLevel::Info,
            text,
        });
    }

    pub fn warn(&mut self, text: String) {
        self.out.push(Effect::Log {
            level: LogLevel::Warn,
            text,
        });
    }
}
