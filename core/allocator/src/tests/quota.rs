//! What Mesos' allocator does with guarantees and limits.

use super::*;

fn got(allocation: &Allocation, role: &str) -> Quantities {
    let of_role = allocation.grants.iter().filter(|grant| grant.role == role);
    let mut sum = Quantities::new();
    for grant in of_role {
        sum += &grant.resources.quantities();
    }
    sum
}

fn quantities(text: &str) -> Quantities {
    Quantities::parse(text).unwrap()
}

/// The same over many orders of agents.
fn for_all_seeds(world: &mut World, mut check: impl FnMut(&World)) {
    for seed in 0..20 {
        world.options.seed = seed;
        check(world);
    }
}

#[test]
fn a_guarantee_comes_before_fair_shares() {
    let mut world = World::new(3, "cpus:1;mem:1024", &[("q", "f1"), ("r", "f2")]);
    world.quota("q", "cpus:2;mem:2048", &[]);
    world.roles.get_mut("q").unwrap().grants = 7;
    for_all_seeds(&mut world, |world| {
        let allocation = world.run();
        assert_eq!(got(&allocation, "q"), quantities("cpus:2;mem:2048"));
        assert_eq!(got(&allocation, "r"), quantities("cpus:1;mem:1024"));
    });
}

#[test]
fn what_is_declined_is_kept_free_for_the_guarantee() {
    let mut world = World::new(2, "cpus:1;mem:1024", &[("q", "f1"), ("r", "f2")]);
    world.quota("q", "cpus:2;mem:2048", &[]);
    for agent in ["S0", "S1"] {
        world.refused.insert(("f1".into(), agent.into()));
    }
    let allocation = world.run_with(&world.refused);
    assert_eq!(allocation.grants, []);
    let tally = |role: &str, framework: &str| allocation.tallies[&(role.into(), framework.into())];
    assert_eq!(tally("r", "f2").refused(Reason::QuotaHeadroom), 2);
    assert_eq!(tally("q", "f1").refused(Reason::Filtered), 2);

    // As much elsewhere is as good.
    let elsewhere = crate::Surroundings {
        free_elsewhere: quantities("cpus:1;mem:1024"),
        ..Default::default()
    };
    let allocation = crate::allocate_within(&world.request(), &elsewhere, &world.refused);
    assert_eq!(got(&allocation, "r"), quantities("cpus:1;mem:1024"));
}

#[test]
fn a_limit_cuts_the_offer() {
    let world = |more: &[(&str, i64)]| {
        let mut world = World::new(1, "cpus:10;mem:10240", &[("q", "f1"), ("r", "f2")]);
        let limits: Vec<_> = [("cpus", 4)].iter().chain(more).copied().collect();
        world.quota("q", "", &limits);
        world
    };
    let allocation = world(&[]).run();
    assert_eq!(got(&allocation, "q"), quantities("cpus:4;mem:10240"));
    assert_eq!(got(&allocation, "r"), quantities("cpus:6"));

    let allocation = world(&[("mem", 0)]).run();
    assert_eq!(got(&allocation, "q"), quantities("cpus:4"));
    assert_eq!(got(&allocation, "r"), quantities("cpus:6;mem:10240"));
}

#[test]
fn a_role_at_its_limits_is_told_so() {
    let mut world = World::new(2, "cpus:4;mem:64", &[("q", "f")]);
    world.quota("q", "", &[("cpus", 4), ("mem", 64)]);
    let allocation = world.run();
    assert_eq!(got(&allocation, "q"), quantities("cpus:4;mem:64"));
    let tally = allocation.tallies[&("q".into(), "f".into())];
    assert_eq!((tally.granted, tally.refused(Reason::QuotaLimit)), (1, 1));
}

#[test]
fn beyond_its_guarantee_a_role_takes_up_to_its_limit() {
    let mut world = World::new(1, "cpus:15", &[("q", "f1")]);
    world.quota("q", "cpus:10", &[("cpus", 12)]);
    let allocation = world.run();
    assert_eq!(got(&allocation, "q"), quantities("cpus:12"));
    assert_eq!(allocation.grants.len(), 1);
}

#[test]
fn what_nobody_claims_is_kept_free_all_the_same() {
    let mut world = World::new(1, "cpus:10;mem:10240", &[("r", "f")]);
    world.quota("q", "cpus:4", &[]);
    let allocation = world.run();
    assert_eq!(got(&allocation, "r"), quantities("cpus:6;mem:10240"));
}

#[test]
fn reservations_count_for_the_guarantee() {
    let mut world = World::new(0, "", &[("q", "f1"), ("r", "f2")]);
    world.agent("cpus(q):3");
    world.agent("cpus:10");
    world.quota("q", "cpus:5", &[("cpus", 5)]);
    world.charge_reservations();
    for_all_seeds(&mut world, |world| {
        let allocation = world.run();
        assert_eq!(got(&allocation, "q"), quantities("cpus:5"));
        assert_eq!(got(&allocation, "r"), quantities("cpus:8"));
    });
}

#[test]
fn reservations_may_exceed_the_limit() {
    let mut world = World::new(1, "cpus(q):3;cpus:4;mem:64", &[("q", "f")]);
    world.quota("q", "", &[("cpus", 2)]);
    world.charge_reservations();
    let allocation = world.run();
    let expected = Resources::parse("cpus(q):3;mem:64", "*").unwrap();
    assert_eq!(
        allocation.grants[0].resources,
        expected.with_allocation(Some(&"q".into()))
    );
}

#[test]
fn a_mounted_disk_is_taken_whole_or_not_at_all() {
    let mount = r#"[{"name":"disk","type":"SCALAR","scalar":{"value":100},
        "disk":{"source":{"type":"MOUNT","mount":{"root":"/m"}}}}]"#;
    let granted = |limit: i64| {
        let mut world = World::new(1, "cpus:1", &[("q", "f")]);
        world.agents[0].available += &Resources::parse(mount, "*").unwrap();
        world.quota("q", "", &[("disk", limit)]);
        got(&world.run(), "q")
    };
    assert_eq!(granted(50), quantities("cpus:1"));
    assert_eq!(granted(100), quantities("cpus:1;disk:100"));

    // Which of two disks fits is not always the same one.
    let two = mount.replace(r#"{"root":"/m"}"#, r#"{"root":"/n"}"#);
    let mut world = World::new(1, "cpus:1", &[("q", "f")]);
    world.agents[0].available += &Resources::parse(mount, "*").unwrap();
    world.agents[0].available += &Resources::parse(&two, "*").unwrap();
    world.quota("q", "", &[("disk", 150)]);
    let mut seen = BTreeSet::new();
    for_all_seeds(&mut world, |world| {
        let allocation = world.run();
        assert_eq!(got(&allocation, "q"), quantities("cpus:1;disk:100"));
        seen.insert(allocation.grants[0].resources.to_string());
    });
    assert_eq!(seen.len(), 2);
}

#[test]
fn a_guaranteed_role_gets_the_rest_of_the_agent_too() {
    let mut world = World::new(1, "cpus:2;mem:64;ports:[1-9]", &[("q", "f1"), ("r", "f2")]);
    world.quota("q", "cpus:2", &[]);
    let grants = world.run().grants;
    assert_eq!(grants.len(), 1);
    assert_eq!(
        grants[0].resources,
        world.agents[0].available.allocated_to("q")
    );
}

#[test]
fn guarantees_of_others_stay_free() {
    // Both lack two processors; what is more than four is anybody's.
    let frameworks = [("q", "f1"), ("p", "f2"), ("r", "f3")];
    let mut world = World::new(1, "cpus:5;mem:96", &frameworks);
    world.quota("q", "cpus:2", &[]);
    world.quota("p", "cpus:2", &[]);
    let allocation = world.run();
    assert_eq!(got(&allocation, "p"), quantities("cpus:3;mem:96"));
    assert_eq!(got(&allocation, "q"), quantities("cpus:2"));
    assert_eq!(got(&allocation, "r"), quantities(""));
}

#[test]
fn guarantees_hold_even_if_there_are_too_many() {
    let mut world = World::new(1, "cpus:3", &[("p", "f1"), ("q", "f2")]);
    world.quota("p", "cpus:2", &[]);
    world.quota("q", "cpus:2", &[]);
    let allocation = world.run();
    assert_eq!(got(&allocation, "p"), quantities("cpus:2"));
    assert_eq!(got(&allocation, "q"), quantities("cpus:1"));
}

#[test]
fn what_roles_below_have_counts_but_is_not_limited() {
    let world = |hold_below| {
        let mut world = World::new(2, "cpus:4", &[("q/x", "f1"), ("q", "f2")]);
        world.quota("q", "", &[("cpus", 4)]);
        world.options.limits_hold_below = hold_below;
        world
    };
    for_all_seeds(&mut world(false), |world| {
        let grants = world.run().grants;
        let roles: Vec<_> = grants.iter().map(|grant| grant.role.as_str()).collect();
        // The first agent goes to the role itself, the second below it: as Mesos does.
        assert_eq!(roles, ["q", "q/x"]);
    });
    for_all_seeds(&mut world(true), |world| {
        let allocation = world.run();
        assert_eq!(allocation.grants.len(), 1);
        let tally = allocation.tallies[&("q/x".into(), "f1".into())];
        assert_eq!(tally.refused(Reason::QuotaLimit), 1);
    });
}

#[test]
fn revocable_resources_are_outside_of_quota() {
    let revocable = r#"[{"name":"cpus","type":"SCALAR","scalar":{"value":4},"revocable":{}}]"#;
    let mut world = World::new(1, "", &[("q", "f")]);
    world.agents[0].available = Resources::parse(revocable, "*").unwrap();
    world.framework("q", "f").capabilities = everything();
    world.quota("q", "", &[("cpus", 0)]);
    assert_eq!(got(&world.run(), "q"), quantities("cpus:4"));
}

#[test]
fn both_passes_make_one_grant() {
    // The second framework's reserved part comes with its turn in the second pass.
    let mut world = World::new(1, "cpus:4;cpus(q):2", &[("q", "f1"), ("r", "f2")]);
    world.quota("q", "cpus:3", &[("cpus", 5)]);
    world.charge_reservations();
    let allocation = world.run();
    let granted = got(&allocation, "q");
    assert_eq!(granted, quantities("cpus:5"));
    let of_q = |grant: &&Grant| grant.role == "q";
    assert_eq!(allocation.grants.iter().filter(of_q).count(), 1);
    assert_eq!(allocation.tallies[&("q".into(), "f1".into())].granted, 1);
}
