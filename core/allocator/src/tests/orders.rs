//! Orders other than fair shares: random sorters, and placement.

use super::*;
use crate::{Placement, Sorter, Surroundings, allocate_within};

/// How often each role comes first, on one agent.
fn firsts(world: &mut World, seeds: u64) -> BTreeMap<String, u64> {
    let mut firsts = BTreeMap::new();
    for seed in 0..seeds {
        world.options.seed = seed;
        let first = world.run().grants.swap_remove(0);
        *firsts.entry(first.role.to_string()).or_insert(0) += 1;
    }
    firsts
}

#[test]
fn chances_are_as_weights() {
    let mut world = World::new(1, "cpus:1", &[("a", "f1"), ("b", "f2"), ("c/x", "f3")]);
    world.options.role_sorter = Sorter::Random;
    world.roles.get_mut("a").unwrap().allocated = Quantities::parse("cpus:1").unwrap();
    let firsts_of = |world: &mut World| {
        let firsts = firsts(world, 3000);
        ["a", "b", "c/x"].map(|role| firsts[role])
    };
    let near = |count: u64, expected: u64| count.abs_diff(expected) < 150;
    let counts = firsts_of(&mut world);
    assert!(counts.iter().all(|count| near(*count, 1000)), "{counts:?}");

    world.weight("a", 4.0);
    let [a, b, c] = firsts_of(&mut world);
    assert!(near(a, 2000) && near(b, 500) && near(c, 500), "{a} {b} {c}");
}

#[test]
fn frameworks_in_random_order() {
    let mut world = World::new(1, "cpus:1", &[("a", "f1"), ("a", "f2")]);
    world.options.framework_sorter = Sorter::Random;
    let mut first = 0;
    for seed in 0..1000 {
        world.options.seed = seed;
        first += u32::from(world.run().grants[0].framework == "f1");
    }
    assert!((400..600).contains(&first), "{first}");
}

#[test]
fn everybody_has_a_turn_in_random_order() {
    let frameworks = [
        ("a", "f1"),
        ("a/x", "f2"),
        ("a/y", "f3"),
        ("b", "f4"),
        ("b", "f5"),
    ];
    let mut world = World::new(3, "cpus:1", &frameworks);
    world.options.role_sorter = Sorter::Random;
    world.options.framework_sorter = Sorter::Random;
    world.weight("b", 3.0);
    for (_, framework) in frameworks {
        for agent in 0..3 {
            let agent = format!("S{agent}");
            world.refused.insert((framework.into(), agent.into()));
        }
    }
    let allocation = world.run_with(&world.refused);
    assert_eq!(allocation.tallies.len(), 5);
    for tally in allocation.tallies.values() {
        assert_eq!(tally.refused(Reason::Filtered), 3);
    }
}

/// The order in which a single framework is offered agents of four processors each, of which
/// so many are free.
fn visited(placement: Placement, free: &[u32]) -> Vec<String> {
    let mut world = World::new(0, "", &[("a", "f")]);
    let mut surroundings = Surroundings::default();
    for free in free {
        let agent = world
            .agent(&format!("cpus:{free};mem:{}", free * 64))
            .id
            .clone();
        let capacity = Quantities::parse("cpus:4;mem:256").unwrap();
        surroundings.capacities.insert(agent, capacity);
    }
    world.options.placement = placement;
    let allocation = allocate_within(&world.request(), &surroundings, &OpenGate);
    let agents = allocation.grants.iter();
    agents.map(|grant| grant.agent.to_string()).collect()
}

#[test]
fn agents_in_the_order_of_placement() {
    let free = [2, 4, 1, 3];
    assert_eq!(visited(Placement::Spread, &free), ["S1", "S3", "S0", "S2"]);
    assert_eq!(visited(Placement::BinPack, &free), ["S2", "S0", "S3", "S1"]);
    let task = Quantities::parse("cpus:2;mem:128").unwrap();
    let weighted = Placement::Weighted { alpha: 0.5, task };
    assert_eq!(visited(weighted, &free), ["S0", "S3", "S1", "S2"]);
}

/// Nodes of 4, 4, 2 and 2 processors, and a task that fills the small ones.
#[test]
fn the_four_nodes_in_a_cycle() {
    let mut world = World::new(0, "", &[("a", "f")]);
    for node in [
        "cpus:4;mem:8",
        "cpus:4;mem:8",
        "cpus:2;mem:4",
        "cpus:2;mem:4",
    ] {
        world.agent(node);
    }
    let task = Quantities::parse("cpus:2;mem:4").unwrap();
    world.options.placement = Placement::Weighted { alpha: 0.5, task };
    for seed in 0..10 {
        world.options.seed = seed;
        let grants = world.run().grants;
        let small = |grant: &Grant| matches!(grant.agent.as_str(), "S2" | "S3");
        assert!(grants[..2].iter().all(small), "{grants:?}");
    }
}
