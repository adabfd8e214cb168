//! `caprock agents`.

use std::process::ExitCode;

use caprock_client::Operator;
use caprock_proto::mesos::v1::master::{call, response};
use caprock_proto::mesos::v1::{DrainState, Resource, value};
use serde::Serialize;

use crate::block_on;
use crate::cli::QueryFlags;
use crate::output::{self, Row, ago, now_ms, number};

/// One agent.
#[derive(Debug, Serialize)]
struct AgentRow {
    id: String,
    hostname: String,
    address: String,
    state: &'static str,
    version: String,
    total: String,
    allocated: String,
    registered_ns: Option<i64>,
}

impl Row for AgentRow {
    const TITLES: &'static [&'static str] = &[
        "AGENT",
        "HOSTNAME",
        "ADDRESS",
        "STATE",
        "ALLOCATED",
        "TOTAL",
        "AGE",
    ];

    fn cells(&self) -> Vec<String> {
        let age = self
            .registered_ns
            .map_or_else(|| "-".to_owned(), |ns| ago(ns, now_ms()));
        vec![
            self.id.clone(),
            self.hostname.clone(),
            self.address.clone(),
            self.state.to_owned(),
            self.allocated.clone(),
            self.total.clone(),
            age,
        ]
    }
}

pub fn run(flags: &QueryFlags) -> anyhow::Result<ExitCode> {
    let operator = Operator::new(flags.target.masters.clone(), flags.target.timeout);
    let response = block_on(operator.get(call::Type::GetAgents))??;
    let agents = response.get_agents.map(|a| a.agents).unwrap_or_default();
    let rows: Vec<AgentRow> = agents.iter().map(row).collect();
    output::print(flags.output, &rows, "agents")?;
    Ok(ExitCode::SUCCESS)
}

fn row(agent: &response::get_agents::Agent) -> AgentRow {
    let info = &agent.agent_info;
    let address = agent
        .pid
        .as_deref()
        .and_then(|pid| pid.split_once('@'))
        .map(|(_, a)| a);
    AgentRow {
        id: info
            .id
            .as_ref()
            .map(|id| id.value.clone())
            .unwrap_or_default(),
        hostname: info.hostname.clone(),
        address: address.unwrap_or("-").to_owned(),
        state: state(agent),
        version: agent.version.clone(),
        total: summary(&agent.total_resources),
        allocated: summary(&agent.allocated_resources),
        registered_ns: agent.registered_time.as_ref().map(|t| t.nanoseconds),
    }
}

fn state(agent: &response::get_agents::Agent) -> &'static str {
    match &agent.drain_info {
        Some(drain) if drain.state() == DrainState::Drained => "drained",
        Some(_) => "draining",
        None if agent.deactivated() => "deactivated",
        None if agent.active => "active",
        None => "inactive",
    }
}

/// `cpus 4, mem 1024`: the sums of the scalars, whatever their roles.
pub fn summary(resources: &[Resource]) -> String {
    let mut sums: Vec<(&str, f64)> = Vec::new();
    for resource in resources
        .iter()
        .filter(|r| r.r#type() == value::Type::Scalar)
    {
        let amount = resource.scalar.as_ref().map_or(0.0, |s| s.value);
        match sums.iter_mut().find(|(name, _)| *name == resource.name) {
            Some((_, sum)) => *sum += amount,
            None => sums.push((&resource.name, amount)),
        }
    }
    let parts: Vec<String> = sums
        .iter()
        .map(|(name, sum)| format!("{name} {}", number(*sum)))
        .collect();
    if parts.is_empty() {
        "-".to_owned()
    } else {
        parts.join(", ")
    }
}
