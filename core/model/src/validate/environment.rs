//! Commands, their environment and secrets.

use caprock_proto::mesos::v1::{CommandInfo, Environment, Secret, environment, secret};

use super::{Validity, ensure};

/// Whether a command is valid: only its environment is looked at.
pub fn command(command: &CommandInfo) -> Validity {
    command.environment.as_ref().map_or(Ok(()), environment)
}

/// Whether each variable has the value that its type demands.
pub fn environment(environment: &Environment) -> Validity {
    environment.variables.iter().try_for_each(variable)
}

fn variable(variable: &environment::Variable) -> Validity {
    use environment::variable::Type;

    let name = &variable.name;
    let text = |what: &str| format!("Environment variable '{name}' {what}");
    match variable.r#type() {
        Type::Value => {
            ensure(
                variable.value.is_some(),
                text("of type 'VALUE' must have a value set"),
            )?;
            ensure(
                variable.secret.is_none(),
                text("of type 'VALUE' must not have a secret set"),
            )
        }
        Type::Secret => {
            ensure(
                variable.value.is_none(),
                text("of type 'SECRET' must not have a value set"),
            )?;
            let secret = variable.secret.as_ref();
            let secret = secret.ok_or_else(|| text("of type 'SECRET' must have a secret set"))?;
            self::secret(secret)
                .map_err(|error| text(&format!("specifies an invalid secret: {error}")))?;
            let data = secret
                .value
                .as_ref()
                .map(|value| &value.data[..])
                .unwrap_or_default();
            ensure(
                !data.contains(&0),
                text(
                    "specifies a secret containing null bytes, which is not allowed in the \
                     environment",
                ),
            )
        }
        Type::Unknown => Err("Environment variable of type 'UNKNOWN' is not allowed".to_owned()),
    }
}

/// Whether a secret has the member of its type, and only that.
pub fn secret(secret: &Secret) -> Validity {
    match secret.r#type() {
        secret::Type::Reference => {
            let reference = secret.reference.as_ref();
            let reference =
                reference.ok_or("Secret of type REFERENCE must have the 'reference' field set")?;
            ensure(
                secret.value.is_none(),
                format!(
                    "Secret '{}' of type REFERENCE must not have the 'value' field set",
                    reference.name
                ),
            )
        }
        secret::Type::Value => {
            ensure(
                secret.value.is_some(),
                "Secret of type VALUE must have the 'value' field set",
            )?;
            ensure(
                secret.reference.is_none(),
                "Secret of type VALUE must not have the 'reference' field set",
            )
        }
        secret::Type::Unknown => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use caprock_proto::MesosMessage;

    use super::*;

    fn check(variable: &str) -> Validity {
        let json = format!(r#"{{"variables":[{variable}]}}"#);
        environment(&Environment::from_json(json.as_bytes()).unwrap())
    }

    #[test]
    fn variables() {
        assert_eq!(check(r#"{"name":"A","value":""}"#), Ok(()));
        assert_eq!(
            check(r#"{"name":"A"}"#),
            Err("Environment variable 'A' of type 'VALUE' must have a value set".into())
        );
        let secret = r#""secret":{"type":"VALUE","value":{"data":"eA=="}}"#;
        assert_eq!(
            check(&format!(r#"{{"name":"A","type":"SECRET",{secret}}}"#)),
            Ok(())
        );
        assert_eq!(
            check(&format!(r#"{{"name":"A","value":"x",{secret}}}"#)),
            Err("Environment variable 'A' of type 'VALUE' must not have a secret set".into())
        );
        assert_eq!(
            check(&format!(
                r#"{{"name":"A","type":"SECRET","value":"x",{secret}}}"#
            )),
            Err("Environment variable 'A' of type 'SECRET' must not have a value set".into())
        );
        assert_eq!(
            check(r#"{"name":"A","type":"SECRET"}"#),
            Err("Environment variable 'A' of type 'SECRET' must have a secret set".into())
        );
        assert!(check(r#"{"name":"A","type":"UNKNOWN","value":"x"}"#).is_err());
    }

    #[test]
    fn secrets() {
        let with_nul = r#"{"name":"A","type":"SECRET","secret":
            {"type":"VALUE","value":{"data":"AAE="}}}"#;
        assert!(check(with_nul).unwrap_err().contains("null bytes"));
        let empty = r#"{"name":"A","type":"SECRET","secret":{"type":"VALUE"}}"#;
        assert_eq!(
            check(empty),
            Err("Environment variable 'A' specifies an invalid secret: \
                 Secret of type VALUE must have the 'value' field set"
                .into())
        );
        let reference = r#"{"name":"A","type":"SECRET","secret":
            {"type":"REFERENCE","reference":{"name":"s"}}}"#;
        assert_eq!(check(reference), Ok(()));
    }
}
