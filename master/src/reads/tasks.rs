//! Tasks as GET_TASKS shows them.

use std::sync::Arc;

use caprock_proto::mesos::v1::master::response::GetTasks;
use caprock_proto::mesos::v1::{self, TaskState};
use caprock_registry::{Framework, Task};

use super::Snapshot;

/// The tasks of all frameworks, removed ones included.
pub fn tasks(snapshot: &Snapshot) -> GetTasks {
    let protos = |tasks: &mut dyn Iterator<Item = &Arc<Task>>| tasks.map(|t| task(t)).collect();
    GetTasks {
        tasks: protos(&mut live_tasks(snapshot)),
        unreachable_tasks: protos(&mut unreachable_tasks(snapshot)),
        completed_tasks: protos(&mut completed_tasks(snapshot)),
        ..GetTasks::default()
    }
}

fn all_frameworks(snapshot: &Snapshot) -> impl Iterator<Item = &Arc<Framework>> {
    snapshot
        .registry
        .frameworks()
        .chain(snapshot.completed_frameworks())
}

/// Tasks that run, or whose end is not acknowledged.
pub fn live_tasks(snapshot: &Snapshot) -> impl Iterator<Item = &Arc<Task>> {
    all_frameworks(snapshot).flat_map(|framework| framework.tasks.values())
}

/// Tasks on unreachable agents.
pub fn unreachable_tasks(snapshot: &Snapshot) -> impl Iterator<Item = &Arc<Task>> {
    all_frameworks(snapshot).flat_map(|framework| snapshot.unreachable_tasks_of(framework))
}

/// Tasks that ended, oldest end first.
pub fn completed_tasks(snapshot: &Snapshot) -> impl Iterator<Item = &Arc<Task>> {
    all_frameworks(snapshot).flat_map(|framework| snapshot.completed_tasks_of(framework))
}

/// What the agent last said of the task, or that it cannot say anything any more.
fn shown_state(task: &Task) -> TaskState {
    match task.state {
        TaskState::TaskUnreachable | TaskState::TaskLost => task.state,
        _ => task.latest_state,
    }
}

/// One task.
pub fn task(task: &Task) -> v1::Task {
    let info = &task.info;
    let command = info.command.as_ref();
    let executor_command = info
        .executor
        .as_ref()
        .and_then(|executor| executor.command.as_ref());
    v1::Task {
        name: info.name.clone(),
        task_id: task.id.to_proto(),
        framework_id: task.framework_id.to_proto(),
        executor_id: (!task.is_command).then(|| task.executor_id.to_proto()),
        agent_id: task.agent_id.to_proto(),
        state: shown_state(task) as i32,
        resources: task.resources.to_protos_for_endpoints(),
        statuses: task
            .statuses
            .iter()
            .map(|status| (**status).clone())
            .collect(),
        status_update_state: (!task.statuses.is_empty()).then_some(task.state as i32),
        status_update_uuid: (!task.status_uuid.is_empty()).then(|| task.status_uuid.clone()),
        labels: info.labels.clone(),
        discovery: info.discovery.clone(),
        container: info.container.clone(),
        health_check: info.health_check.clone(),
        kill_policy: info.kill_policy,
        user: command
            .or(executor_command)
            .and_then(|command| command.user.clone()),
        limits: info.limits.clone(),
    }
}
