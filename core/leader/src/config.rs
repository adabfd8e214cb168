//! The leader's settings, with Mesos' names and defaults (Mesos: src/master/flags.cpp and
//! src/master/constants.hpp).

use std::collections::BTreeSet;

use caprock_model::{DurationMs, Quantities, Role, Scalar};

/// Everything that can be set.
#[derive(Debug, Clone)]
pub struct Config {
    /// Number of this member in the quorum; agents are told who leads.
    pub member_id: u64,
    /// `--allocation-interval`: how often everything is offered again at the latest.
    pub allocation_interval: DurationMs,
    /// How long events that free resources are collected before the allocator runs.
    pub batch_delay: DurationMs,
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
    /// Interval of HEARTBEAT events; fixed in Mesos.
    pub heartbeat_interval: DurationMs,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            member_id: 1,
            allocation_interval: DurationMs(1_000),
            batch_delay: DurationMs(2),
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
            heartbeat_interval: DurationMs(15_000),
        }
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
