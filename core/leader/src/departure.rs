//! Agents that leave the cluster: unreachable, unregistered, replaced, or sent away.

use caprock_model::AgentId;
use caprock_model::task::{is_terminal, state_for};
use caprock_proto::caprock::registry::{
    MarkAgentUnreachable, RemoveAgent, entry::Command, remove_agent::Removal,
};
use caprock_proto::caprock::session::{Refused, from_master};
use caprock_proto::mesos::v1::{OperationState, TaskState, task_status::Reason};
use caprock_registry::{Outcome, Task};

use crate::effect::Reply;
use crate::event;
use crate::input::{RequestId, TimerKey};
use crate::metrics;
use crate::office::Office;
use crate::propose::{Pending, Verdict};
use crate::status::MasterStatus;
use crate::turn::Turn;

/// Why tasks are lost whose agent an operator gave up.
pub(crate) const GONE: &str = "Agent has been marked gone";
/// Why an agent has to leave whose machine went down.
pub(crate) const MACHINE_DOWN: &str = "Operator initiated 'Machine DOWN'";

/// Why an agent leaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Cause {
    /// It did not answer, or did not come back; with the text for the statuses.
    Unreachable(String),
    /// It said goodbye, another agent took its address, or an operator sent it away.
    Removed {
        removal: Removal,
        text: &'static str,
    },
}

impl Cause {
    fn command(&self, agent: &AgentId) -> Command {
        match self {
            Self::Unreachable(cause) => Command::MarkAgentUnreachable(MarkAgentUnreachable {
                agent_id: agent.to_string(),
                cause: cause.clone(),
            }),
            Self::Removed { removal, text } => Command::RemoveAgent(RemoveAgent {
                agent_id: agent.to_string(),
                removal: *removal as i32,
                cause: (*text).to_owned(),
            }),
        }
    }

    /// What the agent is told that has to kill all and exit; it would not by itself.
    fn shutdown(&self) -> Option<&'static str> {
        match self {
            Self::Removed { text, .. } if [GONE, MACHINE_DOWN].contains(text) => Some(text),
            Self::Removed { .. } | Self::Unreachable(_) => None,
        }
    }
}

/// A departure on its way through the log.
#[derive(Debug)]
pub(crate) struct PendingDeparture {
    pub agent: AgentId,
    pub hostname: String,
    pub cause: Cause,
    /// Whether frameworks still think that it is there.
    was_reachable: bool,
    /// The call that asked for it.
    pub request: Option<RequestId>,
}

impl PendingDeparture {
    pub fn new(turn: &Turn<'_>, agent: &AgentId, cause: Cause) -> Self {
        let known = turn.registry.agent(agent);
        let hostname = known.map(|known| known.info.hostname.clone());
        Self {
            agent: agent.clone(),
            hostname: hostname.unwrap_or_default(),
            cause,
            was_reachable: known.is_none_or(|known| known.is_reachable()),
            request: None,
        }
    }

    /// Of an agent that the log shows as unreachable, of which nobody was told.
    pub fn told_late(turn: &Turn<'_>, agent: &AgentId, cause: Cause) -> Self {
        Self {
            was_reachable: true,
            ..Self::new(turn, agent, cause)
        }
    }
}

fn is_present(turn: &Turn<'_>, agent: &AgentId) -> bool {
    turn.registry
        .agent(agent)
        .is_some_and(|agent| agent.is_reachable())
}

impl Office {
    /// The agent leaves in order; it has ended its tasks.
    pub(crate) fn unregister(&mut self, turn: &mut Turn<'_>, agent: &AgentId) {
        self.remove_agent(turn, agent, Removal::Unregistered, "the agent unregistered");
    }

    pub(crate) fn remove_agent(
        &mut self,
        turn: &mut Turn<'_>,
        agent: &AgentId,
        removal: Removal,
        text: &'static str,
    ) {
        if self.agents.peer(agent).is_some_and(|peer| peer.departing) {
            return;
        }
        turn.info(format!("Agent {agent} is removed: {text}"));
        self.propose_departure(turn, agent, Cause::Removed { removal, text }, None);
    }

    /// Proposes that an agent leaves, for a call or for a reason of the leader's own.
    pub(crate) fn propose_departure(
        &mut self,
        turn: &mut Turn<'_>,
        agent: &AgentId,
        cause: Cause,
        asked: Option<(RequestId, Option<String>)>,
    ) {
        let peer = self.agents.peer_or_new(agent);
        peer.departing = true;
        if let Some(known) = turn.registry.agent(agent) {
            peer.leaving_operations = known.operations.clone();
        }
        let command = cause.command(agent);
        let mut pending = PendingDeparture::new(turn, agent, cause);
        let (request, principal) = asked.unzip();
        pending.request = request;
        let principal = principal.flatten().unwrap_or_default();
        self.propose_for(turn, principal, command, Pending::Depart(pending));
    }

    pub(crate) fn departure_applied(
        &mut self,
        turn: &mut Turn<'_>,
        pending: &PendingDeparture,
        verdict: &Verdict,
    ) {
        self.reply_to_departure(turn, pending, verdict);
        match verdict {
            Verdict::Applied(outcome) => self.departed(turn, pending, outcome),
            // It has left already, by an entry whose answer was lost.
            Verdict::Rejected(_) if !is_present(turn, &pending.agent) => {
                self.departed_before(turn, pending);
            }
            Verdict::Rejected(rejection) => {
                let agent = &pending.agent;
                turn.warn(format!("Agent {agent} did not leave: {rejection}"));
                self.stays(turn, pending);
            }
            Verdict::Refused | Verdict::Unknown => {
                self.stays(turn, pending);
                self.retry_departure(turn, pending);
            }
        }
    }

    fn reply_to_departure(
        &self,
        turn: &mut Turn<'_>,
        pending: &PendingDeparture,
        verdict: &Verdict,
    ) {
        let Some(request) = pending.request else {
            return;
        };
        let removed = turn.registry.removed_agent(&pending.agent);
        let is_gone = removed.is_some_and(|removed| removed.removal == Removal::Gone);
        match verdict {
            Verdict::Applied(_) => turn.reply(request, Reply::Ok),
            Verdict::Rejected(_) if is_gone => turn.reply(request, Reply::Ok),
            Verdict::Rejected(rejection) => {
                turn.reply(request, Reply::NotFound(rejection.to_string()));
            }
            Verdict::Refused | Verdict::Unknown => turn.unavailable(request),
        }
    }

    fn retry_departure(&mut self, turn: &mut Turn<'_>, pending: &PendingDeparture) {
        match pending.cause {
            // The next ping, or this timer, finds it missing again.
            Cause::Unreachable(_) => {
                let key = TimerKey::AgentDeadline(pending.agent.to_string());
                turn.wake(turn.now + self.config.retry_delay, key);
            }
            // The next sweep finds it again on the machine, or drained.
            Cause::Removed { text, .. } if text == MACHINE_DOWN => self.windows.clear_machines(),
            // The operator has been told, or the next sweep finds it drained.
            Cause::Removed {
                removal: Removal::Gone,
                ..
            } => {}
            // It is the agent that wants to leave, and says so again after it attached.
            Cause::Removed { .. } => {
                if let Some(session) = self.agents.attached_session(&pending.agent) {
                    turn.out.push(crate::Effect::CloseAgent(session));
                }
            }
        }
    }

    fn stays(&mut self, turn: &mut Turn<'_>, pending: &PendingDeparture) {
        let agent = &pending.agent;
        let Some(peer) = self.agents.peer_mut(agent) else {
            return;
        };
        peer.departing = false;
        if let Some((session, attach)) = peer.deferred.take() {
            self.attach(turn, session, *attach);
        } else if !pending.was_reachable && peer.attaching.is_none() {
            // It was unreachable before, and is no peer.
            self.agents.remove(agent);
            return;
        }
        self.mark_dirty(turn, agent);
    }

    /// Tells everybody, in Mesos' order: updates, rescinds, FAILURE (Mesos:
    /// Master::__removeSlave).
    fn departed(&mut self, turn: &mut Turn<'_>, pending: &PendingDeparture, outcome: &Outcome) {
        let agent = &pending.agent;
        self.tell_fate_of_operations(turn, pending);
        if let Outcome::Ended { tasks } = outcome {
            for task in tasks {
                self.tell_departure(turn, pending, task);
            }
        }
        self.rescind_offers_on(turn, agent);
        if pending.was_reachable {
            self.send_to_all(turn, &event::agent_failure(agent));
            self.count_departure(&pending.cause);
        }
        let session = self.agents.attached_session(agent);
        if let (Some(session), Some(reason)) = (session, pending.cause.shutdown()) {
            let refused = Refused {
                reason: reason.to_owned(),
                shutdown: true,
            };
            turn.to_agent(session, from_master::Message::Refused(refused));
        }
        self.forget_departed(turn, agent);
    }

    fn tell_fate_of_operations(&mut self, turn: &mut Turn<'_>, pending: &PendingDeparture) {
        match &pending.cause {
            Cause::Unreachable(_) => {
                if let Some(known) = turn.registry.agent(&pending.agent) {
                    let state = OperationState::OperationUnreachable;
                    let text = "Agent was marked unreachable";
                    self.tell_operations(turn, known.operations.values(), state, text);
                }
            }
            Cause::Removed {
                removal: Removal::Gone,
                ..
            } => {
                if let Some(peer) = self.agents.peer(&pending.agent) {
                    let operations = peer.leaving_operations.clone();
                    let state = OperationState::OperationGoneByOperator;
                    let text = "Agent has been marked gone";
                    self.tell_operations(turn, operations.values(), state, text);
                }
            }
            Cause::Removed { .. } => {}
        }
    }

    fn count_departure(&mut self, cause: &Cause) {
        self.metrics.count(metrics::AGENT_REMOVALS);
        if matches!(cause, Cause::Unreachable(_)) {
            self.metrics.count(metrics::AGENTS_UNREACHABLE);
        }
        self.metrics.count(match cause {
            Cause::Unreachable(_) => metrics::REMOVALS_UNHEALTHY,
            Cause::Removed { removal, .. } => match removal {
                Removal::Replaced => metrics::REMOVALS_REGISTERED,
                Removal::Unregistered => metrics::REMOVALS_UNREGISTERED,
                Removal::Gone => metrics::REMOVALS_GONE,
            },
        });
    }

    /// The log shows a departure of which nobody was told.
    pub(crate) fn departed_before(&mut self, turn: &mut Turn<'_>, pending: &PendingDeparture) {
        let registry = turn.registry;
        let mut tasks = Vec::new();
        if let Some(agent) = registry.agent(&pending.agent) {
            for (framework, task) in &agent.tasks {
                let framework = registry.framework(framework);
                tasks.extend(
                    framework
                        .and_then(|known| known.unreachable_tasks.get(task))
                        .cloned(),
                );
            }
        }
        self.departed(turn, pending, &Outcome::Ended { tasks });
    }

    /// The agent is no part of the cluster for now; if it speaks it has to attach again.
    pub(crate) fn forget_departed(&mut self, turn: &mut Turn<'_>, agent: &AgentId) {
        self.rescind_offers_on(turn, agent);
        self.filters.forget_agent(agent);
        self.inverse.forget_agent(agent);
        self.windows.forget(agent);
        self.allocation.total_changed();
        let session = self.agents.attached_session(agent);
        let Some(peer) = self.agents.remove(agent) else {
            return;
        };
        if let Some((session, attach)) = peer.deferred {
            self.attach(turn, session, *attach);
        } else if let Some(session) = session {
            self.agents.close(session);
            turn.out.push(crate::Effect::CloseAgent(session));
        }
    }

    fn tell_departure(&mut self, turn: &mut Turn<'_>, pending: &PendingDeparture, task: &Task) {
        let Some(framework) = turn.registry.framework(&task.framework_id) else {
            return;
        };
        let (state, message) = match &pending.cause {
            Cause::Unreachable(cause) => (TaskState::TaskUnreachable, cause.clone()),
            Cause::Removed {
                removal: Removal::Gone,
                ..
            } => (TaskState::TaskGoneByOperator, GONE.to_owned()),
            Cause::Removed { text, .. } => (
                TaskState::TaskLost,
                format!("Agent {} removed: {text}", pending.hostname),
            ),
        };
        let state = state_for(framework.capabilities, state);
        // A framework that does not know GONE_BY_OPERATOR knows no operator either.
        let reason = match state {
            TaskState::TaskGoneByOperator => Reason::AgentRemovedByOperator,
            _ => Reason::AgentRemoved,
        };
        let mut status = MasterStatus {
            task: &task.id,
            agent: Some(&task.agent_id),
            executor: Some(&task.executor_id),
            state,
            reason,
            message,
        }
        .at(turn.now);
        if matches!(pending.cause, Cause::Unreachable(_)) {
            let known = turn.registry.agent(&pending.agent);
            let since = known
                .and_then(|agent| agent.unreachable_since())
                .unwrap_or(turn.now);
            status.unreachable_time = Some(since.to_proto());
        }
        if is_terminal(state) {
            self.count_end(state);
        }
        self.send(turn, &task.framework_id, event::update(status));
    }
}
