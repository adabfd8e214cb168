//! Streams of status updates: one in flight, retried, in order.

use bytes::Bytes;
use caprock_proto::caprock::session::{Acknowledge, UpdateFramework, order};
use caprock_proto::mesos::v1::TaskState;

use super::rig::*;
use crate::Input;

#[test]
fn one_update_is_in_flight_per_task() {
    let mut rig = Rig::attached();
    let container = launches(&rig.launch(task("t")))[0].container.clone();
    let effects = rig.started(&container);
    let first = updates(&effects);
    assert_eq!(first.len(), 1);
    assert_eq!(first[0].latest_state, TaskState::TaskStarting as i32);
    assert!(updates(&rig.exited(&container, 0)).is_empty());
    let next = updates(&rig.acknowledge(&first[0]));
    assert_eq!(
        states(&[next[0].status.clone().unwrap()]),
        [TaskState::TaskRunning]
    );
    assert_eq!(next[0].latest_state, TaskState::TaskFinished as i32);
}

#[test]
fn a_wrong_acknowledgement_does_not_count() {
    let mut rig = Rig::attached();
    let container = launches(&rig.launch(task("t")))[0].container.clone();
    let first = updates(&rig.started(&container)).remove(0);
    let effects = rig.order(order::Order::Acknowledge(Acknowledge {
        framework_id: FRAMEWORK.to_string(),
        task_id: "t".to_string(),
        uuid: Bytes::from_static(&[1; 16]),
    }));
    assert!(updates(&effects).is_empty());
    assert_eq!(updates(&rig.acknowledge(&first)).len(), 1);
    assert!(updates(&rig.acknowledge(&first)).is_empty());
}

#[test]
fn retries_double_from_ten_seconds_to_ten_minutes() {
    let mut rig = Rig::attached();
    let container = launches(&rig.launch(task("t")))[0].container.clone();
    let first = statuses(&rig.started(&container)).remove(0);
    let mut pauses = Vec::new();
    let mut waited = 0;
    while pauses.len() < 8 {
        rig.ping(true);
        let sent = statuses(&rig.advance(1000));
        waited += 1;
        if let Some(again) = sent.first() {
            assert_eq!(*again, first, "the same message, uuid and time");
            pauses.push(waited);
            waited = 0;
        }
    }
    assert_eq!(pauses, [10, 20, 40, 80, 160, 320, 600, 600]);
}

#[test]
fn news_of_the_framework_resend_at_once() {
    let mut rig = Rig::attached();
    let container = launches(&rig.launch(task("t")))[0].container.clone();
    rig.started(&container);
    let update = UpdateFramework {
        framework: Some(framework()),
    };
    let effects = rig.order(order::Order::UpdateFramework(update));
    assert_eq!(states(&statuses(&effects)), [TaskState::TaskStarting]);
}

#[test]
fn updates_wait_for_a_leader() {
    let mut rig = Rig::attached();
    let container = rig.run(task("t"));
    rig.step(Input::LinkDown(LINK));
    assert!(updates(&rig.exited(&container, 0)).is_empty());
    assert!(updates(&rig.advance(100_000)).is_empty());
    assert_eq!(states(&statuses(&rig.attach())), [TaskState::TaskFinished]);
}

#[test]
fn pending_updates_survive_a_restart_in_order() {
    let mut rig = Rig::attached();
    let container = launches(&rig.launch(task("t")))[0].container.clone();
    let before = statuses(&rig.started(&container));
    rig.exited(&container, 0);
    rig.restart(dead);
    let effects = rig.attach();
    assert_eq!(statuses(&effects), before);
    let seen = rig.acknowledge_all(&effects);
    let expected = [
        TaskState::TaskStarting,
        TaskState::TaskRunning,
        TaskState::TaskFinished,
    ];
    assert_eq!(states(&seen), expected);
    assert!(
        rig.disk.keys().all(|key| !matches!(key[0], 0x10..=0x13)),
        "nothing is left over"
    );
}

#[test]
fn a_duplicate_is_known_after_a_restart() {
    let mut rig = Rig::attached();
    rig.run_custom("e", "t");
    let effects = rig.update("e", status("t", TaskState::TaskRunning, 1));
    rig.acknowledge_all(&effects);
    rig.restart(alive);
    rig.subscribe("e", 1);
    rig.attach();
    let effects = rig.update("e", status("t", TaskState::TaskRunning, 1));
    assert!(statuses(&effects).is_empty());
    assert_eq!(events(&effects).len(), 1);
}
