//! What the shell tells the leader: the complete list of things that can happen to it.

use std::collections::BTreeMap;

use caprock_model::Millis;
use caprock_proto::caprock::{registry::Entry, session};
use caprock_proto::mesos::v1::{MasterInfo, Offer, master, scheduler};
use caprock_registry::{LogIndex, Outcome};

/// Raft term of a leadership; every leadership has a new one.
pub type Term = u64;

/// A request of one scheduler or operator that waits for a [`crate::Effect::Reply`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct RequestId(pub u64);

/// One event stream of a scheduler (one accepted SUBSCRIBE request).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct SessionId(pub u64);

/// One gRPC stream of an agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct AgentSessionId(pub u64);

/// A command on its way through the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ProposalId(pub u64);

/// What the leader asked to be woken for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum TimerKey {
    /// Run the allocator on what changed.
    Allocate,
    /// Run the allocator over everything (the allocation interval).
    AllocateAll,
    /// Send HEARTBEAT on one stream.
    Heartbeat(SessionId),
    /// A disconnected framework's failover deadline.
    FrameworkDeadline(String),
    /// An offer's `--offer-timeout`.
    OfferExpiry(String),
    /// Ping the attached agents and count the misses.
    PingAgents,
    /// An agent that has not attached since the election or since it disconnected.
    AgentDeadline(String),
    /// The removal rate limit lets the next missing agent go.
    GiveUpAgent,
    /// Try again to write status updates that the log refused.
    FlushUpdates,
    /// Filters that run out.
    ExpireFilters,
}

/// Who sends a scheduler call, as the HTTP shell knows it.
#[derive(Debug, Clone, Default)]
pub struct Caller {
    /// Authenticated principal, if authentication is on.
    pub principal: Option<String>,
    /// The `Mesos-Stream-Id` header of the request.
    pub stream_id: Option<String>,
    /// The leadership that the call is meant for; none: whichever.
    pub term: Option<Term>,
    /// The same for every attempt to get one call through; chosen by its sender.
    pub idempotency_key: Option<String>,
    /// A SUBSCRIBE of a gateway that goes on with a stream: it ends no other.
    pub resumes: bool,
    /// Offers of former leaders that the call names, as a gateway has seen them.
    pub vouched: Vec<Offer>,
    /// Operations of an ACCEPT that the framework may not ask for, and why, by their place.
    pub denied_operations: BTreeMap<usize, String>,
}

/// One input of [`crate::Leader::step`].
#[expect(
    clippy::large_enum_variant,
    reason = "inputs are moved once, from shell to step"
)]
#[derive(Debug)]
pub enum Input {
    /// This member leads `term` and has applied everything before it.
    Elected {
        term: Term,
        /// Fresh for this leadership: id (random), address, hostname, version.
        master: MasterInfo,
    },
    /// This member does not lead any more (or cannot prove it): all sessions end.
    Deposed,
    /// A SUBSCRIBE call. The shell has chosen the session and its stream id, and
    /// answers 200 with the stream only when told so by [`crate::Reply::Stream`].
    Subscribe {
        request: RequestId,
        caller: Caller,
        session: SessionId,
        /// Random UUID in text form.
        stream_id: String,
        framework_id: Option<String>,
        subscribe: scheduler::call::Subscribe,
    },
    /// Any other scheduler call, decoded and with its required fields present.
    Call {
        request: RequestId,
        caller: Caller,
        call: scheduler::Call,
    },
    /// The scheduler closed its stream, or was cut off.
    SessionClosed(SessionId),
    /// A call of the operator API that changes something. The shell has checked that the
    /// part that its type needs is there, and that the principal may.
    Operator {
        request: RequestId,
        principal: Option<String>,
        call: Box<master::Call>,
    },
    /// An agent opened a session stream with this master.
    AgentConnected {
        session: AgentSessionId,
        hello: session::Hello,
    },
    /// A message on such a stream.
    AgentMessage {
        session: AgentSessionId,
        message: session::from_agent::Message,
    },
    /// The stream ended.
    AgentDisconnected(AgentSessionId),
    /// A proposal ended.
    Applied {
        proposal: ProposalId,
        result: Result<Applied, ProposalFailure>,
    },
    /// The time that a [`crate::Effect::Wake`] asked for has come.
    Timer(TimerKey),
}

/// A proposal that was committed and applied.
#[derive(Debug, Clone)]
pub struct Applied {
    pub index: LogIndex,
    pub outcome: Outcome,
}

/// A proposal that this leader does not know to be applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProposalFailure {
    /// Certainly not in the log: too many proposals at once, or not the leader.
    Refused,
    /// It may or may not become applied (leadership lost, deadline passed).
    Unknown,
}

/// A command for the log as the leader makes it.
pub type ProposedEntry = Entry;

/// Wall-clock time that the shell stamps on each step.
pub type Now = Millis;
