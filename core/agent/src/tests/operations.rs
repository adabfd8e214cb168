//! Operations on the agent's resources.

use bytes::Bytes;
use caprock_model::Resources;
use caprock_proto::caprock::session::{
    AcknowledgeOperation, ApplyOperation, OperationUpdate, from_agent, order,
};
use caprock_proto::mesos::v1::offer::{Operation, operation};
use caprock_proto::mesos::v1::{OperationState, Resource, resource};

use super::rig::*;
use crate::Effects;

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
