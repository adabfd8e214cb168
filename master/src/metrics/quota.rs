//! Gauges of quotas, by role and resource.

use caprock_model::{Name, Quantities, Scalar};

use super::{Values, put};
use crate::reads::{Snapshot, role_uses};

/// Adds those of all roles that have a quota.
pub fn gauges(snapshot: &Snapshot, values: &mut Values) {
    if snapshot.registry.has_no_quota() {
        return;
    }
    let uses = role_uses(snapshot, None);
    for (role, quota) in snapshot.registry.quotas() {
        let mut set = |name: &Name, what: &str, amount: Scalar| {
            let metric = format!("allocator/mesos/quota/roles/{role}/resources/{name}/{what}");
            put(values, &metric, amount.to_f64());
        };
        for (name, amount) in quota.guarantees.iter() {
            set(name, "guarantee", amount);
        }
        for (name, limit) in &quota.limits {
            set(name, "limit", *limit);
        }
        let (busy, consumed) = uses.get(role).map_or_else(
            || (Quantities::new(), Quantities::new()),
            |used| (used.offered_or_allocated(), used.consumed_with_offers()),
        );
        let limited = quota.limits.keys();
        let guaranteed = quota.guarantees.iter().map(|(name, _)| name);
        for name in guaranteed.chain(limited) {
            set(name, "offered_or_allocated", busy.of(name));
            set(name, "consumed", consumed.of(name));
        }
    }
}
