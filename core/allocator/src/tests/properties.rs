//! What has to hold for every cluster.

use proptest::prelude::*;

use super::*;
use crate::is_allocatable;

const ROLES: [&str; 6] = ["a", "a/x", "a/x/y", "b", "b/z", "*"];

fn any_supply() -> impl Strategy<Value = (String, bool, bool)> {
    let part = (
        0u32..3,
        prop::sample::select(vec!["", "(a)", "(a/x)", "(b)"]),
    )
        .prop_map(|(amount, role)| format!("cpus{role}:{amount};mem{role}:{}", amount * 64));
    let parts = prop::collection::vec(part, 0..4).prop_map(|parts| parts.join(";"));
    (parts, any::<bool>(), any::<bool>())
}

fn any_capabilities() -> impl Strategy<Value = Capabilities> {
    let gpus = any::<bool>();
    (gpus, any::<bool>()).prop_map(|(gpu_resources, region_aware)| Capabilities {
        gpu_resources,
        region_aware,
        ..Default::default()
    })
}

fn any_world() -> impl Strategy<Value = World> {
    let agents = prop::collection::vec(any_supply(), 0..8);
    let client = (0..ROLES.len(), 0u8..4, any_capabilities(), 0u32..3);
    let clients = prop::collection::vec(client, 0..8);
    let refused = prop::collection::btree_set((0u8..4, 0u8..8), 0..6);
    let weights = prop::collection::vec((0..ROLES.len(), 1u8..4), 0..3);
    (agents, clients, refused, weights, any::<u64>()).prop_map(
        |(agents, clients, refused, weights, seed)| {
            let mut world = World::default();
            for (resources, has_gpus, is_remote) in agents {
                let agent = world.agent(&resources);
                agent.has_gpus = has_gpus;
                agent.is_remote = is_remote;
            }
            for (role, framework, capabilities, allocated) in clients {
                let framework = format!("f{framework}");
                let demand = world.framework(ROLES[role], &framework);
                demand.capabilities = capabilities;
                let allocated = Quantities::parse(&format!("cpus:{allocated}")).unwrap();
                demand.allocated = allocated.clone();
                world.roles.get_mut(ROLES[role]).unwrap().allocated += &allocated;
                world.total += &allocated;
            }
            for (role, weight) in weights {
                world.weight(ROLES[role], weight.into());
            }
            let pair =
                |(framework, agent)| (format!("f{framework}").into(), format!("S{agent}").into());
            world.refused = refused.into_iter().map(pair).collect();
            world.options.seed = seed;
            world
        },
    )
}

impl std::fmt::Debug for World {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("World")
            .field("roles", &self.roles)
            .field("agents", &self.agents)
            .field("seed", &self.options.seed)
            .finish_non_exhaustive()
    }
}

/// What is left of each agent; fails if more was granted than there was.
fn rest(world: &World, allocation: &Allocation) -> BTreeMap<AgentId, Resources> {
    let mut rest: BTreeMap<_, _> = world
        .agents
        .iter()
        .map(|agent| (agent.id.clone(), agent.available.clone()))
        .collect();
    for grant in &allocation.grants {
        let left = rest.get_mut(&grant.agent).unwrap();
        *left = left
            .checked_sub(&grant.resources.unallocated())
            .expect("granted twice");
    }
    rest
}

proptest! {
    #[test]
    fn granted_and_rest_are_what_was_free(world in any_world()) {
        let allocation = world.run_with(&world.refused);
        let rest = rest(&world, &allocation);
        for agent in &world.agents {
            let of_agent = |grant: &&crate::Grant| grant.agent == agent.id;
            let granted = allocation.grants.iter().filter(of_agent);
            let granted: Vec<_> = granted.map(|grant| grant.resources.unallocated()).collect();
            let granted: Resources = granted.iter().sum();
            prop_assert_eq!(&(&granted + &rest[&agent.id]), &agent.available);
        }
    }

    #[test]
    fn every_grant_is_allowed(world in any_world()) {
        let allocation = world.run_with(&world.refused);
        let mut seen = BTreeSet::new();
        for grant in &allocation.grants {
            let agent = world.agents.iter().find(|agent| agent.id == grant.agent).unwrap();
            let demand = &world.roles[&grant.role].frameworks[&grant.framework];
            prop_assert!(!grant.resources.is_empty());
            prop_assert_eq!(grant.resources.allocation_role(), Some(&grant.role));
            prop_assert!(grant.resources.iter().all(|entry| entry.is_available_to(&grant.role)));
            prop_assert!(is_allocatable(&grant.resources, &world.options.min_allocatable));
            prop_assert!(!agent.has_gpus || demand.capabilities.gpu_resources);
            prop_assert!(!agent.is_remote || demand.capabilities.region_aware);
            prop_assert!(
                !world.refused.contains(&(grant.framework.clone(), grant.agent.clone()))
            );
            let new = seen.insert((&grant.framework, &grant.role, &grant.agent));
            prop_assert!(new, "one offer is one agent and one role");
        }
    }

    #[test]
    fn nothing_is_left_that_somebody_may_have(world in any_world()) {
        let allocation = world.run_with(&world.refused);
        for (id, left) in rest(&world, &allocation) {
            let agent = world.agents.iter().find(|agent| agent.id == id).unwrap();
            for (role, demand) in &world.roles {
                let free = left.available_to(role);
                let wanted = demand.frameworks.iter().any(|(framework, demand)| {
                    is_allocatable(&free, &world.options.min_allocatable)
                        && (!agent.has_gpus || demand.capabilities.gpu_resources)
                        && (!agent.is_remote || demand.capabilities.region_aware)
                        && !world.refused.contains(&(framework.clone(), id.clone()))
                });
                prop_assert!(!wanted, "{id} has {left} for {role}");
            }
        }
    }

    #[test]
    fn equal_seeds_give_equal_grants(world in any_world()) {
        let (first, second) = (world.run_with(&world.refused), world.run_with(&world.refused));
        prop_assert_eq!(first.grants, second.grants);
        prop_assert_eq!(first.tallies, second.tallies);
    }

    #[test]
    fn every_turn_is_accounted_for(world in any_world()) {
        let allocation = world.run_with(&world.refused);
        for tally in allocation.tallies.values() {
            let refused: u32 = tally.reasons().map(|(_, agents)| agents).sum();
            prop_assert_eq!(tally.granted + refused, allocation.agents);
        }
        let granted: u32 = allocation.tallies.values().map(|tally| tally.granted).sum();
        prop_assert_eq!(granted as usize, allocation.grants.len());
    }

    /// With equal agents and no preferences, no two roles are further apart than one agent.
    #[test]
    fn equal_roles_get_equally_much(agents in 1usize..20, roles in 1usize..6, seed: u64) {
        let names: Vec<String> = (0..roles).map(|number| format!("r{number}")).collect();
        let frameworks: Vec<_> = names.iter().map(|name| (name.as_str(), "f")).collect();
        let mut world = World::new(agents, "cpus:1;mem:64", &frameworks);
        world.options.seed = seed;
        let mut counts: BTreeMap<_, usize> = names.iter().map(|name| (name.as_str(), 0)).collect();
        let grants = world.run().grants;
        for grant in &grants {
            *counts.get_mut(grant.role.as_str()).unwrap() += 1;
        }
        let (least, most) = (counts.values().min().unwrap(), counts.values().max().unwrap());
        prop_assert!(most - least <= 1, "{:?}", counts);
        prop_assert_eq!(grants.len(), agents);
    }
}
