//! The leader's brain: scheduler calls and agent messages in, log proposals, events and
//! orders out. It is synchronous and deterministic, owns no socket, disk or clock, and
//! never writes the registry: it proposes, and goes on when the proposal is applied.
//!
//! ```text
//!   Subscribe, Call ──►┌──────────────────────────────┐──► Propose ──► the log ─┐
//!   AgentMessage ─────►│ Leader::step(registry, now,  │──► Event, Reply, Close  │
//!   Timer ────────────►│              input, effects) │──► ToAgent, Wake        │
//!   Applied ──────────►└──────────────────────────────┘                         │
//!      ▲                      ▲ reads                                           │
//!      └──────────────── the registry ◄──────── applied on every member ◄───────┘
//! ```
//!
//! Reading order: [`Input`] and [`Effect`] are the contract with the shell. `office` is the
//! soft state; `call` has one file per scheduler call, `accept` the operations of an ACCEPT;
//! `propose` leads from `Applied` back to what a proposal was for. `attach`, `settle`,
//! `liveness` and `departure` are the life of an agent, `updates` that of a status update,
//! `allocate`, `offers` and `filters` that of an offer.

mod accept;
mod agents;
mod allocate;
mod attach;
mod call;
pub mod config;
mod departure;
mod drains;
mod effect;
mod elect;
mod event;
mod executors;
mod feedback;
mod filters;
mod input;
mod invariants;
mod inverse_offers;
mod liveness;
mod machines;
mod metrics;
mod offers;
mod office;
mod operator;
mod patience;
mod propose;
mod quota;
mod removal;
mod session;
mod settle;
mod status;
mod sweep;
mod turn;
mod updates;
mod view;

use std::sync::Arc;

use caprock_model::Millis;
use caprock_registry::Registry;

pub use config::Config;
pub use effect::{Effect, Effects, LogLevel, Reply};
pub use input::{
    AgentSessionId, Applied, Caller, Input, Now, ProposalFailure, ProposalId, ProposedEntry,
    RequestId, SessionId, Term, TimerKey,
};
pub use view::{LeaderView, Metrics};

use office::Office;
use turn::Turn;

/// The brain of a member: idle until it is elected.
#[derive(Debug)]
pub struct Leader {
    config: Arc<Config>,
    office: Option<Box<Office>>,
}

impl Leader {
    /// A member that does not lead.
    pub fn new(config: Config) -> Self {
        Self {
            config: Arc::new(config),
            office: None,
        }
    }

    /// Whether this member leads, as far as it knows.
    pub fn leads(&self) -> bool {
        self.office.is_some()
    }

    /// Takes one input and adds what has to be done to `out`, in order.
    pub fn step(&mut self, registry: &Registry, now: Millis, input: Input, out: &mut Effects) {
        let mut turn = Turn { registry, now, out };
        match input {
            Input::Elected { term, master } => {
                self.leave(&mut turn);
                let config = Arc::clone(&self.config);
                let mut office = Box::new(Office::new(config, term, now, master));
                office.elected(&mut turn);
                self.office = Some(office);
            }
            Input::Deposed => self.leave(&mut turn),
            input => match &mut self.office {
                Some(office) => office.step(&mut turn, input),
                None => refuse(&mut turn, &input),
            },
        }
    }

    fn leave(&mut self, turn: &mut Turn<'_>) {
        if let Some(mut office) = self.office.take() {
            office.abandon(turn);
        }
    }

    /// The soft state for readers.
    pub fn view(&self) -> LeaderView {
        self.office
            .as_ref()
            .map(|office| office.view())
            .unwrap_or_default()
    }

    /// Contradictions within the soft state, or between it and the registry. For tests.
    pub fn check_invariants(&self, registry: &Registry) -> Result<(), Vec<String>> {
        self.office
            .as_ref()
            .map_or(Ok(()), |office| office.check_invariants(registry))
    }
}

impl Office {
    fn step(&mut self, turn: &mut Turn<'_>, input: Input) {
        match input {
            Input::Elected { .. } | Input::Deposed => {}
            Input::Subscribe {
                request,
                caller,
                session,
                stream_id,
                framework_id,
                subscribe,
            } => {
                let stream = session::Session {
                    id: session,
                    stream_id,
                    key: caller.idempotency_key.clone(),
                    resumes: caller.resumes,
                };
                self.subscribe(turn, request, &caller, stream, framework_id, subscribe);
            }
            Input::Call {
                request,
                caller,
                call,
            } => self.call(turn, request, &caller, call),
            Input::SessionClosed(session) => self.session_closed(turn, session),
            Input::Operator {
                request,
                principal,
                call,
            } => self.operator(turn, request, principal, *call),
            Input::AgentConnected { session, hello } => {
                self.agent_connected(turn, session, &hello);
            }
            Input::AgentMessage { session, message } => self.agent_message(turn, session, message),
            Input::AgentDisconnected(session) => self.agent_disconnected(turn, session),
            Input::Applied { proposal, result } => self.applied(turn, proposal, result),
            Input::Timer(key) => self.timer(turn, key),
        }
    }

    fn timer(&mut self, turn: &mut Turn<'_>, key: TimerKey) {
        match key {
            TimerKey::Allocate => self.allocate_dirty(turn),
            TimerKey::AllocateAll => self.allocate_all(turn),
            TimerKey::Heartbeat(session) => self.heartbeat(turn, session),
            TimerKey::FrameworkDeadline(id) => self.framework_deadline(turn, &id.into()),
            TimerKey::OfferExpiry(id) => self.offer_expired(turn, &id.into()),
            TimerKey::PingAgents => self.ping_agents(turn),
            TimerKey::AgentDeadline(id) => self.agent_deadline(turn, &id.into()),
            TimerKey::GiveUpAgent => self.give_up_next(turn),
            TimerKey::FlushUpdates => self.flush_timer(turn),
            TimerKey::ExpireFilters => self.expire_filters(turn),
        }
    }
}

/// What a member answers that does not lead. Answers to its old proposals and timers of a
/// former leadership mean nothing.
fn refuse(turn: &mut Turn<'_>, input: &Input) {
    let unavailable = Reply::Unavailable("No leader elected".to_owned());
    match input {
        Input::Subscribe { request, .. }
        | Input::Call { request, .. }
        | Input::Operator { request, .. } => turn.reply(*request, unavailable),
        Input::Elected { .. }
        | Input::Deposed
        | Input::SessionClosed(_)
        | Input::AgentConnected { .. }
        | Input::AgentMessage { .. }
        | Input::AgentDisconnected(_)
        | Input::Applied { .. }
        | Input::Timer(_) => {}
    }
}
