//! Results of checks and health checks of tasks that the agent runs itself
//! (Mesos: src/checks, and taskHealthUpdated in src/launcher/executor.cpp).

use caprock_model::{ContainerId, FrameworkId, TaskId};
use caprock_proto::mesos::v1::{CheckInfo, CheckStatusInfo, TaskState, TaskStatus};
use caprock_proto::mesos::v1::{check_info, check_status_info};

use crate::agent::Agent;
use crate::effect::Effect;
use crate::task::KillCause;

impl Agent {
    pub(crate) fn check_result(&mut self, container: &ContainerId, result: &TaskStatus) {
        let Some(place) = self.places.get(container).cloned() else {
            return;
        };
        let Some(id) = place.task else { return };
        let Some(task) = self
            .task_mut(&place.framework, &id)
            .filter(|t| !t.is_terminal())
        else {
            return;
        };
        let limit = task
            .info
            .health_check
            .as_ref()
            .map(|check| check.consecutive_failures());
        let Some(process) = task
            .process
            .as_mut()
            .filter(|process| process.kill.is_none())
        else {
            // Checks pause while the task is killed.
            return;
        };
        match result.healthy {
            Some(true) => process.unhealthy = 0,
            Some(false) => process.unhealthy += 1,
            None => {}
        }
        let too_ill = limit.is_some_and(|limit| limit > 0 && process.unhealthy >= limit);
        let healthy = result.healthy.or_else(|| last_healthy(&task.statuses));
        let mut status = self.process_status(
            &place.framework,
            &place.executor,
            &id,
            TaskState::TaskRunning,
        );
        status.reason = result.reason;
        status.message = result.message.clone();
        status.healthy = healthy;
        status.check_status = result.check_status;
        self.add_check_status(&place.framework, &id, &mut status);
        self.apply_status(&place.framework, &place.executor, status);
        if too_ill {
            let found = self
                .frameworks
                .get(&place.framework)
                .and_then(|found| found.task(&id));
            let Some(grace) = found.map(|task| self.kill_grace(task, None)) else {
                return;
            };
            self.kill_process(&place.framework, &id, grace, KillCause::Unhealthy);
        }
    }

    /// Each status of a task that has a check tells its last result (Mesos: src/checks).
    pub(crate) fn add_check_status(
        &self,
        framework: &FrameworkId,
        id: &TaskId,
        status: &mut TaskStatus,
    ) {
        let found = self
            .frameworks
            .get(framework)
            .and_then(|found| found.task(id));
        let Some(task) = found else { return };
        let Some(check) = &task.info.check else {
            return;
        };
        if status.check_status.is_none() {
            let last = task.statuses.last().and_then(|last| last.check_status);
            status.check_status = Some(last.unwrap_or_else(|| empty_result(check)));
        }
    }

    pub(crate) fn stop_checks(&mut self, framework: &FrameworkId, id: &TaskId) {
        let found = self
            .frameworks
            .get(framework)
            .and_then(|found| found.task(id));
        let Some(task) = found else { return };
        let checked = task.info.check.is_some() || task.info.health_check.is_some();
        let started = task
            .process
            .as_ref()
            .filter(|process| process.started_at.is_some());
        if let Some(process) = started.filter(|_| checked) {
            let container = process.container.clone();
            self.emit(Effect::StopChecks(container));
        }
    }
}

fn last_healthy(statuses: &[TaskStatus]) -> Option<bool> {
    statuses.last().and_then(|last| last.healthy)
}

/// A result of the right type that says nothing yet.
fn empty_result(check: &CheckInfo) -> CheckStatusInfo {
    let mut result = CheckStatusInfo {
        r#type: check.r#type,
        ..CheckStatusInfo::default()
    };
    match check.r#type() {
        check_info::Type::Command => {
            result.command = Some(check_status_info::Command::default());
        }
        check_info::Type::Http => result.http = Some(check_status_info::Http::default()),
        check_info::Type::Tcp => result.tcp = Some(check_status_info::Tcp::default()),
        check_info::Type::Unknown => {}
    }
    result
}
