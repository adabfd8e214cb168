//! Outstanding offers: who holds which resources of which agent, and how they end.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use caprock_model::{AgentId, FrameworkId, OfferId, Quantities, Resources, Role};
use caprock_proto::mesos::v1;
use caprock_registry::{Agent, Framework};
use rpds::RedBlackTreeMapSync;

use crate::event;
use crate::input::TimerKey;
use crate::metrics;
use crate::office::Office;
use crate::quota::charges;
use crate::turn::Turn;

/// One offer that has not been answered.
#[derive(Debug, Clone)]
pub(crate) struct Outstanding {
    pub framework: FrameworkId,
    pub agent: AgentId,
    pub role: Role,
    /// In allocated form.
    pub resources: Resources,
}

/// What is offered in one role.
#[derive(Debug, Default)]
struct Offered {
    total: Quantities,
    /// What of it counts against quota.
    charged: Quantities,
    by_framework: BTreeMap<FrameworkId, Quantities>,
}

/// All outstanding offers.
#[derive(Debug, Default)]
pub(crate) struct Offers {
    by_id: BTreeMap<OfferId, Outstanding>,
    by_framework: BTreeMap<FrameworkId, BTreeSet<OfferId>>,
    by_agent: BTreeMap<AgentId, BTreeSet<OfferId>>,
    /// Offers that hold less than their frameworks were told.
    shrunk: BTreeSet<OfferId>,
    /// Sums for the allocator's shares.
    by_role: BTreeMap<Role, Offered>,
    view: RedBlackTreeMapSync<OfferId, Arc<v1::Offer>>,
}

impl Offers {
    pub fn get(&self, id: &OfferId) -> Option<&Outstanding> {
        self.by_id.get(id)
    }

    pub fn view(&self) -> &RedBlackTreeMapSync<OfferId, Arc<v1::Offer>> {
        &self.view
    }

    pub fn of_framework(&self, framework: &FrameworkId) -> Vec<OfferId> {
        self.by_framework
            .get(framework)
            .into_iter()
            .flatten()
            .cloned()
            .collect()
    }

    pub fn of_agent(&self, agent: &AgentId) -> Vec<OfferId> {
        self.by_agent
            .get(agent)
            .into_iter()
            .flatten()
            .cloned()
            .collect()
    }

    /// What is offered of an agent, to whomever.
    pub fn offered_of<'a>(&'a self, agent: &AgentId) -> impl Iterator<Item = &'a Resources> {
        let ids = self.by_agent.get(agent).into_iter().flatten();
        ids.filter_map(|id| self.by_id.get(id))
            .map(|offer| &offer.resources)
    }

    /// What a framework uses in a role, and what it is offered.
    pub fn allocated(&self, framework: &Framework, role: &Role) -> Quantities {
        let mut sum = framework.used.get(role).cloned().unwrap_or_default();
        let offered = self
            .by_role
            .get(role)
            .and_then(|role| role.by_framework.get(&framework.id));
        if let Some(offered) = offered {
            sum += offered;
        }
        sum
    }

    /// What is offered in each role.
    pub fn roles(&self) -> impl Iterator<Item = (&Role, &Quantities)> {
        self.by_role
            .iter()
            .map(|(role, offered)| (role, &offered.total))
    }

    /// What counts against quota in each role.
    pub fn charged(&self) -> impl Iterator<Item = (&Role, &Quantities)> {
        self.by_role
            .iter()
            .map(|(role, offered)| (role, &offered.charged))
    }

    fn add_to_shares(&mut self, offer: &Outstanding) {
        let amounts = offer.resources.quantities();
        let role = self.by_role.entry(offer.role.clone()).or_default();
        role.total += &amounts;
        role.charged += &charges(&offer.resources);
        *role
            .by_framework
            .entry(offer.framework.clone())
            .or_default() += &amounts;
    }

    fn take_from_shares(&mut self, offer: &Outstanding) {
        let amounts = offer.resources.quantities();
        let Some(role) = self.by_role.get_mut(&offer.role) else {
            return;
        };
        role.total -= &amounts;
        role.charged -= &charges(&offer.resources);
        if let Some(share) = role.by_framework.get_mut(&offer.framework) {
            *share -= &amounts;
            if share.is_empty() {
                role.by_framework.remove(&offer.framework);
            }
        }
        if role.by_framework.is_empty() {
            self.by_role.remove(&offer.role);
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = (&OfferId, &Outstanding)> {
        self.by_id.iter()
    }

    pub fn insert(&mut self, id: OfferId, offer: Outstanding, shown: Arc<v1::Offer>) {
        self.by_framework
            .entry(offer.framework.clone())
            .or_default()
            .insert(id.clone());
        self.by_agent
            .entry(offer.agent.clone())
            .or_default()
            .insert(id.clone());
        self.view.insert_mut(id.clone(), shown);
        self.add_to_shares(&offer);
        self.by_id.insert(id, offer);
    }

    pub fn remove(&mut self, id: &OfferId) -> Option<Outstanding> {
        let offer = self.by_id.remove(id)?;
        self.view.remove_mut(id);
        self.shrunk.remove(id);
        self.take_from_shares(&offer);
        forget(&mut self.by_framework, &offer.framework, id);
        forget(&mut self.by_agent, &offer.agent, id);
        Some(offer)
    }

    /// Leaves less in an offer than its framework was told.
    pub fn shrink(&mut self, id: &OfferId, resources: Resources) {
        let shown = self.view.get(id).map(|shown| v1::Offer {
            resources: resources.to_protos(),
            ..(**shown).clone()
        });
        if let (Some(shown), Some(offer)) = (shown, self.remove(id)) {
            self.insert(
                id.clone(),
                Outstanding { resources, ..offer },
                Arc::new(shown),
            );
            self.shrunk.insert(id.clone());
        }
    }

    /// Whether an offer holds less than its framework was told.
    pub fn is_shrunk(&self, id: &OfferId) -> bool {
        self.shrunk.contains(id)
    }

    /// Contradictions between the maps, for tests.
    pub fn contradictions(&self) -> Vec<String> {
        let indexed: usize = self.by_framework.values().map(BTreeSet::len).sum();
        let by_agent: usize = self.by_agent.values().map(BTreeSet::len).sum();
        let mut found = Vec::new();
        if indexed != self.by_id.len() || by_agent != indexed || self.view.size() != indexed {
            found.push("the offer maps differ in size".to_owned());
        }
        for (id, offer) in &self.by_id {
            let known = self
                .by_framework
                .get(&offer.framework)
                .is_some_and(|ids| ids.contains(id));
            if !known {
                found.push(format!(
                    "offer {id} is not indexed under {}",
                    offer.framework
                ));
            }
        }
        found
    }
}

fn forget<K: Ord>(index: &mut BTreeMap<K, BTreeSet<OfferId>>, key: &K, id: &OfferId) {
    if let Some(ids) = index.get_mut(key) {
        ids.remove(id);
        if ids.is_empty() {
            index.remove(key);
        }
    }
}

impl Office {
    /// Records an offer and returns it in the format that its framework understands.
    pub(crate) fn make_offer(
        &mut self,
        turn: &mut Turn<'_>,
        framework: &Framework,
        agent: &Agent,
        role: Role,
        resources: Resources,
    ) -> v1::Offer {
        let id = self.new_offer_id();
        let mut offer = describe(&id, framework, agent, &role, &resources);
        offer.unavailability = self.windows.of(&agent.id);
        let shown = v1::Offer {
            resources: resources.to_protos(),
            allocation_info: Some(allocation_to(&role)),
            ..offer.clone()
        };
        if let Some(timeout) = self.config.offer_timeout {
            turn.wake(turn.now + timeout, TimerKey::OfferExpiry(id.to_string()));
        }
        let outstanding = Outstanding {
            framework: framework.id.clone(),
            agent: agent.id.clone(),
            role,
            resources,
        };
        self.offers.insert(id, outstanding, Arc::new(shown));
        self.metrics.count(metrics::OFFERS_MADE);
        offer
    }

    /// Ends an offer without a word; its resources are free.
    pub(crate) fn discard_offer(&mut self, turn: &mut Turn<'_>, id: &OfferId) {
        if let Some(offer) = self.offers.remove(id) {
            self.mark_dirty(turn, &offer.agent);
        }
    }

    /// Ends an offer and tells its framework.
    pub(crate) fn rescind_offer(&mut self, turn: &mut Turn<'_>, id: &OfferId) {
        if let Some(offer) = self.offers.remove(id) {
            self.metrics.count(metrics::OFFERS_RESCINDED);
            self.send(turn, &offer.framework, event::rescind(id));
            self.mark_dirty(turn, &offer.agent);
        }
    }

    pub(crate) fn offer_expired(&mut self, turn: &mut Turn<'_>, id: &OfferId) {
        self.rescind_offer(turn, id);
        self.rescind_inverse_offer(turn, id);
    }

    pub(crate) fn discard_offers_of(&mut self, turn: &mut Turn<'_>, framework: &FrameworkId) {
        for id in self.offers.of_framework(framework) {
            self.discard_offer(turn, &id);
        }
        self.inverse.forget_framework(framework);
    }

    pub(crate) fn rescind_offers_on(&mut self, turn: &mut Turn<'_>, agent: &AgentId) {
        for id in self.offers.of_agent(agent) {
            self.rescind_offer(turn, &id);
        }
        self.rescind_inverse_offers_on(turn, agent);
    }
}

fn allocation_to(role: &Role) -> v1::resource::AllocationInfo {
    v1::resource::AllocationInfo {
        role: Some(role.to_string()),
    }
}

/// What an offer shows (Mesos: Master::offer in src/master/master.cpp).
fn describe(
    id: &OfferId,
    framework: &Framework,
    agent: &Agent,
    role: &Role,
    resources: &Resources,
) -> v1::Offer {
    let capabilities = framework.capabilities;
    let shown = resources
        .to_protos_for(capabilities.reservation_refinement, capabilities.multi_role)
        .into_iter()
        .filter(|resource| resource.name != "ephemeral_ports")
        .collect();
    v1::Offer {
        id: id.to_proto(),
        framework_id: framework.id.to_proto(),
        agent_id: agent.id.to_proto(),
        hostname: agent.info.hostname.clone(),
        url: Some(url_of(agent)),
        domain: agent.info.domain.clone(),
        resources: shown,
        attributes: agent.info.attributes.clone(),
        executor_ids: executors_of(agent, &framework.id),
        unavailability: None,
        allocation_info: capabilities.multi_role.then(|| allocation_to(role)),
    }
}

fn executors_of(agent: &Agent, framework: &FrameworkId) -> Vec<v1::ExecutorId> {
    let own = agent
        .executors
        .iter()
        .filter(|((owner, _), _)| owner == framework);
    own.map(|((_, executor), _)| executor.to_proto()).collect()
}

/// The address of the agent's HTTP endpoint, `/slave(1)` being the name of its process.
pub(crate) fn url_of(agent: &Agent) -> v1::Url {
    let (host, port) = split_address(&agent.address);
    let port = port.unwrap_or_else(|| agent.info.port());
    v1::Url {
        scheme: "http".to_owned(),
        address: v1::Address {
            hostname: Some(agent.info.hostname.clone()),
            ip: (!host.is_empty()).then(|| host.to_owned()),
            port,
        },
        path: Some("/slave(1)".to_owned()),
        query: Vec::new(),
        fragment: None,
    }
}

/// Host and port of `host:port`; IPv6 hosts are in brackets.
pub(crate) fn split_address(address: &str) -> (&str, Option<i32>) {
    match address.rsplit_once(':') {
        Some((host, port)) => (host.trim_matches(['[', ']']), port.parse().ok()),
        None => (address, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_split_at_the_last_colon() {
        assert_eq!(split_address("10.0.0.1:5051"), ("10.0.0.1", Some(5051)));
        assert_eq!(split_address("[::1]:5051"), ("::1", Some(5051)));
        assert_eq!(split_address("host"), ("host", None));
    }

    #[test]
    fn removing_an_offer_leaves_no_trace() {
        let mut offers = Offers::default();
        let (framework, agent) = (FrameworkId::from("f"), AgentId::from("a"));
        let resources = Resources::parse("cpus:1", "*").unwrap().allocated_to("r");
        let outstanding = Outstanding {
            framework: framework.clone(),
            agent: agent.clone(),
            role: "r".into(),
            resources: resources.clone(),
        };
        offers.insert("o".into(), outstanding, Arc::default());
        assert_eq!(offers.offered_of(&agent).collect::<Vec<_>>(), [&resources]);
        assert_eq!(offers.contradictions(), Vec::<String>::new());
        assert!(offers.remove(&"o".into()).is_some());
        assert!(offers.remove(&"o".into()).is_none());
        assert!(offers.of_framework(&framework).is_empty());
        assert_eq!(offers.offered_of(&agent).count(), 0);
        assert_eq!(offers.roles().count(), 0);
        assert_eq!(offers.contradictions(), Vec::<String>::new());
    }
}
