//! Checks and health checks of tasks that the agent runs itself.

use caprock_proto::mesos::v1::task_status::Reason;
use caprock_proto::mesos::v1::{
    CheckInfo, HealthCheck, TaskInfo, TaskState, TaskStatus, check_info, health_check,
};
use caprock_proto::mesos::v1::{CheckStatusInfo, check_status_info};

use super::rig::*;
use crate::{Effect, Effects, Input, Signal};

fn healthy(rig: &mut Rig, container: &caprock_model::ContainerId, healthy: bool) -> Effects {
    let status = TaskStatus {
        healthy: Some(healthy),
        reason: Some(Reason::TaskHealthCheckStatusUpdated as i32),
        ..TaskStatus::default()
    };
    rig.step(Input::CheckResult {
        container: container.clone(),
        status,
    })
}

#[test]
fn too_many_failures_kill_the_task() {
    let mut rig = Rig::attached();
    let info = TaskInfo {
        health_check: Some(HealthCheck {
            r#type: Some(health_check::Type::Tcp as i32),
            consecutive_failures: Some(2),
            ..HealthCheck::default()
        }),
        ..task("t")
    };
    let effects = rig.launch(info);
    let container = launches(&effects)[0].container.clone();
    let effects = rig.started(&container);
    assert!(
        effects
            .iter()
            .any(|effect| matches!(effect, Effect::StartChecks { .. }))
    );
    rig.acknowledge_all(&effects);
    for (result, kills) in [(false, false), (true, false), (false, false), (false, true)] {
        let effects = healthy(&mut rig, &container, result);
        assert_eq!(!signals(&effects).is_empty(), kills);
        let seen = rig.acknowledge_all(&effects);
        assert_eq!(seen[0].healthy, Some(result));
        assert_eq!(seen[0].state(), TaskState::TaskRunning);
    }
    assert!(statuses(&healthy(&mut rig, &container, false)).is_empty());
    let seen = statuses(&rig.exited(&container, 15));
    assert_eq!(states(&seen), [TaskState::TaskKilled]);
    assert_eq!(seen[0].healthy, Some(false));
    assert_eq!(signals(&rig.advance(10_000)), [], "the process is gone");
}

#[test]
fn every_status_of_a_checked_task_has_the_last_result() {
    let mut rig = Rig::attached();
    let info = TaskInfo {
        check: Some(CheckInfo {
            r#type: Some(check_info::Type::Tcp as i32),
            ..CheckInfo::default()
        }),
        ..task("t")
    };
    let container = launches(&rig.launch(info))[0].container.clone();
    let effects = rig.started(&container);
    for status in rig.acknowledge_all(&effects) {
        let check = status.check_status.unwrap();
        assert_eq!(check.tcp.unwrap().succeeded, None);
    }
    let result = CheckStatusInfo {
        r#type: Some(check_info::Type::Tcp as i32),
        tcp: Some(check_status_info::Tcp {
            succeeded: Some(true),
        }),
        ..CheckStatusInfo::default()
    };
    let status = TaskStatus {
        check_status: Some(result),
        ..TaskStatus::default()
    };
    let effects = rig.step(Input::CheckResult {
        container: container.clone(),
        status,
    });
    rig.acknowledge_all(&effects);
    let effects = rig.kill("t", None);
    assert!(
        effects
            .iter()
            .any(|effect| matches!(effect, Effect::StopChecks(_)))
    );
    assert_eq!(signals(&effects), [(container.clone(), Signal::Terminate)]);
    let seen = statuses(&rig.exited(&container, 15));
    assert_eq!(
        seen[0].check_status.unwrap().tcp.unwrap().succeeded,
        Some(true)
    );
}
