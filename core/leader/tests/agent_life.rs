//! What operators do to agents: drain, deactivate, give up, plan maintenance; and how fast
//! missing agents are given up.

#![allow(clippy::unwrap_used, reason = "a failure is a failed test")]

mod desk;

use caprock_leader::{AgentSessionId, Config, Effect, Input, Reply, RequestId};
use caprock_model::{AgentId, DurationMs};
use caprock_proto::caprock::registry::remove_agent::Removal;
use caprock_proto::caprock::session::{from_agent, from_master, order::Order};
use caprock_proto::google::protobuf::Duration;
use caprock_proto::mesos::v1::allocator::inverse_offer_status::Status;
use caprock_proto::mesos::v1::framework_info::capability::Type as Capability;
use caprock_proto::mesos::v1::maintenance::{Schedule, Window};
use caprock_proto::mesos::v1::master::{self, call as asked};
use caprock_proto::mesos::v1::scheduler::{self, call, event::Type};
use caprock_proto::mesos::v1::task_status::Reason;
use caprock_proto::mesos::v1::{
    FrameworkId, FrameworkInfo, MachineId, TaskId, TaskState, TimeInfo, Unavailability,
};
use desk::{Desk, Scheduler, framework_info, launch, task};

const AGENT: &str = "cpus:4;mem:1024";
const UUID: &str = "uuid-of-16-bytes";

fn operate(desk: &mut Desk, kind: asked::Type, call: master::Call) -> Reply {
    let request = RequestId(desk.fresh());
    let call = master::Call {
        r#type: Some(kind as i32),
        ..call
    };
    desk.step(Input::Operator {
        request,
        principal: None,
        call: Box::new(call),
    });
    let replies: Vec<Reply> = desk
        .effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Reply {
                request: answered,
                reply,
            } if *answered == request => Some(reply.clone()),
            _ => None,
        })
        .collect();
    assert_eq!(replies.len(), 1, "one answer to each request");
    replies[0].clone()
}

fn only_agent(desk: &Desk) -> AgentId {
    desk.registry.agents().next().unwrap().id.clone()
}

fn drain(desk: &mut Desk, id: &AgentId, mark_gone: bool, seconds: i64) -> Reply {
    let drain_agent = asked::DrainAgent {
        agent_id: id.to_proto(),
        max_grace_period: Some(Duration { seconds, nanos: 0 }),
        mark_gone: Some(mark_gone),
    };
    let call = master::Call {
        drain_agent: Some(drain_agent),
        ..master::Call::default()
    };
    operate(desk, asked::Type::DrainAgent, call)
}

fn reactivate(desk: &mut Desk, id: &AgentId) -> Reply {
    let call = master::Call {
        reactivate_agent: Some(asked::ReactivateAgent {
            agent_id: id.to_proto(),
        }),
        ..master::Call::default()
    };
    operate(desk, asked::Type::ReactivateAgent, call)
}

fn mark_gone(desk: &mut Desk, id: &AgentId) -> Reply {
    let call = master::Call {
        mark_agent_gone: Some(asked::MarkAgentGone {
            agent_id: id.to_proto(),
        }),
        ..master::Call::default()
    };
    operate(desk, asked::Type::MarkAgentGone, call)
}

fn machine(hostname: &str) -> MachineId {
    MachineId {
        hostname: Some(hostname.to_owned()),
        ip: None,
    }
}

fn unavailability() -> Unavailability {
    Unavailability {
        start: TimeInfo { nanoseconds: 5 },
        duration: None,
    }
}

fn schedule(desk: &mut Desk, hostnames: &[&str]) -> Reply {
    let window = Window {
        machine_ids: hostnames.iter().map(|name| machine(name)).collect(),
        unavailability: unavailability(),
    };
    let windows = if hostnames.is_empty() {
        vec![]
    } else {
        vec![window]
    };
    let call = master::Call {
        update_maintenance_schedule: Some(asked::UpdateMaintenanceSchedule {
            schedule: Schedule { windows },
        }),
        ..master::Call::default()
    };
    operate(desk, asked::Type::UpdateMaintenanceSchedule, call)
}

/// A desk with an agent, a framework and its running task `t`.
fn running(capabilities: &[Capability]) -> (Desk, AgentSessionId, Scheduler) {
    let mut desk = Desk::new();
    let agent = desk.agent_as("a", "", AGENT);
    let scheduler = desk.subscribe(FrameworkInfo {
        checkpoint: Some(true),
        ..framework_info(capabilities)
    });
    desk.pass(2);
    let offer = desk.offers(scheduler.session)[0].clone();
    let operations = vec![launch(vec![task("t", &offer, "cpus:1")])];
    desk.accept(&scheduler, &[&offer], operations);
    desk.update(agent, (&scheduler.id, "t"), TaskState::TaskRunning, UUID);
    // The rest of the agent is offered again.
    desk.pass(1_100);
    desk.take();
    (desk, agent, scheduler)
}

fn end(desk: &mut Desk, agent: AgentSessionId, scheduler: &Scheduler) {
    let uuid = "uuid-oA-16-byte2";
    desk.update(agent, (&scheduler.id, "t"), TaskState::TaskKilled, uuid);
    let call = scheduler::Call {
        acknowledge: Some(call::Acknowledge {
            agent_id: only_agent(desk).to_proto(),
            task_id: TaskId {
                value: "t".to_owned(),
            },
            uuid: uuid.as_bytes().to_vec().into(),
        }),
        ..scheduler::Call::default()
    };
    desk.call(scheduler, call::Type::Acknowledge, call);
}

/// Whether the agent was told to kill all and exit.
fn is_sent_away(desk: &Desk, agent: AgentSessionId) -> bool {
    desk.messages(agent).iter().any(|message| match message {
        from_master::Message::Refused(refused) => refused.shutdown,
        _ => false,
    })
}

fn is_drained(desk: &Desk, id: &AgentId) -> bool {
    let agent = desk.registry.agent(id).unwrap();
    agent.drain.unwrap().finished
}

#[test]
fn a_drain_rescinds_orders_and_ends_when_the_last_end_is_acknowledged() {
    let (mut desk, agent, scheduler) = running(&[]);
    let id = only_agent(&desk);
    assert!(matches!(
        drain(&mut desk, &id, false, -1),
        Reply::BadRequest(_)
    ));
    assert!(matches!(
        drain(&mut desk, &AgentId::from("x"), false, 1),
        Reply::BadRequest(_)
    ));
    assert_eq!(drain(&mut desk, &id, false, 1), Reply::Ok);
    assert!(desk.kinds(scheduler.session).contains(&Type::Rescind));
    let orders = desk.orders(agent);
    assert!(
        matches!(&orders[..], [Order::Drain(drain)] if !drain.config.unwrap().mark_gone()),
        "{orders:?}"
    );
    desk.take();
    desk.pass(3_000);
    assert!(desk.offers(scheduler.session).is_empty(), "no offers");
    assert!(matches!(reactivate(&mut desk, &id), Reply::BadRequest(_)));
    assert!(!is_drained(&desk, &id));
    // The next leader goes on with it, and tells the agent.
    desk.elect();
    desk.take();
    let agent = {
        let session = AgentSessionId(desk.fresh());
        desk.step(Input::AgentConnected {
            session,
            hello: Default::default(),
        });
        let attach = desk.attach("a", id.as_str(), AGENT);
        desk.hear(session, from_agent::Message::Attach(attach));
        session
    };
    let told = desk.messages(agent).into_iter().find_map(|m| match m {
        from_master::Message::Attached(attached) => Some(attached.drain.is_some()),
        _ => None,
    });
    assert_eq!(told, Some(true));
    let info = FrameworkInfo {
        id: Some(FrameworkId {
            value: scheduler.id,
        }),
        ..framework_info(&[])
    };
    let scheduler = desk.subscribe(info);
    end(&mut desk, agent, &scheduler);
    assert!(is_drained(&desk, &id));
    desk.pass(3_000);
    assert!(desk.offers(scheduler.session).is_empty(), "no offers");
    desk.take();
    assert_eq!(reactivate(&mut desk, &id), Reply::Ok);
    assert!(matches!(&desk.orders(agent)[..], [Order::Reactivate(_)]));
    desk.pass(10);
    assert_eq!(desk.offers(scheduler.session).len(), 1);
    assert!(matches!(reactivate(&mut desk, &id), Reply::BadRequest(_)));
}

#[test]
fn a_drained_agent_is_gone_if_that_was_wanted() {
    let (mut desk, agent, scheduler) = running(&[]);
    let id = only_agent(&desk);
    assert_eq!(drain(&mut desk, &id, true, 1), Reply::Ok);
    end(&mut desk, agent, &scheduler);
    let removed = desk.registry.removed_agent(&id).unwrap();
    assert_eq!(removed.removal, Removal::Gone);
    assert!(is_sent_away(&desk, agent));
}

#[test]
fn tasks_of_a_gone_agent_are_told_so() {
    for (capabilities, state, reason) in [
        (
            &[Capability::PartitionAware][..],
            TaskState::TaskGoneByOperator,
            Reason::AgentRemovedByOperator,
        ),
        (&[][..], TaskState::TaskLost, Reason::AgentRemoved),
    ] {
        let (mut desk, agent, scheduler) = running(capabilities);
        let id = only_agent(&desk);
        assert_eq!(mark_gone(&mut desk, &id), Reply::Ok);
        let statuses = desk.statuses(scheduler.session);
        assert_eq!(statuses.len(), 1);
        assert_eq!((statuses[0].state(), statuses[0].reason()), (state, reason));
        assert_eq!(statuses[0].message(), "Agent has been marked gone");
        let kinds = desk.kinds(scheduler.session);
        let tail = &kinds[kinds.len() - 2..];
        assert_eq!(tail, [Type::Rescind, Type::Failure]);
        assert!(is_sent_away(&desk, agent));
        assert_eq!(mark_gone(&mut desk, &id), Reply::Ok, "it is gone already");
        let unknown = mark_gone(&mut desk, &AgentId::from("x"));
        assert!(matches!(unknown, Reply::NotFound(_)));
    }
}

#[test]
fn an_unreachable_agent_that_is_gone_has_failed_before() {
    let (mut desk, agent, scheduler) = running(&[Capability::PartitionAware]);
    let id = only_agent(&desk);
    desk.step(Input::AgentDisconnected(agent));
    desk.pass(6 * 15_000);
    assert!(!desk.registry.agent(&id).unwrap().is_reachable());
    desk.take();
    assert_eq!(mark_gone(&mut desk, &id), Reply::Ok);
    assert_eq!(desk.kinds(scheduler.session), [Type::Update]);
    let statuses = desk.statuses(scheduler.session);
    assert_eq!(statuses[0].state(), TaskState::TaskGoneByOperator);
}

#[test]
fn frameworks_are_asked_to_leave_a_scheduled_machine() {
    let (mut desk, _, scheduler) = running(&[]);
    let id = only_agent(&desk);
    assert_eq!(schedule(&mut desk, &["HOST-a"]), Reply::Ok);
    assert!(desk.kinds(scheduler.session).contains(&Type::Rescind));
    let asked = |desk: &Desk| {
        let events = desk.events(scheduler.session);
        let offers = events.iter().filter_map(|e| e.inverse_offers.as_ref());
        offers
            .flat_map(|o| o.inverse_offers.clone())
            .collect::<Vec<_>>()
    };
    let first = asked(&desk).remove(0);
    assert_eq!(first.agent_id, Some(id.to_proto()));
    assert_eq!(first.unavailability, unavailability());
    desk.pass(5_000);
    assert_eq!(asked(&desk).len(), 1, "one at a time");
    let offer = desk.offers(scheduler.session).remove(0);
    assert_eq!(offer.unavailability, Some(unavailability()));
    let call = scheduler::Call {
        accept_inverse_offers: Some(call::AcceptInverseOffers {
            inverse_offer_ids: vec![first.id],
            filters: None,
        }),
        ..scheduler::Call::default()
    };
    let reply = desk.call(&scheduler, call::Type::AcceptInverseOffers, call);
    assert_eq!(reply, Reply::Accepted);
    let view = desk.leader.view();
    let answers: Vec<Status> = view.inverse_answers.values().map(|a| a.status()).collect();
    assert_eq!(answers, [Status::Accept]);
    desk.pass(4_000);
    assert_eq!(asked(&desk).len(), 1, "it has answered");
    desk.pass(2_000);
    assert_eq!(asked(&desk).len(), 2, "and is asked again after a while");
    desk.take();
    assert_eq!(schedule(&mut desk, &[]), Reply::Ok);
    let kinds = desk.kinds(scheduler.session);
    assert!(kinds.contains(&Type::RescindInverseOffer), "{kinds:?}");
    assert!(desk.leader.view().inverse_answers.is_empty());
    assert!(
        drain(&mut desk, &id, false, 1) == Reply::Ok,
        "not scheduled any more"
    );
}

#[test]
fn the_agents_of_a_machine_that_goes_down_are_sent_away() {
    let (mut desk, agent, scheduler) = running(&[]);
    let id = only_agent(&desk);
    assert_eq!(schedule(&mut desk, &["host-a"]), Reply::Ok);
    assert!(matches!(
        drain(&mut desk, &id, false, 1),
        Reply::BadRequest(_)
    ));
    desk.take();
    let call = master::Call {
        start_maintenance: Some(asked::StartMaintenance {
            machines: vec![machine("host-a")],
        }),
        ..master::Call::default()
    };
    let reply = operate(&mut desk, asked::Type::StartMaintenance, call.clone());
    assert_eq!(reply, Reply::Ok);
    let statuses = desk.statuses(scheduler.session);
    assert_eq!(statuses[0].state(), TaskState::TaskLost);
    assert_eq!(
        statuses[0].message(),
        "Agent host-a removed: Operator initiated 'Machine DOWN'"
    );
    assert!(desk.registry.agent(&id).is_none());
    assert!(is_sent_away(&desk, agent));
    let again = desk.agent_as("a", "", AGENT);
    assert!(is_sent_away(&desk, again), "no agent may be there");
    assert!(matches!(
        operate(&mut desk, asked::Type::StartMaintenance, call),
        Reply::BadRequest(_)
    ));
    let call = master::Call {
        stop_maintenance: Some(asked::StopMaintenance {
            machines: vec![machine("host-a")],
        }),
        ..master::Call::default()
    };
    let reply = operate(&mut desk, asked::Type::StopMaintenance, call);
    assert_eq!(reply, Reply::Ok);
    desk.agent_as("a", "", AGENT);
    assert_eq!(desk.registry.agents().count(), 1);
}

fn unreachable(desk: &Desk) -> usize {
    let agents = desk.registry.agents();
    agents.filter(|agent| !agent.is_reachable()).count()
}

/// A desk with so many agents, and their streams.
fn crowd(config: Config, count: usize) -> (Desk, Vec<AgentSessionId>) {
    let mut desk = Desk::with(config);
    let sessions = (0..count).map(|_| desk.agent(AGENT)).collect();
    (desk, sessions)
}

#[test]
fn agents_are_given_up_at_the_rate_that_is_allowed() {
    let config = Config {
        agent_removal_rate_limit: Some("1/10mins".parse().unwrap()),
        // Agents on the desk answer no pings.
        agent_ping_timeout: DurationMs(10_000_000),
        agent_reregister_timeout: DurationMs(600_000),
        ..Config::default()
    };
    let (mut desk, sessions) = crowd(config, 20);
    for session in &sessions[..2] {
        desk.step(Input::AgentDisconnected(*session));
    }
    desk.pass(600_000);
    assert_eq!(unreachable(&desk), 1);
    desk.pass(599_000);
    assert_eq!(unreachable(&desk), 1);
    desk.pass(1_000);
    assert_eq!(unreachable(&desk), 2);
}

#[test]
fn none_is_given_up_while_a_mass_is_missing() {
    let config = Config {
        agent_ping_timeout: DurationMs(600_000),
        agent_reregister_timeout: DurationMs(600_000),
        max_agent_ping_timeouts: 100,
        ..Config::default()
    };
    let (mut desk, sessions) = crowd(config, 10);
    for session in &sessions[..3] {
        desk.step(Input::AgentDisconnected(*session));
    }
    desk.pass(3_000_000);
    assert_eq!(unreachable(&desk), 0);
    assert_eq!(desk.leader.view().mass_loss, Some(3));
    let alarms = desk.effects.iter().filter(
        |effect| matches!(effect, Effect::Log { text, .. } if text.starts_with("ALARM: 3 of 10")),
    );
    assert_eq!(alarms.count(), 1);
    // An operator knows that one of them is gone: the others are few enough.
    let gone = desk.registry.agents().next().unwrap().id.clone();
    assert_eq!(mark_gone(&mut desk, &gone), Reply::Ok);
    desk.pass(1_200_000);
    assert_eq!(desk.leader.view().mass_loss, None);
    assert_eq!(unreachable(&desk), 2);
}
