//! Operations in the log: what they change, when they are rejected, and what is kept of them.

use bytes::Bytes;
use caprock_proto::caprock::registry::AttachAgent;
use caprock_proto::caprock::registry::entry::Command;
use caprock_proto::mesos::v1::OperationStatus;

use super::*;
use crate::testing::operation::{
    allocated_volume, by_framework, by_operator, create, destroy, reserve, reserved, unreserve,
};
use crate::testing::{
    Cluster, FINISHED, admit_with, attach, framework, resources, subscribe, task, unreachable,
};
use crate::{Registry, Set};

const AGENT: &str = "cpus:4;mem:1024;disk:100";

fn cluster() -> Cluster {
    let mut cluster = Cluster::new();
    cluster.done(admit_with("a1", AGENT));
    cluster.done(subscribe(framework("f1", &[])));
    cluster
}

fn convert_one(cluster: &mut Cluster, operation: offer::Operation) -> Arc<Operation> {
    match cluster.apply(by_operator("a1", operation)) {
        Outcome::Converted(operation) => operation,
        other => panic!("not converted: {other:?}"),
    }
}

fn launch_step(info: caprock_proto::mesos::v1::TaskInfo) -> Step {
    Step::Launch(Launch {
        tasks: vec![info],
        ..Launch::default()
    })
}

fn status(state: OperationState) -> OperationStatus {
    OperationStatus {
        state: state as i32,
        ..OperationStatus::default()
    }
}

fn record_command(uuid: Bytes, state: OperationState) -> Command {
    Command::RecordOperation(RecordOperation {
        agent_id: "a1".to_owned(),
        operation_uuid: uuid,
        status: Some(status(state)),
    })
}

fn acknowledge_command(uuid: Bytes, state: OperationState) -> Command {
    Command::AcknowledgeOperation(AcknowledgeOperation {
        agent_id: "a1".to_owned(),
        operation_uuid: uuid,
        status: Some(status(state)),
    })
}

fn total(cluster: &Cluster) -> Resources {
    cluster.agent("a1").total.clone()
}

fn restored(cluster: &Cluster) -> Registry {
    Registry::restore(cluster.registry.chunks()).unwrap()
}

#[test]
fn a_reservation_changes_the_total_until_it_is_undone() {
    let mut cluster = cluster();
    let before = total(&cluster);
    let operation = convert_one(&mut cluster, reserve("cpus:2"));
    assert!(operation.is_pending());
    assert_eq!(total(&cluster).reserved_to("eng").len(), 1);
    assert_eq!(restored(&cluster).diff(&cluster.registry), [""; 0]);
    convert_one(&mut cluster, unreserve("cpus:2"));
    assert_eq!(total(&cluster), before);
    assert_eq!(cluster.agent("a1").operations.size(), 2);
}

#[test]
fn what_is_used_or_not_there_is_not_converted() {
    let mut cluster = cluster();
    cluster.launch("f1", "a1", vec![task("t1", "cpus:3")]);
    let rejection = cluster.rejected(by_operator("a1", reserve("cpus:2")));
    assert!(
        matches!(rejection, Rejection::NotConvertible { .. }),
        "{rejection}"
    );
    convert_one(&mut cluster, reserve("cpus:1"));
    cluster.rejected(by_operator("a1", unreserve("cpus:2")));
    cluster.rejected(by_operator("a2", reserve("mem:1")));
    cluster.apply(unreachable("a1"));
    cluster.rejected(by_operator("a1", reserve("mem:1")));
}

#[test]
fn the_steps_of_an_accept_build_on_each_other() {
    let mut cluster = cluster();
    let mut info = task("t1", "cpus:1");
    info.resources.extend(allocated_volume(40, "v"));
    let steps = vec![
        Step::Operation(reserve("disk:50")),
        Step::Operation(create(40, "v")),
        Step::Operation(create(40, "v")),
        launch_step(info),
        launch_step(task("t2", "cpus:9")),
    ];
    let Outcome::Steps(outcomes) = cluster.apply(by_framework("f1", "a1", steps)) else {
        panic!("no steps");
    };
    let kinds: Vec<&str> = outcomes
        .iter()
        .map(|outcome| match outcome {
            Outcome::Converted(_) => "converted",
            Outcome::Launched { rejected } if rejected.is_empty() => "launched",
            Outcome::Launched { .. } => "refused",
            _ => "rejected",
        })
        .collect();
    let expected = ["converted", "converted", "rejected", "launched", "refused"];
    assert_eq!(kinds, expected);
    assert!(cluster.task("t1").is_some());
    // In use: neither destroyed nor unreserved.
    cluster.rejected(by_operator("a1", destroy(40, "v")));
    cluster.update("t1", FINISHED, "", FINISHED);
    convert_one(&mut cluster, destroy(40, "v"));
    convert_one(&mut cluster, unreserve("disk:50"));
    let plain = Resources::from_protos(&resources(AGENT)).unwrap();
    assert_eq!(total(&cluster), plain);
    let uuids: Set<_> = cluster.agent("a1").operations.keys().copied().collect();
    assert_eq!(uuids.size(), 4);
}

#[test]
fn ids_of_volumes_are_unique_in_their_role() {
    let mut cluster = cluster();
    convert_one(&mut cluster, reserve("disk:100"));
    convert_one(&mut cluster, create(40, "v"));
    let rejection = cluster.rejected(by_operator("a1", create(20, "v")));
    assert!(rejection.to_string().contains("not unique"), "{rejection}");
    convert_one(&mut cluster, create(20, "w"));
}

#[test]
fn an_operation_is_kept_until_it_is_acknowledged() {
    let mut cluster = cluster();
    let uuid = convert_one(&mut cluster, reserve("cpus:2")).uuid;
    cluster.done(record_command(
        uuid.to_bytes(),
        OperationState::OperationFinished,
    ));
    let kept = cluster.agent("a1").operations.get(&uuid).unwrap();
    assert_eq!(kept.state(), OperationState::OperationFinished);
    assert_eq!(restored(&cluster).diff(&cluster.registry), [""; 0]);
    let done = OperationState::OperationFinished;
    cluster.done(acknowledge_command(uuid.to_bytes(), done));
    assert!(cluster.agent("a1").operations.is_empty());
    let again = cluster.rejected(acknowledge_command(uuid.to_bytes(), done));
    assert_eq!(again, Rejection::UnknownOperation);
    assert_eq!(total(&cluster).reserved_to("eng").len(), 1);
}

#[test]
fn what_the_agent_could_not_do_is_taken_back() {
    let mut cluster = cluster();
    let before = total(&cluster);
    let failed = OperationState::OperationFailed;
    let uuid = convert_one(&mut cluster, reserve("cpus:2")).uuid;
    cluster.done(record_command(uuid.to_bytes(), failed));
    assert_eq!(total(&cluster), before);
    cluster.done(acknowledge_command(uuid.to_bytes(), failed));
    let uuid = convert_one(&mut cluster, reserve("cpus:2")).uuid;
    cluster.done(acknowledge_command(uuid.to_bytes(), failed));
    assert_eq!(total(&cluster), before);
}

#[test]
fn reservations_outlive_the_absence_and_the_growth_of_an_agent() {
    let mut cluster = cluster();
    convert_one(&mut cluster, reserve("cpus:2"));
    cluster.apply(unreachable("a1"));
    let mut back = attach("a1");
    let description = back.agent.as_mut().unwrap();
    description.info.as_mut().unwrap().resources = resources("cpus:8;mem:1024;disk:100");
    cluster.apply(Command::AttachAgent(back));
    let total = total(&cluster);
    assert_eq!(total.reserved_to("eng").cpus().to_f64(), 2.0);
    assert_eq!(total.unreserved().cpus().to_f64(), 6.0);
    assert_eq!(restored(&cluster).diff(&cluster.registry), [""; 0]);
}

#[test]
fn an_unknown_agent_brings_its_reservations() {
    let mut cluster = Cluster::new();
    let mut checkpointed = reserved("cpus:1");
    checkpointed.extend(resources("cpus:3;mem:1024;ports:[1-10]"));
    cluster.apply(Command::AttachAgent(AttachAgent {
        checkpointed_resources: checkpointed,
        ..attach("a1")
    }));
    assert_eq!(total(&cluster).reserved_to("eng").len(), 1);
}
