//! Calls that gateways hold over a change of the leader, or send again.

mod desk;

use caprock_leader::{AgentSessionId, Caller, Effect, Effects, Input, Reply, RequestId};
use caprock_model::Millis;
use caprock_proto::caprock::registry::entry::Command;
use caprock_proto::caprock::session::order::Order;
use caprock_proto::mesos::v1::framework_info::capability::Type as Capability;
use caprock_proto::mesos::v1::offer::Operation;
use caprock_proto::mesos::v1::scheduler::{Call, call, event::Type};
use caprock_proto::mesos::v1::task_status::Reason;
use caprock_proto::mesos::v1::{Filters, FrameworkId, Offer, TaskState};
use desk::{Desk, Scheduler, framework_info, launch, task};

const AGENT: &str = "cpus:4;mem:1024";
const SMALL: &str = "cpus:1;mem:64";
const PARTITION_AWARE: &[Capability] = &[Capability::PartitionAware];

/// An agent and a framework with one offer, and then another leader.
struct Failover {
    desk: Desk,
    agent_id: String,
    scheduler: Scheduler,
    offer: Offer,
}

impl Failover {
    fn offered() -> Self {
        let mut desk = Desk::new();
        desk.agent_as("r1", "", AGENT);
        let scheduler = desk.subscribe(framework_info(PARTITION_AWARE));
        desk.pass(2);
        let offer = desk.offers(scheduler.session).remove(0);
        let agent_id = offer.agent_id.value.clone();
        desk.take();
        Self {
            desk,
            agent_id,
            scheduler,
            offer,
        }
    }

    fn elect(&mut self) {
        self.desk.elect();
        self.subscribe_again();
    }

    fn subscribe_again(&mut self) {
        let mut info = framework_info(PARTITION_AWARE);
        info.id = Some(FrameworkId {
            value: self.scheduler.id.clone(),
        });
        self.scheduler = self.desk.subscribe(info);
        self.desk.take();
    }

    fn attach(&mut self) -> AgentSessionId {
        let id = self.agent_id.clone();
        self.desk.agent_as("r1", &id, AGENT)
    }

    fn accept(&mut self, key: &str, vouched: bool, operations: Vec<Operation>) -> Reply {
        let (caller, call) = self.call(key, vouched, operations);
        let scheduler = self.scheduler.clone();
        self.desk
            .call_as(&scheduler, caller, call::Type::Accept, call)
    }

    fn call(&self, key: &str, vouched: bool, operations: Vec<Operation>) -> (Caller, Call) {
        let caller = Caller {
            stream_id: Some(format!("s{}", self.scheduler.session.0)),
            idempotency_key: Some(key.to_owned()),
            vouched: vouched.then(|| self.offer.clone()).into_iter().collect(),
            ..Caller::default()
        };
        let accept = call::Accept {
            offer_ids: vec![self.offer.id.clone()],
            operations,
            filters: Some(Filters {
                refuse_seconds: Some(0.0),
            }),
        };
        let call = Call {
            accept: Some(accept),
            ..Call::default()
        };
        (caller, call)
    }

    fn launch(&self, tasks: &[(&str, &str)]) -> Operation {
        let tasks = tasks
            .iter()
            .map(|(id, wanted)| task(id, &self.offer, wanted));
        launch(tasks.collect())
    }

    fn tasks(&self) -> Vec<String> {
        let framework = self
            .desk
            .registry
            .framework(&self.scheduler.id.as_str().into());
        let tasks = framework
            .into_iter()
            .flat_map(|framework| framework.tasks.keys());
        tasks.map(ToString::to_string).collect()
    }

    fn ends(&self) -> Vec<(String, TaskState, Reason)> {
        let statuses = self.desk.statuses(self.scheduler.session);
        let ends = statuses.iter();
        ends.map(|s| (s.task_id.value.clone(), s.state(), s.reason()))
            .collect()
    }
}

fn launched(orders: &[Order]) -> Vec<String> {
    let launches = orders.iter().filter_map(|order| match order {
        Order::Launch(launch) => launch.task.as_ref(),
        _ => None,
    });
    launches.map(|task| task.task_id.value.clone()).collect()
}

#[test]
fn a_call_that_is_sent_again_is_carried_out_once() {
    let mut failover = Failover::offered();
    let operation = failover.launch(&[("t1", SMALL), ("huge", "cpus:99")]);
    let reply = failover.accept("k", false, vec![operation.clone()]);
    assert_eq!(reply, Reply::Accepted);
    let error = ("huge".to_owned(), TaskState::TaskError, Reason::TaskInvalid);
    assert_eq!(failover.ends(), std::slice::from_ref(&error));
    failover.desk.take();
    // The leader is the same; then it is another, which has it from the log.
    for vouched in [false, true] {
        let reply = failover.accept("k", vouched, vec![operation.clone()]);
        assert_eq!(reply, Reply::Accepted);
        assert_eq!(failover.tasks(), ["t1"]);
        assert_eq!(failover.ends(), std::slice::from_ref(&error));
        failover.elect();
        let agent = failover.attach();
        assert_eq!(launched(&failover.desk.orders(agent)), ["t1"]);
        failover.desk.take();
    }
}

#[test]
fn the_same_key_of_another_framework_is_another_call() {
    let mut failover = Failover::offered();
    let operation = failover.launch(&[("t1", SMALL)]);
    failover.accept("k", false, vec![operation]);
    failover.scheduler = failover.desk.subscribe(framework_info(PARTITION_AWARE));
    failover.desk.take();
    failover.desk.pass(1_000);
    failover.offer = failover.desk.offers(failover.scheduler.session).remove(0);
    let operation = failover.launch(&[("t2", SMALL)]);
    assert_eq!(
        failover.accept("k", false, vec![operation]),
        Reply::Accepted
    );
    assert_eq!(failover.tasks(), ["t2"]);
}

#[test]
fn what_is_missing_of_a_call_is_made_up_for() {
    let mut failover = Failover::offered();
    let first = failover.launch(&[("t1", SMALL)]);
    let second = failover.launch(&[("t2", SMALL)]);
    // Only the first of two entries got into the log before the leader died.
    failover.accept("k", false, vec![first.clone()]);
    failover.elect();
    failover.attach();
    failover.desk.take();
    let unknown = Operation::default();
    let operations = vec![first, unknown, second];
    assert_eq!(failover.accept("k", true, operations), Reply::Accepted);
    assert_eq!(failover.tasks(), ["t1", "t2"]);
    assert_eq!(failover.ends(), []);
}

#[test]
fn a_held_accept_uses_offers_of_the_former_leader() {
    let mut failover = Failover::offered();
    failover.elect();
    // The agent is not back yet; it gets its order when it is.
    let operation = failover.launch(&[("t1", SMALL)]);
    assert_eq!(failover.accept("k", true, vec![operation]), Reply::Accepted);
    assert_eq!(failover.ends(), []);
    let agent = failover.attach();
    assert_eq!(launched(&failover.desk.orders(agent)), ["t1"]);
    assert_eq!(failover.tasks(), ["t1"]);
}

#[test]
fn without_a_gateway_offers_of_the_former_leader_are_void() {
    let mut failover = Failover::offered();
    failover.elect();
    failover.attach();
    let operation = failover.launch(&[("t1", SMALL)]);
    assert_eq!(
        failover.accept("k", false, vec![operation]),
        Reply::Accepted
    );
    let dropped = (
        "t1".to_owned(),
        TaskState::TaskDropped,
        Reason::InvalidOffers,
    );
    assert_eq!(failover.ends(), [dropped]);
    assert!(failover.tasks().is_empty());
}

#[test]
fn nobody_vouches_for_offers_of_this_leader_or_of_others() {
    let mut failover = Failover::offered();
    let dropped = (
        "t1".to_owned(),
        TaskState::TaskDropped,
        Reason::InvalidOffers,
    );
    let decline = Call {
        decline: Some(call::Decline {
            offer_ids: vec![failover.offer.id.clone()],
            ..call::Decline::default()
        }),
        ..Call::default()
    };
    let scheduler = failover.scheduler.clone();
    failover.desk.call(&scheduler, call::Type::Decline, decline);
    let operation = failover.launch(&[("t1", SMALL)]);
    failover.accept("k1", true, vec![operation.clone()]);
    assert_eq!(failover.ends(), std::slice::from_ref(&dropped));
    failover.elect();
    failover.attach();
    failover.desk.take();
    let own = failover.offer.clone();
    failover.offer.framework_id.value = "other".to_owned();
    failover.accept("k2", true, vec![operation.clone()]);
    assert_eq!(failover.ends(), std::slice::from_ref(&dropped));
    failover.desk.take();
    failover.offer = own;
    let info = caprock_proto::mesos::v1::resource::AllocationInfo {
        role: Some("foreign".to_owned()),
    };
    failover.offer.allocation_info = Some(info);
    failover.accept("k3", true, vec![operation]);
    assert_eq!(failover.ends(), [dropped]);
    assert!(failover.tasks().is_empty());
}

#[test]
fn new_offers_give_way_to_a_held_call() {
    let mut failover = Failover::offered();
    failover.elect();
    failover.attach();
    failover.desk.pass(2);
    let fresh = failover.desk.offers(failover.scheduler.session).remove(0);
    assert_ne!(fresh.id, failover.offer.id);
    let operation = failover.launch(&[("t1", SMALL)]);
    assert_eq!(failover.accept("k", true, vec![operation]), Reply::Accepted);
    assert_eq!(failover.tasks(), ["t1"]);
    // The framework may use what is left of the new one, ...
    failover.offer = fresh;
    let operation = failover.launch(&[("t2", "cpus:3;mem:64"), ("t3", SMALL)]);
    assert_eq!(
        failover.accept("k2", false, vec![operation]),
        Reply::Accepted
    );
    assert_eq!(failover.tasks(), ["t1", "t2"]);
    let dropped = (
        "t3".to_owned(),
        TaskState::TaskDropped,
        Reason::InvalidOffers,
    );
    assert_eq!(failover.ends(), [dropped], "its framework was told of more");
}

#[test]
fn an_offer_that_has_given_way_is_rescinded_soon() {
    let mut failover = Failover::offered();
    failover.elect();
    failover.attach();
    failover.desk.pass(2);
    let operation = failover.launch(&[("t1", SMALL)]);
    failover.accept("k", true, vec![operation]);
    let session = failover.scheduler.session;
    assert!(!failover.desk.kinds(session).contains(&Type::Rescind));
    failover.desk.take();
    failover.desk.pass(1_010);
    assert_eq!(failover.desk.kinds(session)[0], Type::Rescind);
    let offers = failover.desk.offers(session);
    let cpus = offers[0]
        .resources
        .iter()
        .find(|r| r.name == "cpus")
        .unwrap();
    assert_eq!(cpus.scalar.unwrap().value, 3.0);
}

#[test]
fn what_was_used_meanwhile_is_not_there_for_a_held_call() {
    let mut failover = Failover::offered();
    let old = failover.offer.clone();
    failover.elect();
    failover.attach();
    failover.desk.pass(2);
    failover.offer = failover.desk.offers(failover.scheduler.session).remove(0);
    let operation = failover.launch(&[("t1", "cpus:3.5;mem:64")]);
    failover.accept("k1", false, vec![operation]);
    failover.desk.take();
    failover.offer = old;
    let operation = failover.launch(&[("t2", SMALL), ("t3", "cpus:0.5;mem:64")]);
    assert_eq!(
        failover.accept("k2", true, vec![operation]),
        Reply::Accepted
    );
    let dropped = (
        "t2".to_owned(),
        TaskState::TaskDropped,
        Reason::InvalidOffers,
    );
    assert_eq!(failover.ends(), [dropped]);
    assert_eq!(failover.tasks(), ["t1", "t3"]);
}

#[test]
fn calls_for_another_term_are_refused() {
    let mut failover = Failover::offered();
    let caller = |term: u64, scheduler: &Scheduler| Caller {
        stream_id: Some(format!("s{}", scheduler.session.0)),
        term: Some(term),
        ..Caller::default()
    };
    let scheduler = failover.scheduler.clone();
    let mut revive = |term: u64| {
        let caller = caller(term, &scheduler);
        let desk = &mut failover.desk;
        desk.call_as(&scheduler, caller, call::Type::Revive, Call::default())
    };
    assert_eq!(revive(1), Reply::Accepted);
    assert!(matches!(revive(0), Reply::Unavailable(_)));
    assert!(matches!(revive(2), Reply::Unavailable(_)));
}

#[test]
fn a_subscription_that_is_sent_again_is_one_framework() {
    let mut desk = Desk::new();
    let mut ids = Vec::new();
    for number in 0..2u64 {
        if number == 1 {
            desk.elect();
        }
        let (session, request) = (desk.fresh(), desk.fresh());
        desk.step(Input::Subscribe {
            request: RequestId(request),
            caller: Caller {
                idempotency_key: Some("key".to_owned()),
                ..Caller::default()
            },
            session: caprock_leader::SessionId(session),
            stream_id: format!("s{session}"),
            framework_id: None,
            subscribe: call::Subscribe {
                framework_info: framework_info(&[]),
                ..call::Subscribe::default()
            },
        });
        let events = desk.events(caprock_leader::SessionId(session));
        ids.push(events[0].subscribed.clone().unwrap().framework_id.value);
    }
    assert_eq!(ids, ["m1-0000", "m1-0000"]);
    assert_eq!(desk.registry.frameworks().count(), 1);
}

#[test]
fn a_resumed_stream_does_not_displace_a_newer_one() {
    let mut failover = Failover::offered();
    let id = failover.scheduler.id.clone();
    let subscribe = |desk: &mut Desk, key: &str, resumes: bool| {
        let session = caprock_leader::SessionId(desk.fresh());
        let mut info = framework_info(PARTITION_AWARE);
        info.id = Some(FrameworkId { value: id.clone() });
        desk.take();
        desk.step(Input::Subscribe {
            request: RequestId(session.0),
            caller: Caller {
                idempotency_key: Some(key.to_owned()),
                resumes,
                ..Caller::default()
            },
            session,
            stream_id: format!("s{}", session.0),
            framework_id: Some(id.clone()),
            subscribe: call::Subscribe {
                framework_info: info,
                ..call::Subscribe::default()
            },
        });
        desk.kinds(session)[0]
    };
    failover.desk.elect();
    let desk = &mut failover.desk;
    assert_eq!(subscribe(desk, "old", true), Type::Subscribed);
    assert_eq!(
        subscribe(desk, "old", true),
        Type::Subscribed,
        "its own stream"
    );
    assert_eq!(
        subscribe(desk, "new", false),
        Type::Subscribed,
        "a failover"
    );
    assert_eq!(subscribe(desk, "old", true), Type::Error);
    assert_eq!(
        subscribe(desk, "old", false),
        Type::Subscribed,
        "asked by the scheduler"
    );
}

#[test]
fn the_same_call_twice_at_a_time_is_one_proposal() {
    let mut failover = Failover::offered();
    let (_, accept) = failover.call("k", false, vec![failover.launch(&[("t1", SMALL)])]);
    let accept = Call {
        r#type: Some(call::Type::Accept as i32),
        framework_id: Some(FrameworkId {
            value: failover.scheduler.id.clone(),
        }),
        ..accept
    };
    let mut out = Effects::new();
    for request in [900, 901] {
        let (caller, _) = failover.call("k", false, Vec::new());
        let input = Input::Call {
            request: RequestId(request),
            caller,
            call: accept.clone(),
        };
        let (leader, registry) = (&mut failover.desk.leader, &failover.desk.registry);
        leader.step(registry, Millis(2_000_000), input, &mut out);
    }
    let proposals = |out: &Effects| -> Vec<_> {
        let proposed = out.iter().filter_map(|effect| match effect {
            Effect::Propose { proposal, entry } => Some((*proposal, entry.clone())),
            _ => None,
        });
        proposed.collect()
    };
    let proposed = proposals(&out);
    assert_eq!(proposed.len(), 1);
    let (proposal, entry) = proposed[0].clone();
    assert!(matches!(entry.command, Some(Command::Launch(_))));
    assert!(
        entry.idempotency_key.ends_with("/k/0"),
        "{}",
        entry.idempotency_key
    );
    let mut registry = failover.desk.registry.clone();
    let outcome = registry.apply(1_000, &entry).unwrap();
    let result = Ok(caprock_leader::Applied {
        index: 1_000,
        outcome,
    });
    let input = Input::Applied { proposal, result };
    out.clear();
    failover
        .desk
        .leader
        .step(&registry, Millis(2_000_000), input, &mut out);
    let answered = out.iter().filter_map(|effect| match effect {
        Effect::Reply { request, reply } => Some((request.0, reply.clone())),
        _ => None,
    });
    let answered: Vec<_> = answered.collect();
    assert_eq!(answered, [(900, Reply::Accepted), (901, Reply::Accepted)]);
}
