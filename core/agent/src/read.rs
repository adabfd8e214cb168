//! Makes the copy of the agent's state that readers get.

use std::collections::BTreeMap;

use caprock_model::Resources;
use caprock_proto::mesos::v1::TaskState;

use crate::agent::Agent;
use crate::view::{AgentView, AttachedView, ExecutorState, FrameworkView};

impl Agent {
    /// A copy of what the agent knows. It costs a walk over all tasks: take it when somebody
    /// asks, not after each step.
    pub fn view(&self) -> AgentView {
        let frameworks: Vec<FrameworkView> = self
            .frameworks
            .values()
            .map(|framework| self.framework_view(framework))
            .collect();
        let attached = self.attachment.as_ref().and_then(|attachment| {
            let (master_id, since) = attachment.established()?;
            Some(AttachedView {
                link: attachment.link,
                term: attachment.term,
                master_id: master_id.to_string(),
                since,
            })
        });
        let metrics = self.metrics(attached.is_some());
        AgentView {
            agent_id: self.agent_id(),
            info: self.full_info(),
            cluster_id: self.identity.cluster_id.clone(),
            phase: self.phase,
            highest_term: self.fence.highest_term,
            attached,
            started_at: self.started_at,
            recovered_at: self.recovered_at,
            used: used(&frameworks),
            frameworks,
            completed_frameworks: self.completed.iter().cloned().collect(),
            operations: self.operations_view(),
            drain: self.drain,
            total: self.total.clone(),
            metrics,
        }
    }

    fn metrics(&self, registered: bool) -> BTreeMap<&'static str, f64> {
        let mut metrics = BTreeMap::new();
        self.counters.write(&mut metrics);
        let uptime = self.now.since(self.started_at).seconds_f64();
        let recovery = self
            .recovered_at
            .map_or(0.0, |at| at.since(self.started_at).seconds_f64());
        metrics.insert("slave/uptime_secs", uptime);
        metrics.insert("slave/recovery_time_secs", recovery);
        metrics.insert("slave/registered", if registered { 1.0 } else { 0.0 });
        metrics.insert("slave/frameworks_active", self.frameworks.len() as f64);
        for name in GAUGES {
            metrics.insert(name, 0.0);
        }
        let executors = || {
            self.frameworks
                .values()
                .flat_map(|found| found.executors.values())
        };
        for executor in executors() {
            if let Some(value) = executor_gauge(executor.state).and_then(|g| metrics.get_mut(g)) {
                *value += 1.0;
            }
            for task in executor.tasks.values() {
                if let Some(value) = task_gauge(task.state).and_then(|g| metrics.get_mut(g)) {
                    *value += 1.0;
                }
            }
        }
        metrics
    }
}

const GAUGES: [&str; 7] = [
    "slave/tasks_staging",
    "slave/tasks_starting",
    "slave/tasks_running",
    "slave/tasks_killing",
    "slave/executors_registering",
    "slave/executors_running",
    "slave/executors_terminating",
];

fn executor_gauge(state: ExecutorState) -> Option<&'static str> {
    match state {
        ExecutorState::Registering => Some("slave/executors_registering"),
        ExecutorState::Running => Some("slave/executors_running"),
        ExecutorState::Terminating => Some("slave/executors_terminating"),
        ExecutorState::Terminated => None,
    }
}

fn task_gauge(state: TaskState) -> Option<&'static str> {
    Some(match state {
        TaskState::TaskStaging => "slave/tasks_staging",
        TaskState::TaskStarting => "slave/tasks_starting",
        TaskState::TaskRunning => "slave/tasks_running",
        TaskState::TaskKilling => "slave/tasks_killing",
        _ => return None,
    })
}

fn used(frameworks: &[FrameworkView]) -> Resources {
    let mut used = Resources::default();
    let executors = frameworks.iter().flat_map(|framework| &framework.executors);
    for executor in executors.filter(|executor| executor.state != ExecutorState::Terminated) {
        used += &executor.resources;
    }
    used
}
