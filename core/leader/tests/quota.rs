//! Quotas and weights as operators set them, and what schedulers are offered under them.

#![allow(clippy::unwrap_used, reason = "a failure is a failed test")]

mod desk;

use caprock_leader::{Config, Effect, Input, Reply, RequestId};
use caprock_model::{DurationMs, Resources};
use caprock_proto::mesos::v1::master::{Call, call};
use caprock_proto::mesos::v1::quota::{QuotaConfig, QuotaRequest};
use caprock_proto::mesos::v1::scheduler::event::Type;
use caprock_proto::mesos::v1::{Offer, TaskState, WeightInfo, framework_info, value};
use desk::{Desk, Scheduler, framework_info, launch, resources, task};
use framework_info::capability::Type as Capability;

const AGENT: &str = "cpus:4;mem:1024;ports:[1-10]";

fn operate(desk: &mut Desk, call: Call) -> Reply {
    let request = RequestId(desk.fresh());
    desk.step(Input::Operator {
        request,
        principal: None,
        call: Box::new(call),
    });
    let answer = |effect: &Effect| match effect {
        Effect::Reply { request: of, reply } if *of == request => Some(reply.clone()),
        _ => None,
    };
    let replies: Vec<Reply> = desk.effects.iter().filter_map(answer).collect();
    assert_eq!(replies.len(), 1, "one answer to each request");
    replies[0].clone()
}

fn config(role: &str, guarantees: &str, limits: &str) -> QuotaConfig {
    let amounts = |text: &str| {
        let all = Resources::parse(text, "*").unwrap().quantities();
        let amounts = all.iter().map(|(name, amount)| {
            let value = amount.to_f64();
            (name.to_string(), value::Scalar { value })
        });
        amounts.collect()
    };
    QuotaConfig {
        role: role.to_owned(),
        guarantees: amounts(guarantees),
        limits: amounts(limits),
    }
}

fn update_quota(force: bool, quota_configs: Vec<QuotaConfig>) -> Call {
    Call {
        r#type: Some(call::Type::UpdateQuota as i32),
        update_quota: Some(call::UpdateQuota {
            force: Some(force),
            quota_configs,
        }),
        ..Call::default()
    }
}

fn set_quota(role: &str, guarantee: &str) -> Call {
    let quota_request = QuotaRequest {
        role: Some(role.to_owned()),
        guarantee: resources(guarantee),
        force: None,
    };
    Call {
        r#type: Some(call::Type::SetQuota as i32),
        set_quota: Some(call::SetQuota { quota_request }),
        ..Call::default()
    }
}

fn remove_quota(role: &str) -> Call {
    Call {
        r#type: Some(call::Type::RemoveQuota as i32),
        remove_quota: Some(call::RemoveQuota {
            role: role.to_owned(),
        }),
        ..Call::default()
    }
}

fn update_weights(role: &str, weight: f64) -> Call {
    let info = WeightInfo {
        role: Some(role.to_owned()),
        weight,
    };
    Call {
        r#type: Some(call::Type::UpdateWeights as i32),
        update_weights: Some(call::UpdateWeights {
            weight_infos: vec![info],
        }),
        ..Call::default()
    }
}

fn subscribe(desk: &mut Desk, roles: &[&str]) -> Scheduler {
    let mut info = framework_info(&[Capability::MultiRole]);
    info.roles = roles.iter().map(|role| (*role).to_owned()).collect();
    desk.subscribe(info)
}

fn total(offers: &[Offer], name: &str) -> f64 {
    let of_offer = |offer: &Offer| {
        let all = Resources::from_protos(&offer.resources).unwrap();
        all.scalar(name).to_f64()
    };
    offers.iter().map(of_offer).sum()
}

fn text(reply: Reply) -> String {
    match reply {
        Reply::BadRequest(text) | Reply::Conflict(text) => text,
        other => panic!("not refused: {other:?}"),
    }
}

#[test]
fn a_limit_is_kept_by_the_next_offers() {
    let mut desk = Desk::new();
    let agent = desk.agent(AGENT);
    let limit = update_quota(false, vec![config("a", "", "cpus:1")]);
    assert_eq!(operate(&mut desk, limit), Reply::Ok);
    let a = subscribe(&mut desk, &["a"]);
    desk.pass(5);
    let offers = desk.offers(a.session);
    assert_eq!((offers.len(), total(&offers, "cpus")), (1, 1.0));
    assert_eq!(
        total(&offers, "mem"),
        1024.0,
        "what has no limit is not cut"
    );
    // What runs counts, too.
    desk.accept(
        &a,
        &[&offers[0]],
        vec![launch(vec![task("t", &offers[0], "cpus:0.7")])],
    );
    desk.take();
    desk.pass(1_000);
    let offers = desk.offers(a.session);
    assert_eq!(total(&offers, "cpus"), 0.3);
    desk.accept(&a, &[&offers[0]], vec![]);
    desk.update(agent, (&a.id, "t"), TaskState::TaskFinished, "u");
    desk.take();
    desk.pass(1_000);
    assert_eq!(total(&desk.offers(a.session), "cpus"), 1.0);
}

#[test]
fn a_lower_limit_takes_offers_back_and_a_higher_one_makes_new_ones() {
    let mut desk = Desk::new();
    desk.agent(AGENT);
    desk.agent(AGENT);
    let a = subscribe(&mut desk, &["a"]);
    desk.pass(5);
    assert_eq!(total(&desk.offers(a.session), "cpus"), 8.0);
    desk.take();
    let limit = update_quota(false, vec![config("a", "", "cpus:5")]);
    assert_eq!(operate(&mut desk, limit), Reply::Ok);
    assert_eq!(
        desk.kinds(a.session),
        [Type::Rescind],
        "no more than needed"
    );
    desk.pass(5);
    assert_eq!(total(&desk.offers(a.session), "cpus"), 1.0);
    desk.take();
    let limit = update_quota(false, vec![config("a", "", "cpus:7")]);
    assert_eq!(operate(&mut desk, limit), Reply::Ok);
    assert_eq!(desk.kinds(a.session), []);
    desk.pass(5);
    assert_eq!(total(&desk.offers(a.session), "cpus"), 2.0);
}

#[test]
fn a_guarantee_takes_from_others_what_is_missing() {
    let mut desk = Desk::new();
    desk.agent(AGENT);
    desk.agent(AGENT);
    let greedy = subscribe(&mut desk, &["b"]);
    desk.pass(5);
    assert_eq!(total(&desk.offers(greedy.session), "cpus"), 8.0);
    desk.take();
    let guarantee = update_quota(false, vec![config("a", "cpus:3", "")]);
    assert_eq!(operate(&mut desk, guarantee), Reply::Ok);
    assert_eq!(desk.kinds(greedy.session), [Type::Rescind]);
    desk.pass(5);
    assert_eq!(total(&desk.offers(greedy.session), "cpus"), 1.0);
    let a = subscribe(&mut desk, &["a"]);
    desk.pass(5);
    assert_eq!(total(&desk.offers(a.session), "cpus"), 3.0);
    // The next leader keeps to it as well, and does not wait for anything.
    desk.elect();
    desk.take();
    desk.agent(AGENT);
    let greedy = subscribe(&mut desk, &["b"]);
    desk.pass(1_000);
    assert_eq!(total(&desk.offers(greedy.session), "cpus"), 1.0);
}

#[test]
fn guarantees_may_be_met_by_agents_beside_the_run() {
    let mut desk = Desk::new();
    desk.agent(AGENT);
    let guarantee = update_quota(false, vec![config("a", "cpus:4", "")]);
    assert_eq!(operate(&mut desk, guarantee), Reply::Ok);
    let greedy = subscribe(&mut desk, &["b"]);
    desk.pass(2_000);
    assert_eq!(total(&desk.offers(greedy.session), "cpus"), 0.0);
    // The run over the new agent alone sees that the other one is free.
    desk.agent(AGENT);
    desk.pass(5);
    assert_eq!(total(&desk.offers(greedy.session), "cpus"), 4.0);
}

#[test]
fn update_quota_is_checked_as_a_whole() {
    let mut desk = Desk::new();
    desk.agent(AGENT);
    let both = vec![config("a", "", "cpus:1"), config("a/b", "", "cpus:1")];
    let refused = operate(&mut desk, update_quota(true, both));
    let expected = "Updating quota on nested role 'a/b' is not supported yet";
    assert_eq!(text(refused), expected);
    assert!(desk.registry.has_no_quota());
    let much = || vec![config("a", "cpus:3", ""), config("b", "cpus:2", "")];
    let refused = operate(&mut desk, update_quota(false, much()));
    assert_eq!(
        text(refused),
        "Invalid QuotaConfig: total quota guarantees 'cpus:5' exceed cluster capacity 'cpus:4; \
         mem:1024' (use 'force' flag to bypass this check)"
    );
    assert_eq!(operate(&mut desk, update_quota(true, much())), Reply::Ok);
    assert_eq!(desk.registry.quotas().count(), 2);
    assert_eq!(operate(&mut desk, update_quota(false, vec![])), Reply::Ok);
}

#[test]
fn limits_below_what_is_in_use_need_force() {
    let mut desk = Desk::new();
    desk.agent(AGENT);
    let a = subscribe(&mut desk, &["a/x"]);
    desk.pass(5);
    let offers = desk.offers(a.session);
    desk.accept(
        &a,
        &[&offers[0]],
        vec![launch(vec![task("t", &offers[0], "cpus:2")])],
    );
    let low = || vec![config("a", "", "cpus:1")];
    let refused = operate(&mut desk, update_quota(false, low()));
    assert_eq!(
        text(refused),
        "Invalid QuotaConfig: Role 'a' is already consuming 'cpus:2'; this is more than the \
         requested limits 'cpus:1' (use 'force' flag to bypass this check)"
    );
    assert_eq!(operate(&mut desk, update_quota(true, low())), Reply::Ok);
}

#[test]
fn the_old_calls_set_once_and_remove_what_there_is() {
    let mut desk = Desk::new();
    desk.agent(AGENT);
    assert_eq!(
        operate(&mut desk, set_quota("a", "cpus:5")),
        Reply::Conflict(
            "Quota guarantees overcommit the cluster (use 'force' to bypass this check): Total \
             quota guarantees 'cpus:5' exceed cluster capacity 'cpus:4; mem:1024'"
                .to_owned()
        )
    );
    assert_eq!(operate(&mut desk, set_quota("a", "cpus:1")), Reply::Ok);
    let again = operate(&mut desk, set_quota("a", "cpus:2"));
    assert_eq!(
        text(again),
        "Failed to validate set quota request: Cannot set quota for role 'a' which already has \
         quota"
    );
    assert_eq!(operate(&mut desk, remove_quota("a")), Reply::Ok);
    let twice = operate(&mut desk, remove_quota("a"));
    assert_eq!(
        text(twice),
        "Failed to remove quota: Role 'a' has no quota set"
    );
    assert!(text(operate(&mut desk, set_quota("*", "cpus:1"))).contains("'*' role"));
}

#[test]
fn weights_share_everything_out_anew() {
    let mut desk = Desk::new();
    for _ in 0..3 {
        desk.agent(AGENT);
    }
    let (a, b) = (subscribe(&mut desk, &["a"]), subscribe(&mut desk, &["b"]));
    desk.pass(5);
    desk.take();
    assert_eq!(operate(&mut desk, update_weights("c", 2.0)), Reply::Ok);
    assert_eq!(desk.kinds(a.session), [], "nobody has that role");
    assert_eq!(operate(&mut desk, update_weights(" b ", 5.0)), Reply::Ok);
    let rescinded = [a.session, b.session].map(|session| desk.kinds(session).len());
    assert_eq!(rescinded.iter().sum::<usize>(), 3, "all offers");
    desk.take();
    desk.pass(5);
    // a goes first by name; then b has the smaller share by weight twice.
    assert_eq!(desk.offers(a.session).len(), 1);
    assert_eq!(desk.offers(b.session).len(), 2);
    let refused = text(operate(&mut desk, update_weights("b", 0.0)));
    assert!(refused.ends_with("Weights must be positive"), "{refused}");
    desk.elect();
    assert_eq!(desk.registry.weight(&"b".into()), 5.0);
}

#[test]
fn only_known_roles_have_quotas_and_weights() {
    let mut desk = Desk::with(Config {
        batch_delay: DurationMs(1),
        roles: Some(["a".into()].into()),
        ..Config::default()
    });
    let quota = |role| update_quota(true, vec![config(role, "", "cpus:1")]);
    assert_eq!(operate(&mut desk, quota("a")), Reply::Ok);
    assert_eq!(
        text(operate(&mut desk, quota("x"))),
        "Invalid QuotaConfig: 'x' is not on the roles whitelist"
    );
    let weight = text(operate(&mut desk, update_weights("x", 2.0)));
    assert!(weight.ends_with("Unknown role 'x'"), "{weight}");
}
