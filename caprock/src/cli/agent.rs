//! Flags of `caprock agent`, under Mesos' names with dashes where Mesos has them.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Context;
use caprock_agent::config::AgentConfig;
use caprock_agent::{ReconfigurationPolicy, Recover};
use caprock_client::Masters;
use caprock_model::{DurationMs, parse_duration};
use caprock_proto::MesosMessage;
use caprock_proto::mesos::v1::DomainInfo;
use clap::{ArgAction, Args, ValueEnum};

#[derive(Debug, Args)]
pub struct AgentFlags {
    /// All masters of the quorum; the agent finds the leader among them
    #[arg(long, value_name = "HOST:PORT,...", default_value = "127.0.0.1:5050")]
    pub masters: Masters,
    /// Where HTTP is served, for executors and operators
    #[arg(long, default_value = "127.0.0.1:5051", value_name = "IP:PORT")]
    pub listen: SocketAddr,
    /// Address that masters and executors are told, if it is not --listen
    #[arg(long, value_name = "HOST:PORT")]
    pub advertise: Option<String>,
    /// Directory of the sandboxes and of what the agent remembers; keep it over restarts
    #[arg(long, default_value = "caprock-agent", value_name = "DIR")]
    pub work_dir: PathBuf,
    /// A TOML file with these flags as keys
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Filter of the log lines on stderr, such as info or debug
    #[arg(long, default_value = super::LOG_FILTER, value_name = "FILTER")]
    pub log: String,

    /// What to offer, as name(role):value;... or JSON; what is missing is detected
    #[arg(long, value_name = "RESOURCES", help_heading = "Description")]
    #[arg(
        long_help = "What to offer, such as 'cpus:4;mem:8192;disk:10240;ports:[31000-32000]', \
        or a JSON list. What is missing is detected, and part of memory and disk is kept for the \
        machine itself."
    )]
    pub resources: Option<String>,
    /// Properties of this machine, such as 'rack:r1;zone:a'
    #[arg(long, help_heading = "Description")]
    pub attributes: Option<String>,
    /// Role of resources that name none
    #[arg(long, default_value = "*", help_heading = "Description")]
    pub default_role: String,
    /// Name published to frameworks; by default this machine's
    #[arg(long, help_heading = "Description")]
    pub hostname: Option<String>,
    /// Fault domain, as JSON
    #[arg(long, value_name = "JSON", help_heading = "Description")]
    pub domain: Option<String>,

    /// How long an executor may take to subscribe after its launch, fetching included
    #[arg(long, default_value = "1mins", value_parser = parse_duration, help_heading = "Executors")]
    pub executor_registration_timeout: DurationMs,
    /// How long executors may take to come back after a restart of the agent; at most 15secs
    #[arg(long, default_value = "2secs", value_parser = parse_duration, help_heading = "Executors")]
    pub executor_reregistration_timeout: DurationMs,
    /// How long an executor may take to end after SHUTDOWN before it is killed
    #[arg(long, default_value = "5secs", value_parser = parse_duration, help_heading = "Executors")]
    pub executor_shutdown_grace_period: DurationMs,
    /// How long executors look for a lost agent
    #[arg(long, default_value = "15mins", value_parser = parse_duration)]
    #[arg(help_heading = "Executors")]
    pub recovery_timeout: DurationMs,
    /// Environment of all executors, as a JSON object; nothing else is inherited
    #[arg(long, value_name = "JSON", help_heading = "Executors")]
    pub executor_environment_variables: Option<String>,
    /// Run tasks as their user, which needs root, rather than as the agent's
    #[arg(long, default_value_t = true, action = ArgAction::Set, help_heading = "Executors")]
    pub switch_user: bool,
    /// Where relative URIs start
    #[arg(long, value_name = "DIR", help_heading = "Executors")]
    pub frameworks_home: Option<PathBuf>,

    /// After a restart, keep what runs, or kill it and exit
    #[arg(
        long,
        value_enum,
        default_value = "reconnect",
        help_heading = "Recovery"
    )]
    pub recover: RecoverFlag,
    /// What may have changed at a restart: nothing, or additions to resources and attributes
    #[arg(long, value_enum, default_value = "equal", help_heading = "Recovery")]
    pub reconfiguration_policy: PolicyFlag,
    /// Refuse to start when something remembered cannot be read
    #[arg(long, default_value_t = true, action = ArgAction::Set, help_heading = "Recovery")]
    pub strict: bool,
    /// Longest random pause before an agent attaches to a new leader
    #[arg(long, default_value = "1secs", value_parser = parse_duration, help_heading = "Recovery")]
    pub registration_backoff_factor: DurationMs,

    /// How long sandboxes of ended executors are kept
    #[arg(long, default_value = "1weeks", value_parser = parse_duration, help_heading = "Disk")]
    pub gc_delay: DurationMs,
    /// Share of the disk that is kept free by collecting sandboxes earlier
    #[arg(long, default_value_t = 0.1, help_heading = "Disk")]
    pub gc_disk_headroom: f64,
    /// Interval of looking at the disk
    #[arg(long, default_value = "1mins", value_parser = parse_duration, help_heading = "Disk")]
    pub disk_watch_interval: DurationMs,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum RecoverFlag {
    Reconnect,
    Cleanup,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum PolicyFlag {
    Equal,
    Additive,
}

impl AgentFlags {
    /// The settings of the agent.
    pub fn to_config(&self) -> anyhow::Result<AgentConfig> {
        let domain = self
            .domain
            .as_deref()
            .map(|json| DomainInfo::from_json(json.as_bytes()));
        Ok(AgentConfig {
            masters: self.masters.addresses().to_vec(),
            listen: self.listen,
            advertise: self.advertise.clone(),
            work_dir: self.work_dir.clone(),
            resources: self.resources.clone(),
            attributes: self.attributes.clone(),
            default_role: self.default_role.clone(),
            hostname: self.hostname.clone(),
            domain: domain.transpose().context("--domain")?,
            executor_registration_timeout: self.executor_registration_timeout,
            executor_reregistration_timeout: self.executor_reregistration_timeout,
            executor_shutdown_grace_period: self.executor_shutdown_grace_period,
            recovery_timeout: self.recovery_timeout,
            recover: match self.recover {
                RecoverFlag::Reconnect => Recover::Reconnect,
                RecoverFlag::Cleanup => Recover::Cleanup,
            },
            strict: self.strict,
            reconfiguration_policy: match self.reconfiguration_policy {
                PolicyFlag::Equal => ReconfigurationPolicy::Equal,
                PolicyFlag::Additive => ReconfigurationPolicy::Additive,
            },
            registration_backoff_factor: self.registration_backoff_factor,
            switch_user: self.switch_user,
            executor_environment_variables: self.environment()?,
            frameworks_home: self.frameworks_home.clone(),
            gc_delay: self.gc_delay,
            gc_disk_headroom: self.gc_disk_headroom,
            disk_watch_interval: self.disk_watch_interval,
            ..AgentConfig::default()
        })
    }

    fn environment(&self) -> anyhow::Result<Vec<(String, String)>> {
        let Some(json) = &self.executor_environment_variables else {
            return Ok(Vec::new());
        };
        let variables: std::collections::BTreeMap<String, String> = serde_json::from_str(json)
            .context("--executor-environment-variables is not a JSON object of texts")?;
        Ok(variables.into_iter().collect())
    }
}
