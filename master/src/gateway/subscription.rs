//! What a gateway remembers of a framework, so that it can subscribe for it again: the
//! SUBSCRIBE call as later calls changed it, and the offers that are out.

use std::collections::BTreeSet;

use caprock_model::roles_of;
use caprock_proto::mesos::v1::scheduler::{Call, Event, call, event};
use caprock_proto::mesos::v1::{FrameworkId, OfferId};

/// A framework's subscription.
#[derive(Debug)]
pub struct Subscription {
    subscribe: Call,
    offers: BTreeSet<String>,
}

/// What an event means for its stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning {
    /// The subscription was accepted.
    Subscribed,
    /// The stream ends after it.
    Error,
    /// Anything else.
    Ordinary,
}

impl Subscription {
    /// The subscription that this SUBSCRIBE call asks for.
    pub fn new(subscribe: Call) -> Self {
        Self {
            subscribe,
            offers: BTreeSet::new(),
        }
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
                let offers = event.offers.iter().flat_map(|offers| &offers.offers);
                self.offers
                    .extend(offers.map(|offer| offer.id.value.clone()));
                Meaning::Ordinary
            }
            event::Type::Rescind => {
                if let Some(rescind) = &event.rescind {
                    self.offers.remove(&rescind.offer_id.value);
                }
                Meaning::Ordinary
            }
            event::Type::Error => Meaning::Error,
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
            call::Type::Accept => {
                self.forget(call.accept.iter().flat_map(|accept| &accept.offer_ids));
            }
            call::Type::Decline => {
                self.forget(call.decline.iter().flat_map(|decline| &decline.offer_ids));
            }
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

    fn forget<'a>(&mut self, offers: impl Iterator<Item = &'a OfferId>) {
        for offer in offers {
            self.offers.remove(&offer.value);
        }
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
    pub fn rescind_all(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.offers)
            .into_iter()
            .map(|value| Event {
                r#type: Some(event::Type::Rescind as i32),
                rescind: Some(event::Rescind {
                    offer_id: OfferId { value },
                }),
                ..Event::default()
            })
            .collect()
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

    #[test]
    fn only_offers_that_are_out_are_rescinded() {
        let mut subscription = subscription();
        for id in ["o1", "o2", "o3"] {
            subscription.note_event(&event(&format!(
                r#"{{"type":"OFFERS","offers":{{"offers":[{{"id":{{"value":"{id}"}},
                    "framework_id":{{"value":"f"}},"agent_id":{{"value":"a"}},
                    "hostname":"h"}}]}}}}"#
            )));
        }
        subscription.note_event(&event(
            r#"{"type":"RESCIND","rescind":{"offer_id":{"value":"o1"}}}"#,
        ));
        subscription.note_call(&call(
            r#"{"type":"DECLINE","decline":{"offer_ids":[{"value":"o2"}]}}"#,
        ));
        let rescinded = subscription.rescind_all();
        let ids: Vec<_> = rescinded
            .into_iter()
            .map(|e| e.rescind.unwrap().offer_id.value)
            .collect();
        assert_eq!(ids, ["o3"]);
        assert!(subscription.rescind_all().is_empty());
    }
}
