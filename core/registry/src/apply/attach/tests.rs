//! Agents that come back.

use caprock_model::{ExecutorId, Resources};
use caprock_proto::caprock::registry::entry::Command;
use caprock_proto::caprock::registry::remove_agent::Removal;

use super::*;
use crate::testing::{
    Cluster, FINISHED, LOST, RUNNING, UNREACHABLE, acknowledge, admit, attach, executor,
    executor_key, framework, remove_agent, remove_framework, resources, status, subscribe, task,
    task_with_executor, unreachable,
};

fn agent_id(id: &str) -> AgentId {
    AgentId::from(id)
}

type Skipped = Vec<(FrameworkId, TaskId, Rejection)>;

fn attached(cluster: &mut Cluster, command: AttachAgent) -> (Vec<Arc<Task>>, Skipped) {
    match cluster.apply(Command::AttachAgent(command)) {
        Outcome::Attached { returned, skipped } => (returned, skipped),
        other => panic!("not attached: {other:?}"),
    }
}

fn report(framework: &str, id: &str, state: caprock_proto::mesos::v1::TaskState) -> TaskRecord {
    TaskRecord {
        info: Some(task(id, "cpus:1")),
        framework_id: framework.to_owned(),
        state: state.into(),
        latest_state: state.into(),
        status_uuid: "r1".into(),
        statuses: vec![status(id, state, "r1")],
        ..TaskRecord::default()
    }
}

#[test]
fn unreachable_tasks_return_in_their_latest_state() {
    let mut cluster = Cluster::with_running_task();
    let before = cluster.used("a1");
    cluster.apply(unreachable("a1"));
    let (returned, _) = attached(&mut cluster, attach("a1"));
    assert_eq!(returned.len(), 1);
    let task = cluster.task("t1").unwrap();
    assert_eq!((task.state, task.latest_state), (RUNNING, RUNNING));
    assert_eq!(cluster.used("a1"), before);
    assert!(cluster.framework("f1").unreachable_tasks.is_empty());
    assert_eq!(cluster.agent("a1").reregistered_at, Some(cluster.now()));
    // The old uuid is no way to acknowledge what the master told itself.
    let task_id = TaskId::from("t1");
    let rejection = cluster.rejected(acknowledge("f1", "t1", "u1"));
    assert_eq!(rejection, Rejection::NotTheLastUpdate(task_id));
}

#[test]
fn a_task_that_was_told_lost_returns_as_well() {
    let mut cluster = Cluster::new();
    cluster.done(admit("a1"));
    cluster.done(subscribe(framework("f1", &[])));
    cluster.launch("f1", "a1", vec![task("t1", "cpus:1")]);
    cluster.update("t1", RUNNING, "u1", RUNNING);
    cluster.apply(unreachable("a1"));
    let lost = cluster
        .framework("f1")
        .unreachable_tasks
        .get("t1")
        .unwrap()
        .state;
    assert_eq!(lost, LOST);
    let (returned, _) = attached(&mut cluster, attach("a1"));
    assert_eq!(returned[0].state, RUNNING);
}

#[test]
fn the_agent_says_how_its_returned_tasks_are_now() {
    let mut cluster = Cluster::with_running_task();
    cluster.apply(unreachable("a1"));
    let unknown_tasks = vec![report("f1", "t1", FINISHED)];
    let (returned, skipped) = attached(
        &mut cluster,
        AttachAgent {
            unknown_tasks,
            ..attach("a1")
        },
    );
    assert_eq!(skipped, []);
    assert_eq!(
        (returned[0].state, &returned[0].status_uuid[..]),
        (FINISHED, &b"r1"[..])
    );
    assert!(cluster.agent("a1").used.is_empty(), "it has ended");
    cluster.done(acknowledge("f1", "t1", "r1"));
}

#[test]
fn the_uuid_of_an_earlier_update_does_not_acknowledge_the_end() {
    let mut cluster = Cluster::with_running_task();
    cluster.apply(unreachable("a1"));
    let mut report = report("f1", "t1", RUNNING);
    report.latest_state = FINISHED.into();
    attached(
        &mut cluster,
        AttachAgent {
            unknown_tasks: vec![report],
            ..attach("a1")
        },
    );
    assert_eq!(cluster.task("t1").unwrap().state, FINISHED);
    let not_the_end = Rejection::NotTheLastUpdate(TaskId::from("t1"));
    assert_eq!(cluster.rejected(acknowledge("f1", "t1", "r1")), not_the_end);
    cluster.update("t1", FINISHED, "u2", FINISHED);
    cluster.done(acknowledge("f1", "t1", "u2"));
}

#[test]
fn the_description_is_replaced() {
    let mut cluster = Cluster::with_running_task();
    let mut command = attach("a1");
    let description = command.agent.as_mut().unwrap();
    description.registration_id = "second".to_owned();
    description.address = "elsewhere:1".to_owned();
    description.info.as_mut().unwrap().resources = resources("cpus:0.5;mem:64");
    attached(&mut cluster, command);
    let agent = cluster.agent("a1");
    assert_eq!(&*agent.address, "elsewhere:1");
    assert_eq!(agent.total.to_string(), "cpus:0.5; mem:64");
    assert_eq!(
        agent.available(),
        Resources::default(),
        "more is used than there is"
    );
    assert_eq!(
        cluster.used("a1"),
        "cpus(allocated: eng):1; mem(allocated: eng):128"
    );
    let registry = &cluster.registry;
    assert!(registry.agent_by_registration("registration-a1").is_none());
    assert_eq!(registry.agent_by_registration("second").unwrap().id, "a1");
}

#[test]
fn what_the_log_does_not_know_is_taken_up() {
    let mut cluster = Cluster::with_agent_and_framework();
    let command = AttachAgent {
        unknown_tasks: vec![report("f2", "t7", RUNNING), report("f1", "t8", RUNNING)],
        unknown_executors: vec![ExecutorRecord {
            info: Some(executor("e1")),
            framework_id: "f2".to_owned(),
            agent_id: "a1".to_owned(),
        }],
        unknown_frameworks: vec![framework("f2", &[])],
        ..attach("a1")
    };
    let (returned, skipped) = attached(&mut cluster, command);
    assert!(returned.is_empty() && skipped.is_empty());
    let recovered = cluster.framework("f2");
    assert!(!recovered.subscribed && recovered.deadline.is_none());
    assert_eq!(recovered.tasks.get("t7").unwrap().state, RUNNING);
    assert!(
        recovered
            .executors
            .contains(&(agent_id("a1"), ExecutorId::from("e1")))
    );
    assert_eq!(cluster.task("t8").unwrap().status_uuid, "r1");
    assert_eq!(
        cluster.used("a1"),
        "cpus(allocated: eng):2.5; mem(allocated: eng):32"
    );
}

#[test]
fn what_does_not_fit_is_skipped_and_named() {
    let mut cluster = Cluster::with_running_task();
    cluster.done(admit("a2"));
    cluster.launch("f1", "a2", vec![task("t2", "cpus:1")]);
    cluster.apply(unreachable("a2"));
    cluster.done(subscribe(framework("f2", &[])));
    cluster.apply(remove_framework("f2", None));
    let unknown_tasks = ["t1", "t2"].map(|id| report("f1", id, RUNNING));
    let mut unknown_tasks = unknown_tasks.to_vec();
    unknown_tasks.extend([report("f2", "t1", RUNNING), report("f9", "t1", RUNNING)]);
    let command = AttachAgent {
        unknown_tasks,
        unknown_frameworks: vec![framework("f2", &[])],
        ..attach("a1")
    };
    let (_, skipped) = attached(&mut cluster, command);
    let reasons: Vec<_> = skipped.into_iter().map(|(_, _, reason)| reason).collect();
    let expected = [
        Rejection::DuplicateTask(TaskId::from("t1")),
        Rejection::UnreachableTask(TaskId::from("t2")),
        Rejection::FrameworkRemoved(FrameworkId::from("f2")),
        Rejection::UnknownFramework(FrameworkId::from("f9")),
    ];
    assert_eq!(reasons, expected);
    assert_eq!(
        cluster.task("t1").unwrap().status_uuid,
        "u1",
        "the log is the truth"
    );
}

#[test]
fn lost_executors_are_freed() {
    let mut cluster = Cluster::with_agent_and_framework();
    cluster.launch("f1", "a1", vec![task_with_executor("t1", "cpus:1", "e1")]);
    let lost_executors = vec![
        executor_key("f1", "a1", "e1"),
        executor_key("f1", "a1", "e9"),
    ];
    attached(
        &mut cluster,
        AttachAgent {
            lost_executors,
            ..attach("a1")
        },
    );
    assert!(cluster.agent("a1").executors.is_empty());
    assert_eq!(cluster.used("a1"), "cpus(allocated: eng):1");
}

#[test]
fn an_unknown_or_unregistered_agent_is_welcome() {
    let mut cluster = Cluster::new();
    attached(&mut cluster, attach("a1"));
    assert!(cluster.agent("a1").is_reachable());
    cluster.apply(remove_agent("a1", Removal::Unregistered));
    attached(&mut cluster, attach("a1"));
    assert!(cluster.registry.removed_agent(&agent_id("a1")).is_none());
}

#[test]
fn a_broken_description_changes_nothing() {
    let mut cluster = Cluster::with_running_task();
    cluster.apply(unreachable("a1"));
    let mut command = attach("a1");
    command.agent.as_mut().unwrap().info = None;
    let rejection = cluster.rejected(Command::AttachAgent(command));
    assert!(matches!(rejection, Rejection::Malformed(_)));
    let unreachable = cluster.framework("f1").unreachable_tasks.get("t1").unwrap();
    assert_eq!(unreachable.state, UNREACHABLE);
}
