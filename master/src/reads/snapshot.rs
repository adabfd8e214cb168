//! One moment of the cluster: the registry and the leader's view, with what readers ask
//! of both.

use std::collections::BTreeMap;
use std::sync::Arc;

use caprock_leader::LeaderView;
use caprock_model::{AgentId, FrameworkId, Resources};
use caprock_proto::mesos::v1::{InverseOffer, Offer};
use caprock_registry::{Agent, Framework, Registry, Task};

use crate::published::{Published, Shown};

/// The state as readers see it.
#[derive(Debug)]
pub struct Snapshot {
    pub registry: Arc<Registry>,
    pub view: Arc<LeaderView>,
    shown: Shown,
    offers_by_framework: BTreeMap<FrameworkId, Vec<Arc<Offer>>>,
    offered_by_framework: BTreeMap<FrameworkId, Resources>,
    offered_by_agent: BTreeMap<AgentId, Resources>,
    used_by_framework: BTreeMap<FrameworkId, Resources>,
}

impl Snapshot {
    /// Takes what is published now.
    pub fn take(published: &Published) -> Self {
        Self::of(
            published.registry_to_keep(),
            published.view(),
            published.shown,
        )
    }

    /// A snapshot of these two.
    pub fn of(registry: Arc<Registry>, view: Arc<LeaderView>, shown: Shown) -> Self {
        let mut snapshot = Self::without_sums(registry, view, shown);
        snapshot.sum_up_offers();
        snapshot.sum_up_use();
        snapshot
    }

    /// A snapshot that knows nothing of offers and use, and costs nothing.
    pub fn without_sums(registry: Arc<Registry>, view: Arc<LeaderView>, shown: Shown) -> Self {
        Self {
            registry,
            view,
            shown,
            offers_by_framework: BTreeMap::new(),
            offered_by_framework: BTreeMap::new(),
            offered_by_agent: BTreeMap::new(),
            used_by_framework: BTreeMap::new(),
        }
    }

    fn sum_up_offers(&mut self) {
        for offer in self.view.offers.values() {
            let framework = FrameworkId::from(&offer.framework_id);
            // The leader made the offer from resources that were valid.
            let resources = Resources::from_protos(&offer.resources).unwrap_or_default();
            let role = offer
                .allocation_info
                .as_ref()
                .and_then(|info| info.role.as_deref());
            let resources = role.map_or_else(|| resources.clone(), |r| resources.allocated_to(r));
            *self
                .offered_by_framework
                .entry(framework.clone())
                .or_default() += &resources;
            let agent = AgentId::from(&offer.agent_id);
            *self.offered_by_agent.entry(agent).or_default() += &resources;
            self.offers_by_framework
                .entry(framework)
                .or_default()
                .push(Arc::clone(offer));
        }
    }

    fn sum_up_use(&mut self) {
        for agent in self.registry.agents() {
            for (framework, used) in &agent.used_by {
                *self.used_by_framework.entry(framework.clone()).or_default() += used;
            }
        }
    }

    /// Whether the framework's scheduler has an open stream.
    pub fn is_connected(&self, framework: &Framework) -> bool {
        self.view.connected_frameworks.contains_key(&framework.id)
    }

    /// Whether the agent is attached, so that its resources are offered.
    pub fn is_active(&self, agent: &Agent) -> bool {
        agent.may_be_offered() && self.is_attached(agent)
    }

    /// Whether the agent takes orders.
    pub fn is_attached(&self, agent: &Agent) -> bool {
        agent.is_reachable() && self.view.connected_agents.contains_key(&agent.id)
    }

    /// Agents that count as members of the cluster.
    pub fn reachable_agents(&self) -> impl Iterator<Item = &Arc<Agent>> {
        self.registry.agents().filter(|agent| agent.is_reachable())
    }

    /// The frameworks that were removed last, oldest first.
    pub fn completed_frameworks(&self) -> impl Iterator<Item = &Arc<Framework>> {
        let all = self.registry.completed_frameworks();
        let hidden = all.len().saturating_sub(self.shown.completed_frameworks);
        all.skip(hidden)
    }

    /// The tasks of a framework that ended last, oldest first.
    pub fn completed_tasks_of<'a>(
        &self,
        framework: &'a Framework,
    ) -> impl Iterator<Item = &'a Arc<Task>> + use<'a> {
        let all = framework.completed_tasks.iter();
        let hidden = all
            .len()
            .saturating_sub(self.shown.completed_tasks_per_framework);
        all.skip(hidden)
    }

    /// Tasks of a framework on unreachable agents.
    pub fn unreachable_tasks_of<'a>(
        &self,
        framework: &'a Framework,
    ) -> impl Iterator<Item = &'a Arc<Task>> + use<'a> {
        framework
            .unreachable_tasks
            .values()
            .take(self.shown.unreachable_tasks_per_framework)
    }

    /// A framework's outstanding offers.
    pub fn offers_of(&self, framework: &FrameworkId) -> &[Arc<Offer>] {
        self.offers_by_framework
            .get(framework)
            .map_or(&[], Vec::as_slice)
    }

    /// A framework's outstanding inverse offers.
    pub fn inverse_offers_of(&self, framework: &FrameworkId) -> Vec<InverseOffer> {
        let all = self.view.inverse_offers.values();
        all.filter(|offer| framework.as_str() == offer.framework_id.value)
            .map(|offer| (**offer).clone())
            .collect()
    }

    /// What a framework holds in offers.
    pub fn offered_to(&self, framework: &FrameworkId) -> Resources {
        self.offered_by_framework
            .get(framework)
            .cloned()
            .unwrap_or_default()
    }

    /// What of an agent is in offers.
    pub fn offered_on(&self, agent: &AgentId) -> Resources {
        self.offered_by_agent
            .get(agent)
            .cloned()
            .unwrap_or_default()
    }

    /// What a framework's tasks and executors use.
    pub fn used_by(&self, framework: &FrameworkId) -> Resources {
        self.used_by_framework
            .get(framework)
            .cloned()
            .unwrap_or_default()
    }

    /// Everything that is in offers.
    pub fn all_offered(&self) -> impl Iterator<Item = (&FrameworkId, &Resources)> {
        self.offered_by_framework.iter()
    }

    /// Everything that is used.
    pub fn all_used(&self) -> impl Iterator<Item = (&FrameworkId, &Resources)> {
        self.used_by_framework.iter()
    }
}
