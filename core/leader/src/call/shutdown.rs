//! SHUTDOWN: an executor is asked to end, with its tasks.

use caprock_model::AgentId;
use caprock_proto::caprock::session::{ShutdownExecutor, order::Order};
use caprock_proto::mesos::v1::scheduler::call::Shutdown;

use crate::call::Admitted;
use crate::office::Office;
use crate::turn::Turn;

impl Office {
    pub(crate) fn shutdown(
        &mut self,
        turn: &mut Turn<'_>,
        admitted: &Admitted<'_>,
        shutdown: &Shutdown,
    ) {
        turn.accepted(admitted.request);
        let agent = AgentId::from(&shutdown.agent_id);
        if let Some(session) = self.orders_go_to(&agent) {
            let order = ShutdownExecutor {
                framework_id: admitted.framework.id.to_string(),
                executor_id: shutdown.executor_id.value.clone(),
            };
            turn.order(session, Order::ShutdownExecutor(order));
        }
    }
}
