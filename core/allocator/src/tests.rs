//! A cluster in memory for the tests: grants are accounted for, so that cycles can follow one
//! another.

mod divisible;
mod explained;
mod incremental;
mod mesos;
mod orders;
mod properties;
mod published;
mod quota;
mod quota_properties;
mod shared;

use std::collections::{BTreeMap, BTreeSet};

use caprock_model::{
    AgentId, Capabilities, FrameworkId, Quantities, Resource, Resources, Role, Scalar,
};

use crate::{
    AgentSupply, Allocation, FrameworkDemand, Gate, Grant, OpenGate, Options, Quota, Reason,
    Request, RoleDemand, allocate,
};

#[derive(Clone, Default)]
struct World {
    total: Quantities,
    roles: BTreeMap<Role, RoleDemand>,
    agents: Vec<AgentSupply>,
    options: Options,
    refused: BTreeSet<(FrameworkId, AgentId)>,
}

impl Gate for BTreeSet<(FrameworkId, AgentId)> {
    fn blocks(
        &self,
        framework: &FrameworkId,
        _: &Role,
        agent: &AgentId,
        _: &Resources,
    ) -> Option<Reason> {
        self.contains(&(framework.clone(), agent.clone()))
            .then_some(Reason::Filtered)
    }
}

impl World {
    /// So many agents with these resources, and frameworks as `role/framework` in each role.
    fn new(agents: usize, resources: &str, frameworks: &[(&str, &str)]) -> Self {
        let mut world = Self::default();
        for _ in 0..agents {
            world.agent(resources);
        }
        for (role, framework) in frameworks {
            world.framework(role, framework);
        }
        world
    }

    fn agent(&mut self, resources: &str) -> &mut AgentSupply {
        let available = Resources::parse(resources, "*").unwrap();
        self.total += &available.quantities();
        let id = AgentId::from(format!("S{}", self.agents.len()));
        self.agents.push(AgentSupply::new(id, available));
        self.agents.last_mut().unwrap()
    }

    fn framework(&mut self, role: &str, framework: &str) -> &mut FrameworkDemand {
        let demand = self.roles.entry(role.into()).or_default();
        demand.frameworks.entry(framework.into()).or_default()
    }

    fn weight(&mut self, role: &str, weight: f64) {
        self.roles.entry(role.into()).or_default().weight = weight;
    }

    /// Sets a quota, as texts; limits count where they are given.
    fn quota(&mut self, role: &str, guarantees: &str, limits: &[(&str, i64)]) {
        let limits = limits
            .iter()
            .map(|(name, units)| ((*name).into(), Scalar::from_units(*units)));
        let quota = Quota {
            guarantees: Quantities::parse(guarantees).unwrap(),
            limits: limits.collect(),
        };
        self.roles.entry(role.into()).or_default().quota = Some(quota);
    }

    /// Counts all reservations of the agents for the quota of their roles.
    fn charge_reservations(&mut self) {
        for agent in &self.agents {
            for (role, reserved) in agent.available.reservations() {
                let demand = self.roles.entry(role).or_default();
                demand.charged += &reserved.quantities();
            }
        }
    }

    fn request(&self) -> Request<'_> {
        Request {
            total: &self.total,
            roles: &self.roles,
            agents: &self.agents,
            options: &self.options,
        }
    }

    /// Counts the grants of a cycle as offered.
    fn count(&mut self, grants: &[Grant]) {
        for grant in grants {
            let of_agent = |agent: &AgentSupply| agent.id == grant.agent;
            let agent = self.agents.iter().position(of_agent).unwrap();
            let taken = grant.resources.unallocated();
            self.allocate(&grant.role, &grant.framework, agent, &taken);
        }
    }

    fn run(&self) -> Allocation {
        self.run_with(&OpenGate)
    }

    fn run_with(&self, gate: &dyn Gate) -> Allocation {
        allocate(&self.request(), gate)
    }

    /// How many agents each role was granted, over several seeds which must agree.
    fn agents_by_role(&mut self) -> BTreeMap<String, usize> {
        let mut results = (0..20).map(|seed| {
            self.options.seed = seed;
            let mut by_role = BTreeMap::new();
            for grant in self.run().grants {
                *by_role.entry(grant.role.to_string()).or_insert(0) += 1;
            }
            by_role
        });
        let first = results.next().unwrap();
        assert!(
            results.all(|other| other == first),
            "the seed must not matter here"
        );
        first
    }

    /// Gives a framework something for good.
    fn allocate(&mut self, role: &str, framework: &str, agent: usize, taken: &Resources) {
        let supply = &mut self.agents[agent];
        let shared = supply.available.shared();
        supply.available = supply.available.checked_sub(taken).unwrap().non_shared() + &shared;
        let demand = self.roles.get_mut(role).unwrap();
        demand.allocated += &taken.quantities();
        demand.charged += &charged(taken);
        demand.grants += 1;
        let demand = demand.frameworks.get_mut(framework).unwrap();
        demand.allocated += &taken.quantities();
        demand.grants += 1;
    }
}

/// What of some resources counts for quota when it is offered.
fn charged(resources: &Resources) -> Quantities {
    let plain = |entry: &Resource| entry.is_unreserved() && !entry.is_revocable();
    resources.filter(plain).quantities()
}

fn everything() -> Capabilities {
    Capabilities {
        multi_role: true,
        reservation_refinement: true,
        partition_aware: true,
        task_killing_state: true,
        gpu_resources: true,
        shared_resources: true,
        revocable_resources: true,
        region_aware: true,
    }
}
