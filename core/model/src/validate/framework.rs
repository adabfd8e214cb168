//! Whether a FrameworkInfo is valid, and what comes with it in a subscription
//! (Mesos: the namespace `framework` of src/master/validation.cpp).

use std::collections::BTreeSet;

use caprock_proto::mesos::v1::{FrameworkInfo, scheduler};

use super::offer_filters::offer_filters;
use super::{Prefixed, Validity, braced, ensure, id};
use crate::capabilities::Capabilities;
use crate::constraints::OfferConstraints;
use crate::framework::roles_of;
use crate::role;
use crate::time::DurationMs;

/// Whether the info is valid by itself: roles, id, offer filters, failover timeout.
pub fn framework(info: &FrameworkInfo) -> Validity {
    roles(info)?;
    if let Some(framework_id) = info.id.as_ref().filter(|id| !id.value.is_empty()) {
        id::id(&framework_id.value)?;
    }
    info.offer_filters.values().try_for_each(offer_filters)?;
    let timeout = info.failover_timeout();
    ensure(
        DurationMs::from_seconds_f64(timeout).is_some(),
        format!("The framework failover_timeout ({timeout}) is invalid"),
    )
}

fn roles(info: &FrameworkInfo) -> Validity {
    if !Capabilities::from(info).multi_role {
        ensure(
            info.roles.is_empty(),
            "'FrameworkInfo.roles' must not be set when the framework is not MULTI_ROLE capable",
        )?;
        return role::validate(info.role()).prefixed("'FrameworkInfo.role' is not a valid role: ");
    }
    ensure(
        info.role.is_none(),
        "'FrameworkInfo.role' must not be set when the framework is MULTI_ROLE capable",
    )?;
    let mut seen = BTreeSet::new();
    let duplicates: BTreeSet<&str> = info
        .roles
        .iter()
        .map(String::as_str)
        .filter(|role| !seen.insert(*role))
        .collect();
    ensure(
        duplicates.is_empty(),
        format!(
            "'FrameworkInfo.roles' contains duplicate items: {}",
            braced(duplicates)
        ),
    )?;
    let valid = info.roles.iter().try_for_each(|role| role::validate(role));
    valid.prefixed("'FrameworkInfo.roles' contains invalid role: ")
}

/// Whether the suppressed roles are roles of the framework.
pub fn suppressed_roles(info: &FrameworkInfo, suppressed: &[String]) -> Validity {
    let roles = roles_of(info);
    let foreign: BTreeSet<&str> = suppressed
        .iter()
        .map(String::as_str)
        .filter(|role| !roles.contains(*role))
        .collect();
    ensure(
        foreign.is_empty(),
        format!(
            "Suppressed roles {} are not contained in the set of roles",
            braced(foreign)
        ),
    )
}

/// Whether constraints are for roles of the framework, and can be evaluated.
pub fn offer_constraints(
    info: &FrameworkInfo,
    constraints: &scheduler::OfferConstraints,
) -> Validity {
    let roles = roles_of(info);
    for role in constraints.role_constraints.keys() {
        // The missing blank is Mesos'.
        ensure(
            roles.contains(role.as_str()),
            format!(
                "Offer constraints specify `role_constraints` for a role '{role}'not contained \
                 in the set of roles"
            ),
        )?;
    }
    OfferConstraints::parse(constraints)
        .map(drop)
        .map_err(|error| format!("Offer constraints are not valid: {error}"))
}

#[cfg(test)]
mod tests {
    use caprock_proto::MesosMessage;

    use super::*;

    fn info(fields: &str) -> FrameworkInfo {
        let comma = if fields.is_empty() { "" } else { "," };
        let json = format!(r#"{{"user":"u","name":"n"{comma}{fields}}}"#);
        FrameworkInfo::from_json(json.as_bytes()).unwrap()
    }

    fn error(fields: &str) -> String {
        framework(&info(fields)).unwrap_err()
    }

    const MULTI: &str = r#""capabilities":[{"type":"MULTI_ROLE"}]"#;

    #[test]
    fn roles_by_capability() {
        assert_eq!(framework(&info("")), Ok(()));
        assert_eq!(framework(&info(r#""role":"eng/web""#)), Ok(()));
        assert_eq!(framework(&info(MULTI)), Ok(()));
        assert_eq!(
            framework(&info(&format!(r#"{MULTI},"roles":["*","a"]"#))),
            Ok(())
        );
        assert_eq!(
            error(r#""roles":["a"]"#),
            "'FrameworkInfo.roles' must not be set when the framework is not MULTI_ROLE capable"
        );
        assert_eq!(
            error(r#""role":"a//b""#),
            "'FrameworkInfo.role' is not a valid role: \
             Role 'a//b' cannot contain two adjacent slashes"
        );
        assert_eq!(
            error(&format!(r#"{MULTI},"role":"a""#)),
            "'FrameworkInfo.role' must not be set when the framework is MULTI_ROLE capable"
        );
        assert_eq!(
            error(&format!(r#"{MULTI},"roles":["b","a","b"]"#)),
            "'FrameworkInfo.roles' contains duplicate items: { b }"
        );
        assert_eq!(
            error(&format!(r#"{MULTI},"roles":["a","-b"]"#)),
            "'FrameworkInfo.roles' contains invalid role: \
             Role component '-b' is invalid because it starts with a dash"
        );
    }

    #[test]
    fn id_and_failover_timeout() {
        assert_eq!(framework(&info(r#""id":{"value":""}"#)), Ok(()));
        assert_eq!(
            error(r#""id":{"value":"a/b"}"#),
            "'a/b' contains invalid characters"
        );
        assert_eq!(framework(&info(r#""failover_timeout":1e9"#)), Ok(()));
        assert!(
            error(r#""failover_timeout":1e10"#).starts_with("The framework failover_timeout (")
        );
    }

    #[test]
    fn suppressed_roles_are_roles() {
        let info = info(&format!(r#"{MULTI},"roles":["a","b"]"#));
        assert_eq!(suppressed_roles(&info, &["a".into()]), Ok(()));
        assert_eq!(
            suppressed_roles(&info, &["d".into(), "a".into(), "c".into()]),
            Err("Suppressed roles { c, d } are not contained in the set of roles".into())
        );
    }

    #[test]
    fn constraints_are_for_roles_of_the_framework() {
        let parse = |json: &str| scheduler::OfferConstraints::from_json(json.as_bytes()).unwrap();
        let info = info(&format!(r#"{MULTI},"roles":["a"]"#));
        assert_eq!(offer_constraints(&info, &parse("{}")), Ok(()));
        assert_eq!(
            offer_constraints(&info, &parse(r#"{"role_constraints":{"b":{}}}"#)),
            Err(
                "Offer constraints specify `role_constraints` for a role 'b'not contained in the \
                 set of roles"
                    .into()
            )
        );
        let error = offer_constraints(&info, &parse(r#"{"role_constraints":{"a":{}}}"#));
        assert!(
            error
                .unwrap_err()
                .starts_with("Offer constraints are not valid: ")
        );
    }
}
