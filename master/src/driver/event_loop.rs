//! The loop itself: one turn takes everything that waits, steps the brain through it,
//! publishes the view and then carries out the effects. It never waits for I/O.

use std::sync::Arc;
use std::time::Duration;

use caprock_leader::{
    AgentSessionId, Caller, Effect, Effects, Input, Leader, LeaderView, LogLevel, Reply, RequestId,
    SessionId, Term,
};
use caprock_model::Millis;
use caprock_proto::caprock::session;
use caprock_proto::mesos::v1::scheduler::{self, Event};
use tokio::sync::{mpsc, oneshot, watch};

use super::agents::Agents;
use super::proposer::{Ended, Epoch, Place, Proposer};
use super::sessions::{Sessions, Undelivered};
use super::timers::Timers;
use super::{Command, NO_LEADER};
use crate::clock::SteadyClock;
use crate::identity::Identity;
use crate::leadership::Leadership;
use crate::machine::RegistryStore;
use crate::published::{Open, Published};
use crate::standing::{self, Standing};

/// Inputs of one kind that are taken in one turn at most.
const BATCH: usize = 512;
/// How often a leader that cannot prove its lease looks again.
const LEASE_POLL: Duration = Duration::from_millis(5);

/// What the driver needs to know beside its channels.
#[derive(Debug)]
pub struct DriverSettings {
    pub leader: caprock_leader::Config,
    pub scheduler_event_buffer: usize,
    pub agent_ping_timeout: Duration,
    pub max_agent_ping_timeouts: u32,
}

/// The leader's brain with everything around it.
pub struct Driver {
    settings: DriverSettings,
    identity: Identity,
    store: RegistryStore,
    published: Arc<Published>,

    leader: Leader,
    followed: Leadership,
    term: Option<Term>,
    epoch: Epoch,
    clock: SteadyClock,
    effects: Effects,

    sessions: Sessions,
    agents: Agents,
    timers: Timers,
    proposer: Proposer,
    next_request: u64,
    next_session: u64,

    leadership: watch::Receiver<Leadership>,
    commands: mpsc::Receiver<Command>,
    ended: mpsc::UnboundedReceiver<Ended>,
    closed: mpsc::UnboundedReceiver<SessionId>,
}

/// The first thing of a turn.
enum Wakeup {
    Leadership,
    Command(Command),
    Ended(Ended),
    Closed(SessionId),
    Timer,
    Reannounce,
    Stop,
}

impl Driver {
    pub(crate) fn new(
        settings: DriverSettings,
        identity: Identity,
        store: RegistryStore,
        published: Arc<Published>,
        leadership: watch::Receiver<Leadership>,
        commands: mpsc::Receiver<Command>,
    ) -> Self {
        let (proposer, ended) = Proposer::start(store.clone());
        let (closed_sender, closed) = mpsc::unbounded_channel();
        Self {
            leader: Leader::new(settings.leader.clone()),
            sessions: Sessions::new(settings.scheduler_event_buffer, closed_sender),
            settings,
            identity,
            store,
            published,
            followed: Leadership::default(),
            term: None,
            epoch: 0,
            clock: SteadyClock::default(),
            effects: Effects::new(),
            agents: Agents::default(),
            timers: Timers::default(),
            proposer,
            next_request: 1,
            next_session: 1,
            leadership,
            commands,
            ended,
            closed,
        }
    }

    /// Runs until the handle is dropped or the store stops.
    pub async fn run(mut self) {
        loop {
            let wakeup = self.wait().await;
            if matches!(wakeup, Wakeup::Stop) {
                break;
            }
            if self.term.is_some() {
                self.hold_without_lease().await;
            }
            self.turn(wakeup);
        }
        self.follow_leadership(&Leadership::default());
        self.finish_turn();
    }

    async fn wait(&mut self) -> Wakeup {
        let now = self.clock.now();
        let timer = self.timers.next_at().map(|at| until(now, at));
        let reannounce = self.settings.agent_ping_timeout;
        let following = self.term.is_none() && self.agents.len() > 0;
        tokio::select! {
            biased;
            changed = self.leadership.changed() => match changed {
                Ok(()) => Wakeup::Leadership,
                Err(_) => Wakeup::Stop,
            },
            Some(ended) = self.ended.recv() => Wakeup::Ended(ended),
            Some(session) = self.closed.recv() => Wakeup::Closed(session),
            () = tokio::time::sleep(timer.unwrap_or_default()), if timer.is_some() => Wakeup::Timer,
            command = self.commands.recv() => command.map_or(Wakeup::Stop, Wakeup::Command),
            () = tokio::time::sleep(reannounce), if following => Wakeup::Reannounce,
        }
    }

    /// A leader that cannot prove that a majority still follows it answers nobody: it waits
    /// until it can, or until the watcher has given the leadership up.
    async fn hold_without_lease(&mut self) {
        while !self.store.has_quorum_lease() {
            if self.leadership.borrow().leading_term() != self.term {
                return;
            }
            tokio::time::sleep(LEASE_POLL).await;
        }
    }

    fn turn(&mut self, wakeup: Wakeup) {
        // First: nothing that waited may be taken by a leader that is one no more.
        let leadership = self.leadership.borrow_and_update().clone();
        if leadership != self.followed {
            self.follow_leadership(&leadership);
            self.followed = leadership;
        }
        match wakeup {
            Wakeup::Command(command) => self.take_command(command),
            Wakeup::Ended(ended) => self.take_ended(ended),
            Wakeup::Closed(session) => self.take_closed(session),
            Wakeup::Reannounce => self.announce_standing(),
            Wakeup::Leadership | Wakeup::Timer | Wakeup::Stop => {}
        }
        self.take_waiting();
        self.finish_turn();
    }

    fn take_waiting(&mut self) {
        for _ in 0..BATCH {
            let Ok(ended) = self.ended.try_recv() else {
                break;
            };
            self.take_ended(ended);
        }
        for _ in 0..BATCH {
            let Ok(session) = self.closed.try_recv() else {
                break;
            };
            self.take_closed(session);
        }
        let now = self.clock.now();
        while let Some(key) = self.timers.pop_due(now) {
            self.step(Input::Timer(key));
        }
        for _ in 0..BATCH {
            let Ok(command) = self.commands.try_recv() else {
                break;
            };
            self.take_command(command);
        }
    }

    /// Publishes before it acts, so that whoever sees an effect also sees its cause.
    fn finish_turn(&mut self) {
        if self.term.is_some() {
            self.published.set_view(self.leader.view());
        }
        // Closing a stream that is too slow makes new effects: carry out those too.
        while !self.effects.is_empty() {
            for effect in std::mem::take(&mut self.effects) {
                self.carry_out(effect);
            }
        }
        self.published.set_open(Open {
            scheduler_streams: self.sessions.len(),
            agent_streams: self.agents.len(),
            timers: self.timers.len(),
        });
    }

    fn step(&mut self, input: Input) {
        let now = self.clock.now();
        let registry = self.published.registry();
        self.leader.step(&registry, now, input, &mut self.effects);
    }

    // ---- inputs ----

    fn take_command(&mut self, command: Command) {
        match command {
            Command::AgentOpened { session, stream } => self.agent_opened(session, stream),
            Command::AgentMessage { session, message } => {
                if self.term.is_some() && self.agents.contains(session) {
                    self.step(Input::AgentMessage {
                        session,
                        message: *message,
                    });
                }
            }
            Command::AgentClosed(session) => self.agent_closed(session),
            Command::Subscribe { answer, .. }
            | Command::Call { answer, .. }
            | Command::Operator { answer, .. }
                if self.term.is_none() =>
            {
                let reply = Reply::Unavailable(NO_LEADER.to_owned());
                if answer.send(super::Answer::Reply(reply)).is_err() {
                    tracing::debug!("the client left before its answer");
                }
            }
            Command::Subscribe {
                caller,
                framework_id,
                subscribe,
                answer,
            } => self.subscribe(caller, framework_id, *subscribe, answer),
            Command::Call {
                caller,
                call,
                answer,
            } => {
                let request = self.request();
                self.sessions.wait(request, answer);
                self.step(Input::Call {
                    request,
                    caller,
                    call: *call,
                });
            }
            Command::Operator {
                principal,
                call,
                answer,
            } => {
                let request = self.request();
                self.sessions.wait(request, answer);
                self.step(Input::Operator {
                    request,
                    principal,
                    call,
                });
            }
        }
    }

    fn subscribe(
        &mut self,
        caller: Caller,
        framework_id: Option<String>,
        subscribe: scheduler::call::Subscribe,
        answer: oneshot::Sender<super::Answer>,
    ) {
        let request = self.request();
        let session = SessionId(self.next_session);
        self.next_session += 1;
        let stream_id = uuid::Uuid::new_v4().to_string();
        self.sessions
            .open(request, session, stream_id.clone(), answer);
        self.step(Input::Subscribe {
            request,
            caller,
            session,
            stream_id,
            framework_id,
            subscribe,
        });
    }

    fn request(&mut self) -> RequestId {
        let request = RequestId(self.next_request);
        self.next_request += 1;
        request
    }

    fn take_ended(&mut self, ended: Ended) {
        if self.term.is_some() && ended.epoch == self.epoch {
            self.step(Input::Applied {
                proposal: ended.proposal,
                result: ended.result,
            });
        }
    }

    fn take_closed(&mut self, session: SessionId) {
        if self.sessions.close(session) && self.term.is_some() {
            self.step(Input::SessionClosed(session));
        }
    }

    fn agent_opened(&mut self, session: AgentSessionId, stream: super::AgentStream) {
        let hello = stream.hello.clone();
        self.agents.insert(session, stream);
        let message = session::from_master::Message::Standing(self.agent_standing());
        if !self.agents.send(session, self.known_term(), message) {
            self.agents.remove(session);
        } else if self.term.is_some() {
            self.step(Input::AgentConnected { session, hello });
        }
    }

    fn agent_closed(&mut self, session: AgentSessionId) {
        if self.agents.remove(session) && self.term.is_some() {
            self.step(Input::AgentDisconnected(session));
        }
    }

    // ---- leadership ----

    fn follow_leadership(&mut self, leadership: &Leadership) {
        if self.term.is_some() && leadership.serial() != Some(self.epoch) {
            self.deposed();
        }
        match leadership {
            Leadership::Leading { term, serial } if self.term.is_none() => {
                self.elected(*term, *serial);
            }
            Leadership::Leading { .. } => {}
            Leadership::NotLeading(standing) => {
                self.published.set_standing(standing.clone());
                self.announce_standing();
            }
        }
    }

    fn elected(&mut self, term: Term, serial: Epoch) {
        tracing::info!(term, "this member leads");
        self.term = Some(term);
        self.epoch = serial;
        let master = self.identity.master_info();
        self.step(Input::Elected { term, master });
        self.published.set_view(self.leader.view());
        self.published.set_standing(Standing::Leading { term });
        self.announce_standing();
        for (session, hello) in self.agents.hellos() {
            self.step(Input::AgentConnected { session, hello });
        }
    }

    fn deposed(&mut self) {
        tracing::warn!(term = self.term, "this member does not lead any more");
        // Before anything else, so that no request is taken for a leader's.
        self.published.set_standing(Standing::Leaderless);
        self.step(Input::Deposed);
        for effect in std::mem::take(&mut self.effects) {
            self.carry_out(effect);
        }
        self.effects.clear();
        self.term = None;
        self.proposer.forget_all();
        self.timers.clear();
        self.sessions
            .end_all(&Reply::Unavailable(NO_LEADER.to_owned()));
        self.published.set_view(LeaderView::default());
    }

    /// The term that goes out with each message to an agent.
    fn known_term(&self) -> Term {
        self.term.unwrap_or_else(|| self.store.status().term)
    }

    fn agent_standing(&self) -> session::Standing {
        let patience = self.settings.agent_ping_timeout * self.settings.max_agent_ping_timeouts;
        let leader = match (self.term, self.published.standing()) {
            (Some(_), _) => Some(self.identity.as_leader()),
            (None, Standing::Following(leader)) => Some(leader),
            (None, _) => None,
        };
        let standing::Leader { member_id, address } = leader.unwrap_or(standing::Leader {
            member_id: 0,
            address: String::new(),
        });
        session::Standing {
            is_leader: self.term.is_some(),
            leader_address: address,
            leader_member_id: member_id,
            cluster_id: self
                .published
                .registry()
                .cluster_id()
                .unwrap_or_default()
                .to_owned(),
            ping_timeout_ms: u32::try_from(patience.as_millis()).unwrap_or(u32::MAX),
        }
    }

    fn announce_standing(&mut self) {
        let unreached = self
            .agents
            .announce(self.known_term(), &self.agent_standing());
        for session in unreached {
            self.agent_closed(session);
        }
    }

    // ---- effects ----

    fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Propose { proposal, entry } => {
                let place = Place {
                    epoch: self.epoch,
                    term: self.known_term(),
                };
                self.proposer.propose(place, proposal, entry);
            }
            Effect::Reply { request, reply } => self.sessions.reply(request, reply),
            Effect::Event { session, event } => self.deliver(session, event),
            Effect::Close(session) => {
                self.sessions.close(session);
            }
            Effect::ToAgent { session, message } => {
                if !self.agents.send(session, self.known_term(), message) {
                    self.agent_closed(session);
                }
            }
            Effect::CloseAgent(session) => {
                self.agents.remove(session);
            }
            Effect::Wake { at, key } => self.timers.add(at, key),
            Effect::Log {
                level: LogLevel::Info,
                text,
            } => tracing::info!("{text}"),
            Effect::Log {
                level: LogLevel::Warn,
                text,
            } => tracing::warn!("{text}"),
        }
    }

    fn deliver(&mut self, session: SessionId, event: Arc<Event>) {
        match self.sessions.deliver(session, event) {
            Ok(()) | Err(Undelivered::Unknown) => {}
            // The guard of the stream reports it.
            Err(Undelivered::Gone) => {}
            Err(Undelivered::TooSlow) => {
                tracing::warn!(
                    ?session,
                    buffered_events = self.settings.scheduler_event_buffer,
                    "a scheduler does not read its events: its stream is cut off"
                );
                self.take_closed(session);
            }
        }
    }
}

fn until(now: Millis, at: Millis) -> Duration {
    Duration::from_millis(u64::try_from(at.0.saturating_sub(now.0)).unwrap_or(0))
}
