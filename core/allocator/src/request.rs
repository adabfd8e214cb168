//! What a cycle is given: who wants offers, what is free, and the rules.

use std::collections::{BTreeMap, BTreeSet};

use caprock_model::{
    AgentCapabilities, AgentId, Capabilities, FrameworkId, Name, Quantities, Resource, Resources,
    Role, Scalar,
};

use crate::allocation::Reason;
use crate::policy::{Placement, Sorter};

/// A view of the cluster, as it is when the cycle runs.
#[derive(Debug)]
pub struct Request<'a> {
    /// The scalars of all agents, whether reserved, revocable or in use: what shares are of.
    pub total: &'a Quantities,
    /// The roles that want offers, and those that only count: with allocations or a weight.
    pub roles: &'a BTreeMap<Role, RoleDemand>,
    /// The agents that may be offered now.
    pub agents: &'a [AgentSupply],
    /// The rules.
    pub options: &'a Options,
}

/// A role, with what it has and who wants offers in it.
#[derive(Debug, Clone)]
pub struct RoleDemand {
    /// Divides the share when siblings are compared; 1 if nobody set it.
    pub weight: f64,
    /// Everything offered or allocated in this role, not in roles below it. It includes what
    /// suppressed, disconnected and recovered frameworks have.
    pub allocated: Quantities,
    /// How often something was granted in this role before: equal shares take turns by it.
    pub grants: u64,
    /// What counts against the role's quota: everything reserved to it, in use or not, and
    /// what is unreserved, not revocable and offered or allocated in it. As for `allocated`,
    /// roles below it count for themselves. It is not needed where no quota is set.
    pub charged: Quantities,
    /// Its quota. It has an effect on roles without a parent only.
    pub quota: Option<Quota>,
    /// The frameworks that want offers in this role: subscribed, connected, not suppressed.
    pub frameworks: BTreeMap<FrameworkId, FrameworkDemand>,
}

impl Default for RoleDemand {
    fn default() -> Self {
        Self {
            weight: 1.0,
            allocated: Quantities::new(),
            grants: 0,
            charged: Quantities::new(),
            quota: None,
            frameworks: BTreeMap::new(),
        }
    }
}

/// A framework that wants offers in one role.
#[derive(Debug, Clone, Default)]
pub struct FrameworkDemand {
    /// Everything offered or allocated to it in this role.
    pub allocated: Quantities,
    /// How often it was granted something in this role before.
    pub grants: u64,
    /// What it understands.
    pub capabilities: Capabilities,
    /// Its own minimum for this role, instead of [`Options::min_allocatable`].
    pub min_allocatable: Option<Vec<Quantities>>,
}

/// An agent, with what is free on it.
#[derive(Debug, Clone)]
pub struct AgentSupply {
    /// The agent.
    pub id: AgentId,
    /// What is neither offered nor allocated, in unallocated form. Shared volumes are always
    /// in it, once.
    pub available: Resources,
    /// Whether its total has `gpus`, free or not.
    pub has_gpus: bool,
    /// Whether it lies in another region than the master.
    pub is_remote: bool,
    /// What it understands.
    pub capabilities: AgentCapabilities,
}

impl AgentSupply {
    /// A local agent of this build without graphics processors.
    pub fn new(id: AgentId, available: Resources) -> Self {
        Self {
            id,
            available,
            has_gpus: false,
            is_remote: false,
            capabilities: AgentCapabilities::ALL,
        }
    }
}

/// What a cycle has to know of agents beyond those that it may offer. By default nothing:
/// then there are no other agents, and all agents are taken to be idle.
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    /// What is free, unreserved and not revocable on active agents that are not among
    /// [`Request::agents`]: guarantees may be met there.
    pub free_elsewhere: Quantities,
    /// What agents have in all, for [`Placement`].
    pub capacities: BTreeMap<AgentId, Quantities>,
}

/// What a role without a parent is to have at least, and at most.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Quota {
    /// So much is kept free for it; what is missing is not guaranteed.
    pub guarantees: Quantities,
    /// It is not offered more than this; what is missing has no limit, zero is nothing.
    pub limits: BTreeMap<Name, Scalar>,
}

/// The rules of all cycles, but for the seed.
#[derive(Debug, Clone)]
pub struct Options {
    /// An offer holds at least one of these (`--min_allocatable_resources`); empty means that
    /// anything is enough.
    pub min_allocatable: Vec<Quantities>,
    /// Whether agents with GPUs are kept for frameworks that ask for them
    /// (`--filter_gpu_resources`).
    pub filter_gpu_resources: bool,
    /// Names that do not count in shares (`--fair_sharing_excluded_resource_names`).
    pub excluded_from_shares: BTreeSet<String>,
    /// Who has the first turn among siblings in the tree of roles (`--role_sorter`).
    pub role_sorter: Sorter,
    /// Who has the first turn among the frameworks of a role (`--framework_sorter`).
    pub framework_sorter: Sorter,
    /// Which agents are offered first.
    pub placement: Placement,
    /// Whether a role's limits hold for each role below it, too. Mesos checks a role without
    /// a parent only, though what roles below it have counts against its quota.
    pub limits_hold_below: bool,
    /// Where the random order of agents begins. Another one for each cycle.
    pub seed: u64,
}

impl Default for Options {
    /// Mesos' defaults: 0.01 processors or 32 MB are enough for an offer.
    fn default() -> Self {
        let single = |name: &str, amount| Quantities::from_iter([(name.into(), amount)]);
        Self {
            min_allocatable: vec![
                single("cpus", Scalar(10)),
                single("mem", Scalar::from_units(32)),
            ],
            filter_gpu_resources: true,
            excluded_from_shares: BTreeSet::new(),
            role_sorter: Sorter::Drf,
            framework_sorter: Sorter::Drf,
            placement: Placement::Random,
            limits_hold_below: false,
            seed: 0,
        }
    }
}

/// What the caller knows against an offer: refusal filters and offer constraints.
pub trait Gate {
    /// Why this framework must not be offered these resources (in unallocated form) of this
    /// agent in this role; None if it may.
    fn blocks(
        &self,
        framework: &FrameworkId,
        role: &Role,
        agent: &AgentId,
        offered: &Resources,
    ) -> Option<Reason>;

    /// The cycle comes to this agent: what it asks next is about it, until it says so again.
    fn turn_to(&self, agent: &AgentId) {
        let _ = agent;
    }

    /// Whether the framework has a copy of this shared volume of the agent. Several copies
    /// count once in its share.
    fn holds(&self, framework: &FrameworkId, agent: &AgentId, volume: &Resource) -> bool {
        let _ = (framework, agent, volume);
        false
    }
}

/// The gate that lets everything pass.
#[derive(Debug, Clone, Copy, Default)]
pub struct OpenGate;

impl Gate for OpenGate {
    fn blocks(&self, _: &FrameworkId, _: &Role, _: &AgentId, _: &Resources) -> Option<Reason> {
        None
    }
}
