//! Is an agent alive? Pings, broken streams, and when patience ends (Mesos: SlaveObserver
//! in src/master/master.cpp).

use caprock_model::{AgentId, Millis, TaskId, format_duration};
use caprock_proto::caprock::registry::RecordedUpdate;
use caprock_proto::caprock::session::{Ping, Pong, from_master};
use caprock_proto::mesos::v1::{TaskState, task_status::Reason};

use crate::agents::Presence;
use crate::departure::Cause;
use crate::input::TimerKey;
use crate::office::Office;
use crate::status::MasterStatus;
use crate::turn::Turn;

/// The pings of one agent.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Pulse {
    sequence: u64,
    /// The last ping has not been answered.
    awaited: bool,
    misses: u32,
}

impl Pulse {
    /// Counts the last ping if it was missed, and starts the next.
    fn beat(&mut self) -> (u64, u32) {
        self.misses = if self.awaited { self.misses + 1 } else { 0 };
        self.awaited = true;
        self.sequence += 1;
        (self.sequence, self.misses)
    }

    /// Pings in a row that were not answered.
    pub fn misses(&self) -> u32 {
        self.misses
    }

    fn answer(&mut self, sequence: u64) {
        if sequence == self.sequence {
            self.awaited = false;
            self.misses = 0;
        }
    }
}

impl Office {
    pub(crate) fn pong(&mut self, agent: &AgentId, pong: &Pong) {
        if let Some(peer) = self.agents.peer_mut(agent) {
            peer.pulse.answer(pong.sequence);
        }
    }

    /// Pings everybody and counts who did not answer the last time. An agent whose stream
    /// broke misses every ping.
    pub(crate) fn ping_agents(&mut self, turn: &mut Turn<'_>) {
        let max_misses = self.config.max_agent_ping_timeouts.max(1);
        let mut lost = Vec::new();
        for (agent, peer) in self.agents.peers_mut() {
            if peer.departing || peer.presence == Presence::Recovered {
                continue;
            }
            let (sequence, misses) = peer.pulse.beat();
            if misses >= max_misses {
                lost.push(agent.clone());
            } else if let Presence::Attached(session) = peer.presence {
                let ping = Ping {
                    sequence,
                    attached: true,
                };
                turn.to_agent(session, from_master::Message::Ping(ping));
            }
        }
        for agent in lost {
            self.give_up_agent(turn, &agent, "health check timed out".to_owned());
        }
        self.look_for_mass_loss(turn);
        self.ask_to_attach(turn);
        let at = turn.now + self.config.agent_ping_timeout;
        turn.wake(at, TimerKey::PingAgents);
    }

    /// Streams without an attached agent: it has to attach (again).
    fn ask_to_attach(&mut self, turn: &mut Turn<'_>) {
        let idle: Vec<_> = self
            .agents
            .links()
            .filter(|(session, agent)| {
                let peer = agent.and_then(|agent| self.agents.peer(agent));
                let attaching = peer.is_some_and(|peer| peer.attaching == Some(*session));
                !attaching && self.agents.attached_on(*session).is_none()
            })
            .map(|(session, _)| session)
            .collect();
        for session in idle {
            let ping = Ping {
                sequence: 0,
                attached: false,
            };
            turn.to_agent(session, from_master::Message::Ping(ping));
        }
    }

    /// The two ends of patience with an agent whose stream broke.
    pub(crate) fn arm_disconnect_deadlines(&mut self, turn: &mut Turn<'_>, agent: &AgentId) {
        let key = || TimerKey::AgentDeadline(agent.to_string());
        turn.wake(turn.now + self.config.agent_disconnect_grace, key());
        turn.wake(turn.now + self.config.agent_reregister_timeout, key());
    }

    pub(crate) fn agent_deadline(&mut self, turn: &mut Turn<'_>, agent: &AgentId) {
        let Some(peer) = self.agents.peer(agent) else {
            return;
        };
        let timeout = self.config.agent_reregister_timeout;
        let away = |since: Millis| turn.now >= since + timeout;
        match peer.presence {
            Presence::Attached(_) => {}
            Presence::Recovered if away(self.elected_at) => {
                let text = format_duration(timeout);
                let cause = format!("agent did not reregister within {text} after master failover");
                self.give_up_agent(turn, agent, cause);
            }
            Presence::Disconnected { since, .. } if away(since) => {
                let text = format_duration(timeout);
                let cause = format!("agent did not reregister within {text} after disconnecting");
                self.give_up_agent(turn, agent, cause);
            }
            Presence::Disconnected {
                since,
                written_off: false,
            } => {
                if turn.now >= since + self.config.agent_disconnect_grace {
                    self.write_off(turn, agent, since);
                }
            }
            Presence::Recovered | Presence::Disconnected { .. } => {}
        }
    }

    /// Tasks of frameworks without checkpoints do not survive the agent's process: they are
    /// given up as soon as the stream breaks (Mesos: Master::_exited).
    fn write_off(&mut self, turn: &mut Turn<'_>, agent: &AgentId, since: Millis) {
        let presence = Presence::Disconnected {
            since,
            written_off: true,
        };
        self.agents.set_presence(agent, presence);
        let Some(known) = turn.registry.agent(agent) else {
            return;
        };
        let message = format!("Agent {} disconnected", known.info.hostname);
        for (framework_id, task_id) in &known.tasks {
            let Some(framework) = turn.registry.framework(framework_id) else {
                continue;
            };
            let Some(task) = framework.task(task_id) else {
                continue;
            };
            if framework.info.checkpoint() || caprock_model::task::is_terminal(task.latest_state) {
                continue;
            }
            let status = MasterStatus {
                task: &TaskId::clone(task_id),
                agent: Some(agent),
                executor: Some(&task.executor_id),
                state: TaskState::TaskLost,
                reason: Reason::AgentDisconnected,
                message: message.clone(),
            };
            let update = RecordedUpdate {
                framework_id: framework_id.to_string(),
                agent_id: agent.to_string(),
                status: Some(status.at(turn.now)),
                latest_state: TaskState::TaskLost as i32,
            };
            self.record_update(turn, update);
        }
        for (framework_id, executor_id) in known.executors.keys() {
            let framework = turn.registry.framework(framework_id);
            if framework.is_some_and(|framework| !framework.info.checkpoint()) {
                self.forget_executor(turn, framework_id, agent, executor_id, None);
            }
        }
    }

    pub(crate) fn mark_unreachable(&mut self, turn: &mut Turn<'_>, agent: &AgentId, cause: String) {
        turn.warn(format!("Agent {agent} is unreachable: {cause}"));
        self.propose_departure(turn, agent, Cause::Unreachable(cause), None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_unanswered_pings_in_a_row_count() {
        let mut pulse = Pulse::default();
        let (first, misses) = pulse.beat();
        assert_eq!(misses, 0);
        assert_eq!(pulse.beat().1, 1);
        // A late answer to an earlier ping is no answer to the last.
        pulse.answer(first);
        let (third, misses) = pulse.beat();
        assert_eq!(misses, 2);
        pulse.answer(third);
        assert_eq!(pulse.beat().1, 0);
    }
}
