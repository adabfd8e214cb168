//! `/frameworks`, and a framework as `/state` and `/state-summary` show it.

use caprock_registry::{Framework, Task};
use serde_json::{Map, Value, json};

use super::{resources, tasks};
use crate::reads::{Snapshot, is_recovered};

/// All frameworks, or the one asked for.
pub fn frameworks(snapshot: &Snapshot, only: Option<&String>) -> Value {
    let wanted = |framework: &Framework| only.is_none_or(|id| framework.id.as_str() == id);
    let registry = &snapshot.registry;
    let live = registry
        .frameworks()
        .filter(|f| wanted(f))
        .map(|f| full(snapshot, f));
    let completed = snapshot
        .completed_frameworks()
        .filter(|f| wanted(f))
        .map(|f| full(snapshot, f));
    json!({
        "frameworks": live.collect::<Vec<_>>(),
        "completed_frameworks": completed.collect::<Vec<_>>(),
        "unregistered_frameworks": [],
    })
}

/// What the summary shows.
pub fn fields(snapshot: &Snapshot, framework: &Framework) -> Map<String, Value> {
    let info = &framework.info;
    let connected = snapshot.is_connected(framework);
    let capabilities: Vec<&str> = info
        .capabilities
        .iter()
        .map(|capability| capability.r#type().as_str_name())
        .collect();
    let mut fields = Map::new();
    let mut put = |name: &str, value: Value| fields.insert(name.to_owned(), value);
    put("id", framework.id.as_str().into());
    put("name", info.name.as_str().into());
    put(
        "used_resources",
        resources::object(&snapshot.used_by(&framework.id)),
    );
    put(
        "offered_resources",
        resources::object(&snapshot.offered_to(&framework.id)),
    );
    put("capabilities", capabilities.into());
    put("hostname", info.hostname().into());
    put("webui_url", info.webui_url().into());
    put("active", connected.into());
    put("connected", connected.into());
    put("recovered", is_recovered(framework).into());
    fields
}

/// All that there is to show.
pub fn full(snapshot: &Snapshot, framework: &Framework) -> Value {
    let info = &framework.info;
    let mut fields = fields(snapshot, framework);
    let mut put = |name: &str, value: Value| fields.insert(name.to_owned(), value);
    put("user", info.user.as_str().into());
    put("failover_timeout", info.failover_timeout().into());
    put("checkpoint", info.checkpoint().into());
    put(
        "registered_time",
        framework.registered_at.seconds_f64().into(),
    );
    let unregistered = framework.unregistered_at.map_or(0.0, |at| at.seconds_f64());
    put("unregistered_time", unregistered.into());
    if let Some(at) = framework.reregistered_at {
        put("reregistered_time", at.seconds_f64().into());
    }
    if let Some(principal) = &info.principal {
        put("principal", principal.as_str().into());
    }
    let (used, offered) = (
        snapshot.used_by(&framework.id),
        snapshot.offered_to(&framework.id),
    );
    put("resources", resources::object(&(&used + &offered)));
    if framework.capabilities.multi_role {
        put("roles", info.roles.clone().into());
    } else {
        put("role", info.role().into());
    }
    put("tasks", list(framework.tasks.values().map(|task| &**task)));
    put(
        "unreachable_tasks",
        list(snapshot.unreachable_tasks_of(framework).map(|task| &**task)),
    );
    put(
        "completed_tasks",
        list(snapshot.completed_tasks_of(framework).map(|task| &**task)),
    );
    put("offers", offers(snapshot, framework));
    put("executors", executors(snapshot, framework));
    if let Some(labels) = &info.labels {
        put("labels", tasks::labels(labels));
    }
    if let Some(constraints) = &framework.constraints {
        put("offer_constraints", resources::message(&**constraints));
    }
    Value::Object(fields)
}

fn list<'a>(tasks: impl Iterator<Item = &'a Task>) -> Value {
    tasks.map(tasks::task).collect::<Vec<_>>().into()
}

fn offers(snapshot: &Snapshot, framework: &Framework) -> Value {
    let offers = snapshot.offers_of(&framework.id).iter().map(|offer| {
        let held = caprock_model::Resources::from_protos(&offer.resources).unwrap_or_default();
        let role = offer
            .allocation_info
            .as_ref()
            .and_then(|info| info.role.as_deref());
        json!({
            "id": offer.id.value,
            "framework_id": offer.framework_id.value,
            "allocation_info": {"role": role.unwrap_or("*")},
            "slave_id": offer.agent_id.value,
            "resources": resources::object(&held),
        })
    });
    offers.collect::<Vec<_>>().into()
}

fn executors(snapshot: &Snapshot, framework: &Framework) -> Value {
    let executors = framework
        .executors
        .iter()
        .filter_map(|(agent_id, executor_id)| {
            let agent = snapshot.registry.agent(agent_id)?;
            agent
                .executor(&framework.id, executor_id)
                .map(|executor| tasks::executor(executor))
        });
    executors.collect::<Vec<_>>().into()
}
