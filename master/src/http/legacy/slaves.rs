//! `/slaves`, and an agent as `/state` and `/state-summary` show it.

use caprock_proto::mesos::v1::{Attribute, value};
use caprock_registry::Agent;
use serde_json::{Map, Value, json};

use super::resources;
use crate::reads::{Snapshot, pid};

/// `{"slaves": [..], "recovered_slaves": []}`, all or the one asked for.
pub fn slaves(snapshot: &Snapshot, only: Option<&String>) -> Value {
    let wanted = |agent: &Agent| only.is_none_or(|id| agent.id.as_str() == id);
    let slaves: Vec<Value> = snapshot
        .reachable_agents()
        .filter(|agent| wanted(agent))
        .map(|agent| {
            let mut fields = fields(snapshot, agent);
            let reserved = agent.total.reservations();
            let reserved = reserved
                .iter()
                .map(|(r, of)| (r.to_string(), resources::full(of)));
            fields.insert(
                "reserved_resources_full".to_owned(),
                Value::Object(reserved.collect()),
            );
            let lists = [
                ("unreserved_resources_full", agent.total.unreserved()),
                ("used_resources_full", agent.used.clone()),
                ("offered_resources_full", snapshot.offered_on(&agent.id)),
            ];
            for (name, list) in lists {
                fields.insert(name.to_owned(), resources::full(&list));
            }
            Value::Object(fields)
        })
        .collect();
    json!({"slaves": slaves, "recovered_slaves": []})
}

/// An agent without the `_full` lists.
pub fn fields(snapshot: &Snapshot, agent: &Agent) -> Map<String, Value> {
    let info = &agent.info;
    let reserved = agent.total.reservations();
    let reserved = reserved
        .iter()
        .map(|(role, of)| (role.to_string(), resources::object(of)));
    let capabilities = agent.capabilities.to_protos();
    let capabilities: Vec<&str> = capabilities
        .iter()
        .map(|capability| capability.r#type().as_str_name())
        .collect();
    let mut fields = Map::new();
    let mut put = |name: &str, value: Value| fields.insert(name.to_owned(), value);
    put("id", agent.id.as_str().into());
    put("hostname", info.hostname.as_str().into());
    put("port", info.port().into());
    put("attributes", attributes(&info.attributes));
    if let Some(domain) = &info.domain {
        put("domain", resources::message(domain));
    }
    put("pid", pid(agent).into());
    put("registered_time", agent.registered_at.seconds_f64().into());
    if let Some(at) = agent.reregistered_at {
        put("reregistered_time", at.seconds_f64().into());
    }
    put("resources", resources::object(&agent.total));
    put("used_resources", resources::object(&agent.used));
    put(
        "offered_resources",
        resources::object(&snapshot.offered_on(&agent.id)),
    );
    put("reserved_resources", Value::Object(reserved.collect()));
    put(
        "unreserved_resources",
        resources::object(&agent.total.unreserved()),
    );
    put("active", snapshot.is_active(agent).into());
    put("deactivated", agent.deactivated.into());
    if let Some(drain) = &agent.drain {
        put("drain_info", resources::message(&drain.to_info()));
        let since = drain.started_at.seconds_f64();
        put("estimated_drain_start_time_seconds", since.into());
    }
    put("version", agent.version.as_ref().into());
    put("capabilities", capabilities.into());
    fields
}

fn attributes(attributes: &[Attribute]) -> Value {
    let fields = attributes.iter().map(|attribute| {
        let shown = match attribute.r#type() {
            value::Type::Scalar => attribute.scalar.map_or(0.0, |scalar| scalar.value).into(),
            value::Type::Text => attribute
                .text
                .as_ref()
                .map_or("", |text| text.value.as_str())
                .into(),
            value::Type::Ranges => ranges(attribute).into(),
            value::Type::Set => {
                let items = attribute.set.iter().flat_map(|set| &set.item);
                let items: Vec<&str> = items.map(String::as_str).collect();
                format!("{{{}}}", items.join(", ")).into()
            }
        };
        (attribute.name.clone(), shown)
    });
    Value::Object(fields.collect())
}

fn ranges(attribute: &Attribute) -> String {
    let ranges = attribute.ranges.iter().flat_map(|ranges| &ranges.range);
    let ranges: Vec<String> = ranges
        .map(|range| format!("{}-{}", range.begin, range.end))
        .collect();
    format!("[{}]", ranges.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_of_all_types() {
        let parsed =
            caprock_model::attribute::parse("rack:a;zone:7;free:[1-2,4-4];disks:{x,y}").unwrap();
        let expected = json!({"rack": "a", "zone": 7.0, "free": "[1-2, 4-4]", "disks": "{x, y}"});
        assert_eq!(attributes(&parsed), expected);
    }
}
