//! KILL: remembered in the log until the task ends, then ordered (Mesos: Master::kill).

use std::sync::Arc;

use caprock_model::task::is_terminal;
use caprock_model::{AgentId, FrameworkId, TaskId};
use caprock_proto::caprock::registry::{RequestKill, entry::Command};
use caprock_proto::mesos::v1::scheduler::call::{Kill, reconcile};

use crate::call::Admitted;
use crate::input::RequestId;
use crate::office::Office;
use crate::propose::{Pending, Verdict};
use crate::settle::kill_order;
use crate::turn::Turn;

/// A kill on its way through the log.
#[derive(Debug)]
pub(crate) struct PendingKill {
    pub request: RequestId,
    framework: FrameworkId,
    task: TaskId,
    /// As the scheduler named it.
    agent: Option<AgentId>,
}

impl Office {
    pub(crate) fn kill(&mut self, turn: &mut Turn<'_>, admitted: &Admitted<'_>, kill: &Kill) {
        let framework = Arc::clone(admitted.framework);
        let task = TaskId::from(&kill.task_id);
        let agent = kill.agent_id.as_ref().map(AgentId::from);
        // A launch that is still on its way is applied before the kill.
        let home = match framework.task(&task) {
            Some(known) if is_terminal(known.latest_state) => {
                return turn.accepted(admitted.request);
            }
            Some(known) => Some(known.agent_id.clone()),
            None => self.launching.agent_of(&framework.id, &task).cloned(),
        };
        let Some(home) = home else {
            turn.accepted(admitted.request);
            return self.answer_explicitly(turn, &framework, &task, agent.as_ref());
        };
        if agent.as_ref().is_some_and(|named| *named != home) {
            return turn.accepted(admitted.request);
        }
        let command = RequestKill {
            framework_id: framework.id.to_string(),
            task_id: task.to_string(),
            kill_policy: kill.kill_policy,
        };
        let pending = PendingKill {
            request: admitted.request,
            framework: framework.id.clone(),
            task,
            agent,
        };
        let principal = admitted.principal.clone();
        let command = Command::RequestKill(command);
        self.propose_for(turn, principal, command, Pending::Kill(pending));
    }

    pub(crate) fn kill_applied(
        &mut self,
        turn: &mut Turn<'_>,
        pending: &PendingKill,
        verdict: &Verdict,
    ) {
        match verdict {
            Verdict::Applied(..) => {
                turn.accepted(pending.request);
                let Some(task) = turn.registry.task(&pending.framework, &pending.task) else {
                    return;
                };
                if task.kill.is_some()
                    && let Some(session) = self.orders_go_to(&task.agent_id)
                {
                    turn.order(session, kill_order(task));
                }
            }
            Verdict::Rejected(_) => {
                turn.accepted(pending.request);
                if let Some(framework) = turn.registry.framework(&pending.framework) {
                    let framework = Arc::clone(framework);
                    let agent = pending.agent.as_ref();
                    self.answer_explicitly(turn, &framework, &pending.task, agent);
                }
            }
            Verdict::Refused | Verdict::Unknown => turn.unavailable(pending.request),
        }
    }

    /// Answers a reconciliation of one task, in the words of that call.
    pub(crate) fn answer_explicitly(
        &mut self,
        turn: &mut Turn<'_>,
        framework: &Arc<caprock_registry::Framework>,
        task: &TaskId,
        agent: Option<&AgentId>,
    ) {
        let asked = reconcile::Task {
            task_id: task.to_proto(),
            agent_id: agent.map(AgentId::to_proto),
        };
        self.reconcile_one(turn, framework, &asked);
    }
}
