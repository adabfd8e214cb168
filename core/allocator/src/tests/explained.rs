//! What a framework is told about its offers.

use super::*;
use crate::{Explanation, Verdict, explain};

fn ask(world: &World, role: &str, framework: &str) -> Option<Explanation> {
    explain(
        &world.request(),
        &Default::default(),
        &world.refused,
        &role.into(),
        &framework.into(),
    )
}

#[test]
fn agent_by_agent() {
    let mut world = World::new(2, "cpus:4;mem:64", &[("a", "f1"), ("b", "f2")]);
    world.agent("cpus(b):1");
    world.agent("");
    world.refused.insert(("f1".into(), "S0".into()));
    let explanation = ask(&world, "a", "f1").unwrap();
    let verdict = |agent: &str| explanation.agents.get(agent).cloned();
    assert_eq!(verdict("S0"), Some(Verdict::Refused(Reason::Filtered)));
    assert_eq!(
        verdict("S2"),
        Some(Verdict::Refused(Reason::ReservedToOthers))
    );
    assert_eq!(verdict("S3"), None);
    let granted = matches!(verdict("S1"), Some(Verdict::Granted(_)));
    let nothing_left = verdict("S1") == Some(Verdict::Refused(Reason::NothingLeft));
    assert!(granted || nothing_left);
    assert_eq!(explanation.tally.granted, u32::from(granted));
    assert!(ask(&world, "a", "f2").is_none());
    assert!(ask(&world, "c", "f1").is_none());
}

#[test]
fn shares_and_quota() {
    let mut world = World::new(2, "cpus:4;mem:64", &[("a/x", "f1"), ("a", "f2")]);
    world.quota("a", "cpus:3", &[("mem", 64)]);
    world.weight("a", 2.0);
    world.allocate(
        "a/x",
        "f1",
        0,
        &Resources::parse("cpus:2;mem:32", "*").unwrap(),
    );
    let explanation = ask(&world, "a/x", "f1").unwrap();
    assert_eq!((explanation.share, explanation.role_share), (0.25, 0.25));
    let explanation = ask(&world, "a", "f2").unwrap();
    assert_eq!((explanation.share, explanation.role_share), (0.0, 0.125));
    assert_eq!(
        explanation.consumed,
        Quantities::parse("cpus:2;mem:32").unwrap()
    );
    assert_eq!(explanation.missing, Quantities::parse("cpus:1").unwrap());
    assert_eq!(explanation.below_limits.len(), 1);
    assert_eq!(
        explanation.below_limits[&"mem".into()],
        Scalar::from_units(32)
    );
}

#[test]
fn what_if_there_were_no_quota() {
    let mut world = World::new(1, "cpus:4;mem:64", &[("a", "f1")]);
    world.quota("b", "cpus:4;mem:64", &[]);
    let refused = ask(&world, "a", "f1").unwrap();
    assert_eq!(
        refused.agents["S0"],
        Verdict::Refused(Reason::QuotaHeadroom)
    );
    world.roles.remove("b");
    let granted = ask(&world, "a", "f1").unwrap();
    assert_eq!(granted.tally.granted, 1);
}
