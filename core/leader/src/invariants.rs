//! What must always hold; checked by tests after every step.

use caprock_registry::Registry;

use crate::office::Office;

impl Office {
    /// Everything that contradicts itself or the registry.
    pub(crate) fn check_invariants(&self, registry: &Registry) -> Result<(), Vec<String>> {
        let mut found = self.sessions.contradictions();
        found.extend(self.offers.contradictions());
        found.extend(self.agents.contradictions());
        found.extend(self.check_offers());
        found.extend(self.check_resources(registry));
        if found.is_empty() { Ok(()) } else { Err(found) }
    }

    /// Offers are only made to connected frameworks, of agents that take orders.
    fn check_offers(&self) -> Vec<String> {
        let mut found = Vec::new();
        for (id, offer) in self.offers.iter() {
            if !self.sessions.is_connected(&offer.framework) {
                found.push(format!(
                    "offer {id} is for {}, which is away",
                    offer.framework
                ));
            }
            if self.agents.attached_session(&offer.agent).is_none() {
                found.push(format!(
                    "offer {id} is of agent {}, which is away",
                    offer.agent
                ));
            }
        }
        found
    }

    /// Nothing is offered twice, or while it is in use.
    fn check_resources(&self, registry: &Registry) -> Vec<String> {
        let mut found = Vec::new();
        for agent in registry.agents() {
            // What an agent reports may be more than it has; then nothing is left.
            let used = agent.used.unallocated();
            let mut left = &agent.total - &used;
            for offered in self.offers.offered_of(&agent.id) {
                let offered = offered.unallocated();
                if !left.contains(&offered) {
                    found.push(format!(
                        "agent {}: {offered} is offered, but only {left} of {} is left by tasks \
                         that use {used}, and by other offers",
                        agent.id, agent.total
                    ));
                }
                left -= &offered;
            }
        }
        found
    }
}
