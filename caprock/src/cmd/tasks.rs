//! `caprock tasks`.

use std::collections::BTreeMap;
use std::process::ExitCode;

use caprock_client::Operator;
use caprock_proto::mesos::v1::Task;
use caprock_proto::mesos::v1::master::call;
use serde::Serialize;

use crate::block_on;
use crate::cli::TasksFlags;
use crate::cmd::agents::summary;
use crate::output::{self, Row};

/// One task.
#[derive(Debug, Serialize)]
struct TaskRow {
    id: String,
    name: String,
    framework_id: String,
    framework_name: String,
    agent_id: String,
    state: &'static str,
    resources: String,
    message: Option<String>,
}

impl Row for TaskRow {
    const TITLES: &'static [&'static str] = &[
        "TASK",
        "FRAMEWORK",
        "AGENT",
        "STATE",
        "RESOURCES",
        "MESSAGE",
    ];

    fn cells(&self) -> Vec<String> {
        vec![
            self.id.clone(),
            self.framework_name.clone(),
            self.agent_id.clone(),
            self.state.to_owned(),
            self.resources.clone(),
            self.message.clone().unwrap_or_default(),
        ]
    }
}

pub fn run(flags: &TasksFlags) -> anyhow::Result<ExitCode> {
    let target = &flags.query.target;
    let operator = Operator::new(target.masters.clone(), target.timeout);
    let (tasks, names) = block_on(fetch(&operator, flags.all))??;
    let wanted = |row: &TaskRow| match &flags.framework {
        Some(f) => *f == row.framework_id || *f == row.framework_name,
        None => true,
    };
    let rows: Vec<TaskRow> = tasks
        .iter()
        .map(|t| row(t, &names))
        .filter(wanted)
        .collect();
    output::print(flags.query.output, &rows, "tasks")?;
    Ok(ExitCode::SUCCESS)
}

/// The tasks, and the names of their frameworks by id.
async fn fetch(
    operator: &Operator,
    all: bool,
) -> Result<(Vec<Task>, BTreeMap<String, String>), caprock_client::ClientError> {
    let state = operator
        .get(call::Type::GetState)
        .await?
        .get_state
        .unwrap_or_default();
    let found = state.get_tasks.unwrap_or_default();
    let mut tasks = found.tasks;
    tasks.extend(found.unreachable_tasks);
    if all {
        tasks.extend(found.completed_tasks);
    }
    let frameworks = state.get_frameworks.unwrap_or_default();
    let names = frameworks
        .frameworks
        .into_iter()
        .chain(frameworks.completed_frameworks)
        .filter_map(|f| Some((f.framework_info.id?.value, f.framework_info.name)))
        .collect();
    Ok((tasks, names))
}

fn row(task: &Task, names: &BTreeMap<String, String>) -> TaskRow {
    let framework_id = task.framework_id.value.clone();
    let message = task.statuses.last().and_then(|s| s.message.clone());
    TaskRow {
        id: task.task_id.value.clone(),
        name: task.name.clone(),
        framework_name: names.get(&framework_id).unwrap_or(&framework_id).clone(),
        framework_id,
        agent_id: task.agent_id.value.clone(),
        state: task.state().as_str_name(),
        resources: summary(&task.resources),
        message: message.filter(|m| !m.is_empty()),
    }
}
