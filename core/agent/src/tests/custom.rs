//! Executors of frameworks: subscription, delivery, updates, ends.

use caprock_proto::caprock::session::{
    FrameworkMessage, ShutdownExecutor, ShutdownFramework, from_agent, order,
};
use caprock_proto::mesos::v1::executor::call;
use caprock_proto::mesos::v1::executor::event::Type;
use caprock_proto::mesos::v1::task_status::{Reason, Source};
use caprock_proto::mesos::v1::{TaskState, executor_info};

use super::rig::*;
use crate::{ConnectionId, Effect, Effects, Input, Reply, Signal};

fn shutdown(rig: &mut Rig, executor: &str) -> Effects {
    rig.order(order::Order::ShutdownExecutor(ShutdownExecutor {
        framework_id: FRAMEWORK.to_string(),
        executor_id: executor.to_string(),
    }))
}

fn exits_told(effects: &Effects) -> Vec<i32> {
    let told = to_masters(effects)
        .into_iter()
        .filter_map(|(_, message)| match message {
            from_agent::Message::ExecutorExited(exited) => Some(exited.wait_status),
            _ => None,
        });
    told.collect()
}

#[test]
fn tasks_wait_for_the_executor_and_later_ones_go_to_it_at_once() {
    let mut rig = Rig::attached();
    let effects = rig.launch(custom_task("e", "t1"));
    let container = launches(&effects)[0].container.clone();
    assert!(launches(&rig.launch_of(framework(), custom_task("e", "t2"), false)).is_empty());
    rig.started(&container);
    let effects = rig.subscribe("e", 1);
    assert_eq!(replies(&effects), [Reply::Stream(ConnectionId(1))]);
    assert_eq!(
        event_types(&effects),
        [Type::Subscribed, Type::Launch, Type::Launch]
    );
    let subscribed = events(&effects)[0].1.subscribed.clone().unwrap();
    assert_eq!(subscribed.container_id.unwrap().value, container.as_str());
    assert_eq!(
        subscribed.executor_info.framework_id.unwrap().value,
        FRAMEWORK
    );
    assert_eq!(subscribed.agent_info.id.unwrap().value, AGENT);
    assert_eq!(
        events(&effects)[1]
            .1
            .launch
            .as_ref()
            .unwrap()
            .task
            .task_id
            .value,
        "t1"
    );
    let effects = rig.launch_of(framework(), custom_task("e", "t3"), false);
    assert_eq!(event_types(&effects), [Type::Launch]);
}

#[test]
fn an_update_is_stored_acknowledged_and_forwarded() {
    let mut rig = Rig::attached();
    rig.run_custom("e", "t");
    let effects = rig.update("e", status("t", TaskState::TaskRunning, 1));
    assert!(matches!(effects[0], Effect::Checkpoint(_)));
    assert_eq!(replies(&effects), [Reply::Accepted]);
    assert_eq!(event_types(&effects), [Type::Acknowledged]);
    let seen = statuses(&effects);
    assert_eq!(states(&seen), [TaskState::TaskRunning]);
    assert_eq!(seen[0].source(), Source::Executor);
    assert_eq!(seen[0].agent_id.as_ref().unwrap().value, AGENT);
    assert_eq!(seen[0].executor_id.as_ref().unwrap().value, "e");
    assert!(seen[0].timestamp.is_some());
    assert!(
        seen[0]
            .container_status
            .as_ref()
            .unwrap()
            .executor_pid
            .is_some()
    );
    // The same again: acknowledged again, forwarded no more.
    let effects = rig.update("e", status("t", TaskState::TaskRunning, 1));
    assert_eq!(event_types(&effects), [Type::Acknowledged]);
    assert!(statuses(&effects).is_empty());
}

#[test]
fn order_of_checks_of_calls() {
    let mut rig = Rig::attached();
    let update = || status("t", TaskState::TaskRunning, 1);
    let bad = |text: &str| Reply::BadRequest(text.to_string());
    let effects = rig.call("e", call::Type::Heartbeat, None);
    assert_eq!(replies(&effects), [Reply::Accepted]);
    assert_eq!(
        replies(&rig.update("e", update())),
        [bad("Framework cannot be found")]
    );
    assert_eq!(
        replies(&rig.subscribe("e", 1)),
        [bad("Framework cannot be found")]
    );
    rig.launch(custom_task("e", "t"));
    assert_eq!(
        replies(&rig.subscribe("x", 1)),
        [bad("Executor cannot be found")]
    );
    let forbidden = Reply::Forbidden("Executor is not subscribed".to_string());
    assert_eq!(replies(&rig.update("e", update())), [forbidden]);
}

#[test]
fn an_update_for_another_agent_is_dropped() {
    let mut rig = Rig::attached();
    rig.run_custom("e", "t");
    let mut update = status("t", TaskState::TaskRunning, 1);
    update.agent_id = Some(caprock_proto::mesos::v1::AgentId {
        value: "S9".to_string(),
    });
    let effects = rig.update("e", update);
    assert_eq!(replies(&effects), [Reply::Accepted]);
    assert!(statuses(&effects).is_empty() && events(&effects).is_empty());
}

#[test]
fn updates_after_the_end() {
    let mut rig = Rig::attached();
    rig.run_custom("e", "t");
    rig.update("e", status("t", TaskState::TaskFinished, 1));
    let effects = rig.update("e", status("t", TaskState::TaskRunning, 2));
    assert_eq!(event_types(&effects), [Type::Acknowledged]);
    assert_eq!(
        rig.agent.view().frameworks[0].executors[0]
            .terminated_tasks
            .len(),
        1
    );
    // Of a task that no executor has: forwarded, and the executor gets no answer.
    let effects = rig.update("e", status("ghost", TaskState::TaskRunning, 3));
    assert_eq!(states(&statuses(&effects)), [TaskState::TaskRunning]);
    assert!(events(&effects).is_empty());
}

#[test]
fn a_crashed_executor_fails_its_tasks_and_then_is_reported() {
    let mut rig = Rig::attached();
    let container = rig.run_custom("e", "t");
    let effects = rig.exited(&container, 3 << 8);
    let messages = to_masters(&effects);
    assert!(matches!(messages[0].1, from_agent::Message::Update(_)));
    assert_eq!(exits_told(&effects), [3 << 8]);
    let seen = rig.acknowledge_all(&effects);
    assert_eq!(states(&seen), [TaskState::TaskFailed]);
    assert_eq!(seen[0].reason(), Reason::ExecutorTerminated);
    assert_eq!(seen[0].message.as_deref(), Some("Executor terminated"));
    assert!(rig.agent.view().frameworks.is_empty());
}

#[test]
fn an_executor_that_does_not_subscribe_is_destroyed() {
    let mut rig = Rig::attached();
    let container = launches(&rig.launch(custom_task("e", "t")))[0]
        .container
        .clone();
    rig.advance(30_000);
    rig.started(&container);
    let effects = rig.advance(30_000);
    assert_eq!(signals(&effects), [(container.clone(), Signal::Kill)]);
    let seen = statuses(&rig.exited(&container, 9));
    assert_eq!(states(&seen), [TaskState::TaskFailed]);
    assert_eq!(seen[0].reason(), Reason::ExecutorRegistrationTimeout);
    let text = "Executor did not register within 1mins";
    assert_eq!(seen[0].message.as_deref(), Some(text));
}

#[test]
fn kills_of_queued_and_of_delivered_tasks() {
    let mut rig = Rig::attached();
    rig.launch(custom_task("e", "t1"));
    let seen = statuses(&rig.kill("t1", None));
    assert_eq!(seen[0].reason(), Reason::TaskKilledDuringLaunch);
    // Nothing is left for the executor to do.
    let effects = rig.subscribe("e", 1);
    assert_eq!(event_types(&effects), [Type::Shutdown]);

    let mut rig = Rig::attached();
    rig.run_custom("e", "t1");
    let effects = rig.kill("t1", Some(2000));
    let kill = events(&effects)[0].1.kill.clone().unwrap();
    let grace = kill.kill_policy.unwrap().grace_period.unwrap();
    assert_eq!(grace.nanoseconds, 2_000_000_000);
}

#[test]
fn a_kill_without_stream_is_held_until_the_executor_is_back() {
    let mut rig = Rig::attached();
    rig.run_custom("e", "t");
    rig.update("e", status("t", TaskState::TaskRunning, 1));
    rig.step(Input::ConnectionClosed(ConnectionId(1)));
    assert!(events(&rig.kill("t", None)).is_empty());
    let effects = rig.subscribe("e", 2);
    assert_eq!(event_types(&effects), [Type::Subscribed, Type::Kill]);
    assert_eq!(event_types(&rig.subscribe("e", 3)), [Type::Subscribed]);
}

#[test]
fn a_second_stream_takes_the_place_of_the_first() {
    let mut rig = Rig::attached();
    rig.run_custom("e", "t");
    rig.update("e", status("t", TaskState::TaskRunning, 1));
    let effects = rig.subscribe("e", 2);
    assert!(
        effects
            .iter()
            .any(|e| matches!(e, Effect::Close(ConnectionId(1))))
    );
    rig.step(Input::ConnectionClosed(ConnectionId(1)));
    let effects = rig.launch_of(framework(), custom_task("e", "t2"), false);
    assert_eq!(events(&effects)[0].0, ConnectionId(2));
}

#[test]
fn a_staging_task_unknown_to_a_resubscribing_executor_is_dropped() {
    let mut rig = Rig::attached();
    rig.run_custom("e", "t");
    let effects = rig.subscribe("e", 2);
    let seen = statuses(&effects);
    assert_eq!(states(&seen), [TaskState::TaskLost]);
    assert_eq!(seen[0].reason(), Reason::AgentRestarted);
    assert_eq!(event_types(&effects), [Type::Subscribed]);

    let mut rig = Rig::attached();
    rig.run_custom("e", "t");
    let known = call::Subscribe {
        unacknowledged_tasks: vec![custom_task("e", "t")],
        unacknowledged_updates: vec![call::Update {
            status: status("t", TaskState::TaskRunning, 1),
        }],
    };
    let effects = rig.subscribe_with("e", 2, known);
    assert_eq!(states(&statuses(&effects)), [TaskState::TaskRunning]);
    assert_eq!(
        event_types(&effects),
        [Type::Subscribed, Type::Acknowledged]
    );
}

#[test]
fn shutdown_asks_first_and_destroys_after_the_grace_period() {
    let mut rig = Rig::attached();
    let container = rig.run_custom("e", "t");
    let effects = shutdown(&mut rig, "e");
    assert_eq!(event_types(&effects), [Type::Shutdown]);
    assert!(signals(&effects).is_empty());
    let seen = statuses(&rig.launch_of(framework(), custom_task("e", "t2"), false));
    assert_eq!(seen[0].message.as_deref(), Some("Executor terminating"));
    assert!(signals(&rig.advance(4999)).is_empty());
    assert_eq!(
        signals(&rig.advance(1)),
        [(container.clone(), Signal::Kill)]
    );
    let effects = rig.exited(&container, 9);
    assert_eq!(states(&statuses(&effects)), [TaskState::TaskFailed]);
    assert!(effects.iter().any(|e| matches!(e, Effect::Close(_))));
    let seen = statuses(&rig.launch_of(framework(), custom_task("e", "t3"), false));
    assert_eq!(seen[0].message.as_deref(), Some("Executor terminated"));
}

#[test]
fn shutdown_of_a_command_executor_kills_its_task() {
    let mut rig = Rig::attached();
    let container = rig.run(task("t"));
    let effects = shutdown(&mut rig, "t");
    assert_eq!(signals(&effects), [(container.clone(), Signal::Terminate)]);
    assert_eq!(
        signals(&rig.advance(3000)),
        [(container.clone(), Signal::Kill)]
    );
    let effects = rig.exited(&container, 9);
    assert_eq!(states(&statuses(&effects)), [TaskState::TaskKilled]);
    assert!(
        exits_told(&effects).is_empty(),
        "command executors are nobody's business"
    );
}

#[test]
fn a_framework_that_is_gone_ends_without_updates() {
    let mut rig = Rig::attached();
    let container = rig.run_custom("e", "t1");
    let command = launches(&rig.launch(task("t2")))[0].container.clone();
    rig.started(&command);
    let order = ShutdownFramework {
        framework_id: FRAMEWORK.to_string(),
    };
    let effects = rig.order(order::Order::ShutdownFramework(order));
    assert_eq!(event_types(&effects), [Type::Shutdown]);
    assert_eq!(signals(&effects), [(command.clone(), Signal::Terminate)]);
    let effects = rig.update("e", status("t1", TaskState::TaskKilled, 1));
    assert_eq!(event_types(&effects), [Type::Acknowledged]);
    assert!(statuses(&effects).is_empty());
    // The shutdown goes on after a restart.
    rig.restart(alive);
    assert!(attached_tasks(&mut rig).is_empty());
    assert!(statuses(&rig.exited(&command, 15)).is_empty());
    assert!(statuses(&rig.exited(&container, 0)).is_empty());
    assert!(rig.agent.view().frameworks.is_empty());
    assert!(rig.disk.keys().all(|key| !matches!(key[0], 0x10..=0x13)));
}

fn attached_tasks(rig: &mut Rig) -> Vec<caprock_proto::caprock::session::ReportedTask> {
    rig.step(Input::LinkUp(LINK));
    let (_, attach) = attaches(&rig.master(LINK, 1, standing(true))).remove(0);
    rig.answer_attach(LINK);
    attach.tasks
}

#[test]
fn messages_go_both_ways_while_somebody_listens() {
    let mut rig = Rig::attached();
    rig.run_custom("e", "t");
    let effects = rig.call("e", call::Type::Message, None);
    let (_, message) = to_masters(&effects).remove(0);
    assert!(matches!(message, from_agent::Message::ExecutorMessage(_)));
    let message = || {
        order::Order::FrameworkMessage(FrameworkMessage {
            framework_id: FRAMEWORK.to_string(),
            executor_id: "e".to_string(),
            data: bytes::Bytes::from_static(b"x"),
        })
    };
    assert_eq!(event_types(&rig.order(message())), [Type::Message]);
    rig.step(Input::ConnectionClosed(ConnectionId(1)));
    assert!(events(&rig.order(message())).is_empty());
}

#[test]
fn a_group_for_a_custom_executor_is_delivered_and_killed_as_a_whole() {
    let executor = || executor_info("e", executor_info::Type::Custom);
    let mut rig = Rig::attached();
    rig.launch_group(executor(), vec![task("a"), task("b")]);
    let effects = rig.subscribe("e", 1);
    assert_eq!(event_types(&effects), [Type::Subscribed, Type::LaunchGroup]);
    let group = events(&effects)[1]
        .1
        .launch_group
        .clone()
        .unwrap()
        .task_group;
    assert!(group.tasks.len() == 2 && group.tasks.iter().all(|task| task.executor.is_some()));

    let mut rig = Rig::attached();
    rig.launch_group(executor(), vec![task("a"), task("b")]);
    let seen = statuses(&rig.kill("a", None));
    assert_eq!(
        states(&seen),
        [TaskState::TaskKilled, TaskState::TaskKilled]
    );
}
