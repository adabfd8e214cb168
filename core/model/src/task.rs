//! The states of a task and what a TaskInfo says about its executor.

use caprock_proto::mesos::v1::{ExecutorInfo, TaskInfo, TaskState};

use crate::capabilities::Capabilities;
use crate::ids::ExecutorId;
use crate::resources::{ResourceError, Resources};

/// Whether a task in this state has ended for good (Mesos: isTerminalState in
/// src/common/protobuf_utils.cpp). UNREACHABLE and UNKNOWN are not terminal.
pub fn is_terminal(state: TaskState) -> bool {
    match state {
        TaskState::TaskFinished
        | TaskState::TaskFailed
        | TaskState::TaskKilled
        | TaskState::TaskError
        | TaskState::TaskLost
        | TaskState::TaskDropped
        | TaskState::TaskGone
        | TaskState::TaskGoneByOperator => true,
        TaskState::TaskStaging
        | TaskState::TaskStarting
        | TaskState::TaskRunning
        | TaskState::TaskKilling
        | TaskState::TaskUnreachable
        | TaskState::TaskUnknown => false,
    }
}

/// Whether a task may go from one state to another. No order is enforced among the states
/// that executors report; what ended stays so, but for the loss of an agent that was only
/// unreachable (LOST or UNREACHABLE, then whatever the agent reports when it is back).
pub fn may_follow(from: TaskState, to: TaskState) -> bool {
    let reportable = !matches!(to, TaskState::TaskUnknown);
    match from {
        TaskState::TaskLost => reportable,
        _ if is_terminal(from) => {
            // Agent loss is told about terminal, unacknowledged tasks as well.
            from == to || matches!(to, TaskState::TaskGoneByOperator)
        }
        _ => reportable && (to != TaskState::TaskStaging || from == to),
    }
}

/// The state that a framework is told: without PARTITION_AWARE everything that means
/// "not there" is LOST.
pub fn state_for(capabilities: Capabilities, state: TaskState) -> TaskState {
    if capabilities.partition_aware {
        return state;
    }
    match state {
        TaskState::TaskDropped
        | TaskState::TaskUnreachable
        | TaskState::TaskGone
        | TaskState::TaskGoneByOperator
        | TaskState::TaskUnknown => TaskState::TaskLost,
        other => other,
    }
}

/// The executor that a task runs under: its own, or for a command task the built-in one,
/// which carries the id of the task.
pub fn executor_id_of(task: &TaskInfo) -> ExecutorId {
    match &task.executor {
        Some(executor) => ExecutorId::from(&executor.executor_id),
        None => ExecutorId::from(task.task_id.value.as_str()),
    }
}

/// Whether the built-in command executor runs the task.
pub fn is_command_task(task: &TaskInfo) -> bool {
    task.executor.is_none()
}

/// What a launch takes: the task's resources, and the executor's if that is new on its
/// agent.
pub fn resources_of_launch(
    task: &TaskInfo,
    new_executor: Option<&ExecutorInfo>,
) -> Result<Resources, ResourceError> {
    let mut resources = Resources::from_protos(&task.resources)?;
    if let Some(executor) = new_executor {
        resources += &Resources::from_protos(&executor.resources)?;
    }
    Ok(resources)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [TaskState; 14] = [
        TaskState::TaskStaging,
        TaskState::TaskStarting,
        TaskState::TaskRunning,
        TaskState::TaskKilling,
        TaskState::TaskFinished,
        TaskState::TaskFailed,
        TaskState::TaskKilled,
        TaskState::TaskError,
        TaskState::TaskLost,
        TaskState::TaskDropped,
        TaskState::TaskUnreachable,
        TaskState::TaskGone,
        TaskState::TaskGoneByOperator,
        TaskState::TaskUnknown,
    ];

    #[test]
    fn eight_states_are_terminal() {
        assert_eq!(ALL.iter().filter(|state| is_terminal(**state)).count(), 8);
        assert!(!is_terminal(TaskState::TaskUnreachable));
        assert!(is_terminal(TaskState::TaskLost));
    }

    #[test]
    fn what_ended_stays_so() {
        use TaskState::*;

        assert!(may_follow(TaskStaging, TaskRunning));
        assert!(
            may_follow(TaskRunning, TaskStarting),
            "executors may report in any order"
        );
        assert!(may_follow(TaskRunning, TaskUnreachable));
        assert!(may_follow(TaskUnreachable, TaskRunning));
        assert!(may_follow(TaskLost, TaskRunning), "the agent came back");
        assert!(may_follow(TaskFinished, TaskGoneByOperator));
        assert!(!may_follow(TaskFinished, TaskRunning));
        assert!(!may_follow(TaskFailed, TaskKilled));
        assert!(!may_follow(TaskRunning, TaskStaging));
        for state in ALL {
            assert!(!may_follow(state, TaskUnknown), "{state:?}");
        }
    }

    #[test]
    fn without_partition_awareness_absence_is_lost() {
        let aware = Capabilities {
            partition_aware: true,
            ..Default::default()
        };
        for state in ALL {
            assert_eq!(state_for(aware, state), state);
        }
        let lost: Vec<_> = ALL
            .into_iter()
            .filter(|state| state_for(Capabilities::default(), *state) != *state)
            .collect();
        assert_eq!(
            lost,
            [
                TaskState::TaskDropped,
                TaskState::TaskUnreachable,
                TaskState::TaskGone,
                TaskState::TaskGoneByOperator,
                TaskState::TaskUnknown,
            ]
        );
    }

    #[test]
    fn a_launch_takes_its_new_executor_too() {
        let protos = |text: &str| Resources::parse(text, "*").unwrap().to_protos();
        let executor = ExecutorInfo {
            executor_id: ExecutorId::from("e").to_proto(),
            resources: protos("cpus:0.1;mem:32"),
            ..Default::default()
        };
        let mut task = TaskInfo {
            task_id: crate::TaskId::from("t").to_proto(),
            resources: protos("cpus:1"),
            ..Default::default()
        };
        assert_eq!(executor_id_of(&task), "t");
        assert!(is_command_task(&task));
        task.executor = Some(executor);
        assert_eq!(executor_id_of(&task), "e");
        assert!(!is_command_task(&task));
        let of = |executor| resources_of_launch(&task, executor).unwrap();
        assert_eq!(of(None), Resources::parse("cpus:1", "*").unwrap());
        assert_eq!(
            of(task.executor.as_ref()),
            Resources::parse("cpus:1.1;mem:32", "*").unwrap()
        );
    }
}
