//! An operation on an agent's resources: in the log, and perhaps not done by the agent yet,
//! or done and not acknowledged.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use caprock_model::{AgentId, FrameworkId, Millis};
use caprock_proto::caprock::registry::OperationRecord;
use caprock_proto::mesos::v1::{OperationState, OperationStatus, offer};

use crate::LogIndex;
use crate::outcome::Rejection;

/// Names an operation in the whole cluster. It is made of the place in the log, so that an
/// agent's operations are in the order in which they have to be carried out.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OperationUuid([u8; 16]);

impl OperationUuid {
    /// The uuid of an operation that is one of several steps of an entry.
    pub(crate) fn new(at: LogIndex, step: u16, now: Millis) -> Self {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&at.to_be_bytes());
        bytes[8..10].copy_from_slice(&step.to_be_bytes());
        // Tells apart what would be the same place of a log that was begun anew.
        bytes[10..].copy_from_slice(&now.0.to_be_bytes()[2..]);
        Self(bytes)
    }

    /// The uuid in these bytes, if they are one.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// The bytes as messages carry them.
    pub fn to_bytes(self) -> Bytes {
        Bytes::copy_from_slice(&self.0)
    }
}

impl fmt::Display for OperationUuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for OperationUuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OperationUuid({self})")
    }
}

/// An operation that is not acknowledged.
#[derive(Clone, Debug, PartialEq)]
pub struct Operation {
    pub uuid: OperationUuid,
    pub agent_id: AgentId,
    /// None if an operator asked for it.
    pub framework_id: Option<FrameworkId>,
    pub info: Arc<offer::Operation>,
    /// What the agent said of it; none while it is pending.
    pub status: Option<OperationStatus>,
}

impl Operation {
    /// Whether the agent has not done it yet, as far as the log knows.
    pub fn is_pending(&self) -> bool {
        self.status.is_none()
    }

    /// The id by which the framework knows it: then it wants to be told.
    pub fn id(&self) -> Option<&str> {
        self.info.id.as_ref().map(|id| id.value.as_str())
    }

    /// The newest state.
    pub fn state(&self) -> OperationState {
        self.status
            .as_ref()
            .map_or(OperationState::OperationPending, |status| status.state())
    }

    pub(crate) fn to_record(&self) -> OperationRecord {
        OperationRecord {
            agent_id: self.agent_id.to_string(),
            operation_uuid: self.uuid.to_bytes(),
            framework_id: self
                .framework_id
                .as_ref()
                .map(FrameworkId::to_string)
                .unwrap_or_default(),
            info: Some(offer::Operation::clone(&self.info)),
            status: self.status.clone(),
        }
    }

    pub(crate) fn from_record(record: &OperationRecord) -> Result<Self, Rejection> {
        let malformed = |text: &str| Rejection::Malformed(text.to_owned());
        let uuid = OperationUuid::from_bytes(&record.operation_uuid);
        let framework_id = Some(record.framework_id.as_str()).filter(|id| !id.is_empty());
        Ok(Self {
            uuid: uuid.ok_or_else(|| malformed("operation without a uuid"))?,
            agent_id: AgentId::from(record.agent_id.as_str()),
            framework_id: framework_id.map(FrameworkId::from),
            info: Arc::new(
                record
                    .info
                    .clone()
                    .ok_or_else(|| malformed("operation without its info"))?,
            ),
            status: record.status.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uuids_are_in_the_order_of_the_log() {
        let uuid = |at, step, now| OperationUuid::new(at, step, Millis(now));
        assert!(uuid(1, 9, 500) < uuid(2, 0, 400));
        assert!(uuid(2, 0, 400) < uuid(2, 1, 400));
        assert_ne!(uuid(2, 1, 400), uuid(2, 1, 401));
        let bytes = uuid(2, 1, 400).to_bytes();
        assert_eq!(OperationUuid::from_bytes(&bytes), Some(uuid(2, 1, 400)));
        assert_eq!(OperationUuid::from_bytes(&bytes[1..]), None);
    }
}
