//! Gauges of the cluster, computed from the registry and the leader's view.

use caprock_model::Resources;
use caprock_proto::mesos::v1::TaskState;

use super::{Values, put};
use crate::reads::{Snapshot, live_tasks, unreachable_tasks};

const RESOURCES: [&str; 4] = ["cpus", "gpus", "mem", "disk"];

/// States of tasks that have a gauge.
const STATES: [(TaskState, &str); 4] = [
    (TaskState::TaskStaging, "master/tasks_staging"),
    (TaskState::TaskStarting, "master/tasks_starting"),
    (TaskState::TaskRunning, "master/tasks_running"),
    (TaskState::TaskKilling, "master/tasks_killing"),
];

/// Adds all of them; zeros without a snapshot.
pub fn gauges(snapshot: Option<&Snapshot>, values: &mut Values) {
    agents(snapshot, values);
    frameworks(snapshot, values);
    tasks(snapshot, values);
    resources(snapshot, values);
}

fn agents(snapshot: Option<&Snapshot>, values: &mut Values) {
    let count = |wanted: fn(&Snapshot, &caprock_registry::Agent) -> bool| {
        let counted = |s: &Snapshot| s.registry.agents().filter(|agent| wanted(s, agent)).count();
        snapshot.map_or(0, counted) as f64
    };
    let active = count(|s, agent| s.is_active(agent));
    let inactive = count(|s, agent| agent.is_reachable() && !s.is_active(agent));
    let connected = count(|s, agent| s.is_attached(agent));
    let disconnected = count(|s, agent| agent.is_reachable() && !s.is_attached(agent));
    put(values, "master/slaves_active", active);
    put(values, "master/slaves_connected", connected);
    put(values, "master/slaves_inactive", inactive);
    put(values, "master/slaves_disconnected", disconnected);
    let draining = count(|_, agent| agent.drain.is_some_and(|drain| !drain.finished));
    put(values, "caprock/agents_draining", draining);
    put(
        values,
        "caprock/agents_deactivated",
        count(|_, agent| agent.deactivated),
    );
    // Above 0, no agent is marked unreachable: page somebody.
    let missing = snapshot.and_then(|snapshot| snapshot.view.mass_loss);
    put(
        values,
        "caprock/alarm_agents_missing",
        missing.unwrap_or(0) as f64,
    );
    put(
        values,
        "master/slaves_unreachable",
        count(|_, agent| !agent.is_reachable()),
    );
}

fn frameworks(snapshot: Option<&Snapshot>, values: &mut Values) {
    let connected = snapshot.map_or(0, |s| s.view.connected_frameworks.size());
    let all = snapshot.map_or(0, |s| s.registry.frameworks().len());
    let away = all.saturating_sub(connected) as f64;
    put(values, "master/frameworks_active", connected as f64);
    put(values, "master/frameworks_connected", connected as f64);
    put(values, "master/frameworks_inactive", away);
    put(values, "master/frameworks_disconnected", away);
    let offers = snapshot.map_or(0, |s| s.view.offers.size());
    put(values, "master/outstanding_offers", offers as f64);
}

fn tasks(snapshot: Option<&Snapshot>, values: &mut Values) {
    for (state, name) in STATES {
        let in_state = |s: &Snapshot| live_tasks(s).filter(|t| t.latest_state == state).count();
        put(values, name, snapshot.map_or(0, in_state) as f64);
    }
    let unreachable = snapshot.map_or(0, |s| unreachable_tasks(s).count());
    put(values, "master/tasks_unreachable", unreachable as f64);
}

fn resources(snapshot: Option<&Snapshot>, values: &mut Values) {
    let mut total = Resources::default();
    let mut used = Resources::default();
    for agent in snapshot
        .iter()
        .flat_map(|snapshot| snapshot.reachable_agents())
    {
        total += &agent.total;
        used += &agent.used;
    }
    let kinds = [
        ("", total.non_revocable(), used.non_revocable()),
        ("_revocable", total.revocable(), used.revocable()),
    ];
    for (kind, total, used) in kinds {
        for name in RESOURCES {
            let (total, used) = (total.scalar(name).to_f64(), used.scalar(name).to_f64());
            let percent = if total > 0.0 { used / total } else { 0.0 };
            put(values, &format!("master/{name}{kind}_total"), total);
            put(values, &format!("master/{name}{kind}_used"), used);
            put(values, &format!("master/{name}{kind}_percent"), percent);
            if kind.is_empty() && name != "gpus" {
                put(
                    values,
                    &format!("allocator/mesos/resources/{name}/total"),
                    total,
                );
                let offered = snapshot.map_or(0.0, |s| offered(s, name));
                let busy = format!("allocator/mesos/resources/{name}/offered_or_allocated");
                put(values, &busy, used + offered);
            }
        }
    }
}

fn offered(snapshot: &Snapshot, name: &str) -> f64 {
    snapshot
        .all_offered()
        .map(|(_, offered)| offered.scalar(name).to_f64())
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_the_lead_everything_is_zero() {
        let mut values = Values::new();
        gauges(None, &mut values);
        assert!(values.values().all(|value| *value == 0.0));
        for name in [
            "master/cpus_total",
            "master/mem_percent",
            "master/tasks_running",
        ] {
            assert!(values.contains_key(name), "{name}");
        }
    }
}
