//! Access control lists of Mesos' local authorizer: who may register frameworks in which
//! roles, and who may tear down whose frameworks. The first entry that matches decides.
//! Mesos: src/authorizer/local/authorizer.cpp.

mod agents;
mod operations;

use anyhow::Context;
use serde::Deserialize;

use crate::source;

/// All lists; without any, everything is allowed.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Acls {
    permissive: Option<bool>,
    register_frameworks: Vec<RegisterFrameworks>,
    teardown_frameworks: Vec<TeardownFrameworks>,
    view_roles: Vec<OfRoles>,
    update_weights: Vec<OfRoles>,
    get_quotas: Vec<OfRoles>,
    update_quotas: Vec<OfRoles>,
    #[serde(flatten)]
    operations: operations::Lists,
    #[serde(flatten)]
    agents: agents::Lists,
}

#[derive(Debug, Deserialize)]
struct RegisterFrameworks {
    principals: Entity,
    roles: Entity,
}

#[derive(Debug, Deserialize)]
struct TeardownFrameworks {
    principals: Entity,
    framework_principals: Entity,
}

#[derive(Debug, Deserialize)]
struct OfRoles {
    principals: Entity,
    roles: Entity,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Entity {
    r#type: EntityType,
    values: Vec<String>,
}

#[derive(Debug, Default, Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "UPPERCASE")]
enum EntityType {
    #[default]
    Some,
    Any,
    None,
}

impl Acls {
    /// Reads the lists that the flag names; none without the flag.
    pub fn new(value: Option<&str>) -> anyhow::Result<Self> {
        let Some(value) = value else {
            return Ok(Self::default());
        };
        let text = source::read(value).context("cannot read --acls")?;
        serde_json::from_str(&text).context("--acls are not usable")
    }

    /// Whether this principal may subscribe a framework in this role.
    pub fn may_register(&self, principal: Option<&str>, role: &str) -> bool {
        self.decide(
            self.register_frameworks
                .iter()
                .map(|acl| (&acl.principals, &acl.roles)),
            principal,
            Some(role),
        )
    }

    /// Whether this principal may tear down a framework of that one.
    pub fn may_teardown(&self, principal: Option<&str>, framework: Option<&str>) -> bool {
        self.decide(
            self.teardown_frameworks
                .iter()
                .map(|acl| (&acl.principals, &acl.framework_principals)),
            principal,
            framework,
        )
    }

    /// Whether this principal may see a role, its weight and what is reserved or allocated.
    pub fn may_view_role(&self, principal: Option<&str>, role: &str) -> bool {
        self.decide_role(&self.view_roles, principal, role)
    }

    /// Whether this principal may set the weight of a role.
    pub fn may_update_weight(&self, principal: Option<&str>, role: &str) -> bool {
        self.decide_role(&self.update_weights, principal, role)
    }

    /// Whether this principal may see the quota of a role.
    pub fn may_get_quota(&self, principal: Option<&str>, role: &str) -> bool {
        self.decide_role(&self.get_quotas, principal, role)
    }

    /// Whether this principal may set or remove the quota of a role.
    pub fn may_update_quota(&self, principal: Option<&str>, role: &str) -> bool {
        self.decide_role(&self.update_quotas, principal, role)
    }

    fn decide_role(&self, acls: &[OfRoles], principal: Option<&str>, role: &str) -> bool {
        let pairs = acls.iter().map(|acl| (&acl.principals, &acl.roles));
        self.decide(pairs, principal, Some(role))
    }

    fn decide<'a>(
        &self,
        acls: impl Iterator<Item = (&'a Entity, &'a Entity)>,
        subject: Option<&str>,
        object: Option<&str>,
    ) -> bool {
        for (subjects, objects) in acls {
            if subjects.matches(subject, false) && objects.matches(object, true) {
                return subjects.allows(subject) && objects.allows(object);
            }
        }
        self.permissive.unwrap_or(true)
    }
}

impl Entity {
    /// A request without a value stands for any: only ANY and NONE say something about it.
    fn matches(&self, wanted: Option<&str>, hierarchical: bool) -> bool {
        match (self.r#type, wanted) {
            (EntityType::Any | EntityType::None, _) => true,
            (EntityType::Some, None) => false,
            (EntityType::Some, Some(wanted)) => self.values.iter().any(|value| {
                value == wanted || hierarchical && is_below(wanted, value.strip_suffix("/%"))
            }),
        }
    }

    fn allows(&self, wanted: Option<&str>) -> bool {
        match self.r#type {
            EntityType::None => false,
            EntityType::Any => true,
            EntityType::Some => wanted.is_some(),
        }
    }
}

fn is_below(role: &str, ancestor: Option<&str>) -> bool {
    ancestor
        .and_then(|ancestor| role.strip_prefix(ancestor))
        .is_some_and(|rest| rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn acls() -> Acls {
        serde_json::from_str(
            r#"{"register_frameworks": [
                {"principals": {"values": ["bob"]}, "roles": {"values": ["eng/%", "qa"]}},
                {"principals": {"values": ["alice"]}, "roles": {"type": "ANY"}},
                {"principals": {"type": "ANY"}, "roles": {"type": "NONE"}}],
               "teardown_frameworks": [
                {"principals": {"values": ["alice"]}, "framework_principals": {"type": "ANY"}},
                {"principals": {"type": "ANY"}, "framework_principals": {"type": "NONE"}}]}"#,
        )
        .unwrap()
    }

    #[test]
    fn the_first_match_decides() {
        let acls = acls();
        assert!(acls.may_register(Some("alice"), "anything"));
        assert!(acls.may_register(Some("bob"), "qa"));
        assert!(acls.may_register(Some("bob"), "eng/night"));
        assert!(!acls.may_register(Some("bob"), "eng"));
        assert!(!acls.may_register(Some("bob"), "engine"));
        assert!(!acls.may_register(None, "qa"));
        assert!(acls.may_teardown(Some("alice"), Some("bob")));
        assert!(!acls.may_teardown(Some("bob"), Some("bob")));
    }

    #[test]
    fn quotas_and_weights_have_lists_of_their_own() {
        let acls: Acls = serde_json::from_str(
            r#"{"update_quotas": [
                {"principals": {"values": ["alice"]}, "roles": {"values": ["eng"]}},
                {"principals": {"type": "ANY"}, "roles": {"type": "NONE"}}],
               "get_quotas": [{"principals": {"type": "NONE"}, "roles": {"values": ["eng"]}}],
               "view_roles": [{"principals": {"values": ["bob"]}, "roles": {"type": "NONE"}}],
               "update_weights": [{"principals": {"type": "NONE"}, "roles": {"type": "ANY"}}]}"#,
        )
        .unwrap();
        assert!(acls.may_update_quota(Some("alice"), "eng"));
        assert!(!acls.may_update_quota(Some("alice"), "ops"));
        assert!(!acls.may_get_quota(Some("alice"), "eng"));
        assert!(acls.may_get_quota(Some("alice"), "ops"));
        assert!(!acls.may_view_role(Some("bob"), "eng"));
        assert!(acls.may_view_role(Some("alice"), "eng"));
        assert!(!acls.may_update_weight(None, "eng"));
    }

    #[test]
    fn without_a_match_permissive_decides() {
        assert!(Acls::new(None).unwrap().may_register(None, "x"));
        let strict: Acls = serde_json::from_str(r#"{"permissive": false}"#).unwrap();
        assert!(!strict.may_register(Some("alice"), "x"));
        assert!(Acls::new(Some("{\"register_frameworks\": 3}")).is_err());
    }
}
