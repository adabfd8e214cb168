//! The leader empties this agent: all tasks are killed, none is launched, until the leader
//! says that it is over (Mesos: Slave::drain and Slave::statusUpdate in src/slave/slave.cpp).

use caprock_model::{DurationMs, FrameworkId, Millis, TaskId};
use caprock_proto::caprock::{checkpoint, session};
use caprock_proto::mesos::v1::task_status::Reason;
use caprock_proto::mesos::v1::{DrainConfig, KillPolicy, TaskState, TaskStatus};

use crate::agent::Agent;
use crate::checkpoint::Key;
use crate::task::Task;
use crate::view::ExecutorKind;

/// A drain, until the agent is reactivated.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Drain {
    pub config: DrainConfig,
    /// When the leader was asked for it.
    pub started_at: Millis,
}

impl Drain {
    fn of_order(order: &session::Drain) -> Self {
        Self {
            config: order.config.unwrap_or_default(),
            started_at: Millis(order.started_ms),
        }
    }

    pub(crate) fn to_record(self) -> checkpoint::Drain {
        checkpoint::Drain {
            config: Some(self.config),
            started_ms: self.started_at.0,
        }
    }

    pub(crate) fn from_record(record: &checkpoint::Drain) -> Self {
        Self {
            config: record.config.unwrap_or_default(),
            started_at: Millis(record.started_ms),
        }
    }
}

impl Agent {
    /// What the leader says when the agent attaches, or when it changes.
    pub(crate) fn drain_order(&mut self, order: Option<&session::Drain>) {
        let drain = order.map(Drain::of_order);
        if drain != self.drain {
            let text = match drain {
                Some(_) => "draining: all tasks are killed",
                None => "not draining any more",
            };
            self.log(text);
            self.drain = drain;
            self.mark(Key::Drain);
        }
        if let Some(drain) = drain {
            self.kill_all(&drain);
        }
    }

    /// Kills what runs, with at most the grace period of the drain. Repeating it is safe.
    fn kill_all(&mut self, drain: &Drain) {
        let max = drain.config.max_grace_period.as_ref();
        let max = max.map(DurationMs::from);
        let mut kills = Vec::new();
        for (framework, found) in &self.frameworks {
            for executor in found.executors.values() {
                for (id, task) in executor
                    .tasks
                    .iter()
                    .filter(|(_, task)| !task.is_terminal())
                {
                    let policy = max.map(|max| self.bounded_policy(executor.kind, task, max));
                    kills.push((framework.clone(), id.clone(), policy));
                }
            }
        }
        for (framework, id, kill_policy) in kills {
            self.kill_by_drain(&framework, &id, kill_policy);
        }
    }

    fn kill_by_drain(&mut self, framework: &FrameworkId, id: &TaskId, policy: Option<KillPolicy>) {
        self.kill_task(session::Kill {
            framework_id: framework.to_string(),
            task_id: id.to_string(),
            kill_policy: policy,
        });
    }

    /// The task's own grace period, or `max` if that is shorter.
    fn bounded_policy(&self, kind: ExecutorKind, task: &Task, max: DurationMs) -> KillPolicy {
        let own = task.info.kill_policy.as_ref();
        let own = own.and_then(|policy| policy.grace_period.as_ref());
        // Executors of frameworks have a default of their own, which is not known here.
        let default = match kind {
            ExecutorKind::Command | ExecutorKind::Pods => Some(self.config.kill_grace_period),
            ExecutorKind::Custom => None,
        };
        let own = own.map(DurationMs::from).or(default);
        let grace = own.map_or(max, |own| own.min(max));
        KillPolicy {
            grace_period: Some(grace.to_proto()),
        }
    }

    /// The end of a task in a drain is told as such, whatever its executor says of it.
    pub(crate) fn say_draining(&self, framework: &FrameworkId, status: &mut TaskStatus) {
        let Some(drain) = &self.drain else { return };
        let state = status.state();
        if !matches!(state, TaskState::TaskKilling | TaskState::TaskKilled) {
            return;
        }
        status.reason = Some(Reason::AgentDraining as i32);
        let aware = self
            .frameworks
            .get(framework)
            .is_some_and(|found| found.capabilities.partition_aware);
        if state == TaskState::TaskKilled && drain.config.mark_gone() && aware {
            status.state = TaskState::TaskGoneByOperator as i32;
        }
    }
}
