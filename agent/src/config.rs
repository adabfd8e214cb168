//! What an operator can set on an agent, with Mesos' names and defaults
//! (Mesos: src/slave/flags.cpp).

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use caprock_agent_core::config::{ReconfigurationPolicy, Recover};
use caprock_model::{DurationMs, format_duration};
use caprock_proto::mesos::v1::DomainInfo;

/// All settings of an agent.
#[derive(Debug, Clone)]
pub struct AgentConfig {
    /// host:port of each master of the quorum.
    pub masters: Vec<String>,
    /// Where HTTP is served.
    pub listen: SocketAddr,
    /// host:port that masters and executors are told; by default found from `listen`.
    pub advertise: Option<String>,
    /// Sandboxes and checkpoints.
    pub work_dir: PathBuf,
    /// `name(role):value;...` or JSON; what is missing is detected.
    pub resources: Option<String>,
    /// `rack:r1;zone:a`
    pub attributes: Option<String>,
    /// Role of resources that name none.
    pub default_role: String,
    /// Name that is published; by default this machine's.
    pub hostname: Option<String>,
    pub domain: Option<DomainInfo>,

    pub executor_registration_timeout: DurationMs,
    pub executor_reregistration_timeout: DurationMs,
    pub executor_shutdown_grace_period: DurationMs,
    /// How long executors look for a lost agent; told to them in their environment.
    pub recovery_timeout: DurationMs,
    pub recover: Recover,
    pub strict: bool,
    pub reconfiguration_policy: ReconfigurationPolicy,
    pub registration_backoff_factor: DurationMs,

    /// Run tasks as their user rather than as the agent's.
    pub switch_user: bool,
    /// Environment of all executors, in order.
    pub executor_environment_variables: Vec<(String, String)>,
    pub http_command_executor: bool,
    /// Where relative URIs start.
    pub frameworks_home: Option<PathBuf>,

    pub gc_delay: DurationMs,
    pub gc_disk_headroom: f64,
    pub disk_watch_interval: DurationMs,
    pub max_completed_executors_per_framework: usize,

    /// Largest request body, after decompression.
    pub max_request_body_bytes: usize,
    /// Events kept for an executor that reads slowly before its stream is cut off.
    pub executor_event_buffer: usize,
    /// The program that supervises containers, and the arguments that make it do so; by
    /// default this one, called with `launch`.
    pub shim_program: PathBuf,
    pub shim_arguments: Vec<String>,
}

impl Default for AgentConfig {
    fn default() -> Self {
        Self {
            masters: vec!["127.0.0.1:5050".into()],
            listen: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 5051),
            advertise: None,
            work_dir: PathBuf::from("caprock-agent"),
            resources: None,
            attributes: None,
            default_role: "*".into(),
            hostname: None,
            domain: None,
            executor_registration_timeout: DurationMs::from_secs(60),
            executor_reregistration_timeout: DurationMs::from_secs(2),
            executor_shutdown_grace_period: DurationMs::from_secs(5),
            recovery_timeout: DurationMs::from_secs(15 * 60),
            recover: Recover::Reconnect,
            strict: true,
            reconfiguration_policy: ReconfigurationPolicy::Equal,
            registration_backoff_factor: DurationMs::from_secs(1),
            switch_user: true,
            executor_environment_variables: Vec::new(),
            http_command_executor: false,
            frameworks_home: None,
            gc_delay: DurationMs::from_secs(7 * 24 * 3600),
            gc_disk_headroom: 0.1,
            disk_watch_interval: DurationMs::from_secs(60),
            max_completed_executors_per_framework: 150,
            max_request_body_bytes: 64 << 20,
            executor_event_buffer: 4096,
            // Stays the same program when the file is replaced by an upgrade.
            shim_program: PathBuf::from("/proc/self/exe"),
            shim_arguments: vec!["launch".into()],
        }
    }
}

impl AgentConfig {
    /// Rejects values that Mesos rejects, with one line for the operator.
    pub fn validate(&self) -> Result<(), String> {
        if self.masters.is_empty() {
            return Err("--masters must name at least one master".into());
        }
        if self.executor_reregistration_timeout > DurationMs::from_secs(15) {
            let given = format_duration(self.executor_reregistration_timeout);
            return Err(format!(
                "--executor-reregistration-timeout must not be more than 15secs, but is {given}"
            ));
        }
        if !(0.0..=1.0).contains(&self.gc_disk_headroom) {
            return Err("--gc-disk-headroom must be between 0 and 1".into());
        }
        Ok(())
    }

    /// Name and value of each flag that has a value, under Mesos' names, for `/flags`.
    pub fn flags(&self) -> BTreeMap<String, String> {
        let texts = self
            .texts()
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?)));
        let durations = self
            .durations()
            .map(|(name, value)| (name, format_duration(value)));
        let switches = self
            .switches()
            .map(|(name, value)| (name, value.to_string()));
        let all = texts.chain(durations).chain(switches);
        all.map(|(name, value)| (name.to_string(), value)).collect()
    }

    fn texts(&self) -> [(&'static str, Option<String>); 17] {
        let policy = match self.reconfiguration_policy {
            ReconfigurationPolicy::Equal => "equal",
            ReconfigurationPolicy::Additive => "additive",
        };
        let recover = match self.recover {
            Recover::Reconnect => "reconnect",
            Recover::Cleanup => "cleanup",
        };
        let home = self
            .frameworks_home
            .as_ref()
            .map(|path| path.display().to_string());
        let remembered = self.max_completed_executors_per_framework;
        [
            ("master", Some(self.masters.join(","))),
            ("ip", Some(self.listen.ip().to_string())),
            ("port", Some(self.listen.port().to_string())),
            ("work_dir", Some(self.work_dir.display().to_string())),
            ("default_role", Some(self.default_role.clone())),
            ("containerizers", Some("mesos".into())),
            ("launcher", Some("posix".into())),
            ("isolation", Some("posix/cpu,posix/mem".into())),
            ("recover", Some(recover.into())),
            ("reconfiguration_policy", Some(policy.into())),
            ("gc_disk_headroom", Some(self.gc_disk_headroom.to_string())),
            (
                "max_completed_executors_per_framework",
                Some(remembered.to_string()),
            ),
            ("advertise", self.advertise.clone()),
            ("resources", self.resources.clone()),
            ("attributes", self.attributes.clone()),
            ("hostname", self.hostname.clone()),
            ("frameworks_home", home),
        ]
    }

    fn durations(&self) -> impl Iterator<Item = (&'static str, DurationMs)> {
        [
            (
                "executor_registration_timeout",
                self.executor_registration_timeout,
            ),
            (
                "executor_reregistration_timeout",
                self.executor_reregistration_timeout,
            ),
            (
                "executor_shutdown_grace_period",
                self.executor_shutdown_grace_period,
            ),
            ("recovery_timeout", self.recovery_timeout),
            (
                "registration_backoff_factor",
                self.registration_backoff_factor,
            ),
            ("gc_delay", self.gc_delay),
            ("disk_watch_interval", self.disk_watch_interval),
        ]
        .into_iter()
    }

    fn switches(&self) -> impl Iterator<Item = (&'static str, bool)> {
        [
            ("strict", self.strict),
            ("switch_user", self.switch_user),
            ("http_command_executor", self.http_command_executor),
        ]
        .into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_those_of_mesos() {
        let flags = AgentConfig::default().flags();
        assert_eq!(flags["executor_registration_timeout"], "1mins");
        assert_eq!(flags["executor_shutdown_grace_period"], "5secs");
        assert_eq!(flags["recovery_timeout"], "15mins");
        assert_eq!(flags["gc_delay"], "1weeks");
        assert!(!flags.contains_key("attributes"));
        assert_eq!(AgentConfig::default().validate(), Ok(()));
    }

    #[test]
    fn bad_values_are_named() {
        let config = AgentConfig {
            executor_reregistration_timeout: DurationMs::from_secs(20),
            ..AgentConfig::default()
        };
        assert!(config.validate().unwrap_err().contains("15secs"));
        let config = AgentConfig {
            masters: vec![],
            ..AgentConfig::default()
        };
        assert!(config.validate().is_err());
    }
}
