//! A launch for the tests of this folder to change.

use caprock_agent_core::LaunchSpec;
use caprock_proto::mesos::v1::CommandInfo;

/// A custom executor in a container of this name, with a command that does nothing.
pub fn launch_spec(container: &str) -> LaunchSpec {
    LaunchSpec {
        container: container.into(),
        framework_id: "F0".into(),
        executor_id: "e1".into(),
        agent_id: "S0".into(),
        command: CommandInfo {
            value: Some("true".into()),
            ..CommandInfo::default()
        },
        container_info: None,
        user: None,
        checkpoint: false,
        allocation_role: None,
        is_command_task: false,
        task_id: None,
        parent: None,
        volumes: Vec::new(),
        pod_volumes: Vec::new(),
    }
}
