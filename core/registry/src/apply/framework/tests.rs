//! Frameworks subscribe, change, go away and come back, and are removed.

use caprock_proto::caprock::registry::entry::Command;
use caprock_proto::mesos::v1::framework_info::capability::Type as Capability;
use caprock_proto::mesos::v1::scheduler::OfferConstraints;

use super::*;
use crate::Limits;
use crate::testing::{
    Cluster, FINISHED, RUNNING, admit, disconnect, framework, remove_framework, subscribe, task,
    task_with_executor, unreachable,
};

fn id(id: &str) -> FrameworkId {
    FrameworkId::from(id)
}

fn roles(names: &[&str]) -> BTreeSet<Role> {
    names.iter().copied().map(Role::from).collect()
}

fn suppress(framework: &str, names: &[&str]) -> Command {
    let roles = names.iter().map(|&name| name.to_owned()).collect();
    Command::SuppressRoles(SuppressRoles {
        framework_id: framework.to_owned(),
        roles,
    })
}

fn revive(framework: &str, names: &[&str]) -> Command {
    let roles = names.iter().map(|&name| name.to_owned()).collect();
    Command::ReviveRoles(ReviveRoles {
        framework_id: framework.to_owned(),
        roles,
    })
}

#[test]
fn an_unknown_framework_is_created() {
    let mut cluster = Cluster::new();
    cluster.done(subscribe(framework("f1", &[Capability::PartitionAware])));
    let framework = cluster.framework("f1");
    assert!(framework.subscribed && framework.capabilities.partition_aware);
    assert_eq!(framework.roles, roles(&["eng"]));
    assert_eq!(framework.registered_at, cluster.now());
    assert_eq!(framework.reregistered_at, None);
}

#[test]
fn a_framework_needs_an_id() {
    let mut cluster = Cluster::new();
    for command in [
        subscribe(framework("", &[])),
        Command::SubscribeFramework(Default::default()),
    ] {
        assert!(matches!(cluster.rejected(command), Rejection::Malformed(_)));
    }
}

#[test]
fn a_subscription_with_a_known_id_replaces_all_but_user_and_checkpoint() {
    let mut cluster = Cluster::with_running_task();
    cluster.done(suppress("f1", &[]));
    cluster.done(disconnect("f1", 99_000));
    assert_eq!(cluster.framework("f1").deadline, Some(Millis(99_000)));

    let mut info = framework("f1", &[]);
    info.user = "bob".to_owned();
    info.checkpoint = Some(true);
    info.name = "new name".to_owned();
    info.roles = vec!["eng".to_owned(), "ops".to_owned()];
    cluster.done(Command::SubscribeFramework(SubscribeFramework {
        info: Some(info),
        suppressed_roles: vec!["ops".to_owned()],
        offer_constraints: Some(OfferConstraints::default()),
        first_key: "key".to_owned(),
    }));
    let framework = cluster.framework("f1");
    assert!(framework.subscribed);
    assert_eq!(framework.deadline, None);
    assert_eq!(
        (&*framework.info.user, framework.info.checkpoint),
        ("alice", None)
    );
    assert_eq!(framework.info.name, "new name");
    assert_eq!(framework.roles, roles(&["eng", "ops"]));
    assert_eq!(framework.suppressed, roles(&["ops"]));
    assert!(framework.constraints.is_some());
    assert!(!framework.capabilities.partition_aware);
    assert_eq!(framework.reregistered_at, Some(cluster.now()));
    assert_eq!(framework.tasks.size(), 1);

    cluster.done(subscribe(crate::testing::framework("f1", &[])));
    let framework = cluster.framework("f1");
    assert!(framework.suppressed.is_empty() && framework.constraints.is_none());
}

#[test]
fn an_update_leaves_the_subscription_alone() {
    let mut cluster = Cluster::with_agent_and_framework();
    cluster.done(disconnect("f1", 99_000));
    let update = |id: &str| {
        let mut info = framework(id, &[]);
        info.user = "bob".to_owned();
        info.roles = vec!["ops".to_owned()];
        let suppressed_roles = vec!["ops".to_owned()];
        let info = Some(info);
        let update = UpdateFramework {
            info,
            suppressed_roles,
            offer_constraints: None,
        };
        Command::UpdateFramework(update)
    };
    cluster.done(update("f1"));
    let framework = cluster.framework("f1");
    assert_eq!(
        (framework.subscribed, framework.deadline),
        (false, Some(Millis(99_000)))
    );
    assert_eq!(
        (&framework.roles, &framework.suppressed),
        (&roles(&["ops"]), &roles(&["ops"]))
    );
    assert_eq!(framework.info.user, "alice");
    assert_eq!(
        cluster.rejected(update("f9")),
        Rejection::UnknownFramework(id("f9"))
    );
}

#[test]
fn roles_are_suppressed_and_revived() {
    let mut cluster = Cluster::new();
    let mut info = framework("f1", &[]);
    info.roles = vec!["eng".to_owned(), "ops".to_owned()];
    cluster.done(subscribe(info));
    cluster.done(suppress("f1", &["ops"]));
    assert_eq!(cluster.framework("f1").suppressed, roles(&["ops"]));
    cluster.done(suppress("f1", &[]));
    assert_eq!(cluster.framework("f1").suppressed, roles(&["eng", "ops"]));
    cluster.done(revive("f1", &["eng"]));
    assert_eq!(cluster.framework("f1").suppressed, roles(&["ops"]));
    let not_held = Rejection::RoleNotHeld(id("f1"), "qa".to_owned());
    assert_eq!(cluster.rejected(suppress("f1", &["eng", "qa"])), not_held);
    assert_eq!(cluster.rejected(revive("f1", &["ops", "qa"])), not_held);
    cluster.done(revive("f1", &[]));
    assert!(cluster.framework("f1").suppressed.is_empty());
}

#[test]
fn a_removed_framework_frees_everything_and_its_id_is_remembered() {
    let mut cluster = Cluster::with_running_task();
    cluster.done(admit("a2"));
    cluster.launch("f1", "a2", vec![task("t0", "cpus:1")]);
    cluster.launch("f1", "a1", vec![task_with_executor("t2", "cpus:1", "e1")]);
    cluster.update("t2", FINISHED, "u2", FINISHED);
    cluster.apply(unreachable("a2"));

    let Outcome::Ended { tasks } = cluster.apply(remove_framework("f1", None)) else {
        panic!("not removed");
    };
    let states: Vec<_> = tasks
        .iter()
        .map(|task| (task.id.as_str(), task.state))
        .collect();
    let killed = TaskState::TaskKilled;
    assert_eq!(states, [("t0", killed), ("t1", killed), ("t2", FINISHED)]);
    let status = tasks[1].statuses.last().unwrap();
    assert_eq!(status.message(), "Framework f1 removed");
    assert_eq!(status.reason(), Reason::FrameworkRemoved);
    for agent in ["a1", "a2"] {
        let agent = cluster.agent(agent);
        assert!(agent.used.is_empty() && agent.tasks.is_empty() && agent.executors.is_empty());
    }
    let completed = cluster.registry.completed_framework(&id("f1")).unwrap();
    assert_eq!(completed.unregistered_at, Some(cluster.now()));
    assert_eq!(completed.completed_tasks.len(), 3);

    let removed = Rejection::FrameworkRemoved(id("f1"));
    assert_eq!(cluster.rejected(subscribe(framework("f1", &[]))), removed);
    assert_eq!(cluster.rejected(remove_framework("f1", None)), removed);
    assert_eq!(cluster.rejected(disconnect("f1", 1)), removed);
}

#[test]
fn an_expired_deadline_does_not_remove_a_framework_that_came_back() {
    let mut cluster = Cluster::with_agent_and_framework();
    cluster.done(disconnect("f1", 5_000));
    cluster.done(subscribe(framework("f1", &[])));
    let returned = Rejection::FrameworkReturned(id("f1"));
    assert_eq!(
        cluster.rejected(remove_framework("f1", Some(5_000))),
        returned
    );
    cluster.done(disconnect("f1", 9_000));
    assert_eq!(
        cluster.rejected(remove_framework("f1", Some(5_000))),
        returned
    );
    assert!(matches!(
        cluster.apply(remove_framework("f1", Some(9_000))),
        Outcome::Ended { .. }
    ));
}

#[test]
fn only_the_last_completed_frameworks_are_remembered() {
    let limits = Limits {
        completed_frameworks: 2,
        ..Limits::default()
    };
    let mut cluster = Cluster::with_limits(limits);
    for name in ["f1", "f2", "f3"] {
        cluster.done(subscribe(framework(name, &[])));
        cluster.apply(remove_framework(name, None));
    }
    let kept: Vec<_> = cluster
        .registry
        .completed_frameworks()
        .map(|kept| kept.id.as_str())
        .collect();
    assert_eq!(kept, ["f2", "f3"]);
    cluster.done(subscribe(framework("f1", &[])));
}

#[test]
fn only_the_last_completed_tasks_are_remembered() {
    let limits = Limits {
        completed_tasks_per_framework: 2,
        ..Limits::default()
    };
    let mut cluster = Cluster::with_limits(limits);
    cluster.done(admit("a1"));
    cluster.done(subscribe(framework("f1", &[])));
    for name in ["t3", "t1", "t2"] {
        cluster.launch("f1", "a1", vec![task(name, "cpus:1")]);
        cluster.update(name, RUNNING, "u1", RUNNING);
        cluster.update(name, FINISHED, "", FINISHED);
    }
    let completed = &cluster.framework("f1").completed_tasks;
    let kept: Vec<_> = completed.iter().map(|task| task.id.as_str()).collect();
    assert_eq!(kept, ["t1", "t2"]);
}
