//! Updates, acknowledgements and kills.

use caprock_model::AgentId;
use caprock_proto::caprock::registry::entry::Command;
use caprock_proto::mesos::v1::KillPolicy;

use super::*;
use crate::testing::{
    Cluster, FAILED, FINISHED, RUNNING, acknowledge, kill, remove_framework, task, unreachable,
    update,
};

fn task_id(id: &str) -> TaskId {
    TaskId::from(id)
}

#[test]
fn an_update_sets_state_and_uuid() {
    let cluster = Cluster::with_running_task();
    let task = cluster.task("t1").unwrap();
    assert_eq!((task.state, task.latest_state), (RUNNING, RUNNING));
    assert_eq!(task.status_uuid, "u1");
    assert_eq!(task.statuses.len(), 1);
    assert_eq!(
        cluster.used("a1"),
        "cpus(allocated: eng):1; mem(allocated: eng):128"
    );
}

#[test]
fn statuses_are_bounded_by_state_and_without_data() {
    let mut cluster = Cluster::with_running_task();
    let mut again = update("f1", "t1", RUNNING, "u2", RUNNING);
    let status = again.status.as_mut().unwrap();
    status.data = Some("much".into());
    status.healthy = Some(true);
    cluster.apply(Command::RecordUpdates(RecordUpdates {
        updates: vec![again],
    }));
    let statuses = &cluster.task("t1").unwrap().statuses;
    assert_eq!(statuses.len(), 1);
    assert_eq!(
        (statuses[0].healthy, &statuses[0].data),
        (Some(true), &None)
    );
}

#[test]
fn a_terminal_latest_state_frees_the_resources_before_the_end_is_told() {
    let mut cluster = Cluster::with_running_task();
    cluster.update("t1", RUNNING, "u2", FINISHED);
    assert!(cluster.agent("a1").used.is_empty());
    assert!(cluster.framework("f1").used.is_empty());
    let task = cluster.task("t1").unwrap();
    assert_eq!((task.state, task.latest_state), (RUNNING, FINISHED));

    // An update that was sent before does not bring the task back to life.
    cluster.update("t1", RUNNING, "u3", RUNNING);
    assert_eq!(cluster.task("t1").unwrap().latest_state, FINISHED);
    cluster.update("t1", FINISHED, "u4", FINISHED);
    assert!(cluster.agent("a1").used.is_empty());
}

#[test]
fn an_ended_task_stays_until_its_end_is_acknowledged() {
    let mut cluster = Cluster::with_running_task();
    let early = Rejection::NotTheLastUpdate(task_id("t1"));
    assert_eq!(
        cluster.rejected(acknowledge("f1", "t1", "u1")),
        early,
        "not terminal"
    );
    cluster.update("t1", FINISHED, "u2", FINISHED);
    assert_eq!(
        cluster.rejected(acknowledge("f1", "t1", "u1")),
        early,
        "not the last one"
    );
    assert_eq!(cluster.rejected(acknowledge("f1", "t1", "")), early);

    cluster.done(acknowledge("f1", "t1", "u2"));
    assert!(cluster.task("t1").is_none());
    assert!(cluster.agent("a1").tasks.is_empty());
    let completed: Vec<_> = cluster.framework("f1").completed_tasks.iter().collect();
    assert_eq!((completed.len(), completed[0].state), (1, FINISHED));
    let unknown = Rejection::UnknownTask(task_id("t1"));
    assert_eq!(cluster.rejected(acknowledge("f1", "t1", "u2")), unknown);
}

#[test]
fn an_end_without_uuid_needs_no_acknowledgement() {
    let mut cluster = Cluster::with_running_task();
    cluster.update("t1", FAILED, "", FAILED);
    assert!(cluster.task("t1").is_none());
    assert_eq!(cluster.framework("f1").completed_tasks.len(), 1);
    assert!(cluster.agent("a1").used.is_empty());
}

#[test]
fn a_terminal_state_is_never_left() {
    let mut cluster = Cluster::with_running_task();
    cluster.update("t1", FINISHED, "u2", FINISHED);
    let ended = Rejection::TaskEnded(task_id("t1"), FINISHED);
    assert_eq!(
        cluster.try_update("f1", "t1", RUNNING, "u3", RUNNING),
        Some(ended)
    );
    assert_eq!(cluster.task("t1").unwrap().status_uuid, "u2");

    // A second end: the first stays, but the acknowledgement of the second counts, or the
    // task would stay for ever.
    cluster.update("t1", FAILED, "u4", FAILED);
    let task = cluster.task("t1").unwrap();
    assert_eq!((task.state, task.latest_state), (FINISHED, FINISHED));
    assert!(cluster.agent("a1").used.is_empty());
    cluster.done(acknowledge("f1", "t1", "u4"));
    assert!(cluster.task("t1").is_none());
}

#[test]
fn updates_that_do_not_fit_are_ignored_and_named() {
    let mut cluster = Cluster::with_running_task();
    let unknown = cluster.try_update("f1", "t9", RUNNING, "u2", RUNNING);
    assert_eq!(unknown, Some(Rejection::UnknownTask(task_id("t9"))));
    let unknown = cluster.try_update("f9", "t1", RUNNING, "u2", RUNNING);
    assert_eq!(
        unknown,
        Some(Rejection::UnknownFramework(FrameworkId::from("f9")))
    );

    let mut elsewhere = update("f1", "t1", FINISHED, "u2", FINISHED);
    elsewhere.agent_id = "a9".to_owned();
    let mut unreadable = update("f1", "t1", FINISHED, "u2", FINISHED);
    unreadable.latest_state = 99;
    let good = update("f1", "t1", RUNNING, "u3", RUNNING);
    let updates = vec![elsewhere, unreadable, good];
    let Outcome::Recorded { ignored } =
        cluster.apply(Command::RecordUpdates(RecordUpdates { updates }))
    else {
        panic!("not recorded");
    };
    let other = Rejection::OtherAgent(task_id("t1"), AgentId::from("a1"));
    assert_eq!(ignored.len(), 2);
    assert_eq!(ignored[0], (FrameworkId::from("f1"), task_id("t1"), other));
    assert!(matches!(ignored[1].2, Rejection::Malformed(_)));
    assert_eq!(cluster.task("t1").unwrap().status_uuid, "u3");

    cluster.apply(remove_framework("f1", None));
    let removed = cluster.try_update("f1", "t1", FINISHED, "u4", FINISHED);
    assert_eq!(
        removed,
        Some(Rejection::FrameworkRemoved(FrameworkId::from("f1")))
    );
}

#[test]
fn an_update_of_an_unreachable_task_is_ignored() {
    let mut cluster = Cluster::with_running_task();
    cluster.apply(unreachable("a1"));
    let ignored = cluster.try_update("f1", "t1", FINISHED, "u2", FINISHED);
    assert_eq!(
        ignored,
        Some(Rejection::AgentUnreachable(AgentId::from("a1")))
    );
}

#[test]
fn a_kill_is_remembered_until_the_end() {
    let mut cluster = Cluster::with_running_task();
    cluster.done(kill("f1", "t1"));
    assert_eq!(cluster.task("t1").unwrap().kill, Some(Kill::default()));
    let policy = KillPolicy::default();
    cluster.done(Command::RequestKill(RequestKill {
        framework_id: "f1".to_owned(),
        task_id: "t1".to_owned(),
        kill_policy: Some(policy),
    }));
    assert_eq!(
        cluster.task("t1").unwrap().kill,
        Some(Kill {
            policy: Some(policy)
        })
    );

    let unknown = Rejection::UnknownTask(task_id("t9"));
    assert_eq!(cluster.rejected(kill("f1", "t9")), unknown);

    cluster.launch("f1", "a1", vec![task("t2", "cpus:1")]);
    cluster.update("t2", FINISHED, "u2", FINISHED);
    cluster.done(kill("f1", "t2"));
    assert_eq!(
        cluster.task("t2").unwrap().kill,
        None,
        "it has ended already"
    );
}
