//! The shape of scheduler calls (Mesos: the namespace `scheduler::call` of
//! src/master/validation.cpp). The caller puts "Failed to validate scheduler::Call: " in
//! front of the error.

use caprock_proto::mesos::v1::FrameworkId;
use caprock_proto::mesos::v1::scheduler::{Call, call};

use super::{Validity, ensure, id};

/// Whether the call has what its type demands.
pub fn scheduler_call(call: &Call) -> Validity {
    ensure(call.r#type.is_some(), "Expecting 'type' to be present")?;
    if call.r#type() == call::Type::Subscribe {
        let subscribe = present("subscribe", call.subscribe.as_ref())?;
        return ensure(
            same_id(
                call.framework_id.as_ref(),
                subscribe.framework_info.id.as_ref(),
            ),
            "'framework_id' differs from 'subscribe.framework_info.id'",
        );
    }
    present("framework_id", call.framework_id.as_ref())?;
    payload(call)
}

fn payload(call: &Call) -> Validity {
    use call::Type;

    match call.r#type() {
        Type::Unknown | Type::Subscribe | Type::Teardown | Type::Revive | Type::Suppress => Ok(()),
        Type::Accept => present("accept", call.accept.as_ref()).map(drop),
        Type::Decline => present("decline", call.decline.as_ref()).map(drop),
        Type::AcceptInverseOffers => {
            present("accept_inverse_offers", call.accept_inverse_offers.as_ref()).map(drop)
        }
        Type::DeclineInverseOffers => present(
            "decline_inverse_offers",
            call.decline_inverse_offers.as_ref(),
        )
        .map(drop),
        Type::Kill => present("kill", call.kill.as_ref()).map(drop),
        Type::Shutdown => present("shutdown", call.shutdown.as_ref()).map(drop),
        Type::Acknowledge => {
            let acknowledge = present("acknowledge", call.acknowledge.as_ref())?;
            id::uuid(&acknowledge.uuid)
        }
        Type::AcknowledgeOperationStatus => {
            let acknowledge = call.acknowledge_operation_status.as_ref();
            let acknowledge = present("acknowledge_operation_status", acknowledge)?;
            id::uuid(&acknowledge.uuid)?;
            present("agent_id", acknowledge.agent_id.as_ref()).map(drop)
        }
        Type::Reconcile => present("reconcile", call.reconcile.as_ref()).map(drop),
        Type::ReconcileOperations => {
            present("reconcile_operations", call.reconcile_operations.as_ref()).map(drop)
        }
        Type::Message => present("message", call.message.as_ref()).map(drop),
        Type::Request => present("request", call.request.as_ref()).map(drop),
        Type::UpdateFramework => {
            let update = present("update_framework", call.update_framework.as_ref())?;
            ensure(
                same_id(
                    call.framework_id.as_ref(),
                    update.framework_info.id.as_ref(),
                ),
                "'framework_id' differs from 'update_framework.framework_info.id'",
            )
        }
    }
}

/// The field, or Mesos' sentence about its absence.
pub(super) fn present<'a, T>(name: &str, field: Option<&'a T>) -> Result<&'a T, String> {
    field.ok_or_else(|| format!("Expecting '{name}' to be present"))
}

/// An empty id is the same as none.
fn same_id(left: Option<&FrameworkId>, right: Option<&FrameworkId>) -> bool {
    let text = |id: Option<&FrameworkId>| id.map(|id| id.value.clone()).unwrap_or_default();
    text(left) == text(right)
}

#[cfg(test)]
mod tests {
    use caprock_proto::MesosMessage;

    use super::*;

    fn check(json: &str) -> Validity {
        scheduler_call(&Call::from_json(json.as_bytes()).unwrap())
    }

    fn of_framework(fields: &str) -> Validity {
        check(&format!(r#"{{"framework_id":{{"value":"f"}},{fields}}}"#))
    }

    #[test]
    fn subscribe() {
        let subscribe = |id: &str, inner: &str| {
            check(&format!(
                r#"{{"type":"SUBSCRIBE"{id},
                "subscribe":{{"framework_info":{{"user":"u","name":"n"{inner}}}}}}}"#
            ))
        };
        let differs = Err("'framework_id' differs from 'subscribe.framework_info.id'".to_owned());
        assert_eq!(subscribe("", ""), Ok(()));
        assert_eq!(subscribe("", r#","id":{"value":""}"#), Ok(()));
        let id = r#","framework_id":{"value":"f"}"#;
        assert_eq!(subscribe(id, r#","id":{"value":"f"}"#), Ok(()));
        assert_eq!(subscribe(id, ""), differs);
        assert_eq!(subscribe("", r#","id":{"value":"f"}"#), differs);
        assert_eq!(
            check(r#"{"type":"SUBSCRIBE"}"#),
            Err("Expecting 'subscribe' to be present".into())
        );
        assert_eq!(check("{}"), Err("Expecting 'type' to be present".into()));
    }

    #[test]
    fn every_call_has_its_payload() {
        assert_eq!(
            check(r#"{"type":"TEARDOWN"}"#),
            Err("Expecting 'framework_id' to be present".into())
        );
        for name in ["TEARDOWN", "REVIVE", "SUPPRESS"] {
            assert_eq!(of_framework(&format!(r#""type":"{name}""#)), Ok(()));
        }
        for name in [
            "ACCEPT",
            "DECLINE",
            "ACCEPT_INVERSE_OFFERS",
            "DECLINE_INVERSE_OFFERS",
            "KILL",
            "SHUTDOWN",
            "ACKNOWLEDGE",
            "ACKNOWLEDGE_OPERATION_STATUS",
            "RECONCILE",
            "RECONCILE_OPERATIONS",
            "MESSAGE",
            "REQUEST",
            "UPDATE_FRAMEWORK",
        ] {
            let field = name.to_lowercase();
            assert_eq!(
                of_framework(&format!(r#""type":"{name}""#)),
                Err(format!("Expecting '{field}' to be present"))
            );
        }
    }

    #[test]
    fn acknowledgements() {
        let acknowledge = |uuid: &str| {
            of_framework(&format!(
                r#""type":"ACKNOWLEDGE","acknowledge":{{"agent_id":{{"value":"S0"}},
                "task_id":{{"value":"t"}},"uuid":"{uuid}"}}"#
            ))
        };
        assert_eq!(acknowledge("xKHz0g5rSjm32C+RUM6KYw=="), Ok(()));
        assert_eq!(acknowledge("eA=="), Err("Not a valid UUID".into()));
        let operation = r#""type":"ACKNOWLEDGE_OPERATION_STATUS","acknowledge_operation_status":
            {"operation_id":{"value":"o"},"uuid":"xKHz0g5rSjm32C+RUM6KYw=="}"#;
        assert_eq!(
            of_framework(operation),
            Err("Expecting 'agent_id' to be present".into())
        );
    }

    #[test]
    fn update_framework() {
        let update = r#""type":"UPDATE_FRAMEWORK","update_framework":
            {"framework_info":{"user":"u","name":"n","id":{"value":"g"}}}"#;
        assert_eq!(
            of_framework(update),
            Err("'framework_id' differs from 'update_framework.framework_info.id'".into())
        );
    }
}
