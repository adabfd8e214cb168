//! Launches are done once, and only if the leader and the agent agree on the executor.

use caprock_proto::caprock::session::{Launch, Reconcile, TaskReference, from_agent, order};
use caprock_proto::mesos::v1::framework_info::capability::Type as Capability;
use caprock_proto::mesos::v1::task_status::Reason;
use caprock_proto::mesos::v1::{TaskInfo, TaskState};

use super::rig::*;
use crate::Effects;

fn launch_at(rig: &mut Rig, info: TaskInfo, launch_index: u64) -> Effects {
    rig.order(order::Order::Launch(Launch {
        framework: Some(framework()),
        task: Some(info),
        launch_index,
        new_executor: true,
    }))
}

fn reconcile(rig: &mut Rig, task: &str) -> Effects {
    let reference = TaskReference {
        framework_id: FRAMEWORK.to_string(),
        task_id: task.to_string(),
    };
    rig.order(order::Order::Reconcile(Reconcile {
        tasks: vec![reference],
    }))
}

#[test]
fn a_repeated_launch_is_not_done_again() {
    let mut rig = Rig::attached();
    let effects = launch_at(&mut rig, task("t"), 5);
    let container = launches(&effects)[0].container.clone();
    assert!(launches(&launch_at(&mut rig, task("t"), 5)).is_empty());
    let effects = rig.started(&container);
    rig.acknowledge_all(&effects);
    let finished = rig.exited(&container, 0);
    assert!(launches(&launch_at(&mut rig, task("t"), 5)).is_empty());
    rig.acknowledge_all(&finished);
    // Over and acknowledged: the end is told once more, with the same uuid.
    let effects = launch_at(&mut rig, task("t"), 5);
    assert!(launches(&effects).is_empty());
    assert_eq!(statuses(&effects)[0].uuid, statuses(&finished)[0].uuid);
    rig.acknowledge_all(&effects);
    rig.restart(dead);
    rig.attach();
    assert!(launches(&launch_at(&mut rig, task("t"), 5)).is_empty());
}

#[test]
fn an_id_is_used_again_by_a_later_launch() {
    let mut rig = Rig::attached();
    let container = launches(&launch_at(&mut rig, task("t"), 5))[0]
        .container
        .clone();
    rig.started(&container);
    rig.exited(&container, 0);
    // The acknowledgement got lost on its way to the agent; the log has it.
    let effects = launch_at(&mut rig, task("t"), 9);
    assert_eq!(launches(&effects).len(), 1);
    assert!(launches(&launch_at(&mut rig, task("t"), 5)).is_empty());
}

#[test]
fn an_id_of_a_running_task_is_refused_without_touching_it() {
    let mut rig = Rig::attached();
    launch_at(&mut rig, task("t"), 5);
    let effects = launch_at(&mut rig, task("t"), 9);
    assert!(launches(&effects).is_empty());
    assert_eq!(statuses(&effects)[0].uuid, None);
    assert_eq!(rig.agent.view().frameworks[0].executors.len(), 1);
}

#[test]
fn expectations_about_the_executor() {
    let mut rig = Rig::attached();
    let seen = statuses(&rig.launch_of(framework(), custom_task("e", "t1"), false));
    assert_eq!(states(&seen), [TaskState::TaskLost]);
    let text = "No executor is expected to launch and there is none running";
    assert_eq!(seen[0].message.as_deref(), Some(text));

    rig.launch(custom_task("e", "t2"));
    let seen = statuses(&rig.launch(custom_task("e", "t3")));
    let text = "Master wants to launch executor, but one already exists";
    assert_eq!(seen[0].message.as_deref(), Some(text));

    let seen = statuses(&rig.launch(task("e")));
    let text = "Cannot reuse an already existing executor for a command task";
    assert_eq!(seen[0].message.as_deref(), Some(text));
    assert_eq!(seen[0].reason(), Reason::TaskInvalid);
}

#[test]
fn partition_aware_frameworks_hear_dropped() {
    let mut rig = Rig::attached();
    let owner = with_capabilities(&[Capability::PartitionAware]);
    let seen = statuses(&rig.launch_of(owner, custom_task("e", "t"), false));
    assert_eq!(states(&seen), [TaskState::TaskDropped]);
    assert_eq!(seen[0].reason(), Reason::ExecutorTerminated);
}

#[test]
fn a_dropped_launch_gives_the_charged_executor_back() {
    let mut rig = Rig::attached();
    let container = rig.run_custom("e", "t1");
    rig.exited(&container, 0);
    // The old executor waits for acknowledgements.
    let effects = rig.launch(custom_task("e", "t2"));
    assert_eq!(
        statuses(&effects)[0].message.as_deref(),
        Some("Executor terminated")
    );
    let told = to_masters(&effects);
    assert!(
        told.iter()
            .any(|(_, m)| matches!(m, from_agent::Message::ExecutorExited(_)))
    );
}

#[test]
fn reconciliation_answers_for_what_is_not_here() {
    let mut rig = Rig::attached();
    let container = rig.run(task("t"));
    assert!(statuses(&reconcile(&mut rig, "t")).is_empty());
    let effects = reconcile(&mut rig, "ghost");
    let seen = statuses(&effects);
    assert_eq!(states(&seen), [TaskState::TaskLost]);
    assert_eq!(seen[0].reason(), Reason::Reconciliation);
    let text = "Reconciliation: task unknown to the agent";
    assert_eq!(seen[0].message.as_deref(), Some(text));
    assert!(seen[0].uuid.is_some());
    assert!(
        launches(&launch_at(&mut rig, task("ghost"), 7)).is_empty(),
        "it has been given up"
    );
    // What is over is told as it ended.
    let effects = rig.exited(&container, 0);
    rig.acknowledge_all(&effects);
    assert_eq!(
        states(&statuses(&reconcile(&mut rig, "t"))),
        [TaskState::TaskFinished]
    );
}

#[test]
fn kill_of_a_task_that_is_not_here() {
    let mut rig = Rig::attached();
    assert!(
        statuses(&rig.kill("t", None)).is_empty(),
        "the framework is unknown"
    );
    rig.run(task("other"));
    let seen = statuses(&rig.kill("t", None));
    assert_eq!(states(&seen), [TaskState::TaskLost]);
    assert_eq!(seen[0].message.as_deref(), Some("Cannot find executor"));
}

#[test]
fn finished_launches_are_forgotten_within_bounds() {
    let mut config = config();
    config.max_finished_launches = 2;
    let mut rig = Rig::with(config);
    rig.attach();
    for id in ["a", "b", "c"] {
        let container = rig.run(task(id));
        let effects = rig.exited(&container, 0);
        rig.acknowledge_all(&effects);
    }
    let finished = rig.disk.keys().filter(|key| key[0] == 0x14).count();
    assert_eq!(finished, 2);
    let view = rig.agent.view();
    assert_eq!(view.completed_frameworks.len(), 1);
    assert_eq!(view.completed_frameworks[0].completed_executors.len(), 3);
    assert_eq!(view.get_tasks().completed_tasks.len(), 3);
}
