//! RECONCILE: what the master knows of tasks, at once (Mesos: Master::reconcile).

use std::sync::Arc;

use caprock_model::task::state_for;
use caprock_model::{AgentId, TaskId};
use caprock_proto::caprock::registry::remove_agent::Removal;
use caprock_proto::mesos::v1::scheduler::call::{Reconcile, reconcile};
use caprock_proto::mesos::v1::task_status::Reason;
use caprock_proto::mesos::v1::{TaskState, TaskStatus};
use caprock_registry::{Framework, Task};

use crate::agents::Presence;
use crate::call::Admitted;
use crate::event;
use crate::office::Office;
use crate::status::MasterStatus;
use crate::turn::Turn;

impl Office {
    pub(crate) fn reconcile(
        &mut self,
        turn: &mut Turn<'_>,
        admitted: &Admitted<'_>,
        reconcile: &Reconcile,
    ) {
        turn.accepted(admitted.request);
        let framework = Arc::clone(admitted.framework);
        if reconcile.tasks.is_empty() {
            for task in framework.tasks.values() {
                let status = latest_status(turn, task);
                self.send(turn, &framework.id, event::update(status));
            }
        }
        for asked in &reconcile.tasks {
            self.reconcile_one(turn, &framework, asked);
        }
    }

    pub(crate) fn reconcile_one(
        &mut self,
        turn: &mut Turn<'_>,
        framework: &Framework,
        asked: &reconcile::Task,
    ) {
        let task_id = TaskId::from(&asked.task_id);
        let agent = asked.agent_id.as_ref().map(AgentId::from);
        if let Some(task) = framework.task(&task_id) {
            let status = latest_status(turn, task);
            return self.send(turn, &framework.id, event::update(status));
        }
        // A launch that is on its way through the log: nothing is lost, so nothing is said.
        if self.launching.agent_of(&framework.id, &task_id).is_some() {
            return;
        }
        let Some((state, message)) = self.judge_unknown(turn, agent.as_ref()) else {
            return;
        };
        let mut status = MasterStatus {
            task: &task_id,
            agent: agent.as_ref(),
            executor: None,
            state: state_for(framework.capabilities, state),
            reason: Reason::Reconciliation,
            message: message.to_owned(),
        }
        .at(turn.now);
        if state == TaskState::TaskUnreachable {
            let known = agent.as_ref().and_then(|agent| turn.registry.agent(agent));
            let since = known.and_then(|known| known.unreachable_since());
            status.unreachable_time = since.map(|since| since.to_proto());
        }
        self.send(turn, &framework.id, event::update(status));
    }

    /// What is said of a task that is not in the list, by what became of its agent; nothing
    /// while the agent has not said in this leadership what it runs.
    fn judge_unknown(
        &self,
        turn: &Turn<'_>,
        agent: Option<&AgentId>,
    ) -> Option<(TaskState, &'static str)> {
        let unknown = (TaskState::TaskUnknown, "Reconciliation: Task is unknown");
        let Some(agent) = agent else {
            return (!self.agents.any_recovered()).then_some(unknown);
        };
        if let Some(known) = turn.registry.agent(agent) {
            if !known.is_reachable() {
                return Some((
                    TaskState::TaskUnreachable,
                    "Reconciliation: Task is unreachable",
                ));
            }
            let presence = self.agents.peer(agent).map(|peer| peer.presence);
            if presence.is_none_or(|presence| presence == Presence::Recovered) {
                return None;
            }
            let text = "Reconciliation: Task is unknown to the agent";
            return Some((TaskState::TaskGone, text));
        }
        let removed = turn.registry.removed_agent(agent);
        if removed.is_some_and(|removed| removed.removal == Removal::Gone) {
            return Some((
                TaskState::TaskGoneByOperator,
                "Reconciliation: Task is gone",
            ));
        }
        Some(unknown)
    }
}

/// The state that the scheduler was told last, with what was told about it.
fn latest_status(turn: &Turn<'_>, task: &Task) -> TaskStatus {
    let status = MasterStatus {
        task: &task.id,
        agent: Some(&task.agent_id),
        executor: Some(&task.executor_id),
        state: if task.statuses.is_empty() {
            task.latest_state
        } else {
            task.state
        },
        reason: Reason::Reconciliation,
        message: "Reconciliation: Latest task state".to_owned(),
    }
    .at(turn.now);
    let Some(last) = task.statuses.last() else {
        return status;
    };
    TaskStatus {
        healthy: last.healthy,
        check_status: last.check_status,
        container_status: last.container_status.clone(),
        ..status
    }
}
