//! `/tasks`, and a task, a status and an executor as the older endpoints show them.

use std::cmp::Reverse;
use std::sync::Arc;

use caprock_proto::mesos::v1::{self, TaskStatus};
use caprock_registry::{Executor, Task};
use serde_json::{Map, Value, json};

use super::{Parameters, resources};
use crate::reads::{Snapshot, completed_tasks, live_tasks, unreachable_tasks};

/// Tasks on one page, if the request does not say.
const LIMIT: usize = 100;

/// One page of all tasks in the order of their first statuses.
pub fn page(snapshot: &Snapshot, parameters: &Parameters) -> Result<Value, String> {
    let number = |name: &str, default: usize| match parameters.get(name) {
        None => Ok(default),
        // A negative limit is no limit: the CLI asks for -1.
        Some(text) => match text.parse::<i64>() {
            Ok(number) => Ok(usize::try_from(number).unwrap_or(usize::MAX)),
            Err(_) => Err(format!(
                "Failed to parse '{name}': '{text}' is not a number"
            )),
        },
    };
    let (limit, offset) = (number("limit", LIMIT)?, number("offset", 0)?);
    let wanted = |name: &str, value: &str| parameters.get(name).is_none_or(|only| only == value);
    let mut tasks: Vec<&Arc<Task>> = live_tasks(snapshot)
        .chain(unreachable_tasks(snapshot))
        .chain(completed_tasks(snapshot))
        .filter(|task| wanted("framework_id", task.framework_id.as_str()))
        .filter(|task| wanted("task_id", task.id.as_str()))
        .collect();
    // Tasks without a status are the oldest. The ids keep pages apart where times are equal.
    let place = |task: &Arc<Task>| {
        let first_seconds = task.statuses.first().and_then(|status| status.timestamp);
        let first_us = (first_seconds.unwrap_or(0.0) * 1e6) as i64;
        (
            first_us,
            task.launched_at,
            task.framework_id.clone(),
            task.id.clone(),
        )
    };
    match parameters.get("order").map(String::as_str) {
        Some("asc") => tasks.sort_by_cached_key(|task| place(task)),
        _ => tasks.sort_by_cached_key(|task| Reverse(place(task))),
    }
    let shown = tasks
        .into_iter()
        .skip(offset)
        .take(limit)
        .map(|t| task(t))
        .collect::<Vec<_>>();
    Ok(json!({"tasks": shown}))
}

/// One task.
pub fn task(task: &Task) -> Value {
    let info = &task.info;
    let mut fields = Map::new();
    let mut put = |name: &str, value: Value| fields.insert(name.to_owned(), value);
    put("id", task.id.as_str().into());
    put("name", info.name.as_str().into());
    put("framework_id", task.framework_id.as_str().into());
    let executor_id = if task.is_command {
        ""
    } else {
        task.executor_id.as_str()
    };
    put("executor_id", executor_id.into());
    put("slave_id", task.agent_id.as_str().into());
    put("state", task.latest_state.as_str_name().into());
    put("resources", resources::object(&task.resources));
    if !info.limits.is_empty() {
        let limits = info
            .limits
            .iter()
            .map(|(name, limit)| (name.clone(), number(limit.value)));
        put("limits", Value::Object(limits.collect()));
    }
    if let Some(role) = task.resources.allocation_role() {
        put("role", role.as_str().into());
    }
    put(
        "statuses",
        task.statuses
            .iter()
            .map(|s| status(s))
            .collect::<Vec<_>>()
            .into(),
    );
    if let Some(user) = info
        .command
        .as_ref()
        .and_then(|command| command.user.as_ref())
    {
        put("user", user.as_str().into());
    }
    if let Some(list) = &info.labels {
        put("labels", labels(list));
    }
    if let Some(discovery) = &info.discovery {
        put("discovery", resources::message(discovery));
    }
    if let Some(container) = &info.container {
        put("container", resources::message(container));
    }
    if let Some(health_check) = &info.health_check {
        put("health_check", resources::message(health_check));
    }
    Value::Object(fields)
}

fn status(status: &TaskStatus) -> Value {
    let mut fields = Map::new();
    let mut put = |name: &str, value: Value| fields.insert(name.to_owned(), value);
    put("state", status.state().as_str_name().into());
    put("timestamp", status.timestamp.unwrap_or(0.0).into());
    if let Some(list) = &status.labels {
        put("labels", labels(list));
    }
    if let Some(container) = &status.container_status {
        put("container_status", resources::message(container));
    }
    if let Some(healthy) = status.healthy {
        put("healthy", healthy.into());
    }
    Value::Object(fields)
}

/// A bare list of pairs.
pub fn labels(labels: &v1::Labels) -> Value {
    resources::messages(&labels.labels)
}

fn number(value: f64) -> Value {
    if value.is_finite() {
        value.into()
    } else {
        "Infinity".into()
    }
}

/// One executor.
pub fn executor(executor: &Executor) -> Value {
    let info = &executor.info;
    let mut fields = Map::new();
    let mut put = |name: &str, value: Value| fields.insert(name.to_owned(), value);
    put("executor_id", executor.id.as_str().into());
    put("name", info.name().into());
    put("framework_id", executor.framework_id.as_str().into());
    put(
        "command",
        info.command.as_ref().map_or_else(|| json!({}), command),
    );
    put("resources", resources::object(&executor.resources));
    if let Some(role) = executor.resources.allocation_role() {
        put("role", role.as_str().into());
    }
    if let Some(list) = &info.labels {
        put("labels", labels(list));
    }
    if info.r#type.is_some() {
        put("type", info.r#type().as_str_name().into());
    }
    put("slave_id", executor.agent_id.as_str().into());
    Value::Object(fields)
}

fn command(command: &v1::CommandInfo) -> Value {
    let uris: Vec<Value> = command
        .uris
        .iter()
        .map(|uri| json!({"value": uri.value, "executable": uri.executable()}))
        .collect();
    let mut fields = Map::new();
    let mut put = |name: &str, value: Value| fields.insert(name.to_owned(), value);
    if command.shell.is_some() {
        put("shell", command.shell().into());
    }
    if let Some(value) = &command.value {
        put("value", value.as_str().into());
    }
    put("argv", command.arguments.clone().into());
    if let Some(environment) = &command.environment {
        put("environment", resources::message(environment));
    }
    put("uris", uris.into());
    Value::Object(fields)
}
