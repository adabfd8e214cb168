//! Executors: what is demanded of one, and when two are the same
//! (Mesos: the namespace `executor` of src/master/validation.cpp, src/common/type_utils.cpp).

use caprock_proto::mesos::v1::{
    CommandInfo, Environment, ExecutorInfo, Resource, container_info, executor_info,
};

use super::resources::{no_mixed_revocables, resources, taken, unique_persistence_ids};
use super::{Prefixed, Validity, container, ensure, environment, id};
use crate::ids::FrameworkId;

/// The rules for executors of all kinds, but for the one about the framework id.
pub fn executor(executor: &ExecutorInfo) -> Validity {
    kind(executor)?;
    id::id(&executor.executor_id.value)?;
    let grace = executor.shutdown_grace_period.as_ref();
    ensure(
        grace.is_none_or(|grace| grace.nanoseconds >= 0),
        "ExecutorInfo's 'shutdown_grace_period' must be non-negative",
    )?;
    if let Some(command) = &executor.command {
        environment::command(command).prefixed("Executor's `CommandInfo` is invalid: ")?;
    }
    if let Some(info) = &executor.container {
        container::container(info).prefixed("Executor's `ContainerInfo` is invalid: ")?;
    }
    uses(&executor.resources)
}

fn kind(executor: &ExecutorInfo) -> Validity {
    match executor.r#type() {
        executor_info::Type::Default => {
            ensure(
                executor.command.is_none(),
                "'ExecutorInfo.command' must not be set for 'DEFAULT' executor",
            )?;
            let Some(container) = &executor.container else {
                return Ok(());
            };
            ensure(
                container.r#type() == container_info::Type::Mesos,
                "'ExecutorInfo.container.type' must be 'MESOS' for 'DEFAULT' executor",
            )?;
            let image = container
                .mesos
                .as_ref()
                .and_then(|mesos| mesos.image.as_ref());
            ensure(
                image.is_none(),
                "'ExecutorInfo.container.mesos.image' must not be set for 'DEFAULT' executor",
            )
        }
        executor_info::Type::Custom => ensure(
            executor.command.is_some(),
            "'ExecutorInfo.command' must be set for 'CUSTOM' executor",
        ),
        executor_info::Type::Unknown => Ok(()),
    }
}

/// Executors may use nothing at all.
fn uses(protos: &[Resource]) -> Validity {
    const INVALID: &str = "Executor uses invalid resources: ";
    resources(protos).prefixed(INVALID)?;
    let used = taken(protos).map_err(|error| format!("{INVALID}{error}"))?;
    unique_persistence_ids(&used).prefixed("Executor uses duplicate persistence ID: ")?;
    no_mixed_revocables(&used).prefixed("Executor mixes revocable and non-revocable resources: ")
}

/// Whether the executor belongs to the framework that launches it.
pub fn executor_framework_id(executor: &ExecutorInfo, expected: &FrameworkId) -> Validity {
    let actual = executor.framework_id.as_ref();
    let actual = actual.ok_or("'ExecutorInfo.framework_id' must be set")?;
    ensure(
        expected == actual,
        format!(
            "ExecutorInfo has an invalid FrameworkID (Actual: {} vs Expected: {expected})",
            actual.value
        ),
    )
}

/// Whether two infos describe one executor. Its shutdown grace period and its labels may
/// differ.
pub fn executors_equal(left: &ExecutorInfo, right: &ExecutorInfo) -> bool {
    let same_source = left.source == right.source;
    same_source
        && left.r#type == right.r#type
        && left.executor_id == right.executor_id
        && left.framework_id == right.framework_id
        && left.name == right.name
        && left.data == right.data
        && same_commands(left.command.as_ref(), right.command.as_ref())
        && same_resources(&left.resources, &right.resources)
        && left.container == right.container
        && left.discovery == right.discovery
}

fn same_resources(left: &[Resource], right: &[Resource]) -> bool {
    match (taken(left), taken(right)) {
        (Ok(left), Ok(right)) => left == right,
        _ => left == right,
    }
}

fn same_commands(left: Option<&CommandInfo>, right: Option<&CommandInfo>) -> bool {
    let (left, right) = match (left, right) {
        (Some(left), Some(right)) => (left, right),
        (left, right) => return left.is_none() && right.is_none(),
    };
    left.value == right.value
        && left.user == right.user
        && left.shell() == right.shell()
        && left.arguments == right.arguments
        && same_in_any_order(&left.uris, &right.uris)
        && same_environments(left.environment.as_ref(), right.environment.as_ref())
}

fn same_environments(left: Option<&Environment>, right: Option<&Environment>) -> bool {
    let variables = |environment: Option<&Environment>| {
        environment
            .map(|environment| environment.variables.clone())
            .unwrap_or_default()
    };
    same_in_any_order(&variables(left), &variables(right))
}

fn same_in_any_order<T: PartialEq>(left: &[T], right: &[T]) -> bool {
    let count = |items: &[T], item: &T| items.iter().filter(|other| *other == item).count();
    left.len() == right.len()
        && left
            .iter()
            .all(|item| count(left, item) == count(right, item))
}

#[cfg(test)]
mod tests {
    use caprock_proto::MesosMessage;

    use super::*;

    fn info(fields: &str) -> ExecutorInfo {
        let comma = if fields.is_empty() { "" } else { "," };
        let json = format!(r#"{{"executor_id":{{"value":"e"}}{comma}{fields}}}"#);
        ExecutorInfo::from_json(json.as_bytes()).unwrap()
    }

    #[test]
    fn rules_by_type() {
        let command = r#""command":{"value":"x"}"#;
        assert_eq!(executor(&info(command)), Ok(()));
        assert_eq!(executor(&info(r#""type":"DEFAULT""#)), Ok(()));
        assert_eq!(
            executor(&info(r#""type":"CUSTOM""#)),
            Err("'ExecutorInfo.command' must be set for 'CUSTOM' executor".into())
        );
        assert!(executor(&info(&format!(r#""type":"DEFAULT",{command}"#))).is_err());
        let docker = r#""type":"DEFAULT","container":{"type":"DOCKER","docker":{"image":"i"}}"#;
        assert!(
            executor(&info(docker))
                .unwrap_err()
                .contains("must be 'MESOS'")
        );
    }

    #[test]
    fn grace_period_and_resources() {
        let error = |fields: &str| executor(&info(fields)).unwrap_err();
        assert!(error(r#""shutdown_grace_period":{"nanoseconds":-1}"#).contains("non-negative"));
        let negative = r#""resources":[{"name":"cpus","type":"SCALAR","scalar":{"value":-1}}]"#;
        assert!(error(negative).starts_with("Executor uses invalid resources: "));
    }

    #[test]
    fn the_framework_is_the_callers() {
        let of = |framework: &str| info(&format!(r#""framework_id":{{"value":"{framework}"}}"#));
        let expected = FrameworkId::from("f");
        assert_eq!(executor_framework_id(&of("f"), &expected), Ok(()));
        assert_eq!(
            executor_framework_id(&of("g"), &expected),
            Err("ExecutorInfo has an invalid FrameworkID (Actual: g vs Expected: f)".into())
        );
        assert_eq!(
            executor_framework_id(&info(""), &expected),
            Err("'ExecutorInfo.framework_id' must be set".into())
        );
    }

    #[test]
    fn what_makes_executors_equal() {
        let resources = |text: &str| {
            let mut info = info(r#""command":{"value":"x","uris":[{"value":"a"},{"value":"b"}]}"#);
            info.resources = crate::Resources::parse(text, "*").unwrap().to_protos();
            info
        };
        let one = resources("cpus:1;mem:32");
        let mut other = resources("mem:32;cpus:1");
        other.command.as_mut().unwrap().uris.reverse();
        other.command.as_mut().unwrap().shell = Some(true);
        other.resources.reverse();
        other.labels = Some(Default::default());
        other.shutdown_grace_period = Some(Default::default());
        assert!(executors_equal(&one, &other));

        assert!(!executors_equal(&one, &resources("cpus:2;mem:32")));
        other.name = Some("n".into());
        assert!(!executors_equal(&one, &other));
        let allocated = |role: &str| {
            let mut info = one.clone();
            let resources = crate::Resources::from_protos(&info.resources).unwrap();
            info.resources = resources.allocated_to(role).to_protos();
            info
        };
        assert!(!executors_equal(&allocated("a"), &allocated("b")));
        let mut arguments = one.clone();
        arguments
            .command
            .as_mut()
            .unwrap()
            .arguments
            .push("a".into());
        assert!(!executors_equal(&one, &arguments));
    }
}
