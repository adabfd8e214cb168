//! Agents that leave the cluster: unreachable, unregistered, or replaced.

use caprock_model::AgentId;
use caprock_model::task::{is_terminal, state_for};
use caprock_proto::caprock::registry::{RemoveAgent, entry::Command, remove_agent::Removal};
use caprock_proto::mesos::v1::{TaskState, task_status::Reason};
use caprock_registry::{Outcome, Task};

use crate::event;
use crate::input::TimerKey;
use crate::metrics;
use crate::office::Office;
use crate::propose::{Pending, Verdict};
use crate::status::MasterStatus;
use crate::turn::Turn;

/// Why an agent leaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Cause {
    /// It did not answer, or did not come back; with the text for the statuses.
    Unreachable(String),
    /// It said goodbye, or another agent took its address.
    Removed {
        removal: Removal,
        text: &'static str,
    },
}

/// A departure on its way through the log.
#[derive(Debug)]
pub(crate) struct PendingDeparture {
    pub agent: AgentId,
    pub hostname: String,
    pub cause: Cause,
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
        let peer = self.agents.peer_or_new(agent);
        if peer.departing {
            return;
        }
        peer.departing = true;
        turn.info(format!("Agent {agent} is removed: {text}"));
        let command = RemoveAgent {
            agent_id: agent.to_string(),
            removal: removal as i32,
            cause: text.to_owned(),
        };
        let hostname = turn
            .registry
            .agent(agent)
            .map(|agent| agent.info.hostname.clone());
        let pending = PendingDeparture {
            agent: agent.clone(),
            hostname: hostname.unwrap_or_default(),
            cause: Cause::Removed { removal, text },
        };
        self.propose(
            turn,
            Command::RemoveAgent(command),
            Pending::Depart(pending),
        );
    }

    pub(crate) fn departure_applied(
        &mut self,
        turn: &mut Turn<'_>,
        pending: PendingDeparture,
        verdict: &Verdict,
    ) {
        match verdict {
            Verdict::Applied(outcome) => self.departed(turn, &pending, outcome),
            // It has left already, by an entry whose answer was lost.
            Verdict::Rejected(_) if !is_present(turn, &pending.agent) => {
                self.departed_before(turn, &pending);
            }
            Verdict::Rejected(rejection) => {
                let agent = &pending.agent;
                turn.warn(format!("Agent {agent} did not leave: {rejection}"));
                self.stays(turn, agent);
            }
            Verdict::Refused | Verdict::Unknown => {
                self.stays(turn, &pending.agent);
                self.retry_departure(turn, pending);
            }
        }
    }

    fn retry_departure(&mut self, turn: &mut Turn<'_>, pending: PendingDeparture) {
        match pending.cause {
            // The next ping, or this timer, finds it missing again.
            Cause::Unreachable(_) => {
                let key = TimerKey::AgentDeadline(pending.agent.to_string());
                turn.wake(turn.now + self.config.retry_delay, key);
            }
            // It is the agent that wants to leave, and says so again after it attached.
            Cause::Removed { .. } => {
                if let Some(session) = self.agents.attached_session(&pending.agent) {
                    turn.out.push(crate::Effect::CloseAgent(session));
                }
            }
        }
    }

    fn stays(&mut self, turn: &mut Turn<'_>, agent: &AgentId) {
        let Some(peer) = self.agents.peer_mut(agent) else {
            return;
        };
        peer.departing = false;
        if let Some((session, attach)) = peer.deferred.take() {
            self.attach(turn, session, *attach);
        }
        self.mark_dirty(turn, agent);
    }

    /// Tells everybody, in Mesos' order: updates, rescinds, FAILURE (Mesos:
    /// Master::__removeSlave).
    fn departed(&mut self, turn: &mut Turn<'_>, pending: &PendingDeparture, outcome: &Outcome) {
        let agent = &pending.agent;
        if let Outcome::Ended { tasks } = outcome {
            for task in tasks {
                self.tell_departure(turn, pending, task);
            }
        }
        self.rescind_offers_on(turn, agent);
        self.send_to_all(turn, &event::agent_failure(agent));
        self.metrics.count(match pending.cause {
            Cause::Unreachable(_) => metrics::AGENTS_UNREACHABLE,
            Cause::Removed { .. } => metrics::AGENT_REMOVALS,
        });
        self.forget_departed(turn, agent);
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
            Cause::Removed { text, .. } => (
                TaskState::TaskLost,
                format!("Agent {} removed: {text}", pending.hostname),
            ),
        };
        let state = state_for(framework.capabilities, state);
        let mut status = MasterStatus {
            task: &task.id,
            agent: Some(&task.agent_id),
            executor: Some(&task.executor_id),
            state,
            reason: Reason::AgentRemoved,
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
