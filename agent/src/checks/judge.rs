//! Which outcomes of a probe are worth an update of the task.

use std::time::{Duration, Instant};

use caprock_proto::mesos::v1::task_status::Reason;
use caprock_proto::mesos::v1::{
    CheckInfo, CheckStatusInfo, HealthCheck, TaskStatus, check_info, check_status_info,
};

use super::probe::Outcome;
use super::{Judge, seconds};

/// Reports every result that differs from the one before.
#[derive(Debug)]
pub struct CheckJudge {
    last: CheckStatusInfo,
}

impl CheckJudge {
    /// No result yet: the type is there, its content is empty.
    pub fn new(check: &CheckInfo) -> Self {
        Self {
            last: check_status(check.r#type(), None),
        }
    }
}

impl Judge for CheckJudge {
    fn judge(&mut self, outcome: &Outcome) -> Option<TaskStatus> {
        let status = check_status(self.last.r#type(), Some(outcome));
        if status == self.last {
            return None;
        }
        self.last = status;
        Some(TaskStatus {
            reason: Some(Reason::TaskCheckStatusUpdated.into()),
            check_status: Some(status),
            ..TaskStatus::default()
        })
    }
}

fn check_status(kind: check_info::Type, outcome: Option<&Outcome>) -> CheckStatusInfo {
    let mut status = CheckStatusInfo {
        r#type: Some(kind.into()),
        ..CheckStatusInfo::default()
    };
    match kind {
        check_info::Type::Command => {
            let exit_code = match outcome {
                Some(Outcome::Exited(code)) => Some(*code),
                _ => None,
            };
            status.command = Some(check_status_info::Command { exit_code });
        }
        check_info::Type::Http => {
            let status_code = match outcome {
                Some(Outcome::Answered(code)) => Some(u32::from(*code)),
                _ => None,
            };
            status.http = Some(check_status_info::Http { status_code });
        }
        check_info::Type::Tcp => {
            let succeeded = match outcome {
                Some(Outcome::Connected(succeeded)) => Some(*succeeded),
                _ => None,
            };
            status.tcp = Some(check_status_info::Tcp { succeeded });
        }
        check_info::Type::Unknown => {}
    }
    status
}

/// Reports each failure, and each success that follows a failure or is the first.
#[derive(Debug)]
pub struct HealthJudge {
    started: Instant,
    grace_period: Duration,
    last_healthy: Option<bool>,
}

impl HealthJudge {
    /// The grace period begins now.
    pub fn new(health: &HealthCheck) -> Self {
        let grace_period = seconds(health.grace_period_seconds());
        Self {
            started: Instant::now(),
            grace_period,
            last_healthy: None,
        }
    }
}

impl Judge for HealthJudge {
    fn judge(&mut self, outcome: &Outcome) -> Option<TaskStatus> {
        let healthy = match outcome {
            Outcome::Exited(code) => *code == 0,
            Outcome::Answered(code) => (200..400).contains(code),
            Outcome::Connected(succeeded) => *succeeded,
            Outcome::Failed(_) => false,
        };
        let starting = self.last_healthy.is_none() && self.started.elapsed() < self.grace_period;
        if (!healthy && starting) || (healthy && self.last_healthy == Some(true)) {
            return None;
        }
        self.last_healthy = Some(healthy);
        let message = match outcome {
            Outcome::Failed(cause) => Some(format!("Task health check failed: {cause}")),
            _ => None,
        };
        Some(TaskStatus {
            reason: Some(Reason::TaskHealthCheckStatusUpdated.into()),
            healthy: Some(healthy),
            message,
            ..TaskStatus::default()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_reports_changes_only() {
        let info = CheckInfo {
            r#type: Some(check_info::Type::Command.into()),
            ..CheckInfo::default()
        };
        let mut judge = CheckJudge::new(&info);
        let code = |status: Option<TaskStatus>| {
            status.map(|status| status.check_status.unwrap().command.unwrap().exit_code)
        };
        assert_eq!(code(judge.judge(&Outcome::Failed("no".into()))), None);
        assert_eq!(code(judge.judge(&Outcome::Exited(3))), Some(Some(3)));
        assert_eq!(code(judge.judge(&Outcome::Exited(3))), None);
        assert_eq!(
            code(judge.judge(&Outcome::Failed("late".into()))),
            Some(None)
        );
    }

    #[test]
    fn a_health_check_reports_failures_and_recoveries() {
        let health = HealthCheck {
            grace_period_seconds: Some(0.0),
            ..HealthCheck::default()
        };
        let mut judge = HealthJudge::new(&health);
        let mut healthy = |outcome| judge.judge(&outcome).map(|status| status.healthy.unwrap());
        assert_eq!(healthy(Outcome::Answered(399)), Some(true));
        assert_eq!(healthy(Outcome::Answered(200)), None);
        assert_eq!(healthy(Outcome::Answered(500)), Some(false));
        assert_eq!(healthy(Outcome::Connected(false)), Some(false));
        assert_eq!(healthy(Outcome::Exited(0)), Some(true));
    }

    #[test]
    fn failures_while_a_task_starts_do_not_count() {
        let health = HealthCheck {
            grace_period_seconds: Some(1e6),
            ..HealthCheck::default()
        };
        let mut judge = HealthJudge::new(&health);
        assert!(judge.judge(&Outcome::Exited(1)).is_none());
        assert!(judge.judge(&Outcome::Exited(0)).is_some());
        assert!(
            judge.judge(&Outcome::Exited(1)).is_some(),
            "the grace period ends at a success"
        );
    }
}
