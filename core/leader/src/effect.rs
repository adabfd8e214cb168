//! What the leader asks of the shell. Effects of one step are carried out in order.

use std::sync::Arc;

use caprock_model::Millis;
use caprock_proto::caprock::{registry::Entry, session};
use caprock_proto::mesos::v1::scheduler;

use crate::input::{AgentSessionId, ProposalId, RequestId, SessionId, TimerKey};

/// The effects of one step.
pub type Effects = Vec<Effect>;

/// One effect.
#[derive(Debug, Clone)]
pub enum Effect {
    /// Put this entry into the log; the answer comes back as [`crate::Input::Applied`].
    /// Proposals are committed in the order in which they are made.
    Propose { proposal: ProposalId, entry: Entry },
    /// Answer a request. Each request is answered exactly once.
    Reply { request: RequestId, reply: Reply },
    /// Send an event on a scheduler's stream.
    Event {
        session: SessionId,
        event: Arc<scheduler::Event>,
    },
    /// End a scheduler's stream after what was sent before.
    Close(SessionId),
    /// Send a message to an agent; the shell adds the term.
    ToAgent {
        session: AgentSessionId,
        message: session::from_master::Message,
    },
    /// End an agent's stream after what was sent before.
    CloseAgent(AgentSessionId),
    /// Step again with [`crate::Input::Timer`] at this time. A later wake of the
    /// same key does not replace an earlier one.
    Wake { at: Millis, key: TimerKey },
    /// Something an operator wants to read in the log of the process.
    Log { level: LogLevel, text: String },
}

/// How loud a [`Effect::Log`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogLevel {
    Info,
    Warn,
}

/// The answer to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// 202 without body: taken, and durable where the call promises that.
    Accepted,
    /// 200 without body.
    Ok,
    /// 200 and the event stream of this session (answer to SUBSCRIBE only).
    Stream(SessionId),
    /// 400 with this text.
    BadRequest(String),
    /// 403 with this text.
    Forbidden(String),
    /// 404 with this text.
    NotFound(String),
    /// 409 with this text.
    Conflict(String),
    /// 501.
    NotImplemented,
    /// 503 with this text: not the leader, or the log does not take more now.
    Unavailable(String),
}
