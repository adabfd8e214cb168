//! Between the engine's types and the messages of `raft.proto`, which are both wire and disk
//! format: an upgrade of the engine never touches data.

use caprock_proto::caprock::raft as pb;
use openraft::entry::RaftEntry;
use openraft::vote::RaftLeaderId;
use openraft::{EntryPayload, LogId as EngineLogId};

use crate::types::{
    Command, CommittedLeaderId, Entry, LogId, Membership, Node, Payload, StoredMembership, Vote,
};

/// A message that this version does not understand.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ConvertError {
    #[error("the field '{0}' is missing")]
    Missing(&'static str),
    #[error(
        "log entry {index} is of a kind that this version does not know; start a version that is \
         at least as new as the leader's"
    )]
    UnknownEntry { index: u64 },
    #[error("the membership is invalid: {0}")]
    Membership(String),
    #[error("cannot be decoded: {0}")]
    Decode(#[from] prost::DecodeError),
}

pub(crate) fn log_id(term: u64, index: u64) -> LogId {
    EngineLogId::new(CommittedLeaderId::new(term), index)
}

pub(crate) fn log_id_to_proto(id: &LogId) -> pb::LogId {
    pb::LogId {
        term: id.committed_leader_id().term,
        index: id.index(),
    }
}

pub(crate) fn log_id_from_proto(id: &pb::LogId) -> LogId {
    log_id(id.term, id.index)
}

pub(crate) fn vote_to_proto(vote: &Vote) -> pb::Vote {
    pb::Vote {
        term: vote.leader_id().term(),
        voted_for: *vote.leader_id().node_id(),
        committed: vote.is_committed(),
    }
}

pub(crate) fn vote_from_proto(vote: Option<&pb::Vote>) -> Result<Vote, ConvertError> {
    let vote = vote.ok_or(ConvertError::Missing("vote"))?;
    Ok(if vote.committed {
        Vote::new_committed(vote.term, vote.voted_for)
    } else {
        Vote::new(vote.term, vote.voted_for)
    })
}

pub(crate) fn membership_to_proto(membership: &Membership) -> pb::Membership {
    pb::Membership {
        configs: membership
            .get_joint_config()
            .iter()
            .map(|voters| pb::VoterSet {
                members: voters.iter().copied().collect(),
            })
            .collect(),
        addresses: membership
            .nodes()
            .map(|(id, node)| (*id, node.addr.clone()))
            .collect(),
    }
}

pub(crate) fn membership_from_proto(
    membership: &pb::Membership,
) -> Result<Membership, ConvertError> {
    if membership.configs.is_empty() && membership.addresses.is_empty() {
        return Ok(Membership::default());
    }
    let configs = membership
        .configs
        .iter()
        .map(|voters| voters.members.iter().copied().collect())
        .collect();
    let nodes = membership
        .addresses
        .iter()
        .map(|(id, address)| (*id, Node::new(address)))
        .collect::<std::collections::BTreeMap<_, _>>();
    Membership::new(configs, nodes).map_err(|error| ConvertError::Membership(error.to_string()))
}

pub(crate) fn stored_membership_from_proto(
    log_id: Option<&pb::LogId>,
    membership: Option<&pb::Membership>,
) -> Result<StoredMembership, ConvertError> {
    let membership = match membership {
        Some(membership) => membership_from_proto(membership)?,
        None => Membership::default(),
    };
    Ok(StoredMembership::new(
        log_id.map(log_id_from_proto),
        membership,
    ))
}

pub(crate) fn entry_to_proto(entry: &Entry) -> pb::Entry {
    use pb::entry::Payload as Out;
    let payload = match &entry.payload {
        EntryPayload::Blank => Out::Blank(pb::Blank {}),
        EntryPayload::Normal(Command::User(bytes)) => Out::Command(bytes.clone()),
        EntryPayload::Normal(Command::Formed { cluster_id }) => Out::Formed(pb::Formed {
            cluster_id: cluster_id.clone(),
        }),
        EntryPayload::Normal(Command::Bound { member_id, disk_id }) => Out::Bound(pb::Bound {
            member_id: *member_id,
            disk_id: disk_id.clone(),
        }),
        EntryPayload::Membership(membership) => Out::Membership(membership_to_proto(membership)),
    };
    pb::Entry {
        id: Some(log_id_to_proto(&entry.log_id())),
        payload: Some(payload),
    }
}

pub(crate) fn entry_from_proto(entry: pb::Entry) -> Result<Entry, ConvertError> {
    use pb::entry::Payload as In;
    let id = log_id_from_proto(&entry.id.ok_or(ConvertError::Missing("id"))?);
    let payload: Payload = match entry.payload {
        None => return Err(ConvertError::UnknownEntry { index: id.index() }),
        Some(In::Blank(_)) => EntryPayload::Blank,
        Some(In::Command(bytes)) => EntryPayload::Normal(Command::User(bytes)),
        Some(In::Formed(formed)) => EntryPayload::Normal(Command::Formed {
            cluster_id: formed.cluster_id,
        }),
        Some(In::Bound(bound)) => EntryPayload::Normal(Command::Bound {
            member_id: bound.member_id,
            disk_id: bound.disk_id,
        }),
        Some(In::Membership(membership)) => {
            EntryPayload::Membership(membership_from_proto(&membership)?)
        }
    };
    Ok(Entry::new(id, payload))
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use bytes::Bytes;
    use prost::Message;

    use super::*;

    fn through_bytes(entry: &Entry) -> Entry {
        let bytes = entry_to_proto(entry).encode_to_vec();
        entry_from_proto(pb::Entry::decode(bytes.as_slice()).unwrap()).unwrap()
    }

    #[test]
    fn every_kind_of_entry_survives_the_disk() {
        let nodes = BTreeMap::from([(1, Node::new("a:1")), (2, Node::new("b:2"))]);
        let joint = vec![BTreeSet::from([1]), BTreeSet::from([1, 2])];
        let payloads = [
            EntryPayload::Blank,
            EntryPayload::Normal(Command::User(Bytes::from_static(b"set"))),
            EntryPayload::Normal(Command::User(Bytes::new())),
            EntryPayload::Normal(Command::Formed {
                cluster_id: "c".to_owned(),
            }),
            EntryPayload::Normal(Command::Bound {
                member_id: 3,
                disk_id: "d".to_owned(),
            }),
            EntryPayload::Membership(Membership::new(joint, nodes).unwrap()),
        ];
        for (index, payload) in payloads.into_iter().enumerate() {
            let entry = Entry::new(log_id(7, index as u64), payload);
            assert_eq!(through_bytes(&entry), entry);
        }
    }

    #[test]
    fn an_entry_of_a_newer_version_is_refused_not_skipped() {
        let newer = pb::Entry {
            id: Some(pb::LogId { term: 1, index: 9 }),
            payload: None,
        };
        let error = entry_from_proto(newer).unwrap_err();
        assert_eq!(error, ConvertError::UnknownEntry { index: 9 });
    }

    #[test]
    fn votes_survive_the_disk() {
        for vote in [Vote::new(4, 2), Vote::new_committed(4, 2)] {
            let bytes = vote_to_proto(&vote).encode_to_vec();
            let back = pb::Vote::decode(bytes.as_slice()).unwrap();
            assert_eq!(vote_from_proto(Some(&back)).unwrap(), vote);
        }
    }
}
