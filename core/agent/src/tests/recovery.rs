//! Restarts of the agent.

use caprock_proto::mesos::v1::task_status::{Reason, Source};
use caprock_proto::mesos::v1::{FrameworkInfo, TaskState};

use super::rig::*;
use crate::view::Phase;
use crate::{ContainerProbe, Effect, Effects, Input, Recover, Reply, Signal};

fn exit_error(effects: &Effects) -> Option<String> {
    effects.iter().find_map(|effect| match effect {
        Effect::Exit { error } => error.clone(),
        _ => None,
    })
}

#[test]
fn a_running_command_task_goes_on() {
    let mut rig = Rig::attached();
    let container = rig.run(task("t"));
    let effects = rig.restart(alive);
    assert!(signals(&effects).is_empty());
    assert_eq!(
        rig.agent.view().phase,
        Phase::Ready,
        "there is nobody to wait for"
    );
    assert!(statuses(&rig.attach()).is_empty());
    let effects = rig.exited(&container, 0);
    assert_eq!(states(&statuses(&effects)), [TaskState::TaskFinished]);
}

#[test]
fn a_task_that_ended_meanwhile_is_told_as_it_ended() {
    let mut rig = Rig::attached();
    rig.run(task("t"));
    rig.restart(|stored| ContainerProbe {
        wait_status: Some(7 << 8),
        ..dead(stored)
    });
    let seen = statuses(&rig.attach());
    assert_eq!(states(&seen), [TaskState::TaskFailed]);
    assert_eq!(
        seen[0].message.as_deref(),
        Some("Command exited with status 7")
    );

    let mut rig = Rig::attached();
    rig.run(task("t"));
    rig.restart(dead);
    let seen = statuses(&rig.attach());
    assert_eq!(seen[0].reason(), Reason::ExecutorTerminated);
    assert_eq!(seen[0].source(), Source::Agent);
}

#[test]
fn a_kill_under_way_goes_on() {
    let mut rig = Rig::attached();
    let container = rig.run(task("t"));
    rig.kill("t", Some(2000));
    rig.restart(alive);
    assert_eq!(
        signals(&rig.advance(2000)),
        [(container.clone(), Signal::Kill)]
    );
    rig.exited(&container, 9);
    assert_eq!(states(&statuses(&rig.attach())), [TaskState::TaskKilled]);
}

#[test]
fn executors_come_back_before_the_agent_attaches() {
    let mut rig = Rig::attached();
    rig.run_custom("e", "t");
    rig.update("e", status("t", TaskState::TaskRunning, 1));
    rig.restart(alive);
    assert_eq!(rig.agent.view().phase, Phase::Recovering);
    rig.step(Input::LinkUp(LINK));
    assert!(attaches(&rig.master(LINK, 1, standing(true))).is_empty());
    let unavailable = Reply::Unavailable("Agent has not finished recovery".to_string());
    let effects = rig.update("e", status("t", TaskState::TaskFinished, 2));
    assert_eq!(replies(&effects), [unavailable]);
    let effects = rig.subscribe("e", 5);
    assert_eq!(attaches(&effects).len(), 1);
    let (_, attach) = attaches(&effects).remove(0);
    assert_eq!((attach.tasks.len(), attach.executors.len()), (1, 1));
}

#[test]
fn executors_that_stay_away_are_destroyed() {
    let mut rig = Rig::attached();
    let container = rig.run_custom("e", "t");
    let effects = rig.update("e", status("t", TaskState::TaskRunning, 1));
    rig.acknowledge_all(&effects);
    rig.restart(alive);
    rig.step(Input::LinkUp(LINK));
    rig.master(LINK, 1, standing(true));
    let effects = rig.advance(2000);
    assert_eq!(signals(&effects), [(container.clone(), Signal::Kill)]);
    assert_eq!(attaches(&effects).len(), 1);
    rig.answer_attach(LINK);
    let seen = statuses(&rig.exited(&container, 9));
    assert_eq!(states(&seen), [TaskState::TaskLost]);
    assert_eq!(seen[0].reason(), Reason::ExecutorReregistrationTimeout);
    let text = "Executor did not reregister within 2secs";
    assert_eq!(seen[0].message.as_deref(), Some(text));
}

#[test]
fn executors_that_died_fail_their_tasks() {
    let mut rig = Rig::attached();
    rig.run_custom("e", "t");
    rig.restart(dead);
    assert_eq!(rig.agent.view().phase, Phase::Ready);
    let seen = statuses(&rig.attach());
    assert_eq!(states(&seen), [TaskState::TaskFailed]);
    assert_eq!(seen[0].reason(), Reason::ExecutorTerminated);
}

#[test]
fn executors_of_frameworks_without_checkpoint_are_destroyed() {
    let owner = || FrameworkInfo {
        checkpoint: Some(false),
        ..framework()
    };
    let mut rig = Rig::attached();
    let effects = rig.launch_of(owner(), task("t"), true);
    let container = launches(&effects)[0].container.clone();
    rig.started(&container);
    let effects = rig.restart(alive);
    assert_eq!(signals(&effects), [(container.clone(), Signal::Kill)]);
    let (_, attach) = {
        rig.step(Input::LinkUp(LINK));
        attaches(&rig.master(LINK, 1, standing(true))).remove(0)
    };
    assert!(attach.tasks.is_empty() && attach.frameworks.is_empty());
    assert_eq!(
        rig.stored().len(),
        1,
        "it is killed even if the agent crashes once more"
    );
    let effects = rig.restart(alive);
    assert_eq!(signals(&effects), [(container.clone(), Signal::Kill)]);
    rig.attach();
    let effects = rig.exited(&container, 9);
    assert!(
        effects
            .iter()
            .any(|effect| matches!(effect, Effect::CollectSandbox(_)))
    );
    assert!(rig.stored().is_empty());
    // The leader orders again what the agent did not report: it is not run twice.
    rig.term = 1;
    let order = caprock_proto::caprock::session::Launch {
        framework: Some(owner()),
        task: Some(task("t")),
        launch_index: 1,
        new_executor: true,
    };
    let effects = rig.order(caprock_proto::caprock::session::order::Order::Launch(order));
    assert!(launches(&effects).is_empty());
    let seen = statuses(&effects);
    assert_eq!(states(&seen), [TaskState::TaskLost]);
    assert_eq!(seen[0].reason(), Reason::AgentRestarted);
}

#[test]
fn after_a_reboot_everything_is_dead() {
    let mut rig = Rig::attached();
    rig.run(task("t"));
    let containers = rig.stored().iter().map(alive).collect();
    rig.restart_with(containers, true);
    assert_eq!(rig.agent.view().agent_id.unwrap().as_str(), AGENT);
    assert_eq!(states(&statuses(&rig.attach())), [TaskState::TaskFailed]);
}

#[test]
fn other_agent_info_is_fatal_but_after_a_reboot() {
    let mut rig = Rig::attached();
    rig.run(task("t"));
    rig.config.info.hostname = "another".to_string();
    let effects = rig.restart(alive);
    assert!(
        exit_error(&effects)
            .unwrap()
            .contains("Incompatible agent info")
    );
    assert!(!rig.disk.is_empty());
    rig.restart_with(Vec::new(), true);
    let view = rig.agent.view();
    assert_eq!((view.agent_id, view.phase), (None, Phase::Ready));
    assert!(
        rig.disk.keys().all(|key| key[0] <= 0x02),
        "the old state is dropped"
    );
}

#[test]
fn damage_is_fatal_unless_the_agent_is_lenient() {
    let mut rig = Rig::attached();
    rig.run(task("t"));
    rig.disk.insert(
        bytes::Bytes::from_static(&[0x12, 1]),
        bytes::Bytes::from_static(&[0xff]),
    );
    let containers: Vec<_> = rig.stored().iter().map(alive).collect();
    let effects = rig.restart_with(containers.clone(), false);
    assert!(exit_error(&effects).unwrap().contains("damaged"));
    rig.config.strict = false;
    rig.restart_with(containers, false);
    assert_eq!(rig.agent.view().metrics["slave/recovery_errors"], 1.0);
    assert_eq!(rig.agent.view().frameworks.len(), 1);
}

#[test]
fn cleanup_kills_everything_and_exits() {
    let mut rig = Rig::attached();
    let container = rig.run(task("t"));
    rig.config.recover = Recover::Cleanup;
    let effects = rig.restart(alive);
    assert_eq!(signals(&effects), [(container.clone(), Signal::Terminate)]);
    let effects = rig.exited(&container, 15);
    assert!(
        effects
            .iter()
            .any(|e| matches!(e, Effect::Exit { error: None }))
    );
}

#[test]
fn a_dead_executor_does_not_end_the_wait_for_a_live_one() {
    let mut rig = Rig::attached();
    rig.launch(custom_task("a", "t1"));
    rig.launch(custom_task("b", "t2"));
    rig.restart(|stored| {
        if stored.executor_id == "a" {
            dead(stored)
        } else {
            alive(stored)
        }
    });
    assert_eq!(rig.agent.view().phase, Phase::Recovering);
    let effects = rig.subscribe("b", 1);
    assert_eq!(rig.agent.view().phase, Phase::Ready);
    assert_eq!(
        event_types(&effects).len(),
        2,
        "SUBSCRIBED, then the task that waited"
    );
}
