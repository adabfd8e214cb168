//! Quotas and weights: what roles are to have at least and at most, and how they share the
//! rest. Operators set them; the leader's allocator keeps to them
//! (Mesos: src/master/quota.cpp, src/master/weights.cpp).

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use caprock_model::role::is_strict_subrole;
use caprock_model::{Name, Quantities, Role, Scalar};
use caprock_proto::caprock::registry::UpdateQuotas;
use caprock_proto::caprock::registry::update_quotas::Presence;
use caprock_proto::mesos::v1::quota::QuotaConfig;
use caprock_proto::mesos::v1::{WeightInfo, value};

use crate::Registry;
use crate::outcome::Rejection;

/// Weight of a role for which none was set.
pub const DEFAULT_WEIGHT: f64 = 1.0;

/// What a role and the roles below it are to have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Quota {
    /// At least this, if they want it; what is missing is not guaranteed.
    pub guarantees: Quantities,
    /// At most this; what is missing has no limit, and zero is nothing.
    pub limits: BTreeMap<Name, Scalar>,
}

impl Quota {
    /// Whether a role that has this much is within the limits.
    pub fn allows(&self, amounts: &Quantities) -> bool {
        self.limits
            .iter()
            .all(|(name, limit)| amounts.of(name) <= *limit)
    }

    /// Whether it asks for nothing.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// The same as a message, with the role that it is for.
    pub fn to_config(&self, role: &Role) -> QuotaConfig {
        let message = |(name, amount): (&Name, Scalar)| {
            let value = amount.to_f64();
            (name.to_string(), value::Scalar { value })
        };
        let limits = self.limits.iter();
        QuotaConfig {
            role: role.to_string(),
            guarantees: self.guarantees.iter().map(message).collect(),
            limits: limits
                .map(|(name, limit)| message((name, *limit)))
                .collect(),
        }
    }
}

impl From<&QuotaConfig> for Quota {
    fn from(config: &QuotaConfig) -> Self {
        let amount = |(name, amount): (&String, &value::Scalar)| {
            (Name::from(name.as_str()), Scalar::from(amount.value))
        };
        Self {
            guarantees: config.guarantees.iter().map(amount).collect(),
            limits: config.limits.iter().map(amount).collect(),
        }
    }
}

/// Amounts in the alphabetical order of their names, as Mesos writes them.
pub fn amounts_text<'a>(amounts: impl Iterator<Item = (&'a Name, Scalar)>) -> String {
    let mut amounts: Vec<_> = amounts
        .map(|(name, amount)| (name.as_str(), amount))
        .collect();
    amounts.sort_unstable();
    let mut text = String::new();
    for (name, amount) in amounts {
        let separator = if text.is_empty() { "" } else { "; " };
        // Writing to a String cannot fail.
        let _ = write!(text, "{separator}{name}:{amount}");
    }
    match text.is_empty() {
        true => "{}".to_owned(),
        false => text,
    }
}

impl Registry {
    /// The quota of a role.
    pub fn quota(&self, role: &Role) -> Option<&Arc<Quota>> {
        self.quotas.get(role)
    }

    /// The quotas by role.
    pub fn quotas(&self) -> impl Iterator<Item = (&Role, &Arc<Quota>)> {
        self.quotas.iter()
    }

    /// Whether no role has a quota.
    pub fn has_no_quota(&self) -> bool {
        self.quotas.is_empty()
    }

    /// The weight of a role.
    pub fn weight(&self, role: &Role) -> f64 {
        self.weights.get(role).copied().unwrap_or(DEFAULT_WEIGHT)
    }

    /// The weights that were set, by role.
    pub fn weights(&self) -> impl Iterator<Item = (&Role, f64)> {
        self.weights.iter().map(|(role, weight)| (role, *weight))
    }

    /// What is reserved to each role on the agents that are not unreachable.
    pub fn reservations(&self) -> BTreeMap<Role, Quantities> {
        let mut reserved: BTreeMap<Role, Quantities> = BTreeMap::new();
        for agent in self.agents().filter(|agent| agent.is_reachable()) {
            for entry in &agent.total {
                if let (Some(role), Some(amount)) = (entry.reservation_role(), entry.scalar()) {
                    let sum = reserved.entry(role.clone()).or_default();
                    sum.put(entry.name().clone(), amount);
                }
            }
        }
        reserved
    }

    /// What counts against the quota of a role: whatever is reserved to it and to the roles
    /// below it, in use or not, and what they use that is neither reserved nor revocable
    /// (Mesos: RoleResourceBreakdown in src/master/readonly_handler.cpp).
    pub fn consumed_quota(&self, role: &Role) -> Quantities {
        let counts = |other: &Role| other == role || is_strict_subrole(other, role);
        let mut consumed = Quantities::new();
        for (owner, reserved) in &self.reservations() {
            if counts(owner) {
                consumed += reserved;
            }
        }
        for framework in self.frameworks() {
            for (user, charged) in &framework.charged {
                if counts(user) {
                    consumed += charged;
                }
            }
        }
        consumed
    }

    /// What guarantees can be met with: the scalars of all agents that are not unreachable.
    pub fn quota_capacity(&self) -> Quantities {
        let mut capacity = Quantities::new();
        for agent in self.agents().filter(|agent| agent.is_reachable()) {
            capacity += &agent.total.non_revocable().quantities();
        }
        capacity
    }

    /// Whether an update of quotas may be made now.
    pub fn check_quotas(&self, update: &UpdateQuotas) -> Result<(), Rejection> {
        let mut quotas: BTreeMap<Role, Quota> = BTreeMap::new();
        for config in &update.configs {
            let (role, quota) = (Role::from(&config.role), Quota::from(config));
            match (update.presence(), self.quota(&role)) {
                (Presence::Absent, Some(_)) => return Err(Rejection::QuotaExists(role)),
                (Presence::Present, None) => return Err(Rejection::NoQuota(role)),
                (Presence::Any | Presence::Absent | Presence::Present, _) => {}
            }
            if update.within_limits {
                self.check_limits(&role, &quota)?;
            }
            quotas.insert(role, quota);
        }
        if !update.within_capacity {
            return Ok(());
        }
        let untouched = self
            .quotas()
            .filter(|(role, _)| !quotas.contains_key(*role));
        let mut guarantees = Quantities::new();
        for quota in untouched.map(|(_, quota)| &**quota).chain(quotas.values()) {
            guarantees += &quota.guarantees;
        }
        let capacity = self.quota_capacity();
        match capacity.contains(&guarantees) {
            true => Ok(()),
            false => Err(Rejection::QuotaExceedsCapacity {
                guarantees: amounts_text(guarantees.iter()),
                capacity: amounts_text(capacity.iter()),
            }),
        }
    }

    fn check_limits(&self, role: &Role, quota: &Quota) -> Result<(), Rejection> {
        if quota.limits.is_empty() {
            return Ok(());
        }
        let consumed = self.consumed_quota(role);
        match quota.allows(&consumed) {
            true => Ok(()),
            false => Err(Rejection::QuotaBelowUse {
                role: role.clone(),
                consumed: amounts_text(consumed.iter()),
                limits: amounts_text(quota.limits.iter().map(|(name, limit)| (name, *limit))),
            }),
        }
    }

    /// Sets or, if it asks for nothing, removes a quota.
    pub(crate) fn put_quota(&mut self, config: &QuotaConfig) {
        let (role, quota) = (Role::from(&config.role), Quota::from(config));
        match quota.is_default() {
            true => {
                self.quotas.remove_mut(&role);
            }
            false => self.quotas.insert_mut(role, Arc::new(quota)),
        }
    }

    pub(crate) fn put_weight(&mut self, info: &WeightInfo) {
        self.weights
            .insert_mut(Role::from(info.role()), info.weight);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quota_survives_its_message() {
        let quota = Quota {
            guarantees: Quantities::parse("cpus:0.3;mem:5").unwrap(),
            limits: [("cpus".into(), Scalar(300)), ("gpus".into(), Scalar::ZERO)].into(),
        };
        let role = Role::from("eng");
        assert_eq!(Quota::from(&quota.to_config(&role)), quota);
        assert!(!quota.is_default());
    }

    #[test]
    fn a_missing_limit_is_none_and_zero_is_nothing() {
        let quota = Quota {
            limits: [("cpus".into(), Scalar::ZERO)].into(),
            ..Quota::default()
        };
        assert!(quota.allows(&Quantities::parse("mem:1").unwrap()));
        assert!(!quota.allows(&Quantities::parse("cpus:0.001").unwrap()));
    }

    #[test]
    fn amounts_are_written_in_alphabetical_order() {
        let amounts = Quantities::parse("mem:1024;disk:7;cpus:2.5").unwrap();
        assert_eq!(amounts_text(amounts.iter()), "cpus:2.5; disk:7; mem:1024");
        assert_eq!(amounts_text(std::iter::empty()), "{}");
    }
}
