//! `/state-summary`: agents and frameworks with counts of their tasks.

use std::collections::{BTreeMap, BTreeSet};

use caprock_proto::mesos::v1::TaskState;
use serde_json::{Map, Value, json};

use super::{frameworks, slaves};
use crate::context::Master;
use crate::reads::{Snapshot, completed_tasks, live_tasks, unreachable_tasks};

/// States that are counted; Mesos has no counters for the others.
const COUNTED: [TaskState; 10] = [
    TaskState::TaskStaging,
    TaskState::TaskStarting,
    TaskState::TaskRunning,
    TaskState::TaskKilling,
    TaskState::TaskFinished,
    TaskState::TaskKilled,
    TaskState::TaskFailed,
    TaskState::TaskLost,
    TaskState::TaskError,
    TaskState::TaskUnreachable,
];

#[derive(Default)]
struct Count<'a> {
    states: BTreeMap<TaskState, u64>,
    /// Ids of the frameworks of an agent, or of the agents of a framework.
    others: BTreeSet<&'a str>,
}

impl Count<'_> {
    fn put(&self, fields: &mut Map<String, Value>, others: &str) {
        for state in COUNTED {
            let count = self.states.get(&state).copied().unwrap_or(0);
            fields.insert(state.as_str_name().to_owned(), count.into());
        }
        fields.insert(others.to_owned(), json!(self.others));
    }
}

/// The summary.
pub fn state_summary(master: &Master, snapshot: &Snapshot) -> Value {
    let mut by_agent: BTreeMap<&str, Count<'_>> = BTreeMap::new();
    let mut by_framework: BTreeMap<&str, Count<'_>> = BTreeMap::new();
    let tasks = live_tasks(snapshot).chain(unreachable_tasks(snapshot));
    for task in tasks.chain(completed_tasks(snapshot)) {
        let (agent, framework) = (task.agent_id.as_str(), task.framework_id.as_str());
        for (count, other) in [
            (by_agent.entry(agent).or_default(), framework),
            (by_framework.entry(framework).or_default(), agent),
        ] {
            *count.states.entry(task.latest_state).or_default() += 1;
            count.others.insert(other);
        }
    }
    let none = Count::default();
    let slaves = snapshot.reachable_agents().map(|agent| {
        let mut fields = slaves::fields(snapshot, agent);
        by_agent
            .get(agent.id.as_str())
            .unwrap_or(&none)
            .put(&mut fields, "framework_ids");
        Value::Object(fields)
    });
    let frameworks = snapshot.registry.frameworks().map(|framework| {
        let mut fields = frameworks::fields(snapshot, framework);
        by_framework
            .get(framework.id.as_str())
            .unwrap_or(&none)
            .put(&mut fields, "slave_ids");
        Value::Object(fields)
    });
    let mut summary = json!({
        "hostname": master.identity.hostname,
        "slaves": slaves.collect::<Vec<_>>(),
        "frameworks": frameworks.collect::<Vec<_>>(),
    });
    if let Some(cluster) = &master.config.cluster {
        summary["cluster"] = cluster.as_str().into();
    }
    summary
}
