//! Operations on the agent's resources.

use bytes::Bytes;
use caprock_model::Resources;
use caprock_proto::caprock::session::{
    AcknowledgeOperation, ApplyOperation, OperationUpdate, from_agent, order,
};
use caprock_proto::mesos::v1::offer::{Operation, operation};
use caprock_proto::mesos::v1::{self, OperationState, Resource, resource};

use super::rig::*;
use crate::{Effect, Effects};

fn reserved(text: &str) -> Vec<Resource> {
    let mut protos = Resources::parse(text, "*").unwrap().to_protos();
    for proto in &mut protos {
        proto.reservations = vec![resource::ReservationInfo {
            r#type: Some(resource::reservation_info::Type::Dynamic as i32),
            role: Some("eng".to_string()),
            ..resource::ReservationInfo::default()
        }];
    }
    protos
}

fn apply(rig: &mut Rig, uuid: u8, info: Operation) -> Effects {
    rig.order(order::Order::ApplyOperation(ApplyOperation {
        framework_id: FRAMEWORK.to_string(),
        operation: Some(info),
        operation_uuid: Bytes::from(vec![uuid; 16]),
    }))
}

fn reserve(text: &str) -> Operation {
    Operation {
        r#type: Some(operation::Type::Reserve as i32),
        reserve: Some(operation::Reserve {
            source: Vec::new(),
            resources: reserved(text),
        }),
        ..Operation::default()
    }
}

fn reports(effects: &Effects) -> Vec<OperationUpdate> {
    let reports = to_masters(effects)
        .into_iter()
        .filter_map(|(_, message)| match message {
            from_agent::Message::OperationUpdate(update) => Some(update),
            _ => None,
        });
    reports.collect()
}

#[test]
fn a_reservation_is_kept_and_reported_until_acknowledged() {
    let mut rig = Rig::attached();
    let report = reports(&apply(&mut rig, 1, reserve("cpus:2"))).remove(0);
    let status = report.status.unwrap();
    assert_eq!(status.state(), OperationState::OperationFinished);
    assert_eq!(rig.agent.view().total.reserved_to("eng").len(), 1);
    assert_eq!(
        reports(&rig.advance(29_999)).len(),
        1,
        "after 10 s, then after 20 s more"
    );
    assert_eq!(reports(&rig.advance(1)).len(), 1);
    rig.restart(alive);
    assert_eq!(rig.agent.view().total.reserved_to("eng").len(), 1);
    assert_eq!(reports(&rig.attach()).len(), 1);
    rig.order(order::Order::AcknowledgeOperation(AcknowledgeOperation {
        framework_id: FRAMEWORK.to_string(),
        operation_uuid: Bytes::from(vec![1; 16]),
        status_uuid: status.uuid.unwrap().value,
    }));
    assert!(rig.agent.view().operations.is_empty());
    let mut undo = reserve("cpus:2");
    undo.r#type = Some(operation::Type::Unreserve as i32);
    let resources = undo.reserve.take().unwrap().resources;
    undo.unreserve = Some(operation::Unreserve { resources });
    apply(&mut rig, 2, undo);
    let plain = Resources::from_protos(&rig.config.info.resources).unwrap();
    assert_eq!(rig.agent.view().total, plain);
}

#[test]
fn what_the_agent_does_not_have_fails() {
    let mut rig = Rig::attached();
    let report = reports(&apply(&mut rig, 1, reserve("cpus:99"))).remove(0);
    assert_eq!(
        report.status.unwrap().state(),
        OperationState::OperationFailed
    );
}

fn volume(size: u32, id: &str) -> Resource {
    let mut disk = reserved(&format!("disk:{size}")).remove(0);
    disk.disk = Some(resource::DiskInfo {
        persistence: Some(resource::disk_info::Persistence {
            id: id.to_string(),
            principal: None,
        }),
        volume: Some(v1::Volume {
            mode: v1::volume::Mode::Rw as i32,
            container_path: "data".to_string(),
            ..v1::Volume::default()
        }),
        ..resource::DiskInfo::default()
    });
    disk
}

fn create(volume: Resource) -> Operation {
    let volumes = vec![volume];
    Operation {
        r#type: Some(operation::Type::Create as i32),
        create: Some(operation::Create { volumes }),
        ..Operation::default()
    }
}

fn destroy(volume: Resource) -> Operation {
    let volumes = vec![volume];
    Operation {
        r#type: Some(operation::Type::Destroy as i32),
        destroy: Some(operation::Destroy { volumes }),
        ..Operation::default()
    }
}

fn made(effects: &Effects) -> Vec<String> {
    let made = effects.iter().filter_map(|effect| match effect {
        Effect::MakeVolumes(volumes) => Some(volumes),
        _ => None,
    });
    made.flatten().map(|volume| volume.id.clone()).collect()
}

fn deleted(effects: &Effects) -> Vec<String> {
    let deleted = effects.iter().filter_map(|effect| match effect {
        Effect::DeleteVolumes(volumes) => Some(volumes),
        _ => None,
    });
    deleted.flatten().map(|volume| volume.id.clone()).collect()
}

#[test]
fn a_repeated_order_is_done_once() {
    let mut rig = Rig::attached();
    let first = reports(&apply(&mut rig, 1, reserve("cpus:1"))).remove(0);
    let again = reports(&apply(&mut rig, 1, reserve("cpus:1"))).remove(0);
    assert_eq!(again, first);
    let total = rig.agent.view().total;
    assert_eq!(total.reserved_to("eng").cpus().to_f64(), 1.0);
}

/// An agent with a disk.
fn rig_with_disk() -> Rig {
    let mut config = config();
    let total = Resources::parse("cpus:8;mem:4096;disk:64", "*").unwrap();
    config.info.resources = total.to_protos();
    let mut rig = Rig::with(config);
    rig.attach();
    rig
}

#[test]
fn folders_of_volumes_follow_the_checkpoint() {
    let mut rig = rig_with_disk();
    apply(&mut rig, 1, reserve("disk:64"));
    let effects = apply(&mut rig, 2, create(volume(64, "v")));
    assert_eq!(made(&effects), ["v"]);
    let checkpoint = |effect: &Effect| matches!(effect, Effect::Checkpoint(_));
    let work = |effect: &Effect| matches!(effect, Effect::MakeVolumes(_));
    let report = |effect: &Effect| matches!(effect, Effect::ToMaster { .. });
    let place = |what: fn(&Effect) -> bool| effects.iter().position(what).unwrap();
    assert!(place(checkpoint) < place(work), "a crash must not lose it");
    assert!(place(work) < place(report), "only what is done is told");
    // Whether the folder was made before the agent went down nobody knows.
    let effects = rig.restart(alive);
    assert_eq!(made(&effects), ["v"]);
    rig.attach();
    assert_eq!(
        deleted(&apply(&mut rig, 3, destroy(volume(64, "v")))),
        ["v"]
    );
    let effects = rig.restart(alive);
    assert_eq!(deleted(&effects), ["v"]);
    rig.attach();
    // Made again: a restart may not take it for the one that was destroyed.
    apply(&mut rig, 4, create(volume(64, "v")));
    let effects = rig.restart(alive);
    assert_eq!(made(&effects), ["v"]);
    assert!(deleted(&effects).is_empty());
}

#[test]
fn a_task_is_launched_with_its_volumes() {
    let mut rig = rig_with_disk();
    apply(&mut rig, 1, reserve("disk:64"));
    apply(&mut rig, 2, create(volume(64, "v")));
    let mut task = task("t1");
    task.resources.push(volume(64, "v"));
    let launch = launches(&rig.launch(task)).remove(0);
    let mount = &launch.volumes[0];
    assert_eq!(mount.container_path, "data");
    assert_eq!((&*mount.volume.role, &*mount.volume.id), ("eng", "v"));
}
