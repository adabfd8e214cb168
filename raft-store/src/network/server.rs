//! Answers the other members.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use caprock_proto::caprock::raft as pb;
use futures::stream::{self, BoxStream};
use futures::{StreamExt, future};
use openraft::errors::Fatal;
use openraft::raft::{
    AppendEntriesRequest, StreamAppendError, StreamAppendResult, TransferLeaderRequest,
    VoteRequest, VoteResponse,
};
use tokio::sync::watch;
use tonic::{Request, Response, Status, Streaming};

use super::snapshot::{receive_snapshot, start_of};
use crate::MemberId;
use crate::convert::{
    ConvertError, entry_from_proto, log_id_from_proto, log_id_to_proto, vote_from_proto,
    vote_to_proto,
};
use crate::hurry::Contact;
use crate::identity::Identity;
use crate::snapshot::{Generation, SnapshotStore};
use crate::state::snapshot_meta;
use crate::types::{Raft, TypeConfig};

type Snapshot = openraft::alias::SnapshotOf<TypeConfig, Arc<Generation>>;

/// The part of the node that knows about formation.
#[tonic::async_trait]
pub(crate) trait AdmitJoin: Send + Sync + 'static {
    fn identify(&self, request: &pb::IdentifyRequest) -> pb::IdentifyResponse;
    async fn join(&self, request: pb::JoinRequest) -> pb::JoinResponse;
}

/// The member-to-member service.
pub(crate) struct Service {
    pub(crate) raft: Raft,
    pub(crate) identity: Arc<Identity>,
    /// Taken away at shutdown, so that the database can be closed while connections linger.
    pub(crate) snapshots: Arc<Mutex<Option<Arc<SnapshotStore>>>>,
    pub(crate) formation: Arc<dyn AdmitJoin>,
    /// Until this member is admitted it must neither vote nor acknowledge.
    pub(crate) admitted: Arc<AtomicBool>,
    pub(crate) contact: Arc<Contact>,
    pub(crate) stopping: watch::Receiver<bool>,
    pub(crate) warned: Throttle,
}

/// Lets one message through per ten seconds.
pub(crate) struct Throttle {
    start: Instant,
    last_ms: AtomicU64,
}

impl Default for Throttle {
    fn default() -> Self {
        Self {
            start: Instant::now(),
            last_ms: AtomicU64::new(0),
        }
    }
}

impl Throttle {
    pub(crate) fn allows(&self) -> bool {
        let now_ms = u64::try_from(self.start.elapsed().as_millis())
            .unwrap_or(u64::MAX)
            .max(1);
        let last_ms = self.last_ms.load(Ordering::Relaxed);
        let quiet = Duration::from_secs(10).as_millis() as u64;
        let due = last_ms == 0 || now_ms - last_ms.min(now_ms) >= quiet;
        due && self
            .last_ms
            .compare_exchange(last_ms, now_ms, Ordering::Relaxed, Ordering::Relaxed)
            .is_ok()
    }
}

fn invalid(error: &ConvertError) -> Status {
    Status::invalid_argument(error.to_string())
}

fn stopped(error: impl std::fmt::Display) -> Status {
    Status::failed_precondition(format!("the member is stopping: {error}"))
}

impl Service {
    /// Checks that the message is for this member, of this cluster, and may be acted on.
    fn check(&self, header: Option<&pb::Header>) -> Result<(), Status> {
        let header = header.ok_or_else(|| Status::invalid_argument("the header is missing"))?;
        let me = self.identity.member_id();
        if header.to != me {
            self.warn_wrong_member(header, me);
            return Err(Status::failed_precondition(format!(
                "this is member {me}, not {}: the address book is wrong",
                header.to
            )));
        }
        let mine = self.identity.cluster_id();
        let differs = !mine.is_empty() && !header.cluster_id.is_empty();
        if differs && header.cluster_id != mine {
            if self.warned.allows() {
                tracing::warn!(
                    from = header.from,
                    theirs = header.cluster_id,
                    mine,
                    "a member of another cluster speaks to this one and is refused; check its \
                     quorum and its data directory"
                );
            }
            return Err(Status::permission_denied(format!(
                "this is cluster {mine}, not {}",
                header.cluster_id
            )));
        }
        if !self.admitted.load(Ordering::Acquire) {
            return Err(Status::failed_precondition(format!(
                "member {me} is not admitted yet"
            )));
        }
        Ok(())
    }

    fn warn_wrong_member(&self, header: &pb::Header, me: MemberId) {
        if self.warned.allows() {
            tracing::warn!(
                from = header.from,
                expected = header.to,
                me,
                "a member takes this one for another; check the addresses in its quorum"
            );
        }
    }

    fn snapshots(&self) -> Result<Arc<SnapshotStore>, Status> {
        let snapshots = self
            .snapshots
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        snapshots
            .clone()
            .ok_or_else(|| stopped("its store is closed"))
    }

    fn vote_request(request: &pb::VoteRequest) -> Result<VoteRequest<TypeConfig>, Status> {
        let vote = vote_from_proto(request.vote.as_ref()).map_err(|error| invalid(&error))?;
        let last = request.last_log_id.as_ref().map(log_id_from_proto);
        let mut engine = VoteRequest::new(vote, last);
        engine.leadership_transfer = request.leadership_transfer;
        Ok(engine)
    }
}

fn vote_message(response: &VoteResponse<TypeConfig>) -> pb::VoteResponse {
    pb::VoteResponse {
        vote: Some(vote_to_proto(&response.vote)),
        granted: response.vote_granted,
        last_log_id: response.last_log_id.as_ref().map(log_id_to_proto),
    }
}

fn append_request(
    message: pb::AppendRequest,
) -> Result<AppendEntriesRequest<TypeConfig>, ConvertError> {
    Ok(AppendEntriesRequest {
        vote: vote_from_proto(message.vote.as_ref())?,
        prev_log_id: message.previous.as_ref().map(log_id_from_proto),
        entries: message
            .entries
            .into_iter()
            .map(entry_from_proto)
            .collect::<Result<_, _>>()?,
        leader_commit: message.leader_commit.as_ref().map(log_id_from_proto),
    })
}

fn append_response(
    result: Result<StreamAppendResult<TypeConfig>, Fatal<TypeConfig>>,
) -> Result<pb::AppendResponse, Status> {
    use pb::append_response::Result as Out;
    let result = match result.map_err(stopped)? {
        Ok(last) => Out::Matched(pb::Matched {
            last: last.as_ref().map(log_id_to_proto),
        }),
        Err(StreamAppendError::Conflict(id)) => Out::Conflict(log_id_to_proto(&id)),
        Err(StreamAppendError::HigherVote(vote)) => Out::HigherVote(vote_to_proto(&vote)),
    };
    Ok(pb::AppendResponse {
        result: Some(result),
    })
}

/// The messages of a stream up to the first that is lost or not understood, which is logged: the
/// leader sees the stream end and starts another.
fn understood(
    first: pb::AppendRequest,
    rest: Streaming<pb::AppendRequest>,
    contact: Arc<Contact>,
) -> BoxStream<'static, AppendEntriesRequest<TypeConfig>> {
    let messages = stream::once(future::ready(Ok(first))).chain(rest);
    let requests = messages.map(move |message| match message {
        Ok(message) => {
            contact.heard();
            append_request(message).map_err(|error| {
                tracing::error!(%error, "entries from the leader are not understood and refused");
            })
        }
        Err(status) => {
            tracing::debug!(%status, "the leader's stream ended");
            Err(())
        }
    });
    requests
        .take_while(|request| future::ready(request.is_ok()))
        .filter_map(|request| future::ready(request.ok()))
        .boxed()
}

#[tonic::async_trait]
impl pb::raft_server::Raft for Service {
    type AppendStream = BoxStream<'static, Result<pb::AppendResponse, Status>>;

    async fn append(
        &self,
        request: Request<Streaming<pb::AppendRequest>>,
    ) -> Result<Response<Self::AppendStream>, Status> {
        let mut messages = request.into_inner();
        let first = messages.message().await?;
        let first = first.ok_or_else(|| Status::invalid_argument("the stream is empty"))?;
        self.check(first.header.as_ref())?;
        let responses = self
            .raft
            .stream_append(understood(first, messages, self.contact.clone()));
        Ok(Response::new(responses.map(append_response).boxed()))
    }

    async fn vote(
        &self,
        request: Request<pb::VoteRequest>,
    ) -> Result<Response<pb::VoteResponse>, Status> {
        let request = request.into_inner();
        self.check(request.header.as_ref())?;
        let response = self
            .raft
            .vote(Self::vote_request(&request)?)
            .await
            .map_err(stopped)?;
        Ok(Response::new(vote_message(&response)))
    }

    async fn pre_vote(
        &self,
        request: Request<pb::VoteRequest>,
    ) -> Result<Response<pb::VoteResponse>, Status> {
        let request = request.into_inner();
        self.check(request.header.as_ref())?;
        let response = self
            .raft
            .pre_vote(Self::vote_request(&request)?)
            .await
            .map_err(stopped)?;
        Ok(Response::new(vote_message(&response)))
    }

    async fn install_snapshot(
        &self,
        request: Request<Streaming<pb::SnapshotRequest>>,
    ) -> Result<Response<pb::SnapshotResponse>, Status> {
        let mut messages = request.into_inner();
        let first = messages.message().await?;
        let first = first.ok_or_else(|| Status::invalid_argument("the stream is empty"))?;
        let start = start_of(first).map_err(|error| invalid(&error))?;
        self.check(start.header.as_ref())?;
        let vote = vote_from_proto(start.vote.as_ref()).map_err(|error| invalid(&error))?;
        let proto_meta = start
            .meta
            .ok_or_else(|| invalid(&ConvertError::Missing("meta")))?;
        let meta = snapshot_meta(&proto_meta).map_err(|error| invalid(&error))?;
        let snapshots = self.snapshots()?;
        let snapshot = receive_snapshot(messages, proto_meta, &snapshots).await?;
        drop(snapshots);
        let snapshot = Snapshot { meta, snapshot };
        let installed = self.raft.install_full_snapshot(vote, snapshot).await;
        let response = installed.map_err(stopped)?;
        Ok(Response::new(pb::SnapshotResponse {
            vote: Some(vote_to_proto(&response.vote)),
        }))
    }

    async fn transfer_leader(
        &self,
        request: Request<pb::TransferLeaderRequest>,
    ) -> Result<Response<pb::TransferLeaderResponse>, Status> {
        let request = request.into_inner();
        self.check(request.header.as_ref())?;
        let from =
            vote_from_proto(request.from_leader.as_ref()).map_err(|error| invalid(&error))?;
        let last = request.last_log_id.as_ref().map(log_id_from_proto);
        let engine = TransferLeaderRequest::new(from, request.to, last);
        let result = self
            .raft
            .handle_transfer_leader(engine)
            .await
            .map_err(stopped)?;
        let refusal = result
            .err()
            .map_or_else(String::new, |error| error.to_string());
        Ok(Response::new(pb::TransferLeaderResponse { refusal }))
    }

    type PresenceStream = BoxStream<'static, Result<pb::Gone, Status>>;

    async fn presence(
        &self,
        request: Request<pb::Header>,
    ) -> Result<Response<Self::PresenceStream>, Status> {
        self.check(Some(request.get_ref()))?;
        let mut stopping = self.stopping.clone();
        let gone = async move {
            // Fails when the member was dropped, which is the same.
            let _ended = stopping.wait_for(|stopping| *stopping).await;
            Ok(pb::Gone {})
        };
        Ok(Response::new(stream::once(gone).boxed()))
    }

    async fn identify(
        &self,
        request: Request<pb::IdentifyRequest>,
    ) -> Result<Response<pb::IdentifyResponse>, Status> {
        Ok(Response::new(self.formation.identify(request.get_ref())))
    }

    async fn join(
        &self,
        request: Request<pb::JoinRequest>,
    ) -> Result<Response<pb::JoinResponse>, Status> {
        Ok(Response::new(
            self.formation.join(request.into_inner()).await,
        ))
    }
}
