//! The agents that were removed: a gone one may never come back, the others are unknown.

use caprock_model::{AgentId, Millis};
use caprock_proto::caprock::registry::RemovedAgentRecord;
use caprock_proto::caprock::registry::remove_agent::Removal;

use crate::Map;

/// What is left of an agent that was removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RemovedAgent {
    pub removal: Removal,
    pub at: Millis,
}

/// The removed agents, of which only the newest are remembered.
#[derive(Clone, Debug)]
pub(crate) struct RemovedAgents {
    /// With the number of the removal.
    by_id: Map<AgentId, (u64, RemovedAgent)>,
    order: Map<u64, AgentId>,
    next: u64,
}

impl RemovedAgents {
    pub fn new() -> Self {
        Self {
            by_id: Map::new_sync(),
            order: Map::new_sync(),
            next: 0,
        }
    }

    pub fn get(&self, id: &AgentId) -> Option<&RemovedAgent> {
        self.by_id.get(id).map(|(_, removed)| removed)
    }

    /// In the order of their removal.
    pub fn iter(&self) -> impl Iterator<Item = (&AgentId, &RemovedAgent)> {
        self.order
            .values()
            .filter_map(|id| Some((id, self.get(id)?)))
    }

    /// Remembers an agent as the newest, and forgets the oldest ones beyond `max`.
    pub fn insert(&mut self, id: AgentId, removed: RemovedAgent, max: usize) {
        self.remove(&id);
        self.by_id.insert_mut(id.clone(), (self.next, removed));
        self.order.insert_mut(self.next, id);
        self.next += 1;
        while self.order.size() > max {
            let Some(oldest) = self.order.first().map(|(_, id)| id.clone()) else {
                break;
            };
            self.remove(&oldest);
        }
    }

    /// Forgets an agent.
    pub fn remove(&mut self, id: &AgentId) {
        if let Some((number, _)) = self.by_id.get(id).copied() {
            self.by_id.remove_mut(id);
            self.order.remove_mut(&number);
        }
    }

    /// What is wrong with the two maps, if anything.
    pub fn check(&self, max: usize) -> Option<String> {
        let matching = |(number, id): (&u64, &AgentId)| {
            *number < self.next && self.by_id.get(id).is_some_and(|(other, _)| other == number)
        };
        let sound = self.order.iter().all(matching)
            && self.order.size() == self.by_id.size()
            && self.order.size() <= max;
        (!sound).then(|| "removed agents: index and order do not fit together".to_owned())
    }
}

/// The record of a removed agent.
pub(crate) fn to_record(id: &AgentId, removed: &RemovedAgent) -> RemovedAgentRecord {
    RemovedAgentRecord {
        agent_id: id.to_string(),
        removal: removed.removal.into(),
        removed_ms: removed.at.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_is_forgotten_and_a_second_removal_makes_an_agent_the_newest() {
        let gone = RemovedAgent {
            removal: Removal::Gone,
            at: Millis(1),
        };
        let mut removed = RemovedAgents::new();
        for id in ["a", "b", "a", "c"] {
            removed.insert(AgentId::from(id), gone, 2);
        }
        let ids: Vec<_> = removed.iter().map(|(id, _)| id.as_str()).collect();
        assert_eq!(ids, ["a", "c"]);
        assert_eq!(removed.get(&AgentId::from("b")), None);
        removed.remove(&AgentId::from("a"));
        assert_eq!(removed.iter().count(), 1);
        assert_eq!(removed.check(2), None);
    }
}
