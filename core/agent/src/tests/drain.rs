//! Drains: kills with a bounded grace period, marked updates, no launches.

use caprock_proto::caprock::session::{Attached, Drain, Reactivate, from_master, order::Order};
use caprock_proto::mesos::v1::framework_info::capability::Type as Capability;
use caprock_proto::mesos::v1::task_status::Reason;
use caprock_proto::mesos::v1::{DrainConfig, DurationInfo, TaskState};

use super::rig::*;
use crate::{Input, Signal};

fn drain(grace_ms: Option<i64>, mark_gone: bool) -> Drain {
    Drain {
        config: Some(DrainConfig {
            max_grace_period: grace_ms.map(|ms| DurationInfo {
                nanoseconds: ms * 1_000_000,
            }),
            mark_gone: Some(mark_gone),
        }),
        started_ms: 5,
    }
}

#[test]
fn tasks_are_killed_with_a_bounded_grace_period() {
    let mut rig = Rig::attached();
    let container = rig.run(task("t"));
    let effects = rig.order(Order::Drain(drain(Some(1_000), false)));
    assert_eq!(signals(&effects), [(container.clone(), Signal::Terminate)]);
    let killed = [(container.clone(), Signal::Kill)];
    assert!(signals(&rig.advance(999)).is_empty());
    assert_eq!(signals(&rig.advance(1)), killed);
    let seen = statuses(&rig.exited(&container, 9));
    assert_eq!(states(&seen), [TaskState::TaskKilled]);
    assert_eq!(seen[0].reason(), Reason::AgentDraining);
}

#[test]
fn the_end_before_the_agent_is_gone_is_told_to_those_who_understand() {
    for (capabilities, expected) in [
        (
            &[Capability::PartitionAware][..],
            TaskState::TaskGoneByOperator,
        ),
        (&[][..], TaskState::TaskKilled),
    ] {
        let mut rig = Rig::attached();
        let effects = rig.launch_of(with_capabilities(capabilities), task("t"), true);
        let container = launches(&effects).remove(0).container;
        let started = rig.started(&container);
        rig.acknowledge_all(&started);
        rig.order(Order::Drain(drain(None, true)));
        let seen = statuses(&rig.exited(&container, 15));
        assert_eq!(states(&seen), [expected]);
        assert_eq!(seen[0].reason(), Reason::AgentDraining);
    }
}

#[test]
fn nothing_is_launched_until_it_is_over() {
    let mut rig = Rig::attached();
    rig.order(Order::Drain(drain(None, false)));
    rig.restart(dead);
    assert!(rig.agent.view().drain.is_some(), "it survives a restart");
    rig.step(Input::LinkUp(LINK));
    rig.master(LINK, 1, standing(true));
    let answer = Attached {
        drain: Some(drain(None, false)),
        ..match attached() {
            from_master::Message::Attached(attached) => attached,
            other => panic!("{other:?}"),
        }
    };
    rig.master(LINK, 1, from_master::Message::Attached(answer));
    let seen = statuses(&rig.launch(task("t")));
    assert_eq!(states(&seen), [TaskState::TaskLost]);
    assert_eq!(seen[0].reason(), Reason::AgentDraining);
    rig.order(Order::Reactivate(Reactivate {}));
    assert_eq!(rig.agent.view().drain, None);
    assert_eq!(launches(&rig.launch(task("u"))).len(), 1);
}
