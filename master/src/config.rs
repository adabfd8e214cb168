//! What an operator can set on a master, with Mesos' defaults (Mesos: src/master/flags.cpp).

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

/// Number of a member of the quorum.
pub type MemberId = u64;

/// What a member that does not lead does with a request that only the leader may answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FollowerMode {
    /// Forward it and hold the streams.
    #[default]
    Gateway,
    /// Answer 307 with the leader's address, as Mesos does.
    Redirect,
}

impl FollowerMode {
    /// The name used on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Gateway => "gateway",
            Self::Redirect => "redirect",
        }
    }
}

impl std::str::FromStr for FollowerMode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "gateway" => Ok(Self::Gateway),
            "redirect" => Ok(Self::Redirect),
            other => Err(format!("'{other}' is neither 'gateway' nor 'redirect'")),
        }
    }
}

/// All settings of a master.
#[derive(Debug, Clone)]
pub struct MasterConfig {
    /// This member's number in the quorum.
    pub id: MemberId,
    /// Where HTTP and gRPC are served.
    pub listen: SocketAddr,
    /// host:port that others are told; by default this member's entry in `quorum`, else `listen`.
    pub advertise: Option<String>,
    /// Log, snapshots and vote.
    pub data_dir: PathBuf,
    /// The members that form a new cluster; empty for a cluster of one.
    pub quorum: BTreeMap<MemberId, String>,
    /// Name published in `MasterInfo` and in redirects; by default found from the address.
    pub hostname: Option<String>,
    /// Display name of the cluster.
    pub cluster: Option<String>,
    pub follower_mode: FollowerMode,
    /// How long a request waits for a leader before it is answered 503.
    pub leader_wait_ms: u64,

    pub heartbeat_interval_ms: u64,
    pub election_timeout_min_ms: u64,
    pub election_timeout_max_ms: u64,

    pub allocation_interval_ms: u64,
    /// Offers that stay unanswered this long are rescinded; none: never.
    pub offer_timeout_ms: Option<u64>,
    /// Mesos' text form: alternatives separated by `|`.
    pub min_allocatable_resources: String,
    pub filter_gpu_resources: bool,
    /// Who has the first turn among roles: `drf` or `random`.
    pub role_sorter: String,
    /// Who has the first turn among the frameworks of a role: `drf` or `random`.
    pub framework_sorter: String,
    /// Whitelist of roles; none: all.
    pub roles: Option<Vec<String>>,
    pub root_submissions: bool,

    /// How long frameworks have to come back after a change of leader, at least.
    pub framework_reconnect_grace_ms: u64,

    pub agent_ping_timeout_ms: u64,
    pub max_agent_ping_timeouts: u32,
    pub agent_reregister_timeout_ms: u64,
    /// How fast agents are marked unreachable at most, such as `1/10mins`; none: no limit.
    pub agent_removal_rate_limit: Option<String>,
    /// No agent is marked unreachable while more than so many are missing ...
    pub agent_mass_loss_percent: usize,
    /// ... and at least so many.
    pub agent_mass_loss_minimum: usize,

    pub max_completed_frameworks: usize,
    pub max_completed_tasks_per_framework: usize,
    pub max_unreachable_tasks_per_framework: usize,
    pub max_operator_event_stream_subscribers: usize,

    /// A file (path or `file://` URL) or inline JSON with principals and secrets.
    pub credentials: Option<String>,
    /// A file (path or `file://` URL) or inline JSON with access control lists.
    pub acls: Option<String>,
    pub authenticate_http_frameworks: bool,
    pub authenticate_http_readonly: bool,
    pub authenticate_http_readwrite: bool,

    /// Events kept for a scheduler that reads slowly before its stream is cut off.
    pub scheduler_event_buffer: usize,
    /// Largest request body, after decompression.
    pub max_request_body_bytes: usize,
}

impl Default for MasterConfig {
    fn default() -> Self {
        Self {
            id: 1,
            listen: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 5050),
            advertise: None,
            data_dir: PathBuf::from("caprock-master"),
            quorum: BTreeMap::new(),
            hostname: None,
            cluster: None,
            follower_mode: FollowerMode::default(),
            leader_wait_ms: 5_000,
            heartbeat_interval_ms: 50,
            election_timeout_min_ms: 150,
            election_timeout_max_ms: 300,
            allocation_interval_ms: 1_000,
            offer_timeout_ms: None,
            min_allocatable_resources: "cpus:0.01|mem:32".to_owned(),
            filter_gpu_resources: true,
            role_sorter: "drf".to_owned(),
            framework_sorter: "drf".to_owned(),
            roles: None,
            root_submissions: true,
            framework_reconnect_grace_ms: 30_000,
            agent_ping_timeout_ms: 15_000,
            max_agent_ping_timeouts: 5,
            agent_reregister_timeout_ms: 600_000,
            agent_removal_rate_limit: None,
            agent_mass_loss_percent: 20,
            agent_mass_loss_minimum: 3,
            max_completed_frameworks: 50,
            max_completed_tasks_per_framework: 1_000,
            max_unreachable_tasks_per_framework: 1_000,
            max_operator_event_stream_subscribers: 1_000,
            credentials: None,
            acls: None,
            authenticate_http_frameworks: false,
            authenticate_http_readonly: false,
            authenticate_http_readwrite: false,
            scheduler_event_buffer: 8_192,
            max_request_body_bytes: 64 << 20,
        }
    }
}

impl MasterConfig {
    /// host:port under which others reach this member.
    pub fn advertised_address(&self) -> String {
        if let Some(address) = &self.advertise {
            return address.clone();
        }
        if let Some(address) = self.quorum.get(&self.id) {
            return address.clone();
        }
        if self.listen.ip().is_unspecified() {
            return format!(
                "{}:{}",
                crate::hostname::of_this_machine(),
                self.listen.port()
            );
        }
        self.listen.to_string()
    }

    /// The members of a new cluster; this one alone if no quorum was given.
    pub fn initial_members(&self) -> BTreeMap<MemberId, String> {
        if self.quorum.is_empty() {
            return BTreeMap::from([(self.id, self.advertised_address())]);
        }
        self.quorum.clone()
    }

    /// Name and value of every flag that has a value, under Mesos' names where it has one.
    pub fn flags(&self) -> BTreeMap<String, String> {
        let lists = [
            self.identity_flags(),
            self.timing_flags(),
            self.limit_flags(),
        ];
        let flags = lists.into_iter().flatten().chain(self.optional_flags());
        flags
            .map(|(name, value)| (name.to_owned(), value))
            .collect()
    }

    fn identity_flags(&self) -> Vec<(&'static str, String)> {
        let data_dir = self.data_dir.display().to_string();
        vec![
            ("id", self.id.to_string()),
            ("ip", self.listen.ip().to_string()),
            ("port", self.listen.port().to_string()),
            ("work_dir", data_dir.clone()),
            ("data_dir", data_dir),
            ("quorum", quorum_text(&self.initial_members())),
            ("follower_mode", self.follower_mode.as_str().to_owned()),
            (
                "min_allocatable_resources",
                self.min_allocatable_resources.clone(),
            ),
            (
                "filter_gpu_resources",
                self.filter_gpu_resources.to_string(),
            ),
            ("root_submissions", self.root_submissions.to_string()),
            (
                "authenticate_http_frameworks",
                self.authenticate_http_frameworks.to_string(),
            ),
            (
                "authenticate_http_readonly",
                self.authenticate_http_readonly.to_string(),
            ),
            (
                "authenticate_http_readwrite",
                self.authenticate_http_readwrite.to_string(),
            ),
        ]
    }

    fn timing_flags(&self) -> Vec<(&'static str, String)> {
        let durations = [
            ("leader_wait", self.leader_wait_ms),
            ("heartbeat_interval", self.heartbeat_interval_ms),
            ("election_timeout_min", self.election_timeout_min_ms),
            ("election_timeout_max", self.election_timeout_max_ms),
            ("allocation_interval", self.allocation_interval_ms),
            (
                "framework_reconnect_grace",
                self.framework_reconnect_grace_ms,
            ),
            ("agent_ping_timeout", self.agent_ping_timeout_ms),
            ("agent_reregister_timeout", self.agent_reregister_timeout_ms),
        ];
        durations
            .map(|(name, duration_ms)| (name, duration_text(duration_ms)))
            .to_vec()
    }

    fn limit_flags(&self) -> Vec<(&'static str, String)> {
        let subscribers = self.max_operator_event_stream_subscribers;
        let unreachable = self.max_unreachable_tasks_per_framework;
        vec![
            (
                "agent_mass_loss_percent",
                self.agent_mass_loss_percent.to_string(),
            ),
            (
                "agent_mass_loss_minimum",
                self.agent_mass_loss_minimum.to_string(),
            ),
            (
                "max_agent_ping_timeouts",
                self.max_agent_ping_timeouts.to_string(),
            ),
            (
                "max_completed_frameworks",
                self.max_completed_frameworks.to_string(),
            ),
            (
                "max_completed_tasks_per_framework",
                self.max_completed_tasks_per_framework.to_string(),
            ),
            (
                "max_unreachable_tasks_per_framework",
                unreachable.to_string(),
            ),
            (
                "max_operator_event_stream_subscribers",
                subscribers.to_string(),
            ),
        ]
    }

    fn optional_flags(&self) -> impl Iterator<Item = (&'static str, String)> {
        let flags = [
            ("role_sorter", Some(self.role_sorter.clone())),
            ("framework_sorter", Some(self.framework_sorter.clone())),
            ("advertise", self.advertise.clone()),
            ("hostname", self.hostname.clone()),
            ("cluster", self.cluster.clone()),
            (
                "agent_removal_rate_limit",
                self.agent_removal_rate_limit.clone(),
            ),
            ("offer_timeout", self.offer_timeout_ms.map(duration_text)),
            ("roles", self.roles.as_ref().map(|roles| roles.join(","))),
            ("credentials", self.credentials.as_deref().map(source_text)),
            ("acls", self.acls.as_deref().map(source_text)),
        ];
        flags
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?)))
    }
}

/// A flag's value as shown to operators: a file's name, never inline secrets.
fn source_text(value: &str) -> String {
    if value.trim_start().starts_with(['{', '[']) {
        "<inline>".to_owned()
    } else {
        value.to_owned()
    }
}

fn quorum_text(members: &BTreeMap<MemberId, String>) -> String {
    let members: Vec<String> = members
        .iter()
        .map(|(id, address)| format!("{id}={address}"))
        .collect();
    members.join(",")
}

/// Mesos' duration syntax in the largest unit that divides the value.
fn duration_text(duration_ms: u64) -> String {
    const UNITS: [(u64, &str); 6] = [
        (604_800_000, "weeks"),
        (86_400_000, "days"),
        (3_600_000, "hrs"),
        (60_000, "mins"),
        (1_000, "secs"),
        (1, "ms"),
    ];
    for (size_ms, unit) in UNITS {
        if duration_ms >= size_ms && duration_ms.is_multiple_of(size_ms) {
            return format!("{}{unit}", duration_ms / size_ms);
        }
    }
    "0ns".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_use_the_largest_exact_unit() {
        assert_eq!(duration_text(600_000), "10mins");
        assert_eq!(duration_text(200), "200ms");
        assert_eq!(duration_text(15_000), "15secs");
        assert_eq!(duration_text(0), "0ns");
    }

    #[test]
    fn the_members_entry_is_the_advertised_address() {
        let mut config = MasterConfig::default();
        assert_eq!(config.advertised_address(), "127.0.0.1:5050");
        config.quorum.insert(1, "master1:5050".to_owned());
        assert_eq!(config.advertised_address(), "master1:5050");
        config.advertise = Some("nat:80".to_owned());
        assert_eq!(config.advertised_address(), "nat:80");
    }

    #[test]
    fn inline_secrets_are_not_shown() {
        let config = MasterConfig {
            credentials: Some("{\"credentials\":[]}".to_owned()),
            ..MasterConfig::default()
        };
        assert_eq!(config.flags()["credentials"], "<inline>");
    }
}
