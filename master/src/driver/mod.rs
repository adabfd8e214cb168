//! The loop that owns the leader's brain: feeds it what happens, carries out what it asks.
//!
//! ```text
//!   http ──► DriverHandle ──┐                        ┌──► proposer ──► raft-store
//!   grpc ──► (commands) ────┼──► event_loop ─ step ──┼──► sessions ──► scheduler streams
//!   timers, applied ────────┘        │               └──► agents ────► agent streams
//!                                    └──► published view (before the effects)
//! ```

mod agents;
mod event_loop;
mod proposer;
mod sessions;
mod timers;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use caprock_leader::{AgentSessionId, Caller, Reply};
use caprock_proto::caprock::session::{Hello, from_agent};
use caprock_proto::mesos::v1::{master, scheduler};
use tokio::sync::{mpsc, oneshot};

pub use agents::AgentStream;
pub use event_loop::{Driver, DriverSettings};
pub use sessions::{Answer, EventStream};

/// Commands that wait for the driver; senders wait when there are more.
const COMMAND_QUEUE: usize = 4_096;

/// Text of 503 when nobody leads (Mesos: src/master/http.cpp `redirect`).
pub const NO_LEADER: &str = "No leader elected";

/// What the shell asks of the driver.
#[derive(Debug)]
pub(crate) enum Command {
    Subscribe {
        caller: Caller,
        framework_id: Option<String>,
        subscribe: Box<scheduler::call::Subscribe>,
        answer: oneshot::Sender<Answer>,
    },
    Call {
        caller: Caller,
        call: Box<scheduler::Call>,
        answer: oneshot::Sender<Answer>,
    },
    Operator {
        principal: Option<String>,
        call: Box<master::Call>,
        answer: oneshot::Sender<Answer>,
    },
    AgentOpened {
        session: AgentSessionId,
        stream: AgentStream,
    },
    AgentMessage {
        session: AgentSessionId,
        message: Box<from_agent::Message>,
    },
    AgentClosed(AgentSessionId),
}

/// Speaks to the driver from the tasks of HTTP and gRPC requests.
#[derive(Debug, Clone)]
pub struct DriverHandle {
    commands: mpsc::Sender<Command>,
    agent_sessions: Arc<AtomicU64>,
}

impl DriverHandle {
    pub(crate) fn new() -> (Self, mpsc::Receiver<Command>) {
        let (commands, queue) = mpsc::channel(COMMAND_QUEUE);
        (
            Self {
                commands,
                agent_sessions: Arc::new(AtomicU64::new(1)),
            },
            queue,
        )
    }

    /// A SUBSCRIBE call; the answer is a stream, or why there is none.
    pub async fn subscribe(
        &self,
        caller: Caller,
        framework_id: Option<String>,
        subscribe: scheduler::call::Subscribe,
    ) -> Answer {
        let subscribe = Box::new(subscribe);
        self.ask(|answer| Command::Subscribe {
            caller,
            framework_id,
            subscribe,
            answer,
        })
        .await
    }

    /// Any other scheduler call.
    pub async fn call(&self, caller: Caller, call: scheduler::Call) -> Answer {
        let call = Box::new(call);
        self.ask(|answer| Command::Call {
            caller,
            call,
            answer,
        })
        .await
    }

    /// An operator's call that changes something.
    pub async fn operator(&self, principal: Option<String>, call: master::Call) -> Answer {
        let call = Box::new(call);
        self.ask(|answer| Command::Operator {
            principal,
            call,
            answer,
        })
        .await
    }

    /// An agent opened a stream; the number identifies it from now on.
    pub async fn agent_opened(
        &self,
        hello: Hello,
        orders: mpsc::Sender<caprock_proto::caprock::session::FromMaster>,
    ) -> Option<(AgentSessionId, oneshot::Receiver<()>)> {
        let session = AgentSessionId(self.agent_sessions.fetch_add(1, Ordering::Relaxed));
        let (alive, ended) = oneshot::channel();
        let stream = AgentStream {
            hello,
            orders,
            alive,
        };
        self.commands
            .send(Command::AgentOpened { session, stream })
            .await
            .ok()?;
        Some((session, ended))
    }

    /// An agent sent a message; false if the driver has ended.
    pub async fn agent_message(
        &self,
        session: AgentSessionId,
        message: from_agent::Message,
    ) -> bool {
        let message = Box::new(message);
        self.commands
            .send(Command::AgentMessage { session, message })
            .await
            .is_ok()
    }

    /// An agent's stream ended.
    pub async fn agent_closed(&self, session: AgentSessionId) {
        if self
            .commands
            .send(Command::AgentClosed(session))
            .await
            .is_err()
        {
            tracing::debug!(?session, "agent stream ended after the driver");
        }
    }

    /// Commands that wait for the driver now.
    pub fn queue_length(&self) -> usize {
        self.commands.max_capacity() - self.commands.capacity()
    }

    async fn ask(&self, command: impl FnOnce(oneshot::Sender<Answer>) -> Command) -> Answer {
        let (answer, receiver) = oneshot::channel();
        let gone = || Answer::Reply(Reply::Unavailable(NO_LEADER.to_owned()));
        if self.commands.send(command(answer)).await.is_err() {
            return gone();
        }
        receiver.await.unwrap_or_else(|_| gone())
    }
}
