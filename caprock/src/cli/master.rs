//! Flags of `caprock master`, under Mesos' names with dashes where Mesos has them.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use caprock_master::config::{FollowerMode, MasterConfig};
use clap::{ArgAction, Args};

use super::duration;

#[derive(Debug, Args)]
pub struct MasterFlags {
    /// Number of this member in the quorum; a number is never used again by another machine
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    pub id: u64,
    /// Where HTTP and gRPC are served, on one port
    #[arg(long, default_value = "127.0.0.1:5050", value_name = "IP:PORT")]
    pub listen: SocketAddr,
    /// Address that others are told, if it is not --listen
    #[arg(long, value_name = "HOST:PORT")]
    pub advertise: Option<String>,
    /// Directory of the log and the snapshots; keep it over restarts
    #[arg(long, default_value = "caprock-master", value_name = "DIR")]
    pub data_dir: PathBuf,
    /// The members that form a new cluster, the same list on each; absent: a cluster of one
    #[arg(long, value_name = "ID=HOST:PORT,...", value_parser = quorum)]
    pub quorum: Option<Quorum>,
    /// A TOML file with these flags as keys
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Filter of the log lines on stderr, such as info or debug
    #[arg(long, default_value = super::LOG_FILTER, value_name = "FILTER")]
    pub log: String,

    /// Name published to frameworks and in redirects
    #[arg(long)]
    pub hostname: Option<String>,
    /// Display name of the cluster
    #[arg(long)]
    pub cluster: Option<String>,
    /// What a follower does with calls: forward them (gateway), or answer 307 like Mesos (redirect)
    #[arg(long, default_value = "gateway", value_name = "gateway|redirect")]
    pub follower_mode: FollowerMode,
    /// How long a call is held while there is no leader, before it is answered 503
    #[arg(long, default_value = "5secs", value_parser = duration)]
    pub leader_wait: Duration,

    /// Interval of the leader's heartbeats to its followers
    #[arg(long, default_value = "50ms", value_parser = duration, help_heading = "Raft")]
    pub heartbeat_interval: Duration,
    /// Shortest time without a heartbeat after which a follower stands for election
    #[arg(long, default_value = "150ms", value_parser = duration, help_heading = "Raft")]
    pub election_timeout_min: Duration,
    /// Longest such time; also the leader's lease
    #[arg(long, default_value = "300ms", value_parser = duration, help_heading = "Raft")]
    pub election_timeout_max: Duration,

    /// Interval of allocations over the whole cluster; changes are offered at once anyway
    #[arg(long, default_value = "1secs", value_parser = duration, help_heading = "Offers")]
    pub allocation_interval: Duration,
    /// Rescind offers that stay unanswered for so long; absent: never
    #[arg(long, value_parser = duration, help_heading = "Offers")]
    pub offer_timeout: Option<Duration>,
    /// Smallest offer: alternatives separated by |
    #[arg(long, default_value = "cpus:0.01|mem:32", help_heading = "Offers")]
    pub min_allocatable_resources: String,
    /// Offer agents with GPUs only to frameworks with the GPU_RESOURCES capability
    #[arg(long, default_value_t = true, action = ArgAction::Set, help_heading = "Offers")]
    pub filter_gpu_resources: bool,
    /// Which role is offered first: the one with the least share, or one at random by weight
    #[arg(long, default_value = "drf", value_parser = ["drf", "random"], help_heading = "Offers")]
    pub role_sorter: String,
    /// Which framework of a role is offered first
    #[arg(long, default_value = "drf", value_parser = ["drf", "random"], help_heading = "Offers")]
    pub framework_sorter: String,
    /// The only roles that frameworks may use
    #[arg(long, value_delimiter = ',', help_heading = "Offers")]
    pub roles: Option<Vec<String>>,
    /// Let frameworks run tasks as root
    #[arg(long, default_value_t = true, action = ArgAction::Set, help_heading = "Offers")]
    pub root_submissions: bool,

    /// How long frameworks have to come back after a change of leader, even with a shorter
    /// failover_timeout
    #[arg(long, default_value = "30secs", value_parser = duration, help_heading = "Offers")]
    pub framework_reconnect_grace: Duration,

    /// Interval of the pings to each agent
    #[arg(long, default_value = "15secs", value_parser = duration, help_heading = "Agents")]
    pub agent_ping_timeout: Duration,
    /// Missed pings after which an agent is unreachable
    #[arg(long, default_value_t = 5, help_heading = "Agents")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    pub max_agent_ping_timeouts: u32,
    /// How long an agent may stay away after an election or a lost connection
    #[arg(long, default_value = "10mins", value_parser = duration, help_heading = "Agents")]
    pub agent_reregister_timeout: Duration,
    /// How fast agents are marked unreachable at most, such as 1/10mins; absent: no limit
    #[arg(long, value_name = "N/DURATION", help_heading = "Agents")]
    pub agent_removal_rate_limit: Option<String>,
    /// Mark no agent unreachable while more than this share of them is missing
    #[arg(
        long,
        default_value_t = 20,
        value_name = "PERCENT",
        help_heading = "Agents"
    )]
    pub agent_mass_loss_percent: usize,
    /// The share does not count below so many missing agents
    #[arg(long, default_value_t = 3, value_name = "N", help_heading = "Agents")]
    pub agent_mass_loss_minimum: usize,

    /// Ended frameworks that are remembered
    #[arg(long, default_value_t = 50, help_heading = "Limits")]
    pub max_completed_frameworks: usize,
    /// Ended tasks that are remembered, of each framework
    #[arg(long, default_value_t = 1000, help_heading = "Limits")]
    pub max_completed_tasks_per_framework: usize,
    /// Unreachable tasks that are remembered, of each framework
    #[arg(long, default_value_t = 1000, help_heading = "Limits")]
    pub max_unreachable_tasks_per_framework: usize,
    /// Open event streams of operators
    #[arg(long, default_value_t = 1000, help_heading = "Limits")]
    pub max_operator_event_stream_subscribers: usize,

    /// Principals and secrets: a file, or JSON
    #[arg(long, value_name = "FILE|JSON", help_heading = "Authentication")]
    pub credentials: Option<String>,
    /// Access control lists: a file, or JSON
    #[arg(long, value_name = "FILE|JSON", help_heading = "Authentication")]
    pub acls: Option<String>,
    /// How schedulers authenticate: basic is the only way
    #[arg(long, value_parser = ["basic"], help_heading = "Authentication")]
    pub http_framework_authenticators: Option<String>,
    /// Schedulers must authenticate
    #[arg(long, default_value_t = false, action = ArgAction::Set, num_args = 0..=1)]
    #[arg(default_missing_value = "true", help_heading = "Authentication")]
    pub authenticate_http_frameworks: bool,
    /// Readers of the state must authenticate
    #[arg(long, default_value_t = false, action = ArgAction::Set, num_args = 0..=1)]
    #[arg(default_missing_value = "true", help_heading = "Authentication")]
    pub authenticate_http_readonly: bool,
    /// Operators must authenticate
    #[arg(long, default_value_t = false, action = ArgAction::Set, num_args = 0..=1)]
    #[arg(default_missing_value = "true", help_heading = "Authentication")]
    pub authenticate_http_readwrite: bool,
}

/// The members of a new cluster.
pub type Quorum = BTreeMap<u64, String>;

/// `1=10.0.0.1:5050,2=10.0.0.2:5050,3=10.0.0.3:5050`
pub fn quorum(text: &str) -> Result<Quorum, String> {
    let mut members = Quorum::new();
    for part in text.split(',').map(str::trim).filter(|p| !p.is_empty()) {
        let member = part.split_once('=').and_then(|(id, address)| {
            let id = id.parse::<u64>().ok().filter(|id| *id > 0)?;
            let (host, port) = address.rsplit_once(':')?;
            port.parse::<u16>().ok()?;
            (!host.is_empty()).then(|| (id, address.to_owned()))
        });
        let (id, address) =
            member.ok_or_else(|| format!("'{part}' is not like 1=10.0.0.1:5050"))?;
        if members.insert(id, address).is_some() {
            return Err(format!("member {id} is named twice"));
        }
    }
    if members.is_empty() {
        Err("no member is named".to_owned())
    } else {
        Ok(members)
    }
}

impl MasterFlags {
    /// The settings of the master; checks what one flag alone cannot tell.
    pub fn to_config(&self) -> anyhow::Result<MasterConfig> {
        let quorum = self.quorum.clone().unwrap_or_default();
        anyhow::ensure!(
            quorum.is_empty() || quorum.contains_key(&self.id),
            "--quorum does not name this member: --id is {}",
            self.id
        );
        anyhow::ensure!(
            self.election_timeout_min < self.election_timeout_max
                && self.heartbeat_interval < self.election_timeout_min,
            "the Raft timers must grow: --heartbeat-interval < --election-timeout-min < \
             --election-timeout-max"
        );
        Ok(MasterConfig {
            id: self.id,
            listen: self.listen,
            advertise: self.advertise.clone(),
            data_dir: self.data_dir.clone(),
            quorum,
            hostname: self.hostname.clone(),
            cluster: self.cluster.clone(),
            follower_mode: self.follower_mode,
            leader_wait_ms: ms(self.leader_wait),
            heartbeat_interval_ms: ms(self.heartbeat_interval),
            election_timeout_min_ms: ms(self.election_timeout_min),
            election_timeout_max_ms: ms(self.election_timeout_max),
            allocation_interval_ms: ms(self.allocation_interval),
            offer_timeout_ms: self.offer_timeout.map(ms),
            min_allocatable_resources: self.min_allocatable_resources.clone(),
            filter_gpu_resources: self.filter_gpu_resources,
            role_sorter: self.role_sorter.clone(),
            framework_sorter: self.framework_sorter.clone(),
            roles: self.roles.clone(),
            root_submissions: self.root_submissions,
            framework_reconnect_grace_ms: ms(self.framework_reconnect_grace),
            agent_ping_timeout_ms: ms(self.agent_ping_timeout),
            max_agent_ping_timeouts: self.max_agent_ping_timeouts,
            agent_reregister_timeout_ms: ms(self.agent_reregister_timeout),
            agent_removal_rate_limit: self.agent_removal_rate_limit.clone(),
            agent_mass_loss_percent: self.agent_mass_loss_percent,
            agent_mass_loss_minimum: self.agent_mass_loss_minimum,
            max_completed_frameworks: self.max_completed_frameworks,
            max_completed_tasks_per_framework: self.max_completed_tasks_per_framework,
            max_unreachable_tasks_per_framework: self.max_unreachable_tasks_per_framework,
            max_operator_event_stream_subscribers: self.max_operator_event_stream_subscribers,
            credentials: self.credentials.clone(),
            acls: self.acls.clone(),
            authenticate_http_frameworks: self.authenticate_http_frameworks,
            authenticate_http_readonly: self.authenticate_http_readonly,
            authenticate_http_readwrite: self.authenticate_http_readwrite,
            ..MasterConfig::default()
        })
    }
}

/// Milliseconds of a duration; more than fits is as good as for ever.
pub fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quorum_is_a_list_of_numbered_addresses() {
        let members = quorum("1=a:5050, 2=b:5050").unwrap();
        assert_eq!(members[&2], "b:5050");
        for bad in ["", "a:5050", "0=a:1", "1=a", "1=:1", "1=a:1,1=b:1", "x=a:1"] {
            assert!(quorum(bad).is_err(), "{bad:?} was accepted");
        }
    }
}
