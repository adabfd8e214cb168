//! The examples of "Dominant Resource Fairness" (NSDI 2011): frameworks take one task's worth
//! of each offer and give the rest back.

use super::*;

/// Lets the frameworks of roles `A`, `B`, ... launch tasks until no task fits. Answers who
/// launched, in order.
pub(super) fn launch_all(world: &mut World, demands: &[(&str, &str)]) -> Vec<String> {
    let mut launched = Vec::new();
    let tasks: BTreeMap<&str, Resources> = demands
        .iter()
        .map(|(name, task)| (*name, Resources::parse(task, "*").unwrap()))
        .collect();
    loop {
        let allocation = world.run_with(&world.refused);
        let Some(grant) = allocation.grants.first() else {
            return launched;
        };
        let name = grant.role.to_string();
        let task = &tasks[name.as_str()];
        if grant.resources.unallocated().contains(task) {
            world.allocate(&name, &name, 0, task);
            launched.push(name);
        } else {
            // Its task does not fit any more: it declines for good.
            world
                .refused
                .insert((grant.framework.clone(), grant.agent.clone()));
        }
    }
}

pub(super) fn cluster(resources: &str, demands: &[(&str, &str)]) -> World {
    let frameworks: Vec<_> = demands.iter().map(|(name, _)| (*name, *name)).collect();
    let mut world = World::new(1, resources, &frameworks);
    world.options.min_allocatable = Vec::new();
    world
}

pub(super) fn count(launched: &[String], name: &str) -> usize {
    launched.iter().filter(|other| *other == name).count()
}

const PAPER: [(&str, &str); 2] = [("A", "cpus:1;mem:4"), ("B", "cpus:3;mem:1")];

#[test]
fn nine_processors_and_eighteen_gigabytes() {
    let mut world = cluster("cpus:9;mem:18", &PAPER);
    let launched = launch_all(&mut world, &PAPER);
    assert_eq!(launched.concat(), "ABABA");
    let share = |name: &str| world.roles[name].allocated.dominant_share(&world.total);
    assert_eq!(share("A"), 2.0 / 3.0);
    assert_eq!(share("B"), 2.0 / 3.0);
    assert_eq!(
        world.agents[0].available,
        Resources::parse("mem:4", "*").unwrap()
    );
}

#[test]
fn shares_step_by_step() {
    let mut world = cluster("cpus:9;mem:18", &PAPER);
    let mut trace = Vec::new();
    for (name, task) in
        ["A", "B", "A", "B", "A"].map(|name| (name, PAPER[(name == "B") as usize].1))
    {
        assert_eq!(world.run().grants[0].role, name);
        world.allocate(name, name, 0, &Resources::parse(task, "*").unwrap());
        let share = |name: &str| world.roles[name].allocated.dominant_share(&world.total);
        trace.push((share("A"), share("B")));
    }
    let ninths = [(2, 0), (2, 3), (4, 3), (4, 6), (6, 6)];
    let expected = ninths.map(|(a, b)| (f64::from(a) / 9.0, f64::from(b) / 9.0));
    for ((a, b), (c, d)) in trace.into_iter().zip(expected) {
        assert!((a - c).abs() < 1e-12 && (b - d).abs() < 1e-12, "{a} {b}");
    }
}

/// One resource is used up by both alike; more of the other one changes nothing (bottleneck
/// fairness).
#[test]
fn two_users_of_one_bottleneck() {
    for memory in [77, 154] {
        let demands = [("A", "cpus:0.4;mem:0.2"), ("B", "cpus:0.1;mem:0.1")];
        let mut world = cluster(&format!("cpus:77;mem:{memory}"), &demands);
        launch_all(&mut world, &demands);
        let cpus = |name: &str| world.roles[name].allocated.get("cpus").to_f64();
        assert!((cpus("A") - 38.5).abs() <= 0.4, "{}", cpus("A"));
        assert!((cpus("B") - 38.5).abs() <= 0.4, "{}", cpus("B"));
        assert!(world.agents[0].available.cpus() < Scalar(100));
    }
}

#[test]
fn ten_times_as_much() {
    let mut world = cluster("cpus:90;mem:180", &PAPER);
    let launched = launch_all(&mut world, &PAPER);
    assert_eq!((count(&launched, "A"), count(&launched, "B")), (30, 20));
}

#[test]
fn twice_the_weight() {
    let mut world = cluster("cpus:90;mem:180", &PAPER);
    world.weight("A", 2.0);
    let launched = launch_all(&mut world, &PAPER);
    assert_eq!((count(&launched, "A"), count(&launched, "B")), (41, 16));
    let share = |name: &str| world.roles[name].allocated.dominant_share(&world.total);
    assert_eq!((share("A") / 2.0, share("B")), (41.0 / 90.0, 48.0 / 90.0));
}

#[test]
fn three_users() {
    let demands = [
        ("A", "cpus:1;mem:1"),
        ("B", "cpus:2;mem:1"),
        ("C", "cpus:1;mem:3"),
    ];
    let mut world = cluster("cpus:100;mem:100", &demands);
    let launched = launch_all(&mut world, &demands);
    let counts = ["A", "B", "C"].map(|name| count(&launched, name));
    assert_eq!(counts, [40, 21, 13]);
}

#[test]
fn within_a_role_as_between_roles() {
    let frameworks = [("r", "A"), ("r", "B")];
    let mut world = World::new(1, "cpus:9;mem:18", &frameworks);
    world.options.min_allocatable = Vec::new();
    let tasks = PAPER.map(|(name, task)| (name, Resources::parse(task, "*").unwrap()));
    let tasks = BTreeMap::from(tasks);
    let mut launched = String::new();
    while let Some(grant) = world.run_with(&world.refused).grants.into_iter().next() {
        let task = &tasks[grant.framework.as_str()];
        if grant.resources.unallocated().contains(task) {
            world.allocate("r", &grant.framework, 0, task);
            launched.push_str(&grant.framework);
        } else {
            world.refused.insert((grant.framework, grant.agent));
        }
    }
    assert_eq!(launched, "ABABA");
}
