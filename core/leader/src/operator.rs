//! The calls of the operator API that change something: one file per family.

use caprock_proto::mesos::v1::master::{Call, call};

use crate::effect::Reply;
use crate::input::RequestId;
use crate::office::Office;
use crate::turn::Turn;

impl Office {
    /// An operator's call; it is answered once it is durable.
    pub(crate) fn operator(
        &mut self,
        turn: &mut Turn<'_>,
        request: RequestId,
        _principal: Option<String>,
        call: Call,
    ) {
        match (call.r#type(), call) {
            (
                call::Type::Teardown,
                Call {
                    teardown: Some(call),
                    ..
                },
            ) => {
                self.operator_teardown(turn, request, &call.framework_id.value);
            }
            _ => turn.reply(request, Reply::NotImplemented),
        }
    }
}
