//! Quotas and weights as the operator API shows them (Mesos: src/master/quota_handler.cpp,
//! src/master/weights_handler.cpp).

use caprock_model::{Quantities, Role};
use caprock_proto::mesos::v1::quota::{QuotaInfo, QuotaStatus};
use caprock_proto::mesos::v1::{self, WeightInfo};
use caprock_registry::Registry;

/// The quotas of the roles that may be seen: in the old form, which knows guarantees only,
/// and in the new one.
pub fn quota_status(registry: &Registry, may_see: impl Fn(&str) -> bool) -> QuotaStatus {
    let seen = registry.quotas().filter(|(role, _)| may_see(role));
    let mut status = QuotaStatus::default();
    for (role, quota) in seen {
        status.infos.push(QuotaInfo {
            role: Some(role.to_string()),
            guarantee: scalars(&quota.guarantees),
            ..QuotaInfo::default()
        });
        status.configs.push(quota.to_config(role));
    }
    status
}

/// The weights that were set, of the roles that may be seen.
pub fn weight_infos(registry: &Registry, may_see: impl Fn(&str) -> bool) -> Vec<WeightInfo> {
    let info = |(role, weight): (&Role, f64)| WeightInfo {
        role: Some(role.to_string()),
        weight,
    };
    let seen = registry.weights().filter(|(role, _)| may_see(role));
    seen.map(info).collect()
}

fn scalars(amounts: &Quantities) -> Vec<v1::Resource> {
    let resource = |(name, amount): (&caprock_model::Name, caprock_model::Scalar)| v1::Resource {
        name: name.to_string(),
        r#type: v1::value::Type::Scalar as i32,
        scalar: Some(v1::value::Scalar {
            value: amount.to_f64(),
        }),
        ..v1::Resource::default()
    };
    amounts.iter().map(resource).collect()
}

#[cfg(test)]
mod tests {
    use caprock_model::Millis;
    use caprock_proto::caprock::registry::entry::Command;
    use caprock_proto::caprock::registry::{UpdateQuotas, UpdateWeights};
    use caprock_proto::mesos::v1::quota::QuotaConfig;
    use caprock_registry::Limits;

    use super::*;

    fn registry() -> Registry {
        let mut registry = Registry::new(Limits::default());
        let amount = |value| [("cpus".to_owned(), v1::value::Scalar { value })].into();
        let config = |role: &str, guarantee| QuotaConfig {
            role: role.to_owned(),
            guarantees: guarantee,
            limits: amount(4.0),
        };
        let quotas = Command::UpdateQuotas(UpdateQuotas {
            configs: vec![config("a", amount(2.0)), config("b", Default::default())],
            ..UpdateQuotas::default()
        });
        let weight = |role: &str, weight| WeightInfo {
            role: Some(role.to_owned()),
            weight,
        };
        let weights = Command::UpdateWeights(UpdateWeights {
            weight_infos: vec![weight("a", 2.0), weight("c", 3.0)],
        });
        for (at, command) in (1..).zip([quotas, weights]) {
            let entry = caprock_registry::entry(Millis(1), command);
            registry.apply(at, &entry).unwrap();
        }
        registry
    }

    #[test]
    fn a_role_with_limits_only_is_in_both_lists() {
        let status = quota_status(&registry(), |_| true);
        assert_eq!((status.infos.len(), status.configs.len()), (2, 2));
        let guarantee = &status.infos[0].guarantee[0];
        assert_eq!(guarantee.scalar.unwrap().value, 2.0);
        assert!(status.infos[1].guarantee.is_empty());
        assert_eq!(status.configs[1].limits["cpus"].value, 4.0);
    }

    #[test]
    fn what_may_not_be_seen_is_left_out() {
        let registry = registry();
        let status = quota_status(&registry, |role| role == "b");
        assert_eq!(status.configs.len(), 1);
        assert_eq!(status.infos[0].role(), "b");
        let weights = weight_infos(&registry, |role| role == "c");
        assert_eq!(weights.len(), 1);
        assert_eq!((weights[0].role(), weights[0].weight), ("c", 3.0));
    }
}
