//! Operations on resources of role `eng`.

use caprock_model::Resources;
use caprock_proto::caprock::registry::accept_step::Step;
use caprock_proto::caprock::registry::entry::Command;
use caprock_proto::caprock::registry::{Accept, AcceptStep, ApplyOperation};
use caprock_proto::mesos::v1::offer::operation::{Create, Destroy, Reserve, Type, Unreserve};
use caprock_proto::mesos::v1::resource::disk_info::Persistence;
use caprock_proto::mesos::v1::resource::{DiskInfo, ReservationInfo, reservation_info};
use caprock_proto::mesos::v1::{Resource, Volume, offer, volume};

use super::resources;

pub(crate) fn reserved(text: &str) -> Vec<Resource> {
    let mut protos = resources(text);
    for proto in &mut protos {
        proto.reservations = vec![ReservationInfo {
            r#type: Some(reservation_info::Type::Dynamic as i32),
            role: Some("eng".to_owned()),
            ..ReservationInfo::default()
        }];
    }
    protos
}

pub(crate) fn allocated_volume(size: u32, id: &str) -> Vec<Resource> {
    let mut disks = Resources::from_protos(&reserved(&format!("disk:{size}")))
        .unwrap()
        .allocated_to("eng")
        .to_protos();
    disks[0].disk = Some(DiskInfo {
        persistence: Some(Persistence {
            id: id.to_owned(),
            principal: None,
        }),
        volume: Some(Volume {
            mode: volume::Mode::Rw as i32,
            container_path: "data".to_owned(),
            ..Volume::default()
        }),
        ..DiskInfo::default()
    });
    disks
}

fn of(kind: Type) -> offer::Operation {
    offer::Operation {
        r#type: Some(kind as i32),
        ..offer::Operation::default()
    }
}

pub(crate) fn reserve(text: &str) -> offer::Operation {
    offer::Operation {
        reserve: Some(Reserve {
            source: Vec::new(),
            resources: reserved(text),
        }),
        ..of(Type::Reserve)
    }
}

pub(crate) fn unreserve(text: &str) -> offer::Operation {
    offer::Operation {
        unreserve: Some(Unreserve {
            resources: reserved(text),
        }),
        ..of(Type::Unreserve)
    }
}

pub(crate) fn create(size: u32, id: &str) -> offer::Operation {
    offer::Operation {
        create: Some(Create {
            volumes: allocated_volume(size, id),
        }),
        ..of(Type::Create)
    }
}

pub(crate) fn destroy(size: u32, id: &str) -> offer::Operation {
    offer::Operation {
        destroy: Some(Destroy {
            volumes: allocated_volume(size, id),
        }),
        ..of(Type::Destroy)
    }
}

pub(crate) fn by_operator(agent: &str, operation: offer::Operation) -> Command {
    Command::ApplyOperation(ApplyOperation {
        agent_id: agent.to_owned(),
        operation: Some(operation),
    })
}

pub(crate) fn by_framework(framework: &str, agent: &str, steps: Vec<Step>) -> Command {
    let steps = steps
        .into_iter()
        .map(|step| AcceptStep { step: Some(step) });
    Command::Accept(Accept {
        framework_id: framework.to_owned(),
        agent_id: agent.to_owned(),
        steps: steps.collect(),
    })
}
