//! What counts against quota: what is neither reserved nor revocable, where it is in use or
//! offered, and everything that is reserved.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use caprock_allocator::{AgentSupply, RoleDemand, Surroundings};
use caprock_model::role::is_strict_subrole;
use caprock_model::{AgentId, Quantities, Resource, Resources, Role};
use caprock_registry::{Quota, Registry};

use crate::office::Office;

/// Whether a role is this one or lies below it.
pub(crate) fn is_within(role: &Role, top: &Role) -> bool {
    role == top || is_strict_subrole(role, top)
}

/// What of these resources counts, apart from reservations.
pub(crate) fn charges(resources: &Resources) -> Quantities {
    let counts = resources
        .iter()
        .filter(|r| r.is_unreserved() && !r.is_revocable());
    let amount = |entry: &Resource| Some((entry.name().clone(), entry.scalar()?));
    counts.filter_map(amount).collect()
}

impl Office {
    /// Tells the allocator which weights and quotas roles have, and what they have had of
    /// their quotas.
    pub(crate) fn add_quotas(&self, registry: &Registry, roles: &mut BTreeMap<Role, RoleDemand>) {
        for (role, weight) in registry.weights() {
            roles.entry(role.clone()).or_default().weight = weight;
        }
        if registry.has_no_quota() {
            return;
        }
        for (role, quota) in registry.quotas() {
            let demand = roles.entry(role.clone()).or_default();
            demand.quota = Some(caprock_allocator::Quota {
                guarantees: quota.guarantees.clone(),
                limits: quota.limits.clone(),
            });
        }
        for (role, charged) in self.charged_by_role(registry) {
            roles.entry(role).or_default().charged += &charged;
        }
    }

    /// Reservations, use, offers and launches on their way. The registry may have a launch
    /// already that is still awaited here: it counts twice for a moment, which errs on the
    /// safe side.
    fn charged_by_role(&self, registry: &Registry) -> BTreeMap<Role, Quantities> {
        let mut charged = registry.reservations();
        for framework in registry.frameworks() {
            for (role, used) in &framework.charged {
                *charged.entry(role.clone()).or_default() += used;
            }
        }
        for (role, offered) in self.offers.charged() {
            *charged.entry(role.clone()).or_default() += offered;
        }
        for (role, held) in self.held_in_launches() {
            *charged.entry(role).or_default() += &held;
        }
        charged
    }

    /// What is free beside the agents of an allocation, as far as guarantees need it.
    pub(crate) fn surroundings(&self, registry: &Registry, agents: &[AgentSupply]) -> Surroundings {
        let mut surroundings = Surroundings::default();
        let guaranteed = |(_, quota): (_, &Arc<Quota>)| !quota.guarantees.is_empty();
        if !registry.quotas().any(guaranteed) {
            return surroundings;
        }
        let among: BTreeSet<&AgentId> = agents.iter().map(|agent| &agent.id).collect();
        let others = self.agents.connected().keys();
        for id in others.filter(|id| !among.contains(id) && self.agents.is_active(id)) {
            if let Some(agent) = registry.agent(id).filter(|agent| agent.may_be_offered()) {
                surroundings.free_elsewhere += &charges(&self.free_on(agent));
            }
        }
        surroundings
    }

    /// What counts against the quota of a role now: also what is offered, and what is held
    /// by launches on their way through the log.
    pub(crate) fn charged(&self, registry: &Registry, role: &Role) -> Quantities {
        let mut charged = Quantities::new();
        for (other, amounts) in self.charged_by_role(registry) {
            if is_within(&other, role) {
                charged += &amounts;
            }
        }
        charged
    }

    /// What launches on their way through the log hold of it, by role.
    fn held_in_launches(&self) -> Vec<(Role, Quantities)> {
        let holds = self
            .agents
            .peers()
            .flat_map(|(_, peer)| peer.holds.values());
        let by_role = holds.flat_map(Resources::allocations);
        by_role.map(|(role, held)| (role, charges(&held))).collect()
    }
}
