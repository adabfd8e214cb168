//! What schedulers see of the leader, call by call.

#![allow(clippy::unwrap_used, reason = "a failure is a failed test")]

mod desk;

use caprock_leader::{Caller, Input, Reply};
use caprock_proto::caprock::session::order::Order;
use caprock_proto::mesos::v1::framework_info::capability::Type as Capability;
use caprock_proto::mesos::v1::offer::{Operation, operation};
use caprock_proto::mesos::v1::scheduler::{Call, call, event::Type};
use caprock_proto::mesos::v1::task_status::Reason;
use caprock_proto::mesos::v1::{
    AgentId, ExecutorId, ExecutorInfo, Filters, FrameworkId, OfferId, OperationId, OperationState,
    TaskGroupInfo, TaskId, TaskState, executor_info,
};
use desk::{Desk, Scheduler, framework_info, launch, resources, task};

const AGENT: &str = "cpus:4;mem:1024;disk:100;ports:[1-10]";

fn bad(text: &str) -> Reply {
    Reply::BadRequest(text.to_owned())
}

fn pair(capabilities: &[Capability]) -> (Desk, caprock_leader::AgentSessionId, Scheduler) {
    let mut desk = Desk::new();
    let agent = desk.agent(AGENT);
    let scheduler = desk.subscribe(framework_info(capabilities));
    desk.pass(2);
    (desk, agent, scheduler)
}

#[test]
fn a_stream_begins_with_subscribed_and_a_heartbeat() {
    let mut desk = Desk::new();
    let scheduler = desk.subscribe(framework_info(&[]));
    assert_eq!(scheduler.id, "m1-0000");
    assert_eq!(
        desk.kinds(scheduler.session),
        [Type::Subscribed, Type::Heartbeat]
    );
    let events = desk.events(scheduler.session);
    let subscribed = events[0].subscribed.as_ref().unwrap();
    assert_eq!(subscribed.heartbeat_interval_seconds, Some(15.0));
    assert_eq!(subscribed.master_info.as_ref().unwrap().id, "m1");
    desk.take();
    desk.pass(15_000);
    assert_eq!(desk.kinds(scheduler.session), [Type::Heartbeat]);
}

#[test]
fn bad_content_is_a_stream_with_one_error() {
    let mut desk = Desk::new();
    let mut info = framework_info(&[Capability::MultiRole]);
    info.roles = vec!["a".to_owned(), "a/".to_owned()];
    let scheduler = desk.subscribe(info);
    assert_eq!(desk.kinds(scheduler.session), [Type::Error]);
    assert!(desk.is_closed(scheduler.session));
}

#[test]
fn calls_are_refused_in_the_order_of_mesos_table() {
    let mut desk = Desk::new();
    let mut info = framework_info(&[]);
    info.principal = Some("alice".to_owned());
    let scheduler = desk.subscribe(info);
    let stranger = Scheduler {
        id: "x".to_owned(),
        ..scheduler.clone()
    };
    let revive = call::Type::Revive;
    let reply = desk.call(&stranger, revive, Call::default());
    assert_eq!(reply, bad("Framework cannot be found"));
    let caller = Caller {
        principal: Some("bob".to_owned()),
        ..Caller::default()
    };
    let Reply::BadRequest(text) = desk.call_as(&scheduler, caller, revive, Call::default()) else {
        panic!("bad principal");
    };
    assert!(
        text.contains("'bob' does not match principal 'alice'"),
        "{text}"
    );
    let reply = desk.call_as(&scheduler, Caller::default(), revive, Call::default());
    assert_eq!(
        reply,
        bad("All non-subscribe calls should include the 'Mesos-Stream-Id' header")
    );
    let caller = Caller {
        stream_id: Some("other".to_owned()),
        ..Caller::default()
    };
    let Reply::BadRequest(text) = desk.call_as(&scheduler, caller, revive, Call::default()) else {
        panic!("bad stream id");
    };
    assert!(text.starts_with("The stream ID 'other' included in this request didn't match"));
    assert_eq!(
        desk.call(&scheduler, revive, Call::default()),
        Reply::Accepted
    );
    desk.step(Input::SessionClosed(scheduler.session));
    let reply = desk.call(&scheduler, revive, Call::default());
    assert_eq!(
        reply,
        Reply::Forbidden("Framework is not subscribed".to_owned())
    );
    let reply = desk.call(&scheduler, call::Type::Kill, Call::default());
    assert_eq!(
        reply,
        bad("Failed to validate scheduler::Call: Expecting 'kill' to be present")
    );
    let reply = desk.call(&scheduler, call::Type::Unknown, Call::default());
    assert!(matches!(
        reply,
        Reply::NotImplemented | Reply::BadRequest(_) | Reply::Forbidden(_)
    ));
}

#[test]
fn offers_in_the_format_of_each_framework() {
    let (mut desk, _, old) = pair(&[]);
    let offer = &desk.offers(old.session)[0];
    assert_eq!(offer.id.value, "m1-O0");
    assert!(offer.allocation_info.is_none());
    assert!(
        offer
            .resources
            .iter()
            .all(|r| r.role.as_deref() == Some("*"))
    );
    let url = offer.url.as_ref().unwrap();
    assert_eq!(
        (url.path.as_deref(), url.address.port),
        (Some("/slave(1)"), 5051)
    );

    let mut info = framework_info(&[Capability::MultiRole, Capability::ReservationRefinement]);
    info.roles = vec!["eng".to_owned()];
    desk.agent("cpus:1;mem:64");
    let new = desk.subscribe(info);
    desk.pass(5);
    let offer = &desk.offers(new.session)[0];
    let role = offer
        .allocation_info
        .as_ref()
        .and_then(|info| info.role.as_deref());
    assert_eq!(role, Some("eng"));
    assert!(
        offer
            .resources
            .iter()
            .all(|r| r.role.is_none() && r.allocation_info.is_some())
    );
}

#[test]
fn a_task_from_its_launch_to_its_end() {
    let (mut desk, agent, scheduler) = pair(&[]);
    let offer = desk.offers(scheduler.session)[0].clone();
    desk.take();
    let reply = desk.accept(
        &scheduler,
        &[&offer],
        vec![launch(vec![task("t", &offer, "cpus:1")])],
    );
    assert_eq!(reply, Reply::Accepted);
    let orders = desk.orders(agent);
    let [Order::Launch(order)] = &orders[..] else {
        panic!("{orders:?}")
    };
    assert!(order.launch_index > 0 && order.new_executor);
    assert_eq!(desk.kinds(scheduler.session), [], "no event for STAGING");
    desk.pass(2);
    let rest = desk.offers(scheduler.session)[0].clone();
    let cpus = rest.resources.iter().find(|r| r.name == "cpus").unwrap();
    assert_eq!(cpus.scalar.as_ref().unwrap().value, 3.0);

    desk.take();
    desk.update(
        agent,
        (&scheduler.id, "t"),
        TaskState::TaskRunning,
        "uuid-of-16-bytes",
    );
    assert_eq!(
        desk.statuses(scheduler.session)[0].state(),
        TaskState::TaskRunning
    );
    desk.update(
        agent,
        (&scheduler.id, "t"),
        TaskState::TaskFinished,
        "uuid-at-the-end.",
    );
    assert_eq!(
        desk.statuses(scheduler.session)[1].state(),
        TaskState::TaskFinished
    );
    let id = scheduler.id.as_str().into();
    assert!(
        desk.registry.task(&id, &"t".into()).is_some(),
        "until acknowledged"
    );
    let uuid = [7, 7, 7, 7, 7, 7, 0x40, 7, 0x80, 7, 7, 7, 7, 7, 7, 7];
    let acknowledge = call::Acknowledge {
        agent_id: offer.agent_id.clone(),
        task_id: TaskId {
            value: "t".to_owned(),
        },
        uuid: uuid.to_vec().into(),
    };
    let call = Call {
        acknowledge: Some(acknowledge),
        ..Call::default()
    };
    assert_eq!(
        desk.call(&scheduler, call::Type::Acknowledge, call),
        Reply::Accepted
    );
    assert!(
        desk.registry.task(&id, &"t".into()).is_some(),
        "another uuid"
    );
}

#[test]
fn invalid_offers_drop_tasks_and_fail_operations() {
    let (mut desk, _, scheduler) = pair(&[Capability::PartitionAware]);
    let offer = desk.offers(scheduler.session)[0].clone();
    desk.take();
    let mut fake = offer.clone();
    fake.id = OfferId {
        value: "x".to_owned(),
    };
    let reserve = Operation {
        r#type: Some(operation::Type::Reserve as i32),
        id: Some(OperationId {
            value: "op".to_owned(),
        }),
        reserve: Some(operation::Reserve::default()),
        ..Operation::default()
    };
    let operations = vec![launch(vec![task("t", &offer, "cpus:1")]), reserve];
    let reply = desk.accept(&scheduler, &[&offer, &fake], operations);
    assert_eq!(reply, Reply::Accepted);
    let status = &desk.statuses(scheduler.session)[0];
    assert_eq!(status.state(), TaskState::TaskDropped);
    assert_eq!(status.reason(), Reason::InvalidOffers);
    assert!(status.uuid.is_none());
    assert_eq!(
        status.message(),
        "Task launched with invalid offers: Offer x is no longer valid"
    );
    let events = desk.events(scheduler.session);
    let failed = events[1].update_operation_status.as_ref().unwrap();
    assert_eq!(failed.status.state(), OperationState::OperationError);
    assert!(failed.status.uuid.is_none() && failed.status.agent_id.is_none());
    desk.pass(2);
    assert_eq!(
        desk.offers(scheduler.session).len(),
        1,
        "the good offer came back unfiltered"
    );
}

#[test]
fn one_bad_task_does_not_spoil_the_other() {
    let (mut desk, agent, scheduler) = pair(&[]);
    let offer = desk.offers(scheduler.session)[0].clone();
    desk.take();
    let mut nothing = task("nothing", &offer, "cpus:1");
    nothing.resources.clear();
    let tasks = vec![
        nothing,
        task("good", &offer, "cpus:1"),
        task("much", &offer, "cpus:9"),
        {
            let mut twice = task("good", &offer, "cpus:1");
            twice.name = "twice".to_owned();
            twice
        },
    ];
    assert_eq!(
        desk.accept(&scheduler, &[&offer], vec![launch(tasks)]),
        Reply::Accepted
    );
    let told: Vec<(String, String)> = desk
        .statuses(scheduler.session)
        .iter()
        .map(|status| (status.task_id.value.clone(), status.message().to_owned()))
        .collect();
    assert_eq!(
        told[0],
        ("nothing".to_owned(), "Task uses no resources".to_owned())
    );
    assert!(told[1].1.contains("is more than available"), "{told:?}");
    assert_eq!(
        told[2],
        ("good".to_owned(), "Task has duplicate ID: good".to_owned())
    );
    assert_eq!(desk.orders(agent).len(), 1);
}

fn group(scheduler: &Scheduler, tasks: Vec<caprock_proto::mesos::v1::TaskInfo>) -> Operation {
    Operation {
        r#type: Some(operation::Type::LaunchGroup as i32),
        launch_group: Some(operation::LaunchGroup {
            executor: ExecutorInfo {
                r#type: Some(executor_info::Type::Default as i32),
                executor_id: ExecutorId {
                    value: "pod".to_owned(),
                },
                framework_id: Some(FrameworkId {
                    value: scheduler.id.clone(),
                }),
                resources: resources("cpus:0.1;mem:32;disk:1"),
                ..ExecutorInfo::default()
            },
            task_group: TaskGroupInfo { tasks },
        }),
        ..Operation::default()
    }
}

#[test]
fn a_group_is_launched_as_a_whole_or_not_at_all() {
    let (mut desk, agent, scheduler) = pair(&[]);
    let offer = desk.offers(scheduler.session)[0].clone();
    desk.take();
    let tasks = vec![
        task("a", &offer, "cpus:1;mem:32"),
        task("b", &offer, "cpus:1;mem:32"),
    ];
    desk.accept(&scheduler, &[&offer], vec![group(&scheduler, tasks)]);
    let orders = desk.orders(agent);
    let [Order::LaunchGroup(order)] = &orders[..] else {
        panic!("{orders:?}")
    };
    let launched = &order.group.as_ref().unwrap().tasks;
    assert!(order.new_executor && launched.iter().all(|task| task.executor.is_some()));
    desk.pass(2);
    let offer = desk.offers(scheduler.session)[0].clone();
    assert_eq!(
        offer.executor_ids,
        [ExecutorId {
            value: "pod".to_owned()
        }]
    );
    desk.take();
    let mut bad = task("c", &offer, "cpus:1;mem:32");
    bad.resources.clear();
    let tasks = vec![task("d", &offer, "cpus:1;mem:32"), bad];
    desk.accept(&scheduler, &[&offer], vec![group(&scheduler, tasks)]);
    let statuses = desk.statuses(scheduler.session);
    assert_eq!(statuses.len(), 2);
    for status in statuses {
        assert_eq!(status.reason(), Reason::TaskGroupInvalid);
        assert_eq!(
            status.message(),
            "Task 'c' is invalid: Task uses no resources"
        );
    }
}

#[test]
fn declined_resources_stay_away_for_their_time() {
    let (mut desk, _, scheduler) = pair(&[]);
    let offer = desk.offers(scheduler.session)[0].clone();
    desk.take();
    let decline = call::Decline {
        offer_ids: vec![
            offer.id,
            OfferId {
                value: "x".to_owned(),
            },
        ],
        filters: Some(Filters {
            refuse_seconds: Some(3.0),
        }),
    };
    let call = Call {
        decline: Some(decline),
        ..Call::default()
    };
    assert_eq!(
        desk.call(&scheduler, call::Type::Decline, call),
        Reply::Accepted
    );
    desk.pass(2_990);
    assert!(desk.offers(scheduler.session).is_empty());
    desk.pass(20);
    assert_eq!(desk.offers(scheduler.session).len(), 1);
}

#[test]
fn suppress_and_revive() {
    let (mut desk, _, scheduler) = pair(&[]);
    let offer = desk.offers(scheduler.session)[0].clone();
    desk.call(&scheduler, call::Type::Suppress, Call::default());
    desk.take();
    let decline = call::Decline {
        offer_ids: vec![offer.id],
        ..call::Decline::default()
    };
    desk.call(
        &scheduler,
        call::Type::Decline,
        Call {
            decline: Some(decline),
            ..Call::default()
        },
    );
    desk.pass(20_000);
    assert!(desk.offers(scheduler.session).is_empty());
    let foreign = call::Revive {
        roles: vec!["x".to_owned()],
    };
    desk.call(
        &scheduler,
        call::Type::Revive,
        Call {
            revive: Some(foreign),
            ..Call::default()
        },
    );
    desk.pass(2_000);
    assert!(desk.offers(scheduler.session).is_empty());
    desk.call(&scheduler, call::Type::Revive, Call::default());
    desk.pass(2);
    assert_eq!(desk.offers(scheduler.session).len(), 1);
}

fn reconcile(desk: &mut Desk, scheduler: &Scheduler, tasks: &[(&str, Option<&str>)]) {
    let tasks = tasks
        .iter()
        .map(|(task, agent)| call::reconcile::Task {
            task_id: TaskId {
                value: (*task).to_owned(),
            },
            agent_id: agent.map(|agent| AgentId {
                value: agent.to_owned(),
            }),
        })
        .collect();
    let reconcile = Some(call::Reconcile { tasks });
    let reply = desk.call(
        scheduler,
        call::Type::Reconcile,
        Call {
            reconcile,
            ..Call::default()
        },
    );
    assert_eq!(reply, Reply::Accepted);
}

#[test]
fn reconciliation_answers_by_what_became_of_the_agent() {
    let (mut desk, _, scheduler) = pair(&[Capability::PartitionAware]);
    desk.take();
    let agent = desk.registry.agents().next().unwrap().id.to_string();
    reconcile(
        &mut desk,
        &scheduler,
        &[("x", None), ("x", Some(&agent)), ("x", Some("other"))],
    );
    let states: Vec<TaskState> = desk
        .statuses(scheduler.session)
        .iter()
        .map(|status| status.state())
        .collect();
    assert_eq!(
        states,
        [
            TaskState::TaskUnknown,
            TaskState::TaskGone,
            TaskState::TaskUnknown
        ]
    );
    // A new leader has not heard of the agent yet: it does not guess.
    desk.elect();
    let mut info = framework_info(&[Capability::PartitionAware]);
    info.id = Some(FrameworkId {
        value: scheduler.id.clone(),
    });
    let scheduler = desk.subscribe(info);
    desk.take();
    reconcile(
        &mut desk,
        &scheduler,
        &[("x", None), ("x", Some(&agent)), ("x", Some("other"))],
    );
    let statuses = desk.statuses(scheduler.session);
    assert_eq!(statuses.len(), 1);
    assert_eq!(statuses[0].message(), "Reconciliation: Task is unknown");
}

#[test]
fn killing_an_unknown_task_is_a_reconciliation() {
    let (mut desk, agent, scheduler) = pair(&[]);
    let offer = desk.offers(scheduler.session)[0].clone();
    let kill = |task: &str, agent: Option<&str>| Call {
        kill: Some(call::Kill {
            task_id: TaskId {
                value: task.to_owned(),
            },
            agent_id: agent.map(|agent| AgentId {
                value: agent.to_owned(),
            }),
            kill_policy: None,
        }),
        ..Call::default()
    };
    desk.take();
    desk.call(&scheduler, call::Type::Kill, kill("x", None));
    assert_eq!(
        desk.statuses(scheduler.session)[0].state(),
        TaskState::TaskLost
    );
    desk.accept(
        &scheduler,
        &[&offer],
        vec![launch(vec![task("t", &offer, "cpus:1")])],
    );
    desk.take();
    desk.call(&scheduler, call::Type::Kill, kill("t", Some("another")));
    assert!(desk.orders(agent).is_empty() && desk.statuses(scheduler.session).is_empty());
    desk.call(&scheduler, call::Type::Kill, kill("t", None));
    assert!(matches!(&desk.orders(agent)[..], [Order::Kill(_)]));
}

#[test]
fn update_framework_has_a_verdict() {
    let (mut desk, _, scheduler) = pair(&[]);
    let update = |desk: &mut Desk, user: &str, suppressed: Vec<String>| {
        let mut info = framework_info(&[]);
        info.user = user.to_owned();
        info.id = Some(FrameworkId {
            value: scheduler.id.clone(),
        });
        let update = call::UpdateFramework {
            framework_info: info,
            suppressed_roles: suppressed,
            ..call::UpdateFramework::default()
        };
        let call = Call {
            update_framework: Some(update),
            ..Call::default()
        };
        desk.call(&scheduler, call::Type::UpdateFramework, call)
    };
    assert_eq!(update(&mut desk, "user", Vec::new()), Reply::Ok);
    assert_eq!(
        update(&mut desk, "other", Vec::new()),
        bad(
            "FrameworkInfo update is not valid: Updating 'FrameworkInfo.user' is unsupported; \
             attempted to update from 'user' to 'other'"
        )
    );
    assert_eq!(
        update(&mut desk, "user", vec!["x".to_owned()]),
        bad(
            "'UpdateFramework' call is not valid: Suppressed roles { x } are not contained in \
             the set of roles"
        )
    );
}
