//! The leader's settings, with Mesos' names and defaults (Mesos: src/master/flags.cpp and
//! src/master/constants.hpp).

use std::collections::BTreeSet;

pub use caprock_allocator::Sorter;
use caprock_model::role::ANY;
use caprock_model::{DurationMs, Quantities, Role, Scalar, parse_duration};

/// Everything that can be set.
#[derive(Debug, Clone)]
pub struct Config {
    /// Number of this member in the quorum; agents are told who leads.
    pub member_id: u64,
    /// `--allocation-interval`: how often everything is offered again at the latest.
    pub allocation_interval: DurationMs,
    /// How long events that free resources are collected before the allocator runs.
    pub batch_delay: DurationMs,
    /// How long resources that a framework gave back, by DECLINE or unused in ACCEPT, wait.
    pub return_delay: DurationMs,
    /// `--min-allocatable-resources`: an offer contains at least one of these.
    pub min_allocatable_resources: Vec<Quantities>,
    /// `--filter-gpu-resources`: agents with GPUs only for frameworks that say GPU_RESOURCES.
    pub filter_gpu_resources: bool,
    /// `--offer-timeout`: unanswered offers are rescinded after it.
    pub offer_timeout: Option<DurationMs>,
    /// `--agent-ping-timeout`: how long an answer to a ping may take.
    pub agent_ping_timeout: DurationMs,
    /// `--max-agent-ping-timeouts`: after so many misses an agent is unreachable.
    pub max_agent_ping_timeouts: u32,
    /// `--agent-reregister-timeout`: how long an agent may stay away after an election
    /// or a disconnection.
    pub agent_reregister_timeout: DurationMs,
    /// How long the stream of an agent may be broken before the tasks of frameworks
    /// without checkpoints are written off.
    pub agent_disconnect_grace: DurationMs,
    /// How long frameworks have to come back after an election, whatever their
    /// `failover_timeout` says: it was not they who went away.
    pub election_grace: DurationMs,
    /// When a refused proposal of the leader's own is made again.
    pub retry_delay: DurationMs,
    /// A launch that its agent does not know is ordered again up to this age, and
    /// reconciled after it.
    pub relaunch_limit: DurationMs,
    /// `--roles`: frameworks may only have these.
    pub roles: Option<BTreeSet<Role>>,
    /// `--root-submissions`: whether frameworks may run as root.
    pub root_submissions: bool,
    /// `--agent-removal-rate-limit`: how fast agents are marked unreachable at most.
    pub agent_removal_rate_limit: Option<RateLimit>,
    /// `--agent-mass-loss-percent`: none is marked unreachable while more are missing ...
    pub mass_loss_percent: usize,
    /// ... and at least so many.
    pub mass_loss_minimum: usize,
    /// Interval of HEARTBEAT events; fixed in Mesos.
    pub heartbeat_interval: DurationMs,
    /// `--role-sorter`: who has the first turn among roles.
    pub role_sorter: Sorter,
    /// `--framework-sorter`: who has the first turn among the frameworks of a role.
    pub framework_sorter: Sorter,
}

impl Config {
    /// Whether there may be something for this role.
    pub fn allows_role(&self, role: &str) -> bool {
        let listed = |roles: &BTreeSet<Role>| roles.contains(role);
        role == ANY || self.roles.as_ref().is_none_or(listed)
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            member_id: 1,
            allocation_interval: DurationMs(1_000),
            batch_delay: DurationMs(2),
            return_delay: DurationMs(50),
            min_allocatable_resources: vec![
                [("cpus".into(), Scalar(10))].into_iter().collect(),
                [("mem".into(), Scalar::from_units(32))]
                    .into_iter()
                    .collect(),
            ],
            filter_gpu_resources: true,
            offer_timeout: None,
            agent_ping_timeout: DurationMs(15_000),
            max_agent_ping_timeouts: 5,
            agent_reregister_timeout: DurationMs(600_000),
            agent_disconnect_grace: DurationMs(500),
            election_grace: DurationMs(30_000),
            retry_delay: DurationMs(50),
            relaunch_limit: DurationMs(600_000),
            roles: None,
            root_submissions: true,
            agent_removal_rate_limit: None,
            mass_loss_percent: 20,
            mass_loss_minimum: 3,
            heartbeat_interval: DurationMs(15_000),
            role_sorter: Sorter::Drf,
            framework_sorter: Sorter::Drf,
        }
    }
}

/// Reads `drf` or `random`, the values of `--role-sorter` and `--framework-sorter`.
pub fn parse_sorter(text: &str) -> Result<Sorter, SorterError> {
    match text {
        "drf" => Ok(Sorter::Drf),
        "random" => Ok(Sorter::Random),
        other => Err(SorterError(other.to_owned())),
    }
}

/// The name of a sorter that there is not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is neither 'drf' nor 'random'")]
pub struct SorterError(pub String);

/// So many within such a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimit {
    permits: u32,
    period: DurationMs,
}

impl RateLimit {
    /// The time between two of them.
    pub fn interval(self) -> DurationMs {
        DurationMs(self.period.0 / i64::from(self.permits.max(1)))
    }
}

impl std::str::FromStr for RateLimit {
    type Err = String;

    /// Reads `1/10mins`.
    fn from_str(text: &str) -> Result<Self, String> {
        let error = || format!("'{text}' is not a rate such as 1/10mins");
        let (permits, period) = text.split_once('/').ok_or_else(error)?;
        let permits = permits.trim().parse().map_err(|_| error())?;
        let period = parse_duration(period.trim()).map_err(|_| error())?;
        if permits == 0 || period.0 <= 0 {
            return Err(error());
        }
        Ok(Self { permits, period })
    }
}

/// A value of `--min-allocatable-resources` that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not a list of quantities such as cpus:0.01|mem:32")]
pub struct MinAllocatableError(pub String);

/// Reads `cpus:0.01;disk:1|mem:32`: alternatives separated by `|`, each a list of
/// quantities. An empty text means that any offer is worth making.
pub fn parse_min_allocatable(text: &str) -> Result<Vec<Quantities>, MinAllocatableError> {
    if text.trim().is_empty() {
        return Ok(Vec::new());
    }
    let error = || MinAllocatableError(text.to_owned());
    let parse_one = |alternative: &str| {
        let parsed = Quantities::parse(alternative).map_err(|_| error())?;
        if parsed.is_empty() {
            Err(error())
        } else {
            Ok(parsed)
        }
    };
    text.split('|').map(parse_one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sorters_and_roles() {
        assert_eq!(parse_sorter("random"), Ok(Sorter::Random));
        assert_eq!(parse_sorter("DRF"), Err(SorterError("DRF".to_owned())));
        let config = Config {
            roles: Some([Role::from("eng")].into()),
            ..Config::default()
        };
        assert!(config.allows_role("eng") && config.allows_role("*"));
        assert!(!config.allows_role("ops") && Config::default().allows_role("ops"));
    }

    #[test]
    fn rates_are_read_as_intervals() {
        let interval = |text: &str| text.parse().map(RateLimit::interval);
        assert_eq!(interval("1/10mins"), Ok(DurationMs(600_000)));
        assert_eq!(interval("2/1secs"), Ok(DurationMs(500)));
        for text in ["", "1", "0/1secs", "1/0secs", "x/1secs", "1/x"] {
            assert!(interval(text).is_err(), "{text}");
        }
    }

    #[test]
    fn min_allocatable_is_read_as_alternatives_of_quantities() {
        let parsed = parse_min_allocatable("cpus:0.01|mem:32").unwrap();
        assert_eq!(parsed, Config::default().min_allocatable_resources);
        assert_eq!(parse_min_allocatable("cpus:1;mem:64").unwrap().len(), 1);
        assert_eq!(parse_min_allocatable(""), Ok(Vec::new()));
        for text in ["cpus", "cpus:x", "cpus:-1", "|", "cpus:NaN"] {
            assert!(parse_min_allocatable(text).is_err(), "{text}");
        }
    }
}
