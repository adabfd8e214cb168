//! Offers of former leaders. They are void, but for an ACCEPT that was held by a gateway
//! while there was no leader: the gateway says what was in them, and they count as far as
//! nobody has used the resources since.
//!
//! ```text
//!   old leader:  OFFERS(o1) ──► gateway ──► scheduler
//!                (dies)            ▲ ACCEPT(o1) ── held ──┐
//!   new leader:  ◄──── ACCEPT(o1) + what o1 was ──────────┘
//! ```
//!
//! What this leader has offered anew meanwhile gives way: such an offer shrinks, and is
//! rescinded a moment later unless it was used.

use std::collections::BTreeMap;

use caprock_model::{AgentId, DurationMs, FrameworkId, OfferId, Resources, Role};
use caprock_proto::mesos::v1::Offer;
use caprock_registry::{Agent, Framework};

use super::offers_check::Basis;
use crate::input::TimerKey;
use crate::metrics;
use crate::offers::Outstanding;
use crate::office::Office;
use crate::turn::Turn;

/// How long an offer that has become smaller stays valid: its framework may be about to
/// use what is left.
const SHRUNK_OFFER_LIFE: DurationMs = DurationMs(1_000);

/// Offers that a gateway vouches for.
pub(super) type Vouched = BTreeMap<OfferId, Outstanding>;

impl Office {
    /// Those of the vouched offers that may count: of former leaders, made to this framework
    /// in a role that it has.
    pub(super) fn vouched(&mut self, framework: &Framework, offers: &[Offer]) -> Vouched {
        let own = format!("{}-O", self.master.id);
        let mut vouched = Vouched::new();
        for offer in offers {
            if offer.id.value.starts_with(&own) || framework.id != offer.framework_id {
                continue;
            }
            if let Some(outstanding) = outstanding(framework, offer) {
                self.metrics.count(metrics::VOUCHED_OFFERS);
                vouched.insert(OfferId::from(&offer.id), outstanding);
            }
        }
        vouched
    }

    /// Reduces vouched offers to what is free of them. Other offers do not count: they are
    /// promises of this leader that give way.
    pub(super) fn limit_to_free(&self, turn: &Turn<'_>, agent: &Agent, basis: &mut Basis) {
        if basis.vouched.is_empty() {
            return;
        }
        let own = &basis.resources - &basis.vouched;
        let mut free = agent.available();
        free -= &self.held_on(turn, &agent.id);
        free -= &own.unallocated();
        let wanted = basis.vouched.unallocated();
        let missing = &wanted - &free;
        let granted = (&wanted - &missing).allocated_to(basis.role.as_str());
        basis.lapsed |= !missing.is_empty();
        basis.resources = &own + &granted;
    }

    /// Offers of the agent that promise what a vouched offer has just used become smaller,
    /// preferably those of the framework itself.
    pub(super) fn make_room(
        &mut self,
        turn: &mut Turn<'_>,
        framework: &FrameworkId,
        agent: &Agent,
    ) {
        let mut left = agent.available();
        left -= &self.held_on(turn, &agent.id);
        let mut ids = self.offers.of_agent(&agent.id);
        // The one with the most to spare gives: the last.
        ids.sort_by_cached_key(|id| {
            let offer = self.offers.get(id);
            offer.map(|offer| {
                let is_own = offer.framework == *framework;
                (is_own, offer.resources.cpus(), offer.resources.mem())
            })
        });
        for id in ids {
            let Some(offer) = self.offers.get(&id) else {
                continue;
            };
            let (role, offered) = (offer.role.clone(), offer.resources.unallocated());
            let missing = &offered - &left;
            let rest = &offered - &missing;
            left -= &rest;
            if rest.is_empty() {
                self.rescind_offer(turn, &id);
            } else if !missing.is_empty() {
                self.offers.shrink(&id, rest.allocated_to(role.as_str()));
                let at = turn.now + SHRUNK_OFFER_LIFE;
                turn.wake(at, TimerKey::OfferExpiry(id.to_string()));
            }
        }
    }

    /// What launches take of an agent that the registry does not have yet.
    fn held_on(&self, turn: &Turn<'_>, agent: &AgentId) -> Resources {
        let holds = self.agents.peer(agent).map(|peer| &peer.holds);
        let mut held = Resources::new();
        for (proposal, part) in holds.into_iter().flatten() {
            if !self.launching.is_applied(*proposal, turn.registry) {
                held += &part.unallocated();
            }
        }
        held
    }
}

/// What the former leader had in its list. The role is not shown to frameworks that have
/// only one.
fn outstanding(framework: &Framework, offer: &Offer) -> Option<Outstanding> {
    let shown = offer.allocation_info.as_ref();
    let role = match shown.and_then(|info| info.role.as_deref()) {
        Some(role) => framework.roles.get(role)?.clone(),
        None => sole_role(framework)?,
    };
    let resources = Resources::from_protos(&offer.resources).ok()?;
    let resources = resources.unallocated().allocated_to(role.as_str());
    (!resources.is_empty()).then(|| Outstanding {
        framework: framework.id.clone(),
        agent: AgentId::from(&offer.agent_id),
        role,
        resources,
    })
}

fn sole_role(framework: &Framework) -> Option<Role> {
    let mut roles = framework.roles.iter();
    match (roles.next(), roles.next()) {
        (Some(role), None) => Some(role.clone()),
        _ => None,
    }
}
