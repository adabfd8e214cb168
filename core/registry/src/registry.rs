//! The state, and the questions that it answers. Only `apply` changes it.

use std::sync::Arc;

use caprock_model::{AgentId, FrameworkId, Millis, Role, TaskId};
use caprock_proto::caprock::registry::Entry;
use caprock_proto::caprock::registry::entry::Command;

use crate::Maintenance;
use crate::idempotency::{Idempotency, Remembered};
use crate::outcome::{Outcome, Rejection};
use crate::quota::Quota;
use crate::removed::{RemovedAgent, RemovedAgents};
use crate::upgrade::{self, Unsupported};
use crate::{Agent, FORMAT, Framework, History, Limits, LogIndex, Map, Task, apply};

/// The replicated state of a cluster. A clone costs O(1) and does not change any more.
#[derive(Clone, Debug)]
pub struct Registry {
    pub(crate) limits: Limits,
    pub(crate) applied: LogIndex,
    pub(crate) cluster_id: Option<Arc<str>>,
    pub(crate) agents: Map<AgentId, Arc<Agent>>,
    /// Registration ids of the agents, without empty ones.
    pub(crate) registrations: Map<Arc<str>, AgentId>,
    pub(crate) removed_agents: RemovedAgents,
    pub(crate) maintenance: Maintenance,
    pub(crate) frameworks: Map<FrameworkId, Arc<Framework>>,
    pub(crate) completed_frameworks: History<Arc<Framework>>,
    pub(crate) idempotency: Idempotency,
    /// Of roles for which one was set, without empty ones.
    pub(crate) quotas: Map<Role, Arc<Quota>>,
    pub(crate) weights: Map<Role, f64>,
}

/// An entry with the present format; `principal` and `idempotency_key` are left empty.
pub fn entry(time: Millis, command: Command) -> Entry {
    Entry {
        format: FORMAT,
        time_ms: time.0,
        command: Some(command),
        ..Entry::default()
    }
}

impl Registry {
    /// The state before the first entry.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            applied: 0,
            cluster_id: None,
            agents: Map::new_sync(),
            registrations: Map::new_sync(),
            removed_agents: RemovedAgents::new(),
            maintenance: Maintenance::default(),
            frameworks: Map::new_sync(),
            completed_frameworks: History::default(),
            idempotency: Idempotency::new(),
            quotas: Map::new_sync(),
            weights: Map::new_sync(),
        }
    }

    /// Applies the entry at this position of the log: each exactly once and in order. An
    /// error says that this build cannot go on; a command that does not fit the state is
    /// an [`Outcome::Rejected`] instead.
    pub fn apply(&mut self, at: LogIndex, entry: &Entry) -> Result<Outcome, Unsupported> {
        upgrade::check_entry(entry)?;
        let command = entry.command.as_ref().ok_or(Unsupported::UnknownCommand)?;
        let moment = apply::Moment {
            index: at,
            now: Millis(entry.time_ms),
        };
        self.applied = at;
        let key = entry.idempotency_key.as_str();
        if key.is_empty() {
            return Ok(apply::command(self, moment, command));
        }
        self.idempotency
            .expire(moment.now, self.limits.idempotency_window);
        if let Some(first) = self.idempotency.get(key) {
            return Ok(first.replay());
        }
        let outcome = apply::command(self, moment, command);
        let remembered = Remembered::new(key, at, moment.now, &outcome);
        self.idempotency
            .insert(remembered, self.limits.idempotency_keys);
        Ok(outcome)
    }

    /// Position of the last applied entry. Entries that do not change the registry (blank
    /// ones, changes of the quorum) do not count.
    pub fn applied(&self) -> LogIndex {
        self.applied
    }

    /// The cluster's id, once its first entry is applied.
    pub fn cluster_id(&self) -> Option<&str> {
        self.cluster_id.as_deref()
    }

    /// An agent that was not removed.
    pub fn agent(&self, id: &AgentId) -> Option<&Arc<Agent>> {
        self.agents.get(id)
    }

    /// The agents that were not removed, by id.
    pub fn agents(&self) -> impl DoubleEndedIterator<Item = &Arc<Agent>> + ExactSizeIterator {
        self.agents.values()
    }

    /// The agent that registered with this id, which it chose at random.
    pub fn agent_by_registration(&self, registration_id: &str) -> Option<&Arc<Agent>> {
        self.agents.get(self.registrations.get(registration_id)?)
    }

    /// What is left of an agent that was removed; bounded.
    pub fn removed_agent(&self, id: &AgentId) -> Option<&RemovedAgent> {
        self.removed_agents.get(id)
    }

    /// A framework that was not removed.
    pub fn framework(&self, id: &FrameworkId) -> Option<&Arc<Framework>> {
        self.frameworks.get(id)
    }

    /// The frameworks that were not removed, by id.
    pub fn frameworks(
        &self,
    ) -> impl DoubleEndedIterator<Item = &Arc<Framework>> + ExactSizeIterator {
        self.frameworks.values()
    }

    /// A framework that was removed; bounded.
    pub fn completed_framework(&self, id: &FrameworkId) -> Option<&Arc<Framework>> {
        self.completed_frameworks
            .iter()
            .find(|framework| framework.id == *id)
    }

    /// The removed frameworks, in the order of their removal; bounded.
    pub fn completed_frameworks(
        &self,
    ) -> impl DoubleEndedIterator<Item = &Arc<Framework>> + ExactSizeIterator {
        self.completed_frameworks.iter()
    }

    /// A live or terminal unacknowledged task.
    pub fn task(&self, framework_id: &FrameworkId, task_id: &TaskId) -> Option<&Arc<Task>> {
        self.framework(framework_id)?.task(task_id)
    }

    /// The outcome of an earlier entry with this key; bounded in number and age.
    pub fn remembered(&self, idempotency_key: &str) -> Option<&Arc<Remembered>> {
        self.idempotency.get(idempotency_key)
    }

    /// The framework, or why there is none.
    pub(crate) fn live_framework(&self, id: &FrameworkId) -> Result<&Arc<Framework>, Rejection> {
        self.framework(id)
            .ok_or_else(|| match self.completed_framework(id) {
                Some(_) => Rejection::FrameworkRemoved(id.clone()),
                None => Rejection::UnknownFramework(id.clone()),
            })
    }

    /// The agent, reachable or not, or why there is none.
    pub(crate) fn known_agent(&self, id: &AgentId) -> Result<&Arc<Agent>, Rejection> {
        self.agent(id).ok_or_else(|| match self.removed_agent(id) {
            Some(_) => Rejection::AgentRemoved(id.clone()),
            None => Rejection::UnknownAgent(id.clone()),
        })
    }

    /// The agent if it is reachable, or why not.
    pub(crate) fn reachable_agent(&self, id: &AgentId) -> Result<&Arc<Agent>, Rejection> {
        let agent = self.known_agent(id)?;
        match agent.is_reachable() {
            true => Ok(agent),
            false => Err(Rejection::AgentUnreachable(id.clone())),
        }
    }

    /// An agent to change: copied if a clone of the registry still sees it.
    pub(crate) fn agent_mut(&mut self, id: &AgentId) -> Option<&mut Agent> {
        self.agents.get_mut(id).map(Arc::make_mut)
    }

    /// A framework to change: copied if a clone of the registry still sees it.
    pub(crate) fn framework_mut(&mut self, id: &FrameworkId) -> Option<&mut Framework> {
        self.frameworks.get_mut(id).map(Arc::make_mut)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Cluster, admit, framework, subscribe};

    #[test]
    fn what_is_newer_or_unknown_is_refused_and_changes_nothing() {
        let mut registry = Registry::new(Limits::default());
        let mut newer = entry(Millis(1), admit("a1"));
        newer.format = FORMAT + 1;
        let found = FORMAT + 1;
        assert_eq!(
            registry.apply(1, &newer).unwrap_err(),
            Unsupported::Newer { found }
        );
        let mut empty = entry(Millis(1), admit("a1"));
        empty.command = None;
        assert_eq!(
            registry.apply(1, &empty).unwrap_err(),
            Unsupported::UnknownCommand
        );
        assert_eq!((registry.applied(), registry.agents().count()), (0, 0));
    }

    #[test]
    fn equal_states_have_equal_digests_whatever_their_history() {
        let mut first = Registry::new(Limits::default());
        let mut second = Registry::new(Limits::default());
        let at = Millis(7);
        let (one, two) = (entry(at, admit("a1")), entry(at, admit("a2")));
        let third = entry(at, subscribe(framework("f1", &[])));
        for (index, entry) in [&one, &two, &third].into_iter().enumerate() {
            first.apply(index as u64 + 1, entry).unwrap();
        }
        for (index, entry) in [&third, &two, &two, &one].into_iter().enumerate() {
            second.apply(index as u64 + 1, entry).unwrap();
        }
        assert_eq!(first.digest(), second.digest());
        assert_eq!(first.diff(&second), [""; 0]);
        first.apply(9, &entry(at, admit("a3"))).unwrap();
        assert_ne!(first.digest(), second.digest());
    }

    #[test]
    fn a_clone_does_not_change() {
        let mut cluster = Cluster::with_running_task();
        let frozen = cluster.registry.clone();
        let digest = frozen.digest();
        cluster.update("t1", crate::testing::FINISHED, "", crate::testing::FINISHED);
        cluster.done(admit("a2"));
        assert_eq!(frozen.digest(), digest);
        assert_ne!(cluster.registry.digest(), digest);
        assert_eq!(frozen.check_invariants(), Ok(()));
    }
}
