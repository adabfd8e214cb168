//! What has to hold for every cluster with quota.

use proptest::prelude::*;

use super::*;

const ROLES: [&str; 4] = ["a", "a/x", "b", "c"];
const TOPS: [&str; 3] = ["a", "b", "c"];

/// Guarantee and room above it up to the limit, in processors and memory.
type AnyQuota = Option<(i64, i64, Option<i64>)>;

fn any_quota() -> impl Strategy<Value = AnyQuota> {
    prop::option::of((0i64..6, 0i64..6, prop::option::of(0i64..4)))
}

fn any_world() -> impl Strategy<Value = World> {
    let agent = (
        0u32..5,
        0u32..5,
        prop::sample::select(vec!["(a)", "(b)", ""]),
        0u32..3,
    );
    let agents = prop::collection::vec(agent, 1..8);
    let clients = prop::collection::vec((0..ROLES.len(), 0u8..3), 0..6);
    let quotas = [any_quota(), any_quota(), any_quota()];
    let refused = prop::collection::btree_set((0u8..3, 0u8..8), 0..5);
    (
        agents,
        clients,
        quotas,
        refused,
        any::<bool>(),
        any::<u64>(),
    )
        .prop_map(|(agents, clients, quotas, refused, hold_below, seed)| {
            let mut world = World::default();
            for (cpus, mem, role, reserved) in agents {
                world.agent(&format!("cpus:{cpus};mem:{mem};cpus{role}:{reserved}"));
            }
            for (role, framework) in clients {
                world.framework(ROLES[role], &format!("f{framework}"));
            }
            for (role, quota) in TOPS.iter().zip(quotas) {
                let Some((cpus, mem, room)) = quota else {
                    continue;
                };
                let limits = room.map(|room| [("cpus", cpus + room), ("mem", mem + room)]);
                let limits = limits.iter().flatten().copied().collect::<Vec<_>>();
                world.quota(role, &format!("cpus:{cpus};mem:{mem}"), &limits);
            }
            world.charge_reservations();
            let pair =
                |(framework, agent)| (format!("f{framework}").into(), format!("S{agent}").into());
            world.refused = refused.into_iter().map(pair).collect();
            world.options.min_allocatable = Vec::new();
            world.options.limits_hold_below = hold_below;
            world.options.seed = seed;
            world
        })
}

impl World {
    /// What counts against the quota of a role, with all below it.
    fn consumed(&self, top: &str) -> Quantities {
        let mut consumed = Quantities::new();
        for (role, demand) in &self.roles {
            if role.top_level() == top {
                consumed += &demand.charged;
            }
        }
        consumed
    }

    fn missing(&self) -> Quantities {
        let mut missing = Quantities::new();
        for top in TOPS {
            if let Some(quota) = self.roles.get(top).and_then(|role| role.quota.as_ref()) {
                missing += &(quota.guarantees.clone() - &self.consumed(top));
            }
        }
        missing
    }

    fn free(&self) -> Quantities {
        let mut free = Quantities::new();
        for agent in &self.agents {
            free += &charged(&agent.available);
        }
        free
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn limits_are_never_exceeded(world in any_world()) {
        let grants = world.run_with(&world.refused).grants;
        for top in TOPS {
            let Some(quota) = world.roles.get(top).and_then(|role| role.quota.as_ref()) else {
                continue;
            };
            let is_limited = |grant: &&Grant| {
                grant.role == top
                    || (world.options.limits_hold_below && grant.role.top_level() == top)
            };
            let mut granted = Quantities::new();
            for grant in grants.iter().filter(is_limited) {
                granted += &charged(&grant.resources);
            }
            let before = world.consumed(top);
            for (name, limit) in &quota.limits {
                let room = limit.minus_clamped(before.of(name));
                prop_assert!(granted.of(name) <= room, "{top}: {granted} of {limit} {name}");
            }
        }
    }

    /// Whoever refuses what: what guarantees lack stays free, if it was.
    #[test]
    fn what_guarantees_lack_stays_free(mut world in any_world()) {
        let was_enough = world.free().contains(&world.missing());
        let grants = world.run_with(&world.refused).grants;
        world.count(&grants);
        if was_enough {
            prop_assert!(world.free().contains(&world.missing()));
        }
    }

    #[test]
    fn guarantees_are_met_when_possible(mut world in any_world()) {
        for top in TOPS {
            world.framework(top, "willing");
        }
        let is_possible = world.free().contains(&world.missing());
        let grants = world.run().grants;
        world.count(&grants);
        if is_possible {
            prop_assert!(world.missing().is_empty(), "{}", world.missing());
        }
    }

    #[test]
    fn granted_and_rest_are_what_was_free(world in any_world()) {
        let allocation = world.run_with(&world.refused);
        let mut seen = BTreeSet::new();
        let mut after = world.clone();
        // This fails if more is granted than there is.
        after.count(&allocation.grants);
        for agent in &world.agents {
            let left = after.agents.iter().find(|other| other.id == agent.id).unwrap();
            let mut sum = left.available.clone();
            for grant in allocation.grants.iter().filter(|grant| grant.agent == agent.id) {
                prop_assert!(!grant.resources.is_empty());
                let new = seen.insert((&grant.framework, &grant.role, &grant.agent));
                prop_assert!(new, "one offer is one agent and one role");
                sum += &grant.resources.unallocated();
            }
            prop_assert_eq!(&sum, &agent.available);
        }
        for tally in allocation.tallies.values() {
            let refused: u32 = tally.reasons().map(|(_, agents)| agents).sum();
            prop_assert_eq!(tally.granted + refused, allocation.agents);
        }
    }
}
