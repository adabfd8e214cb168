//! Launches.

use caprock_proto::caprock::registry::entry::Command;

use super::*;
use crate::testing::{
    Cluster, FINISHED, RUNNING, STAGING, acknowledge, admit, executor, framework, launch,
    launch_group, remove_framework, subscribe, task, task_with_executor, unreachable,
};

fn task_id(id: &str) -> TaskId {
    TaskId::from(id)
}

#[test]
fn a_launched_task_is_staging_and_charged() {
    let mut cluster = Cluster::with_agent_and_framework();
    cluster.launch("f1", "a1", vec![task("t1", "cpus:1;mem:128;ports:[3-4]")]);

    let task = cluster.task("t1").unwrap();
    assert_eq!((task.state, task.latest_state), (STAGING, STAGING));
    assert_eq!(
        (task.launch_index, task.launched_at),
        (cluster.index, cluster.now())
    );
    assert_eq!(task.executor_id, "t1");
    assert!(task.is_command && !task.group);
    let used = "cpus(allocated: eng):1; mem(allocated: eng):128; ports(allocated: eng):[3-4]";
    assert_eq!(cluster.used("a1"), used);
    let agent = cluster.agent("a1");
    assert_eq!(
        agent.available().to_string(),
        "cpus:3; mem:896; ports:[1-2, 5-10]"
    );
    assert_eq!(agent.used_by.get("f1").unwrap().to_string(), used);
    let quantities = cluster.framework("f1").used.get("eng").unwrap();
    assert_eq!(quantities.to_string(), "cpus:1; mem:128");
}

#[test]
fn tasks_are_judged_one_by_one() {
    let mut cluster = Cluster::with_agent_and_framework();
    let tasks = vec![
        task("t1", "cpus:3"),
        task("t1", "cpus:1"),
        task("t2", "cpus:2"),
        task("t3", "cpus:1"),
    ];
    let rejected = cluster.try_launch("f1", "a1", tasks);
    let not_enough = Rejection::NotEnoughResources {
        required: "cpus(allocated: eng):2".to_owned(),
        available: "cpus:1; mem:1024; ports:[1-10]".to_owned(),
    };
    let duplicate = Rejection::DuplicateTask(task_id("t1"));
    assert_eq!(
        rejected,
        [(task_id("t1"), duplicate), (task_id("t2"), not_enough)]
    );
    assert!(cluster.task("t1").is_some() && cluster.task("t3").is_some());
    assert_eq!(cluster.used("a1"), "cpus(allocated: eng):4");
}

#[test]
fn the_same_port_is_not_given_twice() {
    let mut cluster = Cluster::with_agent_and_framework();
    cluster.launch("f1", "a1", vec![task("t1", "ports:[3-4]")]);
    let rejected = cluster.try_launch("f1", "a1", vec![task("t2", "ports:[4-5]")]);
    assert!(matches!(
        rejected[..],
        [(_, Rejection::NotEnoughResources { .. })]
    ));
}

#[test]
fn an_id_is_free_again_only_after_the_acknowledgement() {
    let mut cluster = Cluster::with_running_task();
    let again = || vec![task("t1", "cpus:1")];
    let duplicate = [(task_id("t1"), Rejection::DuplicateTask(task_id("t1")))];
    assert_eq!(cluster.try_launch("f1", "a1", again()), duplicate);
    cluster.update("t1", FINISHED, "u2", FINISHED);
    assert_eq!(cluster.try_launch("f1", "a1", again()), duplicate);
    cluster.done(acknowledge("f1", "t1", "u2"));
    cluster.launch("f1", "a1", again());
    assert_eq!(cluster.framework("f1").completed_tasks.len(), 1);
}

#[test]
fn another_framework_may_use_the_same_ids() {
    let mut cluster = Cluster::with_running_task();
    cluster.done(subscribe(framework("f2", &[])));
    cluster.launch("f2", "a1", vec![task("t1", "cpus:1")]);
    assert_eq!(cluster.agent("a1").tasks.size(), 2);
    let of_second = FrameworkId::from("f2");
    assert_eq!(cluster.agent("a1").tasks_of(&of_second).count(), 1);
}

#[test]
fn an_executor_is_charged_once() {
    let mut cluster = Cluster::with_agent_and_framework();
    let tasks = vec![
        task_with_executor("t1", "cpus:1", "e1"),
        task_with_executor("t2", "cpus:1", "e1"),
    ];
    cluster.launch("f1", "a1", tasks);
    let used = "cpus(allocated: eng):2.5; mem(allocated: eng):32";
    assert_eq!(cluster.used("a1"), used);
    cluster.launch("f1", "a1", vec![task_with_executor("t3", "cpus:1", "e1")]);
    assert_eq!(
        cluster.used("a1"),
        "cpus(allocated: eng):3.5; mem(allocated: eng):32"
    );
    assert_eq!(cluster.agent("a1").executors.size(), 1);
    assert_eq!(cluster.framework("f1").executors.size(), 1);
    let task = cluster.task("t3").unwrap();
    assert_eq!(task.executor_id, "e1");
    assert!(!task.is_command);
}

#[test]
fn the_executor_counts_for_the_task_that_starts_it() {
    let mut cluster = Cluster::with_agent_and_framework();
    let tasks = vec![
        task_with_executor("t1", "cpus:4", "e1"),
        task_with_executor("t2", "cpus:3.5", "e1"),
    ];
    let rejected = cluster.try_launch("f1", "a1", tasks);
    assert_eq!(rejected.len(), 1);
    assert_eq!(rejected[0].0, "t1");
    assert_eq!(
        cluster.used("a1"),
        "cpus(allocated: eng):4; mem(allocated: eng):32"
    );
}

#[test]
fn an_executor_of_the_same_id_must_be_the_same() {
    let mut cluster = Cluster::with_agent_and_framework();
    cluster.launch("f1", "a1", vec![task_with_executor("t1", "cpus:1", "e1")]);
    let mut other = task_with_executor("t2", "cpus:1", "e1");
    other.executor = Some(ExecutorInfo {
        name: Some("other".to_owned()),
        ..executor("e1")
    });
    let rejected = cluster.try_launch("f1", "a1", vec![other]);
    let mismatch = Rejection::ExecutorMismatch(ExecutorId::from("e1"));
    assert_eq!(rejected, [(task_id("t2"), mismatch)]);
}

#[test]
fn a_group_is_launched_as_a_whole() {
    let mut cluster = Cluster::with_agent_and_framework();
    let tasks = vec![task("t1", "cpus:1"), task("t2", "cpus:1")];
    assert!(matches!(
        cluster.apply(launch_group("f1", "a1", tasks)),
        Outcome::Launched { rejected } if rejected.is_empty()
    ));
    assert_eq!(
        cluster.used("a1"),
        "cpus(allocated: eng):2.5; mem(allocated: eng):32"
    );
    let task = cluster.task("t2").unwrap();
    assert_eq!(task.executor_id, "e1");
    assert!(task.group && !task.is_command);
}

#[test]
fn a_group_is_rejected_as_a_whole() {
    let mut cluster = Cluster::with_agent_and_framework();
    let tasks = vec![task("t1", "cpus:2"), task("t2", "cpus:1.6")];
    let not_enough = Rejection::NotEnoughForGroup {
        required: "cpus(allocated: eng):4.1; mem(allocated: eng):32".to_owned(),
        available: "cpus:4; mem:1024; ports:[1-10]".to_owned(),
    };
    assert_eq!(
        cluster.rejected(launch_group("f1", "a1", tasks)),
        not_enough
    );
    let twice = vec![task("t1", "cpus:1"), task("t1", "cpus:1")];
    let duplicate = Rejection::DuplicateTask(task_id("t1"));
    assert_eq!(cluster.rejected(launch_group("f1", "a1", twice)), duplicate);
    assert!(cluster.task("t1").is_none() && cluster.agent("a1").executors.is_empty());
}

#[test]
fn tasks_of_a_group_may_share_a_port_and_free_it_with_the_last() {
    let mut cluster = Cluster::with_agent_and_framework();
    let tasks = vec![task("t1", "ports:[5-5]"), task("t2", "ports:[5-6]")];
    cluster.apply(launch_group("f1", "a1", tasks));
    cluster.update("t1", FINISHED, "u1", FINISHED);
    assert_eq!(
        cluster.agent("a1").available().ports().to_string(),
        "[1-4, 7-10]"
    );
    cluster.update("t2", FINISHED, "u2", FINISHED);
    assert_eq!(
        cluster.agent("a1").available().ports().to_string(),
        "[1-10]"
    );
    assert!(!cluster.agent("a1").overlapping, "exact sums again");
}

#[test]
fn a_group_without_any_executor_is_rejected() {
    let mut cluster = Cluster::with_agent_and_framework();
    let mut command = launch_group("f1", "a1", vec![task("t1", "cpus:1")]);
    if let Command::Launch(launch) = &mut command {
        launch.new_executors.clear();
    }
    assert!(matches!(
        cluster.rejected(command),
        Rejection::UnknownExecutor(_)
    ));
}

#[test]
fn a_launch_needs_its_framework_and_a_reachable_agent() {
    let mut cluster = Cluster::with_agent_and_framework();
    let tasks = || vec![task("t1", "cpus:1")];
    let unknown_framework = Rejection::UnknownFramework(FrameworkId::from("f9"));
    assert_eq!(
        cluster.rejected(launch("f9", "a1", tasks())),
        unknown_framework
    );
    let unknown_agent = Rejection::UnknownAgent(AgentId::from("a9"));
    assert_eq!(cluster.rejected(launch("f1", "a9", tasks())), unknown_agent);

    cluster.apply(unreachable("a1"));
    let lost_agent = Rejection::AgentUnreachable(AgentId::from("a1"));
    assert_eq!(cluster.rejected(launch("f1", "a1", tasks())), lost_agent);

    cluster.apply(remove_framework("f1", None));
    let removed = Rejection::FrameworkRemoved(FrameworkId::from("f1"));
    assert_eq!(cluster.rejected(launch("f1", "a1", tasks())), removed);
}

#[test]
fn the_id_of_an_unreachable_task_is_not_free() {
    let mut cluster = Cluster::with_running_task();
    cluster.done(admit("a2"));
    cluster.apply(unreachable("a1"));
    let rejected = cluster.try_launch("f1", "a2", vec![task("t1", "cpus:1")]);
    assert_eq!(
        rejected,
        [(task_id("t1"), Rejection::UnreachableTask(task_id("t1")))]
    );
}

#[test]
fn broken_resources_are_rejected() {
    let mut cluster = Cluster::with_agent_and_framework();
    let mut broken = task("t1", "cpus:1");
    broken.resources[0].scalar = None;
    let rejected = cluster.try_launch("f1", "a1", vec![broken, task("t2", "cpus:1")]);
    assert!(matches!(rejected[..], [(_, Rejection::Malformed(_))]));
    cluster.update("t2", RUNNING, "u1", RUNNING);
}
