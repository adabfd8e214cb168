//! `caprock frameworks`.

use std::process::ExitCode;

use caprock_client::Operator;
use caprock_proto::mesos::v1::master::{call, response};
use serde::Serialize;

use crate::block_on;
use crate::cli::FrameworksFlags;
use crate::cmd::agents::summary;
use crate::output::{self, Row, ago, now_ms};

/// One framework.
#[derive(Debug, Serialize)]
struct FrameworkRow {
    id: String,
    name: String,
    user: String,
    roles: Vec<String>,
    state: &'static str,
    allocated: String,
    offered: String,
    registered_ns: Option<i64>,
}

impl Row for FrameworkRow {
    const TITLES: &'static [&'static str] = &[
        "FRAMEWORK",
        "NAME",
        "USER",
        "ROLES",
        "STATE",
        "ALLOCATED",
        "OFFERED",
        "AGE",
    ];

    fn cells(&self) -> Vec<String> {
        let age = self
            .registered_ns
            .map_or_else(|| "-".to_owned(), |ns| ago(ns, now_ms()));
        vec![
            self.id.clone(),
            self.name.clone(),
            self.user.clone(),
            self.roles.join(","),
            self.state.to_owned(),
            self.allocated.clone(),
            self.offered.clone(),
            age,
        ]
    }
}

pub fn run(flags: &FrameworksFlags) -> anyhow::Result<ExitCode> {
    let target = &flags.query.target;
    let operator = Operator::new(target.masters.clone(), target.timeout);
    let response = block_on(operator.get(call::Type::GetFrameworks))??;
    let all = response.get_frameworks.unwrap_or_default();
    let mut rows: Vec<FrameworkRow> = all.frameworks.iter().map(|f| row(f, false)).collect();
    if flags.all {
        rows.extend(all.completed_frameworks.iter().map(|f| row(f, true)));
    }
    output::print(flags.query.output, &rows, "frameworks")?;
    Ok(ExitCode::SUCCESS)
}

fn row(framework: &response::get_frameworks::Framework, completed: bool) -> FrameworkRow {
    let info = &framework.framework_info;
    let roles = if info.roles.is_empty() {
        vec![role_of(info)]
    } else {
        info.roles.clone()
    };
    let state = match (completed, framework.connected) {
        (true, _) => "completed",
        (false, true) => "connected",
        (false, false) => "disconnected",
    };
    FrameworkRow {
        id: info
            .id
            .as_ref()
            .map(|id| id.value.clone())
            .unwrap_or_default(),
        name: info.name.clone(),
        user: info.user.clone(),
        roles,
        state,
        allocated: summary(&framework.allocated_resources),
        offered: summary(&framework.offered_resources),
        registered_ns: framework.registered_time.as_ref().map(|t| t.nanoseconds),
    }
}

/// The role of a framework that is not MULTI_ROLE.
fn role_of(info: &caprock_proto::mesos::v1::FrameworkInfo) -> String {
    info.role().to_owned()
}
