//! Groups under the default executor.

use caprock_model::ContainerId;
use caprock_proto::caprock::session::from_agent;
use caprock_proto::mesos::v1::{TaskState, executor_info};

use super::rig::*;
use crate::{Effects, Signal};

fn default_executor() -> caprock_proto::mesos::v1::ExecutorInfo {
    executor_info("pod", executor_info::Type::Default)
}

fn containers(effects: &Effects) -> Vec<ContainerId> {
    launches(effects)
        .iter()
        .map(|spec| spec.container.clone())
        .collect()
}

#[test]
fn a_group_runs_in_containers_below_the_executors() {
    let mut rig = Rig::attached();
    let effects = rig.launch_group(default_executor(), vec![task("a"), task("b")]);
    let specs = launches(&effects);
    assert_eq!(specs.len(), 2);
    assert!(specs[0].parent.is_some() && specs[0].parent == specs[1].parent);
    assert!(!specs[0].is_command_task);
    let seen = rig.acknowledge_all(&effects);
    assert_eq!(
        states(&seen),
        [TaskState::TaskStarting, TaskState::TaskStarting]
    );
    assert!(
        seen.iter()
            .all(|status| status.executor_id.as_ref().unwrap().value == "pod")
    );
    for spec in &specs {
        let effects = rig.started(&spec.container);
        let seen = rig.acknowledge_all(&effects);
        assert_eq!(states(&seen), [TaskState::TaskRunning]);
        let id = seen[0]
            .container_status
            .as_ref()
            .unwrap()
            .container_id
            .clone()
            .unwrap();
        assert_eq!(id.value, spec.container.as_str());
        assert_eq!(
            id.parent.unwrap().value,
            spec.parent.as_ref().unwrap().as_str()
        );
    }
    let effects = rig.exited(&specs[0].container, 0);
    rig.acknowledge_all(&effects);
    assert!(signals(&effects).is_empty(), "the other one goes on");
    let effects = rig.exited(&specs[1].container, 0);
    let exited = to_masters(&effects)
        .into_iter()
        .find_map(|(_, message)| match message {
            from_agent::Message::ExecutorExited(exited) => Some(exited.wait_status),
            _ => None,
        });
    assert_eq!(exited, Some(0));
    rig.acknowledge_all(&effects);
    assert!(rig.agent.view().frameworks.is_empty());
}

#[test]
fn a_failure_kills_the_group_and_no_other() {
    let mut rig = Rig::attached();
    let first = rig.launch_group(default_executor(), vec![task("a"), task("b")]);
    let second = rig.launch_group(default_executor(), vec![task("c")]);
    let (pair, single) = (containers(&first), containers(&second));
    assert_eq!(launches(&first)[0].parent, launches(&second)[0].parent);
    rig.acknowledge_all(&first);
    rig.acknowledge_all(&second);
    for container in pair.iter().chain(&single) {
        let effects = rig.started(container);
        rig.acknowledge_all(&effects);
    }
    let effects = rig.exited(&pair[0], 3 << 8);
    assert_eq!(signals(&effects), [(pair[1].clone(), Signal::Terminate)]);
    let effects = rig.exited(&pair[1], 15);
    assert_eq!(states(&statuses(&effects)), [TaskState::TaskKilled]);
    assert_eq!(
        rig.agent.view().frameworks[0].executors[0]
            .launched_tasks
            .len(),
        1
    );
}

#[test]
fn a_kill_before_the_process_runs_waits_for_its_end() {
    let mut rig = Rig::attached();
    let effects = rig.launch_group(default_executor(), vec![task("a")]);
    let container = containers(&effects).remove(0);
    rig.acknowledge_all(&effects);
    let effects = rig.kill("a", None);
    assert_eq!(signals(&effects), [(container.clone(), Signal::Kill)]);
    assert!(statuses(&effects).is_empty());
    let message = "cancelled".to_string();
    let effects = rig.step(crate::Input::ContainerFailed { container, message });
    assert_eq!(states(&statuses(&effects)), [TaskState::TaskKilled]);
}

#[test]
fn pods_survive_a_restart() {
    let mut rig = Rig::attached();
    let effects = rig.launch_group(default_executor(), vec![task("a"), task("b")]);
    let pair = containers(&effects);
    rig.acknowledge_all(&effects);
    for container in &pair {
        let effects = rig.started(container);
        rig.acknowledge_all(&effects);
    }
    assert_eq!(rig.stored().len(), 2);
    rig.restart(alive);
    let (_, attach) = {
        rig.step(crate::Input::LinkUp(LINK));
        attaches(&rig.master(LINK, 1, standing(true))).remove(0)
    };
    assert_eq!((attach.tasks.len(), attach.executors.len()), (2, 1));
    rig.answer_attach(LINK);
    let effects = rig.exited(&pair[0], 0);
    assert_eq!(states(&statuses(&effects)), [TaskState::TaskFinished]);
}
