//! Tasks that the log has and that the agent did not report: each gets an update, so that none
//! is dropped silently (Mesos: Slave::reregistered).

use caprock_model::{ExecutorId, FrameworkId, TaskId};
use caprock_proto::caprock::session::Reconcile;
use caprock_proto::mesos::v1::{TaskState, task_status::Reason};

use crate::agent::Agent;

impl Agent {
    pub(crate) fn reconcile(&mut self, order: &Reconcile) {
        for reference in &order.tasks {
            let framework = FrameworkId::from(reference.framework_id.as_str());
            let task = TaskId::from(reference.task_id.as_str());
            let owner = self.frameworks.get(&framework);
            let here = owner.is_some_and(|found| found.task(&task).is_some());
            let told = here || self.stream(&framework, &task).is_some();
            if !told && !self.tell_end_again(&framework, &task) {
                self.tell_unknown(&framework, &task);
            }
        }
    }

    fn tell_unknown(&mut self, framework: &FrameworkId, task: &TaskId) {
        let executor = ExecutorId::from(task.as_str());
        let mut status = self.agent_status(
            framework,
            &executor,
            task,
            TaskState::TaskDropped,
            Reason::Reconciliation,
            "Reconciliation: task unknown to the agent",
        );
        // Of a framework that is not here it may be known that it wants the exact state.
        let finished = self.finished.get(framework, task);
        if finished.is_some_and(|over| over.partition_aware) {
            status.state = TaskState::TaskDropped as i32;
        }
        self.enqueue_update(framework, &executor, status);
    }
}
