//! GET_OPERATIONS: what was asked of reachable agents and is not acknowledged.

use caprock_model::operation::conversion;
use caprock_proto::mesos::v1::master::response::GetOperations;
use caprock_proto::mesos::v1::{self, OperationState, OperationStatus};
use caprock_registry::Operation;

use super::Snapshot;

/// The operations whose resources the reader may see.
pub fn operations(snapshot: &Snapshot, may_view: impl Fn(&str) -> bool) -> GetOperations {
    let agents = snapshot.reachable_agents();
    let all = agents.flat_map(|agent| agent.operations.values());
    let seen = all.filter(|one| is_seen(one, &may_view));
    GetOperations {
        operations: seen.map(|one| operation(one)).collect(),
    }
}

fn is_seen(operation: &Operation, may_view: impl Fn(&str) -> bool) -> bool {
    let Ok(conversion) = conversion(&operation.info) else {
        return true;
    };
    conversion
        .consumed
        .iter()
        .filter_map(|entry| entry.reservation_role())
        .all(|role| may_view(role))
}

fn operation(operation: &Operation) -> v1::Operation {
    let pending = || OperationStatus {
        operation_id: operation.info.id.clone(),
        state: OperationState::OperationPending as i32,
        ..OperationStatus::default()
    };
    let framework = operation.framework_id.as_ref();
    v1::Operation {
        framework_id: framework.map(|id| id.to_proto()),
        agent_id: Some(operation.agent_id.to_proto()),
        info: (*operation.info).clone(),
        latest_status: operation.status.clone().unwrap_or_else(pending),
        statuses: operation.status.iter().cloned().collect(),
        uuid: v1::Uuid {
            value: operation.uuid.to_bytes(),
        },
    }
}
