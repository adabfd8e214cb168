//! Command tasks: the words and states of Mesos' command executor.

use caprock_model::DurationMs;
use caprock_proto::mesos::v1::framework_info::capability::Type as Capability;
use caprock_proto::mesos::v1::task_status::{Reason, Source};
use caprock_proto::mesos::v1::{KillPolicy, TaskInfo, TaskState};

use super::rig::*;
use crate::{Effect, Input, Signal};

#[test]
fn starting_running_finished() {
    let mut rig = Rig::attached();
    let effects = rig.launch(task("t"));
    assert!(statuses(&effects).is_empty());
    let spec = launches(&effects).remove(0);
    assert!(spec.is_command_task && spec.checkpoint);
    assert_eq!(
        (spec.executor_id.as_str(), spec.task_id.as_deref()),
        ("t", Some("t"))
    );
    assert_eq!(spec.user.as_deref(), Some("alice"));
    let effects = rig.started(&spec.container);
    let seen = rig.acknowledge_all(&effects);
    assert_eq!(
        states(&seen),
        [TaskState::TaskStarting, TaskState::TaskRunning]
    );
    let running = &seen[1];
    assert_eq!(running.source(), Source::Executor);
    assert_eq!(running.executor_id.as_ref().unwrap().value, "t");
    let container = running.container_status.as_ref().unwrap();
    assert_eq!(
        container.container_id.as_ref().unwrap().value,
        spec.container.as_str()
    );
    let effects = rig.exited(&spec.container, 0);
    let seen = rig.acknowledge_all(&effects);
    assert_eq!(states(&seen), [TaskState::TaskFinished]);
    assert_eq!(
        seen[0].message.as_deref(),
        Some("Command exited with status 0")
    );
    assert!(
        effects
            .iter()
            .any(|effect| matches!(effect, Effect::CollectSandbox(_)))
    );
    let view = rig.agent.view();
    assert!(view.frameworks.is_empty());
    let executor = &view.completed_frameworks[0].completed_executors[0];
    assert_eq!(executor.completed_tasks[0].state, TaskState::TaskFinished);
}

#[test]
fn exit_codes_and_signals_fail_the_task() {
    for (word, text) in [
        (7 << 8, "Command exited with status 7"),
        (9, "Command terminated with signal Killed"),
    ] {
        let mut rig = Rig::attached();
        let container = rig.run(task("t"));
        let seen = statuses(&rig.exited(&container, word));
        assert_eq!(states(&seen), [TaskState::TaskFailed]);
        assert_eq!(seen[0].message.as_deref(), Some(text));
        assert_eq!(seen[0].reason, None);
    }
}

#[test]
fn a_container_that_cannot_be_launched_fails_the_task() {
    let mut rig = Rig::attached();
    let container = launches(&rig.launch(task("t")))[0].container.clone();
    let message = "no such image".to_string();
    let seen = statuses(&rig.step(Input::ContainerFailed { container, message }));
    assert_eq!(states(&seen), [TaskState::TaskFailed]);
    assert_eq!(seen[0].reason(), Reason::ContainerLaunchFailed);
    assert_eq!(seen[0].source(), Source::Agent);
    assert_eq!(
        seen[0].message.as_deref(),
        Some("Failed to launch container: no such image")
    );
}

#[test]
fn kill_waits_three_seconds_before_sigkill() {
    let mut rig = Rig::attached();
    let container = rig.run(task("t"));
    let effects = rig.kill("t", None);
    assert_eq!(signals(&effects), [(container.clone(), Signal::Terminate)]);
    assert!(statuses(&effects).is_empty(), "KILLING needs a capability");
    assert!(signals(&rig.advance(2999)).is_empty());
    assert_eq!(
        signals(&rig.advance(1)),
        [(container.clone(), Signal::Kill)]
    );
    let seen = statuses(&rig.exited(&container, 9));
    assert_eq!(states(&seen), [TaskState::TaskKilled]);
    assert_eq!(seen[0].source(), Source::Executor);
    assert_eq!(seen[0].reason, None);
}

#[test]
fn the_grace_period_of_the_call_comes_before_that_of_the_task() {
    let grace = DurationMs(1000).to_proto();
    let policy = KillPolicy {
        grace_period: Some(grace),
    };
    let patient = || TaskInfo {
        kill_policy: Some(policy),
        ..task("t")
    };
    let mut rig = Rig::attached();
    rig.run(patient());
    rig.kill("t", None);
    assert_eq!(signals(&rig.advance(1000)).len(), 1);

    let mut rig = Rig::attached();
    rig.run(patient());
    rig.kill("t", Some(5000));
    assert_eq!(signals(&rig.advance(4999)).len(), 0);
    // A second call may shorten what remains, and not lengthen it.
    rig.kill("t", Some(9000));
    assert_eq!(signals(&rig.advance(1)).len(), 1);

    let mut rig = Rig::attached();
    rig.run(patient());
    rig.kill("t", Some(5000));
    rig.advance(1000);
    rig.kill("t", Some(1500));
    assert_eq!(signals(&rig.advance(500)).len(), 1);
}

#[test]
fn killing_is_told_to_those_who_understand_it() {
    let mut rig = Rig::attached();
    let owner = with_capabilities(&[Capability::TaskKillingState]);
    let effects = rig.launch_of(owner, task("t"), true);
    let container = launches(&effects)[0].container.clone();
    let effects = rig.started(&container);
    rig.acknowledge_all(&effects);
    let effects = rig.kill("t", None);
    assert_eq!(states(&statuses(&effects)), [TaskState::TaskKilling]);
    rig.exited(&container, 15);
    let seen = rig.acknowledge_all(&effects);
    assert_eq!(
        states(&seen),
        [TaskState::TaskKilling, TaskState::TaskKilled]
    );
}

#[test]
fn kill_before_the_process_runs() {
    let mut rig = Rig::attached();
    let container = launches(&rig.launch(task("t")))[0].container.clone();
    let effects = rig.kill("t", None);
    assert_eq!(signals(&effects), [(container.clone(), Signal::Kill)]);
    let seen = statuses(&effects);
    assert_eq!(states(&seen), [TaskState::TaskKilled]);
    assert_eq!(seen[0].reason(), Reason::TaskKilledDuringLaunch);
    assert_eq!(
        seen[0].message.as_deref(),
        Some("Killed before delivery to the executor")
    );
    // The process came to life in spite of it.
    let effects = rig.started(&container);
    assert_eq!(signals(&effects), [(container.clone(), Signal::Kill)]);
    assert!(statuses(&effects).is_empty());
    assert!(statuses(&rig.exited(&container, 9)).is_empty());
}

#[test]
fn completion_time_fails_the_task() {
    let mut rig = Rig::attached();
    let info = TaskInfo {
        max_completion_time: Some(DurationMs(10_000).to_proto()),
        ..task("t")
    };
    let container = rig.run(info);
    assert!(signals(&rig.advance(9_999)).is_empty());
    assert_eq!(
        signals(&rig.advance(1)),
        [(container.clone(), Signal::Kill)]
    );
    let seen = statuses(&rig.exited(&container, 9));
    assert_eq!(states(&seen), [TaskState::TaskFailed]);
    assert_eq!(seen[0].reason(), Reason::MaxCompletionTimeReached);
}
