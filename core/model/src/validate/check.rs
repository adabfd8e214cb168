//! Checks and health checks (Mesos: src/checks, src/common/validation.cpp).

use caprock_proto::mesos::v1::{CheckInfo, CommandInfo, HealthCheck, check_info, health_check};

use super::{Prefixed, Validity, ensure, environment};

/// Whether a check is valid.
pub fn check(check: &CheckInfo) -> Validity {
    use check_info::Type;

    ensure(check.r#type.is_some(), "CheckInfo must specify 'type'")?;
    match check.r#type() {
        Type::Command => {
            let command = check.command.as_ref();
            let command = command.ok_or("Expecting 'command' to be set for COMMAND check")?;
            command_has_value("Command check", &command.command)?;
            environment::command(&command.command)
                .prefixed("Check's `CommandInfo` is invalid: ")?;
        }
        Type::Http => {
            let http = check.http.as_ref();
            let http = http.ok_or("Expecting 'http' to be set for HTTP check")?;
            path("check", http.path.as_deref())?;
        }
        Type::Tcp => {
            ensure(
                check.tcp.is_some(),
                "Expecting 'tcp' to be set for TCP check",
            )?;
        }
        Type::Unknown => return Err("'UNKNOWN' is not a valid check type".to_owned()),
    }
    non_negative("delay_seconds", check.delay_seconds())?;
    non_negative("interval_seconds", check.interval_seconds())?;
    non_negative("timeout_seconds", check.timeout_seconds())
}

/// Whether a health check is valid. Its type has been inferred before.
pub fn health_check(check: &HealthCheck) -> Validity {
    use health_check::Type;

    ensure(check.r#type.is_some(), "HealthCheck must specify 'type'")?;
    match check.r#type() {
        Type::Command => {
            let command = check.command.as_ref();
            let command =
                command.ok_or("Expecting 'command' to be set for COMMAND health check")?;
            command_has_value("Command health check", command)?;
            environment::command(command).prefixed("Health check's `CommandInfo` is invalid: ")?;
        }
        Type::Http => {
            let http = check.http.as_ref();
            let http = http.ok_or("Expecting 'http' to be set for HTTP health check")?;
            if let Some(scheme) = &http.scheme {
                ensure(
                    scheme == "http" || scheme == "https",
                    format!("Unsupported HTTP health check scheme: '{scheme}'"),
                )?;
            }
            path("health check", http.path.as_deref())?;
        }
        Type::Tcp => {
            ensure(
                check.tcp.is_some(),
                "Expecting 'tcp' to be set for TCP health check",
            )?;
        }
        Type::Unknown => return Err("'UNKNOWN' is not a valid health check type".to_owned()),
    }
    non_negative("delay_seconds", check.delay_seconds())?;
    non_negative("grace_period_seconds", check.grace_period_seconds())?;
    non_negative("interval_seconds", check.interval_seconds())?;
    non_negative("timeout_seconds", check.timeout_seconds())
}

fn command_has_value(what: &str, command: &CommandInfo) -> Validity {
    let kind = if command.shell() {
        "'shell command'"
    } else {
        "'executable path'"
    };
    ensure(
        command.value.is_some(),
        format!("{what} must contain {kind}"),
    )
}

fn path(what: &str, path: Option<&str>) -> Validity {
    let Some(path) = path else { return Ok(()) };
    ensure(
        path.starts_with('/'),
        format!("The path '{path}' of HTTP {what} must start with '/'"),
    )
}

fn non_negative(field: &str, seconds: f64) -> Validity {
    ensure(
        seconds >= 0.0,
        format!("Expecting '{field}' to be non-negative"),
    )
}

#[cfg(test)]
mod tests {
    use caprock_proto::MesosMessage;

    use super::*;

    fn checked(json: &str) -> Validity {
        check(&CheckInfo::from_json(json.as_bytes()).unwrap())
    }

    fn health(json: &str) -> Validity {
        health_check(&HealthCheck::from_json(json.as_bytes()).unwrap())
    }

    #[test]
    fn checks() {
        assert_eq!(checked("{}"), Err("CheckInfo must specify 'type'".into()));
        let command = r#"{"type":"COMMAND","command":{"command":{"value":"true"}}}"#;
        assert_eq!(checked(command), Ok(()));
        assert_eq!(
            checked(r#"{"type":"COMMAND","command":{"command":{"shell":false}}}"#),
            Err("Command check must contain 'executable path'".into())
        );
        assert_eq!(
            checked(r#"{"type":"HTTP","http":{"port":1,"path":"/x"}}"#),
            Ok(())
        );
        assert_eq!(
            checked(r#"{"type":"HTTP","http":{"port":1,"path":"x"}}"#),
            Err("The path 'x' of HTTP check must start with '/'".into())
        );
        assert!(checked(r#"{"type":"TCP"}"#).is_err());
        assert!(checked(r#"{"type":"UNKNOWN"}"#).is_err());
        assert_eq!(
            checked(r#"{"type":"TCP","tcp":{"port":1},"interval_seconds":-1}"#),
            Err("Expecting 'interval_seconds' to be non-negative".into())
        );
    }

    #[test]
    fn health_checks() {
        assert_eq!(health("{}"), Err("HealthCheck must specify 'type'".into()));
        assert_eq!(
            health(r#"{"type":"HTTP","http":{"port":1,"scheme":"https"}}"#),
            Ok(())
        );
        assert_eq!(
            health(r#"{"type":"HTTP","http":{"port":1,"scheme":"ftp"}}"#),
            Err("Unsupported HTTP health check scheme: 'ftp'".into())
        );
        assert_eq!(
            health(r#"{"type":"COMMAND","command":{}}"#),
            Err("Command health check must contain 'shell command'".into())
        );
        assert_eq!(
            health(r#"{"type":"TCP","tcp":{"port":1},"grace_period_seconds":-1}"#),
            Err("Expecting 'grace_period_seconds' to be non-negative".into())
        );
    }
}
