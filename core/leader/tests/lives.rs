//! Frameworks and agents that go and come back, and leaders that change.

#![allow(clippy::unwrap_used, reason = "a failure is a failed test")]

mod desk;

use caprock_leader::{AgentSessionId, Input, Reply};
use caprock_proto::caprock::session::{
    Attach, ReportedFramework, ReportedTask, Unregister, from_agent, from_master, order::Order,
};
use caprock_proto::mesos::v1::framework_info::capability::Type as Capability;
use caprock_proto::mesos::v1::scheduler::{Call, call, event::Type};
use caprock_proto::mesos::v1::task_status::Reason;
use caprock_proto::mesos::v1::{FrameworkId, FrameworkInfo, TaskState, TaskStatus};
use desk::{Desk, Scheduler, framework_info, launch, task};

const AGENT: &str = "cpus:4;mem:1024";

/// A desk with an agent, a framework and its running task `t`.
fn running(info: FrameworkInfo) -> (Desk, AgentSessionId, Scheduler) {
    let mut desk = Desk::new();
    let agent = desk.agent_as("a", "", AGENT);
    let scheduler = desk.subscribe(info);
    desk.pass(2);
    let offer = desk.offers(scheduler.session)[0].clone();
    let operations = vec![launch(vec![task("t", &offer, "cpus:1")])];
    assert_eq!(
        desk.accept(&scheduler, &[&offer], operations),
        Reply::Accepted
    );
    desk.update(
        agent,
        (&scheduler.id, "t"),
        TaskState::TaskRunning,
        "uuid-of-16-bytes",
    );
    desk.pass(10);
    desk.take();
    (desk, agent, scheduler)
}

fn resubscribe(desk: &mut Desk, scheduler: &Scheduler, info: FrameworkInfo) -> Scheduler {
    let id = Some(FrameworkId {
        value: scheduler.id.clone(),
    });
    desk.subscribe(FrameworkInfo { id, ..info })
}

/// What the agent of `running` says when it comes back.
fn report(desk: &Desk, scheduler: &Scheduler, state: TaskState) -> Attach {
    let id = desk.registry.agents().next().unwrap().id.to_string();
    let framework = desk.registry.framework(&scheduler.id.as_str().into());
    let known = framework.and_then(|framework| {
        let id = "t".into();
        let unreachable = framework.unreachable_tasks.get(&id);
        framework.task(&id).or(unreachable).cloned()
    });
    let info = known.map(|task| (*task.info).clone());
    let status = TaskStatus {
        state: state as i32,
        ..TaskStatus::default()
    };
    Attach {
        frameworks: vec![ReportedFramework {
            info: framework.map(|f| (*f.info).clone()),
        }],
        tasks: vec![ReportedTask {
            info,
            framework_id: scheduler.id.clone(),
            latest_status: Some(status),
            sent_status: None,
        }],
        ..desk.attach("a", &id, AGENT)
    }
}

fn come_back(desk: &mut Desk, attach: Attach) -> AgentSessionId {
    let session = AgentSessionId(desk.fresh());
    desk.step(Input::AgentConnected {
        session,
        hello: Default::default(),
    });
    desk.hear(session, from_agent::Message::Attach(attach));
    session
}

#[test]
fn a_second_subscription_replaces_the_first() {
    let (mut desk, _, first) = running(framework_info(&[]));
    let second = resubscribe(&mut desk, &first, framework_info(&[]));
    assert_eq!(second.id, first.id);
    assert_eq!(desk.kinds(first.session), [Type::Error]);
    assert!(desk.is_closed(first.session));
    assert_eq!(
        desk.kinds(second.session)[..2],
        [Type::Subscribed, Type::Heartbeat]
    );
    assert!(!desk.kinds(second.session).contains(&Type::Rescind));
}

#[test]
fn a_framework_that_stays_away_is_removed() {
    let (mut desk, agent, scheduler) = running(framework_info(&[]));
    desk.step(Input::SessionClosed(scheduler.session));
    desk.pass(59_000);
    assert!(
        desk.registry
            .framework(&scheduler.id.as_str().into())
            .is_some()
    );
    desk.pass(1_100);
    assert!(
        desk.registry
            .framework(&scheduler.id.as_str().into())
            .is_none()
    );
    assert!(matches!(
        &desk.orders(agent)[..],
        [Order::ShutdownFramework(_)]
    ));
    let again = resubscribe(&mut desk, &scheduler, framework_info(&[]));
    let events = desk.events(again.session);
    assert_eq!(
        events[0].error.as_ref().unwrap().message,
        "Framework has been removed"
    );
}

#[test]
fn without_failover_timeout_it_is_removed_at_once() {
    let info = FrameworkInfo {
        failover_timeout: None,
        ..framework_info(&[])
    };
    let (mut desk, _, scheduler) = running(info);
    desk.step(Input::SessionClosed(scheduler.session));
    assert!(
        desk.registry
            .completed_framework(&scheduler.id.as_str().into())
            .is_some()
    );
}

#[test]
fn an_election_is_no_disconnection() {
    let info = FrameworkInfo {
        failover_timeout: None,
        ..framework_info(&[])
    };
    let (mut desk, _, scheduler) = running(info.clone());
    desk.elect();
    desk.pass(20_000);
    let again = resubscribe(&mut desk, &scheduler, info);
    assert_eq!(again.id, scheduler.id);
    assert_eq!(desk.kinds(again.session)[0], Type::Subscribed);
    desk.pass(60_000);
    assert!(
        desk.registry
            .framework(&scheduler.id.as_str().into())
            .is_some()
    );
    assert!(
        desk.registry
            .task(&scheduler.id.as_str().into(), &"t".into())
            .is_some()
    );
}

#[test]
fn teardown_ends_stream_and_tasks() {
    let (mut desk, agent, scheduler) = running(framework_info(&[]));
    let reply = desk.call(&scheduler, call::Type::Teardown, Call::default());
    assert_eq!(reply, Reply::Accepted);
    assert!(desk.is_closed(scheduler.session));
    assert!(desk.statuses(scheduler.session).is_empty());
    assert!(matches!(
        &desk.orders(agent)[..],
        [Order::ShutdownFramework(_)]
    ));
}

#[test]
fn tasks_without_checkpoints_end_with_their_agents_stream() {
    let (mut desk, agent, scheduler) = running(framework_info(&[]));
    desk.step(Input::AgentDisconnected(agent));
    assert!(desk.kinds(scheduler.session).contains(&Type::Rescind));
    assert!(desk.statuses(scheduler.session).is_empty());
    desk.pass(1_000);
    let status = &desk.statuses(scheduler.session)[0];
    assert_eq!(status.reason(), Reason::AgentDisconnected);
    assert!(!desk.kinds(scheduler.session).contains(&Type::Failure));
}

#[test]
fn a_silent_agent_is_unreachable_and_returns_with_its_tasks() {
    let info = FrameworkInfo {
        checkpoint: Some(true),
        ..framework_info(&[Capability::PartitionAware])
    };
    let (mut desk, _, scheduler) = running(info);
    desk.pass(74_000);
    assert!(desk.statuses(scheduler.session).is_empty());
    desk.pass(17_000);
    let kinds: Vec<Type> = desk
        .kinds(scheduler.session)
        .into_iter()
        .filter(|kind| *kind != Type::Heartbeat && *kind != Type::Offers)
        .collect();
    assert_eq!(kinds, [Type::Update, Type::Rescind, Type::Failure]);
    let status = &desk.statuses(scheduler.session)[0];
    assert_eq!(status.state(), TaskState::TaskUnreachable);
    assert_eq!(status.message(), "health check timed out");
    assert!(status.unreachable_time.is_some());

    desk.take();
    let attach = report(&desk, &scheduler, TaskState::TaskRunning);
    come_back(&mut desk, attach);
    let status = &desk.statuses(scheduler.session)[0];
    assert_eq!(status.state(), TaskState::TaskRunning);
    assert_eq!(status.reason(), Reason::AgentReregistered);
    assert!(status.uuid.is_none());
}

#[test]
fn an_unregistered_agent_is_gone_for_everybody() {
    let (mut desk, agent, scheduler) = running(framework_info(&[]));
    desk.hear(
        agent,
        from_agent::Message::Unregister(Unregister::default()),
    );
    let status = &desk.statuses(scheduler.session)[0];
    assert_eq!(
        status.message(),
        "Agent host-a removed: the agent unregistered"
    );
    assert_eq!(desk.kinds(scheduler.session).last(), Some(&Type::Failure));
    assert_eq!(desk.registry.agents().len(), 0);
}

#[test]
fn the_same_registration_is_the_same_agent() {
    let mut desk = Desk::new();
    let first = desk.agent_as("a", "", AGENT);
    desk.step(Input::AgentDisconnected(first));
    desk.agent_as("a", "", AGENT);
    assert_eq!(desk.registry.agents().len(), 1);
}

#[test]
fn a_launch_that_never_arrived_is_ordered_again_and_others_are_asked_about() {
    let (mut desk, agent, scheduler) = running(framework_info(&[]));
    desk.step(Input::AgentDisconnected(agent));
    desk.elect();
    let again = resubscribe(&mut desk, &scheduler, framework_info(&[]));
    let id = desk.registry.agents().next().unwrap().id.to_string();
    let empty = desk.attach("a", &id, AGENT);
    let agent = come_back(&mut desk, empty);
    let orders = desk.orders(agent);
    let [Order::Reconcile(asked)] = &orders[..] else {
        panic!("{orders:?}")
    };
    assert_eq!(asked.tasks[0].task_id, "t");

    desk.pass(2);
    let offer = desk.offers(again.session)[0].clone();
    desk.accept(
        &again,
        &[&offer],
        vec![launch(vec![task("u", &offer, "cpus:1")])],
    );
    let launched = desk.orders(agent).pop();
    desk.step(Input::AgentDisconnected(agent));
    desk.elect();
    let attach = report(&desk, &again, TaskState::TaskRunning);
    let agent = come_back(&mut desk, attach);
    let orders = desk.orders(agent);
    assert!(orders.contains(&launched.unwrap()), "{orders:?}");
}

#[test]
fn a_framework_removed_meanwhile_is_shut_down_on_the_agent() {
    let (mut desk, agent, scheduler) = running(framework_info(&[]));
    let attach = report(&desk, &scheduler, TaskState::TaskRunning);
    desk.step(Input::AgentDisconnected(agent));
    desk.call(&scheduler, call::Type::Teardown, Call::default());
    let agent = come_back(&mut desk, attach);
    assert!(matches!(
        &desk.orders(agent)[..],
        [Order::ShutdownFramework(_)]
    ));
    assert!(
        desk.registry
            .framework(&scheduler.id.as_str().into())
            .is_none()
    );
}

/// Found by simulation (seed 148): the removal was applied, its answer was lost, and the
/// agents were never told.
#[test]
fn agents_learn_of_a_removal_whose_answer_was_lost() {
    let info = FrameworkInfo {
        failover_timeout: None,
        ..framework_info(&[])
    };
    let (mut desk, agent, scheduler) = running(info);
    desk.answers_are_lost = true;
    desk.step(Input::SessionClosed(scheduler.session));
    desk.answers_are_lost = false;
    desk.pass(1_000);
    let is_shutdown = |order: &Order| matches!(order, Order::ShutdownFramework(_));
    assert!(desk.orders(agent).iter().any(is_shutdown));
}

#[test]
fn an_update_of_a_removed_framework_is_answered_with_its_end() {
    let (mut desk, agent, scheduler) = running(framework_info(&[]));
    desk.call(&scheduler, call::Type::Teardown, Call::default());
    desk.take();
    let whose = (scheduler.id.as_str(), "t");
    desk.update(agent, whose, TaskState::TaskFinished, "0123456789abcdef");
    assert!(matches!(
        &desk.orders(agent)[..],
        [Order::ShutdownFramework(_)]
    ));
}

#[test]
fn a_deposed_leader_answers_nobody_and_ends_its_streams() {
    let (mut desk, _, scheduler) = running(framework_info(&[]));
    desk.step(Input::Deposed);
    assert!(desk.is_closed(scheduler.session));
    let reply = desk.call(&scheduler, call::Type::Revive, Call::default());
    assert_eq!(reply, Reply::Unavailable("No leader elected".to_owned()));
    assert_eq!(desk.leader.view().offers.size(), 0);
}

#[test]
fn an_agent_learns_who_leads_and_that_it_is_attached() {
    let mut desk = Desk::new();
    let agent = desk.agent_as("a", "", AGENT);
    let messages = desk.messages(agent);
    assert!(matches!(&messages[0], from_master::Message::Standing(s) if s.is_leader));
    let from_master::Message::Attached(attached) = &messages[1] else {
        panic!("{messages:?}")
    };
    assert_eq!(attached.agent_id, "m1-S0");
    assert_eq!(
        (attached.ping_timeout_ms, attached.max_ping_timeouts),
        (15_000, 5)
    );
}
