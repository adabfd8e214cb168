//! Lower terms are refused, higher ones are stored before they are obeyed.

use caprock_proto::caprock::session::{Launch, Order, from_agent, from_master, order};

use super::rig::*;
use crate::checkpoint::{Key, decode};
use crate::{Effect, Input, LinkId};

fn order_in(rig: &mut Rig, link: LinkId, term: u64, id: &str) -> crate::Effects {
    let launch = Launch {
        framework: Some(framework()),
        task: Some(task(id)),
        launch_index: 1,
        new_executor: true,
    };
    let order = Order {
        order: Some(order::Order::Launch(launch)),
    };
    rig.master(link, term, from_master::Message::Order(order))
}

#[test]
fn a_higher_term_is_on_disk_before_its_order_is_done() {
    let mut rig = Rig::attached();
    let effects = order_in(&mut rig, LINK, 5, "t");
    let Effect::Checkpoint(writes) = &effects[0] else {
        panic!("{effects:?}")
    };
    let fence = writes.iter().find(|write| write.key == Key::Fence).unwrap();
    let record = decode(fence.value.as_ref().unwrap()).unwrap();
    assert!(format!("{record:?}").contains("highest_term: 5"));
    assert_eq!(launches(&effects).len(), 1);
    assert_eq!(rig.agent.view().highest_term, 5);
}

#[test]
fn an_order_of_a_lower_term_is_refused_and_told_so() {
    let mut rig = Rig::attached();
    let other = LinkId(1);
    rig.step(Input::LinkUp(other));
    rig.master(other, 5, standing(true));
    let effects = order_in(&mut rig, LINK, 4, "t");
    assert!(launches(&effects).is_empty());
    let (link, message) = to_masters(&effects).remove(0);
    assert_eq!(link, LINK);
    let from_agent::Message::Fenced(fenced) = message else {
        panic!("{message:?}")
    };
    assert_eq!((fenced.order_term, fenced.highest_term), (4, 5));
    assert_eq!(rig.agent.view().metrics["slave/fenced_messages"], 1.0);
}

#[test]
fn the_fence_survives_a_restart() {
    let mut rig = Rig::attached();
    order_in(&mut rig, LINK, 9, "t");
    rig.restart(alive);
    rig.step(Input::LinkUp(LINK));
    let effects = rig.master(LINK, 8, standing(true));
    assert!(attaches(&effects).is_empty());
    let effects = rig.master(LINK, 9, standing(true));
    assert_eq!(attaches(&effects).len(), 1);
}

#[test]
fn a_followers_term_does_not_raise_the_fence() {
    let mut rig = Rig::attached();
    let other = LinkId(1);
    rig.step(Input::LinkUp(other));
    rig.master(other, 7, standing(false));
    assert_eq!(rig.agent.view().highest_term, 1);
    assert_eq!(launches(&order_in(&mut rig, LINK, 1, "t")).len(), 1);
}
