//! Sessions, attachment, silence of the leader.

use caprock_proto::caprock::session::{Refused, from_agent, from_master};
use caprock_proto::mesos::v1::TaskState;

use super::rig::*;
use crate::{Effect, Input, LinkId, TimerKey};

#[test]
fn hello_then_attach_to_the_leader_only() {
    let mut rig = Rig::new();
    let effects = rig.step(Input::LinkUp(LINK));
    assert!(matches!(
        to_masters(&effects)[..],
        [(LINK, from_agent::Message::Hello(_))]
    ));
    assert!(attaches(&rig.master(LINK, 1, standing(false))).is_empty());
    let effects = rig.master(LINK, 1, standing(true));
    let (link, attach) = attaches(&effects).remove(0);
    assert_eq!((link, attach.agent_id.as_str()), (LINK, ""));
    assert_eq!(attach.registration_id.len(), 36);
    rig.answer_attach(LINK);
    let view = rig.agent.view();
    assert_eq!(view.agent_id.unwrap().as_str(), AGENT);
    assert_eq!(view.metrics["slave/registered"], 1.0);
}

#[test]
fn the_registration_id_survives_a_crash_before_the_answer() {
    let mut rig = Rig::new();
    rig.step(Input::LinkUp(LINK));
    let first = attaches(&rig.master(LINK, 1, standing(true))).remove(0).1;
    rig.restart(alive);
    rig.step(Input::LinkUp(LINK));
    let second = attaches(&rig.master(LINK, 1, standing(true))).remove(0).1;
    assert_eq!(first.registration_id, second.registration_id);
}

#[test]
fn a_new_leader_takes_over_and_gets_the_pending_updates() {
    let mut rig = Rig::attached();
    let effects = rig.launch(task("t"));
    let container = launches(&effects)[0].container.clone();
    rig.started(&container);
    let other = LinkId(1);
    rig.step(Input::LinkUp(other));
    let (link, attach) = attaches(&rig.master(other, 2, standing(true))).remove(0);
    assert_eq!(link, other);
    assert_eq!(attach.agent_id, AGENT);
    let reported = &attach.tasks[0];
    assert_eq!(
        reported.latest_status.as_ref().unwrap().state(),
        TaskState::TaskRunning
    );
    assert_eq!(
        reported.sent_status.as_ref().unwrap().state(),
        TaskState::TaskStarting
    );
    assert!(
        attach.executors.is_empty(),
        "command executors are not reported"
    );
    rig.term = 2;
    let effects = rig.answer_attach(other);
    assert_eq!(states(&statuses(&effects)), [TaskState::TaskStarting]);
    assert_eq!(to_masters(&effects)[0].0, other);
}

#[test]
fn attach_is_repeated_until_it_is_answered() {
    let mut rig = Rig::new();
    rig.step(Input::LinkUp(LINK));
    rig.master(LINK, 1, standing(true));
    assert_eq!(attaches(&rig.advance(1000)).len(), 1);
    assert_eq!(attaches(&rig.advance(1999)).len(), 0);
    assert_eq!(attaches(&rig.advance(1)).len(), 1);
    rig.answer_attach(LINK);
    assert_eq!(attaches(&rig.advance(2900)).len(), 0);
}

#[test]
fn silence_of_the_leader_makes_the_agent_attach_again() {
    let mut rig = Rig::attached();
    rig.advance(70_000);
    rig.ping(true);
    assert!(attaches(&rig.advance(74_999)).is_empty());
    assert_eq!(attaches(&rig.advance(1)).len(), 1);
}

#[test]
fn pings_are_answered_and_may_ask_to_attach_again() {
    let mut rig = Rig::attached();
    let effects = rig.ping(true);
    assert!(matches!(
        to_masters(&effects)[..],
        [(LINK, from_agent::Message::Pong(_))]
    ));
    assert_eq!(attaches(&rig.ping(false)).len(), 1);
    assert!(
        attaches(&rig.ping(false)).is_empty(),
        "one Attach is under way"
    );
}

#[test]
fn nothing_is_sent_without_a_leader() {
    let mut rig = Rig::attached();
    rig.step(Input::LinkDown(LINK));
    let effects = rig.step(Input::LinkUp(LINK));
    assert_eq!(to_masters(&effects).len(), 1);
    assert!(to_masters(&rig.advance(60_000)).is_empty());
}

#[test]
fn a_master_of_another_cluster_is_not_obeyed() {
    let mut rig = Rig::attached();
    let other = LinkId(1);
    rig.step(Input::LinkUp(other));
    let from_master::Message::Standing(mut standing) = standing(true) else {
        unreachable!()
    };
    standing.cluster_id = "another".to_string();
    let effects = rig.master(other, 9, from_master::Message::Standing(standing));
    assert!(attaches(&effects).is_empty());
    assert_eq!(rig.agent.view().highest_term, 1);
}

#[test]
fn refusal_with_shutdown_ends_the_agent() {
    let mut rig = Rig::attached();
    let container = rig.run(task("t"));
    let refused = Refused {
        reason: "gone".to_string(),
        shutdown: true,
    };
    let effects = rig.master(LINK, 1, from_master::Message::Refused(refused));
    assert_eq!(signals(&effects).len(), 1);
    let effects = rig.exited(&container, 15);
    let exits = effects
        .iter()
        .any(|e| matches!(e, Effect::Exit { error: Some(_) }));
    assert!(exits, "{effects:?}");
    assert!(!rig.timers.contains_key(&TimerKey::Attach) || attaches(&effects).is_empty());
}
