//! Tasks of a LAUNCH, in Mesos' order of checks (Mesos: the namespace `task` of
//! src/master/validation.cpp). What needs other tasks or agents to judge is not here.

use caprock_proto::mesos::v1::{ContainerInfo, ExecutorInfo, TaskInfo, executor_info};

use super::resources::{
    no_mixed_revocables, one_allocation_role, resources, taken, unique_persistence_ids,
};
use super::{Prefixed, Validity, check, container, ensure, environment, executor, id};
use crate::ids::AgentId;
use crate::resources::{Resources, Scalar};

/// Whether a task of a LAUNCH on this agent is valid by itself.
pub fn task(task: &TaskInfo, agent_id: &AgentId) -> Validity {
    common(task, agent_id)?;
    ensure(
        share_cgroups(task.container.as_ref()) != Some(false),
        "Only tasks in a task group may have 'share_cgroups' set to 'false'",
    )?;
    task_executor(task)
}

/// The rules for tasks alone and in groups alike.
pub(super) fn common(task: &TaskInfo, agent_id: &AgentId) -> Validity {
    id::id(&task.task_id.value)?;
    ensure(
        *agent_id == task.agent_id,
        format!(
            "Task uses invalid agent {} while agent {agent_id} is expected",
            task.agent_id.value
        ),
    )?;
    let grace = task
        .kill_policy
        .as_ref()
        .and_then(|policy| policy.grace_period.as_ref());
    ensure(
        grace.is_none_or(|grace| grace.nanoseconds >= 0),
        "Task's 'kill_policy.grace_period' must be non-negative",
    )?;
    ensure(
        task.max_completion_time
            .as_ref()
            .is_none_or(|time| time.nanoseconds >= 0),
        "Task's `max_completion_time` must be non-negative",
    )?;
    if let Some(info) = &task.check {
        check::check(info).prefixed("Task uses invalid check: ")?;
    }
    if let Some(info) = &task.health_check {
        check::health_check(info).prefixed("Task uses invalid health check: ")?;
    }
    let used = uses(task)?;
    if let Some(command) = &task.command {
        environment::command(command).prefixed("Task's `CommandInfo` is invalid: ")?;
    }
    if let Some(info) = &task.container {
        container::container(info).prefixed("Task's `ContainerInfo` is invalid: ")?;
    }
    limits(task, &used)
}

fn uses(task: &TaskInfo) -> Result<Resources, String> {
    const INVALID: &str = "Task uses invalid resources: ";
    ensure(!task.resources.is_empty(), "Task uses no resources")?;
    resources(&task.resources).prefixed(INVALID)?;
    let used = taken(&task.resources).map_err(|error| format!("{INVALID}{error}"))?;
    unique_persistence_ids(&used).prefixed("Task uses duplicate persistence ID: ")?;
    one_allocation_role(&used).prefixed("Invalid task resources: ")?;
    no_mixed_revocables(&used).prefixed("Task mixes revocable and non-revocable resources: ")?;
    Ok(used)
}

/// Whether each limit is above what is requested. Limits may be infinite. The agent has to
/// be capable of them, which is for the caller to check.
pub fn limits(task: &TaskInfo, used: &Resources) -> Validity {
    for (name, limit) in &task.limits {
        ensure(
            matches!(name.as_str(), "cpus" | "mem"),
            format!("Limits of '{name}' are not supported, only of 'cpus' and 'mem'"),
        )?;
        ensure(
            !limit.value.is_nan() && limit.value >= 0.0,
            format!(
                "The limit of '{name}' is not a valid amount: {}",
                limit.value
            ),
        )?;
        let requested = used.scalar(name);
        ensure(
            !requested.is_zero(),
            format!("Task sets a limit of '{name}' but requests none of it"),
        )?;
        ensure(
            limit.value.is_infinite() || Scalar::from_f64(limit.value) >= requested,
            format!(
                "The limit of '{name}' ({}) is below its request {requested}",
                limit.value
            ),
        )?;
    }
    Ok(())
}

/// What a task says about whether its container has cgroups of its own.
pub(super) fn share_cgroups(container: Option<&ContainerInfo>) -> Option<bool> {
    container?.linux_info.as_ref()?.share_cgroups
}

/// Whether the task has either a command or a valid executor of its own.
pub fn task_executor(task: &TaskInfo) -> Validity {
    ensure(
        task.command.is_some() != task.executor.is_some(),
        "Task should have at least one (but not both) of CommandInfo or ExecutorInfo present",
    )?;
    task.executor.as_ref().map_or(Ok(()), custom_executor)?;
    let Some(info) = &task.executor else {
        return Ok(());
    };
    ports_apart(&taken(&task.resources)?, &taken(&info.resources)?)
}

fn custom_executor(info: &ExecutorInfo) -> Validity {
    ensure(
        info.r#type.is_none() || info.r#type() == executor_info::Type::Custom,
        "'ExecutorInfo.type' must be 'CUSTOM'",
    )?;
    ensure(info.command.is_some(), "'ExecutorInfo.command' must be set")?;
    executor::executor(info)?;
    ensure(
        info.resources
            .iter()
            .all(|resource| resource.shared.is_none()),
        "Executor resources must not be shared",
    )?;
    ensure(
        share_cgroups(info.container.as_ref()) != Some(true),
        "'ExecutorInfo.container.linux_info.share_cgroups' must not be 'true'",
    )
}

/// A task and its executor cannot have the same ports.
pub(super) fn ports_apart(task: &Resources, executor: &Resources) -> Validity {
    ensure(
        !task.ports().overlaps(&executor.ports()),
        "Ports of the task and of its executor must not overlap",
    )
}

#[cfg(test)]
mod tests {
    use caprock_proto::MesosMessage;

    use super::*;

    pub(crate) fn info(fields: &str) -> TaskInfo {
        let json = format!(
            r#"{{"name":"n","task_id":{{"value":"t"}},"agent_id":{{"value":"S0"}},{fields}}}"#
        );
        TaskInfo::from_json(json.as_bytes()).unwrap()
    }

    const CPUS: &str = r#""resources":[{"name":"cpus","type":"SCALAR","scalar":{"value":1},
        "allocation_info":{"role":"eng"}}]"#;
    const COMMAND: &str = r#""command":{"value":"x"}"#;

    fn check(fields: &str) -> Validity {
        task(&info(fields), &AgentId::from("S0"))
    }

    fn with(fields: &str) -> Validity {
        check(&format!("{CPUS},{COMMAND},{fields}"))
    }

    #[test]
    fn a_valid_task() {
        assert_eq!(check(&format!("{CPUS},{COMMAND}")), Ok(()));
    }

    #[test]
    fn the_agent_is_that_of_the_offer() {
        let task = info(&format!("{CPUS},{COMMAND}"));
        assert_eq!(
            super::task(&task, &AgentId::from("S1")),
            Err("Task uses invalid agent S0 while agent S1 is expected".into())
        );
    }

    #[test]
    fn durations_are_not_negative() {
        assert_eq!(
            with(r#""kill_policy":{"grace_period":{"nanoseconds":-1}}"#),
            Err("Task's 'kill_policy.grace_period' must be non-negative".into())
        );
        assert_eq!(
            with(r#""max_completion_time":{"nanoseconds":-1}"#),
            Err("Task's `max_completion_time` must be non-negative".into())
        );
    }

    #[test]
    fn parts_are_named_in_front_of_their_errors() {
        let cases = [
            (
                r#""check":{}"#,
                "Task uses invalid check: CheckInfo must specify 'type'",
            ),
            (
                r#""health_check":{}"#,
                "Task uses invalid health check: HealthCheck must",
            ),
            (
                r#""container":{"type":"DOCKER"}"#,
                "Task's `ContainerInfo` is invalid: ",
            ),
        ];
        for (fields, start) in cases {
            let error = with(fields).unwrap_err();
            assert!(error.starts_with(start), "{error}");
        }
        let environment = r#""command":{"environment":{"variables":[{"name":"A"}]}}"#;
        let error = check(&format!("{CPUS},{environment}")).unwrap_err();
        assert!(
            error.starts_with("Task's `CommandInfo` is invalid: "),
            "{error}"
        );
    }

    #[test]
    fn resources_of_a_task() {
        let error = |resources: &str| {
            check(&format!(r#""resources":[{resources}],{COMMAND}"#)).unwrap_err()
        };
        assert_eq!(error(""), "Task uses no resources");
        let cpus = |more: &str| {
            format!(r#"{{"name":"cpus","type":"SCALAR","scalar":{{"value":1}}{more}}}"#)
        };
        assert_eq!(
            error(&cpus("")),
            "Invalid task resources: The resources are not allocated to a role"
        );
        let a = r#","allocation_info":{"role":"a"}"#;
        let b = r#","allocation_info":{"role":"b"}"#;
        assert!(error(&format!("{},{}", cpus(a), cpus(b))).contains("multiple allocation roles"));
        assert_eq!(
            error(&format!(
                "{},{}",
                cpus(a),
                cpus(&format!(r#"{a},"revocable":{{}}"#))
            )),
            "Task mixes revocable and non-revocable resources: Cannot use both revocable and \
             non-revocable 'cpus' at the same time"
        );
        let negative = r#"{"name":"cpus","type":"SCALAR","scalar":{"value":-1}}"#;
        assert_eq!(
            error(negative),
            "Task uses invalid resources: Invalid resources: Resource 'cpus:-1' is invalid: \
             Invalid scalar resource: value <= 0"
        );
    }

    #[test]
    fn limits_are_above_requests() {
        assert_eq!(with(r#""limits":{"cpus":{"value":1}}"#), Ok(()));
        assert_eq!(with(r#""limits":{"cpus":{"value":"Infinity"}}"#), Ok(()));
        for limits in [
            r#""cpus":{"value":0.5}"#,
            r#""disk":{"value":1}"#,
            r#""mem":{"value":1}"#,
        ] {
            assert!(
                with(&format!(r#""limits":{{{limits}}}"#)).is_err(),
                "{limits}"
            );
        }
    }

    #[test]
    fn own_cgroups_are_for_groups() {
        let own = r#""container":{"type":"MESOS","linux_info":{"share_cgroups":false}}"#;
        assert_eq!(
            with(own),
            Err("Only tasks in a task group may have 'share_cgroups' set to 'false'".into())
        );
    }

    #[test]
    fn either_a_command_or_an_executor() {
        const EITHER: &str =
            "Task should have at least one (but not both) of CommandInfo or ExecutorInfo present";
        assert_eq!(check(CPUS), Err(EITHER.into()));
        let executor =
            |fields: &str| format!(r#""executor":{{"executor_id":{{"value":"e"}}{fields}}}"#);
        assert_eq!(with(&executor("")), Err(EITHER.into()));
        let check = |fields: &str| check(&format!("{CPUS},{}", executor(fields)));
        assert_eq!(check(&format!(",{COMMAND}")), Ok(()));
        assert_eq!(check(""), Err("'ExecutorInfo.command' must be set".into()));
        assert_eq!(
            check(r#","type":"DEFAULT""#),
            Err("'ExecutorInfo.type' must be 'CUSTOM'".into())
        );
    }

    #[test]
    fn a_task_does_not_use_the_ports_of_its_executor() {
        let ports = |range: &str| {
            format!(
                r#""resources":[{{"name":"ports","type":"RANGES","ranges":{{"range":[{range}]}},
                "allocation_info":{{"role":"eng"}}}}]"#
            )
        };
        let both = |range: &str| {
            let executor = ports(r#"{"begin":5,"end":9}"#);
            let executor =
                format!(r#""executor":{{"executor_id":{{"value":"e"}},{COMMAND},{executor}}}"#);
            check(&format!("{},{executor}", ports(range)))
        };
        assert_eq!(both(r#"{"begin":1,"end":4}"#), Ok(()));
        assert!(
            both(r#"{"begin":1,"end":5}"#)
                .unwrap_err()
                .contains("overlap")
        );
    }
}
