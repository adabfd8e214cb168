//! Launches of task groups: to a custom executor as one LAUNCH_GROUP, or, for the default
//! executor, run by the agent itself (see `pods`).

use caprock_proto::caprock::session;

use crate::agent::Agent;
use crate::launch::{LaunchRequest, kind_of};

impl Agent {
    pub(crate) fn launch_group(&mut self, order: session::LaunchGroup) {
        let (Some(framework), Some(executor)) = (order.framework, order.executor) else {
            self.warn("an order to launch a group names no framework or no executor");
            return;
        };
        let mut tasks = order.group.unwrap_or_default().tasks;
        for task in &mut tasks {
            // Each task of a group names its executor (Mesos: src/master/master.cpp).
            task.executor.get_or_insert_with(|| executor.clone());
        }
        self.launch_tasks(LaunchRequest {
            framework,
            kind: kind_of(&executor),
            executor,
            tasks,
            launch_index: order.launch_index,
            new_executor: order.new_executor,
            group: true,
        });
    }
}
