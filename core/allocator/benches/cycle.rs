//! How long one cycle takes on large clusters.

use std::collections::BTreeMap;

use caprock_allocator::{
    AgentSupply, FrameworkDemand, Gate, OpenGate, Options, Reason, Request, RoleDemand, allocate,
};
use caprock_model::{AgentId, FrameworkId, Quantities, Resources, Role};

fn main() {
    divan::main();
}

const FRAMEWORKS: usize = 50;

struct Cluster {
    total: Quantities,
    roles: BTreeMap<Role, RoleDemand>,
    agents: Vec<AgentSupply>,
    options: Options,
}

impl Cluster {
    fn new(agents: usize, roles: usize) -> Self {
        let resources = "cpus:32;mem:131072;disk:1048576;ports:[31000-32000]";
        let agent = |number| {
            let available = Resources::parse(resources, "*").expect("the text is valid");
            AgentSupply::new(AgentId::from(format!("S{number}")), available)
        };
        let agents: Vec<_> = (0..agents).map(agent).collect();
        let mut total = Quantities::new();
        for agent in &agents {
            total += &agent.available.quantities();
        }
        let mut demands: BTreeMap<Role, RoleDemand> = BTreeMap::new();
        for number in 0..FRAMEWORKS {
            let role = Role::from(format!("role-{}", number % roles));
            let framework = FrameworkId::from(format!("framework-{number}"));
            let frameworks = &mut demands.entry(role).or_default().frameworks;
            frameworks.insert(framework, FrameworkDemand::default());
        }
        Self {
            total,
            roles: demands,
            agents,
            options: Options::default(),
        }
    }

    fn cycle(&self, gate: &dyn Gate) -> usize {
        let request = Request {
            total: &self.total,
            roles: &self.roles,
            agents: &self.agents,
            options: &self.options,
        };
        allocate(&request, gate).grants.len()
    }
}

/// Everybody has declined everything: each agent is tried with each framework.
struct Closed;

impl Gate for Closed {
    fn blocks(&self, _: &FrameworkId, _: &Role, _: &AgentId, _: &Resources) -> Option<Reason> {
        Some(Reason::Filtered)
    }
}

#[divan::bench(args = [1_000, 10_000, 50_000])]
fn all_free_in_one_role(bencher: divan::Bencher<'_, '_>, agents: usize) {
    let cluster = Cluster::new(agents, 1);
    bencher.bench_local(|| cluster.cycle(&OpenGate));
}

#[divan::bench(args = [1_000, 10_000, 50_000])]
fn all_free_in_fifty_roles(bencher: divan::Bencher<'_, '_>, agents: usize) {
    let cluster = Cluster::new(agents, FRAMEWORKS);
    bencher.bench_local(|| cluster.cycle(&OpenGate));
}

#[divan::bench(args = [1_000, 10_000])]
fn all_declined(bencher: divan::Bencher<'_, '_>, agents: usize) {
    let cluster = Cluster::new(agents, 10);
    bencher.bench_local(|| cluster.cycle(&Closed));
}
