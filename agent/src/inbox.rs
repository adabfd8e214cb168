//! The way into the driver: everything that happens to the agent is put here.

use std::sync::Arc;

use caprock_agent_core::view::AgentView;
use caprock_agent_core::{Input, LinkId, Reply};
use caprock_proto::MediaType;
use caprock_proto::mesos::v1::executor::Call;
use tokio::sync::{mpsc, oneshot};

use crate::master_link::Outbox;

/// Inputs that wait while the driver is busy; whoever brings one more waits too.
const CAPACITY: usize = 4096;

/// What the driver takes in.
#[derive(Debug)]
pub enum Message {
    /// Something happened. Boxed: messages of masters are large, and the queue is long.
    Input(Box<Input>),
    /// A master can be reached.
    LinkUp { link: LinkId, outbox: Outbox },
    /// It cannot any more.
    LinkDown(LinkId),
    /// An executor's call; with a stream if it is SUBSCRIBE.
    Call(Box<PendingCall>),
    /// A reader wants to see the agent as it is now.
    View(oneshot::Sender<Arc<AgentView>>),
    /// SIGTERM: stop, and leave the containers alone.
    Stop,
}

/// A call that waits for its answer.
#[derive(Debug)]
pub struct PendingCall {
    pub call: Call,
    pub stream: Option<EventStream>,
    pub reply: oneshot::Sender<Reply>,
}

/// Where the events for an executor go.
#[derive(Debug)]
pub struct EventStream {
    pub media: MediaType,
    pub sender: caprock_http::stream::Sender,
}

/// A handle; cheap to clone.
#[derive(Debug, Clone)]
pub struct Inbox {
    sender: mpsc::Sender<Message>,
}

impl Inbox {
    /// The handle and the driver's end.
    pub fn new() -> (Self, mpsc::Receiver<Message>) {
        let (sender, receiver) = mpsc::channel(CAPACITY);
        (Self { sender }, receiver)
    }

    /// Brings an input.
    pub fn input(&self, input: Input) -> impl Future<Output = ()> + Send + '_ {
        self.send(Message::Input(Box::new(input)))
    }

    /// A session with a master begins.
    pub async fn link_up(&self, link: LinkId, outbox: Outbox) {
        self.send(Message::LinkUp { link, outbox }).await;
    }

    /// It is over.
    pub async fn link_down(&self, link: LinkId) {
        self.send(Message::LinkDown(link)).await;
    }

    /// Asks the driver to stop.
    pub async fn stop(&self) {
        self.send(Message::Stop).await;
    }

    /// Brings a call and waits for the answer; `None` while the process is ending.
    pub fn call(
        &self,
        call: Call,
        stream: Option<EventStream>,
    ) -> impl Future<Output = Option<Reply>> + Send + '_ {
        let (reply, answer) = oneshot::channel();
        let pending = PendingCall {
            call,
            stream,
            reply,
        };
        let sent = self.send(Message::Call(Box::new(pending)));
        async move {
            sent.await;
            answer.await.ok()
        }
    }

    /// The agent as it is after the steps so far; `None` while the process is ending.
    pub async fn view(&self) -> Option<Arc<AgentView>> {
        let (sender, view) = oneshot::channel();
        self.send(Message::View(sender)).await;
        view.await.ok()
    }

    async fn send(&self, message: Message) {
        // When the driver has ended there is nobody left to tell.
        let _ = self.sender.send(message).await;
    }
}
