//! Schedulers: they subscribe again whenever their stream ends, use offers at random, and
//! remember every task that they were promised.

use std::collections::BTreeMap;
use std::sync::Arc;

use caprock_leader::{Caller, Reply, RequestId, SessionId};
use caprock_proto::mesos::v1::scheduler::{self, call, event};
use caprock_proto::mesos::v1::{
    FrameworkId, FrameworkInfo, Offer, TaskId, TaskState, framework_info,
};

use super::rng::Rng;
use super::{Call, Happening, Request, Stream, What, World};

/// What a request was about, for the checks of its answer.
#[derive(Debug, Clone)]
pub enum Asked {
    Subscribe(SessionId),
    Teardown {
        framework: String,
    },
    Accept {
        framework: String,
        tasks: Vec<(String, String)>,
    },
    Other,
}

/// A task as its scheduler knows it.
#[derive(Debug)]
pub struct Known {
    pub agent: String,
    pub over: bool,
    /// The ACCEPT was answered with success.
    pub promised: bool,
    /// Its launch was rejected or lost, as an update said.
    pub rejected: bool,
}

pub struct Framework {
    pub id: Option<String>,
    pub stream: Option<SessionId>,
    subscribing: Option<SessionId>,
    info: FrameworkInfo,
    pub offers: BTreeMap<String, Offer>,
    pub tasks: BTreeMap<String, Known>,
    pub next_task: u64,
    pub generations: u32,
}

impl Framework {
    pub fn new(number: usize, rng: &mut Rng) -> Self {
        use framework_info::capability::Type;

        let mut kinds = Vec::new();
        for kind in [
            Type::PartitionAware,
            Type::MultiRole,
            Type::ReservationRefinement,
        ] {
            if rng.chance(60) {
                kinds.push(framework_info::Capability {
                    r#type: Some(kind as i32),
                });
            }
        }
        let multi_role = kinds
            .iter()
            .any(|capability| capability.r#type == Some(Type::MultiRole as i32));
        let timeouts = [0.0, 2.0, 60.0, 60.0];
        let info = FrameworkInfo {
            user: "user".to_owned(),
            name: format!("framework{number}"),
            failover_timeout: rng.pick(&timeouts).copied(),
            checkpoint: Some(rng.chance(70)),
            roles: if multi_role {
                vec!["a".to_owned(), "b".to_owned()]
            } else {
                Vec::new()
            },
            capabilities: kinds,
            ..FrameworkInfo::default()
        };
        Self {
            id: None,
            stream: None,
            subscribing: None,
            info,
            offers: BTreeMap::new(),
            tasks: BTreeMap::new(),
            next_task: 0,
            generations: 0,
        }
    }

    /// The framework was removed: it begins anew under another id.
    fn begin_anew(&mut self) {
        self.id = None;
        self.offers.clear();
        self.tasks.clear();
        self.generations += 1;
    }
}

impl World {
    pub(super) fn framework_acts(&mut self, number: usize) {
        let framework = &self.frameworks[number];
        if framework.stream.is_none() {
            if framework.subscribing.is_none() {
                self.subscribe(number);
            }
        } else if self.quiet {
            self.wind_up(number);
        } else {
            self.do_something(number);
        }
        let delay = if self.quiet {
            400
        } else {
            self.rng.between(10, 150)
        };
        self.in_ms(delay, Happening::FrameworkActs(number));
    }

    fn subscribe(&mut self, number: usize) {
        let Some(leader) = self.current else { return };
        let wrong = !self.quiet && self.rng.chance(5);
        let member = if wrong {
            self.rng.below(3) as usize
        } else {
            leader
        };
        let session = SessionId(self.fresh());
        let framework = &mut self.frameworks[number];
        framework.subscribing = Some(session);
        let mut info = framework.info.clone();
        info.id = framework.id.clone().map(|value| FrameworkId { value });
        let id = framework.id.clone();
        let stream = Stream {
            framework: number,
            member,
            open: true,
            arrives: 0,
        };
        self.streams.insert(session, stream);
        let subscribe = call::Subscribe {
            framework_info: info,
            ..call::Subscribe::default()
        };
        let what = What::Subscribe {
            session,
            subscribe,
            id,
        };
        self.send_request(
            number,
            member,
            Caller::default(),
            what,
            Asked::Subscribe(session),
        );
    }

    fn send_request(
        &mut self,
        framework: usize,
        member: usize,
        caller: Caller,
        what: What,
        asked: Asked,
    ) {
        let request = RequestId(self.fresh());
        let record = Request {
            framework,
            member,
            answers: 0,
            dead: false,
            what: asked,
        };
        self.requests.insert(request, record);
        let delay = self.rng.delay_ms(self.quiet);
        self.in_ms(
            delay,
            Happening::Call(Box::new(Call {
                member,
                request,
                caller,
                what,
            })),
        );
    }

    pub(super) fn send_call(&mut self, number: usize, kind: call::Type, call: scheduler::Call) {
        let framework = self.frameworks[number].id.clone().unwrap_or_default();
        let asked = match kind {
            call::Type::Teardown => Asked::Teardown { framework },
            _ => Asked::Other,
        };
        self.send_call_as(number, kind, call, asked);
    }

    pub(super) fn send_call_as(
        &mut self,
        number: usize,
        kind: call::Type,
        call: scheduler::Call,
        asked: Asked,
    ) {
        let framework = &self.frameworks[number];
        let (Some(id), Some(stream)) = (framework.id.clone(), framework.stream) else {
            return;
        };
        let Some(member) = self.streams.get(&stream).map(|stream| stream.member) else {
            return;
        };
        let call = scheduler::Call {
            r#type: Some(kind as i32),
            framework_id: Some(FrameworkId { value: id }),
            ..call
        };
        let caller = Caller {
            stream_id: Some(format!("stream-{}", stream.0)),
            ..Caller::default()
        };
        self.send_request(number, member, caller, What::Call(call), asked);
    }

    fn do_something(&mut self, number: usize) {
        let known: Vec<String> = self.frameworks[number].tasks.keys().cloned().collect();
        let task = self.rng.pick(&known).cloned().unwrap_or_default();
        let task_id = TaskId { value: task };
        match self.rng.below(40) {
            0..=19 => self.use_offers(number),
            20..=22 => self.decline(number),
            23 => self.send_call(number, call::Type::Suppress, scheduler::Call::default()),
            24..=26 => self.send_call(number, call::Type::Revive, scheduler::Call::default()),
            27..=30 => {
                let kill = call::Kill {
                    task_id,
                    ..call::Kill::default()
                };
                let call = scheduler::Call {
                    kill: Some(kill),
                    ..scheduler::Call::default()
                };
                self.send_call(number, call::Type::Kill, call);
            }
            31 => self.reconcile(number, Vec::new()),
            32 => self.reconcile(number, vec![task_id]),
            33 => {
                let Some(id) = self.frameworks[number].id.clone() else {
                    return;
                };
                let mut info = self.frameworks[number].info.clone();
                info.id = Some(FrameworkId { value: id });
                let update = call::UpdateFramework {
                    framework_info: info,
                    ..call::UpdateFramework::default()
                };
                let call = scheduler::Call {
                    update_framework: Some(update),
                    ..Default::default()
                };
                self.send_call(number, call::Type::UpdateFramework, call);
            }
            34 if self.rng.chance(25) => {
                self.send_call(number, call::Type::Teardown, scheduler::Call::default());
            }
            35 if self.rng.chance(30) => {
                if let Some(session) = self.frameworks[number].stream {
                    self.break_stream(session);
                }
            }
            // A second subscription beside the open stream.
            36 if self.rng.chance(30) && self.frameworks[number].id.is_some() => {
                self.subscribe(number);
            }
            _ => {}
        }
    }

    fn reconcile(&mut self, number: usize, tasks: Vec<TaskId>) {
        let tasks = tasks
            .into_iter()
            .map(|task_id| call::reconcile::Task {
                task_id,
                ..Default::default()
            })
            .collect();
        let reconcile = Some(call::Reconcile { tasks });
        let call = scheduler::Call {
            reconcile,
            ..scheduler::Call::default()
        };
        self.send_call(number, call::Type::Reconcile, call);
    }

    /// In the quiet: no new tasks, and an answer about every old one.
    fn wind_up(&mut self, number: usize) {
        let open: Vec<TaskId> = self.frameworks[number]
            .tasks
            .iter()
            .filter(|(_, task)| !task.over)
            .map(|(id, _)| TaskId { value: id.clone() })
            .collect();
        if !open.is_empty() && self.rng.chance(25) {
            self.reconcile(number, open);
        }
    }

    pub(super) fn framework_hears(&mut self, session: SessionId, event: &Arc<scheduler::Event>) {
        let Some(stream) = self.streams.get(&session).filter(|stream| stream.open) else {
            return;
        };
        let number = stream.framework;
        let framework = &mut self.frameworks[number];
        // What an old stream still brings is of no interest.
        if framework.stream != Some(session) {
            return;
        }
        match event.r#type() {
            event::Type::Subscribed => {
                let id = &event
                    .subscribed
                    .as_ref()
                    .expect("SUBSCRIBED")
                    .framework_id
                    .value;
                assert!(framework.id.is_none() || framework.id.as_ref() == Some(id));
                framework.id = Some(id.clone());
                framework.offers.clear();
            }
            event::Type::Offers => {
                let offers = event.offers.as_ref().expect("OFFERS").offers.clone();
                for offer in offers {
                    framework.offers.insert(offer.id.value.clone(), offer);
                }
            }
            event::Type::Rescind => {
                let rescind = event.rescind.as_ref().expect("RESCIND");
                framework.offers.remove(&rescind.offer_id.value);
            }
            event::Type::Update => {
                let update = event.update.as_ref().expect("UPDATE");
                self.framework_updated(number, &update.status.clone());
            }
            event::Type::Error => {
                let text = &event.error.as_ref().expect("ERROR").message;
                if text == "Framework has been removed" {
                    framework.begin_anew();
                }
            }
            _ => {}
        }
    }

    fn framework_updated(&mut self, number: usize, status: &caprock_proto::mesos::v1::TaskStatus) {
        let framework = &mut self.frameworks[number];
        let state = status.state();
        if let Some(task) = framework.tasks.get_mut(&status.task_id.value) {
            let lost = matches!(state, TaskState::TaskUnknown | TaskState::TaskUnreachable);
            task.over = caprock_model::task::is_terminal(state) || lost;
            task.rejected |= status.uuid.is_none() && task.over;
        }
        if let (Some(uuid), Some(agent_id)) = (&status.uuid, &status.agent_id)
            && (self.quiet || self.rng.chance(95))
        {
            let acknowledge = call::Acknowledge {
                agent_id: agent_id.clone(),
                task_id: status.task_id.clone(),
                uuid: uuid.clone(),
            };
            let call = scheduler::Call {
                acknowledge: Some(acknowledge),
                ..scheduler::Call::default()
            };
            self.send_call(number, call::Type::Acknowledge, call);
        }
    }

    pub(super) fn framework_answered(&mut self, request: RequestId, reply: Reply) {
        let (number, asked) = {
            let known = &self.requests[&request];
            (known.framework, known.what.clone())
        };
        match (asked, reply) {
            (Asked::Subscribe(_), Reply::Stream(session)) => {
                let framework = &mut self.frameworks[number];
                if framework.subscribing == Some(session) {
                    framework.subscribing = None;
                    framework.stream = Some(session);
                }
            }
            (Asked::Subscribe(session), reply) => {
                assert!(
                    matches!(reply, Reply::Unavailable(_)),
                    "SUBSCRIBE: {reply:?}"
                );
                let framework = &mut self.frameworks[number];
                if framework.subscribing == Some(session) {
                    framework.subscribing = None;
                }
            }
            (Asked::Teardown { framework }, Reply::Accepted)
                if self.frameworks[number].id.as_ref() == Some(&framework) =>
            {
                self.frameworks[number].begin_anew();
            }
            (Asked::Accept { tasks, .. }, Reply::Accepted) => {
                for (task, _) in tasks {
                    if let Some(known) = self.frameworks[number].tasks.get_mut(&task) {
                        known.promised = true;
                    }
                }
            }
            _ => {}
        }
    }

    /// The leader ended the stream, or it broke on its way.
    pub(super) fn stream_ended(&mut self, session: SessionId) {
        let Some(stream) = self.streams.remove(&session) else {
            return;
        };
        let framework = &mut self.frameworks[stream.framework];
        if framework.stream == Some(session) {
            framework.stream = None;
        }
        if framework.subscribing == Some(session) {
            framework.subscribing = None;
        }
        let member = stream.member;
        if self.members[member].alive && self.members[member].leader.leads() {
            self.step(member, caprock_leader::Input::SessionClosed(session));
        }
    }

    /// The scheduler hangs up.
    pub(super) fn break_stream(&mut self, session: SessionId) {
        self.stream_ended(session);
    }

    /// A member died with the requests that it had taken.
    pub(super) fn lose_requests(&mut self, member: usize) {
        let lost: Vec<RequestId> = self
            .requests
            .iter()
            .filter(|(_, request)| request.member == member && request.answers == 0)
            .map(|(id, _)| *id)
            .collect();
        for id in lost {
            if let Some(request) = self.requests.get_mut(&id) {
                request.dead = true;
            }
            let reply = Reply::Unavailable("the member died".to_owned());
            self.in_ms(1, Happening::Reply { request: id, reply });
        }
    }
}
