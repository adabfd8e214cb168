//! The document of `/state` (Mesos: src/slave/http.cpp `Http::state`). It keeps the old words,
//! such as `slave_id`: mesos-dns, exporters and web pages read them.

use caprock_agent_core::view::{AgentView, ExecutorKind, ExecutorView, FrameworkView, TaskView};
use caprock_model::{AgentCapabilities, Amount, Capabilities, Resource, Resources, roles_of};
use caprock_proto::mesos::v1::{Attribute, ContainerStatus, Labels, TaskStatus};
use serde_json::{Map, Value, json};

use super::Context;
use super::containers::proto_value;
use crate::containerizer::sandbox;
use crate::version;

/// The whole document.
pub fn document(context: &Context, view: &AgentView) -> Value {
    let mut document = version::fields();
    let info = &view.info;
    let agent_id = view.agent_id.as_ref().map_or("", |id| id.as_str());
    let capabilities = AgentCapabilities::ALL.to_protos();
    let capabilities = capabilities
        .iter()
        .map(|capability| capability.r#type().as_str_name());
    let fields = json!({
        "id": agent_id,
        "pid": format!("slave(1)@{}", context.address),
        "hostname": info.hostname,
        "start_time": view.started_at.seconds_f64(),
        "capabilities": capabilities.collect::<Vec<_>>(),
        "attributes": attributes(&info.attributes),
        "flags": context.config.flags(),
        "resource_providers": [],
    });
    extend(&mut document, fields);
    extend(&mut document, resource_fields(view));
    if let Some(domain) = &info.domain {
        document.insert("domain".into(), proto_value(domain));
    }
    if let Some(drain) = &view.drain {
        let since = drain.started_at.seconds_f64();
        document.insert("drain_config".into(), proto_value(&drain.config));
        document.insert("estimated_drain_start_time_seconds".into(), json!(since));
    }
    if let Some(attached) = &view.attached {
        let address = context.config.masters.get(attached.link.0 as usize);
        let host = address
            .and_then(|address| address.rsplit_once(':'))
            .map(|(host, _)| host);
        document.insert("master_hostname".into(), json!(host));
    }
    let list = |frameworks: &[FrameworkView]| {
        frameworks
            .iter()
            .map(|found| framework(context, agent_id, found))
            .collect::<Value>()
    };
    document.insert("frameworks".into(), list(&view.frameworks));
    document.insert(
        "completed_frameworks".into(),
        list(&view.completed_frameworks),
    );
    Value::Object(document)
}

fn extend(document: &mut Map<String, Value>, fields: Value) {
    if let Value::Object(fields) = fields {
        document.extend(fields);
    }
}

fn resource_fields(view: &AgentView) -> Value {
    let total = &view.total;
    let used = view.used.unallocated();
    let by_role = |resources: &Resources| -> Value {
        let reserved = resources.reservations();
        let rows = reserved
            .iter()
            .map(|(role, part)| (role.to_string(), summary(part)));
        Value::Object(rows.collect())
    };
    let full = |resources: &Resources| -> Value {
        resources.to_protos().iter().map(proto_value).collect()
    };
    let reserved_full = total.reservations();
    let reserved_full = reserved_full
        .iter()
        .map(|(role, part)| (role.to_string(), full(part)));
    json!({
        "resources": summary(total),
        "reserved_resources": by_role(total),
        "unreserved_resources": summary(&total.unreserved()),
        "reserved_resources_full": Value::Object(reserved_full.collect()),
        "unreserved_resources_full": full(&total.unreserved()),
        "reserved_resources_allocated": by_role(&used),
        "unreserved_resources_allocated": summary(&used.unreserved()),
    })
}

fn framework(context: &Context, agent_id: &str, found: &FrameworkView) -> Value {
    let info = &found.info;
    let list = |executors: &[ExecutorView]| {
        executors
            .iter()
            .map(|found| executor(context, agent_id, found))
            .collect::<Value>()
    };
    let mut row = json!({
        "id": found.id.as_str(),
        "name": info.name,
        "user": info.user,
        "failover_timeout": info.failover_timeout(),
        "checkpoint": info.checkpoint(),
        "hostname": info.hostname(),
        "executors": list(&found.executors),
        "completed_executors": list(&found.completed_executors),
    });
    if let Some(principal) = &info.principal {
        row["principal"] = json!(principal);
    }
    let roles: Vec<String> = roles_of(info).iter().map(ToString::to_string).collect();
    if Capabilities::from(info.as_ref()).multi_role {
        row["roles"] = json!(roles);
    } else {
        row["role"] = json!(roles.first());
    }
    row
}

fn executor(context: &Context, agent_id: &str, found: &ExecutorView) -> Value {
    let info = &found.info;
    let framework = found.framework_id.as_str();
    let work_dir = &context.config.work_dir;
    let directory = sandbox::run_path(
        work_dir,
        agent_id,
        framework,
        found.id.as_str(),
        &found.container,
    );
    let tasks = |tasks: &[TaskView]| tasks.iter().map(task).collect::<Vec<Value>>();
    let mut completed = tasks(&found.terminated_tasks);
    completed.extend(tasks(&found.completed_tasks));
    let mut row = json!({
        "id": found.id.as_str(),
        "name": info.name(),
        "source": info.source(),
        "container": found.container.as_str(),
        "directory": directory.map(|path| path.display().to_string()).unwrap_or_default(),
        "resources": summary(&found.resources),
        "tasks": tasks(&found.launched_tasks),
        "queued_tasks": found.queued_tasks.iter().map(queued_task).collect::<Vec<_>>(),
        "completed_tasks": completed,
    });
    if let Some(role) = found.resources.allocation_role() {
        row["role"] = json!(role.to_string());
    }
    if let Some(list) = &info.labels {
        row["labels"] = labels(list);
    }
    if found.kind != ExecutorKind::Command && info.r#type.is_some() {
        row["type"] = json!(info.r#type().as_str_name());
    }
    row
}

fn task(found: &TaskView) -> Value {
    let info = &found.info;
    let mut row = task_head(found);
    row["framework_id"] = json!(found.framework_id.as_str());
    row["executor_id"] = json!(if found.is_command_task {
        ""
    } else {
        found.executor_id.as_str()
    });
    row["state"] = json!(found.state.as_str_name());
    row["statuses"] = found.statuses.iter().map(status).collect();
    if !info.limits.is_empty() {
        let limits = info
            .limits
            .iter()
            .map(|(name, scalar)| (name.clone(), number(scalar.value)));
        row["limits"] = Value::Object(limits.collect());
    }
    if let Some(user) = &found.user {
        row["user"] = json!(user);
    }
    if let Some(list) = &info.labels {
        row["labels"] = labels(list);
    }
    if let Some(container) = &info.container {
        row["container"] = proto_value(container);
    }
    if let Some(health_check) = &info.health_check {
        row["health_check"] = proto_value(health_check);
    }
    row
}

fn queued_task(found: &TaskView) -> Value {
    let mut row = task_head(found);
    if let Some(command) = &found.info.command {
        row["command"] = proto_value(command);
    }
    if !found.is_command_task {
        row["executor_id"] = json!(found.executor_id.as_str());
    }
    row
}

fn task_head(found: &TaskView) -> Value {
    let info = &found.info;
    let resources = Resources::from_protos(&info.resources).unwrap_or_default();
    let mut row = json!({
        "id": found.id.as_str(),
        "name": info.name,
        "slave_id": info.agent_id.value,
        "resources": summary(&resources),
    });
    if let Some(role) = resources.allocation_role() {
        row["role"] = json!(role.to_string());
    }
    if let Some(discovery) = &info.discovery {
        row["discovery"] = proto_value(discovery);
    }
    row
}

fn status(status: &TaskStatus) -> Value {
    let mut row = json!({ "state": status.state().as_str_name(), "timestamp": status.timestamp() });
    if let Some(list) = &status.labels {
        row["labels"] = labels(list);
    }
    if let Some(container) = &status.container_status {
        row["container_status"] = container_status(container);
    }
    if let Some(healthy) = status.healthy {
        row["healthy"] = json!(healthy);
    }
    row
}

fn container_status(status: &ContainerStatus) -> Value {
    let mut row = Map::new();
    if let Some(id) = &status.container_id {
        row.insert("container_id".into(), proto_value(id));
    }
    if !status.network_infos.is_empty() {
        let infos = status.network_infos.iter().map(proto_value).collect();
        row.insert("network_infos".into(), infos);
    }
    if let Some(cgroup) = &status.cgroup_info {
        row.insert("cgroup_info".into(), proto_value(cgroup));
    }
    Value::Object(row)
}

fn labels(labels: &Labels) -> Value {
    labels.labels.iter().map(proto_value).collect()
}

/// An infinite number is a string here.
fn number(value: f64) -> Value {
    if value.is_infinite() {
        json!("Infinity")
    } else {
        json!(value)
    }
}

fn attributes(attributes: &[Attribute]) -> Value {
    let rows = attributes.iter().map(|attribute| {
        let value = match (&attribute.scalar, &attribute.text) {
            (Some(scalar), _) => json!(scalar.value),
            (None, Some(text)) => json!(text.value),
            (None, None) => json!(attribute_text(attribute)),
        };
        (attribute.name.clone(), value)
    });
    Value::Object(rows.collect())
}

fn attribute_text(attribute: &Attribute) -> String {
    if let Some(ranges) = &attribute.ranges {
        let ranges: Vec<String> = ranges
            .range
            .iter()
            .map(|range| format!("{}-{}", range.begin, range.end))
            .collect();
        return format!("[{}]", ranges.join(", "));
    }
    let items = attribute
        .set
        .as_ref()
        .map(|set| set.item.join(", "))
        .unwrap_or_default();
    format!("{{{items}}}")
}

/// Totals by name: the four well-known scalars are always there, revocable parts have a name
/// of their own (Mesos: src/common/http.cpp `model(const Resources&)`).
pub fn summary(resources: &Resources) -> Value {
    let mut row = Map::new();
    for name in ["cpus", "gpus", "mem", "disk"] {
        row.insert(name.into(), json!(0.0));
    }
    for (suffix, part) in [
        ("", resources.non_revocable()),
        ("_revocable", resources.revocable()),
    ] {
        for name in part.names() {
            let entries = part.filter(|entry| entry.name() == &name);
            let value = match entries.entries().first().map(Resource::amount) {
                Some(Amount::Scalar(_)) => json!(entries.scalar(name.as_str()).to_f64()),
                Some(Amount::Ranges(_)) => json!(entries.ranges(name.as_str()).to_string()),
                Some(Amount::Set(_)) => json!(sets(&entries)),
                None => continue,
            };
            row.insert(format!("{}{suffix}", name.as_str()), value);
        }
    }
    Value::Object(row)
}

fn sets(entries: &Resources) -> String {
    let mut items: Vec<&str> = entries
        .iter()
        .filter_map(|entry| match entry.amount() {
            Amount::Set(items) => Some(items.iter()),
            Amount::Scalar(_) | Amount::Ranges(_) => None,
        })
        .flatten()
        .collect();
    items.sort_unstable();
    items.dedup();
    format!("{{{}}}", items.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resources_are_summed_by_name() {
        let text = "cpus:1.5;cpus(eng):2;ports:[1-2, 5-9];colors:{red,blue};mem:64";
        let resources = Resources::parse(text, "*").unwrap();
        assert_eq!(
            summary(&resources),
            json!({
                "cpus": 3.5, "gpus": 0.0, "mem": 64.0, "disk": 0.0,
                "ports": "[1-2, 5-9]", "colors": "{blue, red}",
            })
        );
        assert_eq!(summary(&Resources::default()).as_object().unwrap().len(), 4);
    }

    #[test]
    fn infinite_limits_are_words() {
        assert_eq!(number(f64::INFINITY), json!("Infinity"));
        assert_eq!(number(2.0), json!(2.0));
    }
}
