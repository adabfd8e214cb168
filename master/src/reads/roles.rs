//! Roles in use: who is in them, what they hold.

use std::collections::{BTreeMap, BTreeSet};

use caprock_model::role::ancestors;
use caprock_model::{FrameworkId, Resources, Role};
use caprock_proto::mesos::v1;
use caprock_proto::mesos::v1::master::response::GetRoles;

use super::Snapshot;

/// Weight of a role for which none was configured.
pub const DEFAULT_WEIGHT: f64 = 1.0;
/// Resources that GET_ROLES counts.
const COUNTED: [&str; 4] = ["cpus", "mem", "disk", "gpus"];

/// What one role has.
#[derive(Debug, Clone, Default)]
pub struct RoleUse {
    pub frameworks: BTreeSet<FrameworkId>,
    pub allocated: Resources,
    pub offered: Resources,
    pub reserved: Resources,
}

/// The whitelist if there is one; else every role that something is known of, with its
/// ancestors (Mesos: src/master/master.cpp `Master::knownRoles`).
pub fn role_uses(snapshot: &Snapshot, whitelist: Option<&[String]>) -> BTreeMap<Role, RoleUse> {
    let mut uses: BTreeMap<Role, RoleUse> = BTreeMap::new();
    for framework in snapshot.registry.frameworks() {
        for role in &framework.roles {
            let used = uses.entry(role.clone()).or_default();
            used.frameworks.insert(framework.id.clone());
        }
    }
    for (_, resources) in snapshot.all_used() {
        for (role, allocated) in resources.allocations() {
            uses.entry(role).or_default().allocated += &allocated;
        }
    }
    for (_, resources) in snapshot.all_offered() {
        for (role, offered) in resources.allocations() {
            uses.entry(role).or_default().offered += &offered;
        }
    }
    for agent in snapshot.reachable_agents() {
        for (role, reserved) in agent.total.reservations() {
            uses.entry(role).or_default().reserved += &reserved;
        }
    }
    for role in uses.keys().cloned().collect::<Vec<_>>() {
        for ancestor in ancestors(role.as_str()) {
            uses.entry(Role::from(ancestor)).or_default();
        }
    }
    if let Some(whitelist) = whitelist {
        for role in whitelist {
            uses.entry(Role::from(role.as_str())).or_default();
        }
        uses.retain(|role, _| whitelist.iter().any(|listed| listed == role.as_str()));
    }
    uses
}

/// All roles as GET_ROLES shows them.
pub fn roles(snapshot: &Snapshot, whitelist: Option<&[String]>) -> GetRoles {
    let roles = role_uses(snapshot, whitelist)
        .into_iter()
        .map(|(role, used)| v1::Role {
            name: role.to_string(),
            weight: DEFAULT_WEIGHT,
            frameworks: used.frameworks.iter().map(FrameworkId::to_proto).collect(),
            resources: scalars(&(&used.allocated + &used.offered)),
        });
    GetRoles {
        roles: roles.collect(),
    }
}

fn scalars(resources: &Resources) -> Vec<v1::Resource> {
    let counted = COUNTED.iter().map(|name| (*name, resources.scalar(name)));
    counted
        .filter(|(_, amount)| amount.0 > 0)
        .map(|(name, amount)| v1::Resource {
            name: name.to_owned(),
            r#type: v1::value::Type::Scalar as i32,
            scalar: Some(v1::value::Scalar {
                value: amount.to_f64(),
            }),
            ..v1::Resource::default()
        })
        .collect()
}
