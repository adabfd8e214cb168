//! When the allocator runs, on what, and how its grants become offers.
//!
//! Mesos waits for the next interval when a task ends or an offer is declined; here each
//! event that frees resources or adds demand asks for a run a moment later, so that bursts
//! share one run. The interval remains as a floor.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use caprock_allocator::{
    AgentSupply, FrameworkDemand, Gate, Grant, Options, Reason, Request, RoleDemand,
};
use caprock_model::capabilities::region_of;
use caprock_model::{
    AgentId, AgentTraits, DurationMs, FrameworkId, Millis, OfferConstraints, Quantities, Resources,
    Role,
};
use caprock_proto::mesos::v1::{Offer, scheduler};
use caprock_registry::{Agent, Framework, Registry};

use crate::event;
use crate::filters::Filters;
use crate::input::{Term, TimerKey};
use crate::metrics;
use crate::office::Office;
use crate::turn::Turn;

/// What the next run has to look at.
#[derive(Debug)]
pub(crate) struct Allocation {
    dirty: BTreeSet<AgentId>,
    /// Demand has changed: all agents.
    everything: bool,
    wake_at: Option<Millis>,
    /// Sum over all agents; none when it has to be computed anew.
    total: Option<Quantities>,
    /// Compiled offer constraints, with what they were compiled from.
    constraints: BTreeMap<FrameworkId, (Arc<scheduler::OfferConstraints>, OfferConstraints)>,
    /// How often roles, and frameworks in them, were granted something.
    grants: BTreeMap<Role, Grants>,
    /// Seed of the next run's order of agents.
    seed: u64,
}

/// Grants of one role since the election.
#[derive(Debug, Default)]
struct Grants {
    total: u64,
    by_framework: BTreeMap<FrameworkId, u64>,
}

impl Allocation {
    pub fn new(term: Term) -> Self {
        Self {
            dirty: BTreeSet::new(),
            everything: false,
            wake_at: None,
            total: None,
            constraints: BTreeMap::new(),
            grants: BTreeMap::new(),
            seed: term,
        }
    }

    fn grants_of(&self, role: &Role, framework: &FrameworkId) -> u64 {
        let grants = self
            .grants
            .get(role)
            .and_then(|role| role.by_framework.get(framework));
        grants.copied().unwrap_or_default()
    }

    fn count_grant(&mut self, role: &Role, framework: &FrameworkId) {
        let grants = self.grants.entry(role.clone()).or_default();
        grants.total += 1;
        *grants.by_framework.entry(framework.clone()).or_default() += 1;
    }

    /// Forgets a framework that was removed.
    pub fn forget_framework(&mut self, framework: &FrameworkId) {
        self.constraints.remove(framework);
        for grants in self.grants.values_mut() {
            grants.by_framework.remove(framework);
        }
    }

    /// Agents came, went, or changed.
    pub fn total_changed(&mut self) {
        self.total = None;
    }

    fn total(&mut self, registry: &Registry) -> &Quantities {
        self.total.get_or_insert_with(|| {
            let mut total = Quantities::new();
            for agent in registry.agents().filter(|agent| agent.is_reachable()) {
                total += &agent.total.quantities();
            }
            total
        })
    }

    /// Compiles the constraints of a framework, unless that was done.
    fn compile(&mut self, framework: &Framework) {
        let Some(constraints) = &framework.constraints else {
            self.constraints.remove(&framework.id);
            return;
        };
        let compiled = self.constraints.get(&framework.id);
        if compiled.is_some_and(|(source, _)| Arc::ptr_eq(source, constraints)) {
            return;
        }
        // They were checked when they were taken; what cannot be read excludes nothing.
        let parsed = OfferConstraints::parse(constraints).unwrap_or_default();
        self.constraints
            .insert(framework.id.clone(), (Arc::clone(constraints), parsed));
    }
}

impl Office {
    /// Something of this agent may be free.
    pub(crate) fn mark_dirty(&mut self, turn: &mut Turn<'_>, agent: &AgentId) {
        self.allocation.dirty.insert(agent.clone());
        self.ask_for_run(turn, self.config.batch_delay);
    }

    /// A framework gave back what it was offered: there is no hurry to offer that again,
    /// and without a pause a framework that declines everything would keep the leader busy.
    pub(crate) fn mark_returned(&mut self, turn: &mut Turn<'_>, agent: &AgentId) {
        self.allocation.dirty.insert(agent.clone());
        self.ask_for_run(turn, self.config.return_delay);
    }

    /// Some framework wants more than before.
    pub(crate) fn request_allocation(&mut self, turn: &mut Turn<'_>) {
        self.allocation.everything = true;
        self.ask_for_run(turn, self.config.batch_delay);
    }

    fn ask_for_run(&mut self, turn: &mut Turn<'_>, delay: DurationMs) {
        let at = turn.now + delay;
        if self.allocation.wake_at.is_none_or(|other| at < other) {
            self.allocation.wake_at = Some(at);
            turn.wake(at, TimerKey::Allocate);
        }
    }

    pub(crate) fn allocate_dirty(&mut self, turn: &mut Turn<'_>) {
        self.allocation.wake_at = None;
        self.allocate(turn);
    }

    /// The allocation interval: a run over everything, and what else is due now and then.
    pub(crate) fn allocate_all(&mut self, turn: &mut Turn<'_>) {
        self.sweep(turn);
        self.allocation.everything = true;
        self.allocate(turn);
        let at = turn.now + self.config.allocation_interval;
        turn.wake(at, TimerKey::AllocateAll);
    }

    fn allocate(&mut self, turn: &mut Turn<'_>) {
        let dirty = std::mem::take(&mut self.allocation.dirty);
        let everything = std::mem::take(&mut self.allocation.everything);
        let roles = self.demand(turn.registry);
        if roles.is_empty() {
            return;
        }
        let agents = if everything {
            self.supply(turn.registry, self.agents.connected().keys())
        } else {
            self.supply(turn.registry, dirty.iter())
        };
        if agents.is_empty() {
            return;
        }
        self.metrics.count(metrics::ALLOCATION_RUNS);
        let options = self.options();
        let total = self.allocation.total(turn.registry).clone();
        let gate = Restrictions {
            filters: &self.filters,
            constraints: &self.allocation.constraints,
            registry: turn.registry,
            now: turn.now,
        };
        let request = Request {
            total: &total,
            roles: &roles,
            agents: &agents,
            options: &options,
        };
        let surroundings = self.surroundings(turn.registry, &agents);
        let grants = caprock_allocator::allocate_within(&request, &surroundings, &gate).grants;
        self.offer(turn, grants);
    }

    fn options(&mut self) -> Options {
        self.allocation.seed = self.allocation.seed.wrapping_add(1);
        Options {
            min_allocatable: self.config.min_allocatable_resources.clone(),
            filter_gpu_resources: self.config.filter_gpu_resources,
            role_sorter: self.config.role_sorter,
            framework_sorter: self.config.framework_sorter,
            seed: self.allocation.seed,
            ..Options::default()
        }
    }

    /// Who wants offers: connected frameworks, in the roles that they have not suppressed.
    /// The shares of roles count what all frameworks have.
    fn demand(&mut self, registry: &Registry) -> BTreeMap<Role, RoleDemand> {
        let mut roles: BTreeMap<Role, RoleDemand> = BTreeMap::new();
        let mut wanted = false;
        for framework in registry.frameworks() {
            let id = &framework.id;
            for (role, used) in &framework.used {
                roles.entry(role.clone()).or_default().allocated += used;
            }
            if !framework.subscribed || !self.sessions.is_connected(id) {
                continue;
            }
            self.allocation.compile(framework);
            for role in framework.roles.difference(&framework.suppressed) {
                wanted = true;
                let demand = FrameworkDemand {
                    allocated: self.offers.allocated(framework, role),
                    grants: self.allocation.grants_of(role, id),
                    capabilities: framework.capabilities,
                    min_allocatable: min_allocatable(framework, role),
                };
                let entry = roles.entry(role.clone()).or_default();
                entry.frameworks.insert(id.clone(), demand);
            }
        }
        if !wanted {
            return BTreeMap::new();
        }
        for (role, offered) in self.offers.roles() {
            roles.entry(role.clone()).or_default().allocated += offered;
        }
        for (role, demand) in &mut roles {
            demand.grants = self
                .allocation
                .grants
                .get(role)
                .map_or(0, |grants| grants.total);
        }
        self.add_quotas(registry, &mut roles);
        roles
    }

    fn supply<'a>(
        &self,
        registry: &Registry,
        agents: impl Iterator<Item = &'a AgentId>,
    ) -> Vec<AgentSupply> {
        let mut supply = Vec::new();
        for id in agents.filter(|id| self.agents.is_active(id)) {
            let Some(agent) = registry.agent(id).filter(|agent| agent.may_be_offered()) else {
                continue;
            };
            let available = self.free_on(agent);
            if !available.is_empty() {
                supply.push(AgentSupply {
                    id: id.clone(),
                    available,
                    has_gpus: !agent.total.gpus().is_zero(),
                    is_remote: self.is_remote(agent),
                    capabilities: agent.capabilities,
                });
            }
        }
        supply
    }

    /// Agents are remote if both they and the master say where they are, and it differs.
    fn is_remote(&self, agent: &Agent) -> bool {
        let here = self
            .master
            .domain
            .as_ref()
            .and_then(|domain| domain.fault_domain.as_ref());
        match (here, region_of(&agent.info)) {
            (Some(here), Some(there)) => here.region.name != there,
            _ => false,
        }
    }

    /// Turns grants into offers: one OFFERS event per framework.
    fn offer(&mut self, turn: &mut Turn<'_>, grants: Vec<Grant>) {
        let registry = turn.registry;
        let mut events: BTreeMap<FrameworkId, Vec<Offer>> = BTreeMap::new();
        for Grant {
            framework,
            role,
            agent,
            resources,
        } in grants
        {
            let (Some(framework), Some(agent)) =
                (registry.framework(&framework), registry.agent(&agent))
            else {
                continue;
            };
            self.allocation.count_grant(&role, &framework.id);
            let offer = self.make_offer(turn, framework, agent, role, resources);
            events.entry(framework.id.clone()).or_default().push(offer);
        }
        for (framework, offers) in events {
            self.send(turn, &framework, event::offers(offers));
        }
    }
}

/// A framework's own idea of what is worth an offer in a role.
fn min_allocatable(framework: &Framework, role: &Role) -> Option<Vec<Quantities>> {
    let filters = framework.info.offer_filters.get(role.as_str())?;
    let minimum = filters.min_allocatable_resources.as_ref()?;
    let quantities = minimum.quantities.iter().map(|alternative| {
        let amounts = alternative.quantities.iter();
        amounts
            .map(|(name, amount)| (name.as_str().into(), amount.value.into()))
            .collect()
    });
    Some(quantities.collect())
}

/// What keeps offers away that the allocator would make.
struct Restrictions<'a> {
    filters: &'a Filters,
    constraints: &'a BTreeMap<FrameworkId, (Arc<scheduler::OfferConstraints>, OfferConstraints)>,
    registry: &'a Registry,
    now: Millis,
}

impl Gate for Restrictions<'_> {
    fn blocks(
        &self,
        framework: &FrameworkId,
        role: &Role,
        agent: &AgentId,
        offered: &Resources,
    ) -> Option<Reason> {
        if let Some((_, constraints)) = self.constraints.get(framework)
            && let Some(known) = self.registry.agent(agent)
            && !constraints.matches(role, &AgentTraits::from(&*known.info))
        {
            return Some(Reason::Constraints);
        }
        let refused = self
            .filters
            .refuses(framework, role, agent, offered, self.now);
        refused.then_some(Reason::Filtered)
    }
}
