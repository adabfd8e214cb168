//! The engine's network: sends its messages to one member.

use std::sync::Arc;
use std::time::Duration;

use caprock_proto::caprock::raft as pb;
use futures::future::BoxFuture;
use futures::stream::{self, BoxStream};
use futures::{Stream, StreamExt};
use openraft::RaftNetworkFactory;
use openraft::errors::{RPCError, ReplicationClosed, StreamingError, Unreachable};
use openraft::network::{
    Backoff, NetBackoff, NetSnapshot, NetStreamAppend, NetTransferLeader, NetVote, RPCOption,
};
use openraft::raft::{
    AppendEntriesRequest, SnapshotResponse, StreamAppendError, StreamAppendResult,
    TransferLeaderError, TransferLeaderRequest, TransferLeaderResponse, VoteRequest, VoteResponse,
};
use tonic::Code;
use tonic::transport::Channel;

use super::channels::{Channels, Lane};
use super::snapshot::send_snapshot;
use crate::MemberId;
use crate::convert::{
    entry_to_proto, log_id_from_proto, log_id_to_proto, vote_from_proto, vote_to_proto,
};
use crate::identity::Identity;
use crate::snapshot::Generation;
use crate::types::{Node, TypeConfig, Vote};
use pb::raft_client::RaftClient;

type Error = RPCError<TypeConfig>;
type Snapshot = openraft::alias::SnapshotOf<TypeConfig, Arc<Generation>>;

/// A member that cannot be reached is tried again after this time, always the same: it shall be
/// found quickly when it is back, and a try costs little.
const RETRY_AFTER: Duration = Duration::from_millis(100);

/// Makes the clients of each member.
#[derive(Clone)]
pub(crate) struct Network {
    pub(crate) identity: Arc<Identity>,
    pub(crate) channels: Arc<Channels>,
    /// How long a stream may take to be set up.
    pub(crate) setup: Duration,
}

/// Speaks to one member.
pub(crate) struct Peer {
    network: Network,
    target: MemberId,
    address: String,
    lane: Lane,
}

impl Network {
    fn peer(&self, target: MemberId, node: &Node, lane: Lane) -> Peer {
        Peer {
            network: self.clone(),
            target,
            address: node.addr.clone(),
            lane,
        }
    }
}

impl RaftNetworkFactory<TypeConfig> for Network {
    type Network = Peer;

    async fn new_client(&mut self, target: MemberId, node: &Node) -> Peer {
        self.peer(target, node, Lane::Entries)
    }

    async fn new_heartbeat_client(&mut self, target: MemberId, node: &Node) -> Peer {
        self.peer(target, node, Lane::Control)
    }

    async fn new_snapshot_client(&mut self, target: MemberId, node: &Node) -> Peer {
        self.peer(target, node, Lane::Snapshot)
    }
}

impl Peer {
    fn header(&self) -> pb::Header {
        let identity = &self.network.identity;
        pb::Header {
            cluster_id: identity.cluster_id(),
            from: identity.member_id(),
            to: self.target,
        }
    }

    fn client(&self, lane: Lane) -> Result<RaftClient<Channel>, Error> {
        let client = self.network.channels.client(&self.address, lane);
        client.map_err(|error| Unreachable::new(&error).into())
    }

    fn vote_message(&self, request: &VoteRequest<TypeConfig>) -> pb::VoteRequest {
        pb::VoteRequest {
            header: Some(self.header()),
            vote: Some(vote_to_proto(&request.vote)),
            last_log_id: request.last_log_id.as_ref().map(log_id_to_proto),
            leadership_transfer: request.leadership_transfer,
        }
    }
}

/// Every failure counts as unreachable, for which the engine waits before it tries again: its
/// other kind of error is retried at once, in a loop.
fn unreachable(error: &(impl std::error::Error + 'static)) -> Error {
    Unreachable::new(error).into()
}

impl Peer {
    /// Awaits a response on `lane`, but not longer than `limit`.
    async fn within<T>(
        &self,
        lane: Lane,
        limit: Duration,
        call: impl Future<Output = Result<tonic::Response<T>, tonic::Status>>,
    ) -> Result<T, Error> {
        match tokio::time::timeout(limit, call).await {
            Ok(Ok(response)) => Ok(response.into_inner()),
            Ok(Err(status)) => {
                // Perhaps the store at the other end was closed and opened again by a process
                // that kept the connection.
                if status.code() == Code::FailedPrecondition {
                    self.network.channels.forget(&self.address, lane);
                }
                Err(unreachable(&status))
            }
            Err(elapsed) => Err(unreachable(&elapsed)),
        }
    }
}

fn vote_response(response: &pb::VoteResponse) -> Result<VoteResponse<TypeConfig>, Error> {
    let vote = vote_from_proto(response.vote.as_ref()).map_err(|error| unreachable(&error))?;
    let last = response.last_log_id.as_ref().map(log_id_from_proto);
    Ok(VoteResponse::new(vote, last, response.granted))
}

impl NetVote<TypeConfig> for Peer {
    async fn vote(
        &mut self,
        request: VoteRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, Error> {
        let mut client = self.client(Lane::Control)?;
        let message = self.vote_message(&request);
        let call = client.vote(message);
        vote_response(&self.within(Lane::Control, option.soft_ttl(), call).await?)
    }

    async fn pre_vote(
        &mut self,
        request: VoteRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, Error> {
        let mut client = self.client(Lane::Control)?;
        let message = self.vote_message(&request);
        let call = client.pre_vote(message);
        vote_response(&self.within(Lane::Control, option.soft_ttl(), call).await?)
    }
}

impl NetBackoff<TypeConfig> for Peer {
    fn backoff(&self) -> Option<Backoff> {
        Some(Backoff::new(std::iter::repeat(RETRY_AFTER)))
    }
}

fn append_message(
    header: Option<pb::Header>,
    request: &AppendEntriesRequest<TypeConfig>,
) -> pb::AppendRequest {
    pb::AppendRequest {
        header,
        vote: Some(vote_to_proto(&request.vote)),
        previous: request.prev_log_id.as_ref().map(log_id_to_proto),
        entries: request.entries.iter().map(entry_to_proto).collect(),
        leader_commit: request.leader_commit.as_ref().map(log_id_to_proto),
    }
}

fn append_result(
    response: Result<pb::AppendResponse, tonic::Status>,
) -> Result<StreamAppendResult<TypeConfig>, Error> {
    use pb::append_response::Result as Got;
    let response = response.map_err(|status| unreachable(&status))?;
    match response.result {
        Some(Got::Matched(matched)) => Ok(Ok(matched.last.as_ref().map(log_id_from_proto))),
        Some(Got::Conflict(id)) => Ok(Err(StreamAppendError::Conflict(log_id_from_proto(&id)))),
        Some(Got::HigherVote(vote)) => {
            let vote = vote_from_proto(Some(&vote)).map_err(|error| unreachable(&error))?;
            Ok(Err(StreamAppendError::HigherVote(vote)))
        }
        None => {
            let text = "the member's answer to an append is of an unknown kind".to_owned();
            Err(Unreachable::from_string(text).into())
        }
    }
}

type Responses<'s> = BoxStream<'s, Result<StreamAppendResult<TypeConfig>, Error>>;

impl NetStreamAppend<TypeConfig> for Peer {
    fn stream_append<'s, S>(
        &'s mut self,
        mut input: S,
        _option: RPCOption,
    ) -> BoxFuture<'s, Result<Responses<'s>, Error>>
    where
        S: Stream<Item = AppendEntriesRequest<TypeConfig>> + Send + Unpin + 'static,
    {
        Box::pin(async move {
            // The first request before the connection: the engine's pause after a failure is in
            // the request stream, so one that is never polled makes a hot loop of a dead member.
            let Some(first) = input.next().await else {
                return Ok(stream::empty().boxed());
            };
            let first = append_message(Some(self.header()), &first);
            let rest = input.map(|request| append_message(None, &request));
            let requests = stream::once(std::future::ready(first)).chain(rest);
            let mut client = self.client(self.lane)?;
            let call = client.append(requests);
            let responses = self.within(self.lane, self.network.setup, call).await?;
            Ok(responses.map(append_result).boxed())
        })
    }
}

impl NetSnapshot<TypeConfig> for Peer {
    type SnapshotData = Arc<Generation>;

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: Snapshot,
        cancel: impl Future<Output = ReplicationClosed> + Send + 'static,
        option: RPCOption,
    ) -> Result<SnapshotResponse<TypeConfig>, StreamingError<TypeConfig>> {
        let client = self.client(Lane::Snapshot)?;
        let start = pb::SnapshotStart {
            header: Some(self.header()),
            vote: Some(vote_to_proto(&vote)),
            meta: Some(snapshot.snapshot.meta().clone()),
        };
        let call = send_snapshot(client, start, snapshot.snapshot);
        let sent = self.within(Lane::Snapshot, option.soft_ttl(), call);
        tokio::select! {
            closed = cancel => Err(closed.into()),
            response = sent => {
                let response = response?;
                let vote = vote_from_proto(response.vote.as_ref())
                    .map_err(|error| unreachable(&error))?;
                Ok(SnapshotResponse::new(vote))
            }
        }
    }
}

impl NetTransferLeader<TypeConfig> for Peer {
    async fn transfer_leader(
        &mut self,
        request: TransferLeaderRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<TransferLeaderResponse<TypeConfig>, Error> {
        let mut client = self.client(Lane::Control)?;
        let message = pb::TransferLeaderRequest {
            header: Some(self.header()),
            from_leader: Some(vote_to_proto(request.from_leader())),
            to: *request.to_node_id(),
            last_log_id: request.last_log_id().map(log_id_to_proto),
        };
        let call = client.transfer_leader(message);
        let response = self.within(Lane::Control, option.soft_ttl(), call).await?;
        if response.refusal.is_empty() {
            return Ok(Ok(()));
        }
        tracing::warn!(
            member = self.target,
            refusal = response.refusal,
            "the member does not take over the leadership now"
        );
        let expected = request.last_log_id().copied();
        Ok(Err(TransferLeaderError::LogNotFlushed {
            expected,
            actual: None,
        }))
    }
}
