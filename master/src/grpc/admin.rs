//! The administrator's service: how the quorum stands, who leads, who is a member.

use std::pin::Pin;
use std::sync::Arc;

use caprock_proto::caprock::admin::admin_server::Admin;
use caprock_proto::caprock::admin::{
    AddMemberRequest, DigestRequest, DigestResponse, LeaderChange, Member, MemberRole,
    MembersResponse, PromoteMemberRequest, QuorumStatusRequest, QuorumStatusResponse,
    RemoveMemberRequest, TransferLeaderRequest, TransferLeaderResponse, WatchLeaderRequest,
};
use caprock_raft_store::{Leader, MemberError, MemberStatus, Role, TransferError};
use futures::{Stream, StreamExt};
use tokio_stream::wrappers::WatchStream;
use tonic::{Request, Response, Status};

use crate::context::Master;
use crate::identity::CAPROCK_VERSION;
use crate::standing::Standing;

/// How far a member may be behind and still get a vote, if the caller does not say.
const LAG_ENTRIES_MAX: u64 = 1_000;

/// Serves `caprock.admin.Admin`.
#[derive(Debug, Clone)]
pub struct AdminService {
    master: Arc<Master>,
}

impl AdminService {
    /// The service of this master.
    pub fn new(master: Arc<Master>) -> Self {
        Self { master }
    }

    fn members(&self) -> Response<MembersResponse> {
        let members = self
            .master
            .store
            .status()
            .members
            .into_iter()
            .map(member)
            .collect();
        Response::new(MembersResponse { members })
    }
}

#[tonic::async_trait]
impl Admin for AdminService {
    type WatchLeaderStream = Pin<Box<dyn Stream<Item = Result<LeaderChange, Status>> + Send>>;

    async fn watch_leader(
        &self,
        _request: Request<WatchLeaderRequest>,
    ) -> Result<Response<Self::WatchLeaderStream>, Status> {
        let master = Arc::clone(&self.master);
        let standings = WatchStream::new(master.published.watch_standing());
        let changes = standings.map(move |standing| Ok(leader_change(&master, standing)));
        Ok(Response::new(Box::pin(changes)))
    }

    async fn quorum_status(
        &self,
        _request: Request<QuorumStatusRequest>,
    ) -> Result<Response<QuorumStatusResponse>, Status> {
        let status = self.master.store.status();
        Ok(Response::new(QuorumStatusResponse {
            member: Some(Member {
                member_id: self.master.identity.member_id,
                address: self.master.identity.address.clone(),
                ..Member::default()
            }),
            cluster_id: status.cluster_id,
            role: role(status.role).into(),
            term: status.term,
            leader: status.leader.map(leader),
            applied_index: status.applied_index.0,
            members: status.members.into_iter().map(member).collect(),
            has_quorum_lease: status.has_quorum_lease,
            serving: self.master.is_serving(),
            version: CAPROCK_VERSION.to_owned(),
            last_log_index: status.last_log_index.0,
            committed_index: status.committed_index.0,
            snapshot_index: status.snapshot_index.0,
            failure: status.failure.unwrap_or_default(),
        }))
    }

    async fn transfer_leader(
        &self,
        request: Request<TransferLeaderRequest>,
    ) -> Result<Response<TransferLeaderResponse>, Status> {
        let to = Some(request.into_inner().to_member_id).filter(|id| *id != 0);
        let new_leader = self
            .master
            .store
            .transfer_leadership(to)
            .await
            .map_err(|error| transfer_error(&error))?;
        let status = self.master.store.status();
        let known = status
            .members
            .into_iter()
            .find(|member| member.id == new_leader)
            .map(member);
        let leader = known.unwrap_or(Member {
            member_id: new_leader,
            ..Member::default()
        });
        Ok(Response::new(TransferLeaderResponse {
            leader: Some(leader),
            term: status.term,
        }))
    }

    async fn digest(
        &self,
        _request: Request<DigestRequest>,
    ) -> Result<Response<DigestResponse>, Status> {
        let registry = self.master.published.registry_to_keep();
        let digested =
            tokio::task::spawn_blocking(move || (registry.applied(), registry.digest().0.to_vec()));
        let (applied_index, digest) = digested
            .await
            .map_err(|error| Status::internal(error.to_string()))?;
        Ok(Response::new(DigestResponse {
            applied_index,
            digest: digest.into(),
        }))
    }

    async fn add_member(
        &self,
        request: Request<AddMemberRequest>,
    ) -> Result<Response<MembersResponse>, Status> {
        let AddMemberRequest { member_id, address } = request.into_inner();
        self.master
            .store
            .add_learner(member_id, address)
            .await
            .map_err(|error| member_error(&error))?;
        Ok(self.members())
    }

    async fn promote_member(
        &self,
        request: Request<PromoteMemberRequest>,
    ) -> Result<Response<MembersResponse>, Status> {
        let PromoteMemberRequest {
            member_id,
            lag_entries_max,
        } = request.into_inner();
        let lag_max = if lag_entries_max == 0 {
            LAG_ENTRIES_MAX
        } else {
            lag_entries_max
        };
        self.master
            .store
            .promote(member_id, lag_max)
            .await
            .map_err(|error| member_error(&error))?;
        Ok(self.members())
    }

    async fn remove_member(
        &self,
        request: Request<RemoveMemberRequest>,
    ) -> Result<Response<MembersResponse>, Status> {
        let member_id = request.into_inner().member_id;
        self.master
            .store
            .remove(member_id)
            .await
            .map_err(|error| member_error(&error))?;
        Ok(self.members())
    }
}

fn leader_change(master: &Master, standing: Standing) -> LeaderChange {
    let term = master.store.status().term;
    let (known, serving) = match standing {
        Standing::Leading { .. } => (Some(master.identity.as_leader()), true),
        Standing::Following(leader) => (Some(leader), false),
        Standing::Preparing | Standing::Leaderless => (None, false),
    };
    let leader = known.map(|leader| Member {
        member_id: leader.member_id,
        address: leader.address,
        ..Member::default()
    });
    LeaderChange {
        term,
        leader,
        serving,
    }
}

fn role(role: Role) -> MemberRole {
    match role {
        Role::Leader => MemberRole::Leader,
        Role::Follower => MemberRole::Follower,
        Role::Candidate => MemberRole::Candidate,
        Role::Learner => MemberRole::Learner,
        Role::Stopped => MemberRole::Stopped,
    }
}

fn leader(leader: Leader) -> Member {
    Member {
        member_id: leader.member_id,
        address: leader.address,
        ..Member::default()
    }
}

fn member(status: MemberStatus) -> Member {
    Member {
        member_id: status.id,
        address: status.address,
        voter: status.voter,
        matched_index: status.matched_index.map(|index| index.0),
        lag_entries: status.lag_entries,
    }
}

fn transfer_error(error: &TransferError) -> Status {
    let text = error.to_string();
    match error {
        TransferError::NotLeader { .. } | TransferError::Stopped => Status::unavailable(text),
        TransferError::BadTarget { .. } => Status::invalid_argument(text),
        TransferError::NoCandidate => Status::failed_precondition(text),
        TransferError::TimedOut { .. } => Status::deadline_exceeded(text),
    }
}

fn member_error(error: &MemberError) -> Status {
    let text = error.to_string();
    match error {
        MemberError::NotLeader { .. } | MemberError::Stopped => Status::unavailable(text),
        MemberError::Refused { .. } => Status::failed_precondition(text),
        MemberError::InProgress => Status::aborted(text),
        MemberError::Unknown { .. } => Status::unknown(text),
    }
}
