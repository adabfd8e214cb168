//! The shape of executor calls (Mesos: validateExecutorCall in src/common/validation.cpp).

use caprock_proto::mesos::v1::executor::{Call, call};
use caprock_proto::mesos::v1::{CheckStatusInfo, TaskState, TaskStatus, check_info, task_status};

use super::scheduler_call::present;
use super::{Prefixed, Validity, ensure, id};

/// Whether the call has what its type demands.
pub fn executor_call(call: &Call) -> Validity {
    use call::Type;

    ensure(call.r#type.is_some(), "Expecting 'type' to be present")?;
    match call.r#type() {
        Type::Unknown | Type::Heartbeat => Ok(()),
        Type::Subscribe => present("subscribe", call.subscribe.as_ref()).map(drop),
        Type::Message => present("message", call.message.as_ref()).map(drop),
        Type::Update => {
            let update = present("update", call.update.as_ref())?;
            status(call, &update.status)
        }
    }
}

fn status(call: &Call, status: &TaskStatus) -> Validity {
    let uuid = present("uuid", status.uuid.as_ref())?;
    id::uuid(uuid)?;
    let executor = &call.executor_id.value;
    if let Some(named) = &status.executor_id {
        ensure(
            named.value == *executor,
            format!(
                "ExecutorID in Call: {executor} does not match ExecutorID in TaskStatus: {}",
                named.value
            ),
        )?;
    }
    let by_executor = status.source.is_some() && status.source() == task_status::Source::Executor;
    ensure(
        by_executor,
        format!(
            "Received Call from executor {executor} of framework {} with invalid source, \
             expecting 'SOURCE_EXECUTOR'",
            call.framework_id.value
        ),
    )?;
    ensure(
        status.state() != TaskState::TaskStaging,
        "Received TASK_STAGING from executor, which is not allowed",
    )?;
    let check = status.check_status.as_ref();
    check
        .map_or(Ok(()), check_status)
        .prefixed("Task uses invalid check status: ")
}

fn check_status(check: &CheckStatusInfo) -> Validity {
    use check_info::Type;

    ensure(
        check.r#type.is_some(),
        "CheckStatusInfo must specify 'type'",
    )?;
    let (member, set) = match check.r#type() {
        Type::Command => ("command", check.command.is_some()),
        Type::Http => ("http", check.http.is_some()),
        Type::Tcp => ("tcp", check.tcp.is_some()),
        Type::Unknown => return Err("'UNKNOWN' is not a valid check's status type".to_owned()),
    };
    let kind = check.r#type().as_str_name();
    ensure(
        set,
        format!("Expecting '{member}' to be set for {kind} check's status"),
    )
}

#[cfg(test)]
mod tests {
    use caprock_proto::MesosMessage;

    use super::*;

    fn check(fields: &str) -> Validity {
        let json =
            format!(r#"{{"executor_id":{{"value":"e"}},"framework_id":{{"value":"f"}}{fields}}}"#);
        executor_call(&Call::from_json(json.as_bytes()).unwrap())
    }

    fn update(fields: &str) -> Validity {
        check(&format!(
            r#","type":"UPDATE","update":{{"status":{{"task_id":{{"value":"t"}}{fields}}}}}"#
        ))
    }

    const UUID: &str = r#","uuid":"xKHz0g5rSjm32C+RUM6KYw==""#;
    const SOURCE: &str = r#","source":"SOURCE_EXECUTOR""#;
    const RUNNING: &str = r#","state":"TASK_RUNNING""#;

    #[test]
    fn payloads() {
        assert_eq!(check(""), Err("Expecting 'type' to be present".into()));
        assert_eq!(check(r#","type":"HEARTBEAT""#), Ok(()));
        for name in ["SUBSCRIBE", "UPDATE", "MESSAGE"] {
            let field = name.to_lowercase();
            assert_eq!(
                check(&format!(r#","type":"{name}""#)),
                Err(format!("Expecting '{field}' to be present"))
            );
        }
    }

    #[test]
    fn updates() {
        assert_eq!(update(&format!("{RUNNING}{UUID}{SOURCE}")), Ok(()));
        assert_eq!(
            update(&format!("{RUNNING}{SOURCE}")),
            Err("Expecting 'uuid' to be present".into())
        );
        assert_eq!(
            update(&format!(r#"{RUNNING},"uuid":"eA=="{SOURCE}"#)),
            Err("Not a valid UUID".into())
        );
        assert_eq!(
            update(&format!(
                r#"{RUNNING}{UUID}{SOURCE},"executor_id":{{"value":"x"}}"#
            )),
            Err("ExecutorID in Call: e does not match ExecutorID in TaskStatus: x".into())
        );
        let source = "Received Call from executor e of framework f with invalid source, \
                      expecting 'SOURCE_EXECUTOR'";
        assert_eq!(update(&format!("{RUNNING}{UUID}")), Err(source.into()));
        assert_eq!(
            update(&format!(r#"{RUNNING}{UUID},"source":"SOURCE_AGENT""#)),
            Err(source.into())
        );
        assert!(update(&format!(r#","state":"TASK_STAGING"{UUID}{SOURCE}"#)).is_err());
    }

    #[test]
    fn check_statuses() {
        let with = |status: &str| {
            update(&format!(
                r#"{RUNNING}{UUID}{SOURCE},"check_status":{status}"#
            ))
        };
        assert_eq!(with(r#"{"type":"TCP","tcp":{}}"#), Ok(()));
        assert!(with("{}").is_err());
        assert!(with(r#"{"type":"TCP"}"#).is_err());
    }
}
