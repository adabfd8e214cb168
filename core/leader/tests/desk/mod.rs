//! One leader on a desk: its proposals are applied at once, its timers fire when asked.

#![allow(dead_code, reason = "each test file uses its part")]
#![allow(clippy::unwrap_used, reason = "a failure is a failed test")]

use std::sync::Arc;

use caprock_leader::{
    AgentSessionId, Applied, Caller, Config, Effect, Effects, Input, Leader, ProposalFailure,
    Reply, RequestId, SessionId, TimerKey,
};
use caprock_model::{AgentCapabilities, DurationMs, Millis, Resources};
use caprock_proto::caprock::registry::{CreateCluster, entry::Command};
use caprock_proto::caprock::session::{
    Attach, Hello, StatusUpdate, from_agent, from_master, order::Order,
};
use caprock_proto::mesos::v1::offer::{Operation, operation};
use caprock_proto::mesos::v1::scheduler::{self, call, event};
use caprock_proto::mesos::v1::{
    AgentInfo, CommandInfo, Filters, FrameworkId, FrameworkInfo, MasterInfo, Offer, Resource,
    TaskId, TaskInfo, TaskState, TaskStatus, framework_info,
};
use caprock_registry::{Limits, Registry};

pub struct Desk {
    pub leader: Leader,
    pub registry: Registry,
    pub now: Millis,
    pub wakes: Vec<(Millis, TimerKey)>,
    index: u64,
    term: u64,
    next: u64,
    /// Everything since the last look.
    pub effects: Effects,
    /// Proposals are applied, and the leader does not learn of it.
    pub answers_are_lost: bool,
}

/// A subscribed scheduler.
#[derive(Debug, Clone)]
pub struct Scheduler {
    pub id: String,
    pub session: SessionId,
}

pub fn framework_info(capabilities: &[framework_info::capability::Type]) -> FrameworkInfo {
    FrameworkInfo {
        user: "user".to_owned(),
        name: "test".to_owned(),
        failover_timeout: Some(60.0),
        capabilities: capabilities
            .iter()
            .map(|kind| framework_info::Capability {
                r#type: Some(*kind as i32),
            })
            .collect(),
        ..FrameworkInfo::default()
    }
}

pub fn resources(text: &str) -> Vec<Resource> {
    Resources::parse(text, "*").unwrap().to_protos()
}

pub fn task(id: &str, offer: &Offer, wanted: &str) -> TaskInfo {
    TaskInfo {
        name: id.to_owned(),
        task_id: TaskId {
            value: id.to_owned(),
        },
        agent_id: offer.agent_id.clone(),
        resources: resources(wanted),
        command: Some(CommandInfo {
            value: Some("true".to_owned()),
            ..CommandInfo::default()
        }),
        ..TaskInfo::default()
    }
}

pub fn launch(tasks: Vec<TaskInfo>) -> Operation {
    Operation {
        r#type: Some(operation::Type::Launch as i32),
        launch: Some(operation::Launch { task_infos: tasks }),
        ..Operation::default()
    }
}

impl Desk {
    pub fn new() -> Self {
        Self::with(Config {
            batch_delay: DurationMs(1),
            return_delay: DurationMs(1),
            ..Config::default()
        })
    }

    pub fn with(config: Config) -> Self {
        let mut desk = Self {
            leader: Leader::new(config),
            registry: Registry::new(Limits::default()),
            now: Millis(1_000_000),
            wakes: Vec::new(),
            index: 0,
            term: 0,
            next: 0,
            effects: Vec::new(),
            answers_are_lost: false,
        };
        let command = Command::CreateCluster(CreateCluster {
            cluster_id: "cluster".to_owned(),
        });
        desk.index += 1;
        let entry = caprock_registry::entry(desk.now, command);
        desk.registry.apply(desk.index, &entry).unwrap();
        desk.elect();
        desk
    }

    pub fn elect(&mut self) {
        self.term += 1;
        let master = MasterInfo {
            id: format!("m{}", self.term),
            ..MasterInfo::default()
        };
        self.step(Input::Elected {
            term: self.term,
            master,
        });
    }

    pub fn fresh(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// One step, and all steps that follow from applying its proposals.
    pub fn step(&mut self, input: Input) {
        let mut out = Effects::new();
        self.leader.step(&self.registry, self.now, input, &mut out);
        self.leader.check_invariants(&self.registry).unwrap();
        let mut applied = Vec::new();
        for effect in out {
            match effect {
                Effect::Propose { proposal, entry } => {
                    self.index += 1;
                    let outcome = self.registry.apply(self.index, &entry).unwrap();
                    let index = self.index;
                    let result = if self.answers_are_lost {
                        Err(ProposalFailure::Unknown)
                    } else {
                        Ok(Applied { index, outcome })
                    };
                    applied.push(Input::Applied { proposal, result });
                }
                Effect::Wake { at, key } => self.wakes.push((at, key)),
                effect => self.effects.push(effect),
            }
        }
        for input in applied {
            self.step(input);
        }
        self.registry.check_invariants().unwrap();
    }

    /// Lets time pass; timers fire in their order.
    pub fn pass(&mut self, duration_ms: i64) {
        let end = self.now + DurationMs(duration_ms);
        loop {
            self.wakes.sort();
            if self.wakes.first().is_none_or(|(at, _)| *at > end) {
                break;
            }
            let (at, key) = self.wakes.remove(0);
            self.now = self.now.max(at);
            self.step(Input::Timer(key));
        }
        self.now = end;
    }

    pub fn take(&mut self) -> Effects {
        std::mem::take(&mut self.effects)
    }

    pub fn agent(&mut self, resources: &str) -> AgentSessionId {
        let number = self.fresh();
        self.agent_as(&format!("registration{number}"), "", resources)
    }

    pub fn agent_as(&mut self, registration: &str, id: &str, text: &str) -> AgentSessionId {
        let session = AgentSessionId(self.fresh());
        self.step(Input::AgentConnected {
            session,
            hello: Hello::default(),
        });
        let attach = self.attach(registration, id, text);
        self.hear(session, from_agent::Message::Attach(attach));
        session
    }

    pub fn attach(&self, registration: &str, id: &str, text: &str) -> Attach {
        Attach {
            agent_id: id.to_owned(),
            info: Some(AgentInfo {
                hostname: format!("host-{registration}"),
                resources: resources(text),
                ..AgentInfo::default()
            }),
            registration_id: registration.to_owned(),
            address: format!("{registration}:5051"),
            capabilities: AgentCapabilities::ALL.to_protos(),
            ..Attach::default()
        }
    }

    pub fn hear(&mut self, session: AgentSessionId, message: from_agent::Message) {
        self.step(Input::AgentMessage { session, message });
    }

    pub fn update(
        &mut self,
        session: AgentSessionId,
        whose: (&str, &str),
        state: TaskState,
        uuid: &str,
    ) {
        let (framework, task) = whose;
        let status = TaskStatus {
            task_id: TaskId {
                value: task.to_owned(),
            },
            state: state as i32,
            uuid: Some(uuid.as_bytes().to_vec().into()),
            ..TaskStatus::default()
        };
        let update = StatusUpdate {
            framework_id: framework.to_owned(),
            executor_id: String::new(),
            status: Some(status),
            latest_state: state as i32,
        };
        self.hear(session, from_agent::Message::Update(update));
    }

    pub fn subscribe(&mut self, info: FrameworkInfo) -> Scheduler {
        let (session, request) = (SessionId(self.fresh()), RequestId(self.fresh()));
        let id = info.id.clone().map(|id| id.value);
        self.step(Input::Subscribe {
            request,
            caller: Caller::default(),
            session,
            stream_id: format!("s{}", session.0),
            framework_id: id,
            subscribe: call::Subscribe {
                framework_info: info,
                ..call::Subscribe::default()
            },
        });
        let events = self.events(session);
        let subscribed = events.first().and_then(|event| event.subscribed.as_ref());
        let id = subscribed.map(|subscribed| subscribed.framework_id.value.clone());
        Scheduler {
            id: id.unwrap_or_default(),
            session,
        }
    }

    pub fn call(
        &mut self,
        scheduler: &Scheduler,
        kind: call::Type,
        call: scheduler::Call,
    ) -> Reply {
        let caller = Caller {
            stream_id: Some(format!("s{}", scheduler.session.0)),
            ..Caller::default()
        };
        self.call_as(scheduler, caller, kind, call)
    }

    pub fn call_as(
        &mut self,
        scheduler: &Scheduler,
        caller: Caller,
        kind: call::Type,
        call: scheduler::Call,
    ) -> Reply {
        let request = RequestId(self.fresh());
        let call = scheduler::Call {
            r#type: Some(kind as i32),
            framework_id: Some(FrameworkId {
                value: scheduler.id.clone(),
            }),
            ..call
        };
        self.step(Input::Call {
            request,
            caller,
            call,
        });
        let replies: Vec<Reply> = self
            .effects
            .iter()
            .filter_map(|effect| match effect {
                Effect::Reply {
                    request: answered,
                    reply,
                } if *answered == request => Some(reply.clone()),
                _ => None,
            })
            .collect();
        assert_eq!(replies.len(), 1, "one answer to each request");
        replies[0].clone()
    }

    pub fn accept(
        &mut self,
        scheduler: &Scheduler,
        offers: &[&Offer],
        operations: Vec<Operation>,
    ) -> Reply {
        let accept = call::Accept {
            offer_ids: offers.iter().map(|offer| offer.id.clone()).collect(),
            operations,
            filters: Some(Filters {
                refuse_seconds: Some(0.0),
            }),
        };
        let call = scheduler::Call {
            accept: Some(accept),
            ..scheduler::Call::default()
        };
        self.call(scheduler, call::Type::Accept, call)
    }

    /// The answer to a request.
    pub fn reply_to(&self, wanted: RequestId) -> Reply {
        let reply = self.effects.iter().find_map(|effect| match effect {
            Effect::Reply { request, reply } if *request == wanted => Some(reply.clone()),
            _ => None,
        });
        reply.unwrap()
    }

    pub fn events(&self, session: SessionId) -> Vec<Arc<scheduler::Event>> {
        self.effects
            .iter()
            .filter_map(|effect| match effect {
                Effect::Event { session: to, event } if *to == session => Some(Arc::clone(event)),
                _ => None,
            })
            .collect()
    }

    pub fn kinds(&self, session: SessionId) -> Vec<event::Type> {
        self.events(session)
            .iter()
            .map(|event| event.r#type())
            .collect()
    }

    pub fn statuses(&self, session: SessionId) -> Vec<TaskStatus> {
        let events = self.events(session);
        events
            .iter()
            .filter_map(|event| event.update.as_ref())
            .map(|update| update.status.clone())
            .collect()
    }

    pub fn offers(&self, session: SessionId) -> Vec<Offer> {
        let events = self.events(session);
        let offers = events.iter().filter_map(|event| event.offers.as_ref());
        offers.flat_map(|offers| offers.offers.clone()).collect()
    }

    pub fn is_closed(&self, session: SessionId) -> bool {
        self.effects
            .iter()
            .any(|effect| matches!(effect, Effect::Close(s) if *s == session))
    }

    pub fn orders(&self, session: AgentSessionId) -> Vec<Order> {
        self.messages(session)
            .into_iter()
            .filter_map(|message| match message {
                from_master::Message::Order(order) => order.order,
                _ => None,
            })
            .collect()
    }

    pub fn messages(&self, session: AgentSessionId) -> Vec<from_master::Message> {
        self.effects
            .iter()
            .filter_map(|effect| match effect {
                Effect::ToAgent {
                    session: to,
                    message,
                } if *to == session => Some(message.clone()),
                _ => None,
            })
            .collect()
    }
}
