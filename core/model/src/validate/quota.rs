//! What operators ask for roles: quotas and weights (Mesos: src/master/quota.cpp,
//! src/master/quota_handler.cpp, src/master/weights_handler.cpp).

use std::collections::{BTreeMap, BTreeSet};

use caprock_proto::mesos::v1::WeightInfo;
use caprock_proto::mesos::v1::quota::{QuotaConfig, QuotaRequest};
use caprock_proto::mesos::v1::value::{self, Type};

use super::{Prefixed, Validity, ensure, resources};
use crate::resources::Scalar;
use crate::role;

/// One exabyte in MB: the most that `mem` and `disk` may be.
const EXABYTE: f64 = (1_u64 << 40) as f64;
/// The most that anything else may be.
const TRILLION: f64 = 1e12;

type Amounts = BTreeMap<String, value::Scalar>;

/// Whether all configs of UPDATE_QUOTA are valid; `is_known` says which roles there may be.
pub fn quota_configs(configs: &[QuotaConfig], is_known: impl Fn(&str) -> bool) -> Validity {
    let mut roles = BTreeSet::new();
    for config in configs {
        let role = config.role.as_str();
        ensure(
            is_known(role),
            format!("Invalid QuotaConfig: '{role}' is not on the roles whitelist"),
        )?;
        ensure(
            !role.contains('/'),
            format!("Updating quota on nested role '{role}' is not supported yet"),
        )?;
        role::validate(role).prefixed("Invalid QuotaConfig: Invalid 'QuotaConfig.role': ")?;
        ensure(
            roles.insert(role),
            format!("Invalid QuotaConfig: role '{role}' appears more than once"),
        )?;
        quota_config(config).prefixed("Invalid QuotaConfig: ")?;
    }
    Ok(())
}

/// Whether guarantees and limits are, and fit together.
fn quota_config(config: &QuotaConfig) -> Validity {
    let QuotaConfig {
        guarantees, limits, ..
    } = config;
    not_too_large(guarantees).prefixed("Invalid 'QuotaConfig.guarantees': ")?;
    not_too_large(limits).prefixed("Invalid 'QuotaConfig.limits': ")?;
    for (kind, amounts) in [("guarantee", guarantees), ("limit", limits)] {
        for (name, amount) in amounts {
            scalar(amount.value).prefixed(&format!(
                "Invalid {kind} configuration {}: ",
                entry(name, amount)
            ))?;
        }
    }
    let within = |(name, guarantee): (&String, &value::Scalar)| {
        let limit = limits.get(name);
        limit.is_none_or(|limit| Scalar::from(guarantee.value) <= Scalar::from(limit.value))
    };
    ensure(
        guarantees.iter().all(within),
        format!(
            "'QuotaConfig.guarantees' {} is not contained within the 'QuotaConfig.limits' {}",
            text(guarantees),
            text(limits)
        ),
    )
}

fn not_too_large(amounts: &Amounts) -> Validity {
    for (name, amount) in amounts {
        let (most, called) = match name.as_str() {
            "mem" | "disk" => (EXABYTE, "1 exabyte"),
            _ => (TRILLION, "1 trillion"),
        };
        ensure(
            amount.value.partial_cmp(&most) != Some(std::cmp::Ordering::Greater),
            format!(
                "{} is invalid: values greater than {called} ({most}) are not supported",
                entry(name, amount)
            ),
        )?;
    }
    Ok(())
}

fn scalar(value: f64) -> Validity {
    ensure(
        value.is_finite() || value.is_nan(),
        "Infinite values not supported",
    )?;
    ensure(!value.is_nan(), "NaN not supported")?;
    ensure(!value.is_subnormal(), "Subnormal values not supported")?;
    ensure(value >= 0.0, "Negative values not supported")?;
    let kept = value == 0.0 || Scalar::from(value) > Scalar::ZERO;
    ensure(kept, "Values that round to zero are not supported")
}

fn entry(name: &str, amount: &value::Scalar) -> String {
    format!("{{'{name}': {}}}", amount.value)
}

fn text(amounts: &Amounts) -> String {
    let entries: Vec<_> = amounts
        .iter()
        .map(|(name, amount)| format!("'{name}': {}", amount.value))
        .collect();
    format!("{{{}}}", entries.join(", "))
}

/// Whether a request of SET_QUOTA is valid.
pub fn quota_request(request: &QuotaRequest, is_known: impl Fn(&str) -> bool) -> Validity {
    const PREFIX: &str = "Failed to validate set quota request: ";

    for resource in &request.guarantee {
        resources::resource(resource)
            .prefixed("QuotaInfo with invalid resource: ")
            .prefixed(PREFIX)?;
    }
    quota_info(request).prefixed(PREFIX)?;
    let role = request.role();
    ensure(is_known(role), format!("{PREFIX}Unknown role '{role}'"))?;
    ensure(
        !role.contains('/'),
        format!("Setting quota on nested role '{role}' is not supported yet"),
    )
}

fn quota_info(request: &QuotaRequest) -> Validity {
    ensure(request.role.is_some(), "QuotaInfo must specify a role")?;
    role::validate(request.role()).prefixed("QuotaInfo with invalid role: ")?;
    ensure(
        request.role() != role::ANY,
        "QuotaInfo must not specify the default '*' role",
    )?;
    ensure(
        !request.guarantee.is_empty(),
        "QuotaInfo with empty 'guarantee'",
    )?;
    let mut names = BTreeSet::new();
    for resource in &request.guarantee {
        let reserved = !resource.reservations.is_empty()
            || resource.reservation.is_some()
            || resource
                .role
                .as_deref()
                .is_some_and(|role| role != role::ANY);
        ensure(!reserved, "QuotaInfo must not contain any ReservationInfo")?;
        ensure(
            resource.disk.is_none(),
            "QuotaInfo must not contain DiskInfo",
        )?;
        ensure(
            resource.revocable.is_none(),
            "QuotaInfo must not contain RevocableInfo",
        )?;
        ensure(
            resource.r#type() == Type::Scalar,
            "QuotaInfo must not include non-scalar resources",
        )?;
        let name = resource.name.as_str();
        ensure(
            names.insert(name),
            format!("QuotaInfo contains duplicate resource name '{name}'"),
        )?;
    }
    Ok(())
}

/// The config that a request of SET_QUOTA means: its guarantee is its limit as well.
pub fn config_of_request(request: &QuotaRequest) -> QuotaConfig {
    let amount = |resource: &caprock_proto::mesos::v1::Resource| {
        let scalar = resource.scalar.unwrap_or_default();
        (resource.name.clone(), scalar)
    };
    let amounts: Amounts = request.guarantee.iter().map(amount).collect();
    QuotaConfig {
        role: request.role().to_owned(),
        guarantees: amounts.clone(),
        limits: amounts,
    }
}

/// Whether weights are valid; spaces around a role do not count.
pub fn weights(infos: &[WeightInfo], is_known: impl Fn(&str) -> bool) -> Validity {
    const PREFIX: &str = "Failed to validate update weights request JSON";

    for info in infos {
        let (role, weight) = (info.role().trim(), info.weight);
        role::validate(role).prefixed(&format!("{PREFIX}: Invalid role '{role}': "))?;
        ensure(is_known(role), format!("{PREFIX}: Unknown role '{role}'"))?;
        ensure(
            weight.is_finite() && weight > 0.0,
            format!(
                "{PREFIX} for role '{role}': Invalid weight '{weight}': Weights must be positive"
            ),
        )?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Resources;

    fn config(role: &str, guarantees: &[(&str, f64)], limits: &[(&str, f64)]) -> QuotaConfig {
        let amounts = |amounts: &[(&str, f64)]| {
            let amount =
                |(name, value): &(&str, f64)| ((*name).to_owned(), value::Scalar { value: *value });
            amounts.iter().map(amount).collect()
        };
        QuotaConfig {
            role: role.to_owned(),
            guarantees: amounts(guarantees),
            limits: amounts(limits),
        }
    }

    fn check(config: QuotaConfig) -> Validity {
        quota_configs(&[config], |role| role != "unknown")
    }

    #[test]
    fn roles_of_configs() {
        assert_eq!(check(config("eng", &[], &[])), Ok(()));
        assert_eq!(check(config("*", &[], &[("cpus", 1.0)])), Ok(()));
        for (role, expected) in [
            (
                "unknown",
                "Invalid QuotaConfig: 'unknown' is not on the roles whitelist",
            ),
            (
                "a/b",
                "Updating quota on nested role 'a/b' is not supported yet",
            ),
            (
                "-a",
                "Invalid QuotaConfig: Invalid 'QuotaConfig.role': Role component '-a' is invalid \
                 because it starts with a dash",
            ),
        ] {
            assert_eq!(check(config(role, &[], &[])), Err(expected.to_owned()));
        }
        let twice = [config("a", &[], &[]), config("a", &[], &[])];
        assert!(quota_configs(&twice, |_| true).is_err());
    }

    #[test]
    fn amounts_of_configs() {
        let good: [(&[_], &[_]); 4] = [
            (&[("cpus", 1.0)], &[("cpus", 1.0), ("mem", 0.0)]),
            (&[("cpus", 0.0)], &[]),
            (&[("mem", EXABYTE)], &[("x", TRILLION)]),
            (&[("cpus", 1.0001)], &[("cpus", 1.0)]),
        ];
        for (guarantees, limits) in good {
            assert_eq!(check(config("a", guarantees, limits)), Ok(()));
        }
        let bad = [
            f64::NAN,
            f64::INFINITY,
            -1.0,
            0.0001,
            f64::MIN_POSITIVE / 2.0,
            2e12,
        ];
        for value in bad {
            for wrong in [
                config("a", &[("cpus", value)], &[]),
                config("a", &[], &[("cpus", value)]),
            ] {
                assert!(check(wrong).is_err(), "{value}");
            }
        }
        assert_eq!(
            check(config("a", &[("cpus", 2.0)], &[("cpus", 1.5)])),
            Err(
                "Invalid QuotaConfig: 'QuotaConfig.guarantees' {'cpus': 2} is not contained \
                 within the 'QuotaConfig.limits' {'cpus': 1.5}"
                    .to_owned()
            )
        );
        let zettabyte = check(config("a", &[], &[("mem", 1e15)])).unwrap_err();
        assert!(zettabyte.contains("values greater than 1 exabyte (1099511627776)"));
    }

    fn request(role: &str, guarantee: &str) -> QuotaRequest {
        QuotaRequest {
            role: Some(role.to_owned()),
            guarantee: Resources::parse(guarantee, "*").unwrap().to_protos(),
            force: None,
        }
    }

    #[test]
    fn requests_of_the_old_form() {
        let check = |request: &QuotaRequest| quota_request(request, |role| role != "unknown");
        let good = request("eng", "cpus:1;mem:64");
        assert_eq!(check(&good), Ok(()));
        let config = config_of_request(&good);
        assert_eq!(config.guarantees, config.limits);
        assert_eq!(config.guarantees["mem"].value, 64.0);
        for (bad, expected) in [
            (request("*", "cpus:1"), "must not specify the default '*'"),
            (request("eng", ""), "empty 'guarantee'"),
            (request("eng", "ports:[1-2]"), "non-scalar"),
            (request("eng", "cpus(eng):1"), "ReservationInfo"),
            (request("unknown", "cpus:1"), "Unknown role 'unknown'"),
            (request("a/b", "cpus:1"), "nested role 'a/b'"),
            (QuotaRequest::default(), "must specify a role"),
        ] {
            let error = check(&bad).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
        let mut twice = good.clone();
        twice.guarantee.extend(good.guarantee);
        assert!(check(&twice).unwrap_err().contains("duplicate resource"));
    }

    #[test]
    fn weights_are_positive_numbers_of_known_roles() {
        let info = |role: &str, weight| WeightInfo {
            role: Some(role.to_owned()),
            weight,
        };
        let check = |info| weights(&[info], |role| role != "unknown");
        assert_eq!(check(info(" a/b ", 0.1)), Ok(()));
        assert_eq!(
            check(info("a", 0.0)),
            Err(
                "Failed to validate update weights request JSON for role 'a': Invalid weight \
                 '0': Weights must be positive"
                    .to_owned()
            )
        );
        for (role, weight) in [("a", -1.0), ("a", f64::NAN), ("", 1.0), ("unknown", 1.0)] {
            assert!(check(info(role, weight)).is_err(), "{role} {weight}");
        }
    }
}
