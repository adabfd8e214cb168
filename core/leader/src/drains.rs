//! Drains on their way: DRAINING until the agent has no task and no operation, then DRAINED,
//! then gone if that was wanted (Mesos: Master::checkAndTransitionDrainingAgent). The log has
//! all of it, so that the next leader goes on where this one stops.

use std::collections::BTreeSet;

use caprock_model::AgentId;
use caprock_proto::caprock::registry::{FinishDrain, entry::Command, remove_agent::Removal};
use caprock_proto::caprock::session;
use caprock_registry::{Agent, Drain, Registry};

use crate::agents::Presence;
use crate::departure::GONE;
use crate::office::Office;
use crate::propose::{Pending, Verdict};
use crate::turn::Turn;

/// Agents whose drain has something to wait for.
#[derive(Debug, Default)]
pub(crate) struct Drains {
    watched: BTreeSet<AgentId>,
    /// Their end is on its way through the log.
    finishing: BTreeSet<AgentId>,
}

impl Drains {
    pub fn recover(&mut self, registry: &Registry) {
        let draining = registry.agents().filter(|agent| agent.drain.is_some());
        self.watched = draining.map(|agent| agent.id.clone()).collect();
    }

    pub fn watch(&mut self, agent: &AgentId) {
        self.watched.insert(agent.clone());
    }
}

/// What the agent is told of its drain.
pub(crate) fn drain_order(drain: &Drain) -> session::Drain {
    session::Drain {
        config: Some(drain.config),
        started_ms: drain.started_at.0,
    }
}

impl Office {
    /// Looks whether a drain can go on; cheap if there is none.
    pub(crate) fn advance_drains(&mut self, turn: &mut Turn<'_>) {
        if self.drains.watched.is_empty() {
            return;
        }
        for id in self.drains.watched.clone() {
            let agent = turn.registry.agent(&id);
            match agent.and_then(|agent| Some((agent, agent.drain?))) {
                Some((_, drain)) if drain.finished && drain.marks_gone() => {
                    self.remove_agent(turn, &id, Removal::Gone, GONE);
                }
                Some((agent, drain)) if !drain.finished => self.finish_drain(turn, agent),
                Some(_) | None => {
                    self.drains.watched.remove(&id);
                }
            }
        }
    }

    /// An agent that is away may have something of which the log does not know.
    fn finish_drain(&mut self, turn: &mut Turn<'_>, agent: &Agent) {
        let id = &agent.id;
        let empty = agent.tasks.is_empty() && agent.operations.is_empty();
        let present = self.agents.peer(id).is_some_and(|peer| {
            let attached = matches!(peer.presence, Presence::Attached(_));
            attached && !peer.departing && peer.attaching.is_none()
        });
        if !empty || !present || !self.drains.finishing.insert(id.clone()) {
            return;
        }
        let command = Command::FinishDrain(FinishDrain {
            agent_id: id.to_string(),
        });
        self.propose(turn, command, Pending::FinishDrain(id.clone()));
    }

    /// Whether it was taken or not, the next look tells from the log.
    pub(crate) fn drain_finished(&mut self, turn: &mut Turn<'_>, id: &AgentId, verdict: &Verdict) {
        self.drains.finishing.remove(id);
        if matches!(verdict, Verdict::Applied(_)) {
            turn.info(format!("Agent {id} is drained"));
        }
    }
}
