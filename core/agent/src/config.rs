//! What the agent is started with. Names and defaults are those of Mesos' agent flags.

use caprock_model::{AgentCapabilities, DurationMs};
use caprock_proto::mesos::v1::AgentInfo;

/// Settings of the agent's brain; the shell has more of its own.
#[derive(Debug, Clone)]
pub struct Config {
    /// Hostname, port, resources, attributes and domain; without an id.
    pub info: AgentInfo,
    /// Version that is told to the masters.
    pub version: String,
    /// host:port of the agent's HTTP endpoint.
    pub address: String,
    /// IP address for the `container_status` of tasks on the host's network.
    pub ip: String,
    pub capabilities: AgentCapabilities,
    /// `--executor_registration_timeout`
    pub executor_registration_timeout: DurationMs,
    /// `--executor_reregistration_timeout`
    pub executor_reregistration_timeout: DurationMs,
    /// `--executor_shutdown_grace_period`
    pub executor_shutdown_grace_period: DurationMs,
    /// `--recover`
    pub recover: Recover,
    /// `--strict`: damaged checkpoints are fatal.
    pub strict: bool,
    /// `--reconfiguration_policy`
    pub reconfiguration_policy: ReconfigurationPolicy,
    /// `--registration_backoff_factor`: first pause before Attach is repeated.
    pub registration_backoff_factor: DurationMs,
    /// Longest pause before Attach is repeated.
    pub registration_backoff_max: DurationMs,
    /// First pause before an unacknowledged update is sent again; doubled each time.
    pub status_update_retry_min: DurationMs,
    pub status_update_retry_max: DurationMs,
    /// Interval of HEARTBEAT on executors' streams.
    pub executor_heartbeat_interval: DurationMs,
    /// Silence after which the leader is looked for anew, until a leader says otherwise.
    pub master_silence: DurationMs,
    /// SIGTERM to SIGKILL of tasks that the agent runs itself and that have no kill policy.
    pub kill_grace_period: DurationMs,
    pub max_completed_frameworks: usize,
    pub max_completed_executors_per_framework: usize,
    pub max_completed_tasks_per_executor: usize,
    /// Finished tasks whose launch is still recognised when it is repeated.
    pub max_finished_launches: usize,
}

/// `--recover`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Recover {
    /// Keep what runs.
    #[default]
    Reconnect,
    /// Kill what runs, then exit.
    Cleanup,
}

/// `--reconfiguration_policy`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ReconfigurationPolicy {
    /// Any change of the agent's information is fatal.
    #[default]
    Equal,
    /// Resources and attributes may be added.
    Additive,
}

impl Config {
    /// Mesos' defaults (Mesos: src/slave/flags.cpp, src/slave/constants.hpp).
    pub fn new(info: AgentInfo, address: impl Into<String>, version: impl Into<String>) -> Self {
        Self {
            info,
            version: version.into(),
            address: address.into(),
            ip: "127.0.0.1".to_string(),
            capabilities: AgentCapabilities::ALL,
            executor_registration_timeout: DurationMs::from_secs(60),
            executor_reregistration_timeout: DurationMs::from_secs(2),
            executor_shutdown_grace_period: DurationMs::from_secs(5),
            recover: Recover::default(),
            strict: true,
            reconfiguration_policy: ReconfigurationPolicy::default(),
            registration_backoff_factor: DurationMs::from_secs(1),
            registration_backoff_max: DurationMs::from_secs(60),
            status_update_retry_min: DurationMs::from_secs(10),
            status_update_retry_max: DurationMs::from_secs(600),
            executor_heartbeat_interval: DurationMs::from_secs(30 * 60),
            master_silence: DurationMs::from_secs(75),
            kill_grace_period: DurationMs::from_secs(3),
            max_completed_frameworks: 50,
            max_completed_executors_per_framework: 150,
            max_completed_tasks_per_executor: 200,
            max_finished_launches: 10_000,
        }
    }
}
