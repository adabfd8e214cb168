//! The allocator that remembers: what a view would say again in each cycle is told to it once,
//! and then only what changes. The results are those of [`allocate_within`] on the whole view.
//!
//! [`allocate_within`]: crate::allocate_within

use std::collections::{BTreeMap, BTreeSet};

use caprock_model::{AgentId, FrameworkId, Quantities, Resources, Role};

use crate::allocation::{Grant, Tally};
use crate::book::Book;
use crate::cycle::{Candidate, Cycle};
use crate::from_scratch::add_charged;
use crate::request::{
    AgentSupply, FrameworkDemand, Gate, Options, Quota, Request, RoleDemand, Surroundings,
};

/// One active agent.
#[derive(Debug, Clone)]
struct Agent {
    supply: AgentSupply,
    capacity: Quantities,
}

/// Who wants offers, what is free, and the rules, kept from one cycle to the next. The grants
/// of a cycle are counted at once, as offered; all other changes are notices. What would
/// happen if something were different can be tried on a clone.
#[derive(Debug, Clone)]
pub struct Allocator {
    options: Options,
    total: Quantities,
    book: Book,
    agents: BTreeMap<AgentId, Agent>,
}

impl Allocator {
    /// An allocator of an empty cluster. The seed of the options is not used.
    pub fn new(options: Options) -> Self {
        Self {
            book: Book::new(&options),
            total: Quantities::new(),
            agents: BTreeMap::new(),
            options,
        }
    }

    /// An allocator of this cluster. What is free elsewhere has to be told by
    /// [`Allocator::set_agent`].
    pub fn load(request: &Request<'_>, surroundings: &Surroundings) -> Self {
        let mut allocator = Self::new(request.options.clone());
        allocator.set_total(request.total);
        for (role, demand) in request.roles {
            allocator.set_role(role, demand);
        }
        for supply in request.agents {
            let capacity = surroundings.capacities.get(&supply.id);
            allocator.set_agent(supply.clone(), capacity.cloned().unwrap_or_default());
        }
        allocator
    }

    /// The rules have changed.
    pub fn set_options(&mut self, options: Options) {
        self.book.tree.set_sorter(options.role_sorter);
        self.options = options;
        let excluded = &self.options.excluded_from_shares;
        self.book.dimensions.set_totals(&self.total, excluded);
    }

    /// The scalars of all agents have changed: see [`Request::total`].
    pub fn set_total(&mut self, total: &Quantities) {
        self.total.clone_from(total);
        let excluded = &self.options.excluded_from_shares;
        self.book.dimensions.set_totals(total, excluded);
    }

    /// An agent may be offered, or has changed. The capacity is what it has in all; only
    /// [`Placement`](crate::Placement) asks for it, and empty means that it is idle.
    pub fn set_agent(&mut self, supply: AgentSupply, capacity: Quantities) {
        self.count_free(&supply.available, 1);
        let id = supply.id.clone();
        let before = self.agents.insert(id, Agent { supply, capacity });
        if let Some(before) = before {
            self.count_free(&before.supply.available, -1);
        }
    }

    /// An agent may not be offered any more: it is gone, deactivated, or draining.
    pub fn remove_agent(&mut self, agent: &AgentId) {
        if let Some(before) = self.agents.remove(agent) {
            self.count_free(&before.supply.available, -1);
        }
    }

    /// What is free on an agent, as far as this allocator knows.
    pub fn available(&self, agent: &AgentId) -> Option<&Resources> {
        Some(&self.agents.get(agent)?.supply.available)
    }

    fn count_free(&mut self, resources: &Resources, sign: i64) {
        let mut free = Vec::new();
        add_charged(&mut self.book.dimensions, &mut free, resources);
        free.iter_mut().for_each(|amount| *amount *= sign);
        self.book.ledger.change_free(&free);
    }

    /// A role is new, or everything about it may have changed, frameworks included.
    pub fn set_role(&mut self, role: &Role, demand: &RoleDemand) {
        self.book.set_role(role, demand);
    }

    /// A role has no frameworks, no allocations, no weight and no quota any more.
    pub fn remove_role(&mut self, role: &Role) {
        self.book.remove_role(role);
    }

    /// The weight of a role has changed.
    pub fn set_weight(&mut self, role: &Role, weight: f64) {
        self.book.set_weight(role, weight);
    }

    /// The quota of a role has changed.
    pub fn set_quota(&mut self, role: &Role, quota: Option<&Quota>) {
        self.book.set_quota(role, quota);
    }

    /// What a role has is this, whatever was counted before: `allocated`, `grants` and
    /// `charged` of [`RoleDemand`].
    pub fn set_usage(
        &mut self,
        role: &Role,
        allocated: &Quantities,
        grants: u64,
        charged: &Quantities,
    ) {
        self.book.set_usage(role, allocated, grants, charged);
    }

    /// A framework wants offers in a role, or has changed.
    pub fn set_framework(
        &mut self,
        role: &Role,
        framework: &FrameworkId,
        demand: &FrameworkDemand,
    ) {
        self.book.set_framework(role, framework, demand);
    }

    /// A framework wants no offers in a role any more. What it has still counts for the role.
    pub fn remove_framework(&mut self, role: &Role, framework: &FrameworkId) {
        self.book.remove_framework(role, framework);
    }

    /// Resources that were offered or allocated are free again. Those of agents that are not
    /// known just leave the accounts of the role and the framework.
    pub fn release(
        &mut self,
        role: &Role,
        framework: &FrameworkId,
        agent: &AgentId,
        resources: &Resources,
    ) {
        self.book.record(role, framework, resources, false);
        let freed = resources.filter(|entry| !entry.is_shared()).unallocated();
        if let Some(known) = self.agents.get_mut(agent) {
            known.supply.available += &freed;
            self.count_free(&freed, 1);
        }
    }

    /// Resources have become allocated without having been granted.
    pub fn occupy(
        &mut self,
        role: &Role,
        framework: &FrameworkId,
        agent: &AgentId,
        resources: &Resources,
    ) {
        self.book.record(role, framework, resources, true);
        let taken = resources.filter(|entry| !entry.is_shared()).unallocated();
        if let Some(known) = self.agents.get_mut(agent) {
            let before = known.supply.available.clone();
            known.supply.available -= &taken;
            let after = known.supply.available.clone();
            self.count_free(&after, 1);
            self.count_free(&before, -1);
        }
    }

    /// Runs one cycle over some agents; those that are not known are left out.
    pub fn cycle<'i>(
        &mut self,
        seed: u64,
        agents: impl IntoIterator<Item = &'i AgentId>,
        gate: &dyn Gate,
    ) -> Vec<Grant> {
        let mut seen = BTreeSet::new();
        let known = agents.into_iter().filter(|id| seen.insert(*id));
        let known = known.filter_map(|id| self.agents.get(id));
        let candidates: Vec<_> = known.map(Agent::candidate).collect();
        let (grants, rest) = run(&mut self.book, &self.options, seed, gate, &candidates);
        let ids = candidates
            .iter()
            .map(|candidate| candidate.supply.id.clone());
        let changed: Vec<_> = ids.zip(rest).collect();
        for (id, rest) in changed {
            if let Some(agent) = self.agents.get_mut(&id) {
                agent.keep(rest);
            }
        }
        grants
    }

    /// Runs one cycle over all agents.
    pub fn cycle_all(&mut self, seed: u64, gate: &dyn Gate) -> Vec<Grant> {
        let candidates: Vec<_> = self.agents.values().map(Agent::candidate).collect();
        let (grants, rest) = run(&mut self.book, &self.options, seed, gate, &candidates);
        for (agent, rest) in self.agents.values_mut().zip(rest) {
            agent.keep(rest);
        }
        grants
    }

    /// How a framework's turns of the last cycle ended; None if it wants no offers in the role.
    pub fn tally(&self, role: &Role, framework: &FrameworkId) -> Option<Tally> {
        self.book.tally(role, framework)
    }

    /// How all turns of the last cycle ended.
    pub fn tallies(&self) -> BTreeMap<(Role, FrameworkId), Tally> {
        self.book.tallies()
    }
}

fn run(
    book: &mut Book,
    options: &Options,
    seed: u64,
    gate: &dyn Gate,
    candidates: &[Candidate<'_>],
) -> (Vec<Grant>, Vec<Resources>) {
    let outcome = Cycle::new(book, options, seed, gate, candidates).run();
    (outcome.grants, outcome.rest)
}

impl Agent {
    fn candidate(&self) -> Candidate<'_> {
        Candidate {
            supply: &self.supply,
            capacity: (!self.capacity.is_empty()).then_some(&self.capacity),
        }
    }

    /// Keeps what a cycle left of it. Shared volumes can be offered again.
    fn keep(&mut self, rest: Resources) {
        let available = &mut self.supply.available;
        if !available.iter().any(caprock_model::Resource::is_shared) {
            *available = rest;
        } else if *available != rest {
            *available = rest.non_shared() + &available.shared();
        }
    }
}
