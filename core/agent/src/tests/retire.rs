//! SIGUSR1.

use caprock_proto::caprock::session::from_agent;

use super::rig::*;
use crate::{Effect, Effects, Input, Signal};

fn unregistered(effects: &Effects) -> bool {
    let messages = to_masters(effects);
    messages
        .iter()
        .any(|(_, m)| matches!(m, from_agent::Message::Unregister(_)))
}

fn exited(effects: &Effects) -> bool {
    matches!(effects.last(), Some(Effect::Exit { error: None }))
}

#[test]
fn tasks_are_killed_then_the_agent_unregisters_and_exits() {
    let mut rig = Rig::attached();
    let container = rig.run(task("t"));
    let effects = rig.step(Input::Retire);
    assert_eq!(signals(&effects), [(container.clone(), Signal::Terminate)]);
    assert!(!unregistered(&effects));
    let effects = rig.exited(&container, 15);
    assert!(
        statuses(&effects).is_empty(),
        "the leader tells the frameworks"
    );
    assert!(unregistered(&effects) && exited(&effects));
    assert!(
        rig.disk.keys().all(|key| key[0] == 0x02),
        "only the fence is kept"
    );
}

#[test]
fn what_does_not_end_in_time_is_killed() {
    let mut rig = Rig::attached();
    let container = rig.run_custom("e", "t");
    rig.step(Input::Retire);
    assert!(!unregistered(&rig.advance(5999)));
    let effects = rig.advance(1);
    assert!(signals(&effects).contains(&(container, Signal::Kill)));
    assert!(unregistered(&effects) && exited(&effects));
}

#[test]
fn an_idle_agent_leaves_at_once() {
    let mut rig = Rig::attached();
    let effects = rig.step(Input::Retire);
    assert!(unregistered(&effects) && exited(&effects));
    assert!(rig.step(Input::Retire).is_empty());
}
