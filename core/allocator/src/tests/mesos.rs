//! What Mesos' allocator does with whole agents, roles, weights, reservations, capabilities.

use caprock_model::{AgentCapabilities, Reservation, Resource, Scalar};

use super::*;

const AGENT: &str = "cpus:2;mem:1024;disk:2048;ports:[31000-32000]";

fn counts<const N: usize>(expected: [(&str, usize); N]) -> BTreeMap<String, usize> {
    expected
        .into_iter()
        .map(|(role, agents)| (role.to_owned(), agents))
        .collect()
}

#[test]
fn two_agents_for_two_roles() {
    let mut world = World::new(2, AGENT, &[("a", "f1"), ("b", "f2")]);
    assert_eq!(world.agents_by_role(), counts([("a", 1), ("b", 1)]));
}

#[test]
fn one_agent_goes_to_the_next_when_declined() {
    let mut world = World::new(1, AGENT, &[("a", "f1"), ("b", "f2")]);
    let grants = world.run().grants;
    assert_eq!(grants.len(), 1);
    assert_eq!(grants[0].framework, "f1");
    assert_eq!(
        grants[0].resources,
        world.agents[0].available.allocated_to("a")
    );

    world.refused.insert(("f1".into(), "S0".into()));
    let allocation = world.run_with(&world.refused);
    assert_eq!(allocation.grants[0].framework, "f2");
    let tally = |role: &str, framework: &str| allocation.tallies[&(role.into(), framework.into())];
    assert_eq!(tally("a", "f1").refused(Reason::Filtered), 1);
    assert_eq!(tally("b", "f2").granted, 1);
}

#[test]
fn a_weight_of_two_gets_twice_as_much() {
    let mut world = World::new(3, AGENT, &[("a", "f1"), ("b", "f2")]);
    world.weight("a", 2.0);
    assert_eq!(world.agents_by_role(), counts([("a", 2), ("b", 1)]));
}

#[test]
fn siblings_share_what_their_parent_gets() {
    let mut world = World::new(4, AGENT, &[("a/x", "f1"), ("a/y", "f2"), ("b", "f3")]);
    assert_eq!(
        world.agents_by_role(),
        counts([("a/x", 1), ("a/y", 1), ("b", 2)])
    );
}

#[test]
fn direct_use_of_a_role_competes_with_its_children() {
    let mut world = World::new(4, AGENT, &[("a", "f1"), ("a/x", "f2"), ("b", "f3")]);
    assert_eq!(
        world.agents_by_role(),
        counts([("a", 1), ("a/x", 1), ("b", 2)])
    );
    let first_of_a = world
        .run()
        .grants
        .into_iter()
        .find(|grant| grant.role.starts_with('a'));
    assert_eq!(first_of_a.unwrap().role, "a");
}

#[test]
fn a_weight_of_an_inner_role_counts_for_all_below_it() {
    let mut world = World::new(6, AGENT, &[("a/x", "f1"), ("a/y", "f2"), ("b", "f3")]);
    world.weight("a", 2.0);
    assert_eq!(
        world.agents_by_role(),
        counts([("a/x", 2), ("a/y", 2), ("b", 2)])
    );
}

#[test]
fn frameworks_of_a_role_take_turns() {
    let world = World::new(2, AGENT, &[("a", "f1"), ("a", "f2")]);
    let frameworks: BTreeSet<_> = world
        .run()
        .grants
        .into_iter()
        .map(|grant| grant.framework)
        .collect();
    assert_eq!(frameworks.len(), 2);
}

#[test]
fn what_inactive_frameworks_have_counts_for_their_role() {
    let mut world = World::new(2, AGENT, &[("a", "f1"), ("b", "f2")]);
    world.total += &Quantities::parse("cpus:16").unwrap();
    world.roles.get_mut("a").unwrap().allocated = Quantities::parse("cpus:16").unwrap();
    assert_eq!(world.agents_by_role(), counts([("b", 2)]));

    // Roles without any framework count for those above them.
    let mut world = World::new(2, AGENT, &[("a/x", "f1"), ("b", "f2")]);
    world.total += &Quantities::parse("cpus:16").unwrap();
    let gone = RoleDemand {
        allocated: Quantities::parse("cpus:16").unwrap(),
        ..Default::default()
    };
    world.roles.insert("a/gone".into(), gone);
    assert_eq!(world.agents_by_role(), counts([("b", 2)]));
}

#[test]
fn equal_shares_take_turns_by_grants() {
    let mut world = World::new(1, AGENT, &[("a", "f1"), ("b", "f2")]);
    world.roles.get_mut("a").unwrap().grants = 1;
    assert_eq!(world.run().grants[0].framework, "f2");
}

#[test]
fn excluded_names_do_not_count() {
    let mut world = World::new(1, AGENT, &[("a", "f1"), ("b", "f2")]);
    world.roles.get_mut("a").unwrap().allocated = Quantities::parse("mem:512").unwrap();
    assert_eq!(world.run().grants[0].framework, "f2");
    world.options.excluded_from_shares.insert("mem".into());
    assert_eq!(world.run().grants[0].framework, "f1");
}

#[test]
fn reservations_go_to_their_role_and_those_below() {
    let all = "cpus:1;cpus(a):2;cpus(a/x):4";
    let granted = |role: &str| {
        let world = World::new(1, all, &[(role, "f")]);
        world
            .run()
            .grants
            .first()
            .map(|grant| grant.resources.cpus().to_f64())
    };
    assert_eq!(granted("a"), Some(3.0));
    assert_eq!(granted("a/x"), Some(7.0));
    assert_eq!(granted("a/x/y"), Some(7.0));
    assert_eq!(granted("b"), Some(1.0));
    assert_eq!(granted("*"), Some(1.0));

    let world = World::new(1, "cpus(a):2", &[("b", "f")]);
    let allocation = world.run();
    assert_eq!(allocation.grants, []);
    let tally = allocation.tallies[&("b".into(), "f".into())];
    assert_eq!(
        tally.reasons().collect::<Vec<_>>(),
        [(Reason::ReservedToOthers, 1)]
    );
}

#[test]
fn what_the_first_may_not_have_goes_to_the_next() {
    let world = World::new(1, "cpus:1;mem:64;cpus(b):2", &[("a", "f1"), ("b", "f2")]);
    let grants = world.run().grants;
    assert_eq!(grants.len(), 2);
    let resources =
        |text: &str, role: &str| Resources::parse(text, "*").unwrap().allocated_to(role);
    assert_eq!(grants[0].resources, resources("cpus:1;mem:64", "a"));
    assert_eq!(grants[1].resources, resources("cpus(b):2", "b"));
}

#[test]
fn a_framework_with_two_roles_gets_an_offer_in_each() {
    let mut world = World::new(1, "cpus(a):1;cpus(b):1", &[("a", "f"), ("b", "f")]);
    assert_eq!(world.agents_by_role(), counts([("a", 1), ("b", 1)]));
}

#[test]
fn agents_with_gpus_are_kept_for_those_who_ask() {
    let mut world = World::new(0, "", &[("a", "f")]);
    world.agent("cpus:1;mem:64;gpus:1").has_gpus = true;
    let allocation = world.run();
    assert_eq!(allocation.grants, []);
    let tally = allocation.tallies[&("a".into(), "f".into())];
    assert_eq!(tally.refused(Reason::GpuAgent), 1);

    world.options.filter_gpu_resources = false;
    assert_eq!(
        world.run().grants[0].resources.gpus(),
        Scalar::from_units(1)
    );
    world.options.filter_gpu_resources = true;
    world.framework("a", "f").capabilities.gpu_resources = true;
    assert_eq!(world.run().grants.len(), 1);
}

#[test]
fn agents_that_cannot_be_received() {
    let reason = |change: &dyn Fn(&mut World)| {
        let mut world = World::new(1, AGENT, &[("a/b", "f")]);
        change(&mut world);
        let allocation = world.run();
        assert_eq!(allocation.grants, []);
        let tally = allocation.tallies[&("a/b".into(), "f".into())];
        tally
            .reasons()
            .map(|(reason, _)| reason)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        reason(&|world| world.agents[0].is_remote = true),
        [Reason::RemoteAgent]
    );
    let old = AgentCapabilities {
        multi_role: true,
        ..Default::default()
    };
    assert_eq!(
        reason(&|world| world.agents[0].capabilities = old),
        [Reason::AgentLacksHierarchicalRole]
    );
    let multi_role = |world: &mut World| {
        world.agents[0].capabilities = AgentCapabilities::default();
        world.framework("a/b", "f").capabilities.multi_role = true;
    };
    assert_eq!(reason(&multi_role), [Reason::AgentLacksMultiRole]);
    let poor = |world: &mut World| {
        world.agents[0].available = Resources::parse("cpus:0.005;mem:16", "*").unwrap();
    };
    assert_eq!(reason(&poor), [Reason::BelowMinimum]);
}

#[test]
fn only_what_the_framework_understands() {
    let volume = r#"[{"name":"disk","type":"SCALAR","scalar":{"value":10},
        "reservations":[{"type":"STATIC","role":"a"}],"shared":{},
        "disk":{"persistence":{"id":"v"},"volume":{"container_path":"d","mode":"RW"}}}]"#;
    let revocable = r#"[{"name":"cpus","type":"SCALAR","scalar":{"value":4},"revocable":{}}]"#;
    let plain = Resources::parse("cpus:1;mem:64", "*").unwrap();
    let refined: Resources = Resources::parse("mem:32", "*")
        .unwrap()
        .iter()
        .map(|entry: &Resource| {
            let stack = [Reservation::fixed("a"), Reservation::dynamic("a/b", None)];
            entry.with_reservations(&stack)
        })
        .collect();
    let mut all = &plain + &refined;
    all += &Resources::parse(volume, "*").unwrap();
    all += &Resources::parse(revocable, "*").unwrap();

    let mut world = World::new(0, "", &[("a/b", "f")]);
    world.agent("").available = all.clone();
    assert_eq!(world.run().grants[0].resources, plain.allocated_to("a/b"));
    world.framework("a/b", "f").capabilities = everything();
    assert_eq!(world.run().grants[0].resources, all.allocated_to("a/b"));

    world.framework("a/b", "f").capabilities = Capabilities::default();
    world.agents[0].available = Resources::parse(revocable, "*").unwrap();
    let tally = world.run().tallies[&("a/b".into(), "f".into())];
    assert_eq!(tally.refused(Reason::NotUnderstood), 1);
}

#[test]
fn a_framework_sets_its_own_minimum() {
    let mut world = World::new(1, "cpus:1;mem:64", &[("a", "f")]);
    let minimum = |text: &str| Some(vec![Quantities::parse(text).unwrap()]);
    world.framework("a", "f").min_allocatable = minimum("cpus:1;mem:65");
    assert_eq!(world.run().grants, []);
    world.framework("a", "f").min_allocatable = minimum("cpus:1;mem:64");
    assert_eq!(world.run().grants.len(), 1);

    let mut world = World::new(1, "disk:1", &[("a", "f")]);
    assert_eq!(world.run().grants, []);
    world.framework("a", "f").min_allocatable = Some(Vec::new());
    assert_eq!(world.run().grants.len(), 1);
}

#[test]
fn the_rest_is_told_to_be_used_up() {
    let world = World::new(3, AGENT, &[("a", "f1"), ("b", "f2")]);
    let allocation = world.run();
    assert_eq!(allocation.agents, 3);
    let nothing_left: u32 = allocation
        .tallies
        .values()
        .map(|tally| tally.refused(Reason::NothingLeft))
        .sum();
    assert_eq!(nothing_left, 3);
}

#[test]
fn without_demand_or_supply_nothing_happens() {
    assert_eq!(World::new(3, AGENT, &[]).run().grants, []);
    assert_eq!(World::new(0, AGENT, &[("a", "f")]).run().grants, []);
    let deep = "x/".repeat(20_000) + "x";
    let mut world = World::new(1, AGENT, &[(&deep, "f")]);
    assert_eq!(world.agents_by_role(), counts([(deep.as_str(), 1)]));
}
