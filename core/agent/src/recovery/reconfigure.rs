//! Whether an agent may come back with other information about itself than it had
//! (Mesos: src/slave/compatibility.cpp).

use caprock_model::Resources;
use caprock_proto::mesos::v1::{AgentInfo, Attribute, value};

use crate::config::ReconfigurationPolicy;

/// Compares what was stored with what the agent is started with.
pub(super) fn check(
    policy: ReconfigurationPolicy,
    before: &AgentInfo,
    after: &AgentInfo,
) -> Result<(), String> {
    let outcome = match policy {
        ReconfigurationPolicy::Equal => equal(before, after),
        ReconfigurationPolicy::Additive => additive(before, after),
    };
    outcome.map_err(|difference| {
        format!(
            "Incompatible agent info detected: {difference}. To start as a new agent, use \
             another work directory; to allow additions, use --reconfiguration-policy=additive"
        )
    })
}

fn equal(before: &AgentInfo, after: &AgentInfo) -> Result<(), String> {
    same_place(before, after)?;
    if before.domain != after.domain {
        return Err("the domain changed".to_string());
    }
    let (old, new) = resources_of(before, after)?;
    if old != new {
        return Err(format!("the resources changed from '{old}' to '{new}'"));
    }
    let missing = |from: &[Attribute], to: &[Attribute]| from.iter().any(|a| !to.contains(a));
    if missing(&before.attributes, &after.attributes)
        || missing(&after.attributes, &before.attributes)
    {
        return Err("the attributes changed".to_string());
    }
    Ok(())
}

fn additive(before: &AgentInfo, after: &AgentInfo) -> Result<(), String> {
    same_place(before, after)?;
    if before.domain.is_some() && before.domain != after.domain {
        return Err("the domain changed".to_string());
    }
    let (old, new) = resources_of(before, after)?;
    if !new.contains(&old) {
        return Err(format!("the resources '{new}' do not contain '{old}'"));
    }
    for attribute in &before.attributes {
        let kept = after
            .attributes
            .iter()
            .any(|candidate| covers(candidate, attribute));
        if !kept {
            return Err(format!("the attribute '{}' changed", attribute.name));
        }
    }
    Ok(())
}

fn same_place(before: &AgentInfo, after: &AgentInfo) -> Result<(), String> {
    if before.hostname != after.hostname {
        let (old, new) = (&before.hostname, &after.hostname);
        return Err(format!("the hostname changed from '{old}' to '{new}'"));
    }
    if before.port() != after.port() {
        return Err(format!(
            "the port changed from {} to {}",
            before.port(),
            after.port()
        ));
    }
    Ok(())
}

fn resources_of(before: &AgentInfo, after: &AgentInfo) -> Result<(Resources, Resources), String> {
    let old = Resources::from_protos(&before.resources).map_err(|error| error.to_string())?;
    let new = Resources::from_protos(&after.resources).map_err(|error| error.to_string())?;
    Ok((old, new))
}

/// Texts and scalars must be equal, ranges and sets may grow.
fn covers(new: &Attribute, old: &Attribute) -> bool {
    if new.name != old.name || new.r#type != old.r#type {
        return false;
    }
    match old.r#type() {
        value::Type::Scalar | value::Type::Text => new == old,
        value::Type::Ranges => {
            let ranges = |attribute: &Attribute| {
                attribute
                    .ranges
                    .as_ref()
                    .map(caprock_model::Ranges::from)
                    .unwrap_or_default()
            };
            ranges(new).contains(&ranges(old))
        }
        value::Type::Set => {
            let items = |attribute: &Attribute| {
                attribute
                    .set
                    .as_ref()
                    .map(|set| set.item.clone())
                    .unwrap_or_default()
            };
            let larger = items(new);
            items(old).iter().all(|item| larger.contains(item))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(resources: &str, port: i32) -> AgentInfo {
        AgentInfo {
            hostname: "h".to_string(),
            port: Some(port),
            resources: Resources::parse(resources, "*").unwrap().to_protos(),
            attributes: vec![Attribute {
                name: "rack".to_string(),
                r#type: value::Type::Text as i32,
                text: Some(value::Text {
                    value: "a".to_string(),
                }),
                ..Attribute::default()
            }],
            ..AgentInfo::default()
        }
    }

    #[test]
    fn equal_takes_no_change() {
        let policy = ReconfigurationPolicy::Equal;
        let before = info("cpus:4;mem:1024", 1);
        assert!(check(policy, &before, &info("mem:1024;cpus:4", 1)).is_ok());
        assert!(check(policy, &before, &info("cpus:8;mem:1024", 1)).is_err());
        let mut fewer = before.clone();
        fewer.attributes.clear();
        assert!(check(policy, &before, &fewer).is_err());
        assert!(check(policy, &fewer, &before).is_err());
    }

    #[test]
    fn additive_takes_additions() {
        let policy = ReconfigurationPolicy::Additive;
        let before = info("cpus:4;mem:1024", 1);
        assert!(check(policy, &before, &info("cpus:8;mem:1024", 1)).is_ok());
        assert!(check(policy, &before, &info("cpus:2;mem:1024", 1)).is_err());
        assert!(check(policy, &before, &info("cpus:4;mem:1024", 2)).is_err());
        let mut fewer = before.clone();
        fewer.attributes.clear();
        assert!(check(policy, &before, &fewer).is_err());
        assert!(check(policy, &fewer, &before).is_ok());
    }
}
