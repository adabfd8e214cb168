//! What the maintenance schedule means for the agents: those on machines that will go down
//! are offered with the time, those on machines that are down have to leave.

use std::collections::BTreeMap;
use std::sync::Arc;

use caprock_model::AgentId;
use caprock_proto::caprock::registry::remove_agent::Removal;
use caprock_proto::mesos::v1::Unavailability;
use caprock_proto::mesos::v1::maintenance::Schedule;
use caprock_registry::Agent;

use crate::departure::MACHINE_DOWN;
use crate::office::Office;
use crate::turn::Turn;

/// The windows of the agents as frameworks know them.
#[derive(Debug, Default)]
pub(crate) struct Windows {
    of_agent: BTreeMap<AgentId, Unavailability>,
    /// The schedule that they were read from.
    schedule: Option<Arc<Schedule>>,
    /// Machines went down: their agents are to be looked for.
    to_clear: bool,
}

impl Windows {
    pub fn of(&self, agent: &AgentId) -> Option<Unavailability> {
        self.of_agent.get(agent).copied()
    }

    pub fn iter(&self) -> impl Iterator<Item = (&AgentId, &Unavailability)> {
        self.of_agent.iter()
    }

    /// Has the agents on machines that are down looked for at the next occasion.
    pub fn clear_machines(&mut self) {
        self.to_clear = true;
    }

    pub fn forget(&mut self, agent: &AgentId) {
        self.of_agent.remove(agent);
    }
}

impl Office {
    /// Takes up what changed in the schedule since the last look.
    pub(crate) fn look_at_machines(&mut self, turn: &mut Turn<'_>) {
        let registry = turn.registry;
        let schedule = &registry.maintenance().schedule;
        let same = self
            .windows
            .schedule
            .as_ref()
            .is_some_and(|seen| Arc::ptr_eq(seen, schedule));
        if !same {
            self.windows.schedule = Some(Arc::clone(schedule));
            for agent in registry.agents() {
                self.look_at_window(turn, agent);
            }
        }
        if std::mem::take(&mut self.windows.to_clear) {
            for agent in registry.agents().filter(|agent| agent.is_reachable()) {
                self.clear_machine(turn, agent);
            }
        }
    }

    /// The agent is attached, or the schedule has changed: what was offered of it under
    /// another window, or under none, is void.
    pub(crate) fn look_at_window(&mut self, turn: &mut Turn<'_>, agent: &Agent) {
        let id = &agent.id;
        let window = turn.registry.maintenance().window_of(agent).copied();
        let window = window.filter(|_| agent.is_reachable());
        if window == self.windows.of(id) {
            return;
        }
        self.rescind_offers_on(turn, id);
        self.inverse.forget_agent(id);
        match window {
            Some(window) => {
                self.windows.of_agent.insert(id.clone(), window);
            }
            None => self.windows.forget(id),
        }
        self.mark_dirty(turn, id);
    }

    /// Removes the agent if its machine is down (Mesos: Master::Http::_startMaintenance).
    pub(crate) fn clear_machine(&mut self, turn: &mut Turn<'_>, agent: &Agent) {
        let maintenance = turn.registry.maintenance();
        if maintenance.forbids(&agent.info.hostname, &agent.address) {
            self.remove_agent(turn, &agent.id, Removal::Unregistered, MACHINE_DOWN);
        }
    }
}
