//! Operations besides launches. None is supported yet: each fails by itself, and says so
//! if it has an id (Mesos: Master::_accept, which is silent about operations without one).

use caprock_proto::mesos::v1::offer::{Operation, operation::Type};
use caprock_proto::mesos::v1::{OperationId, OperationState, OperationStatus};

use super::bid::Bid;

impl Bid<'_> {
    /// Nothing is taken from what remains, so that operations which need the result of this
    /// one fail in their turn.
    pub fn operate(&mut self, kind: Type, operation: &Operation) {
        let Some(id) = &operation.id else { return };
        let reserve = operation.reserve.as_ref();
        let text = if reserve.is_some_and(|reserve| !reserve.source.is_empty()) {
            "Reservation updates are not yet implemented for the scheduler API.".to_owned()
        } else if kind == Type::Unknown {
            "Unknown offer operation".to_owned()
        } else {
            format!(
                "Operation {} is not yet supported; on agent {}",
                kind.as_str_name(),
                self.agent.id
            )
        };
        self.failed.push(failure(id, &text));
    }
}

/// The failure of every operation that is no launch and has an id.
pub(super) fn fail_all(operations: &[Operation], text: &str) -> Vec<OperationStatus> {
    operations
        .iter()
        .filter(|operation| !matches!(operation.r#type(), Type::Launch | Type::LaunchGroup))
        .filter_map(|operation| operation.id.as_ref())
        .map(|id| failure(id, text))
        .collect()
}

/// Made by the master: no uuid and no agent, never acknowledged.
fn failure(id: &OperationId, text: &str) -> OperationStatus {
    OperationStatus {
        operation_id: Some(id.clone()),
        state: OperationState::OperationError as i32,
        message: Some(text.to_owned()),
        ..OperationStatus::default()
    }
}
