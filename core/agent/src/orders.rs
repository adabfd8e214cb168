//! Orders of the leader, each handed to the file that knows it. The fence has let them pass.

use caprock_model::{ExecutorId, FrameworkId};
use caprock_proto::caprock::session::{Order, UpdateFramework, order};

use crate::agent::Agent;

impl Agent {
    pub(crate) fn order(&mut self, order: Order) {
        use order::Order;

        match order.order {
            Some(Order::Launch(launch)) => self.launch(launch),
            Some(Order::LaunchGroup(launch)) => self.launch_group(launch),
            Some(Order::Kill(kill)) => self.kill_task(kill),
            Some(Order::Acknowledge(acknowledge)) => self.acknowledge(&acknowledge),
            Some(Order::ShutdownExecutor(shutdown)) => {
                let framework = FrameworkId::from(shutdown.framework_id);
                self.shutdown_order(&framework, &ExecutorId::from(shutdown.executor_id));
            }
            Some(Order::ShutdownFramework(shutdown)) => {
                self.shut_down_framework(&FrameworkId::from(shutdown.framework_id));
            }
            Some(Order::FrameworkMessage(message)) => self.message_of_framework(message),
            Some(Order::UpdateFramework(update)) => self.update_framework(&update),
            Some(Order::Reconcile(reconcile)) => self.reconcile(&reconcile),
            Some(Order::ApplyOperation(operation)) => self.apply_operation(operation),
            Some(Order::AcknowledgeOperation(acknowledge)) => {
                self.acknowledge_operation(&acknowledge);
            }
            Some(Order::Drain(drain)) => self.drain_order(Some(&drain)),
            Some(Order::Reactivate(_)) => self.drain_order(None),
            None => self.warn("an order of an unknown kind is ignored"),
        }
    }

    /// New information about a framework: perhaps it has just come back, so that its updates
    /// are worth another try at once (Mesos: Slave::updateFramework).
    fn update_framework(&mut self, update: &UpdateFramework) {
        let Some(info) = &update.framework else {
            return;
        };
        let Some(id) = info.id.as_ref().map(FrameworkId::from) else {
            return;
        };
        if self.frameworks.contains_key(&id) {
            self.know_framework(&id, info);
        }
        self.resend_of(&id);
    }
}
