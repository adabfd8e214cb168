//! Checks and health checks of the tasks that the agent runs itself. A check reports what
//! changed; a health check reports failures and recoveries, and the brain draws the
//! consequences (Mesos: src/checks/checker.cpp, src/checks/health_checker.cpp).

mod judge;
mod probe;

use std::collections::BTreeMap;
use std::time::Duration;

use caprock_agent_core::Input;
use caprock_model::ContainerId;
use caprock_proto::mesos::v1::{CheckInfo, HealthCheck, TaskStatus};
use tokio::task::{AbortHandle, JoinSet};

use crate::containerizer::Containerizer;
use crate::inbox::Inbox;
use judge::{CheckJudge, HealthJudge};
use probe::Probe;

/// The checks that run, by container.
#[derive(Debug)]
pub struct Checks {
    containerizer: Containerizer,
    inbox: Inbox,
    running: BTreeMap<ContainerId, Vec<AbortHandle>>,
}

/// When a probe is repeated, and how long it may take.
#[derive(Debug, Clone, Copy)]
struct Pace {
    delay: Duration,
    interval: Duration,
    /// None: as long as it likes.
    timeout: Option<Duration>,
}

impl Checks {
    /// No checks yet.
    pub fn new(containerizer: Containerizer, inbox: Inbox) -> Self {
        Self {
            containerizer,
            inbox,
            running: BTreeMap::new(),
        }
    }

    /// Starts the checks of a container, in place of those that it has.
    pub fn start(
        &mut self,
        container: ContainerId,
        check: Option<CheckInfo>,
        health: Option<HealthCheck>,
    ) {
        self.stop(&container);
        let mut handles = Vec::new();
        if let Some(check) = check
            && let Some(probe) = Probe::of_check(&check)
        {
            let judge = CheckJudge::new(&check);
            handles.push(self.spawn(&container, probe, pace_of_check(&check), judge));
        }
        if let Some(health) = health
            && let Some(probe) = Probe::of_health(&health)
        {
            let judge = HealthJudge::new(&health);
            handles.push(self.spawn(&container, probe, pace_of_health(&health), judge));
        }
        if !handles.is_empty() {
            self.running.insert(container, handles);
        }
    }

    /// Stops the checks of a container; a probe that is under way is killed.
    pub fn stop(&mut self, container: &ContainerId) {
        for handle in self.running.remove(container).unwrap_or_default() {
            handle.abort();
        }
    }

    fn spawn(
        &self,
        container: &ContainerId,
        probe: Probe,
        pace: Pace,
        judge: impl Judge + Send + 'static,
    ) -> AbortHandle {
        let (containerizer, inbox) = (self.containerizer.clone(), self.inbox.clone());
        let container = container.clone();
        let check = repeat(containerizer, inbox, container, probe, pace, judge);
        tokio::spawn(check).abort_handle()
    }
}

impl Drop for Checks {
    fn drop(&mut self) {
        for handle in self.running.values().flatten() {
            handle.abort();
        }
    }
}

/// Turns outcomes into updates.
trait Judge {
    /// The update that an outcome is worth, if any.
    fn judge(&mut self, outcome: &probe::Outcome) -> Option<TaskStatus>;
}

async fn repeat(
    containerizer: Containerizer,
    inbox: Inbox,
    container: ContainerId,
    probe: Probe,
    pace: Pace,
    mut judge: impl Judge,
) {
    tokio::time::sleep(pace.delay).await;
    // Ends what a probe left behind when this is aborted.
    let mut scope = JoinSet::new();
    loop {
        let attempt = probe.clone().run(containerizer.clone(), container.clone());
        scope.spawn(attempt);
        let outcome = match pace.timeout {
            None => scope.join_next().await,
            Some(limit) => tokio::time::timeout(limit, scope.join_next())
                .await
                .unwrap_or(None),
        };
        let outcome = match outcome {
            Some(Ok(outcome)) => outcome,
            Some(Err(error)) => probe::Outcome::Failed(error.to_string()),
            None => {
                scope.abort_all();
                probe::Outcome::Failed("the check timed out".into())
            }
        };
        if let probe::Outcome::Failed(cause) = &outcome {
            tracing::debug!(%container, "check failed: {cause}");
        }
        if let Some(status) = judge.judge(&outcome) {
            inbox
                .input(Input::CheckResult {
                    container: container.clone(),
                    status,
                })
                .await;
        }
        tokio::time::sleep(pace.interval).await;
        while scope.try_join_next().is_some() {}
    }
}

fn seconds(value: f64) -> Duration {
    Duration::try_from_secs_f64(value).unwrap_or_default()
}

fn pace(delay: f64, interval: f64, timeout: f64) -> Pace {
    let timeout = Some(seconds(timeout)).filter(|limit| !limit.is_zero());
    Pace {
        delay: seconds(delay),
        interval: seconds(interval),
        timeout,
    }
}

fn pace_of_check(check: &CheckInfo) -> Pace {
    pace(
        check.delay_seconds(),
        check.interval_seconds(),
        check.timeout_seconds(),
    )
}

fn pace_of_health(health: &HealthCheck) -> Pace {
    pace(
        health.delay_seconds(),
        health.interval_seconds(),
        health.timeout_seconds(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mesos_defaults() {
        let pace = pace_of_health(&HealthCheck::default());
        assert_eq!(pace.delay, Duration::from_secs(15));
        assert_eq!(pace.interval, Duration::from_secs(10));
        assert_eq!(pace.timeout, Some(Duration::from_secs(20)));
        let endless = CheckInfo {
            timeout_seconds: Some(0.0),
            ..CheckInfo::default()
        };
        assert_eq!(pace_of_check(&endless).timeout, None);
    }
}
