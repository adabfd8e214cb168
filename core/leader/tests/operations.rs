//! Operations on resources, from ACCEPT or an operator to the agent and back.

#![allow(clippy::unwrap_used, reason = "a failure is a failed test")]

mod desk;

use caprock_leader::{AgentSessionId, Input, Reply, RequestId};
use caprock_model::Resources;
use caprock_proto::caprock::session::{ApplyOperation, OperationUpdate, from_agent, order::Order};
use caprock_proto::mesos::v1::framework_info::capability::Type as Capability;
use caprock_proto::mesos::v1::offer::{Operation, operation};
use caprock_proto::mesos::v1::resource::disk_info::Persistence;
use caprock_proto::mesos::v1::resource::{
    AllocationInfo, DiskInfo, ReservationInfo, reservation_info,
};
use caprock_proto::mesos::v1::scheduler::{Call, call, event};
use caprock_proto::mesos::v1::{
    OperationId, OperationState, OperationStatus, Resource, Uuid, Volume, master, volume,
};
use desk::*;

const AGENT: &str = "cpus:4;mem:1024;disk:100";

/// An agent and a framework of role `eng`, and nothing said yet.
fn pair() -> (Desk, AgentSessionId, Scheduler) {
    let mut desk = Desk::new();
    let agent = desk.agent(AGENT);
    let mut info = framework_info(&[Capability::MultiRole, Capability::ReservationRefinement]);
    info.roles = vec!["eng".to_owned()];
    let scheduler = desk.subscribe(info);
    desk.pass(10);
    (desk, agent, scheduler)
}

fn reserved(text: &str) -> Vec<Resource> {
    let mut protos = resources(text);
    for proto in &mut protos {
        proto.reservations = vec![ReservationInfo {
            r#type: Some(reservation_info::Type::Dynamic as i32),
            role: Some("eng".to_owned()),
            ..ReservationInfo::default()
        }];
    }
    protos
}

fn volume(size: u32, id: &str) -> Resource {
    let mut disk = reserved(&format!("disk:{size}")).remove(0);
    disk.disk = Some(DiskInfo {
        persistence: Some(Persistence {
            id: id.to_owned(),
            principal: None,
        }),
        volume: Some(Volume {
            mode: volume::Mode::Rw as i32,
            container_path: "data".to_owned(),
            ..Volume::default()
        }),
        ..DiskInfo::default()
    });
    disk
}

fn of(kind: operation::Type, id: &str) -> Operation {
    let id = (!id.is_empty()).then(|| OperationId {
        value: id.to_owned(),
    });
    Operation {
        r#type: Some(kind as i32),
        id,
        ..Operation::default()
    }
}

fn reserve(text: &str, id: &str) -> Operation {
    Operation {
        reserve: Some(operation::Reserve {
            source: Vec::new(),
            resources: reserved(text),
        }),
        ..of(operation::Type::Reserve, id)
    }
}

fn create(volume: Resource, id: &str) -> Operation {
    let volumes = vec![volume];
    Operation {
        create: Some(operation::Create { volumes }),
        ..of(operation::Type::Create, id)
    }
}

fn applied(desk: &Desk, agent: AgentSessionId) -> Vec<ApplyOperation> {
    let orders = desk.orders(agent).into_iter();
    orders
        .filter_map(|order| match order {
            Order::ApplyOperation(order) => Some(order),
            _ => None,
        })
        .collect()
}

/// The agent says that it has carried out an order.
fn report(desk: &mut Desk, agent: AgentSessionId, order: &ApplyOperation) {
    let status = OperationStatus {
        operation_id: order.operation.as_ref().and_then(|info| info.id.clone()),
        state: OperationState::OperationFinished as i32,
        uuid: Some(Uuid {
            value: "0123456789abcdef".into(),
        }),
        ..OperationStatus::default()
    };
    let update = OperationUpdate {
        framework_id: order.framework_id.clone(),
        status: Some(status.clone()),
        latest_status: Some(status),
        operation_uuid: order.operation_uuid.clone(),
    };
    desk.hear(agent, from_agent::Message::OperationUpdate(update));
}

fn feedback(desk: &Desk, scheduler: &Scheduler) -> Vec<OperationStatus> {
    let events = desk.events(scheduler.session);
    let updates = events
        .iter()
        .filter_map(|event| event.update_operation_status.as_ref());
    updates.map(|update| update.status.clone()).collect()
}

fn pending(desk: &Desk) -> usize {
    let agents = desk.registry.agents();
    agents.map(|agent| agent.operations.size()).sum()
}

fn total(desk: &Desk) -> Resources {
    desk.registry.agents().next().unwrap().total.clone()
}

/// RESERVE_RESOURCES of an operator.
fn operator_reserve(desk: &mut Desk, text: &str) -> Reply {
    let agent_id = desk.registry.agents().next().unwrap().id.to_proto();
    let call = master::Call {
        r#type: Some(master::call::Type::ReserveResources as i32),
        reserve_resources: Some(master::call::ReserveResources {
            agent_id,
            source: Vec::new(),
            resources: reserved(text),
        }),
        ..master::Call::default()
    };
    let request = RequestId(desk.fresh());
    desk.step(Input::Operator {
        request,
        principal: None,
        call: Box::new(call),
    });
    desk.reply_to(request)
}

#[test]
fn all_steps_of_an_accept_are_one_entry_and_reach_the_agent_in_order() {
    let (mut desk, agent, scheduler) = pair();
    let offer = desk.offers(scheduler.session).remove(0);
    let before = desk.registry.applied();
    let mut task = task("t1", &offer, "cpus:1;mem:32");
    task.resources.push(volume(40, "v"));
    let operations = vec![
        reserve("disk:50", ""),
        create(volume(40, "v"), ""),
        launch(vec![task]),
    ];
    let reply = desk.accept(&scheduler, &[&offer], operations);
    assert_eq!(reply, Reply::Accepted);
    assert_eq!(desk.registry.applied(), before + 1);
    let kinds: Vec<&str> = desk
        .orders(agent)
        .iter()
        .map(|order| match order {
            Order::ApplyOperation(order) => {
                let info = order.operation.as_ref().unwrap();
                info.r#type().as_str_name()
            }
            Order::Launch(_) => "LAUNCH",
            _ => "other",
        })
        .collect();
    assert_eq!(kinds, ["RESERVE", "CREATE", "LAUNCH"]);
    desk.take();
    desk.pass(10);
    let next = desk.offers(scheduler.session).remove(0);
    let left = Resources::from_protos(&next.resources)
        .unwrap()
        .unallocated();
    assert_eq!(left.reserved_to("eng").disk().to_f64(), 10.0);
    assert_eq!(left.unreserved().disk().to_f64(), 50.0);
}

#[test]
fn the_end_of_an_operation_is_told_until_it_is_acknowledged() {
    let (mut desk, agent, scheduler) = pair();
    let offer = desk.offers(scheduler.session).remove(0);
    desk.accept(&scheduler, &[&offer], vec![reserve("cpus:1", "op")]);
    let order = applied(&desk, agent).remove(0);
    for _ in 0..2 {
        desk.take();
        report(&mut desk, agent, &order);
        let told = feedback(&desk, &scheduler).remove(0);
        assert_eq!(told.state(), OperationState::OperationFinished);
        assert!(told.agent_id.is_some() && told.uuid.is_some());
    }
    let acknowledge = |uuid: &'static str| Call {
        acknowledge_operation_status: Some(call::AcknowledgeOperationStatus {
            agent_id: Some(offer.agent_id.clone()),
            uuid: uuid.into(),
            operation_id: OperationId {
                value: "op".to_owned(),
            },
            ..call::AcknowledgeOperationStatus::default()
        }),
        ..Call::default()
    };
    let kind = call::Type::AcknowledgeOperationStatus;
    assert_eq!(
        desk.call(&scheduler, kind, acknowledge("fedcba9876543210")),
        Reply::Accepted
    );
    assert_eq!(pending(&desk), 1);
    assert_eq!(
        desk.call(&scheduler, kind, acknowledge("0123456789abcdef")),
        Reply::Accepted
    );
    assert_eq!(pending(&desk), 0);
    let orders = desk.orders(agent);
    assert!(matches!(
        orders.last(),
        Some(Order::AcknowledgeOperation(_))
    ));
    // The agent had not heard of it: it is told again, the framework is not.
    desk.take();
    report(&mut desk, agent, &order);
    assert!(feedback(&desk, &scheduler).is_empty());
    assert_eq!(desk.orders(agent).len(), 1);
}

#[test]
fn nobody_waits_for_an_operation_without_an_id() {
    let (mut desk, agent, scheduler) = pair();
    let offer = desk.offers(scheduler.session).remove(0);
    desk.accept(&scheduler, &[&offer], vec![reserve("cpus:1", "")]);
    let order = applied(&desk, agent).remove(0);
    report(&mut desk, agent, &order);
    assert!(feedback(&desk, &scheduler).is_empty());
    assert_eq!(pending(&desk), 0);
    let orders = desk.orders(agent);
    assert!(matches!(
        orders.last(),
        Some(Order::AcknowledgeOperation(_))
    ));
}

#[test]
fn a_failing_operation_is_left_out_and_says_so_if_it_has_an_id() {
    let (mut desk, agent, scheduler) = pair();
    let offer = desk.offers(scheduler.session).remove(0);
    let mut foreign = reserve("cpus:1", "foreign");
    let resource = &mut foreign.reserve.as_mut().unwrap().resources[0];
    resource.reservations[0].role = Some("ops".to_owned());
    resource.allocation_info = Some(AllocationInfo {
        role: Some("ops".to_owned()),
    });
    let operations = vec![
        reserve("cpus:99", "large"),
        reserve("cpus:99", ""),
        foreign,
        create(volume(40, "v"), "bare"),
        reserve("cpus:1", "good"),
    ];
    desk.accept(&scheduler, &[&offer], operations);
    let failed = feedback(&desk, &scheduler);
    let ids: Vec<&str> = failed
        .iter()
        .map(|status| status.operation_id.as_ref().unwrap().value.as_str())
        .collect();
    assert_eq!(ids, ["large", "foreign", "bare"]);
    for status in &failed {
        assert_eq!(status.state(), OperationState::OperationError);
        assert!(status.uuid.is_none() && status.agent_id.is_none());
    }
    assert!(failed[0].message().contains("does not contain"));
    assert!(failed[1].message().contains("only has roles '{ eng }'"));
    assert_eq!(applied(&desk, agent).len(), 1);
    assert_eq!(total(&desk).reserved_to("eng").cpus().to_f64(), 1.0);
}

#[test]
fn offers_give_way_to_operators() {
    let (mut desk, agent, scheduler) = pair();
    let offer = desk.offers(scheduler.session).remove(0);
    desk.take();
    let reply = operator_reserve(&mut desk, "cpus:5");
    assert!(matches!(reply, Reply::Conflict(_)), "{reply:?}");
    assert!(desk.kinds(scheduler.session).is_empty(), "for nothing");
    assert_eq!(operator_reserve(&mut desk, "cpus:3"), Reply::Accepted);
    assert_eq!(desk.kinds(scheduler.session), [event::Type::Rescind]);
    assert_eq!(applied(&desk, agent).len(), 1);
    let reply = operator_reserve(&mut desk, "");
    assert!(matches!(reply, Reply::BadRequest(_)), "{reply:?}");
    // What the offer named is gone.
    desk.take();
    let task = task("t1", &offer, "cpus:4;mem:32");
    desk.accept(&scheduler, &[&offer], vec![launch(vec![task])]);
    assert!(desk.orders(agent).is_empty());
}

#[test]
fn the_next_leader_repeats_what_the_agent_has_not_done() {
    let (mut desk, agent, scheduler) = pair();
    let offer = desk.offers(scheduler.session).remove(0);
    let operations = vec![reserve("cpus:1", "one"), reserve("mem:64", "two")];
    desk.accept(&scheduler, &[&offer], operations);
    let orders = applied(&desk, agent);
    report(&mut desk, agent, &orders[0]);
    desk.elect();
    desk.take();
    let id = desk.registry.agents().next().unwrap().id.to_string();
    let registration = desk
        .registry
        .agents()
        .next()
        .unwrap()
        .registration_id
        .clone();
    let session = desk.agent_as(&registration, &id, AGENT);
    let repeated = applied(&desk, session);
    assert_eq!(repeated, orders[1..]);
    let mut info = framework_info(&[Capability::MultiRole, Capability::ReservationRefinement]);
    info.roles = vec!["eng".to_owned()];
    info.id = Some(caprock_proto::mesos::v1::FrameworkId {
        value: scheduler.id,
    });
    let scheduler = desk.subscribe(info);
    desk.take();
    let reconcile = Call {
        reconcile_operations: Some(call::ReconcileOperations::default()),
        ..Call::default()
    };
    desk.call(&scheduler, call::Type::ReconcileOperations, reconcile);
    let states: Vec<OperationState> = feedback(&desk, &scheduler)
        .iter()
        .map(OperationStatus::state)
        .collect();
    let expected = [
        OperationState::OperationFinished,
        OperationState::OperationPending,
    ];
    assert_eq!(states, expected);
}
