//! ACKNOWLEDGE: the scheduler has dealt with a status update (Mesos: Master::acknowledge).

use caprock_model::task::is_terminal;
use caprock_model::{AgentId, FrameworkId, TaskId};
use caprock_proto::caprock::registry::{AcknowledgeTask, entry::Command};
use caprock_proto::caprock::session::{self, order::Order};
use caprock_proto::mesos::v1::scheduler::call::Acknowledge;
use prost::bytes::Bytes;

use crate::call::Admitted;
use crate::input::RequestId;
use crate::metrics;
use crate::office::Office;
use crate::propose::{Pending, Verdict};
use crate::turn::Turn;

impl Office {
    /// The agent forgets an update once it is acknowledged, so the end of a task goes to
    /// the log first: the other way round a failover could leave a task that has ended
    /// everywhere but in the log.
    pub(crate) fn acknowledge(
        &mut self,
        turn: &mut Turn<'_>,
        admitted: &Admitted<'_>,
        acknowledge: Acknowledge,
    ) {
        let request = admitted.request;
        let framework = &admitted.framework.id;
        let agent = AgentId::from(&acknowledge.agent_id);
        let task = TaskId::from(&acknowledge.task_id);
        let uuid = acknowledge.uuid;
        if self.orders_go_to(&agent).is_none() {
            // The agent sends the update again when it is back.
            self.metrics.count(metrics::INVALID_ACKNOWLEDGEMENTS);
            return turn.accepted(request);
        }
        self.metrics.count(metrics::VALID_ACKNOWLEDGEMENTS);
        let known = admitted.framework.task(&task);
        let is_end = known.is_some_and(|known| {
            known.agent_id == agent && known.status_uuid == uuid && is_terminal(known.state)
        });
        if !is_end {
            self.order_acknowledgement(turn, &agent, framework, &task, uuid);
            return turn.accepted(request);
        }
        let command = AcknowledgeTask {
            framework_id: framework.to_string(),
            task_id: task.to_string(),
            uuid: uuid.clone(),
        };
        let framework = framework.clone();
        let pending = Pending::Acknowledge {
            request,
            agent,
            framework,
            task,
            uuid,
        };
        let principal = admitted.principal.clone();
        self.propose_for(turn, principal, Command::AcknowledgeTask(command), pending);
    }

    pub(crate) fn acknowledge_applied(
        &mut self,
        turn: &mut Turn<'_>,
        request: RequestId,
        whose: (&AgentId, &FrameworkId, &TaskId),
        uuid: Bytes,
        verdict: &Verdict,
    ) {
        let (agent, framework, task) = whose;
        match verdict {
            // Rejected: acknowledged before, or ended in another way; the agent may forget it.
            Verdict::Applied(..) | Verdict::Rejected(_) => {
                turn.accepted(request);
                self.order_acknowledgement(turn, agent, framework, task, uuid);
            }
            Verdict::Refused | Verdict::Unknown => turn.unavailable(request),
        }
    }

    fn order_acknowledgement(
        &self,
        turn: &mut Turn<'_>,
        agent: &AgentId,
        framework: &FrameworkId,
        task: &TaskId,
        uuid: Bytes,
    ) {
        if let Some(session) = self.orders_go_to(agent) {
            let order = session::Acknowledge {
                framework_id: framework.to_string(),
                task_id: task.to_string(),
                uuid,
            };
            turn.order(session, Order::Acknowledge(order));
        }
    }
}
