//! What the leader knows of agents beyond the registry: their streams, whether they are
//! attached, and which of their resources are on their way through the log.

use std::collections::BTreeMap;
use std::sync::Arc;

use caprock_model::{AgentId, Millis, Resources};
use caprock_proto::caprock::session::{Attach, Hello, Standing, from_agent, from_master};
use caprock_registry::{Agent, Map, Operation, OperationUuid, Registry};
use rpds::RedBlackTreeMapSync;

use crate::input::{AgentSessionId, ProposalId};
use crate::liveness::Pulse;
use crate::metrics;
use crate::office::Office;
use crate::turn::Turn;

/// Where an agent stands with this leader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Presence {
    /// Known from the log, but it has not attached in this leadership.
    Recovered,
    /// It takes orders on this stream.
    Attached(AgentSessionId),
    /// Its stream broke.
    Disconnected {
        since: Millis,
        /// Whether the tasks of frameworks without checkpoints have been given up.
        written_off: bool,
    },
}

/// One agent of the registry.
#[derive(Debug)]
pub(crate) struct Peer {
    pub presence: Presence,
    pub pulse: Pulse,
    /// Resources of launches that are on their way through the log.
    pub holds: BTreeMap<ProposalId, Resources>,
    /// Its removal or unreachability is on its way through the log.
    pub departing: bool,
    /// Its attachment is on its way through the log, for this stream.
    pub attaching: Option<AgentSessionId>,
    /// How many attachments are on their way, those of streams that ended included.
    pub attachments: u32,
    /// An Attach that came while it was departing.
    pub deferred: Option<(AgentSessionId, Box<Attach>)>,
    /// The operations on it when its removal was decided.
    pub leaving_operations: Map<OperationUuid, Arc<Operation>>,
}

impl Peer {
    fn new() -> Self {
        Self {
            presence: Presence::Recovered,
            pulse: Pulse::default(),
            holds: BTreeMap::new(),
            departing: false,
            attaching: None,
            attachments: 0,
            deferred: None,
            leaving_operations: Map::new_sync(),
        }
    }
}

/// One open stream.
#[derive(Debug, Default)]
struct Link {
    /// The agent that attached, or is attaching, on it.
    agent: Option<AgentId>,
}

/// All agents and their streams.
#[derive(Debug, Default)]
pub(crate) struct Agents {
    peers: BTreeMap<AgentId, Peer>,
    links: BTreeMap<AgentSessionId, Link>,
    /// Index over the registry's agents, so that a first registration need not look at all.
    by_address: BTreeMap<String, AgentId>,
    /// First registrations on their way through the log, with the stream that asked last.
    pub admitting: BTreeMap<String, (AgentSessionId, Box<Attach>)>,
    connected: RedBlackTreeMapSync<AgentId, ()>,
}

impl Agents {
    /// Takes up the agents of the registry.
    pub fn recover(&mut self, registry: &Registry) {
        for agent in registry.agents() {
            self.index(agent);
            if agent.is_reachable() {
                self.peers.insert(agent.id.clone(), Peer::new());
            }
        }
    }

    /// Makes an agent findable by what it said of itself.
    pub fn index(&mut self, agent: &Agent) {
        self.by_address
            .insert(agent.address.to_string(), agent.id.clone());
    }

    pub fn by_address(&self, address: &str) -> Option<&AgentId> {
        self.by_address.get(address)
    }

    pub fn peer(&self, agent: &AgentId) -> Option<&Peer> {
        self.peers.get(agent)
    }

    pub fn peer_mut(&mut self, agent: &AgentId) -> Option<&mut Peer> {
        self.peers.get_mut(agent)
    }

    pub fn peer_or_new(&mut self, agent: &AgentId) -> &mut Peer {
        self.peers.entry(agent.clone()).or_insert_with(Peer::new)
    }

    pub fn peers(&self) -> impl Iterator<Item = (&AgentId, &Peer)> {
        self.peers.iter()
    }

    pub fn peers_mut(&mut self) -> impl Iterator<Item = (&AgentId, &mut Peer)> {
        self.peers.iter_mut()
    }

    pub fn links(&self) -> impl Iterator<Item = (AgentSessionId, Option<&AgentId>)> {
        self.links
            .iter()
            .map(|(session, link)| (*session, link.agent.as_ref()))
    }

    pub fn is_linked(&self, session: AgentSessionId) -> bool {
        self.links.contains_key(&session)
    }

    pub fn open(&mut self, session: AgentSessionId) {
        self.links.entry(session).or_default();
    }

    /// Forgets a stream; the agent that was on it.
    pub fn close(&mut self, session: AgentSessionId) -> Option<AgentId> {
        self.links.remove(&session)?.agent
    }

    /// Says whose stream this is.
    pub fn assign(&mut self, session: AgentSessionId, agent: &AgentId) {
        if let Some(link) = self.links.get_mut(&session) {
            link.agent = Some(agent.clone());
        }
    }

    /// The agent that is attached on this stream.
    pub fn attached_on(&self, session: AgentSessionId) -> Option<&AgentId> {
        let agent = self.links.get(&session)?.agent.as_ref()?;
        let attached = self.peers.get(agent)?.presence == Presence::Attached(session);
        attached.then_some(agent)
    }

    pub fn attached_session(&self, agent: &AgentId) -> Option<AgentSessionId> {
        match self.peers.get(agent)?.presence {
            Presence::Attached(session) => Some(session),
            Presence::Recovered | Presence::Disconnected { .. } => None,
        }
    }

    pub fn set_presence(&mut self, agent: &AgentId, presence: Presence) {
        match presence {
            Presence::Attached(_) => self.connected.insert_mut(agent.clone(), ()),
            Presence::Recovered | Presence::Disconnected { .. } => {
                self.connected.remove_mut(agent);
            }
        }
        self.peer_or_new(agent).presence = presence;
    }

    /// Forgets an agent that left; its stream stays open without it.
    pub fn remove(&mut self, agent: &AgentId) -> Option<Peer> {
        self.connected.remove_mut(agent);
        for link in self.links.values_mut() {
            if link.agent.as_ref() == Some(agent) {
                link.agent = None;
            }
        }
        self.peers.remove(agent)
    }

    pub fn connected(&self) -> &RedBlackTreeMapSync<AgentId, ()> {
        &self.connected
    }

    /// Whether it may be offered: attached, and not about to leave or to be changed.
    pub fn is_active(&self, agent: &AgentId) -> bool {
        self.peers.get(agent).is_some_and(|peer| {
            let attached = matches!(peer.presence, Presence::Attached(_));
            attached && !peer.departing && peer.attachments == 0
        })
    }

    /// Whether it has not attached in this leadership, or is about to, and nothing is known
    /// against it.
    pub fn is_returning(&self, agent: &AgentId) -> bool {
        self.peers.get(agent).is_some_and(|peer| {
            let recovered = peer.presence == Presence::Recovered;
            !peer.departing && (recovered || peer.attaching.is_some())
        })
    }

    /// Whether some agent of the log has not been heard of in this leadership.
    pub fn any_recovered(&self) -> bool {
        self.peers
            .values()
            .any(|peer| peer.presence == Presence::Recovered)
    }

    pub fn contradictions(&self) -> Vec<String> {
        let mut found = Vec::new();
        for (agent, peer) in &self.peers {
            let attached = matches!(peer.presence, Presence::Attached(_));
            if attached != self.connected.contains_key(agent) {
                found.push(format!("agent {agent} is not in the view as it is"));
            }
            if let Presence::Attached(session) = peer.presence
                && self.attached_on(session) != Some(agent)
            {
                found.push(format!(
                    "agent {agent} is attached on a stream that is not its own"
                ));
            }
        }
        found
    }
}

impl Office {
    /// What of an agent may be offered now, in unallocated form. The registry may hold a
    /// launch already whose proposal is still awaited here: it is then subtracted twice for
    /// a moment, which errs on the safe side.
    pub(crate) fn free_on(&self, agent: &Agent) -> Resources {
        let mut free = agent.available();
        for offered in self.offers.offered_of(&agent.id) {
            free -= &offered.unallocated();
        }
        let holds = self.agents.peer(&agent.id).map(|peer| &peer.holds);
        for held in holds.into_iter().flat_map(BTreeMap::values) {
            free -= &held.unallocated();
        }
        free
    }

    /// A stream opened: the agent learns who leads.
    pub(crate) fn agent_connected(
        &mut self,
        turn: &mut Turn<'_>,
        session: AgentSessionId,
        hello: &Hello,
    ) {
        if hello.highest_term > self.term {
            let text = format!(
                "Agent {} at {} has obeyed term {}; this leader's is {}",
                hello.agent_id, hello.hostname, hello.highest_term, self.term
            );
            turn.warn(text);
        }
        self.agents.open(session);
        let address = self.master.address.as_ref();
        let host = address.and_then(|address| address.ip.as_ref().or(address.hostname.as_ref()));
        let leader_address = host.map(|host| format!("{host}:{}", self.master.port));
        let standing = Standing {
            is_leader: true,
            leader_address: leader_address.unwrap_or_default(),
            leader_member_id: self.config.member_id,
            cluster_id: turn.registry.cluster_id().unwrap_or_default().to_owned(),
            ping_timeout_ms: self.ping_timeout_ms(),
        };
        turn.to_agent(session, from_master::Message::Standing(standing));
    }

    /// How long an agent waits for a sign of life.
    pub(crate) fn ping_timeout_ms(&self) -> u32 {
        let each = self.config.agent_ping_timeout.0;
        let all = each.saturating_mul(i64::from(self.config.max_agent_ping_timeouts));
        u32::try_from(all).unwrap_or(u32::MAX)
    }

    pub(crate) fn agent_message(
        &mut self,
        turn: &mut Turn<'_>,
        session: AgentSessionId,
        message: from_agent::Message,
    ) {
        use from_agent::Message;

        let message = match message {
            Message::Hello(hello) => return self.agent_connected(turn, session, &hello),
            Message::Attach(attach) => return self.attach(turn, session, attach),
            Message::Fenced(fenced) => {
                let text = format!(
                    "An agent refused an order of term {}: it has obeyed term {}",
                    fenced.order_term, fenced.highest_term
                );
                return turn.warn(text);
            }
            message => message,
        };
        // What an agent says before it is attached, or on a stream that it has replaced,
        // it says again after it attached.
        let Some(agent) = self.agents.attached_on(session).cloned() else {
            return self.metrics.count(metrics::DROPPED_MESSAGES);
        };
        match message {
            Message::Update(update) => self.status_update(turn, &agent, update),
            Message::ExecutorMessage(message) => self.executor_message(turn, &agent, message),
            Message::ExecutorExited(exited) => self.executor_exited(turn, &agent, &exited),
            Message::Pong(pong) => self.pong(&agent, &pong),
            Message::Unregister(_) => self.unregister(turn, &agent),
            Message::OperationUpdate(update) => self.operation_update(turn, &agent, update),
            Message::Hello(_) | Message::Attach(_) | Message::Fenced(_) => {}
        }
    }

    /// A stream ended. What was offered of the agent is void; its tasks run on.
    pub(crate) fn agent_disconnected(&mut self, turn: &mut Turn<'_>, session: AgentSessionId) {
        let attached = self.agents.attached_on(session).is_some();
        let Some(agent) = self.agents.close(session) else {
            return;
        };
        if let Some(peer) = self.agents.peer_mut(&agent)
            && peer.attaching == Some(session)
        {
            peer.attaching = None;
        }
        if attached {
            turn.info(format!("Agent {agent} disconnected"));
            let presence = Presence::Disconnected {
                since: turn.now,
                written_off: false,
            };
            self.agents.set_presence(&agent, presence);
            self.rescind_offers_on(turn, &agent);
            self.arm_disconnect_deadlines(turn, &agent);
        }
    }
}
