//! The session with one master: connects, keeps connected, passes messages both ways. Every
//! master has a link, not only the leader, so that a new leader can speak up at once.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use caprock_agent_core::{Input, LinkId};
use caprock_proto::caprock::session::agent_session_client::AgentSessionClient;
use caprock_proto::caprock::session::{FromAgent, FromMaster};
use rand::Rng;
use tokio::sync::{mpsc, oneshot};
use tokio_stream::Stream;
use tonic::Streaming;
use tonic::transport::{Channel, Endpoint};

use crate::inbox::Inbox;

/// Messages that wait for a slow connection; when there are more it is given up.
const QUEUE_CAPACITY: usize = 8192;
const BACKOFF_MIN: Duration = Duration::from_millis(50);
const BACKOFF_MAX: Duration = Duration::from_secs(1);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(5);
/// From the last message handed to the connection until it is on the wire.
const FLUSH_TIME: Duration = Duration::from_millis(100);
/// A re-attaching agent reports all of its tasks in one message.
const MESSAGE_MAX_BYTES: usize = 256 * 1024 * 1024;

/// Where messages for a master go while its link is up.
pub type Outbox = mpsc::Sender<FromAgent>;

/// Keeps the link to one master for as long as the process lives.
pub async fn run(link: LinkId, address: String, inbox: Inbox) {
    let mut backoff = BACKOFF_MIN;
    loop {
        match session(link, &address, &inbox).await {
            Ok(true) => backoff = BACKOFF_MIN,
            Ok(false) => {}
            Err(error) => tracing::debug!(%address, "no session with the master: {error:#}"),
        }
        let pause = rand::rng().random_range(backoff / 2..=backoff);
        tokio::time::sleep(pause).await;
        backoff = (backoff * 2).min(BACKOFF_MAX);
    }
}

/// One session; says whether the master spoke in it.
async fn session(link: LinkId, address: &str, inbox: &Inbox) -> anyhow::Result<bool> {
    let channel = connect(address).await?;
    let (outbox, messages) = mpsc::channel(QUEUE_CAPACITY);
    // Up before the call: a master may answer the call only after it has heard Hello.
    inbox.link_up(link, outbox).await;
    let outcome = Box::pin(converse(channel, messages, link, inbox)).await;
    inbox.link_down(link).await;
    outcome
}

async fn connect(address: &str) -> anyhow::Result<Channel> {
    let endpoint = Endpoint::from_shared(format!("http://{address}"))?
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT)
        .keep_alive_while_idle(true);
    Ok(endpoint.connect().await?)
}

async fn converse(
    channel: Channel,
    messages: mpsc::Receiver<FromAgent>,
    link: LinkId,
    inbox: &Inbox,
) -> anyhow::Result<bool> {
    let mut client = AgentSessionClient::new(channel)
        .max_decoding_message_size(MESSAGE_MAX_BYTES)
        .max_encoding_message_size(MESSAGE_MAX_BYTES);
    let (outgoing, sent) = Outgoing::new(messages);
    let mut incoming: Streaming<FromMaster> = client.open(outgoing).await?.into_inner();
    let farewell = async {
        // Fails only if the stream was dropped unread: then the connection is dead anyway.
        let _ = sent.await;
        tokio::time::sleep(FLUSH_TIME).await;
    };
    tokio::pin!(farewell);
    let mut spoke = false;
    loop {
        tokio::select! {
            received = incoming.message() => match received? {
                Some(message) => {
                    spoke = true;
                    inbox.input(Input::Master { link, message }).await;
                }
                None => return Ok(spoke),
            },
            () = &mut farewell => return Ok(spoke),
        }
    }
}

/// The messages for a master, and word of their end: a session that the agent ends is over
/// when all is sent, whether the master ends its side or not.
struct Outgoing {
    messages: mpsc::Receiver<FromAgent>,
    sent: Option<oneshot::Sender<()>>,
}

impl Outgoing {
    fn new(messages: mpsc::Receiver<FromAgent>) -> (Self, oneshot::Receiver<()>) {
        let (sender, sent) = oneshot::channel();
        (
            Self {
                messages,
                sent: Some(sender),
            },
            sent,
        )
    }
}

impl Stream for Outgoing {
    type Item = FromAgent;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<FromAgent>> {
        let next = std::task::ready!(self.messages.poll_recv(context));
        if next.is_none()
            && let Some(sent) = self.sent.take()
        {
            // The session may be over already.
            let _ = sent.send(());
        }
        Poll::Ready(next)
    }
}
