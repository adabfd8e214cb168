//! Resources as plain JSON objects: numbers for scalars, text for ranges and sets
//! (Mesos: src/common/http.cpp, `json(JSON::ObjectWriter*, const Resources&)`).

use caprock_model::{Amount, Quantities, Resource, Resources};
use caprock_proto::MesosMessage;
use serde_json::{Map, Value};

/// These appear even when there is nothing of them.
const ALWAYS: [&str; 4] = ["cpus", "gpus", "mem", "disk"];

/// A resources object.
pub fn object(resources: &Resources) -> Value {
    let mut fields = Map::new();
    for name in ALWAYS {
        fields.insert(name.to_owned(), Value::from(0.0));
    }
    add(&mut fields, &resources.non_revocable(), "");
    add(&mut fields, &resources.revocable(), "_revocable");
    Value::Object(fields)
}

fn add(fields: &mut Map<String, Value>, resources: &Resources, suffix: &str) {
    for name in resources.names() {
        let name = name.as_str();
        let value = match resources
            .iter()
            .find(|r| r.name().as_str() == name)
            .map(Resource::amount)
        {
            Some(Amount::Ranges(_)) => Value::from(ranges(resources, name)),
            Some(Amount::Set(_)) => Value::from(set(resources, name)),
            _ => Value::from(resources.scalar(name).to_f64()),
        };
        fields.insert(format!("{name}{suffix}"), value);
    }
}

fn ranges(resources: &Resources, name: &str) -> String {
    let all = resources.ranges(name);
    let pairs: Vec<String> = all
        .iter()
        .map(|(begin, end)| format!("{begin}-{end}"))
        .collect();
    format!("[{}]", pairs.join(", "))
}

fn set(resources: &Resources, name: &str) -> String {
    let mut items: Vec<String> = Vec::new();
    for resource in resources
        .iter()
        .filter(|resource| resource.name().as_str() == name)
    {
        if let Amount::Set(set) = resource.amount() {
            items.extend(set.iter().map(str::to_owned));
        }
    }
    format!("{{{}}}", items.join(", "))
}

/// Amounts by name; what there is nothing of is left out.
pub fn quantities(quantities: &Quantities) -> Value {
    let fields = quantities
        .iter()
        .map(|(name, amount)| (name.to_string(), amount.to_f64().into()));
    Value::Object(fields.collect())
}

/// The list of messages that `/slaves` shows, with old and new reservation fields.
pub fn full(resources: &Resources) -> Value {
    messages(&resources.to_protos_for_endpoints())
}

/// Messages in their own JSON form.
pub fn messages<M: MesosMessage>(list: &[M]) -> Value {
    Value::Array(list.iter().map(message).collect())
}

/// One message in its own JSON form.
pub fn message<M: MesosMessage>(message: &M) -> Value {
    // An infinite double has no JSON form; nothing else is refused.
    serde_json::from_str(&message.to_json()).unwrap_or(Value::Null)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scalars_ranges_and_sets() {
        let resources =
            Resources::parse("cpus:2;mem:512;ports:[1-2,5-9];disks:{a,b}", "*").unwrap();
        let expected = serde_json::json!({
            "cpus": 2.0, "gpus": 0.0, "mem": 512.0, "disk": 0.0,
            "ports": "[1-2, 5-9]", "disks": "{a, b}",
        });
        assert_eq!(object(&resources), expected);
    }

    #[test]
    fn nothing_is_four_zeros() {
        assert_eq!(object(&Resources::default())["gpus"], 0.0);
        assert_eq!(quantities(&Quantities::default()), serde_json::json!({}));
    }
}
