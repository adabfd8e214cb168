//! Counters under the names of Mesos' agent metrics (Mesos: src/slave/metrics.cpp).

use std::collections::BTreeMap;

use caprock_proto::mesos::v1::TaskState;

/// Counts since the process started.
#[derive(Debug, Clone, Default)]
pub(crate) struct Counters {
    pub tasks_finished: u64,
    pub tasks_failed: u64,
    pub tasks_killed: u64,
    pub tasks_lost: u64,
    pub tasks_gone: u64,
    pub executors_terminated: u64,
    pub valid_status_updates: u64,
    pub invalid_status_updates: u64,
    pub valid_framework_messages: u64,
    pub invalid_framework_messages: u64,
    pub container_launch_errors: u64,
    pub recovery_errors: u64,
    /// Messages that the fence refused.
    pub fenced_messages: u64,
    /// Launches that were repeated and not done again.
    pub repeated_launches: u64,
}

impl Counters {
    /// A task came to its end.
    pub fn ended(&mut self, state: TaskState) {
        match state {
            TaskState::TaskFinished => self.tasks_finished += 1,
            TaskState::TaskFailed => self.tasks_failed += 1,
            TaskState::TaskKilled => self.tasks_killed += 1,
            TaskState::TaskLost => self.tasks_lost += 1,
            TaskState::TaskGone => self.tasks_gone += 1,
            TaskState::TaskStaging
            | TaskState::TaskStarting
            | TaskState::TaskRunning
            | TaskState::TaskKilling
            | TaskState::TaskError
            | TaskState::TaskDropped
            | TaskState::TaskUnreachable
            | TaskState::TaskGoneByOperator
            | TaskState::TaskUnknown => {}
        }
    }

    /// All counters by name.
    pub fn write(&self, to: &mut BTreeMap<&'static str, f64>) {
        for (name, value) in [
            ("slave/tasks_finished", self.tasks_finished),
            ("slave/tasks_failed", self.tasks_failed),
            ("slave/tasks_killed", self.tasks_killed),
            ("slave/tasks_lost", self.tasks_lost),
            ("slave/tasks_gone", self.tasks_gone),
            ("slave/executors_terminated", self.executors_terminated),
            ("slave/executors_preempted", 0),
            ("slave/valid_status_updates", self.valid_status_updates),
            ("slave/invalid_status_updates", self.invalid_status_updates),
            (
                "slave/valid_framework_messages",
                self.valid_framework_messages,
            ),
            (
                "slave/invalid_framework_messages",
                self.invalid_framework_messages,
            ),
            (
                "slave/container_launch_errors",
                self.container_launch_errors,
            ),
            ("slave/recovery_errors", self.recovery_errors),
            ("slave/fenced_messages", self.fenced_messages),
            ("slave/repeated_launches", self.repeated_launches),
        ] {
            to.insert(name, value as f64);
        }
    }
}
