//! Random lives: orders in any order and more than once, executors, crashes. What must hold:
//! no launch is done twice, ends are told until they are acknowledged, one update per task is
//! in flight, uuids are unique, the fence only rises.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use caprock_model::ContainerId;
use caprock_model::task::is_terminal;
use caprock_proto::caprock::session::{Launch, LaunchGroup, StatusUpdate, order};
use caprock_proto::mesos::v1::{TaskGroupInfo, TaskInfo, TaskState, executor_info};
use proptest::prelude::*;

use super::rig::*;
use crate::{ConnectionId, ContainerProbe, Effect, Effects, Input};

#[derive(Debug, Clone)]
enum Move {
    Launch(usize),
    Kill(usize),
    Started(usize),
    Failed(usize),
    Exited(usize, i32),
    Subscribe,
    Disconnect,
    Update(usize, bool, u8),
    Acknowledge(usize),
    NewLeader,
    LinkBreaks,
    Wait(i64),
    Crash,
}

const TASKS: usize = 5;
/// This launch is that of a group of two, under the default executor.
const GROUP: usize = 5;

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let one = prop_oneof![
        5 => (0..=GROUP).prop_map(Move::Launch),
        1 => (0..TASKS + 2).prop_map(Move::Kill),
        4 => (0usize..8).prop_map(Move::Started),
        1 => (0usize..8).prop_map(Move::Failed),
        2 => (0usize..8, prop_oneof![Just(0), Just(256), Just(9)])
            .prop_map(|(at, status)| Move::Exited(at, status)),
        3 => Just(Move::Subscribe),
        1 => Just(Move::Disconnect),
        3 => (3..TASKS, any::<bool>(), 1u8..20).prop_map(|(t, end, u)| Move::Update(t, end, u)),
        6 => (0usize..4).prop_map(Move::Acknowledge),
        1 => Just(Move::NewLeader),
        1 => Just(Move::LinkBreaks),
        2 => (0i64..20_000).prop_map(Move::Wait),
        2 => Just(Move::Crash),
    ];
    proptest::collection::vec(one, 1..60)
}

/// Tasks 0 to 2 are command tasks, 3 and 4 belong to one custom executor, 5 and 6 to a pod.
fn info(at: usize) -> TaskInfo {
    let id = format!("t{at}");
    if at < 3 {
        task(&id)
    } else {
        custom_task("e", &id)
    }
}

struct World {
    rig: Rig,
    /// Containers whose launch was asked for, and whether their process runs.
    containers: BTreeMap<ContainerId, bool>,
    launched_tasks: BTreeSet<String>,
    delivered: BTreeSet<String>,
    in_flight: BTreeMap<String, Bytes>,
    told: BTreeMap<Bytes, (String, TaskState)>,
    sent: Vec<StatusUpdate>,
    /// Tasks whose end was acknowledged.
    acknowledged: BTreeSet<String>,
    connection: u64,
    subscribed: bool,
    fence: u64,
}

impl World {
    fn new() -> Self {
        Self {
            rig: Rig::attached(),
            containers: BTreeMap::new(),
            launched_tasks: BTreeSet::new(),
            delivered: BTreeSet::new(),
            in_flight: BTreeMap::new(),
            told: BTreeMap::new(),
            sent: Vec::new(),
            acknowledged: BTreeSet::new(),
            connection: 0,
            subscribed: false,
            fence: 1,
        }
    }

    fn take(&mut self, effects: &Effects) {
        for spec in launches(effects) {
            if let Some(id) = spec.task_id {
                assert!(
                    self.launched_tasks.insert(id.clone()),
                    "{id} was launched twice"
                );
            }
            assert!(self.containers.insert(spec.container, false).is_none());
        }
        for (_, event) in events(effects) {
            if let Some(launch) = event.launch {
                let id = launch.task.task_id.value;
                assert!(
                    self.delivered.insert(id.clone()),
                    "{id} was delivered twice"
                );
            }
        }
        for update in updates(effects) {
            self.take_update(update);
        }
        for effect in effects {
            if let Effect::Close(connection) = effect
                && connection.0 == self.connection
            {
                self.subscribed = false;
            }
        }
        let fence = self.rig.agent.view().highest_term;
        assert!(fence >= self.fence, "the fence fell");
        self.fence = fence;
    }

    fn take_update(&mut self, update: StatusUpdate) {
        let status = update.status.clone().unwrap();
        let Some(uuid) = status.uuid.clone() else {
            return;
        };
        let id = status.task_id.value.clone();
        let what = (id.clone(), status.state());
        let before = self.told.insert(uuid.clone(), what.clone());
        assert!(
            before.is_none_or(|before| before == what),
            "one uuid for two statuses"
        );
        let waiting = self.in_flight.get(&id);
        assert!(
            waiting.is_none_or(|waiting| *waiting == uuid),
            "two updates of {id} in flight"
        );
        self.in_flight.insert(id, uuid);
        self.sent.push(update);
    }

    fn container(&self, at: usize, running: bool) -> Option<ContainerId> {
        let of_state: Vec<_> = self
            .containers
            .iter()
            .filter(|(_, runs)| **runs == running)
            .collect();
        let (container, _) = of_state.get(at % of_state.len().max(1))?;
        Some((*container).clone())
    }

    fn play(&mut self, action: &Move) {
        let effects = match action {
            Move::Launch(at) => self.launch(*at),
            Move::Kill(at) => self.rig.kill(&format!("t{at}"), None),
            Move::Started(at) => match self.container(*at, false) {
                Some(container) => {
                    self.containers.insert(container.clone(), true);
                    self.rig.started(&container)
                }
                None => return,
            },
            Move::Failed(at) => match self.container(*at, false) {
                Some(container) => {
                    self.containers.remove(&container);
                    let message = "no luck".to_string();
                    self.rig.step(Input::ContainerFailed { container, message })
                }
                None => return,
            },
            Move::Exited(at, status) => match self.container(*at, true) {
                Some(container) => {
                    self.containers.remove(&container);
                    self.rig.exited(&container, *status)
                }
                None => return,
            },
            Move::Subscribe => self.subscribe(),
            Move::Disconnect => {
                self.subscribed = false;
                self.rig
                    .step(Input::ConnectionClosed(ConnectionId(self.connection)))
            }
            Move::Update(at, end, uuid) => self.update(*at, *end, *uuid),
            Move::Acknowledge(at) => return self.acknowledge(*at),
            Move::NewLeader => {
                self.rig.term += 1;
                self.rig.master(LINK, self.rig.term, standing(true));
                self.rig.answer_attach(LINK)
            }
            Move::LinkBreaks => {
                self.rig.step(Input::LinkDown(LINK));
                self.rig.attach()
            }
            Move::Wait(ms) => self.rig.advance(*ms),
            Move::Crash => self.crash(),
        };
        self.take(&effects);
    }

    fn launch(&mut self, at: usize) -> Effects {
        // The leader charges an executor that it does not know of.
        let name = if at == GROUP { "pod" } else { "e" };
        let view = self.rig.agent.view();
        let mut executors = view.frameworks.iter().flat_map(|found| &found.executors);
        let new_executor = !executors.any(|found| found.id == name);
        if at == GROUP {
            return self.rig.order(order::Order::LaunchGroup(LaunchGroup {
                framework: Some(framework()),
                executor: Some(executor_info(name, executor_info::Type::Default)),
                group: Some(TaskGroupInfo {
                    tasks: vec![task("t5"), task("t6")],
                }),
                launch_index: 100,
                new_executor,
            }));
        }
        self.rig.order(order::Order::Launch(Launch {
            framework: Some(framework()),
            task: Some(info(at)),
            launch_index: 10 + at as u64,
            new_executor,
        }))
    }

    fn subscribe(&mut self) -> Effects {
        self.connection += 1;
        let effects = self.rig.subscribe("e", self.connection);
        let accepted =
            replies(&effects).contains(&crate::Reply::Stream(ConnectionId(self.connection)));
        self.subscribed = accepted;
        effects
    }

    fn update(&mut self, at: usize, end: bool, uuid: u8) -> Effects {
        let id = format!("t{at}");
        if !self.subscribed || !self.delivered.contains(&id) || self.acknowledged.contains(&id) {
            return Effects::new();
        }
        // An executor never uses a uuid for two statuses.
        let state = if end {
            TaskState::TaskFinished
        } else {
            TaskState::TaskRunning
        };
        let uuid = uuid + 40 * at as u8 + if end { 20 } else { 0 };
        self.rig.update("e", status(&id, state, uuid))
    }

    fn acknowledge(&mut self, at: usize) {
        if self.sent.is_empty() {
            return;
        }
        let update = self.sent[at % self.sent.len()].clone();
        self.acknowledge_update(&update);
    }

    fn acknowledge_update(&mut self, update: &StatusUpdate) {
        let status = update.status.as_ref().unwrap();
        let id = status.task_id.value.clone();
        if self.in_flight.get(&id) == status.uuid.as_ref() {
            self.in_flight.remove(&id);
            if is_terminal(status.state()) {
                self.acknowledged.insert(id);
            }
        }
        let effects = self.rig.acknowledge(update);
        self.take(&effects);
    }

    /// Processes that run may end unseen; those that had been asked for may run or not.
    fn crash(&mut self) -> Effects {
        let probes: Vec<ContainerProbe> = self
            .rig
            .stored()
            .iter()
            .map(|stored| match self.containers.get(&stored.container) {
                Some(true) => alive(stored),
                _ => dead(stored),
            })
            .collect();
        self.containers.retain(|_, runs| *runs);
        self.subscribed = false;
        let effects = self.rig.restart_with(probes, false);
        self.take(&effects);
        let effects = self.rig.attach();
        self.take(&effects);
        self.rig.advance(3000)
    }

    /// Everything ends and is acknowledged: each task that was accepted has told its end.
    fn settle(&mut self) {
        for _ in 0..20 {
            let running: Vec<_> = self.containers.keys().cloned().collect();
            self.containers.clear();
            for container in running {
                let effects = self.rig.exited(&container, 0);
                self.take(&effects);
            }
            self.rig.step(Input::LinkDown(LINK));
            let effects = self.rig.attach();
            self.take(&effects);
            for update in std::mem::take(&mut self.sent) {
                self.acknowledge_update(&update);
            }
            let effects = self.rig.advance(5000);
            self.take(&effects);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 400,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn lives(actions in moves()) {
        let mut world = World::new();
        let mut accepted = BTreeSet::new();
        for action in &actions {
            world.play(action);
            if let Move::Launch(at) = action {
                accepted.insert(format!("t{at}"));
                if *at == GROUP {
                    accepted.insert("t6".to_string());
                }
            }
        }
        world.settle();
        for id in &accepted {
            prop_assert!(world.acknowledged.contains(id), "the end of {id} was not told");
        }
        let left: Vec<_> =
            world.rig.disk.keys().filter(|key| matches!(key[0], 0x10..=0x13 | 0x15)).collect();
        prop_assert!(left.is_empty(), "left on disk: {left:?}");
        let view = world.rig.agent.view();
        prop_assert!(view.frameworks.is_empty(), "{:?}", view.frameworks);
    }
}
