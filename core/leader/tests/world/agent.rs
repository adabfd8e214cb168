//! Honest agents: they follow the session protocol, obey the fence, run what they are told,
//! and keep each update until it is acknowledged.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use caprock_leader::AgentSessionId;
use caprock_model::{AgentCapabilities, Resources};
use caprock_proto::caprock::session::{
    Attach, ExecutorExited, Fenced, Pong, ReportedFramework, ReportedTask, StatusUpdate,
    Unregister, from_agent, from_master, order::Order,
};
use caprock_proto::mesos::v1::task_status::{Reason, Source};
use caprock_proto::mesos::v1::{
    AgentInfo, ExecutorInfo, FrameworkInfo, TaskInfo, TaskState, TaskStatus,
};

use super::rng::Rng;
use super::{Happening, World};

const RETRY_MS: i64 = 2_000;

/// One task as its agent knows it.
#[derive(Debug, Clone)]
struct Task {
    info: TaskInfo,
    latest: TaskState,
    /// Not acknowledged, oldest first; the first is in flight.
    updates: VecDeque<TaskStatus>,
    sent_at: i64,
    changes_at: i64,
    lifetime_ms: i64,
}

type Key = (String, String);

pub struct Agent {
    pub number: usize,
    pub id: String,
    pub hostname: String,
    registration_id: String,
    /// The highest term that it obeyed.
    pub fence: u64,
    alive: bool,
    back_at: i64,
    resources: String,
    pub links: BTreeMap<usize, AgentSessionId>,
    /// The link of the leader that it is attached to.
    attached: Option<AgentSessionId>,
    tasks: BTreeMap<Key, Task>,
    executors: BTreeMap<Key, ExecutorInfo>,
    exited: Vec<Key>,
    frameworks: BTreeMap<String, FrameworkInfo>,
    /// Every task it ever started, with where its launch is in the log.
    pub launched: BTreeMap<Key, BTreeSet<u64>>,
    next_uuid: u64,
}

impl Agent {
    pub fn new(number: usize, rng: &mut Rng) -> Self {
        let cpus = 1 + rng.below(4);
        Self {
            number,
            id: String::new(),
            hostname: format!("host{number}"),
            registration_id: format!("registration-{number}-0"),
            fence: 0,
            alive: true,
            back_at: 0,
            resources: format!("cpus:{cpus};mem:1024;disk:1024;ports:[1-20]"),
            links: BTreeMap::new(),
            attached: None,
            tasks: BTreeMap::new(),
            executors: BTreeMap::new(),
            exited: Vec::new(),
            frameworks: BTreeMap::new(),
            launched: BTreeMap::new(),
            next_uuid: 0,
        }
    }

    pub fn link_down(&mut self, session: AgentSessionId) {
        self.links.retain(|_, link| *link != session);
        if self.attached == Some(session) {
            self.attached = None;
        }
    }

    fn attach(&self) -> Attach {
        let task = |((framework, _), task): (&Key, &Task)| ReportedTask {
            info: Some(task.info.clone()),
            framework_id: framework.clone(),
            latest_status: Some(TaskStatus {
                task_id: task.info.task_id.clone(),
                state: task.latest as i32,
                ..TaskStatus::default()
            }),
            sent_status: task.updates.front().cloned(),
        };
        let resources = Resources::parse(&self.resources, "*").expect("resources are valid");
        Attach {
            agent_id: self.id.clone(),
            info: Some(AgentInfo {
                hostname: self.hostname.clone(),
                resources: resources.to_protos(),
                ..AgentInfo::default()
            }),
            version: "1".to_owned(),
            registration_id: self.registration_id.clone(),
            address: format!("10.0.0.{}:5051", self.number),
            frameworks: self
                .frameworks
                .values()
                .map(|info| ReportedFramework {
                    info: Some(info.clone()),
                })
                .collect(),
            tasks: self.tasks.iter().map(task).collect(),
            executors: self.executors.values().cloned().collect(),
            capabilities: AgentCapabilities::ALL.to_protos(),
            ..Attach::default()
        }
    }

    fn push_update(&mut self, key: &Key, state: TaskState, reason: Option<Reason>) {
        self.next_uuid += 1;
        let uuid = format!("{:08}{:08}", self.number, self.next_uuid).into_bytes();
        let Some(task) = self.tasks.get_mut(key) else {
            return;
        };
        task.latest = state;
        task.sent_at = if task.updates.is_empty() {
            0
        } else {
            task.sent_at
        };
        task.updates.push_back(TaskStatus {
            task_id: task.info.task_id.clone(),
            state: state as i32,
            source: Some(Source::Executor as i32),
            reason: reason.map(|reason| reason as i32),
            uuid: Some(uuid.into()),
            ..TaskStatus::default()
        });
    }
}

fn is_over(state: TaskState) -> bool {
    caprock_model::task::is_terminal(state)
}

impl World {
    pub(super) fn agent_acts(&mut self, number: usize) {
        let now = self.now;
        if !self.agents[number].alive {
            if now >= self.agents[number].back_at || self.quiet {
                self.agents[number].alive = true;
                self.note(|| format!("agent {number} is back"));
            } else {
                return self.in_ms(100, Happening::AgentActs(number));
            }
        }
        for member in 0..self.members.len() {
            if self.members[member].alive && !self.agents[number].links.contains_key(&member) {
                self.open_link(number, member);
            }
        }
        self.run_tasks(number);
        self.send_updates(number);
        if !self.quiet && self.rng.chance(1) && self.rng.chance(10) {
            self.say(
                number,
                from_agent::Message::Unregister(Unregister::default()),
            );
            self.wipe(number);
        }
        let delay = if self.quiet {
            200
        } else {
            self.rng.between(40, 160)
        };
        self.in_ms(delay, Happening::AgentActs(number));
    }

    fn run_tasks(&mut self, number: usize) {
        let now = self.now;
        let due: Vec<Key> = self.agents[number]
            .tasks
            .iter()
            .filter(|(_, task)| task.changes_at <= now && !is_over(task.latest))
            .map(|(key, _)| key.clone())
            .collect();
        for key in due {
            let (latest, lifetime_ms) = {
                let task = &self.agents[number].tasks[&key];
                (task.latest, task.lifetime_ms)
            };
            let next = match latest {
                TaskState::TaskStaging => TaskState::TaskStarting,
                TaskState::TaskStarting => TaskState::TaskRunning,
                _ if self.rng.chance(20) => TaskState::TaskFailed,
                _ => TaskState::TaskFinished,
            };
            let pause = if next == TaskState::TaskRunning {
                lifetime_ms
            } else {
                5
            };
            let agent = &mut self.agents[number];
            agent.push_update(&key, next, None);
            if let Some(task) = agent.tasks.get_mut(&key) {
                task.changes_at = now + pause;
            }
        }
        self.end_idle_executors(number);
    }

    fn end_idle_executors(&mut self, number: usize) {
        let agent = &self.agents[number];
        let busy: BTreeSet<Key> = agent
            .tasks
            .iter()
            .filter(|(_, task)| !is_over(task.latest))
            .filter_map(|((framework, _), task)| {
                let executor = task.info.executor.as_ref()?;
                Some((framework.clone(), executor.executor_id.value.clone()))
            })
            .collect();
        let idle: Vec<Key> = agent
            .executors
            .keys()
            .filter(|key| !busy.contains(key))
            .cloned()
            .collect();
        for key in idle {
            if self.quiet || self.rng.chance(20) {
                self.note(|| format!("agent {number}: executor {key:?} exits"));
                self.agents[number].executors.remove(&key);
                self.agents[number].exited.push(key);
            }
        }
        self.report_exits(number);
    }

    /// Exits that an Attach on its way may not have told are told after it.
    fn report_exits(&mut self, number: usize) {
        if self.agents[number].attached.is_some() {
            for (framework_id, executor_id) in std::mem::take(&mut self.agents[number].exited) {
                let exited = ExecutorExited {
                    framework_id,
                    executor_id,
                    wait_status: 0,
                };
                self.say(number, from_agent::Message::ExecutorExited(exited));
            }
        }
    }

    /// Sends what is oldest of each task, again and again until it is acknowledged.
    fn send_updates(&mut self, number: usize) {
        let now = self.now;
        if self.agents[number].attached.is_none() {
            return;
        }
        let mut out = Vec::new();
        for ((framework, _), task) in &mut self.agents[number].tasks {
            let Some(status) = task.updates.front() else {
                continue;
            };
            if now - task.sent_at >= RETRY_MS {
                task.sent_at = now;
                out.push(StatusUpdate {
                    framework_id: framework.clone(),
                    executor_id: String::new(),
                    status: Some(status.clone()),
                    latest_state: task.latest as i32,
                });
            }
        }
        for update in out {
            self.say(number, from_agent::Message::Update(update));
        }
    }

    fn say(&mut self, number: usize, message: from_agent::Message) {
        if let Some(session) = self.agents[number].attached {
            self.send_on_link(session, 1, Happening::ToMember { session, message });
        }
    }

    pub(super) fn agent_hears(
        &mut self,
        session: AgentSessionId,
        term: u64,
        message: from_master::Message,
    ) {
        use from_master::Message;

        let number = self.links[&session].agent;
        let agent = &mut self.agents[number];
        if !agent.alive {
            return;
        }
        if term < agent.fence {
            let fenced = Fenced {
                order_term: term,
                highest_term: agent.fence,
            };
            let message = from_agent::Message::Fenced(fenced);
            return self.send_on_link(session, 1, Happening::ToMember { session, message });
        }
        if term > agent.fence {
            // What it has to say is for the new leader now.
            agent.fence = term;
            agent.attached = None;
        }
        match message {
            Message::Standing(_) => self.ask_to_attach(number, session),
            Message::Attached(attached) => {
                let agent = &mut self.agents[number];
                agent.id = attached.agent_id;
                agent.attached = Some(session);
                for task in agent.tasks.values_mut() {
                    task.sent_at = 0;
                }
                self.send_updates(number);
            }
            Message::Refused(refused) => {
                assert!(
                    !refused.shutdown,
                    "agent {number} is sent away: {}",
                    refused.reason
                );
                self.in_ms(300, Happening::LinkDown { session });
            }
            Message::Ping(ping) => {
                if !ping.attached {
                    return self.ask_to_attach(number, session);
                }
                let message = from_agent::Message::Pong(Pong {
                    sequence: ping.sequence,
                });
                self.send_on_link(session, 1, Happening::ToMember { session, message });
            }
            Message::Order(order) => {
                if let Some(order) = order.order {
                    self.obey(number, order);
                }
            }
        }
    }

    fn ask_to_attach(&mut self, number: usize, session: AgentSessionId) {
        let attach = self.agents[number].attach();
        let message = from_agent::Message::Attach(attach);
        self.send_on_link(session, 1, Happening::ToMember { session, message });
    }

    fn obey(&mut self, number: usize, order: Order) {
        match order {
            Order::Launch(launch) => {
                let info = launch.task.expect("a launch has a task");
                let executor = info.executor.clone();
                let framework = launch.framework.expect("a launch has a framework");
                self.start(number, framework, vec![info], executor, launch.launch_index);
            }
            Order::LaunchGroup(launch) => {
                let tasks = launch.group.expect("a group launch has a group").tasks;
                let framework = launch.framework.expect("a launch has a framework");
                self.start(
                    number,
                    framework,
                    tasks,
                    launch.executor,
                    launch.launch_index,
                );
            }
            Order::Kill(kill) => self.kill_task(number, (kill.framework_id, kill.task_id)),
            Order::Acknowledge(ack) => {
                let agent = &mut self.agents[number];
                let key = (ack.framework_id, ack.task_id);
                let Some(task) = agent.tasks.get_mut(&key) else {
                    return;
                };
                if task
                    .updates
                    .front()
                    .is_some_and(|status| status.uuid() == &ack.uuid[..])
                {
                    task.updates.pop_front();
                    task.sent_at = 0;
                    if is_over(task.latest) && task.updates.is_empty() {
                        agent.tasks.remove(&key);
                    }
                }
                self.send_updates(number);
            }
            Order::ShutdownFramework(shutdown) => {
                let agent = &mut self.agents[number];
                agent
                    .tasks
                    .retain(|(framework, _), _| *framework != shutdown.framework_id);
                agent
                    .executors
                    .retain(|(framework, _), _| *framework != shutdown.framework_id);
                agent.frameworks.remove(&shutdown.framework_id);
            }
            Order::Reconcile(reconcile) => {
                for asked in reconcile.tasks {
                    let key = (asked.framework_id, asked.task_id);
                    if !self.agents[number].tasks.contains_key(&key) {
                        self.disown(number, key);
                    }
                }
            }
            Order::ShutdownExecutor(_)
            | Order::FrameworkMessage(_)
            | Order::UpdateFramework(_)
            | Order::ApplyOperation(_)
            | Order::AcknowledgeOperation(_)
            | Order::Drain(_)
            | Order::Reactivate(_) => {}
        }
    }

    fn start(
        &mut self,
        number: usize,
        framework: FrameworkInfo,
        tasks: Vec<TaskInfo>,
        executor: Option<ExecutorInfo>,
        launch_index: u64,
    ) {
        let framework_id = framework
            .id
            .as_ref()
            .expect("a framework has an id")
            .value
            .clone();
        for info in tasks {
            let key = (framework_id.clone(), info.task_id.value.clone());
            let known = self.agents[number].launched.get(&key);
            if known.is_some_and(|launches| launches.contains(&launch_index)) {
                continue;
            }
            let running = self.agents[number].tasks.get(&key);
            let runs = running.is_some_and(|task| !is_over(task.latest));
            assert!(!runs, "{key:?} is launched while it runs: {running:?}");
            let lifetime_ms = self.rng.between(10, 3_000);
            let changes_at = self.now + self.rng.between(1, 30);
            let agent = &mut self.agents[number];
            agent
                .launched
                .entry(key.clone())
                .or_default()
                .insert(launch_index);
            agent
                .frameworks
                .insert(framework_id.clone(), framework.clone());
            if let Some(executor) = &executor {
                let id = executor.executor_id.value.clone();
                agent
                    .executors
                    .insert((framework_id.clone(), id), executor.clone());
            }
            agent.tasks.insert(
                key,
                Task {
                    info,
                    latest: TaskState::TaskStaging,
                    updates: VecDeque::new(),
                    sent_at: 0,
                    changes_at,
                    lifetime_ms,
                },
            );
        }
    }

    fn kill_task(&mut self, number: usize, key: Key) {
        let agent = &mut self.agents[number];
        match agent.tasks.get(&key) {
            Some(task) if is_over(task.latest) => {}
            Some(_) => agent.push_update(&key, TaskState::TaskKilled, None),
            None => self.disown(number, key),
        }
        self.send_updates(number);
    }

    /// Reports a task that is not here, reliably.
    fn disown(&mut self, number: usize, key: Key) {
        let agent = &mut self.agents[number];
        let info = TaskInfo {
            task_id: caprock_proto::mesos::v1::TaskId {
                value: key.1.clone(),
            },
            ..TaskInfo::default()
        };
        let task = Task {
            info,
            latest: TaskState::TaskLost,
            updates: VecDeque::new(),
            sent_at: 0,
            changes_at: 0,
            lifetime_ms: 0,
        };
        agent.tasks.insert(key.clone(), task);
        agent.push_update(&key, TaskState::TaskLost, Some(Reason::Reconciliation));
        self.send_updates(number);
    }

    /// The agent's process dies: what is not checkpointed is gone with it.
    pub(super) fn crash_agent(&mut self, number: usize) {
        self.note(|| format!("agent {number} crashes"));
        let away = if self.rng.chance(30) {
            self.rng.between(3_000, 6_000)
        } else {
            self.rng.between(10, 800)
        };
        let agent = &mut self.agents[number];
        agent.alive = false;
        agent.back_at = self.now + away;
        let lost: BTreeSet<String> = agent
            .frameworks
            .iter()
            .filter(|(_, info)| !info.checkpoint())
            .map(|(id, _)| id.clone())
            .collect();
        agent
            .tasks
            .retain(|(framework, _), _| !lost.contains(framework));
        agent
            .executors
            .retain(|(framework, _), _| !lost.contains(framework));
        agent
            .launched
            .retain(|(framework, _), _| !lost.contains(framework));
        agent.attached = None;
        let id = agent.id.clone();
        self.harmed.insert(id);
        for session in self.links_of(|link| link.agent == number) {
            self.cut_link(session);
        }
        if self.rng.chance(10) {
            self.wipe(number);
        }
    }

    /// The agent starts anew, without anything.
    fn wipe(&mut self, number: usize) {
        self.note(|| format!("agent {number} is wiped"));
        let agent = &mut self.agents[number];
        let id = std::mem::take(&mut agent.id);
        agent.registration_id.push('x');
        agent.fence = 0;
        agent.tasks.clear();
        agent.executors.clear();
        agent.exited.clear();
        agent.frameworks.clear();
        agent.attached = None;
        agent.launched.clear();
        self.harmed.insert(id);
        for session in self.links_of(|link| link.agent == number) {
            self.in_ms(20, Happening::LinkDown { session });
        }
    }

    /// The tasks that still run somewhere.
    pub(super) fn running(&self) -> Vec<(usize, Key, TaskState)> {
        let mut running = Vec::new();
        for agent in &self.agents {
            for (key, task) in &agent.tasks {
                running.push((agent.number, key.clone(), task.latest));
            }
        }
        running
    }

    pub(super) fn was_launched(&self, agent_id: &str, framework: &str, task: &str) -> bool {
        let key = (framework.to_owned(), task.to_owned());
        self.agents
            .iter()
            .any(|agent| agent.id == agent_id && agent.launched.contains_key(&key))
    }
}
