//! Random sequences of commands over a small world, in which most ids collide.

use caprock_model::{DurationMs, Millis};
use caprock_proto::caprock::registry::accept_step::Step;
use caprock_proto::caprock::registry::entry::Command;
use caprock_proto::caprock::registry::remove_agent::Removal;
use caprock_proto::caprock::registry::update_quotas::Presence;
use caprock_proto::caprock::registry::{
    AttachAgent, Entry, ExecutorRecord, Launch, RecordUpdates, RecordedUpdate, ReviveRoles,
    SuppressRoles, TaskRecord, UpdateFramework, UpdateQuotas,
};
use caprock_proto::mesos::v1::framework_info::capability::Type as Capability;
use caprock_proto::mesos::v1::{FrameworkInfo, TaskInfo, TaskState, offer};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use crate::testing::operation::{by_framework, by_operator, create, destroy, reserve, unreserve};
use crate::testing::{
    FAILED, FINISHED, LOST, RUNNING, STAGING, acknowledge, admit, attach, disconnect, executor,
    executor_key, forget_executor, framework, kill, launch, launch_group, remove_agent,
    remove_framework, resources, status, subscribe, task, task_with_executor, unreachable, update,
    update_quotas, update_weights,
};
use crate::{Limits, Outcome, Registry, entry};

/// So small that everything is forgotten now and then.
const LIMITS: Limits = Limits {
    completed_frameworks: 2,
    completed_tasks_per_framework: 3,
    unreachable_tasks_per_framework: 2,
    removed_agents: 2,
    idempotency_keys: 3,
    idempotency_window: DurationMs(8_000),
};

fn agent_id() -> impl Strategy<Value = &'static str> {
    select(vec!["a1", "a2", "a3"])
}

fn framework_id() -> impl Strategy<Value = &'static str> {
    select(vec!["f1", "f1", "f2", "f3"])
}

fn task_id() -> impl Strategy<Value = &'static str> {
    select(vec!["t1", "t2", "t3", "t4", "t5", "t6"])
}

fn executor_id() -> impl Strategy<Value = &'static str> {
    select(vec!["e1", "e2"])
}

fn uuid() -> impl Strategy<Value = &'static str> {
    select(vec!["u1", "u2", ""])
}

fn state() -> impl Strategy<Value = TaskState> {
    select(vec![STAGING, RUNNING, RUNNING, FINISHED, FAILED, LOST])
}

fn amounts() -> impl Strategy<Value = &'static str> {
    select(vec![
        "cpus:0.5;mem:64",
        "cpus:1;ports:[1-2]",
        "cpus:1;ports:[2-4]",
        "cpus:3",
        "mem:9",
    ])
}

fn framework_info() -> impl Strategy<Value = FrameworkInfo> {
    (framework_id(), any::<bool>(), any::<bool>()).prop_map(|(id, partition_aware, ops)| {
        let aware = [Capability::PartitionAware];
        let mut info = framework(id, if partition_aware { &aware } else { &[] });
        if ops {
            info.roles.push("ops".to_owned());
        }
        info
    })
}

fn task_info() -> impl Strategy<Value = TaskInfo> {
    prop_oneof![
        (task_id(), amounts()).prop_map(|(id, amounts)| task(id, amounts)),
        (task_id(), amounts(), executor_id())
            .prop_map(|(id, amounts, executor)| task_with_executor(id, amounts, executor)),
    ]
}

fn recorded_update() -> impl Strategy<Value = RecordedUpdate> {
    (framework_id(), task_id(), state(), uuid(), state()).prop_map(
        |(framework, task, state, uuid, latest)| update(framework, task, state, uuid, latest),
    )
}

fn task_record() -> impl Strategy<Value = TaskRecord> {
    (task_info(), framework_id(), state(), uuid(), state()).prop_map(
        |(info, framework, state, uuid, latest)| TaskRecord {
            statuses: vec![status(&info.task_id.value, state, uuid)],
            info: Some(info),
            framework_id: framework.to_owned(),
            state: state.into(),
            latest_state: latest.into(),
            status_uuid: uuid.into(),
            ..TaskRecord::default()
        },
    )
}

fn attach_command() -> impl Strategy<Value = Command> {
    let total = select(vec![
        "cpus:4;mem:1024;ports:[1-10]",
        "cpus:1",
        "cpus:8;disk:128;ports:[1-3]",
    ]);
    let lists = (
        vec(task_record(), 0..4),
        vec((framework_id(), executor_id()), 0..2),
        vec(framework_info(), 0..2),
        vec((framework_id(), executor_id()), 0..2),
    );
    (agent_id(), total, lists).prop_map(|(id, total, (tasks, executors, frameworks, lost))| {
        let mut command = attach(id);
        let description = command.agent.as_mut().unwrap();
        description.info.as_mut().unwrap().resources = resources(total);
        let record = |(framework, id): (&str, &str)| ExecutorRecord {
            info: Some(executor(id)),
            framework_id: framework.to_owned(),
            agent_id: description.agent_id.clone(),
        };
        let key = |(framework, executor)| executor_key(framework, id, executor);
        Command::AttachAgent(AttachAgent {
            unknown_tasks: tasks,
            unknown_executors: executors.into_iter().map(record).collect(),
            unknown_frameworks: frameworks,
            lost_executors: lost.into_iter().map(key).collect(),
            ..command.clone()
        })
    })
}

fn agent_command() -> impl Strategy<Value = Command> {
    let removal = select(vec![
        Removal::Unregistered,
        Removal::Replaced,
        Removal::Gone,
    ]);
    prop_oneof![
        5 => agent_id().prop_map(admit),
        3 => attach_command(),
        2 => agent_id().prop_map(unreachable),
        1 => (agent_id(), removal).prop_map(|(id, removal)| remove_agent(id, removal)),
    ]
}

fn framework_command() -> impl Strategy<Value = Command> {
    let role = select(vec!["eng", "ops"]);
    let expired = select(vec![None, Some(5_000), Some(9_000)]);
    let deadline = select(vec![5_000, 9_000]);
    prop_oneof![
        6 => framework_info().prop_map(subscribe),
        1 => framework_info().prop_map(|info| {
            let suppressed_roles = info.roles.clone();
            let info = Some(info);
            let update = UpdateFramework { info, suppressed_roles, offer_constraints: None };
            Command::UpdateFramework(update)
        }),
        1 => (framework_id(), deadline).prop_map(|(id, deadline)| disconnect(id, deadline)),
        1 => (framework_id(), expired).prop_map(|(id, expired)| remove_framework(id, expired)),
        1 => (framework_id(), vec(role.clone(), 0..3)).prop_map(|(id, roles)| {
            let roles = roles.into_iter().map(str::to_owned).collect();
            Command::SuppressRoles(SuppressRoles { framework_id: id.to_owned(), roles })
        }),
        1 => (framework_id(), vec(role, 0..3)).prop_map(|(id, roles)| {
            let roles = roles.into_iter().map(str::to_owned).collect();
            Command::ReviveRoles(ReviveRoles { framework_id: id.to_owned(), roles })
        }),
    ]
}

fn operation() -> impl Strategy<Value = offer::Operation> {
    let volume = || (select(vec![16, 32]), select(vec!["v", "w"]));
    prop_oneof![
        2 => amounts().prop_map(reserve),
        1 => amounts().prop_map(unreserve),
        1 => Just(reserve("disk:64")),
        1 => volume().prop_map(|(size, id)| create(size, id)),
        1 => volume().prop_map(|(size, id)| destroy(size, id)),
    ]
}

fn operation_command() -> impl Strategy<Value = Command> {
    let step = prop_oneof![
        3 => operation().prop_map(Step::Operation),
        1 => vec(task_info(), 0..3).prop_map(|tasks| Step::Launch(Launch {
            tasks,
            ..Launch::default()
        })),
    ];
    prop_oneof![
        (agent_id(), operation()).prop_map(|(agent, operation)| by_operator(agent, operation)),
        (framework_id(), agent_id(), vec(step, 0..4))
            .prop_map(|(framework, agent, steps)| by_framework(framework, agent, steps)),
    ]
}

fn task_command() -> impl Strategy<Value = Command> {
    prop_oneof![
        4 => (framework_id(), agent_id(), vec(task_info(), 0..4))
            .prop_map(|(framework, agent, tasks)| launch(framework, agent, tasks)),
        1 => (framework_id(), agent_id(), vec(task_info(), 0..3))
            .prop_map(|(framework, agent, tasks)| launch_group(framework, agent, tasks)),
        4 => vec(recorded_update(), 1..4)
            .prop_map(|updates| Command::RecordUpdates(RecordUpdates { updates })),
        3 => (framework_id(), task_id(), uuid())
            .prop_map(|(framework, task, uuid)| acknowledge(framework, task, uuid)),
        1 => (framework_id(), task_id()).prop_map(|(framework, task)| kill(framework, task)),
        2 => operation_command(),
        1 => (framework_id(), agent_id(), executor_id())
            .prop_map(|(framework, agent, executor)| forget_executor(framework, agent, executor)),
    ]
}

fn quota_command() -> impl Strategy<Value = Command> {
    let role = || select(vec!["eng", "ops", "eng"]);
    let amounts = || select(vec!["", "cpus:1", "cpus:9;mem:64", "gpus:0.5"]);
    let presence = select(vec![Presence::Any, Presence::Absent, Presence::Present]);
    let checks = (presence, any::<bool>(), any::<bool>());
    prop_oneof![
        2 => (vec((role(), amounts(), amounts()), 0..3), checks).prop_map(
            |(quotas, (presence, within_capacity, within_limits))| {
                Command::UpdateQuotas(UpdateQuotas {
                    presence: presence.into(),
                    within_capacity,
                    within_limits,
                    ..update_quotas(&quotas)
                })
            }
        ),
        1 => vec((role(), select(vec![0.5, 1.0, 2.5, 0.0])), 0..3)
            .prop_map(|weights| update_weights(&weights)),
    ]
}

/// Clocks of proposers differ, so time may go back a little.
fn entries() -> impl Strategy<Value = Vec<Entry>> {
    let command = prop_oneof![
        3 => agent_command(),
        3 => framework_command(),
        6 => task_command(),
        1 => quota_command(),
    ];
    let key = select(vec!["", "", "", "", "k1", "k2", "k3", "k4"]);
    let timed = (command, key, -1_000i64..3_000);
    vec(timed, 0..80).prop_map(|commands| {
        let mut now = 10_000;
        let stamp = |(command, key, step): (Command, &str, i64)| {
            now += step;
            Entry {
                idempotency_key: key.to_owned(),
                ..entry(Millis(now), command)
            }
        };
        commands.into_iter().map(stamp).collect()
    })
}

fn apply_all<'a>(
    registry: &mut Registry,
    first: u64,
    entries: impl IntoIterator<Item = &'a Entry>,
) -> Vec<Outcome> {
    (first..)
        .zip(entries)
        .map(|(at, entry)| registry.apply(at, entry).unwrap())
        .collect()
}

fn text(outcomes: &[Outcome]) -> Vec<String> {
    outcomes
        .iter()
        .map(|outcome| format!("{outcome:?}"))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn invariants_hold_after_each_entry(entries in entries()) {
        let mut registry = Registry::new(LIMITS);
        for (at, entry) in (1..).zip(&entries) {
            registry.apply(at, entry).unwrap();
            prop_assert_eq!(registry.check_invariants(), Ok(()), "after {:?}", entry);
        }
    }

    #[test]
    fn two_members_agree(entries in entries()) {
        let mut first = Registry::new(LIMITS);
        let mut second = Registry::new(LIMITS);
        let outcomes = apply_all(&mut first, 1, &entries);
        // The second one is read all the time, so that it always has to copy.
        let mut views = Vec::new();
        for (at, (entry, outcome)) in (1..).zip(entries.iter().zip(&outcomes)) {
            views.push(second.clone());
            let other = second.apply(at, entry).unwrap();
            prop_assert_eq!(format!("{:?}", other), format!("{:?}", outcome));
        }
        prop_assert_eq!(first.diff(&second), Vec::<String>::new());
        prop_assert_eq!(first.digest(), second.digest());
    }

    #[test]
    fn a_restored_snapshot_behaves_the_same(entries in entries(), cut in 0.0..1.0f64) {
        let cut = (entries.len() as f64 * cut) as usize;
        let (before, after) = entries.split_at(cut);
        let mut original = Registry::new(LIMITS);
        apply_all(&mut original, 1, before);
        let mut restored = Registry::restore_with(LIMITS, original.chunks()).unwrap();
        prop_assert_eq!(restored.diff(&original), Vec::<String>::new());
        prop_assert_eq!(restored.check_invariants(), Ok(()));

        let next = cut as u64 + 1;
        let expected = text(&apply_all(&mut original, next, after));
        prop_assert_eq!(text(&apply_all(&mut restored, next, after)), expected);
        prop_assert_eq!(restored.check_invariants(), Ok(()));
        prop_assert_eq!(restored.diff(&original), Vec::<String>::new());
        prop_assert_eq!(restored.digest(), original.digest());
    }

    #[test]
    fn a_frozen_clone_does_not_change(entries in entries(), cut in 0.0..1.0f64) {
        let cut = (entries.len() as f64 * cut) as usize;
        let (before, after) = entries.split_at(cut);
        let mut registry = Registry::new(LIMITS);
        apply_all(&mut registry, 1, before);
        let frozen = registry.clone();
        let chunks: Vec<_> = frozen.chunks().collect();
        apply_all(&mut registry, cut as u64 + 1, after);
        prop_assert!(frozen.chunks().eq(chunks));
        prop_assert_eq!(frozen.check_invariants(), Ok(()));
    }

    #[test]
    fn an_equal_digest_means_no_difference(entries in entries(), cut in 0.0..1.0f64) {
        let cut = (entries.len() as f64 * cut) as usize;
        let mut registry = Registry::new(LIMITS);
        apply_all(&mut registry, 1, &entries[..cut]);
        let before = registry.clone();
        apply_all(&mut registry, cut as u64 + 1, &entries[cut..]);
        let same = before.diff(&registry).is_empty();
        prop_assert_eq!(same, before.digest() == registry.digest());
    }
}
