//! Changing who belongs to the cluster. A new member is added as a learner, receives the log, and
//! is promoted to a voter; an id is never used twice.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use openraft::errors::{ChangeMembershipError, ClientWriteError, RaftError};
use openraft::{BasicNode, ChangeMembers};

use crate::node::Node;
use crate::types::{Metrics, TypeConfig};
use crate::{MemberError, MemberId};

impl Node {
    /// Adds a member without a vote; it may be started before or after.
    pub(crate) async fn add_learner(
        &self,
        member_id: MemberId,
        address: String,
    ) -> Result<(), MemberError> {
        let refuse = |reason: &str| {
            Err(MemberError::Refused {
                member_id,
                reason: reason.to_owned(),
            })
        };
        if member_id == 0 {
            return refuse("ids start at 1");
        }
        let membership = self.metrics().membership_config;
        match membership.get_node(&member_id) {
            Some(node) if node.addr == address => return Ok(()),
            Some(_) => return refuse("it is a member already, with another address"),
            None => {}
        }
        if membership.nodes().any(|(_, node)| node.addr == address) {
            return refuse("another member has this address");
        }
        if self.cluster.borrow().disks.contains_key(&member_id) {
            return refuse("this id was used by a member before; choose a new one");
        }
        let nodes = BTreeMap::from([(member_id, BasicNode::new(address))]);
        self.change_members(ChangeMembers::AddNodes(nodes)).await
    }

    /// Gives a learner a vote, once it is at most `lag_entries_max` behind. One that never
    /// answered gets none: its vote would be missing, and it is taken in only by an entry
    /// that then could not be committed any more.
    pub(crate) async fn promote(
        &self,
        member_id: MemberId,
        lag_entries_max: u64,
    ) -> Result<(), MemberError> {
        let status = self.current_status();
        let member = status.members.iter().find(|member| member.id == member_id);
        let refuse = |reason: String| Err(MemberError::Refused { member_id, reason });
        match member {
            None => refuse("it is not a member; add it first".to_owned()),
            Some(member) if member.voter => Ok(()),
            Some(_) if !self.cluster.borrow().disks.contains_key(&member_id) => {
                refuse("it has not been taken in yet; start it and try again".to_owned())
            }
            Some(member) => match member.lag_entries {
                None => refuse("it has not answered yet; start it and try again".to_owned()),
                Some(lag) if lag > lag_entries_max => refuse(format!(
                    "it is {lag} entries behind; wait until it has caught up"
                )),
                Some(_) => {
                    let voters = BTreeSet::from([member_id]);
                    self.change_members(ChangeMembers::AddVoterIds(voters))
                        .await
                }
            },
        }
    }

    /// Removes a member, voter or learner. A leader hands over before it is removed.
    pub(crate) async fn remove(&self, member_id: MemberId) -> Result<(), MemberError> {
        let refuse = |reason: &str| {
            Err(MemberError::Refused {
                member_id,
                reason: reason.to_owned(),
            })
        };
        let membership = self.metrics().membership_config;
        if membership.get_node(&member_id).is_none() {
            return refuse("it is not a member");
        }
        let voters: BTreeSet<MemberId> = membership.voter_ids().collect();
        if member_id == self.id() {
            return refuse("it leads; transfer leadership first, then ask the new leader");
        }
        if voters.contains(&member_id) {
            if voters.len() == 1 {
                return refuse("it is the only voter");
            }
            let removed = BTreeSet::from([member_id]);
            self.change_members(ChangeMembers::RemoveVoters(removed))
                .await?;
        }
        let still_listed = self
            .metrics()
            .membership_config
            .get_node(&member_id)
            .is_some();
        if still_listed {
            let removed = BTreeSet::from([member_id]);
            self.change_members(ChangeMembers::RemoveNodes(removed))
                .await?;
        }
        Ok(())
    }

    async fn change_members(
        &self,
        change: ChangeMembers<MemberId, BasicNode>,
    ) -> Result<(), MemberError> {
        let limit = Duration::from_millis(self.options.propose_timeout_ms);
        let changed = Box::pin(self.raft.change_membership(change, true));
        let timed_out = || MemberError::Unknown {
            reason: format!("no answer within {} ms", limit.as_millis()),
        };
        let log_id = match tokio::time::timeout(limit, changed).await {
            Ok(Ok(response)) => response.log_id,
            Ok(Err(RaftError::Fatal(_))) => return Err(MemberError::Stopped),
            Ok(Err(RaftError::APIError(error))) => return Err(classify(self, error)),
            Err(_) => return Err(timed_out()),
        };
        // The answer is a moment ahead of the metrics, on which the next change is decided.
        let is_known = |metrics: &Metrics| *metrics.membership_config.log_id() >= Some(log_id);
        let wait = self.raft.wait(Some(limit));
        let known = wait.metrics(is_known, "the change of members").await;
        known.map(drop).map_err(|_| timed_out())
    }
}

fn classify(node: &Node, error: ClientWriteError<TypeConfig>) -> MemberError {
    match error {
        ClientWriteError::ForwardToLeader(_) => {
            let leader = node.known_leader().filter(|(id, _)| *id != node.id());
            MemberError::NotLeader { leader }
        }
        ClientWriteError::ChangeMembershipError(
            ChangeMembershipError::InProgress(_) | ChangeMembershipError::UncommittedLeaderLog(_),
        ) => MemberError::InProgress,
        ClientWriteError::ChangeMembershipError(error) => MemberError::Unknown {
            reason: error.to_string(),
        },
        ClientWriteError::LogEntryDiscarded(_) | ClientWriteError::PreconditionFailed(_) => {
            MemberError::Unknown {
                reason: error.to_string(),
            }
        }
    }
}
