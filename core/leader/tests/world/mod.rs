//! The simulated world: a queue of things to happen, and who they happen to.

#![allow(
    clippy::needless_pass_by_value,
    clippy::large_enum_variant,
    clippy::wrong_self_convention,
    reason = "messages are handed over as by a network"
)]

mod agent;
mod checks;
mod framework;
mod member;
mod rng;
mod workload;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use caprock_leader::{
    AgentSessionId, Applied, Caller, Effect, Effects, Input, ProposalFailure, ProposalId, Reply,
    RequestId, SessionId, Term, TimerKey,
};
use caprock_model::Millis;
use caprock_proto::caprock::registry::Entry;
use caprock_proto::caprock::session::{Hello, from_agent, from_master};
use caprock_proto::mesos::v1::scheduler;

use agent::Agent;
use framework::Framework;
use member::Member;
use rng::Rng;

/// How long trouble lasts, and how long everything may take to settle after it.
const TROUBLE_MS: i64 = 12_000;
const QUIET_MS: i64 = 20_000;

/// One thing that will happen.
#[derive(Debug)]
enum Happening {
    /// The oldest proposal on its way gets into the log, if it was made in this term.
    Commit(Term),
    /// A member applies the log up to here.
    Apply {
        member: usize,
        life: u32,
        upto: usize,
    },
    /// A leader's proposal ended.
    Answer {
        member: usize,
        life: u32,
        id: ProposalId,
        result: Result<Applied, ProposalFailure>,
    },
    Timer {
        member: usize,
        life: u32,
        key: TimerKey,
    },
    Depose {
        member: usize,
        life: u32,
    },
    ToMember {
        session: AgentSessionId,
        message: from_agent::Message,
    },
    ToAgent {
        session: AgentSessionId,
        term: Term,
        message: from_master::Message,
    },
    LinkDown {
        session: AgentSessionId,
    },
    Call(Box<Call>),
    Reply {
        request: RequestId,
        reply: Reply,
    },
    Event {
        session: SessionId,
        event: Arc<scheduler::Event>,
    },
    StreamEnd {
        session: SessionId,
    },
    FrameworkActs(usize),
    AgentActs(usize),
    /// Something goes wrong.
    Trouble,
}

/// A scheduler's request on its way to a member.
#[derive(Debug)]
struct Call {
    member: usize,
    request: RequestId,
    caller: Caller,
    what: What,
}

#[derive(Debug)]
enum What {
    Subscribe {
        session: SessionId,
        subscribe: scheduler::call::Subscribe,
        id: Option<String>,
    },
    Call(scheduler::Call),
}

/// A stream between an agent and a member.
#[derive(Debug)]
struct Link {
    agent: usize,
    member: usize,
    open: bool,
    /// Messages keep their order: when the last one in each direction arrives.
    arrives: [i64; 2],
}

/// A scheduler's event stream.
#[derive(Debug)]
struct Stream {
    framework: usize,
    member: usize,
    open: bool,
    arrives: i64,
}

/// A request and whether it was answered.
#[derive(Debug)]
struct Request {
    framework: usize,
    member: usize,
    answers: u32,
    /// Its member died: there will be no answer.
    dead: bool,
    what: framework::Asked,
}

pub struct World {
    pub seed: u64,
    rng: Rng,
    now: i64,
    queue: BTreeMap<(i64, u64), Box<Happening>>,
    sequence: u64,
    members: Vec<Member>,
    /// The leader, as the log sees it.
    current: Option<usize>,
    term: Term,
    log: Vec<Entry>,
    /// Proposals of the current leader, oldest first, on their way into the log.
    underway: Vec<member::Underway>,
    agents: Vec<Agent>,
    frameworks: Vec<Framework>,
    links: BTreeMap<AgentSessionId, Link>,
    streams: BTreeMap<SessionId, Stream>,
    requests: BTreeMap<RequestId, Request>,
    next_id: u64,
    quiet: bool,
    trace: bool,
    /// Agents that crashed, were cut off for long, or were wiped: their tasks may be lost.
    pub harmed: BTreeSet<String>,
    digests: BTreeMap<usize, caprock_registry::Digest>,
}

#[expect(
    clippy::disallowed_methods,
    reason = "the caller may ask for the story"
)]
fn trace_is_wanted() -> bool {
    std::env::var("CAPROCK_TRACE").is_ok()
}

impl World {
    pub fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let agents = 1 + rng.below(3) as usize;
        let frameworks = 1 + rng.below(3) as usize;
        let mut world = Self {
            seed,
            now: 1_700_000_000_000,
            queue: BTreeMap::new(),
            sequence: 0,
            members: (0..3).map(Member::new).collect(),
            current: None,
            term: 0,
            log: Vec::new(),
            underway: Vec::new(),
            agents: (0..agents)
                .map(|number| Agent::new(number, &mut rng))
                .collect(),
            frameworks: (0..frameworks)
                .map(|number| Framework::new(number, &mut rng))
                .collect(),
            links: BTreeMap::new(),
            streams: BTreeMap::new(),
            requests: BTreeMap::new(),
            next_id: 0,
            quiet: false,
            trace: trace_is_wanted(),
            harmed: BTreeSet::new(),
            digests: BTreeMap::new(),
            rng,
        };
        world.found_cluster();
        for agent in 0..agents {
            world.in_ms(0, Happening::AgentActs(agent));
        }
        for framework in 0..frameworks {
            world.in_ms(20, Happening::FrameworkActs(framework));
        }
        world.in_ms(500, Happening::Trouble);
        world
    }

    /// Trouble, then quiet, then the final judgement.
    pub fn run(&mut self) {
        let start = self.now;
        self.run_until(start + TROUBLE_MS);
        self.calm_down();
        self.run_until(start + TROUBLE_MS + QUIET_MS);
        self.check_end();
    }

    fn run_until(&mut self, end: i64) {
        while let Some((&(at, _), _)) = self.queue.first_key_value() {
            if at > end {
                break;
            }
            let Some(((at, _), happening)) = self.queue.pop_first() else {
                break;
            };
            self.now = at;
            self.happen(*happening);
        }
        self.now = end;
    }

    fn note(&self, text: impl FnOnce() -> String) {
        if self.trace {
            println!("{:>6} {}", self.now - 1_700_000_000_000, text());
        }
    }

    fn fresh(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    fn in_ms(&mut self, delay: i64, happening: Happening) {
        self.at_ms(self.now + delay, happening);
    }

    fn at_ms(&mut self, at: i64, happening: Happening) {
        self.sequence += 1;
        let key = (at.max(self.now), self.sequence);
        self.queue.insert(key, Box::new(happening));
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Commit(term) => self.commit(term),
            Happening::Apply { member, life, upto } => self.apply(member, life, upto),
            Happening::Answer {
                member,
                life,
                id,
                result,
            } => {
                if self.lives(member, life) {
                    self.step(
                        member,
                        Input::Applied {
                            proposal: id,
                            result,
                        },
                    );
                }
            }
            Happening::Timer { member, life, key } => {
                if self.lives(member, life) {
                    self.step(member, Input::Timer(key));
                }
            }
            Happening::Depose { member, life } => {
                if self.lives(member, life) && self.current != Some(member) {
                    self.step(member, Input::Deposed);
                }
            }
            Happening::ToMember { session, message } => self.to_member(session, message),
            Happening::ToAgent {
                session,
                term,
                message,
            } => {
                if self.links.get(&session).is_some_and(|link| link.open) {
                    self.agent_hears(session, term, message);
                }
            }
            Happening::LinkDown { session } => self.cut_link(session),
            Happening::Call(call) => self.deliver_call(*call),
            Happening::Reply { request, reply } => self.framework_answered(request, reply),
            Happening::Event { session, event } => self.framework_hears(session, &event),
            Happening::StreamEnd { session } => self.stream_ended(session),
            Happening::FrameworkActs(framework) => self.framework_acts(framework),
            Happening::AgentActs(agent) => self.agent_acts(agent),
            Happening::Trouble => self.trouble(),
        }
    }

    /// Steps a member's leader and carries out what it asks for, as its shell would.
    fn step(&mut self, member: usize, input: Input) {
        self.note(|| format!("member {member} <- {input:?}"));
        let mut out = Effects::new();
        let now = Millis(self.now);
        let Member {
            leader, registry, ..
        } = &mut self.members[member];
        leader.step(registry, now, input, &mut out);
        let (term, life) = (self.members[member].term, self.members[member].life);
        let told = checks::tasks_told(&out);
        for effect in out {
            self.note(|| format!("member {member} -> {effect:?}"));
            match effect {
                Effect::Propose { proposal, entry } => self.propose(member, proposal, entry),
                Effect::Reply { request, reply } => self.reply(request, reply, &told),
                Effect::Event { session, event } => {
                    self.send_on_stream(session, Happening::Event { session, event });
                }
                Effect::Close(session) => {
                    self.send_on_stream(session, Happening::StreamEnd { session });
                }
                Effect::ToAgent { session, message } => {
                    self.send_on_link(
                        session,
                        0,
                        Happening::ToAgent {
                            session,
                            term,
                            message,
                        },
                    );
                }
                Effect::CloseAgent(session) => {
                    self.send_on_link(session, 0, Happening::LinkDown { session });
                }
                Effect::Wake { at, key } => {
                    self.at_ms(at.0, Happening::Timer { member, life, key });
                }
                Effect::Log { .. } => {}
            }
        }
        self.check_step(member);
    }

    /// A message arrives some time later, but never before an earlier one.
    fn send_on_link(&mut self, session: AgentSessionId, direction: usize, what: Happening) {
        let delay = self.rng.delay_ms(self.quiet);
        let at = self.now + delay;
        let Some(link) = self.links.get_mut(&session).filter(|link| link.open) else {
            return;
        };
        link.arrives[direction] = link.arrives[direction].max(at);
        let at = link.arrives[direction];
        self.at_ms(at, what);
    }

    fn send_on_stream(&mut self, session: SessionId, what: Happening) {
        let at = self.now + self.rng.delay_ms(self.quiet);
        let Some(stream) = self.streams.get_mut(&session).filter(|stream| stream.open) else {
            return;
        };
        stream.arrives = stream.arrives.max(at);
        let at = stream.arrives;
        self.at_ms(at, what);
    }

    fn reply(&mut self, request: RequestId, reply: Reply, told: &BTreeSet<String>) {
        let known = self
            .requests
            .get_mut(&request)
            .expect("only requests are answered");
        known.answers += 1;
        assert_eq!(
            known.answers, 1,
            "request {request:?} is answered twice: {reply:?}"
        );
        self.check_reply(request, &reply, told);
        // The answer to SUBSCRIBE is the stream itself and keeps its order.
        if let Reply::Stream(session) = reply {
            self.send_on_stream(session, Happening::Reply { request, reply });
        } else {
            let delay = self.rng.delay_ms(self.quiet);
            self.in_ms(delay, Happening::Reply { request, reply });
        }
    }

    fn deliver_call(&mut self, call: Call) {
        let Call {
            member,
            request,
            caller,
            what,
        } = call;
        if self.requests[&request].dead {
            return;
        }
        if !self.members[member].alive {
            if let Some(request) = self.requests.get_mut(&request) {
                request.dead = true;
            }
            let reply = Reply::Unavailable("dead".to_owned());
            return self.in_ms(1, Happening::Reply { request, reply });
        }
        let input = match what {
            What::Subscribe {
                session,
                subscribe,
                id,
            } => Input::Subscribe {
                request,
                caller,
                session,
                stream_id: format!("stream-{}", session.0),
                framework_id: id,
                subscribe,
            },
            What::Call(call) => Input::Call {
                request,
                caller,
                call,
            },
        };
        self.step(member, input);
    }

    /// An agent's message arrives at the other end of its link.
    fn to_member(&mut self, session: AgentSessionId, message: from_agent::Message) {
        let Some(link) = self.links.get(&session).filter(|link| link.open) else {
            return;
        };
        let member = link.member;
        if self.members[member].leader.leads() {
            self.step(member, Input::AgentMessage { session, message });
        }
    }

    fn open_link(&mut self, agent: usize, member: usize) {
        let session = AgentSessionId(self.fresh());
        let link = Link {
            agent,
            member,
            open: true,
            arrives: [0, 0],
        };
        self.links.insert(session, link);
        self.agents[agent].links.insert(member, session);
        self.introduce(session);
    }

    fn introduce(&mut self, session: AgentSessionId) {
        let link = &self.links[&session];
        let (member, agent) = (link.member, &self.agents[link.agent]);
        if self.members[member].leader.leads() {
            let hello = Hello {
                agent_id: agent.id.clone(),
                hostname: agent.hostname.clone(),
                highest_term: agent.fence,
                cluster_id: String::new(),
            };
            self.step(member, Input::AgentConnected { session, hello });
        }
    }

    fn cut_link(&mut self, session: AgentSessionId) {
        let Some(link) = self.links.get_mut(&session).filter(|link| link.open) else {
            return;
        };
        link.open = false;
        let (member, agent) = (link.member, link.agent);
        self.links.remove(&session);
        self.agents[agent].link_down(session);
        if self.members[member].alive && self.members[member].leader.leads() {
            self.step(member, Input::AgentDisconnected(session));
        }
    }

    fn links_of(&self, which: impl Fn(&Link) -> bool) -> Vec<AgentSessionId> {
        self.links
            .iter()
            .filter(|(_, link)| which(link))
            .map(|(id, _)| *id)
            .collect()
    }

    /// What goes wrong, and comes back later.
    fn trouble(&mut self) {
        if self.quiet {
            return;
        }
        match self.rng.below(10) {
            0 | 1 => self.change_leader(),
            2 => self.crash_leader(),
            3 => self.crash_some_member(),
            4 | 5 => {
                let links: Vec<_> = self.links.keys().copied().collect();
                if let Some(session) = self.rng.pick(&links).copied() {
                    self.cut_link(session);
                }
            }
            6 => {
                let agent = self.rng.below(self.agents.len() as u64) as usize;
                self.crash_agent(agent);
            }
            7 => {
                let sessions: Vec<_> = self.streams.keys().copied().collect();
                if let Some(session) = self.rng.pick(&sessions).copied() {
                    self.break_stream(session);
                }
            }
            _ => {}
        }
        let delay = self.rng.between(100, 2_500);
        self.in_ms(delay, Happening::Trouble);
    }

    /// Nothing goes wrong any more.
    fn calm_down(&mut self) {
        self.note(|| "--- quiet ---".to_owned());
        self.quiet = true;
        for member in 0..self.members.len() {
            if !self.members[member].alive {
                self.restart_member(member);
            }
        }
        if self.current.is_none() {
            self.elect(0);
        }
    }
}
