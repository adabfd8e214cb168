//! MESSAGE: best effort, from a scheduler to one of its executors.

use caprock_model::AgentId;
use caprock_proto::caprock::session::{FrameworkMessage, order::Order};
use caprock_proto::mesos::v1::scheduler::call::Message;

use crate::call::Admitted;
use crate::office::Office;
use crate::turn::Turn;

impl Office {
    pub(crate) fn message(
        &mut self,
        turn: &mut Turn<'_>,
        admitted: &Admitted<'_>,
        message: Message,
    ) {
        turn.accepted(admitted.request);
        let agent = AgentId::from(&message.agent_id);
        if let Some(session) = self.orders_go_to(&agent) {
            let order = FrameworkMessage {
                framework_id: admitted.framework.id.to_string(),
                executor_id: message.executor_id.value,
                data: message.data,
            };
            turn.order(session, Order::FrameworkMessage(order));
        }
    }
}
