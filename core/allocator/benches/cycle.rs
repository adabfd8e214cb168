//! How long cycles take on large clusters, in the shapes of Mesos' own benchmarks
//! (src/tests/hierarchical_allocator_tests.cpp, hierarchical_allocator_benchmarks.cpp).

use std::cell::Cell;
use std::collections::BTreeMap;

use caprock_allocator::{
    AgentSupply, Allocator, FrameworkDemand, Gate, Grant, OpenGate, Options, Quota, Reason,
    Request, RoleDemand, Sorter, allocate,
};
use caprock_model::{AgentId, FrameworkId, Quantities, Resources, Role};
use divan::Bencher;

fn main() {
    divan::main();
}

const AGENT: &str = "cpus:24;mem:4096;disk:4096;ports:[31000-32000]";

/// A cluster of equal agents, all free.
#[derive(Clone)]
struct Cluster {
    total: Quantities,
    roles: BTreeMap<Role, RoleDemand>,
    agents: Vec<AgentSupply>,
    options: Options,
}

impl Cluster {
    /// Frameworks are dealt to the roles in turn.
    fn new(agents: usize, frameworks: usize, roles: &[Role]) -> Self {
        let mut cluster = Self {
            total: Quantities::new(),
            roles: BTreeMap::new(),
            agents: Vec::new(),
            options: Options::default(),
        };
        for number in 0..frameworks {
            let demand = cluster.role(&roles[number % roles.len()]);
            let framework = FrameworkId::from(format!("2f1c-framework-{number:04}"));
            demand
                .frameworks
                .insert(framework, FrameworkDemand::default());
        }
        for number in 0..agents {
            cluster.agent(number, AGENT);
        }
        cluster
    }

    fn agent(&mut self, number: usize, resources: &str) {
        let available = Resources::parse(resources, "*").expect("the text is valid");
        self.total += &available.quantities();
        let id = AgentId::from(format!("2f1c-S{number:05}"));
        self.agents.push(AgentSupply::new(id, available));
    }

    fn role(&mut self, role: &Role) -> &mut RoleDemand {
        self.roles.entry(role.clone()).or_default()
    }

    fn allocator(&self) -> Allocator {
        Allocator::load(&self.request(), &Default::default())
    }

    fn request(&self) -> Request<'_> {
        Request {
            total: &self.total,
            roles: &self.roles,
            agents: &self.agents,
            options: &self.options,
        }
    }
}

fn flat(count: usize) -> Vec<Role> {
    (0..count)
        .map(|number| format!("role-{number:04}").into())
        .collect()
}

fn nested(count: usize) -> Vec<Role> {
    let path = |number: usize| {
        let (top, middle) = (number % 4, number / 4 % 4);
        format!("dept-{top}/team-{middle}/app-{number}").into()
    };
    (0..count).map(path).collect()
}

/// Refusals as a master keeps them: by agent, then by framework.
#[derive(Clone, Default)]
struct Refusals {
    by_agent: BTreeMap<AgentId, BTreeMap<FrameworkId, Resources>>,
}

/// The refusals of the agent whose turn it is.
struct Filters<'a> {
    refusals: &'a Refusals,
    present: Cell<Option<&'a BTreeMap<FrameworkId, Resources>>>,
}

impl<'a> Filters<'a> {
    fn new(refusals: &'a Refusals) -> Self {
        let present = Cell::new(None);
        Self { refusals, present }
    }
}

impl Gate for Filters<'_> {
    fn blocks(
        &self,
        framework: &FrameworkId,
        _: &Role,
        _: &AgentId,
        offered: &Resources,
    ) -> Option<Reason> {
        let refused = self.present.get()?.get(framework)?;
        refused.contains(offered).then_some(Reason::Filtered)
    }

    fn turn_to(&self, agent: &AgentId) {
        self.present.set(self.refusals.by_agent.get(agent));
    }
}

/// Declines everything, for long.
fn decline(allocator: &mut Allocator, grants: &[Grant], refusals: &mut Refusals) {
    for grant in grants {
        let of_agent = refusals.by_agent.entry(grant.agent.clone()).or_default();
        of_agent.insert(grant.framework.clone(), grant.resources.unallocated());
        release(allocator, grant);
    }
}

fn release(allocator: &mut Allocator, grant: &Grant) {
    allocator.release(
        &grant.role,
        &grant.framework,
        &grant.agent,
        &grant.resources,
    );
}

/// A cycle over everything, from the same state each time.
fn bench_full(bencher: Bencher<'_, '_>, allocator: &Allocator, gate: &dyn Gate) {
    bencher
        .with_inputs(|| allocator.clone())
        .bench_local_refs(|allocator| allocator.cycle_all(7, gate));
}

/// Mesos' `DeclineOffers` with 50 frameworks: the first allocation.
#[divan::bench(args = [1_000, 5_000, 10_000], sample_count = 20, sample_size = 1)]
fn decline_offers_first(bencher: Bencher<'_, '_>, agents: usize) {
    let allocator = Cluster::new(agents, 50, &flat(1)).allocator();
    bench_full(bencher, &allocator, &OpenGate);
}

/// The same when all offers were declined 48 times, by another framework each time.
#[divan::bench(args = [1_000, 5_000, 10_000], sample_count = 20, sample_size = 1)]
fn decline_offers_49th(bencher: Bencher<'_, '_>, agents: usize) {
    let (allocator, refusals) = declined(agents, 50, 48);
    bench_full(bencher, &allocator, &Filters::new(&refusals));
}

fn declined(agents: usize, frameworks: usize, times: u64) -> (Allocator, Refusals) {
    let mut allocator = Cluster::new(agents, frameworks, &flat(1)).allocator();
    let mut refusals = Refusals::default();
    for seed in 0..times {
        let grants = allocator.cycle_all(seed, &Filters::new(&refusals));
        assert_eq!(grants.len(), agents, "somebody has not refused it yet");
        decline(&mut allocator, &grants, &mut refusals);
    }
    (allocator, refusals)
}

/// Adding agents to 50 frameworks, with one cycle for each of them.
#[divan::bench(args = [1_000, 5_000, 10_000], sample_count = 10, sample_size = 1)]
fn add_agents(bencher: Bencher<'_, '_>, agents: usize) {
    let cluster = Cluster::new(agents, 50, &flat(1));
    let empty = Cluster::new(0, 50, &flat(1));
    bencher
        .with_inputs(|| empty.allocator())
        .bench_local_refs(|allocator| {
            let mut total = Quantities::new();
            let mut grants = 0;
            for (seed, agent) in (0..).zip(&cluster.agents) {
                total += &agent.available.quantities();
                allocator.set_total(&total);
                allocator.set_agent(agent.clone(), Quantities::new());
                grants += allocator.cycle(seed, [&agent.id], &OpenGate).len();
            }
            assert_eq!(grants, agents, "each of them is granted");
        });
}

/// The same with one cycle for all of them, as when they come faster than cycles.
#[divan::bench(args = [1_000, 5_000, 10_000], sample_count = 10, sample_size = 1)]
fn add_agents_at_once(bencher: Bencher<'_, '_>, agents: usize) {
    let cluster = Cluster::new(agents, 50, &flat(1));
    let empty = Cluster::new(0, 50, &flat(1));
    bencher
        .with_inputs(|| empty.allocator())
        .bench_local_refs(|allocator| {
            let mut total = Quantities::new();
            for agent in &cluster.agents {
                total += &agent.available.quantities();
                allocator.set_agent(agent.clone(), Quantities::new());
            }
            allocator.set_total(&total);
            allocator.cycle_all(7, &OpenGate)
        });
}

/// Mesos' `LargeAndSmallQuota`: 3,000 agents, 2,500 roles with a small quota and 500 with
/// one that is larger than an agent.
fn large_and_small(sorter: Sorter) -> Allocator {
    let mut cluster = Cluster::new(0, 3_000, &flat(3_000));
    for number in 0..3_000 {
        cluster.agent(number, "cpus:2;mem:2048;disk:2048");
    }
    for (number, demand) in cluster.roles.values_mut().enumerate() {
        let units = if number < 2_500 { 1 } else { 4 };
        let text = format!("cpus:{units};mem:{0};disk:{0}", 1024 * units);
        let guarantees = Quantities::parse(&text).expect("the text is valid");
        let limits = guarantees.iter();
        let limits = limits
            .map(|(name, amount)| (name.clone(), amount))
            .collect();
        demand.quota = Some(Quota { guarantees, limits });
    }
    cluster.options.role_sorter = sorter;
    cluster.options.framework_sorter = sorter;
    cluster.allocator()
}

#[divan::bench(args = [Sorter::Drf, Sorter::Random], sample_count = 5, sample_size = 1)]
fn large_and_small_quota_full(bencher: Bencher<'_, '_>, sorter: Sorter) {
    bench_full(bencher, &large_and_small(sorter), &OpenGate);
}

/// The next cycle: all roles have reached their limits, and a quarter of the cluster is free.
#[divan::bench(args = [Sorter::Drf, Sorter::Random], sample_count = 5, sample_size = 1)]
fn large_and_small_quota_empty(bencher: Bencher<'_, '_>, sorter: Sorter) {
    let mut allocator = large_and_small(sorter);
    allocator.cycle_all(7, &OpenGate);
    assert!(
        allocator.cycle_all(8, &OpenGate).is_empty(),
        "all roles have reached their limits"
    );
    bench_full(bencher, &allocator, &OpenGate);
}

/// How a cycle from idle grows with agents, for 200 frameworks in 20 roles.
#[divan::bench(args = [1_000, 10_000, 50_000], sample_count = 10, sample_size = 1)]
fn full_by_agents(bencher: Bencher<'_, '_>, agents: usize) {
    let allocator = Cluster::new(agents, 200, &flat(20)).allocator();
    bench_full(bencher, &allocator, &OpenGate);
}

/// How it grows with frameworks, on 10,000 agents.
#[divan::bench(args = [1, 50, 200, 1_000], sample_count = 10, sample_size = 1)]
fn full_by_frameworks(bencher: Bencher<'_, '_>, frameworks: usize) {
    let allocator = Cluster::new(10_000, frameworks, &flat(20)).allocator();
    bench_full(bencher, &allocator, &OpenGate);
}

/// Mesos' published cycle: 20,000 agents, 2,000 frameworks, one role, no filters.
#[divan::bench(sample_count = 10, sample_size = 1)]
fn full_20_000_agents_2_000_frameworks(bencher: Bencher<'_, '_>) {
    let allocator = Cluster::new(20_000, 2_000, &flat(1)).allocator();
    bench_full(bencher, &allocator, &OpenGate);
}

#[divan::bench(args = [1_000, 10_000, 50_000], sample_count = 10, sample_size = 1)]
fn full_in_nested_roles(bencher: Bencher<'_, '_>, agents: usize) {
    let allocator = Cluster::new(agents, 200, &nested(50)).allocator();
    bench_full(bencher, &allocator, &OpenGate);
}

/// Half of the roles have a guarantee of a fiftieth of the cluster, and twice that as limit.
#[divan::bench(args = [1_000, 10_000, 50_000], sample_count = 10, sample_size = 1)]
fn full_with_quota(bencher: Bencher<'_, '_>, agents: usize) {
    let mut cluster = Cluster::new(agents, 200, &flat(20));
    let amount = |per_agent: usize| per_agent * agents / 50;
    let quantities = |times| {
        let text = format!("cpus:{};mem:{}", amount(24) * times, amount(4096) * times);
        Quantities::parse(&text).expect("the text is valid")
    };
    for demand in cluster.roles.values_mut().step_by(2) {
        let limits = quantities(2);
        let limits = limits.iter().map(|(name, amount)| (name.clone(), amount));
        demand.quota = Some(Quota {
            guarantees: quantities(1),
            limits: limits.collect(),
        });
    }
    bench_full(bencher, &cluster.allocator(), &OpenGate);
}

/// Each agent has ten reservations for ten of the roles.
#[divan::bench(args = [1_000, 10_000, 50_000], sample_count = 5, sample_size = 1)]
fn full_with_reservations(bencher: Bencher<'_, '_>, agents: usize) {
    let mut cluster = Cluster::new(0, 200, &flat(20));
    for number in 0..agents {
        let mut text = AGENT.to_owned();
        for role in 0..10 {
            text += &format!(";cpus(role-{:04}):1", (number + role) % 20);
        }
        cluster.agent(number, &text);
    }
    bench_full(bencher, &cluster.allocator(), &OpenGate);
}

/// All 200 frameworks have refused everything: each agent is tried with each of them.
#[divan::bench(args = [1_000, 10_000, 50_000], sample_count = 5, sample_size = 1)]
fn full_all_declined(bencher: Bencher<'_, '_>, agents: usize) {
    let cluster = Cluster::new(agents, 200, &flat(20));
    let mut refusals = Refusals::default();
    for agent in &cluster.agents {
        let refused = refusals.by_agent.entry(agent.id.clone()).or_default();
        let frameworks = cluster
            .roles
            .values()
            .flat_map(|role| role.frameworks.keys());
        refused.extend(frameworks.map(|id| (id.clone(), agent.available.clone())));
    }
    bench_full(bencher, &cluster.allocator(), &Filters::new(&refusals));
}

/// The function that keeps nothing.
#[divan::bench(args = [1_000, 10_000, 50_000], sample_count = 10, sample_size = 1)]
fn full_from_scratch(bencher: Bencher<'_, '_>, agents: usize) {
    let cluster = Cluster::new(agents, 200, &flat(20));
    bencher.bench_local(|| allocate(&cluster.request(), &OpenGate));
}

/// Work on one agent ends, and is offered again: 50,000 agents and so many frameworks.
#[divan::bench(args = [1, 50, 200, 1_000])]
fn one_agent_event(bencher: Bencher<'_, '_>, frameworks: usize) {
    let mut allocator = Cluster::new(50_000, frameworks, &flat(20)).allocator();
    let mut grants = allocator.cycle_all(7, &OpenGate);
    let (mut seed, mut at) = (0, 0);
    bencher.bench_local(|| {
        seed += 1;
        at = (at + 7_919) % grants.len();
        release(&mut allocator, &grants[at]);
        let agent = grants[at].agent.clone();
        let mut again = allocator.cycle(seed, [&agent], &OpenGate);
        grants[at] = again.pop().expect("somebody takes it");
    });
}

/// The same if all 200 frameworks refuse the agent.
#[divan::bench]
fn one_agent_event_all_declined(bencher: Bencher<'_, '_>) {
    struct Closed;
    impl Gate for Closed {
        fn blocks(&self, _: &FrameworkId, _: &Role, _: &AgentId, _: &Resources) -> Option<Reason> {
            Some(Reason::Filtered)
        }
    }
    let cluster = Cluster::new(50_000, 200, &flat(20));
    let mut allocator = cluster.allocator();
    let mut seed = 0;
    bencher.bench_local(|| {
        seed += 1;
        let agent = &cluster.agents[seed * 7_919 % cluster.agents.len()];
        allocator.cycle(seed as u64, [&agent.id], &Closed)
    });
}
