//! The allocator that remembers, against the function that does not: whatever happens, both
//! grant the same.

use proptest::prelude::*;

use super::*;
use crate::{Allocator, Placement, Sorter, Surroundings, allocate_within};

const ROLES: [&str; 5] = ["a", "a/x", "a/y", "b", "c/z"];
const TOTALS: [&str; 5] = [
    "cpus:4;mem:64",
    "cpus:1;mem:256;cpus(a):2",
    "cpus:2;mem(b):32;ports:[1-9]",
    "cpus(a/x):3;gpus:1",
    "disk:100",
];

#[derive(Debug, Clone)]
enum Step {
    Want {
        role: usize,
        framework: u8,
        understands: bool,
    },
    Leave {
        role: usize,
        framework: u8,
    },
    Weigh {
        role: usize,
        weight: u8,
    },
    Limit {
        role: usize,
        guarantee: u8,
        limit: Option<i64>,
    },
    Unlimit {
        role: usize,
    },
    Join {
        agent: u8,
        total: usize,
    },
    Part {
        agent: u8,
    },
    Release {
        which: prop::sample::Index,
    },
    Occupy {
        which: prop::sample::Index,
        role: usize,
    },
    Forget {
        role: usize,
    },
    Refuse {
        framework: u8,
        agent: u8,
    },
    Cycle {
        agents: BTreeSet<u8>,
        seed: u64,
    },
    CycleAll {
        seed: u64,
    },
}

fn any_step() -> impl Strategy<Value = Step> {
    let role = 0..ROLES.len();
    let agents = prop::collection::btree_set(0u8..6, 0..4);
    prop_oneof![
        6 => (role.clone(), 0u8..4, any::<bool>()).prop_map(|(role, framework, understands)| {
            Step::Want { role, framework, understands }
        }),
        1 => (role.clone(), 0u8..4).prop_map(|(role, framework)| Step::Leave { role, framework }),
        1 => (role.clone(), 1u8..4).prop_map(|(role, weight)| Step::Weigh { role, weight }),
        1 => (role.clone(), 0u8..5, prop::option::of(0i64..8)).prop_map(
            |(role, guarantee, limit)| Step::Limit { role, guarantee, limit }
        ),
        1 => role.clone().prop_map(|role| Step::Unlimit { role }),
        6 => (0u8..6, 0..TOTALS.len()).prop_map(|(agent, total)| Step::Join { agent, total }),
        1 => (0u8..6).prop_map(|agent| Step::Part { agent }),
        4 => any::<prop::sample::Index>().prop_map(|which| Step::Release { which }),
        1 => (any::<prop::sample::Index>(), role.clone())
            .prop_map(|(which, role)| Step::Occupy { which, role }),
        1 => role.prop_map(|role| Step::Forget { role }),
        1 => (0u8..4, 0u8..6).prop_map(|(framework, agent)| Step::Refuse { framework, agent }),
        5 => (agents, any::<u64>()).prop_map(|(agents, seed)| Step::Cycle { agents, seed }),
        2 => any::<u64>().prop_map(|seed| Step::CycleAll { seed }),
    ]
}

fn any_options() -> impl Strategy<Value = Options> {
    let sorter = || prop::sample::select(vec![Sorter::Drf, Sorter::Drf, Sorter::Random]);
    let weighted = Placement::Weighted {
        alpha: 0.25,
        task: Quantities::parse("cpus:1;mem:16").unwrap(),
    };
    let placements = vec![
        Placement::Random,
        Placement::Spread,
        Placement::BinPack,
        weighted,
    ];
    let placement = prop::sample::select(placements);
    (sorter(), sorter(), placement, any::<bool>()).prop_map(
        |(role_sorter, framework_sorter, placement, limits_hold_below)| Options {
            role_sorter,
            framework_sorter,
            placement,
            limits_hold_below,
            excluded_from_shares: BTreeSet::from(["disk".to_owned()]),
            ..Options::default()
        },
    )
}

/// The truth, from which views are made anew for each cycle.
#[derive(Default)]
struct Model {
    world: World,
    /// By agent, what it has in all, and what is free of it.
    agents: BTreeMap<AgentId, (Resources, Resources)>,
    outstanding: Vec<Grant>,
    grants: BTreeMap<(Role, FrameworkId), u64>,
}

impl Model {
    /// Counts everything again.
    fn refresh(&mut self) {
        let roles = &mut self.world.roles;
        self.world.total = Quantities::new();
        for demand in roles.values_mut() {
            demand.allocated = Quantities::new();
            demand.charged = Quantities::new();
            for framework in demand.frameworks.values_mut() {
                framework.allocated = Quantities::new();
            }
        }
        for (total, _) in self.agents.values() {
            self.world.total += &total.quantities();
            for (role, reserved) in total.reservations() {
                roles.entry(role).or_default().charged += &reserved.quantities();
            }
        }
        for grant in &self.outstanding {
            let demand = roles.entry(grant.role.clone()).or_default();
            demand.allocated += &grant.resources.quantities();
            demand.charged += &charged(&grant.resources);
            if let Some(framework) = demand.frameworks.get_mut(&grant.framework) {
                framework.allocated += &grant.resources.quantities();
            }
        }
    }

    /// The view of a cycle over these agents.
    fn expect(&mut self, agents: &[AgentId], seed: u64) -> Allocation {
        self.refresh();
        let world = &mut self.world;
        world.options.seed = seed;
        world.agents = Vec::new();
        let mut surroundings = Surroundings::default();
        for id in agents {
            let Some((total, free)) = self.agents.get(id) else {
                continue;
            };
            let mut supply = AgentSupply::new(id.clone(), free.clone());
            supply.has_gpus = !total.gpus().is_zero();
            world.agents.push(supply);
            surroundings
                .capacities
                .insert(id.clone(), total.quantities());
        }
        for (id, (_, free)) in &self.agents {
            if !agents.contains(id) {
                surroundings.free_elsewhere += &charged(free);
            }
        }
        allocate_within(&world.request(), &surroundings, &world.refused)
    }

    /// Counts grants as offered.
    fn keep(&mut self, grants: Vec<Grant>) {
        for grant in &grants {
            let (_, free) = self.agents.get_mut(&grant.agent).unwrap();
            *free = free.checked_sub(&grant.resources.unallocated()).unwrap();
            let demand = self.world.roles.get_mut(&grant.role).unwrap();
            demand.grants += 1;
            let framework = demand.frameworks.get_mut(&grant.framework).unwrap();
            framework.grants += 1;
            let key = (grant.role.clone(), grant.framework.clone());
            *self.grants.entry(key).or_insert(0) += 1;
        }
        self.outstanding.extend(grants);
    }
}

fn agent(number: u8) -> AgentId {
    format!("S{number}").into()
}

fn framework(number: u8) -> FrameworkId {
    format!("f{number}").into()
}

/// Applies a step to the model, and tells the allocator.
fn apply(step: Step, model: &mut Model, allocator: &mut Allocator) {
    match step {
        Step::Want {
            role,
            framework: number,
            understands,
        } => {
            let (role, id) = (Role::from(ROLES[role]), framework(number));
            let grants = model.grants.get(&(role.clone(), id.clone()));
            let demand = model.world.framework(&role, &id);
            demand.grants = grants.copied().unwrap_or(0);
            demand.capabilities.gpu_resources = understands;
            model.refresh();
            let demand = &model.world.roles[&role].frameworks[&id];
            allocator.set_framework(&role, &id, demand);
        }
        Step::Leave {
            role,
            framework: number,
        } => {
            let (role, id) = (Role::from(ROLES[role]), framework(number));
            if let Some(demand) = model.world.roles.get_mut(&role) {
                demand.frameworks.remove(&id);
            }
            allocator.remove_framework(&role, &id);
        }
        Step::Weigh { role, weight } => {
            model.world.weight(ROLES[role], weight.into());
            allocator.set_weight(&ROLES[role].into(), weight.into());
        }
        Step::Limit {
            role,
            guarantee,
            limit,
        } => {
            let limits: Vec<_> = limit.map(|limit| ("cpus", limit)).into_iter().collect();
            model
                .world
                .quota(ROLES[role], &format!("cpus:{guarantee}"), &limits);
            let role = Role::from(ROLES[role]);
            allocator.set_quota(&role, model.world.roles[&role].quota.as_ref());
        }
        Step::Unlimit { role } => {
            model
                .world
                .roles
                .entry(ROLES[role].into())
                .or_default()
                .quota = None;
            allocator.set_quota(&ROLES[role].into(), None);
        }
        Step::Forget { role } => {
            let role = Role::from(ROLES[role]);
            model.world.roles.remove(&role);
            model.outstanding.retain(|grant| grant.role != role);
            model.grants.retain(|(other, _), _| *other != role);
            allocator.remove_role(&role);
            resync(model, allocator);
        }
        Step::Refuse {
            framework: number,
            agent: at,
        } => {
            model.world.refused.insert((framework(number), agent(at)));
        }
        other => apply_to_agents(&other, model, allocator),
    }
}

fn apply_to_agents(step: &Step, model: &mut Model, allocator: &mut Allocator) {
    match *step {
        Step::Join {
            agent: number,
            total,
        } => {
            let (id, total) = (agent(number), Resources::parse(TOTALS[total], "*").unwrap());
            model.outstanding.retain(|grant| grant.agent != id);
            let mut supply = AgentSupply::new(id.clone(), total.clone());
            supply.has_gpus = !total.gpus().is_zero();
            allocator.set_agent(supply, total.quantities());
            model.agents.insert(id, (total.clone(), total));
            resync(model, allocator);
        }
        Step::Part { agent: number } => {
            // What it had comes back with it, or never.
            model.agents.remove(&agent(number));
            allocator.remove_agent(&agent(number));
            resync(model, allocator);
        }
        Step::Release { which } if !model.outstanding.is_empty() => {
            let grant = model
                .outstanding
                .remove(which.index(model.outstanding.len()));
            if let Some((_, free)) = model.agents.get_mut(&grant.agent) {
                *free += &grant.resources.unallocated();
            }
            let Grant {
                framework,
                role,
                agent,
                resources,
            } = &grant;
            allocator.release(role, framework, agent, resources);
        }
        Step::Occupy { which, role } if !model.agents.is_empty() => {
            let at = which.index(model.agents.len());
            let (id, (_, free)) = model.agents.iter_mut().nth(at).unwrap();
            let role = Role::from(ROLES[role]);
            let taken = free.unreserved().allocated_to(&role);
            *free -= &taken.unallocated();
            let grant = Grant {
                framework: framework(9),
                role: role.clone(),
                agent: id.clone(),
                resources: taken.clone(),
            };
            allocator.occupy(&role, &framework(9), id, &taken);
            if !taken.is_empty() {
                model.world.roles.entry(role).or_default();
                model.outstanding.push(grant);
            }
        }
        _ => {}
    }
}

/// Tells the allocator what follows for totals and roles.
fn resync(model: &mut Model, allocator: &mut Allocator) {
    model.refresh();
    allocator.set_total(&model.world.total);
    for (role, demand) in &model.world.roles {
        allocator.set_usage(role, &demand.allocated, demand.grants, &demand.charged);
        for (id, framework) in &demand.frameworks {
            allocator.set_framework(role, id, framework);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn both_grant_the_same(
        options in any_options(),
        steps in prop::collection::vec(any_step(), 1..60),
    ) {
        let mut model = Model::default();
        model.world.options = options.clone();
        let mut allocator = Allocator::new(options);
        for step in steps {
            let (agents, seed) = match step {
                Step::Cycle { agents, seed } => {
                    (agents.into_iter().map(agent).collect::<Vec<_>>(), seed)
                }
                Step::CycleAll { seed } => (model.agents.keys().cloned().collect(), seed),
                other => {
                    apply(other, &mut model, &mut allocator);
                    continue;
                }
            };
            let is_all = agents.iter().eq(model.agents.keys());
            let expected = model.expect(&agents, seed);
            let grants = if is_all {
                allocator.cycle_all(seed, &model.world.refused)
            } else {
                allocator.cycle(seed, &agents, &model.world.refused)
            };
            prop_assert_eq!(&grants, &expected.grants);
            prop_assert_eq!(allocator.tallies(), expected.tallies);
            model.keep(grants);
            for (id, (_, free)) in &model.agents {
                prop_assert_eq!(allocator.available(id), Some(free));
            }
        }
    }
}
