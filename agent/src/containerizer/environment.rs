//! The environment of a container. The agent's own is not inherited; later rows override
//! earlier ones (Mesos: src/slave/slave.cpp `executorEnvironment`,
//! src/slave/containerizer/mesos/containerizer.cpp).

use std::path::Path;

use caprock_agent_core::LaunchSpec;
use caprock_model::{DurationMs, format_duration};
use caprock_proto::mesos::v1::Environment;
use caprock_proto::mesos::v1::environment::variable;

/// What a container gets where nothing sets `PATH` (stout: `os::host_default_path`).
pub const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What is the same for all containers of an agent.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// `--executor_environment_variables`, in order.
    pub extra: Vec<(String, String)>,
    /// `LIBPROCESS_IP` of the agent itself.
    pub libprocess_ip: Option<String>,
    /// host:port of the agent as executors reach it.
    pub endpoint: String,
    pub http_command_executor: bool,
    pub executor_shutdown_grace_period: DurationMs,
    pub recovery_timeout: DurationMs,
    pub executor_reregistration_timeout: DurationMs,
}

/// A list of variables in which a later one replaces an earlier one of the same name.
#[derive(Debug, Default)]
struct Variables(Vec<(String, String)>);

impl Variables {
    fn set(&mut self, name: &str, value: impl Into<String>) {
        self.0.retain(|(known, _)| known != name);
        self.0.push((name.to_string(), value.into()));
    }

    fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(known, _)| known == name)
    }
}

/// The environment of an executor, of a command task, or of a task of a pod.
pub fn environment(
    settings: &Settings,
    spec: &LaunchSpec,
    sandbox: &Path,
) -> Vec<(String, String)> {
    let mut variables = Variables::default();
    let sandbox = sandbox.to_string_lossy();
    if spec.parent.is_some() {
        // Tasks of a pod are not executors and are told nothing of the agent
        // (Mesos: src/launcher/default_executor.cpp).
        let host = settings
            .endpoint
            .rsplit_once(':')
            .map_or("", |(host, _)| host);
        variables.set("MESOS_CONTAINER_IP", host);
    } else {
        executor_variables(&mut variables, settings, spec, &sandbox);
    }
    if spec.parent.is_some() || spec.is_command_task {
        variables.set(
            "MESOS_ALLOCATION_ROLE",
            spec.allocation_role.as_deref().unwrap_or("*"),
        );
    }
    variables.set("MESOS_SANDBOX", sandbox);
    if let Some(given) = &spec.command.environment {
        for (name, value) in plain_values(given) {
            variables.set(&name, value);
        }
    }
    if !variables.has("PATH") {
        variables.set("PATH", DEFAULT_PATH);
    }
    variables.0
}

fn executor_variables(
    variables: &mut Variables,
    settings: &Settings,
    spec: &LaunchSpec,
    sandbox: &str,
) {
    if let Some(ip) = &settings.libprocess_ip {
        variables.set("LIBPROCESS_IP", ip);
    }
    for (name, value) in &settings.extra {
        variables.set(name, value);
    }
    let flag = |on: bool| if on { "1" } else { "0" };
    variables.set("LIBPROCESS_PORT", "0");
    variables.set("MESOS_FRAMEWORK_ID", &spec.framework_id);
    variables.set("MESOS_EXECUTOR_ID", &spec.executor_id);
    variables.set("MESOS_DIRECTORY", sandbox);
    variables.set("MESOS_SLAVE_ID", &spec.agent_id);
    variables.set("MESOS_SLAVE_PID", format!("slave(1)@{}", settings.endpoint));
    variables.set("MESOS_AGENT_ENDPOINT", &settings.endpoint);
    variables.set("MESOS_CHECKPOINT", flag(spec.checkpoint));
    variables.set(
        "MESOS_HTTP_COMMAND_EXECUTOR",
        flag(settings.http_command_executor),
    );
    let grace = format_duration(settings.executor_shutdown_grace_period);
    variables.set("MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD", grace);
    if spec.checkpoint {
        variables.set(
            "MESOS_RECOVERY_TIMEOUT",
            format_duration(settings.recovery_timeout),
        );
        let backoff = format_duration(settings.executor_reregistration_timeout);
        variables.set("MESOS_SUBSCRIPTION_BACKOFF_MAX", backoff);
    }
}

/// The variables that carry their value; one that names a secret needs a resolver, which
/// this agent does not have, so it is set by value only (Mesos' default resolver).
fn plain_values(given: &Environment) -> impl Iterator<Item = (String, String)> {
    given.variables.iter().filter_map(|variable| {
        let value = match variable.r#type() {
            variable::Type::Secret => {
                let data = &variable.secret.as_ref()?.value.as_ref()?.data;
                String::from_utf8_lossy(data).into_owned()
            }
            variable::Type::Value | variable::Type::Unknown => variable.value.clone()?,
        };
        Some((variable.name.clone(), value))
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use caprock_proto::mesos::v1::environment::Variable;

    use super::*;
    use crate::containerizer::test_support::launch_spec;

    fn settings() -> Settings {
        Settings {
            extra: vec![
                ("EXTRA".into(), "1".into()),
                ("MESOS_SLAVE_ID".into(), "lie".into()),
            ],
            libprocess_ip: None,
            endpoint: "10.0.0.21:5051".into(),
            http_command_executor: false,
            executor_shutdown_grace_period: DurationMs(5_000),
            recovery_timeout: DurationMs(900_000),
            executor_reregistration_timeout: DurationMs(2_000),
        }
    }

    fn of(spec: &LaunchSpec) -> BTreeMap<String, String> {
        let list = environment(&settings(), spec, Path::new("/w/run"));
        let map: BTreeMap<_, _> = list.iter().cloned().collect();
        assert_eq!(map.len(), list.len(), "each name once");
        map
    }

    fn expect(environment: &BTreeMap<String, String>, rows: &[(&str, &str)]) {
        for (name, value) in rows {
            assert_eq!(
                environment.get(*name).map(String::as_str),
                Some(*value),
                "{name}"
            );
        }
        assert_eq!(environment.len(), rows.len(), "{environment:?}");
    }

    const COMMON: [(&str, &str); 12] = [
        ("EXTRA", "1"),
        ("LIBPROCESS_PORT", "0"),
        ("MESOS_FRAMEWORK_ID", "F0"),
        ("MESOS_EXECUTOR_ID", "e1"),
        ("MESOS_DIRECTORY", "/w/run"),
        ("MESOS_SLAVE_ID", "S0"),
        ("MESOS_SLAVE_PID", "slave(1)@10.0.0.21:5051"),
        ("MESOS_AGENT_ENDPOINT", "10.0.0.21:5051"),
        ("MESOS_HTTP_COMMAND_EXECUTOR", "0"),
        ("MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD", "5secs"),
        ("MESOS_SANDBOX", "/w/run"),
        ("PATH", DEFAULT_PATH),
    ];

    #[test]
    fn an_executor_without_checkpoints() {
        let mut rows = COMMON.to_vec();
        rows.push(("MESOS_CHECKPOINT", "0"));
        expect(&of(&launch_spec("c1")), &rows);
    }

    #[test]
    fn an_executor_with_checkpoints() {
        let mut spec = launch_spec("c1");
        spec.checkpoint = true;
        let mut rows = COMMON.to_vec();
        rows.push(("MESOS_CHECKPOINT", "1"));
        rows.push(("MESOS_RECOVERY_TIMEOUT", "15mins"));
        rows.push(("MESOS_SUBSCRIPTION_BACKOFF_MAX", "2secs"));
        expect(&of(&spec), &rows);
    }

    #[test]
    fn a_command_task_knows_its_role() {
        let mut spec = launch_spec("c1");
        spec.is_command_task = true;
        spec.allocation_role = Some("eng".into());
        let mut rows = COMMON.to_vec();
        rows.push(("MESOS_CHECKPOINT", "0"));
        rows.push(("MESOS_ALLOCATION_ROLE", "eng"));
        expect(&of(&spec), &rows);
    }

    #[test]
    fn a_pod_task_is_told_little() {
        let mut spec = launch_spec("c1");
        spec.parent = Some("pod".into());
        expect(
            &of(&spec),
            &[
                ("MESOS_CONTAINER_IP", "10.0.0.21"),
                ("MESOS_ALLOCATION_ROLE", "*"),
                ("MESOS_SANDBOX", "/w/run"),
                ("PATH", DEFAULT_PATH),
            ],
        );
    }

    #[test]
    fn the_command_may_override_all() {
        let mut spec = launch_spec("c1");
        let variable = |name: &str, value: &str| Variable {
            name: name.into(),
            value: Some(value.into()),
            ..Variable::default()
        };
        spec.command.environment = Some(Environment {
            variables: vec![
                variable("PATH", "/opt/bin"),
                variable("MESOS_SANDBOX", "mine"),
                variable("A", "1"),
                variable("A", "2"),
            ],
        });
        let environment = of(&spec);
        assert_eq!(environment["PATH"], "/opt/bin");
        assert_eq!(environment["MESOS_SANDBOX"], "mine");
        assert_eq!(environment["A"], "2");
    }
}
