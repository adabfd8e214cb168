//! Operators set quotas and weights.

use caprock_proto::caprock::registry::{UpdateQuotas, UpdateWeights};

use crate::Registry;
use crate::outcome::{Outcome, Rejection};

/// Replaces the quotas of the roles that are named, all or none.
pub(super) fn update_quotas(
    registry: &mut Registry,
    update: &UpdateQuotas,
) -> Result<Outcome, Rejection> {
    if update.configs.iter().any(|config| config.role.is_empty()) {
        return Err(Rejection::Malformed("quota without a role".to_owned()));
    }
    registry.check_quotas(update)?;
    for config in &update.configs {
        registry.put_quota(config);
    }
    Ok(Outcome::Applied)
}

/// Sets the weights of the roles that are named, all or none.
pub(super) fn update_weights(
    registry: &mut Registry,
    update: &UpdateWeights,
) -> Result<Outcome, Rejection> {
    for info in &update.weight_infos {
        let positive = info.weight.is_finite() && info.weight > 0.0;
        if info.role().is_empty() || !positive {
            let text = format!("weight {} of role '{}'", info.weight, info.role());
            return Err(Rejection::Malformed(text));
        }
    }
    for info in &update.weight_infos {
        registry.put_weight(info);
    }
    Ok(Outcome::Applied)
}

#[cfg(test)]
mod tests {
    use caprock_model::{Quantities, Role};
    use caprock_proto::caprock::registry::entry::Command;
    use caprock_proto::caprock::registry::update_quotas::Presence;

    use super::*;
    use crate::testing::{
        Cluster, FINISHED, quota_config, task, unreachable, update_quotas, update_weights,
    };

    fn checked(update: UpdateQuotas) -> Command {
        Command::UpdateQuotas(UpdateQuotas {
            within_capacity: true,
            within_limits: true,
            ..update
        })
    }

    fn plain(update: UpdateQuotas) -> Command {
        Command::UpdateQuotas(update)
    }

    #[test]
    fn a_quota_is_set_replaced_and_removed() {
        let role = Role::from("eng");
        let mut cluster = Cluster::with_agent_and_framework();
        cluster.done(plain(update_quotas(&[("eng", "cpus:1", "cpus:2")])));
        cluster.done(plain(update_quotas(&[("eng", "", "cpus:3")])));
        let quota = cluster.registry.quota(&role).unwrap();
        assert!(quota.guarantees.is_empty());
        assert_eq!(quota.limits.len(), 1);
        cluster.done(plain(update_quotas(&[("eng", "", "")])));
        assert!(cluster.registry.has_no_quota());
    }

    #[test]
    fn all_guarantees_together_fit_unless_forced() {
        let mut cluster = Cluster::with_agent_and_framework();
        cluster.done(checked(update_quotas(&[("a", "cpus:3", "")])));
        let more = update_quotas(&[("b", "cpus:1", ""), ("c", "cpus:0.5;gpus:1", "")]);
        assert_eq!(
            cluster.rejected(checked(more.clone())),
            Rejection::QuotaExceedsCapacity {
                guarantees: "cpus:4.5; gpus:1".to_owned(),
                capacity: "cpus:4; mem:1024".to_owned(),
            }
        );
        cluster.done(plain(more));
        assert_eq!(cluster.registry.quotas().count(), 3);
        // Lowering another one replaces what it had.
        cluster.done(checked(update_quotas(&[
            ("a", "cpus:1", ""),
            ("c", "", "cpus:9"),
        ])));
    }

    #[test]
    fn unreachable_agents_are_no_capacity() {
        let mut cluster = Cluster::with_agent_and_framework();
        cluster.apply(unreachable("a1"));
        let refused = cluster.rejected(checked(update_quotas(&[("a", "cpus:1", "")])));
        let capacity = "{}".to_owned();
        let guarantees = "cpus:1".to_owned();
        assert_eq!(
            refused,
            Rejection::QuotaExceedsCapacity {
                guarantees,
                capacity
            }
        );
    }

    #[test]
    fn limits_below_what_a_role_has_need_force() {
        let mut cluster = Cluster::with_running_task();
        let tight = update_quotas(&[("eng", "", "cpus:0.5")]);
        assert_eq!(
            cluster.rejected(checked(tight.clone())),
            Rejection::QuotaBelowUse {
                role: "eng".into(),
                consumed: "cpus:1; mem:128".to_owned(),
                limits: "cpus:0.5".to_owned(),
            }
        );
        cluster.done(checked(update_quotas(&[("eng", "", "cpus:1")])));
        cluster.done(plain(tight.clone()));
        cluster.update("t1", FINISHED, "u2", FINISHED);
        assert!(cluster.registry.consumed_quota(&"eng".into()).is_empty());
        cluster.done(checked(tight));
    }

    #[test]
    fn roles_below_and_reservations_count() {
        let mut cluster = Cluster::with_agent_and_framework();
        cluster.done(crate::testing::admit_with(
            "a2",
            "cpus(eng/web):2;cpus(ops):1;cpus:1",
        ));
        cluster.launch("f1", "a2", vec![task("t1", "cpus:1")]);
        let consumed = |role: &str| cluster.registry.consumed_quota(&role.into());
        let cpus = |amount: &str| Quantities::parse(amount).unwrap();
        assert_eq!(consumed("eng"), cpus("cpus:3"));
        assert_eq!(consumed("eng/web"), cpus("cpus:2"));
        assert_eq!(consumed("ops"), cpus("cpus:1"));
        assert_eq!(consumed("en"), Quantities::new());
    }

    #[test]
    fn presence_is_checked_and_nothing_is_done_by_half() {
        let mut cluster = Cluster::new();
        let set = |presence: Presence, roles: &[&str]| {
            let configs = roles.iter().map(|role| quota_config(role, "", "cpus:1"));
            Command::UpdateQuotas(UpdateQuotas {
                configs: configs.collect(),
                presence: presence.into(),
                ..UpdateQuotas::default()
            })
        };
        cluster.done(set(Presence::Absent, &["a"]));
        assert_eq!(
            cluster.rejected(set(Presence::Absent, &["b", "a"])),
            Rejection::QuotaExists("a".into())
        );
        assert_eq!(
            cluster.rejected(set(Presence::Present, &["a", "b"])),
            Rejection::NoQuota("b".into())
        );
        cluster.done(set(Presence::Present, &["a"]));
        let nameless = cluster.rejected(set(Presence::Any, &["c", ""]));
        assert!(matches!(nameless, Rejection::Malformed(_)));
        assert_eq!(cluster.registry.quotas().count(), 1);
    }

    #[test]
    fn weights_are_positive() {
        let mut cluster = Cluster::new();
        assert_eq!(cluster.registry.weight(&"a".into()), 1.0);
        cluster.done(update_weights(&[("a", 2.5), ("b/c", 0.5)]));
        cluster.done(update_weights(&[("a", 3.0)]));
        for bad in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            let refused = cluster.rejected(update_weights(&[("b", 2.0), ("a", bad)]));
            assert!(matches!(refused, Rejection::Malformed(_)), "{bad}");
        }
        let weights: Vec<_> = cluster.registry.weights().collect();
        assert_eq!(weights, [(&"a".into(), 3.0), (&"b/c".into(), 0.5)]);
    }
}
