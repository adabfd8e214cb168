//! Operations besides launches: what remains of the offers is converted step by step, so
//! that later operations can use what earlier ones made (Mesos: Master::_accept). One that
//! fails is left out, and says so if it has an id.

use std::collections::BTreeMap;

use caprock_model::operation::{Conversion, conversion};
use caprock_model::validate::{self, Asker};
use caprock_proto::mesos::v1::offer::{Operation, operation::Type};
use caprock_proto::mesos::v1::{OperationId, OperationState, OperationStatus};

use super::bid::Bid;

impl Bid<'_> {
    /// Takes a good operation into the entry; of a bad one only the failure is kept.
    pub fn operate(&mut self, kind: Type, mut operation: Operation) {
        match self.judge_operation(kind, &mut operation) {
            Ok(conversion) => self.take_operation(kind, operation, &conversion),
            Err(text) => {
                let failed = operation.id.as_ref().map(|id| failure(id, &text));
                self.failed.extend(failed);
            }
        }
    }

    fn judge_operation(&self, kind: Type, operation: &mut Operation) -> Result<Conversion, String> {
        let role = Some(self.role().as_str());
        validate::normalize_operation(operation, role)
            .map_err(|error| format!("Operation attempted with invalid resources: {error}"))?;
        let source = operation.reserve.as_ref().map(|reserve| &reserve.source);
        if source.is_some_and(|source| !source.is_empty()) {
            let text = "Reservation updates are not yet implemented for the scheduler API.";
            return Err(text.to_owned());
        }
        if operation.id.is_some() {
            self.check_feedback()?;
        }
        let agent = &self.agent.id;
        let used = self.agent.used.unallocated();
        let asker = Asker {
            framework: Some(&self.framework.info),
            principal: self.framework.info.principal.as_deref(),
            agent: self.agent.capabilities,
            total: &self.total,
            used: &used,
        };
        validate::operation(operation, &asker)
            .map_err(|error| format!("{error}; on agent {agent}"))?;
        let conversion = conversion(operation).map_err(|error| error.to_string())?;
        if self.remaining.contains(&conversion.consumed) {
            return Ok(conversion);
        }
        Err(format!(
            "Invalid {} operation: {} does not contain {}; on agent {agent}",
            kind.as_str_name(),
            self.remaining,
            conversion.consumed
        ))
    }

    /// Whether the agent tells how an operation ended.
    fn check_feedback(&self) -> Result<(), String> {
        let capabilities = self.agent.capabilities;
        for (present, name) in [
            (capabilities.resource_provider, "RESOURCE_PROVIDER"),
            (
                capabilities.agent_operation_feedback,
                "AGENT_OPERATION_FEEDBACK",
            ),
        ] {
            if !present {
                return Err(format!(
                    "Operation requested feedback, but agent {} does not have the required \
                     {name} capability",
                    self.agent.id
                ));
            }
        }
        Ok(())
    }

    fn take_operation(&mut self, kind: Type, operation: Operation, conversion: &Conversion) {
        self.remaining -= &conversion.consumed;
        // A volume of another size is there only when the agent has made it so.
        if !matches!(kind, Type::GrowVolume | Type::ShrinkVolume) {
            self.remaining += &conversion.converted;
        }
        if let Some(total) = conversion.unallocated().apply(&self.total) {
            self.total = total;
        }
        self.operations.push((self.parts.len(), operation));
    }
}

/// Whether an operation is no launch.
pub(super) fn is_conversion(operation: &Operation) -> bool {
    !matches!(operation.r#type(), Type::Launch | Type::LaunchGroup)
}

/// The failure of every operation that is no launch and has an id.
pub(super) fn fail_all(operations: &[Operation], text: &str) -> Vec<OperationStatus> {
    operations
        .iter()
        .filter(|operation| is_conversion(operation))
        .filter_map(|operation| operation.id.as_ref())
        .map(|id| failure(id, text))
        .collect()
}

/// Takes out the operations that are denied; those with an id say so.
pub(super) fn split_denied(
    operations: Vec<Operation>,
    denied: &BTreeMap<usize, String>,
) -> (Vec<Operation>, Vec<OperationStatus>) {
    let mut failed = Vec::new();
    let mut allowed = Vec::with_capacity(operations.len());
    for (place, operation) in operations.into_iter().enumerate() {
        match (denied.get(&place), &operation.id) {
            (None, _) => allowed.push(operation),
            (Some(text), Some(id)) => failed.push(failure(id, text)),
            (Some(_), None) => {}
        }
    }
    (allowed, failed)
}

/// Made by the master: no uuid and no agent, never acknowledged.
pub(super) fn failure(id: &OperationId, text: &str) -> OperationStatus {
    OperationStatus {
        operation_id: Some(id.clone()),
        state: OperationState::OperationError as i32,
        message: Some(text.to_owned()),
        ..OperationStatus::default()
    }
}
