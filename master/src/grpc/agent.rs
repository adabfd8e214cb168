//! Sessions of agents. Every master takes them; only the leader's carry orders, the others
//! stay warm so that the next leader can announce itself at once.

use std::pin::Pin;
use std::sync::Arc;

use caprock_leader::AgentSessionId;
use caprock_proto::caprock::session::agent_session_server::AgentSession;
use caprock_proto::caprock::session::{FromAgent, FromMaster, from_agent};
use futures::Stream;
use futures::StreamExt;
use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use crate::context::Master;

/// Orders that an agent has not taken; beyond it its stream is cut off.
const ORDER_BUFFER: usize = 4_096;

/// Serves `caprock.session.AgentSession`.
#[derive(Debug, Clone)]
pub struct AgentService {
    master: Arc<Master>,
}

impl AgentService {
    /// The service of this master.
    pub fn new(master: Arc<Master>) -> Self {
        Self { master }
    }
}

#[tonic::async_trait]
impl AgentSession for AgentService {
    type OpenStream = Pin<Box<dyn Stream<Item = Result<FromMaster, Status>> + Send>>;

    async fn open(
        &self,
        request: Request<Streaming<FromAgent>>,
    ) -> Result<Response<Self::OpenStream>, Status> {
        let mut from_agent = request.into_inner();
        let first = from_agent.message().await?.and_then(|first| first.message);
        let Some(from_agent::Message::Hello(hello)) = first else {
            return Err(Status::invalid_argument(
                "the first message has to be Hello",
            ));
        };
        let (orders, outgoing) = mpsc::channel(ORDER_BUFFER);
        let opened = self.master.driver.agent_opened(hello, orders).await;
        let Some((session, ended)) = opened else {
            return Err(Status::unavailable("this master is stopping"));
        };
        tokio::spawn(read(Arc::clone(&self.master), session, ended, from_agent));
        Ok(Response::new(Box::pin(
            ReceiverStream::new(outgoing).map(Ok),
        )))
    }
}

/// Passes on what the agent sends until either side ends the stream.
async fn read(
    master: Arc<Master>,
    session: AgentSessionId,
    mut ended: oneshot::Receiver<()>,
    mut from_agent: Streaming<FromAgent>,
) {
    loop {
        let received = tokio::select! {
            _ = &mut ended => return,
            received = from_agent.message() => received,
        };
        match received {
            Ok(Some(FromAgent {
                message: Some(message),
            })) => {
                count(&master, &message);
                if !master.driver.agent_message(session, message).await {
                    return;
                }
            }
            // A message of a newer agent that this master does not know.
            Ok(Some(FromAgent { message: None })) => {}
            Ok(None) => break,
            Err(status) => {
                tracing::debug!(?session, %status, "agent stream broke");
                break;
            }
        }
    }
    master.driver.agent_closed(session).await;
}

/// Mesos' counter of a message (Mesos: src/master/metrics.cpp).
fn count(master: &Master, message: &from_agent::Message) {
    let metric = match message {
        from_agent::Message::Attach(attach) if attach.agent_id.is_empty() => {
            "master/messages_register_slave"
        }
        from_agent::Message::Attach(_) => "master/messages_reregister_slave",
        from_agent::Message::Update(_) => "master/messages_status_update",
        from_agent::Message::ExecutorMessage(_) => "master/messages_executor_to_framework",
        from_agent::Message::ExecutorExited(_) => "master/messages_exited_executor",
        from_agent::Message::Unregister(_) => "master/messages_unregister_slave",
        from_agent::Message::OperationUpdate(_) => "master/messages_operation_status_update",
        _ => return,
    };
    master.requests.received(metric);
}
