//! `/containers` and `/monitor/statistics`: what runs, and what it uses.

use std::collections::BTreeMap;

use caprock_agent_core::view::{AgentView, ExecutorKind, ExecutorState, ExecutorView};
use caprock_http::{Reply, reply};
use caprock_model::ContainerId;
use caprock_proto::MesosMessage;
use caprock_proto::mesos::v1::ResourceStatistics;
use caprock_proto::mesos::v1::agent::response::GetContainers;
use http::HeaderMap;
use serde_json::{Value, json};

use super::legacy::write;
use super::{Context, Refusal};
use crate::clock;

type Query = BTreeMap<String, String>;

/// `/containers`
pub async fn containers(
    context: &Context,
    headers: &HeaderMap,
    query: &Query,
) -> Result<Reply, Refusal> {
    if query.contains_key("executor_id") && !query.contains_key("framework_id") {
        let text = "Missing 'framework_id' with 'executor_id'";
        return Err(reply::bad_request(text).into());
    }
    let view = context.view().await?;
    let mut rows = Vec::new();
    for executor in running(&view).filter(|executor| is_wanted(executor, query)) {
        let mut row = row(context, executor).await;
        row["container_id"] = json!(executor.container.as_str());
        row["status"] = status(executor);
        rows.push(row);
    }
    Ok(write(headers, query, &Value::Array(rows)))
}

/// `/monitor/statistics`
pub async fn statistics(
    context: &Context,
    headers: &HeaderMap,
    query: &Query,
) -> Result<Reply, Refusal> {
    let view = context.view().await?;
    let mut rows = Vec::new();
    for executor in running(&view) {
        rows.push(row(context, executor).await);
    }
    Ok(write(headers, query, &Value::Array(rows)))
}

/// Measures the containers of the operator API's answer.
pub async fn add_statistics(context: &Context, view: &AgentView, found: &mut GetContainers) {
    for container in &mut found.containers {
        let id = ContainerId::from(container.container_id.value.as_str());
        container.resource_statistics = match view.executor_of(&id) {
            Some(executor) => measure(context, executor).await,
            None => measure_all(context, vec![id]).await,
        };
    }
}

fn running(view: &AgentView) -> impl Iterator<Item = &ExecutorView> {
    let executors = view
        .frameworks
        .iter()
        .flat_map(|framework| &framework.executors);
    executors.filter(|executor| executor.state != ExecutorState::Terminated)
}

fn is_wanted(executor: &ExecutorView, query: &Query) -> bool {
    let fits = |name: &str, value: &str| query.get(name).is_none_or(|wanted| wanted == value);
    fits("container_id", executor.container.as_str())
        && fits("framework_id", executor.framework_id.as_str())
        && fits("executor_id", executor.id.as_str())
}

async fn row(context: &Context, executor: &ExecutorView) -> Value {
    let mut row = json!({
        "executor_id": executor.id.as_str(),
        "executor_name": executor.info.name(),
        "framework_id": executor.framework_id.as_str(),
        "source": executor.info.source(),
    });
    if let Some(statistics) = measure(context, executor).await {
        row["statistics"] = proto_value(&statistics);
    }
    row
}

fn status(executor: &ExecutorView) -> Value {
    let mut status = json!({ "container_id": { "value": executor.container.as_str() } });
    if let Some(pid) = executor.pid {
        status["executor_pid"] = json!(pid);
    }
    status
}

/// What an executor and its tasks use, beside what they may use.
async fn measure(context: &Context, executor: &ExecutorView) -> Option<ResourceStatistics> {
    let containers = match executor.kind {
        ExecutorKind::Pods => executor
            .launched_tasks
            .iter()
            .filter_map(|task| task.container.clone())
            .collect(),
        ExecutorKind::Command | ExecutorKind::Custom => vec![executor.container.clone()],
    };
    let mut statistics = measure_all(context, containers).await?;
    statistics.cpus_limit = Some(executor.resources.cpus().to_f64());
    statistics.mem_limit_bytes = Some((executor.resources.mem().to_f64() * 1_048_576.0) as u64);
    Some(statistics)
}

async fn measure_all(
    context: &Context,
    containers: Vec<ContainerId>,
) -> Option<ResourceStatistics> {
    let containerizer = context.containerizer.clone();
    // It walks /proc.
    let measured =
        tokio::task::spawn_blocking(move || containerizer.statistics(&containers, clock::now()));
    measured.await.ok().flatten()
}

/// A message in the form of the v1 API inside of an old document.
pub fn proto_value(message: &impl MesosMessage) -> Value {
    serde_json::from_str(&message.to_json()).unwrap_or_default()
}
