//! Operations on the agent's own resources. The log decides; the agent keeps the result and
//! reports it until the report is acknowledged, like a task's status.

use bytes::Bytes;
use caprock_model::operation::conversion;
use caprock_model::{DurationMs, Millis, Resources};
use caprock_proto::caprock::checkpoint;
use caprock_proto::caprock::session::{self, from_agent};
use caprock_proto::mesos::v1::offer::{Operation as OfferOperation, operation};
use caprock_proto::mesos::v1::{self, OperationState, OperationStatus};

use crate::agent::Agent;
use crate::checkpoint::Key;
use crate::input::TimerKey;

/// An operation whose status is not acknowledged.
#[derive(Debug, Clone)]
pub(crate) struct PendingOperation {
    framework_id: String,
    uuid: Bytes,
    info: OfferOperation,
    status: OperationStatus,
    pause: DurationMs,
    resend_at: Option<Millis>,
}

impl PendingOperation {
    pub fn key(&self) -> Vec<u8> {
        self.uuid.to_vec()
    }

    pub fn to_record(&self) -> checkpoint::Operation {
        checkpoint::Operation {
            framework_id: self.framework_id.clone(),
            uuid: self.uuid.clone(),
            info: Some(self.info.clone()),
            latest_status: Some(self.status.clone()),
        }
    }

    /// The volumes that it destroyed.
    pub fn destroyed(&self) -> Option<&operation::Destroy> {
        let done = self.status.state() == OperationState::OperationFinished;
        self.info.destroy.as_ref().filter(|_| done)
    }

    pub fn from_record(record: checkpoint::Operation) -> Option<Self> {
        Some(Self {
            framework_id: record.framework_id,
            uuid: record.uuid,
            info: record.info?,
            status: record.latest_status?,
            pause: DurationMs::ZERO,
            resend_at: None,
        })
    }
}

impl Agent {
    pub(crate) fn apply_operation(&mut self, order: session::ApplyOperation) {
        let key = order.operation_uuid.to_vec();
        if self.operations.contains_key(&key) {
            return self.send_operation(&key, self.config.status_update_retry_min);
        }
        let Some(info) = order.operation else {
            self.warn("an order to apply an operation names none");
            return;
        };
        let mut status = OperationStatus {
            operation_id: info.id.clone(),
            state: OperationState::OperationFinished as i32,
            uuid: Some(v1::Uuid {
                value: self.ids.uuid(),
            }),
            agent_id: self.agent_id().map(|id| id.to_proto()),
            ..OperationStatus::default()
        };
        match self.convert(&info) {
            Ok(converted) => {
                status.converted_resources = converted.to_protos();
                self.follow_up(&info);
            }
            Err(message) => {
                status.state = OperationState::OperationFailed as i32;
                status.message = Some(message);
            }
        }
        let pending = PendingOperation {
            framework_id: order.framework_id,
            uuid: order.operation_uuid,
            info,
            status,
            pause: DurationMs::ZERO,
            resend_at: None,
        };
        self.mark(Key::Operation(pending.uuid.clone()));
        self.operations.insert(key.clone(), pending);
        self.send_operation(&key, self.config.status_update_retry_min);
    }

    fn convert(&mut self, info: &OfferOperation) -> Result<Resources, String> {
        let conversion = conversion(info).map_err(|error| error.to_string())?;
        let conversion = conversion.unallocated();
        match conversion.apply(&self.total) {
            Some(total) => {
                self.total = total;
                self.converted = true;
                self.mark(Key::Converted);
            }
            // A repeated order finds the work done.
            None if self.total.contains(&conversion.converted) => {}
            None => return Err(format!("The agent does not have {}", conversion.consumed)),
        }
        Ok(conversion.converted)
    }

    pub(crate) fn acknowledge_operation(&mut self, order: &session::AcknowledgeOperation) {
        let key = order.operation_uuid.to_vec();
        let waiting = self
            .operations
            .get(&key)
            .and_then(|found| found.status.uuid.as_ref());
        if waiting.is_none_or(|uuid| uuid.value != order.status_uuid) {
            self.log("acknowledgement of an operation that does not wait for it is ignored");
            return;
        }
        self.operations.remove(&key);
        self.mark(Key::Operation(order.operation_uuid.clone()));
    }

    /// The operations that are done and not acknowledged, for the leader to compare.
    pub(crate) fn applied_operations(&self) -> Vec<Bytes> {
        let operations = self.operations.values();
        operations.map(|pending| pending.uuid.clone()).collect()
    }

    pub(crate) fn resend_operations(&mut self) {
        let keys: Vec<_> = self.operations.keys().cloned().collect();
        for key in keys {
            self.send_operation(&key, self.config.status_update_retry_min);
        }
    }

    pub(crate) fn retry_operation(&mut self, key: &[u8]) {
        let Some(found) = self.operations.get(key) else {
            return;
        };
        let (deadline, pause) = (found.resend_at, found.pause);
        if self.is_due(deadline, TimerKey::RetryOperation(key.to_vec())) {
            let longest = self.config.status_update_retry_max;
            self.send_operation(key, DurationMs((pause.0 * 2).min(longest.0)));
        }
    }

    fn send_operation(&mut self, key: &[u8], pause: DurationMs) {
        let attached = self.is_attached();
        let again_at = self.after(pause);
        let Some(found) = self.operations.get_mut(key) else {
            return;
        };
        found.pause = pause;
        found.resend_at = attached.then_some(again_at);
        if !attached {
            return;
        }
        let update = session::OperationUpdate {
            framework_id: found.framework_id.clone(),
            status: Some(found.status.clone()),
            latest_status: Some(found.status.clone()),
            operation_uuid: found.uuid.clone(),
        };
        self.tell_leader(from_agent::Message::OperationUpdate(update));
        self.wake(again_at, TimerKey::RetryOperation(key.to_vec()));
    }

    pub(crate) fn operations_view(&self) -> Vec<v1::Operation> {
        let operations = self.operations.values().map(|pending| v1::Operation {
            framework_id: (!pending.framework_id.is_empty()).then(|| v1::FrameworkId {
                value: pending.framework_id.clone(),
            }),
            agent_id: self.agent_id().map(|id| id.to_proto()),
            info: pending.info.clone(),
            latest_status: pending.status.clone(),
            statuses: vec![pending.status.clone()],
            uuid: v1::Uuid {
                value: pending.uuid.clone(),
            },
        });
        operations.collect()
    }
}
