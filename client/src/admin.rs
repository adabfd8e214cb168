//! The administrator's gRPC service of each member: quorum status and leadership.

use std::time::Duration;

use caprock_proto::caprock::admin::admin_client::AdminClient;
use caprock_proto::caprock::admin::{
    AddMemberRequest, DigestRequest, DigestResponse, Member, PromoteMemberRequest,
    QuorumStatusRequest, QuorumStatusResponse, RemoveMemberRequest, TransferLeaderRequest,
    TransferLeaderResponse,
};
use tonic::transport::{Channel, Endpoint};

use crate::{ClientError, Masters};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
const CALL_TIMEOUT: Duration = Duration::from_secs(15);

/// A client of the members themselves, not of the cluster as a whole.
#[derive(Debug, Clone)]
pub struct Admin {
    masters: Masters,
}

impl Admin {
    /// A client of these members.
    pub fn new(masters: Masters) -> Self {
        Admin { masters }
    }

    /// What each member says of itself, in the order of the list.
    pub async fn status_of_each(&self) -> Vec<(String, Result<QuorumStatusResponse, ClientError>)> {
        let mut all = Vec::new();
        for address in self.masters.addresses() {
            all.push((address.clone(), self.status(address).await));
        }
        all
    }

    /// What one member says of itself.
    pub async fn status(&self, address: &str) -> Result<QuorumStatusResponse, ClientError> {
        let mut client = connect(address).await?;
        let answer = client.quorum_status(QuorumStatusRequest {}).await;
        answer
            .map(tonic::Response::into_inner)
            .map_err(|s| refused(address, &s))
    }

    /// Digest of one member's registry.
    pub async fn digest(&self, address: &str) -> Result<DigestResponse, ClientError> {
        let mut client = connect(address).await?;
        let answer = client.digest(DigestRequest {}).await;
        answer
            .map(tonic::Response::into_inner)
            .map_err(|s| refused(address, &s))
    }

    /// Makes the leader hand over, to `to` or to whoever is furthest ahead.
    ///
    /// # Errors
    /// No member knows a leader, or the leader could not hand over.
    pub async fn transfer_leader(
        &self,
        to: Option<u64>,
    ) -> Result<TransferLeaderResponse, ClientError> {
        let address = self.leader_address().await?;
        let mut client = connect(&address).await?;
        let request = TransferLeaderRequest {
            to_member_id: to.unwrap_or(0),
        };
        let answer = client.transfer_leader(request).await;
        answer
            .map(tonic::Response::into_inner)
            .map_err(|s| refused(&address, &s))
    }

    /// Adds a member without a vote. Returns all members.
    pub async fn add_member(
        &self,
        member_id: u64,
        address: String,
    ) -> Result<Vec<Member>, ClientError> {
        let leader = self.leader_address().await?;
        let request = AddMemberRequest { member_id, address };
        let answer = connect(&leader).await?.add_member(request).await;
        answer
            .map(|a| a.into_inner().members)
            .map_err(|s| refused(&leader, &s))
    }

    /// Gives a member a vote, once it has caught up. Returns all members.
    ///
    /// # Errors
    /// It is too far behind: try again later.
    pub async fn promote_member(&self, member_id: u64) -> Result<Vec<Member>, ClientError> {
        let leader = self.leader_address().await?;
        let request = PromoteMemberRequest {
            member_id,
            lag_entries_max: 0,
        };
        let answer = connect(&leader).await?.promote_member(request).await;
        answer
            .map(|a| a.into_inner().members)
            .map_err(|s| refused(&leader, &s))
    }

    /// Removes a member for good. Returns those that are left.
    pub async fn remove_member(&self, member_id: u64) -> Result<Vec<Member>, ClientError> {
        let leader = self.leader_address().await?;
        let request = RemoveMemberRequest { member_id };
        let answer = connect(&leader).await?.remove_member(request).await;
        answer
            .map(|a| a.into_inner().members)
            .map_err(|s| refused(&leader, &s))
    }

    async fn leader_address(&self) -> Result<String, ClientError> {
        let mut last = "no member knows a leader".to_owned();
        for address in self.masters.addresses() {
            match self.status(address).await {
                Ok(status) => {
                    if let Some(leader) = status.leader {
                        return Ok(leader.address);
                    }
                }
                Err(e) => last = e.to_string(),
            }
        }
        Err(ClientError::Unreachable {
            tried: self.masters.addresses().join(", "),
            last,
        })
    }
}

async fn connect(address: &str) -> Result<AdminClient<Channel>, ClientError> {
    let endpoint = Endpoint::from_shared(format!("http://{address}"))
        .map_err(|_| ClientError::BadAddress(address.to_owned()))?
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(CALL_TIMEOUT);
    let channel = endpoint
        .connect()
        .await
        .map_err(|e| ClientError::Unreachable {
            tried: address.to_owned(),
            last: std::error::Error::source(&e).map_or_else(|| e.to_string(), ToString::to_string),
        })?;
    Ok(AdminClient::new(channel))
}

fn refused(address: &str, status: &tonic::Status) -> ClientError {
    // The HTTP statuses that the codes correspond to, so that all errors read alike.
    let http = match status.code() {
        tonic::Code::Unavailable | tonic::Code::Aborted => 503,
        tonic::Code::FailedPrecondition => 412,
        tonic::Code::InvalidArgument => 400,
        tonic::Code::DeadlineExceeded => 504,
        _ => 500,
    };
    ClientError::Status {
        address: address.to_owned(),
        status: http,
        text: status.message().to_owned(),
    }
}
