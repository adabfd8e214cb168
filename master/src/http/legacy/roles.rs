//! `/roles`.

use serde_json::{Value, json};

use super::resources;
use crate::reads::{DEFAULT_WEIGHT, Snapshot, role_uses};

/// Each role with its weight, quota and use.
pub fn roles(snapshot: &Snapshot, whitelist: Option<&[String]>) -> Value {
    let roles = role_uses(snapshot, whitelist)
        .into_iter()
        .map(|(role, used)| {
            let held = &used.allocated + &used.offered;
            let consumed = (&used.allocated + &used.reserved.unallocated()).quantities();
            json!({
                "name": role.as_str(),
                "weight": DEFAULT_WEIGHT,
                "quota": {
                    "role": role.as_str(),
                    "guarantee": {},
                    "limit": {},
                    "consumed": resources::quantities(&consumed),
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
