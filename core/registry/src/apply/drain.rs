//! Agents that are to run nothing, or nothing new (Mesos: DrainAgent, MarkAgentDrained,
//! DeactivateAgent and ReactivateAgent in src/master/registry_operations.cpp).

use caprock_model::{AgentId, Millis};
use caprock_proto::caprock::registry::{DeactivateAgent, DrainAgent, FinishDrain, ReactivateAgent};

use crate::outcome::{Outcome, Rejection};
use crate::{Agent, Drain, Registry};

/// Changes an agent that was not removed.
fn change(
    registry: &mut Registry,
    id: &str,
    change: impl FnOnce(&mut Agent) -> Result<(), Rejection>,
) -> Result<Outcome, Rejection> {
    let id = registry.known_agent(&AgentId::from(id))?.id.clone();
    let agent = registry
        .agent_mut(&id)
        .ok_or_else(|| Rejection::UnknownAgent(id.clone()))?;
    change(agent)?;
    Ok(Outcome::Applied)
}

/// A repeated drain replaces the config; one of a drained agent starts anew.
pub(super) fn drain(
    registry: &mut Registry,
    now: Millis,
    drain: &DrainAgent,
) -> Result<Outcome, Rejection> {
    change(registry, &drain.agent_id, |agent| {
        agent.deactivated = true;
        agent.drain = Some(Drain {
            config: drain.config.unwrap_or_default(),
            started_at: now,
            finished: false,
        });
        Ok(())
    })
}

pub(super) fn finish(registry: &mut Registry, call: &FinishDrain) -> Result<Outcome, Rejection> {
    change(registry, &call.agent_id, |agent| {
        let id = agent.id.clone();
        // A launch may have been under way when the drain began.
        let empty = agent.tasks.is_empty() && agent.operations.is_empty();
        match agent.drain.as_mut().filter(|drain| !drain.finished) {
            None => Err(Rejection::NotDraining(id)),
            Some(_) if !empty => Err(Rejection::StillDraining(id)),
            Some(drain) => {
                drain.finished = true;
                Ok(())
            }
        }
    })
}

pub(super) fn deactivate(
    registry: &mut Registry,
    call: &DeactivateAgent,
) -> Result<Outcome, Rejection> {
    change(registry, &call.agent_id, |agent| {
        agent.deactivated = true;
        Ok(())
    })
}

pub(super) fn reactivate(
    registry: &mut Registry,
    call: &ReactivateAgent,
) -> Result<Outcome, Rejection> {
    change(registry, &call.agent_id, |agent| {
        let id = agent.id.clone();
        if !agent.deactivated {
            return Err(Rejection::NotDeactivated(id));
        }
        if agent.drain.is_some_and(|drain| !drain.finished) {
            return Err(Rejection::StillDraining(id));
        }
        agent.deactivated = false;
        agent.drain = None;
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use caprock_proto::caprock::registry::entry::Command;
    use caprock_proto::mesos::v1::{DrainConfig, DrainState};

    use super::*;
    use crate::testing::{Cluster, FINISHED, acknowledge};

    fn drain_of(cluster: &Cluster) -> Option<Drain> {
        cluster.registry.agent(&AgentId::from("a1")).unwrap().drain
    }

    fn drain() -> Command {
        Command::DrainAgent(DrainAgent {
            agent_id: "a1".to_owned(),
            config: Some(DrainConfig {
                mark_gone: Some(true),
                ..DrainConfig::default()
            }),
        })
    }

    fn finish() -> Command {
        Command::FinishDrain(FinishDrain {
            agent_id: "a1".to_owned(),
        })
    }

    fn reactivate() -> Command {
        Command::ReactivateAgent(ReactivateAgent {
            agent_id: "a1".to_owned(),
        })
    }

    #[test]
    fn a_drain_ends_when_no_task_is_left() {
        let mut cluster = Cluster::with_running_task();
        let id = AgentId::from("a1");
        assert_eq!(
            cluster.rejected(finish()),
            Rejection::NotDraining(id.clone())
        );
        cluster.done(drain());
        assert!(drain_of(&cluster).unwrap().marks_gone());
        assert_eq!(
            cluster.rejected(finish()),
            Rejection::StillDraining(id.clone())
        );
        assert_eq!(
            cluster.rejected(reactivate()),
            Rejection::StillDraining(id.clone())
        );
        cluster.update("t1", FINISHED, "u2", FINISHED);
        assert_eq!(
            cluster.rejected(finish()),
            Rejection::StillDraining(id.clone())
        );
        cluster.done(acknowledge("f1", "t1", "u2"));
        cluster.done(finish());
        let info = drain_of(&cluster).unwrap().to_info();
        assert_eq!(info.state(), DrainState::Drained);
        cluster.done(reactivate());
        assert_eq!(drain_of(&cluster), None);
        assert_eq!(
            cluster.rejected(reactivate()),
            Rejection::NotDeactivated(id)
        );
    }

    #[test]
    fn it_is_part_of_the_state() {
        let mut cluster = Cluster::with_running_task();
        let before = cluster.registry.clone();
        cluster.done(drain());
        assert_ne!(cluster.registry.digest(), before.digest());
        assert!(
            before
                .diff(&cluster.registry)
                .iter()
                .any(|line| line.contains("drain is None"))
        );
        let restored = Registry::restore(cluster.registry.chunks()).unwrap();
        assert_eq!(restored.diff(&cluster.registry), [""; 0]);
        assert_eq!(restored.digest(), cluster.registry.digest());
    }
}
