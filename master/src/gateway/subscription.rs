//! What a gateway remembers of a framework, so that it can subscribe for it again: the
//! SUBSCRIBE call as later calls changed it, and the offers that are out.
//!
//! An offer dies with its leader. Those that no call has named by then are rescinded at
//! once; those that a call names go along with it, and so do rescinded ones for a while, as
//! the call may have crossed the RESCIND.

use std::collections::BTreeMap;
use std::time::Duration;

use caprock_model::roles_of;
use caprock_proto::mesos::v1::scheduler::{Call, Event, call, event};
use caprock_proto::mesos::v1::{FrameworkId, Offer, OfferId};
use tokio::time::Instant;

/// How long after its RESCIND an offer may still be named by a call that crossed it.
const CROSSING: Duration = Duration::from_secs(10);

/// What the leader says of a framework that was removed.
const REMOVED: &str = "Framework has been removed";

/// An offer that the scheduler has, and the term of the leader that made it.
#[derive(Debug, Clone)]
struct Known {
    offer: Offer,
    term: u64,
}

/// The offers that a call names: they are not out any more.
#[derive(Debug, Default)]
pub struct Claim {
    offers: Vec<Known>,
}

impl Claim {
    /// Those that a leader of this term has not made.
    pub fn made_before(&self, term: u64) -> impl Iterator<Item = &Offer> {
        let older = self.offers.iter().filter(move |known| known.term < term);
        older.map(|known| &known.offer)
    }
}

/// A framework's subscription.
#[derive(Debug)]
pub struct Subscription {
    subscribe: Call,
    /// Of the leader that has the stream, or had it last.
    term: u64,
    offers: BTreeMap<String, Known>,
    /// Offers of lost leaders, and when they were rescinded.
    rescinded: BTreeMap<String, (Known, Instant)>,
}

/// What an event means for its stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning {
    /// The subscription was accepted.
    Subscribed,
    /// The stream ends after it.
    Error,
    /// So does it after this one: the framework is no more.
    Removed,
    Heartbeat,
    /// Anything else.
    Ordinary,
}

impl Subscription {
    /// The subscription that this SUBSCRIBE call asks for.
    pub fn new(subscribe: Call) -> Self {
        Self {
            subscribe,
            term: 0,
            offers: BTreeMap::new(),
            rescinded: BTreeMap::new(),
        }
    }

    /// The offers that come now are made by the leader of this term.
    pub fn begin_term(&mut self, term: u64) {
        self.term = term;
    }

    /// The call that subscribes again; none if the framework has no id yet.
    pub fn resubscribe(&self) -> Option<Call> {
        self.subscribe
            .framework_id
            .as_ref()
            .map(|_| self.subscribe.clone())
    }

    /// Takes note of an event on its way to the scheduler.
    pub fn note_event(&mut self, event: &Event) -> Meaning {
        match event.r#type() {
            event::Type::Subscribed => {
                if let Some(subscribed) = &event.subscribed {
                    self.set_id(&subscribed.framework_id);
                }
                Meaning::Subscribed
            }
            event::Type::Offers => {
                let term = self.term;
                let known = |offer: &Offer| Known {
                    offer: offer.clone(),
                    term,
                };
                let offers = event.offers.iter().flat_map(|offers| &offers.offers);
                let offers = offers.map(|offer| (offer.id.value.clone(), known(offer)));
                self.offers.extend(offers);
                Meaning::Ordinary
            }
            event::Type::Rescind => {
                if let Some(rescind) = &event.rescind {
                    self.offers.remove(&rescind.offer_id.value);
                }
                Meaning::Ordinary
            }
            event::Type::Error => {
                let message = event.error.as_ref().map(|error| error.message.as_str());
                match message {
                    Some(REMOVED) => Meaning::Removed,
                    _ => Meaning::Error,
                }
            }
            event::Type::Heartbeat => Meaning::Heartbeat,
            _ => Meaning::Ordinary,
        }
    }

    fn set_id(&mut self, id: &FrameworkId) {
        self.subscribe.framework_id = Some(id.clone());
        if let Some(subscribe) = &mut self.subscribe.subscribe {
            subscribe.framework_info.id = Some(id.clone());
        }
    }

    /// Takes note of a call that the leader accepted.
    pub fn note_call(&mut self, call: &Call) {
        match call.r#type() {
            call::Type::Suppress => {
                let roles = call.suppress.as_ref().map(|suppress| &suppress.roles[..]);
                self.suppress(roles.unwrap_or_default());
            }
            call::Type::Revive => {
                let roles = call.revive.as_ref().map(|revive| &revive.roles[..]);
                self.revive(roles.unwrap_or_default());
            }
            call::Type::UpdateFramework => self.update(call),
            _ => {}
        }
    }

    /// Takes the offers that a call names out of the list.
    pub fn claim(&mut self, call: &Call, now: Instant) -> Claim {
        self.rescinded
            .retain(|_, (_, since)| now.duration_since(*since) < CROSSING);
        let ids: &[OfferId] = match (&call.accept, &call.decline) {
            (Some(accept), _) => &accept.offer_ids,
            (None, Some(decline)) => &decline.offer_ids,
            (None, None) => &[],
        };
        let mut take = |id: &OfferId| {
            let out = self.offers.remove(&id.value);
            out.or_else(|| self.rescinded.remove(&id.value).map(|(known, _)| known))
        };
        Claim {
            offers: ids.iter().filter_map(&mut take).collect(),
        }
    }

    /// The call came to nothing. The RESCINDs are of offers whose leader is gone.
    pub fn give_back(&mut self, claim: Claim, now: Instant) -> Vec<Event> {
        let mut void = Vec::new();
        for known in claim.offers {
            let id = known.offer.id.value.clone();
            if known.term == self.term {
                self.offers.insert(id, known);
            } else {
                void.push(rescind(&id));
                self.rescinded.insert(id, (known, now));
            }
        }
        void
    }

    /// No role named: all of the framework's.
    fn suppress(&mut self, roles: &[String]) {
        let Some(subscribe) = &mut self.subscribe.subscribe else {
            return;
        };
        let roles: Vec<String> = match roles {
            [] => roles_of(&subscribe.framework_info)
                .iter()
                .map(|r| r.to_string())
                .collect(),
            named => named.to_vec(),
        };
        for role in roles {
            if !subscribe.suppressed_roles.contains(&role) {
                subscribe.suppressed_roles.push(role);
            }
        }
    }

    fn revive(&mut self, roles: &[String]) {
        let Some(subscribe) = &mut self.subscribe.subscribe else {
            return;
        };
        subscribe
            .suppressed_roles
            .retain(|role| !roles.is_empty() && !roles.contains(role));
    }

    fn update(&mut self, call: &Call) {
        let (Some(subscribe), Some(update)) =
            (&mut self.subscribe.subscribe, &call.update_framework)
        else {
            return;
        };
        subscribe.framework_info = update.framework_info.clone();
        subscribe
            .suppressed_roles
            .clone_from(&update.suppressed_roles);
        subscribe
            .offer_constraints
            .clone_from(&update.offer_constraints);
    }

    /// RESCIND for every offer that is out: their leader is gone, and they with it.
    pub fn rescind_all(&mut self, now: Instant) -> Vec<Event> {
        let offers = std::mem::take(&mut self.offers);
        let rescinds = offers.keys().map(|id| rescind(id)).collect();
        let rescinded = offers.into_iter().map(|(id, known)| (id, (known, now)));
        self.rescinded.extend(rescinded);
        rescinds
    }
}

fn rescind(offer: &str) -> Event {
    let offer_id = OfferId {
        value: offer.to_owned(),
    };
    Event {
        r#type: Some(event::Type::Rescind as i32),
        rescind: Some(event::Rescind { offer_id }),
        ..Event::default()
    }
}

#[cfg(test)]
mod tests {
    use caprock_proto::MesosMessage;

    use super::*;

    fn call(json: &str) -> Call {
        Call::from_json(json.as_bytes()).unwrap()
    }

    fn event(json: &str) -> Event {
        Event::from_json(json.as_bytes()).unwrap()
    }

    fn subscription() -> Subscription {
        let mut subscription = Subscription::new(call(
            r#"{"type":"SUBSCRIBE","subscribe":{"framework_info":{"user":"u","name":"n",
                "roles":["a","b"],"capabilities":[{"type":"MULTI_ROLE"}]}}}"#,
        ));
        assert_eq!(subscription.resubscribe(), None);
        let subscribed =
            event(r#"{"type":"SUBSCRIBED","subscribed":{"framework_id":{"value":"f"}}}"#);
        assert_eq!(subscription.note_event(&subscribed), Meaning::Subscribed);
        subscription
    }

    #[test]
    fn it_subscribes_again_with_the_id_it_was_given() {
        let again = subscription().resubscribe().unwrap();
        assert_eq!(again.framework_id.unwrap().value, "f");
        assert_eq!(
            again.subscribe.unwrap().framework_info.id.unwrap().value,
            "f"
        );
    }

    #[test]
    fn suppressed_roles_are_those_of_now() {
        let mut subscription = subscription();
        let suppressed = |s: &Subscription| {
            s.resubscribe()
                .and_then(|c| c.subscribe)
                .unwrap()
                .suppressed_roles
        };
        subscription.note_call(&call(r#"{"type":"SUPPRESS"}"#));
        assert_eq!(suppressed(&subscription), ["a", "b"]);
        subscription.note_call(&call(r#"{"type":"REVIVE","revive":{"roles":["a"]}}"#));
        assert_eq!(suppressed(&subscription), ["b"]);
        subscription.note_call(&call(r#"{"type":"REVIVE"}"#));
        assert!(suppressed(&subscription).is_empty());
    }

    fn offer(subscription: &mut Subscription, id: &str) {
        subscription.note_event(&event(&format!(
            r#"{{"type":"OFFERS","offers":{{"offers":[{{"id":{{"value":"{id}"}},
                "framework_id":{{"value":"f"}},"agent_id":{{"value":"a"}},
                "hostname":"h"}}]}}}}"#
        )));
    }

    fn ids(events: &[Event]) -> Vec<&str> {
        let rescinds = events.iter().filter_map(|event| event.rescind.as_ref());
        rescinds
            .map(|rescind| rescind.offer_id.value.as_str())
            .collect()
    }

    fn accept(id: &str) -> Call {
        let ids = format!(r#"{{"offer_ids":[{{"value":"{id}"}}]}}"#);
        call(&format!(r#"{{"type":"ACCEPT","accept":{ids}}}"#))
    }

    #[test]
    fn only_offers_that_are_out_are_rescinded() {
        let mut subscription = subscription();
        let now = Instant::now();
        for id in ["o1", "o2", "o3"] {
            offer(&mut subscription, id);
        }
        subscription.note_event(&event(
            r#"{"type":"RESCIND","rescind":{"offer_id":{"value":"o1"}}}"#,
        ));
        let decline = call(r#"{"type":"DECLINE","decline":{"offer_ids":[{"value":"o2"}]}}"#);
        subscription.claim(&decline, now);
        assert_eq!(ids(&subscription.rescind_all(now)), ["o3"]);
        assert!(subscription.rescind_all(now).is_empty());
    }

    #[test]
    fn offers_of_former_leaders_go_along_with_their_call() {
        let mut subscription = subscription();
        let now = Instant::now();
        subscription.begin_term(3);
        for id in ["held", "crossing", "late", "unused"] {
            offer(&mut subscription, id);
        }
        let held = subscription.claim(&accept("held"), now);
        assert_eq!(held.made_before(3).count(), 0);
        assert_eq!(subscription.rescind_all(now).len(), 3);
        subscription.begin_term(4);
        let names = |claim: &Claim| -> Vec<String> {
            claim
                .made_before(4)
                .map(|offer| offer.id.value.clone())
                .collect()
        };
        assert_eq!(names(&held), ["held"]);
        let crossing = subscription.claim(&accept("crossing"), now + CROSSING / 2);
        assert_eq!(names(&crossing), ["crossing"]);
        // Named once, and not for ever.
        let again = subscription.claim(&accept("crossing"), now);
        assert!(names(&again).is_empty());
        let late = subscription.claim(&accept("late"), now + CROSSING);
        assert!(names(&late).is_empty());
    }

    #[test]
    fn a_call_that_came_to_nothing_gives_its_offers_back() {
        let mut subscription = subscription();
        let now = Instant::now();
        subscription.begin_term(3);
        offer(&mut subscription, "o1");
        let claim = subscription.claim(&accept("o1"), now);
        assert!(subscription.give_back(claim, now).is_empty());
        let claim = subscription.claim(&accept("o1"), now);
        subscription.begin_term(4);
        assert_eq!(ids(&subscription.give_back(claim, now)), ["o1"]);
        assert!(subscription.rescind_all(now).is_empty());
    }
}
