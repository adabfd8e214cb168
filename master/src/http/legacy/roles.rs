//! `/roles`.

use caprock_model::Role;
use caprock_registry::Registry;
use serde_json::{Value, json};

use super::resources;
use crate::reads::{Snapshot, role_uses};

/// Each role that may be seen with its weight, quota and use.
pub fn roles(
    snapshot: &Snapshot,
    whitelist: Option<&[String]>,
    may_see: impl Fn(&str) -> bool,
) -> Value {
    let registry = &snapshot.registry;
    let roles = role_uses(snapshot, whitelist)
        .into_iter()
        .filter(|(role, _)| may_see(role))
        .map(|(role, used)| {
            let held = &used.allocated + &used.offered;
            let (guarantee, limit) = quota(registry, &role);
            json!({
                "name": role.as_str(),
                "weight": registry.weight(&role),
                "quota": {
                    "role": role.as_str(),
                    "guarantee": guarantee,
                    "limit": limit,
                    "consumed": resources::quantities(&used.consumed()),
                },
                "resources": resources::quantities(&held.quantities()),
                "allocated": resources::quantities(&used.allocated.quantities()),
                "offered": resources::quantities(&used.offered.quantities()),
                "reserved": resources::quantities(&used.reserved.quantities()),
                "frameworks": used.frameworks.iter().map(|id| id.as_str()).collect::<Vec<_>>(),
            })
        });
    json!({"roles": roles.collect::<Vec<_>>()})
}

/// Guarantees and limits of a role; a limit of zero is shown.
fn quota(registry: &Registry, role: &Role) -> (Value, Value) {
    let Some(quota) = registry.quota(role) else {
        return (json!({}), json!({}));
    };
    let limits = quota.limits.iter();
    let limits = limits.map(|(name, limit)| (name.to_string(), limit.to_f64().into()));
    (
        resources::quantities(&quota.guarantees),
        Value::Object(limits.collect()),
    )
}
