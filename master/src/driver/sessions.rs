//! Open scheduler streams and the requests that wait for an answer.

use std::collections::BTreeMap;
use std::sync::Arc;

use caprock_leader::{Reply, RequestId, SessionId};
use caprock_proto::mesos::v1::scheduler::Event;
use tokio::sync::{mpsc, oneshot};

/// What a waiting HTTP request gets.
#[derive(Debug)]
pub enum Answer {
    /// A status and perhaps a text.
    Reply(Reply),
    /// The event stream of an accepted SUBSCRIBE.
    Stream(EventStream),
}

/// The reading end of a scheduler's stream; dropping it tells the driver that the
/// scheduler has gone.
#[derive(Debug)]
pub struct EventStream {
    /// For the `Mesos-Stream-Id` header.
    pub stream_id: String,
    pub events: mpsc::Receiver<Arc<Event>>,
    guard: SessionGuard,
}

#[derive(Debug)]
struct SessionGuard {
    session: SessionId,
    closed: mpsc::UnboundedSender<SessionId>,
}

impl Drop for SessionGuard {
    fn drop(&mut self) {
        // No receiver: the driver has ended, and with it all sessions.
        let _: Result<(), _> = self.closed.send(self.session);
    }
}

impl EventStream {
    /// The session that this stream belongs to.
    pub fn session(&self) -> SessionId {
        self.guard.session
    }
}

/// Why an event could not be queued.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Undelivered {
    /// The scheduler does not read fast enough: its buffer is full.
    TooSlow,
    /// The scheduler has gone.
    Gone,
    /// There is no such session any more.
    Unknown,
}

struct Waiting {
    answer: oneshot::Sender<Answer>,
    stream: Option<EventStream>,
}

/// All sessions and waiting requests of this leadership.
pub struct Sessions {
    buffer: usize,
    open: BTreeMap<SessionId, mpsc::Sender<Arc<Event>>>,
    waiting: BTreeMap<RequestId, Waiting>,
    closed: mpsc::UnboundedSender<SessionId>,
}

impl Sessions {
    /// `buffer` events are kept per stream; closed sessions are reported on `closed`.
    pub fn new(buffer: usize, closed: mpsc::UnboundedSender<SessionId>) -> Self {
        Self {
            buffer: buffer.max(1),
            open: BTreeMap::new(),
            waiting: BTreeMap::new(),
            closed,
        }
    }

    /// Makes a stream for a SUBSCRIBE that waits for the leader's verdict.
    pub fn open(
        &mut self,
        request: RequestId,
        session: SessionId,
        stream_id: String,
        answer: oneshot::Sender<Answer>,
    ) {
        let (sender, events) = mpsc::channel(self.buffer);
        self.open.insert(session, sender);
        let guard = SessionGuard {
            session,
            closed: self.closed.clone(),
        };
        let stream = Some(EventStream {
            stream_id,
            events,
            guard,
        });
        self.waiting.insert(request, Waiting { answer, stream });
    }

    /// Notes a request that waits for its answer.
    pub fn wait(&mut self, request: RequestId, answer: oneshot::Sender<Answer>) {
        self.waiting.insert(
            request,
            Waiting {
                answer,
                stream: None,
            },
        );
    }

    /// Answers a request. An answer that nobody waits for any more is dropped; if it was
    /// a stream, its guard reports the session as closed.
    pub fn reply(&mut self, request: RequestId, reply: Reply) {
        let Some(Waiting { answer, stream }) = self.waiting.remove(&request) else {
            tracing::warn!(?request, ?reply, "answer to a request that does not wait");
            return;
        };
        let ours = match (&reply, stream) {
            (Reply::Stream(session), Some(stream)) if *session == stream.session() => {
                Answer::Stream(stream)
            }
            _ => Answer::Reply(reply),
        };
        if answer.send(ours).is_err() {
            tracing::debug!(?request, "the client left before its answer");
        }
    }

    /// Queues an event without ever waiting for the scheduler.
    pub fn deliver(&mut self, session: SessionId, event: Arc<Event>) -> Result<(), Undelivered> {
        let Some(sender) = self.open.get(&session) else {
            return Err(Undelivered::Unknown);
        };
        match sender.try_send(event) {
            Ok(()) => Ok(()),
            Err(mpsc::error::TrySendError::Full(_)) => Err(Undelivered::TooSlow),
            Err(mpsc::error::TrySendError::Closed(_)) => Err(Undelivered::Gone),
        }
    }

    /// Ends a stream after what is queued; false if there is none.
    pub fn close(&mut self, session: SessionId) -> bool {
        self.open.remove(&session).is_some()
    }

    /// Ends everything: streams close, requests get `reply`.
    pub fn end_all(&mut self, reply: &Reply) {
        self.open.clear();
        for (_, waiting) in std::mem::take(&mut self.waiting) {
            if waiting.answer.send(Answer::Reply(reply.clone())).is_err() {
                tracing::debug!("a client left before the end of the leadership");
            }
        }
    }

    /// Number of open streams.
    pub fn len(&self) -> usize {
        self.open.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sessions(buffer: usize) -> (Sessions, mpsc::UnboundedReceiver<SessionId>) {
        let (closed, reports) = mpsc::unbounded_channel();
        (Sessions::new(buffer, closed), reports)
    }

    fn open(sessions: &mut Sessions) -> oneshot::Receiver<Answer> {
        let (answer, receiver) = oneshot::channel();
        sessions.open(RequestId(1), SessionId(7), "stream".to_owned(), answer);
        receiver
    }

    #[test]
    fn a_slow_scheduler_fills_its_buffer_and_no_more() {
        let (mut sessions, mut reports) = sessions(2);
        let mut receiver = open(&mut sessions);
        sessions.reply(RequestId(1), Reply::Stream(SessionId(7)));
        let Ok(Answer::Stream(mut stream)) = receiver.try_recv() else {
            panic!("no stream")
        };
        let event = Arc::new(Event::default());
        assert_eq!(sessions.deliver(SessionId(7), event.clone()), Ok(()));
        assert_eq!(sessions.deliver(SessionId(7), event.clone()), Ok(()));
        assert_eq!(
            sessions.deliver(SessionId(7), event.clone()),
            Err(Undelivered::TooSlow)
        );
        assert!(sessions.close(SessionId(7)));
        assert_eq!(
            sessions.deliver(SessionId(7), event),
            Err(Undelivered::Unknown)
        );
        // What was queued before the cut is still delivered, then the stream ends.
        assert!(stream.events.try_recv().is_ok());
        assert!(stream.events.try_recv().is_ok());
        assert_eq!(
            stream.events.try_recv(),
            Err(mpsc::error::TryRecvError::Disconnected)
        );
        drop(stream);
        assert_eq!(reports.try_recv(), Ok(SessionId(7)));
    }

    #[test]
    fn a_client_that_left_closes_its_session() {
        let (mut sessions, mut reports) = sessions(2);
        drop(open(&mut sessions));
        sessions.reply(RequestId(1), Reply::Stream(SessionId(7)));
        assert_eq!(reports.try_recv(), Ok(SessionId(7)));
        assert_eq!(
            sessions.deliver(SessionId(7), Arc::new(Event::default())),
            Err(Undelivered::Gone)
        );
    }

    #[test]
    fn the_end_of_a_leadership_answers_everybody() {
        let (mut sessions, _reports) = sessions(2);
        let mut receiver = open(&mut sessions);
        sessions.end_all(&Reply::Unavailable("No leader elected".to_owned()));
        assert!(matches!(
            receiver.try_recv(),
            Ok(Answer::Reply(Reply::Unavailable(_)))
        ));
        assert_eq!(sessions.len(), 0);
    }
}
