//! Agents join, get out of sight, and leave.

use caprock_model::TaskId;
use caprock_proto::mesos::v1::framework_info::capability::Type as Capability;

use super::*;
use crate::testing::{
    Cluster, FINISHED, LOST, RUNNING, UNREACHABLE, acknowledge, admit, attach, framework,
    remove_agent, resources, subscribe, task, task_with_executor, unreachable,
};
use crate::{Limits, Task};
use caprock_proto::caprock::registry::entry::Command;

fn agent_id(id: &str) -> AgentId {
    AgentId::from(id)
}

fn ended(outcome: Outcome) -> Vec<Arc<Task>> {
    match outcome {
        Outcome::Ended { tasks } => tasks,
        other => panic!("not ended: {other:?}"),
    }
}

fn unreachable_task<'a>(cluster: &'a Cluster, framework: &str, task: &str) -> &'a Task {
    cluster
        .framework(framework)
        .unreachable_tasks
        .get(&TaskId::from(task))
        .unwrap()
}

#[test]
fn an_admitted_agent_is_known_by_both_ids() {
    let mut cluster = Cluster::new();
    cluster.done(admit("a1"));
    let agent = cluster.agent("a1");
    assert!(agent.is_reachable());
    assert_eq!(agent.total.to_string(), "cpus:4; mem:1024; ports:[1-10]");
    assert_eq!(agent.available(), agent.total);
    assert_eq!(agent.info.id.as_ref().unwrap().value, "a1");
    assert_eq!(agent.registered_at, cluster.now());
    let found = cluster.registry.agent_by_registration("registration-a1");
    assert_eq!(found.unwrap().id, "a1");
}

#[test]
fn a_repeated_registration_names_the_first() {
    let mut cluster = Cluster::new();
    cluster.done(admit("a1"));
    let mut again = admit("a2");
    if let Command::AdmitAgent(AdmitAgent { agent: Some(agent) }) = &mut again {
        agent.registration_id = "registration-a1".to_owned();
    }
    assert_eq!(
        cluster.rejected(again),
        Rejection::AgentExists(agent_id("a1"))
    );
    let mut same_id = admit("a1");
    if let Command::AdmitAgent(AdmitAgent { agent: Some(agent) }) = &mut same_id {
        agent.registration_id = "another".to_owned();
    }
    assert_eq!(
        cluster.rejected(same_id),
        Rejection::AgentExists(agent_id("a1"))
    );
}

#[test]
fn a_broken_description_is_rejected() {
    let mut cluster = Cluster::new();
    let mut command = admit("a1");
    if let Command::AdmitAgent(AdmitAgent { agent: Some(agent) }) = &mut command {
        let mut broken = resources("cpus:1");
        broken[0].scalar = None;
        agent.info.as_mut().unwrap().resources = broken;
    }
    assert!(matches!(cluster.rejected(command), Rejection::Malformed(_)));
    let nobody = Command::AdmitAgent(AdmitAgent::default());
    assert!(matches!(cluster.rejected(nobody), Rejection::Malformed(_)));
}

#[test]
fn tasks_of_an_unreachable_agent_are_kept_apart_and_use_nothing() {
    let mut cluster = Cluster::with_running_task();
    cluster.done(subscribe(framework("f2", &[])));
    cluster.launch("f2", "a1", vec![task_with_executor("t1", "cpus:1", "e1")]);

    let tasks = ended(cluster.apply(unreachable("a1")));
    let states: Vec<_> = tasks.iter().map(|task| task.state).collect();
    assert_eq!(
        states,
        [UNREACHABLE, LOST],
        "by what the frameworks understand"
    );
    assert_eq!(cluster.agent("a1").unreachable_since(), Some(cluster.now()));
    assert!(cluster.agent("a1").used.is_empty() && cluster.agent("a1").used_by.is_empty());
    assert!(cluster.agent("a1").executors.is_empty());
    assert!(cluster.agent("a1").available().is_empty());
    assert!(cluster.framework("f1").tasks.is_empty());
    assert!(cluster.framework("f2").used.is_empty());
    let task = unreachable_task(&cluster, "f1", "t1");
    assert_eq!((task.state, task.latest_state), (UNREACHABLE, RUNNING));
    let last = task.statuses.last().unwrap();
    assert_eq!(last.message(), "health check timed out");
    assert_eq!(last.reason(), Reason::AgentRemoved);
    assert_eq!(last.unreachable_time, Some(cluster.now().to_proto()));

    let again = Rejection::AgentUnreachable(agent_id("a1"));
    assert_eq!(cluster.rejected(unreachable("a1")), again);
}

#[test]
fn an_end_that_was_told_is_not_undone_by_the_loss_of_the_agent() {
    let mut cluster = Cluster::with_running_task();
    cluster.update("t1", FINISHED, "u2", FINISHED);
    let tasks = ended(cluster.apply(unreachable("a1")));
    assert_eq!(tasks[0].state, FINISHED);
    let outcome = cluster.apply(Command::AttachAgent(attach("a1")));
    assert!(matches!(outcome, Outcome::Attached { .. }));
    cluster.done(acknowledge("f1", "t1", "u2"));
}

#[test]
fn the_oldest_unreachable_tasks_are_forgotten() {
    let limits = Limits {
        unreachable_tasks_per_framework: 2,
        ..Limits::default()
    };
    let mut cluster = Cluster::with_limits(limits);
    cluster.done(subscribe(framework("f1", &[])));
    for (agent, tasks) in [("a2", ["t1", "t2"]), ("a1", ["t3", "t4"])] {
        cluster.done(admit(agent));
        cluster.launch(
            "f1",
            agent,
            tasks.iter().map(|id| task(id, "cpus:1")).collect(),
        );
    }
    cluster.apply(unreachable("a2"));
    assert_eq!(ended(cluster.apply(unreachable("a1"))).len(), 2);
    let kept: Vec<_> = cluster.framework("f1").unreachable_tasks.keys().collect();
    assert_eq!(kept, [&TaskId::from("t3"), &TaskId::from("t4")]);
    assert!(cluster.agent("a2").tasks.is_empty());
}

#[test]
fn a_gone_agent_ends_its_tasks_and_never_returns() {
    let mut cluster = Cluster::with_running_task();
    cluster.done(subscribe(framework("f2", &[])));
    cluster.launch("f2", "a1", vec![task_with_executor("t1", "cpus:1", "e1")]);

    let tasks = ended(cluster.apply(remove_agent("a1", Removal::Gone)));
    assert_eq!(tasks[0].state, TaskState::TaskGoneByOperator);
    assert_eq!(
        tasks[0].statuses.last().unwrap().reason(),
        Reason::AgentRemovedByOperator
    );
    assert_eq!(tasks[1].state, LOST);
    assert_eq!(
        tasks[1].statuses.last().unwrap().reason(),
        Reason::AgentRemoved
    );
    assert!(cluster.registry.agent(&agent_id("a1")).is_none());
    assert_eq!(cluster.framework("f1").completed_tasks.len(), 1);
    assert!(cluster.framework("f2").executors.is_empty());
    let removed = RemovedAgent {
        removal: Removal::Gone,
        at: cluster.now(),
    };
    assert_eq!(
        cluster.registry.removed_agent(&agent_id("a1")),
        Some(&removed)
    );

    let gone = Rejection::AgentGone(agent_id("a1"));
    assert_eq!(cluster.rejected(admit("a1")), gone);
    assert_eq!(cluster.rejected(Command::AttachAgent(attach("a1"))), gone);
    let removed = Rejection::AgentRemoved(agent_id("a1"));
    assert_eq!(cluster.rejected(unreachable("a1")), removed);
    assert_eq!(cluster.rejected(remove_agent("a1", Removal::Gone)), removed);
}

#[test]
fn an_unregistered_agent_loses_its_tasks_for_everybody() {
    let mut cluster = Cluster::with_running_task();
    let tasks = ended(cluster.apply(remove_agent("a1", Removal::Unregistered)));
    assert_eq!(tasks[0].state, LOST);
    let message = tasks[0].statuses.last().unwrap().message().to_owned();
    assert_eq!(message, "Agent a1.example removed: the agent unregistered");
}

#[test]
fn unreachable_tasks_end_with_their_agent() {
    let mut cluster = Cluster::new();
    cluster.done(admit("a1"));
    cluster.done(subscribe(framework("f1", &[Capability::PartitionAware])));
    cluster.launch("f1", "a1", vec![task("t1", "cpus:1")]);
    cluster.apply(unreachable("a1"));
    let tasks = ended(cluster.apply(remove_agent("a1", Removal::Gone)));
    assert_eq!(tasks[0].state, TaskState::TaskGoneByOperator);
    assert!(cluster.framework("f1").unreachable_tasks.is_empty());
    assert_eq!(cluster.framework("f1").completed_tasks.len(), 1);
}

#[test]
fn a_task_that_has_ended_keeps_its_end_when_the_agent_is_removed() {
    let mut cluster = Cluster::with_running_task();
    cluster.update("t1", RUNNING, "u2", FINISHED);
    let tasks = ended(cluster.apply(remove_agent("a1", Removal::Unregistered)));
    assert_eq!(
        (tasks[0].state, tasks[0].latest_state),
        (FINISHED, FINISHED)
    );
}
