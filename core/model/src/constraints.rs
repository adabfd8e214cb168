//! Offer constraints: which agents a framework wants to be offered, by their attributes
//! (Mesos: src/master/allocator/mesos/offer_constraints_filter.cpp).

use std::collections::BTreeMap;

use caprock_proto::mesos::v1::scheduler::{self, attribute_constraint};
use caprock_proto::mesos::v1::{AgentInfo, Attribute};
use regex_lite::{Regex, RegexBuilder};

use crate::attribute;
use crate::capabilities::{region_of, zone_of};
use crate::role::Role;

use attribute_constraint::predicate::Predicate as ProtoPredicate;
use attribute_constraint::selector::{PseudoattributeType, Selector as ProtoSelector};

/// What constraints look at in an agent.
#[derive(Clone, Copy, Debug)]
pub struct AgentTraits<'a> {
    /// The agent's hostname.
    pub hostname: &'a str,
    /// The region of its domain.
    pub region: Option<&'a str>,
    /// The zone of its domain.
    pub zone: Option<&'a str>,
    /// Its attributes in order.
    pub attributes: &'a [Attribute],
}

impl<'a> From<&'a AgentInfo> for AgentTraits<'a> {
    fn from(info: &'a AgentInfo) -> Self {
        Self {
            hostname: &info.hostname,
            region: region_of(info),
            zone: zone_of(info),
            attributes: &info.attributes,
        }
    }
}

/// Constraints that are ready to be evaluated.
#[derive(Clone, Debug, Default)]
pub struct OfferConstraints {
    /// By role: any group must match. No entry means no restriction.
    roles: BTreeMap<Role, Vec<Group>>,
}

/// All of them must match.
type Group = Vec<Constraint>;

#[derive(Clone, Debug)]
struct Constraint {
    selector: Selector,
    predicate: Predicate,
}

#[derive(Clone, Debug)]
enum Selector {
    Hostname,
    Region,
    Zone,
    /// The first attribute of this name.
    Attribute(String),
}

#[derive(Clone, Debug)]
enum Predicate {
    Exists,
    NotExists,
    TextEquals(String),
    TextNotEquals(String),
    TextMatches(Regex),
    TextNotMatches(Regex),
}

/// What a selector finds in an agent.
enum Found<'a> {
    Nothing,
    Text(&'a str),
    /// An attribute that is a number, ranges or a set: text predicates let it pass, so that
    /// the framework sees the agent and decides.
    NotText,
}

/// Memory that one compiled expression may take, as Mesos' default.
const REGEX_BYTES_MAX: usize = 4096;

impl OfferConstraints {
    /// Checks and compiles.
    pub fn parse(proto: &scheduler::OfferConstraints) -> Result<Self, String> {
        let mut roles = BTreeMap::new();
        for (role, constraints) in &proto.role_constraints {
            let error = |why| format!("Role '{role}': {why}");
            if constraints.groups.is_empty() {
                return Err(error("there must be at least one group".to_owned()));
            }
            let groups: Result<Vec<_>, _> = constraints.groups.iter().map(parse_group).collect();
            roles.insert(Role::from(role), groups.map_err(error)?);
        }
        Ok(Self { roles })
    }

    /// Whether an agent may be offered to the framework in this role.
    pub fn matches(&self, role: &str, agent: &AgentTraits<'_>) -> bool {
        let Some(groups) = self.roles.get(role) else {
            return true;
        };
        groups
            .iter()
            .any(|group| group.iter().all(|constraint| constraint.matches(agent)))
    }

    /// The roles with constraints.
    pub fn roles(&self) -> impl Iterator<Item = &Role> {
        self.roles.keys()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.roles.is_empty()
    }
}

fn parse_group(
    group: &scheduler::offer_constraints::role_constraints::Group,
) -> Result<Group, String> {
    if group.attribute_constraints.is_empty() {
        return Err("a group must have at least one attribute constraint".to_owned());
    }
    group
        .attribute_constraints
        .iter()
        .map(Constraint::parse)
        .collect()
}

impl Constraint {
    fn parse(proto: &scheduler::AttributeConstraint) -> Result<Self, String> {
        let selector = match &proto.selector.selector {
            Some(ProtoSelector::AttributeName(name)) => Selector::Attribute(name.clone()),
            Some(ProtoSelector::PseudoattributeType(kind)) => {
                match PseudoattributeType::try_from(*kind) {
                    Ok(PseudoattributeType::Hostname) => Selector::Hostname,
                    Ok(PseudoattributeType::Region) => Selector::Region,
                    Ok(PseudoattributeType::Zone) => Selector::Zone,
                    Ok(PseudoattributeType::Unknown) | Err(_) => {
                        return Err("unknown pseudoattribute type".to_owned());
                    }
                }
            }
            None => return Err("a selector must be set".to_owned()),
        };
        let predicate = match &proto.predicate.predicate {
            Some(ProtoPredicate::Exists(_)) => Predicate::Exists,
            Some(ProtoPredicate::NotExists(_)) => Predicate::NotExists,
            Some(ProtoPredicate::TextEquals(text)) => Predicate::TextEquals(text.value.clone()),
            Some(ProtoPredicate::TextNotEquals(text)) => {
                Predicate::TextNotEquals(text.value.clone())
            }
            Some(ProtoPredicate::TextMatches(text)) => {
                Predicate::TextMatches(full_match(&text.regex)?)
            }
            Some(ProtoPredicate::TextNotMatches(text)) => {
                Predicate::TextNotMatches(full_match(&text.regex)?)
            }
            None => return Err("unknown predicate type".to_owned()),
        };
        Ok(Self {
            selector,
            predicate,
        })
    }

    fn matches(&self, agent: &AgentTraits<'_>) -> bool {
        self.predicate.holds(&self.selector.find(agent))
    }
}

/// Expressions match the whole text.
fn full_match(regex: &str) -> Result<Regex, String> {
    // Alone first: a parenthesis of the pattern must not close the group around it.
    let error = |error| format!("regex '{regex}' is not accepted: {error}");
    Regex::new(regex).map_err(error)?;
    let whole = format!("^(?:{regex})$");
    RegexBuilder::new(&whole)
        .size_limit(REGEX_BYTES_MAX)
        .build()
        .map_err(error)
}

impl Selector {
    fn find<'a>(&self, agent: &AgentTraits<'a>) -> Found<'a> {
        let of_text = |text: Option<&'a str>| text.map_or(Found::Nothing, Found::Text);
        match self {
            Selector::Hostname => Found::Text(agent.hostname),
            Selector::Region => of_text(agent.region),
            Selector::Zone => of_text(agent.zone),
            Selector::Attribute(name) => match attribute::first(agent.attributes, name) {
                None => Found::Nothing,
                Some(attribute) => {
                    attribute::text_of(attribute).map_or(Found::NotText, Found::Text)
                }
            },
        }
    }
}

impl Predicate {
    fn holds(&self, found: &Found<'_>) -> bool {
        match (self, found) {
            (Predicate::Exists, found) => !matches!(found, Found::Nothing),
            (Predicate::NotExists, found) => matches!(found, Found::Nothing),
            (_, Found::NotText) => true,
            (Predicate::TextEquals(_) | Predicate::TextMatches(_), Found::Nothing) => false,
            (Predicate::TextNotEquals(_) | Predicate::TextNotMatches(_), Found::Nothing) => true,
            (Predicate::TextEquals(wanted), Found::Text(text)) => wanted == text,
            (Predicate::TextNotEquals(wanted), Found::Text(text)) => wanted != text,
            (Predicate::TextMatches(regex), Found::Text(text)) => regex.is_match(text),
            (Predicate::TextNotMatches(regex), Found::Text(text)) => !regex.is_match(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use caprock_proto::MesosMessage;

    use super::*;

    fn parse(constraints: &str) -> Result<OfferConstraints, String> {
        let json = format!(
            r#"{{"role_constraints":{{"eng":{{"groups":[
                {{"attribute_constraints":[{constraints}]}}]}}}}}}"#
        );
        OfferConstraints::parse(&scheduler::OfferConstraints::from_json(json.as_bytes()).unwrap())
    }

    fn matches(selector: &str, predicate: &str) -> bool {
        let attributes = attribute::parse("disk:ssd;disk:hdd;rack:7").unwrap();
        let agent = AgentTraits {
            hostname: "h1.example",
            region: Some("eu"),
            zone: None,
            attributes: &attributes,
        };
        let text = format!(r#"{{"selector":{{{selector}}},"predicate":{{{predicate}}}}}"#);
        parse(&text).unwrap().matches("eng", &agent)
    }

    const DISK: &str = r#""attribute_name":"disk""#;
    const RACK: &str = r#""attribute_name":"rack""#;
    const NONE: &str = r#""attribute_name":"none""#;

    #[test]
    fn predicates_on_the_first_attribute_of_a_name() {
        assert!(matches(DISK, r#""exists":{}"#));
        assert!(!matches(DISK, r#""not_exists":{}"#));
        assert!(matches(DISK, r#""text_equals":{"value":"ssd"}"#));
        assert!(!matches(DISK, r#""text_equals":{"value":"hdd"}"#));
        assert!(matches(DISK, r#""text_not_equals":{"value":"hdd"}"#));
        assert!(matches(DISK, r#""text_matches":{"regex":"ssd|nvme"}"#));
        assert!(
            !matches(DISK, r#""text_matches":{"regex":"s"}"#),
            "the whole text must match"
        );
        assert!(matches(DISK, r#""text_not_matches":{"regex":"h.*"}"#));
    }

    #[test]
    fn absent_attributes_and_numbers() {
        assert!(!matches(NONE, r#""text_matches":{"regex":".*"}"#));
        assert!(matches(NONE, r#""text_not_equals":{"value":"x"}"#));
        assert!(matches(NONE, r#""not_exists":{}"#));
        assert!(
            matches(RACK, r#""text_equals":{"value":"x"}"#),
            "numbers pass text predicates"
        );
        assert!(matches(RACK, r#""text_not_matches":{"regex":".*"}"#));
        assert!(!matches(RACK, r#""not_exists":{}"#));
    }

    #[test]
    fn pseudo_attributes() {
        let host = r#""pseudoattribute_type":"HOSTNAME""#;
        let region = r#""pseudoattribute_type":"REGION""#;
        let zone = r#""pseudoattribute_type":"ZONE""#;
        assert!(matches(host, r#""text_equals":{"value":"h1.example"}"#));
        assert!(matches(region, r#""text_equals":{"value":"eu"}"#));
        assert!(!matches(zone, r#""exists":{}"#));
    }

    #[test]
    fn any_group_all_constraints_and_other_roles() {
        let json = r#"{"role_constraints":{"eng":{"groups":[
            {"attribute_constraints":[
                {"selector":{"attribute_name":"a"},"predicate":{"exists":{}}},
                {"selector":{"attribute_name":"b"},"predicate":{"exists":{}}}]},
            {"attribute_constraints":[
                {"selector":{"attribute_name":"c"},"predicate":{"exists":{}}}]}]}}}"#;
        let proto = scheduler::OfferConstraints::from_json(json.as_bytes()).unwrap();
        let constraints = OfferConstraints::parse(&proto).unwrap();
        let matches = |role: &str, text: &str| {
            let attributes = attribute::parse(text).unwrap();
            let agent = AgentTraits {
                hostname: "h",
                region: None,
                zone: None,
                attributes: &attributes,
            };
            constraints.matches(role, &agent)
        };
        assert!(!matches("eng", "a:1"));
        assert!(matches("eng", "a:1;b:1"));
        assert!(matches("eng", "c:1"));
        assert!(matches("ops", "a:1"));
    }

    #[test]
    fn invalid_constraints() {
        assert!(parse("").is_err(), "an empty group");
        for constraint in [
            r#"{"selector":{},"predicate":{"exists":{}}}"#,
            r#"{"selector":{"pseudoattribute_type":"UNKNOWN"},"predicate":{"exists":{}}}"#,
            r#"{"selector":{"attribute_name":"a"},"predicate":{}}"#,
            r#"{"selector":{"attribute_name":"a"},
                "predicate":{"text_matches":{"regex":"("}}}"#,
            r#"{"selector":{"attribute_name":"a"},
                "predicate":{"text_matches":{"regex":"a)|(b"}}}"#,
            r#"{"selector":{"attribute_name":"a"},
                "predicate":{"text_matches":{"regex":"a{900}"}}}"#,
        ] {
            assert!(parse(constraint).is_err(), "{constraint}");
        }
        let empty = r#"{"role_constraints":{"eng":{"groups":[]}}}"#;
        let proto = scheduler::OfferConstraints::from_json(empty.as_bytes()).unwrap();
        assert!(OfferConstraints::parse(&proto).is_err());
    }
}
