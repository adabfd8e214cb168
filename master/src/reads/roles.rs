//! Roles in use: who is in them, what they hold.

use std::collections::{BTreeMap, BTreeSet};

use caprock_model::role::ancestors;
use caprock_model::{FrameworkId, Quantities, Resources, Role};
use caprock_proto::mesos::v1;
use caprock_proto::mesos::v1::master::response::GetRoles;

use super::Snapshot;

/// Resources that GET_ROLES counts.
const COUNTED: [&str; 4] = ["cpus", "mem", "disk", "gpus"];

/// What one role has; but for the frameworks, with the roles below it (Mesos:
/// RoleResourceBreakdown in src/master/readonly_handler.cpp).
#[derive(Debug, Clone, Default)]
pub struct RoleUse {
    /// Those that have subscribed in this very role.
    pub frameworks: BTreeSet<FrameworkId>,
    pub allocated: Resources,
    pub offered: Resources,
    pub reserved: Resources,
}

impl RoleUse {
    /// What counts against its quota as operators see it: reservations, and what else is in
    /// use and not revocable.
    pub fn consumed(&self) -> Quantities {
        self.reserved.quantities() + &charged(&self.allocated)
    }

    /// The same as the allocator sees it: what is offered counts as well.
    pub fn consumed_with_offers(&self) -> Quantities {
        self.consumed() + &charged(&self.offered)
    }

    /// What is in use or offered, and not revocable.
    pub fn offered_or_allocated(&self) -> Quantities {
        let held = &self.allocated + &self.offered;
        held.non_revocable().quantities()
    }

    fn add(&mut self, below: &RoleUse) {
        self.allocated += &below.allocated;
        self.offered += &below.offered;
        self.reserved += &below.reserved;
    }
}

fn charged(resources: &Resources) -> Quantities {
    resources.unreserved().non_revocable().quantities()
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
    let registry = &snapshot.registry;
    let quotas = registry.quotas().map(|(role, _)| role);
    for role in quotas.chain(registry.weights().map(|(role, _)| role)) {
        uses.entry(role.clone()).or_default();
    }
    for (role, own) in uses.clone() {
        for ancestor in ancestors(role.as_str()) {
            uses.entry(Role::from(ancestor)).or_default().add(&own);
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
            weight: snapshot.registry.weight(&role),
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
