//! Inverse offers: frameworks that use, or are offered, something of an agent whose machine
//! will go down are asked to leave it. They answer yes or no; nothing follows from that but
//! what operators make of it (Mesos: HierarchicalAllocatorProcess::generateInverseOffers).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use caprock_model::{AgentId, DurationMs, FrameworkId, Millis, OfferId};
use caprock_proto::mesos::v1;
use caprock_proto::mesos::v1::allocator::{InverseOfferStatus, inverse_offer_status::Status};
use rpds::RedBlackTreeMapSync;

use crate::event;
use crate::filters::refusal;
use crate::input::TimerKey;
use crate::offers::url_of;
use crate::office::Office;
use crate::turn::Turn;

/// Whose, about which agent.
type Pair = (AgentId, FrameworkId);

/// Inverse offers and the answers to them.
#[derive(Debug, Default)]
pub(crate) struct InverseOffers {
    by_id: BTreeMap<OfferId, Pair>,
    outstanding: BTreeMap<Pair, OfferId>,
    /// Until when a framework is not asked again.
    answered_until: BTreeMap<Pair, Millis>,
    view: RedBlackTreeMapSync<OfferId, Arc<v1::InverseOffer>>,
    answers: RedBlackTreeMapSync<Pair, Arc<InverseOfferStatus>>,
}

impl InverseOffers {
    pub fn view(&self) -> &RedBlackTreeMapSync<OfferId, Arc<v1::InverseOffer>> {
        &self.view
    }

    /// The last answer of each framework about each agent.
    pub fn answers(&self) -> &RedBlackTreeMapSync<Pair, Arc<InverseOfferStatus>> {
        &self.answers
    }

    fn insert(&mut self, id: OfferId, pair: Pair, shown: v1::InverseOffer) {
        self.view.insert_mut(id.clone(), Arc::new(shown));
        self.outstanding.insert(pair.clone(), id.clone());
        self.by_id.insert(id, pair);
    }

    fn remove(&mut self, id: &OfferId) -> Option<Pair> {
        let pair = self.by_id.remove(id)?;
        self.outstanding.remove(&pair);
        self.view.remove_mut(id);
        Some(pair)
    }

    fn of_agent(&self, agent: &AgentId) -> Vec<OfferId> {
        let all = self.by_id.iter().filter(|(_, pair)| pair.0 == *agent);
        all.map(|(id, _)| id.clone()).collect()
    }

    /// The framework went away: it is asked anew when it is back.
    pub fn forget_framework(&mut self, framework: &FrameworkId) {
        let all = self.by_id.iter().filter(|(_, pair)| pair.1 == *framework);
        let all: Vec<OfferId> = all.map(|(id, _)| id.clone()).collect();
        for id in all {
            self.remove(&id);
        }
        self.revive(framework);
    }

    /// REVIVE ends what keeps inverse offers away.
    pub fn revive(&mut self, framework: &FrameworkId) {
        self.answered_until
            .retain(|(_, asked), _| asked != framework);
    }

    /// Another window, or none: former answers mean nothing. Outstanding inverse offers have
    /// been rescinded.
    pub fn forget_agent(&mut self, agent: &AgentId) {
        self.answered_until.retain(|(about, _), _| about != agent);
        let answers = self.answers.keys().filter(|(about, _)| about == agent);
        let answers: Vec<Pair> = answers.cloned().collect();
        for pair in answers {
            self.answers.remove_mut(&pair);
        }
    }

    fn may_ask(&self, pair: &Pair, now: Millis) -> bool {
        let quiet = self.answered_until.get(pair);
        !self.outstanding.contains_key(pair) && quiet.is_none_or(|until| *until <= now)
    }
}

impl Office {
    /// Asks everybody who has not been asked; at most one inverse offer per framework and
    /// agent is outstanding.
    pub(crate) fn make_inverse_offers(&mut self, turn: &mut Turn<'_>) {
        let windows: Vec<_> = self
            .windows
            .iter()
            .map(|(id, w)| (id.clone(), *w))
            .collect();
        let mut events: BTreeMap<FrameworkId, Vec<v1::InverseOffer>> = BTreeMap::new();
        for (id, unavailability) in windows {
            let Some(agent) = turn.registry.agent(&id) else {
                continue;
            };
            if agent.deactivated || !self.agents.is_active(&id) {
                continue;
            }
            for framework in self.holders_on(agent) {
                let pair = (id.clone(), framework.clone());
                if !self.inverse.may_ask(&pair, turn.now) {
                    continue;
                }
                let offer_id = self.new_offer_id();
                let offer = v1::InverseOffer {
                    id: offer_id.to_proto(),
                    url: Some(url_of(agent)),
                    framework_id: framework.to_proto(),
                    agent_id: Some(id.to_proto()),
                    unavailability,
                    resources: Vec::new(),
                };
                if let Some(timeout) = self.config.offer_timeout {
                    let key = TimerKey::OfferExpiry(offer_id.to_string());
                    turn.wake(turn.now + timeout, key);
                }
                self.inverse.insert(offer_id, pair, offer.clone());
                events.entry(framework).or_default().push(offer);
            }
        }
        for (framework, offers) in events {
            self.send(turn, &framework, event::inverse_offers(offers));
        }
    }

    /// Connected frameworks that use, or are offered, something of an agent.
    fn holders_on(&self, agent: &caprock_registry::Agent) -> BTreeSet<FrameworkId> {
        let offers = self.offers.of_agent(&agent.id);
        let offered = offers
            .iter()
            .filter_map(|id| self.offers.get(id))
            .map(|offer| &offer.framework);
        agent
            .used_by
            .keys()
            .chain(offered)
            .filter(|framework| self.sessions.is_connected(framework))
            .cloned()
            .collect()
    }

    /// An answer: it is only remembered.
    pub(crate) fn answer_inverse_offers(
        &mut self,
        turn: &mut Turn<'_>,
        framework: &FrameworkId,
        ids: &[v1::OfferId],
        status: Status,
        filters: Option<&v1::Filters>,
    ) {
        for id in ids.iter().map(OfferId::from) {
            // Unknown ones, and those of others, are none of this framework's business.
            let own = self.inverse.by_id.get(&id);
            if own.is_none_or(|(_, asked)| asked != framework) {
                continue;
            }
            let Some(pair) = self.inverse.remove(&id) else {
                continue;
            };
            let answer = InverseOfferStatus {
                status: status as i32,
                framework_id: framework.to_proto(),
                timestamp: turn.now.to_proto(),
            };
            self.inverse
                .answers
                .insert_mut(pair.clone(), Arc::new(answer));
            if let Some(quiet) = refusal(filters, DurationMs::ZERO) {
                self.inverse.answered_until.insert(pair, turn.now + quiet);
            }
        }
    }

    pub(crate) fn rescind_inverse_offer(&mut self, turn: &mut Turn<'_>, id: &OfferId) {
        if let Some((_, framework)) = self.inverse.remove(id) {
            self.send(turn, &framework, event::rescind_inverse(id));
        }
    }

    pub(crate) fn rescind_inverse_offers_on(&mut self, turn: &mut Turn<'_>, agent: &AgentId) {
        for id in self.inverse.of_agent(agent) {
            self.rescind_inverse_offer(turn, &id);
        }
    }
}
