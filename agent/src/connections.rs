//! The executors' side of the driver: calls that wait for their answer, and open event
//! streams.

use std::collections::BTreeMap;

use bytes::Bytes;
use caprock_agent_core::{ConnectionId, Input, Reply, RequestId};
use caprock_http::stream;
use caprock_model::{ExecutorId, FrameworkId};
use caprock_proto::MediaType;
use caprock_proto::mesos::v1::executor::Event;
use caprock_proto::mesos::v1::executor::call::Type;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::oneshot;

use crate::inbox::{EventStream, Inbox, PendingCall};

/// Requests and streams by the ids under which the brain knows them.
#[derive(Debug)]
pub struct Connections {
    inbox: Inbox,
    last_id: u64,
    requests: BTreeMap<RequestId, oneshot::Sender<Reply>>,
    streams: BTreeMap<ConnectionId, Open>,
}

#[derive(Debug)]
struct Open {
    stream: EventStream,
    /// Dropped with the stream; ends the task that waits for the executor to go.
    _watched: oneshot::Sender<()>,
}

impl Connections {
    /// None yet.
    pub fn new(inbox: Inbox) -> Self {
        Self {
            inbox,
            last_id: 0,
            requests: BTreeMap::new(),
            streams: BTreeMap::new(),
        }
    }

    /// Gives a call its ids.
    pub fn admit(&mut self, pending: PendingCall) -> Input {
        self.last_id += 1;
        let request = RequestId(self.last_id);
        self.requests.insert(request, pending.reply);
        let call = pending.call;
        let Some(stream) = pending.stream.filter(|_| call.r#type() == Type::Subscribe) else {
            return Input::Call { request, call };
        };
        let connection = ConnectionId(self.last_id);
        self.open(connection, stream);
        Input::Subscribe {
            request,
            connection,
            framework_id: FrameworkId::from(&call.framework_id),
            executor_id: ExecutorId::from(&call.executor_id),
            subscribe: call.subscribe.unwrap_or_default(),
        }
    }

    fn open(&mut self, connection: ConnectionId, stream: EventStream) {
        let (watched, forgotten) = oneshot::channel();
        let (sender, inbox) = (stream.sender.clone(), self.inbox.clone());
        tokio::spawn(async move {
            tokio::select! {
                () = sender.closed() => inbox.input(Input::ConnectionClosed(connection)).await,
                _ = forgotten => {}
            }
        });
        self.streams.insert(
            connection,
            Open {
                stream,
                _watched: watched,
            },
        );
    }

    /// Answers a call. A stream that the answer does not open is forgotten.
    pub fn reply(&mut self, request: RequestId, reply: Reply) {
        let connection = ConnectionId(request.0);
        if reply != Reply::Stream(connection) {
            self.streams.remove(&connection);
        }
        if let Some(waiting) = self.requests.remove(&request) {
            // An executor that has gone closes its stream, too.
            let _ = waiting.send(reply);
        }
    }

    /// Sends an event to an executor. One that does not read loses its connection, not
    /// single events.
    pub fn event(&mut self, connection: ConnectionId, event: &Event) {
        let Some(open) = self.streams.get(&connection) else {
            return;
        };
        let record = encode(open.stream.media, event);
        match open.stream.sender.try_send(record) {
            Ok(()) | Err(TrySendError::Closed(_)) => {}
            Err(TrySendError::Full(_)) => {
                tracing::warn!("an executor does not read its events: closing its connection");
                self.streams.remove(&connection);
                let inbox = self.inbox.clone();
                tokio::spawn(async move { inbox.input(Input::ConnectionClosed(connection)).await });
            }
        }
    }

    /// Ends a stream after what was sent.
    pub fn forget(&mut self, connection: ConnectionId) {
        self.streams.remove(&connection);
    }
}

fn encode(media: MediaType, event: &Event) -> Bytes {
    let mut record = Vec::new();
    caprock_proto::encode(media, event, &mut record);
    stream::frame(&record)
}
