//! How much of the past the registry keeps.

use caprock_model::DurationMs;

/// Bounds of the histories. They decide what `apply` forgets, so all members must have the
/// same: they are constants of the code and no flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Mesos: `--max_completed_frameworks`.
    pub completed_frameworks: usize,
    /// Mesos: `--max_completed_tasks_per_framework`.
    pub completed_tasks_per_framework: usize,
    /// Mesos: `--max_unreachable_tasks_per_framework`.
    pub unreachable_tasks_per_framework: usize,
    /// Mesos: `--registry_max_agent_count`.
    pub removed_agents: usize,
    /// How many idempotency keys are remembered ...
    pub idempotency_keys: usize,
    /// ... and for how long.
    pub idempotency_window: DurationMs,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            completed_frameworks: 50,
            completed_tasks_per_framework: 1_000,
            unreachable_tasks_per_framework: 1_000,
            removed_agents: 102_400,
            idempotency_keys: 65_536,
            idempotency_window: DurationMs::from_secs(15 * 60),
        }
    }
}
