//! Task groups and their executor (Mesos: the namespace `task::group` of
//! src/master/validation.cpp).

use caprock_proto::mesos::v1::{
    ExecutorInfo, TaskInfo, container_info, executor_info, health_check,
};

use super::resources::taken;
use super::task::share_cgroups;
use super::{Prefixed, Validity, ensure, executor, task};
use crate::ids::AgentId;
use crate::resources::Scalar;

/// The least that the executor of a group has to have.
const EXECUTOR_CPUS_MIN: Scalar = Scalar(10);
const EXECUTOR_MEM_MIN: Scalar = Scalar::from_units(32);

/// Whether all tasks of a group are valid by themselves and fit their executor.
pub fn task_group(tasks: &[TaskInfo], executor: &ExecutorInfo, agent_id: &AgentId) -> Validity {
    for task in tasks {
        let prefix = format!("Task '{}' is invalid: ", task.task_id.value);
        task_in_group(task, agent_id).prefixed(&prefix)?;
    }
    group_executor(executor)?;
    for task in tasks {
        let own = task.executor.as_ref();
        ensure(
            own.is_none_or(|own| executor::executors_equal(own, executor)),
            format!(
                "The `ExecutorInfo` of task '{}' is different from that of its group",
                task.task_id.value
            ),
        )?;
    }
    share_cgroups_agree(tasks)
}

/// Whether one task of a group is valid by itself.
pub fn task_in_group(info: &TaskInfo, agent_id: &AgentId) -> Validity {
    task::common(info, agent_id)?;
    let container = info.container.as_ref();
    ensure(
        container.is_none_or(|container| container.r#type() != container_info::Type::Docker),
        "Docker ContainerInfo is not supported on the task",
    )?;
    if let Some(check) = &info.health_check {
        let by_network = matches!(
            check.r#type(),
            health_check::Type::Http | health_check::Type::Tcp
        );
        let networks = container.is_some_and(|container| !container.network_infos.is_empty());
        ensure(
            !(by_network && networks),
            "HTTP and TCP health checks are not supported for nested containers not joining \
             parent's network",
        )?;
    }
    ensure(
        info.limits.is_empty() || share_cgroups(container) == Some(false),
        "Resource limits may only be set for tasks within a task group when the \
         'share_cgroups' field is set to 'false'",
    )
}

/// Whether an executor may run groups.
pub fn group_executor(info: &ExecutorInfo) -> Validity {
    ensure(
        info.r#type.is_some() && info.r#type() != executor_info::Type::Unknown,
        "'ExecutorInfo.type' must be set",
    )?;
    executor::executor(info)?;
    ensure(
        info.framework_id.is_some(),
        "'ExecutorInfo.framework_id' must be set",
    )?;
    let container = info.container.as_ref();
    ensure(
        container.is_none_or(|container| container.r#type() != container_info::Type::Docker),
        "Docker ContainerInfo is not supported on the executor",
    )?;
    let id = &info.executor_id.value;
    let resources = taken(&info.resources)?;
    let (cpus, mem) = (resources.cpus(), resources.mem());
    ensure(
        cpus >= EXECUTOR_CPUS_MIN,
        format!(
            "Executor '{id}' uses less CPUs ({cpus}) than the minimum required \
             ({EXECUTOR_CPUS_MIN})"
        ),
    )?;
    ensure(
        mem >= EXECUTOR_MEM_MIN,
        format!(
            "Executor '{id}' uses less memory ({mem}MB) than the minimum required \
             ({EXECUTOR_MEM_MIN}MB)"
        ),
    )?;
    ensure(
        !resources.disk().is_zero(),
        format!("Executor '{id}' uses no disk"),
    )
}

/// Whether the tasks of one executor agree on having cgroups of their own.
pub fn share_cgroups_agree<'a>(tasks: impl IntoIterator<Item = &'a TaskInfo>) -> Validity {
    // Sharing is the default.
    let shares = |task: &TaskInfo| share_cgroups(task.container.as_ref()).unwrap_or(true);
    let mut all = tasks.into_iter().map(shares);
    let Some(first) = all.next() else {
        return Ok(());
    };
    ensure(
        all.all(|shared| shared == first),
        "If set, the value of 'share_cgroups' must be the same for all tasks of an executor",
    )
}

#[cfg(test)]
mod tests {
    use caprock_proto::MesosMessage;

    use super::*;
    use crate::Resources;

    fn task(fields: &str) -> TaskInfo {
        let json = format!(
            r#"{{"name":"n","task_id":{{"value":"t"}},"agent_id":{{"value":"S0"}},
            "resources":[{{"name":"cpus","type":"SCALAR","scalar":{{"value":1}},
            "allocation_info":{{"role":"eng"}}}}]{fields}}}"#
        );
        TaskInfo::from_json(json.as_bytes()).unwrap()
    }

    fn executor(resources: &str, fields: &str) -> ExecutorInfo {
        let json =
            format!(r#"{{"executor_id":{{"value":"e"}},"framework_id":{{"value":"f"}}{fields}}}"#);
        let mut info = ExecutorInfo::from_json(json.as_bytes()).unwrap();
        info.resources = Resources::parse(resources, "*").unwrap().to_protos();
        info
    }

    const DEFAULT: &str = r#","type":"DEFAULT""#;
    const ENOUGH: &str = "cpus:0.1;mem:32;disk:1";

    fn check(fields: &str) -> Validity {
        task_group(
            &[task(fields)],
            &executor(ENOUGH, DEFAULT),
            &AgentId::from("S0"),
        )
    }

    #[test]
    fn tasks_of_a_group() {
        assert_eq!(check(""), Ok(()));
        assert_eq!(
            check(r#","container":{"type":"DOCKER","docker":{"image":"i"}}"#),
            Err("Task 't' is invalid: Docker ContainerInfo is not supported on the task".into())
        );
        let health = r#","health_check":{"type":"TCP","tcp":{"port":1}},
            "container":{"type":"MESOS","network_infos":[{"name":"x"}]}"#;
        assert!(
            check(health)
                .unwrap_err()
                .contains("health checks are not supported")
        );
        let limits = r#","limits":{"cpus":{"value":2}}"#;
        assert!(check(limits).unwrap_err().contains("'share_cgroups'"));
        let own = r#","container":{"type":"MESOS","linux_info":{"share_cgroups":false}}"#;
        assert_eq!(check(&format!("{limits}{own}")), Ok(()));
    }

    #[test]
    fn tasks_agree_about_cgroups() {
        let own = r#","container":{"type":"MESOS","linux_info":{"share_cgroups":false}}"#;
        let shared = r#","container":{"type":"MESOS","linux_info":{"share_cgroups":true}}"#;
        assert_eq!(share_cgroups_agree(&[task(""), task(shared)]), Ok(()));
        assert_eq!(share_cgroups_agree(&[task(own), task(own)]), Ok(()));
        assert!(share_cgroups_agree(&[task(own), task("")]).is_err());
    }

    #[test]
    fn executors_of_groups() {
        let error = |resources: &str, fields: &str| {
            group_executor(&executor(resources, fields)).unwrap_err()
        };
        assert_eq!(error(ENOUGH, ""), "'ExecutorInfo.type' must be set");
        assert!(error("cpus:0.001;mem:32;disk:1", DEFAULT).contains("uses less CPUs (0.001)"));
        assert!(error("cpus:0.1;mem:31;disk:1", DEFAULT).contains("uses less memory (31MB)"));
        assert_eq!(
            error("cpus:0.1;mem:32", DEFAULT),
            "Executor 'e' uses no disk"
        );
        let mut stray = executor(ENOUGH, DEFAULT);
        stray.framework_id = None;
        assert_eq!(
            group_executor(&stray),
            Err("'ExecutorInfo.framework_id' must be set".into())
        );
    }

    #[test]
    fn a_task_may_repeat_the_executor_of_its_group() {
        let mut with_own = task("");
        with_own.executor = Some(executor(ENOUGH, DEFAULT));
        let agent_id = AgentId::from("S0");
        let group = executor(ENOUGH, DEFAULT);
        assert_eq!(task_group(&[with_own.clone()], &group, &agent_id), Ok(()));
        with_own.executor = Some(executor("cpus:1;mem:32;disk:1", DEFAULT));
        assert!(task_group(&[with_own], &group, &agent_id).is_err());
    }
}
