//! Messages as clients and masters write them: each is read, printed and read again, and passes
//! through protobuf, without losing anything.

use caprock_proto::mesos::v1::{Offer, agent, executor, master, offer, scheduler};
use caprock_proto::{MediaType, MesosMessage, decode, encode};
use serde_json::Value;

use crate::value::assert_contains;

fn check<T: MesosMessage>(file: &str) {
    let examples: Vec<Value> = serde_json::from_str(file).expect("the file is a JSON array");
    assert!(!examples.is_empty());
    for example in examples {
        let message =
            T::from_json_value(&example).unwrap_or_else(|error| panic!("{error} in {example}"));
        let printed: Value = serde_json::from_str(&message.to_json()).expect("it prints JSON");
        assert_contains(&printed, &example, T::TABLE.name);
        for media in [MediaType::Json, MediaType::Protobuf] {
            let mut body = Vec::new();
            encode(media, &message, &mut body);
            let again: T = decode(media, body).expect("what was encoded can be decoded");
            // Compared as text: a default that was printed is set when it is read again.
            assert_eq!(again.to_json(), message.to_json(), "{media}");
        }
    }
}

#[test]
fn scheduler_calls() {
    check::<scheduler::Call>(include_str!("../data/scheduler_call.json"));
}

#[test]
fn scheduler_events() {
    check::<scheduler::Event>(include_str!("../data/scheduler_event.json"));
}

#[test]
fn executor_calls() {
    check::<executor::Call>(include_str!("../data/executor_call.json"));
}

#[test]
fn executor_events() {
    check::<executor::Event>(include_str!("../data/executor_event.json"));
}

#[test]
fn offer_operations() {
    check::<offer::Operation>(include_str!("../data/offer_operation.json"));
}

#[test]
fn offers() {
    check::<Offer>(include_str!("../data/offer.json"));
}

#[test]
fn operator_calls_to_a_master() {
    check::<master::Call>(include_str!("../data/master_call.json"));
}

#[test]
fn answers_of_a_master() {
    check::<master::Response>(include_str!("../data/master_response.json"));
}

#[test]
fn operator_calls_to_an_agent() {
    check::<agent::Call>(include_str!("../data/agent_call.json"));
}
