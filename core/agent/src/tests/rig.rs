//! An agent with a disk, a clock and a leader that the test plays.

use std::collections::BTreeMap;

use bytes::Bytes;
use caprock_model::{ContainerId, Millis, Resources};
use caprock_proto::caprock::session::{
    Acknowledge, Attach, Attached, FromMaster, Kill, Launch, LaunchGroup, Order, Ping, Standing,
    StatusUpdate, from_agent, from_master, order,
};
use caprock_proto::mesos::v1::executor::{self, Call, Event, call};
use caprock_proto::mesos::v1::{
    AgentId, AgentInfo, CommandInfo, ExecutorId, ExecutorInfo, FrameworkId, FrameworkInfo,
    KillPolicy, TaskGroupInfo, TaskId, TaskInfo, TaskState, TaskStatus, executor_info,
    framework_info, task_status,
};

use crate::{
    Agent, Config, ConnectionId, ContainerProbe, Effect, Effects, Input, LaunchSpec, LinkId,
    Moment, Recovered, Reply, RequestId, Signal, StoredContainer, TimerKey, containers_in,
};

pub(crate) const LINK: LinkId = LinkId(0);
pub(crate) const AGENT: &str = "S0";
pub(crate) const FRAMEWORK: &str = "F";

#[derive(Debug)]
pub(crate) struct Rig {
    pub agent: Agent,
    pub config: Config,
    pub disk: BTreeMap<Bytes, Bytes>,
    pub now: Millis,
    pub term: u64,
    pub timers: BTreeMap<TimerKey, Millis>,
    entropy: u128,
    next_request: u64,
    next_index: u64,
}

pub(crate) fn config() -> Config {
    let info = AgentInfo {
        hostname: "host".to_string(),
        resources: Resources::parse("cpus:8;mem:4096", "*")
            .unwrap()
            .to_protos(),
        ..AgentInfo::default()
    };
    Config::new(info, "127.0.0.1:5051", "1.11.0")
}

impl Rig {
    /// An agent that has been started for the first time.
    pub fn new() -> Self {
        Self::with(config())
    }

    pub fn with(config: Config) -> Self {
        let mut rig = Self {
            agent: Agent::new(config.clone()),
            config,
            disk: BTreeMap::new(),
            now: Millis(1_000_000),
            term: 1,
            timers: BTreeMap::new(),
            entropy: 7,
            next_request: 0,
            next_index: 0,
        };
        rig.step(Input::Start(Recovered::default()));
        rig
    }

    /// An agent that is attached to a leader.
    pub fn attached() -> Self {
        let mut rig = Self::new();
        rig.attach();
        rig
    }

    pub fn step(&mut self, input: Input) -> Effects {
        self.entropy = self
            .entropy
            .wrapping_mul(0x2545_f491_4f6c_dd1d)
            .wrapping_add(11);
        let moment = Moment {
            now: self.now,
            entropy: self.entropy,
        };
        let mut effects = Effects::new();
        self.agent.step(moment, input, &mut effects);
        for (at, effect) in effects.iter().enumerate() {
            match effect {
                Effect::Checkpoint(writes) => {
                    assert_eq!(at, 0, "records are written before anything else is done");
                    for write in writes {
                        match &write.value {
                            Some(value) => self.disk.insert(write.key.encode(), value.clone()),
                            None => self.disk.remove(&write.key.encode()),
                        };
                    }
                }
                Effect::Wake { at, key } => {
                    self.timers.insert(key.clone(), *at);
                }
                _ => {}
            }
        }
        effects
    }

    /// Lets time pass and fires what becomes due.
    pub fn advance(&mut self, ms: i64) -> Effects {
        let end = Millis(self.now.0 + ms);
        let mut effects = Effects::new();
        loop {
            let next = self.timers.iter().min_by_key(|(_, at)| **at);
            let Some((key, at)) = next.map(|(key, at)| (key.clone(), *at)) else {
                break;
            };
            if at > end {
                break;
            }
            self.timers.remove(&key);
            self.now = self.now.max(at);
            effects.extend(self.step(Input::Timer(key)));
        }
        self.now = end;
        effects
    }

    pub fn records(&self) -> Vec<(Bytes, Bytes)> {
        self.disk
            .iter()
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect()
    }

    pub fn stored(&self) -> Vec<StoredContainer> {
        containers_in(&self.records()).unwrap()
    }

    /// The process dies and is started again with its disk; `probe` says what became of each
    /// container.
    pub fn restart(&mut self, probe: impl Fn(&StoredContainer) -> ContainerProbe) -> Effects {
        let containers = self.stored().iter().map(probe).collect();
        self.restart_with(containers, false)
    }

    pub fn restart_with(&mut self, containers: Vec<ContainerProbe>, rebooted: bool) -> Effects {
        self.agent = Agent::new(self.config.clone());
        self.timers.clear();
        self.now = Millis(self.now.0 + 100);
        let records = self.records();
        self.step(Input::Start(Recovered {
            records,
            containers,
            rebooted,
        }))
    }

    pub fn master(&mut self, link: LinkId, term: u64, message: from_master::Message) -> Effects {
        let message = FromMaster {
            term,
            message: Some(message),
        };
        self.step(Input::Master { link, message })
    }

    pub fn order(&mut self, order: order::Order) -> Effects {
        let order = Order { order: Some(order) };
        self.master(LINK, self.term, from_master::Message::Order(order))
    }

    pub fn attach(&mut self) -> Effects {
        self.step(Input::LinkUp(LINK));
        let term = self.term;
        self.master(LINK, term, standing(true));
        self.answer_attach(LINK)
    }

    pub fn answer_attach(&mut self, link: LinkId) -> Effects {
        let term = self.term;
        self.master(link, term, attached())
    }

    pub fn ping(&mut self, attached: bool) -> Effects {
        let ping = Ping {
            sequence: 1,
            attached,
        };
        self.master(LINK, self.term, from_master::Message::Ping(ping))
    }

    pub fn next_index(&mut self) -> u64 {
        self.next_index += 1;
        self.next_index
    }

    pub fn launch(&mut self, task: TaskInfo) -> Effects {
        self.launch_of(framework(), task, true)
    }

    pub fn launch_of(&mut self, owner: FrameworkInfo, task: TaskInfo, new: bool) -> Effects {
        let launch_index = self.next_index();
        self.order(order::Order::Launch(Launch {
            framework: Some(owner),
            task: Some(task),
            launch_index,
            new_executor: new,
        }))
    }

    pub fn launch_group(&mut self, executor: ExecutorInfo, tasks: Vec<TaskInfo>) -> Effects {
        let launch_index = self.next_index();
        let new_executor = {
            let view = self.agent.view();
            let mut executors = view.frameworks.iter().flat_map(|f| &f.executors);
            !executors.any(|found| found.id == executor.executor_id)
        };
        self.order(order::Order::LaunchGroup(LaunchGroup {
            framework: Some(framework()),
            executor: Some(executor),
            group: Some(TaskGroupInfo { tasks }),
            launch_index,
            new_executor,
        }))
    }

    pub fn kill(&mut self, task: &str, grace_ms: Option<i64>) -> Effects {
        let kill_policy = grace_ms.map(|ms| KillPolicy {
            grace_period: Some(caprock_model::DurationMs(ms).to_proto()),
        });
        self.order(order::Order::Kill(Kill {
            framework_id: FRAMEWORK.to_string(),
            task_id: task.to_string(),
            kill_policy,
        }))
    }

    pub fn acknowledge(&mut self, update: &StatusUpdate) -> Effects {
        let status = update.status.as_ref().unwrap();
        self.order(order::Order::Acknowledge(Acknowledge {
            framework_id: update.framework_id.clone(),
            task_id: status.task_id.value.clone(),
            uuid: status.uuid.clone().unwrap(),
        }))
    }

    /// Acknowledges what is sent until nothing more comes; the statuses in order.
    pub fn acknowledge_all(&mut self, effects: &Effects) -> Vec<TaskStatus> {
        let mut seen = Vec::new();
        let mut waiting = updates(effects);
        while !waiting.is_empty() {
            let update = waiting.remove(0);
            let effects = self.acknowledge(&update);
            waiting.extend(updates(&effects));
            seen.extend(update.status);
        }
        seen
    }

    pub fn started(&mut self, container: &ContainerId) -> Effects {
        self.step(Input::ContainerStarted {
            container: container.clone(),
            pid: 42,
        })
    }

    pub fn exited(&mut self, container: &ContainerId, wait_status: i32) -> Effects {
        let wait_status = Some(wait_status);
        self.step(Input::ContainerExited {
            container: container.clone(),
            wait_status,
        })
    }

    /// Launches a command task and lets its process run; STARTING and RUNNING acknowledged.
    pub fn run(&mut self, task: TaskInfo) -> ContainerId {
        let effects = self.launch(task);
        let container = launches(&effects)[0].container.clone();
        let effects = self.started(&container);
        self.acknowledge_all(&effects);
        container
    }

    pub fn subscribe(&mut self, executor: &str, connection: u64) -> Effects {
        self.subscribe_with(executor, connection, call::Subscribe::default())
    }

    pub fn subscribe_with(
        &mut self,
        executor: &str,
        connection: u64,
        subscribe: call::Subscribe,
    ) -> Effects {
        self.next_request += 1;
        self.step(Input::Subscribe {
            request: RequestId(self.next_request),
            connection: ConnectionId(connection),
            framework_id: FRAMEWORK.into(),
            executor_id: executor.into(),
            subscribe,
        })
    }

    pub fn call(
        &mut self,
        executor: &str,
        kind: call::Type,
        status: Option<TaskStatus>,
    ) -> Effects {
        self.next_request += 1;
        let call = Call {
            executor_id: ExecutorId {
                value: executor.to_string(),
            },
            framework_id: FrameworkId {
                value: FRAMEWORK.to_string(),
            },
            r#type: Some(kind as i32),
            subscribe: None,
            update: status.map(|status| call::Update { status }),
            message: Some(call::Message {
                data: Bytes::from_static(b"hello"),
            }),
        };
        self.step(Input::Call {
            request: RequestId(self.next_request),
            call,
        })
    }

    pub fn update(&mut self, executor: &str, status: TaskStatus) -> Effects {
        self.call(executor, call::Type::Update, Some(status))
    }

    /// Launches a task under a new custom executor and lets it subscribe on connection 1.
    pub fn run_custom(&mut self, executor: &str, task: &str) -> ContainerId {
        let effects = self.launch(custom_task(executor, task));
        let container = launches(&effects)[0].container.clone();
        self.started(&container);
        self.subscribe(executor, 1);
        container
    }
}

pub(crate) fn standing(is_leader: bool) -> from_master::Message {
    from_master::Message::Standing(Standing {
        is_leader,
        ..Standing::default()
    })
}

pub(crate) fn attached() -> from_master::Message {
    from_master::Message::Attached(Attached {
        agent_id: AGENT.to_string(),
        cluster_id: "C".to_string(),
        master_id: "M".to_string(),
        ping_timeout_ms: 15_000,
        max_ping_timeouts: 5,
        ..Attached::default()
    })
}

pub(crate) fn framework() -> FrameworkInfo {
    FrameworkInfo {
        user: "alice".to_string(),
        name: "demo".to_string(),
        id: Some(FrameworkId {
            value: FRAMEWORK.to_string(),
        }),
        checkpoint: Some(true),
        ..FrameworkInfo::default()
    }
}

pub(crate) fn with_capabilities(kinds: &[framework_info::capability::Type]) -> FrameworkInfo {
    let capabilities = kinds.iter().map(|kind| framework_info::Capability {
        r#type: Some(*kind as i32),
    });
    FrameworkInfo {
        capabilities: capabilities.collect(),
        ..framework()
    }
}

pub(crate) fn task(id: &str) -> TaskInfo {
    TaskInfo {
        name: id.to_string(),
        task_id: TaskId {
            value: id.to_string(),
        },
        agent_id: AgentId {
            value: AGENT.to_string(),
        },
        resources: Resources::parse("cpus:1;mem:32", "*").unwrap().to_protos(),
        command: Some(CommandInfo {
            value: Some("sleep 1000".into()),
            ..CommandInfo::default()
        }),
        ..TaskInfo::default()
    }
}

pub(crate) fn executor_info(id: &str, kind: executor_info::Type) -> ExecutorInfo {
    ExecutorInfo {
        executor_id: ExecutorId {
            value: id.to_string(),
        },
        r#type: Some(kind as i32),
        command: (kind == executor_info::Type::Custom).then(CommandInfo::default),
        resources: Resources::parse("cpus:0.1;mem:32", "*")
            .unwrap()
            .to_protos(),
        ..ExecutorInfo::default()
    }
}

pub(crate) fn custom_task(executor: &str, id: &str) -> TaskInfo {
    TaskInfo {
        command: None,
        executor: Some(executor_info(executor, executor_info::Type::Custom)),
        ..task(id)
    }
}

/// A status as an executor sends it; `uuid` is repeated to 16 bytes.
pub(crate) fn status(task: &str, state: TaskState, uuid: u8) -> TaskStatus {
    TaskStatus {
        task_id: TaskId {
            value: task.to_string(),
        },
        state: state as i32,
        source: Some(task_status::Source::Executor as i32),
        uuid: Some(Bytes::from(vec![uuid; 16])),
        ..TaskStatus::default()
    }
}

pub(crate) fn to_masters(effects: &Effects) -> Vec<(LinkId, from_agent::Message)> {
    let messages = effects.iter().filter_map(|effect| match effect {
        Effect::ToMaster { link, message } => Some((*link, message.clone())),
        _ => None,
    });
    messages.collect()
}

pub(crate) fn updates(effects: &Effects) -> Vec<StatusUpdate> {
    let updates = to_masters(effects)
        .into_iter()
        .filter_map(|(_, message)| match message {
            from_agent::Message::Update(update) => Some(update),
            _ => None,
        });
    updates.collect()
}

pub(crate) fn statuses(effects: &Effects) -> Vec<TaskStatus> {
    updates(effects)
        .into_iter()
        .filter_map(|update| update.status)
        .collect()
}

pub(crate) fn states(statuses: &[TaskStatus]) -> Vec<TaskState> {
    statuses.iter().map(TaskStatus::state).collect()
}

pub(crate) fn attaches(effects: &Effects) -> Vec<(LinkId, Attach)> {
    let attaches = to_masters(effects)
        .into_iter()
        .filter_map(|(link, message)| match message {
            from_agent::Message::Attach(attach) => Some((link, attach)),
            _ => None,
        });
    attaches.collect()
}

pub(crate) fn launches(effects: &Effects) -> Vec<LaunchSpec> {
    let launches = effects.iter().filter_map(|effect| match effect {
        Effect::Launch(spec) => Some(spec.as_ref().clone()),
        _ => None,
    });
    launches.collect()
}

pub(crate) fn events(effects: &Effects) -> Vec<(ConnectionId, Event)> {
    let events = effects.iter().filter_map(|effect| match effect {
        Effect::Event { connection, event } => Some((*connection, event.clone())),
        _ => None,
    });
    events.collect()
}

pub(crate) fn event_types(effects: &Effects) -> Vec<executor::event::Type> {
    events(effects)
        .iter()
        .map(|(_, event)| event.r#type())
        .collect()
}

pub(crate) fn signals(effects: &Effects) -> Vec<(ContainerId, Signal)> {
    let signals = effects.iter().filter_map(|effect| match effect {
        Effect::Signal { container, signal } => Some((container.clone(), *signal)),
        _ => None,
    });
    signals.collect()
}

pub(crate) fn replies(effects: &Effects) -> Vec<Reply> {
    let replies = effects.iter().filter_map(|effect| match effect {
        Effect::Reply { reply, .. } => Some(reply.clone()),
        _ => None,
    });
    replies.collect()
}

pub(crate) fn alive(stored: &StoredContainer) -> ContainerProbe {
    ContainerProbe {
        container: stored.container.clone(),
        alive: true,
        pid: Some(42),
        wait_status: None,
    }
}

pub(crate) fn dead(stored: &StoredContainer) -> ContainerProbe {
    ContainerProbe {
        alive: false,
        ..alive(stored)
    }
}
