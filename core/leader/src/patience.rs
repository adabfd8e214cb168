//! How fast agents are given up: not faster than `--agent-removal-rate-limit`, and not at all
//! while so many are missing that the fault is more likely here, or in the network, than
//! with each of them.

use std::collections::{BTreeSet, VecDeque};

use caprock_model::{AgentId, Millis};

use crate::agents::{Peer, Presence};
use crate::input::TimerKey;
use crate::metrics;
use crate::office::Office;
use crate::turn::Turn;

/// Agents that are to be given up.
#[derive(Debug, Default)]
pub(crate) struct Patience {
    /// With the text for the statuses, oldest first.
    queue: VecDeque<(AgentId, String)>,
    queued: BTreeSet<AgentId>,
    /// When the limit lets the next one go.
    next_at: Millis,
    /// How many agents were missing when too many were; none while it is not so.
    alarm: Option<usize>,
}

impl Patience {
    /// How many agents are missing, if it is so many that none is given up.
    pub fn alarm(&self) -> Option<usize> {
        self.alarm
    }
}

impl Office {
    /// The time of an agent is up: it becomes unreachable now, after others, or not yet.
    pub(crate) fn give_up_agent(&mut self, turn: &mut Turn<'_>, agent: &AgentId, cause: String) {
        let known = self.agents.peer(agent);
        if known.is_none_or(|peer| peer.departing) || self.patience.queued.contains(agent) {
            return;
        }
        self.look_for_mass_loss(turn);
        if self.patience.alarm.is_some() {
            // A ping, or this timer, finds it missing again.
            let at = turn.now + self.config.agent_ping_timeout;
            return turn.wake(at, TimerKey::AgentDeadline(agent.to_string()));
        }
        if self.config.agent_removal_rate_limit.is_none() {
            return self.mark_unreachable(turn, agent, cause);
        }
        self.metrics.count(metrics::UNREACHABLE_SCHEDULED);
        self.patience.queued.insert(agent.clone());
        self.patience.queue.push_back((agent.clone(), cause));
        if self.patience.queue.len() == 1 {
            let at = self.patience.next_at.max(turn.now);
            turn.wake(at, TimerKey::GiveUpAgent);
        }
    }

    /// The limit lets one agent go.
    pub(crate) fn give_up_next(&mut self, turn: &mut Turn<'_>) {
        let Some(limit) = self.config.agent_removal_rate_limit else {
            return;
        };
        if turn.now < self.patience.next_at {
            return turn.wake(self.patience.next_at, TimerKey::GiveUpAgent);
        }
        self.look_for_mass_loss(turn);
        if self.patience.alarm.is_some() {
            let at = turn.now + self.config.agent_ping_timeout;
            return turn.wake(at, TimerKey::GiveUpAgent);
        }
        while let Some((agent, cause)) = self.patience.queue.pop_front() {
            self.patience.queued.remove(&agent);
            let peer = self.agents.peer(&agent);
            if !peer.is_some_and(|peer| self.is_still_due(peer)) {
                turn.info(format!("Agent {agent} has come back in time"));
                self.metrics.count(metrics::UNREACHABLE_CANCELED);
                continue;
            }
            self.mark_unreachable(turn, &agent, cause);
            self.patience.next_at = turn.now + limit.interval();
            break;
        }
        if !self.patience.queue.is_empty() {
            turn.wake(self.patience.next_at, TimerKey::GiveUpAgent);
        }
    }

    /// Whether a queued agent has not been heard of since.
    fn is_still_due(&self, peer: &Peer) -> bool {
        let attached = matches!(peer.presence, Presence::Attached(_));
        let answers = peer.pulse.misses() < self.config.max_agent_ping_timeouts.max(1);
        !(peer.departing || attached && answers)
    }

    /// A stream that has just broken, or an agent that has just not attached yet, is nothing.
    fn is_missing(&self, now: Millis, peer: &Peer) -> bool {
        let tolerated = self.config.max_agent_ping_timeouts / 2;
        let away = |since: Millis| now >= since + self.config.agent_ping_timeout;
        match peer.presence {
            Presence::Attached(_) => peer.pulse.misses() > tolerated,
            Presence::Recovered => away(self.elected_at),
            Presence::Disconnected { since, .. } => away(since),
        }
    }

    /// Raises or ends the alarm.
    pub(crate) fn look_for_mass_loss(&mut self, turn: &mut Turn<'_>) {
        let staying = self.agents.peers().filter(|(_, peer)| !peer.departing);
        let (mut all, mut missing) = (0_usize, 0_usize);
        for (_, peer) in staying {
            all += 1;
            missing += usize::from(self.is_missing(turn.now, peer));
        }
        let limit = self.config.mass_loss_percent;
        let many = missing * 100 > all * limit && missing >= self.config.mass_loss_minimum;
        match (many, self.patience.alarm) {
            (true, None) => turn.warn(format!(
                "ALARM: {missing} of {all} agents are missing, more than {limit} %: none is \
                 marked unreachable until some are back or marked gone"
            )),
            (false, Some(_)) => {
                turn.info(format!(
                    "{missing} of {all} agents are missing: no alarm any more"
                ));
            }
            (true, Some(_)) | (false, None) => {}
        }
        self.patience.alarm = many.then_some(missing);
    }
}
