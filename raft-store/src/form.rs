//! How members become a cluster, and how a member is taken in.
//!
//! A fresh member asks its peers first. No cluster yet and a quorum of peers with the same idea
//! of it: they start one. A cluster already: the leader binds the member's id to its disk, unless
//! it is bound to another one: that member lost what it acknowledged and may not come back.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use caprock_proto::caprock::raft as pb;
use futures::future::join_all;
use openraft::errors::{InitializeError, RaftError};
use pb::join_response::Verdict;

use crate::convert::ConvertError;
use crate::identity::random_id;
use crate::network::{AdmitJoin, Lane, Throttle};
use crate::node::Node;
use crate::options::describe_members;
use crate::state::blocking;
use crate::types::Command;
use crate::{MemberId, OpenError, ProposeError};

/// Between two rounds of questions.
const ROUND: Duration = Duration::from_millis(100);
/// How long a peer has to answer a question.
const ANSWER: Duration = Duration::from_millis(300);

type Peers = Vec<(MemberId, pb::IdentifyResponse)>;

/// A quick look at the peers that are up, so that a member that cannot take part does not start.
pub(crate) async fn check_with_peers(node: &Node) -> Result<(), OpenError> {
    let mine = node.identity.cluster_id();
    let peers = ask_peers(node).await;
    if let Some(cluster_id) = cluster_that_knows_another_disk(node, &peers) {
        return Err(OpenError::WipedMember {
            member_id: node.id(),
            cluster_id,
        });
    }
    let mut others = peers
        .iter()
        .map(|(_, peer)| &peer.cluster_id)
        .filter(|id| !id.is_empty());
    match others.next() {
        Some(first) if !mine.is_empty() && *first != mine && others.all(|id| *id != mine) => {
            let path = node.options.data_dir.clone();
            Err(OpenError::OtherCluster {
                path,
                found: mine,
                peers: first.clone(),
            })
        }
        _ => Ok(()),
    }
}

/// Takes this member into its cluster; ends when it is bound, or refused.
pub(crate) async fn run(node: Arc<Node>) {
    let result = async {
        become_admitted(&node).await?;
        become_bound(&node).await
    };
    if let Err(reason) = result.await {
        node.refuse(reason).await;
    }
}

async fn become_admitted(node: &Node) -> Result<(), String> {
    let initialized = node
        .raft
        .is_initialized()
        .await
        .map_err(|error| error.to_string())?;
    if initialized || node.identity.is_admitted() {
        admit(node).await?;
        if node.metrics().membership_config.voter_ids().eq([node.id()]) {
            elect(node).await;
        }
        return Ok(());
    }
    if node.options.first_quorum().len() == 1 {
        initialize(node).await?;
        elect(node).await;
        return Ok(());
    }
    let log = Throttle::default();
    loop {
        let peers = ask_peers(node).await;
        if let Some(cluster_id) = cluster_that_knows_another_disk(node, &peers) {
            return Err(OpenError::WipedMember {
                member_id: node.id(),
                cluster_id,
            }
            .to_string());
        }
        let formed = peers.iter().any(|(_, peer)| !peer.cluster_id.is_empty());
        if formed {
            if join_any(node, &peers, &log).await? {
                return admit(node).await;
            }
        } else if agree(node, &peers, &log) {
            initialize(node).await?;
            let lowest = peers.iter().all(|(id, _)| *id > node.id());
            if lowest {
                elect_when_admitted(node).await;
            }
            return Ok(());
        }
        tokio::time::sleep(ROUND).await;
    }
}

/// From here on this member votes and acknowledges.
async fn admit(node: &Node) -> Result<(), String> {
    let identity = node.identity.clone();
    let noted = blocking(move || identity.set_admitted().map_err(anyhow::Error::msg));
    noted.await.map_err(|error| error.to_string())?;
    node.admitted.store(true, Ordering::Release);
    Ok(())
}

/// Writes the first membership. Every member of the first quorum writes the very same entry, so
/// it does not matter how many of them do.
async fn initialize(node: &Node) -> Result<(), String> {
    let quorum = node.options.first_quorum();
    let nodes: BTreeMap<MemberId, openraft::BasicNode> = quorum
        .iter()
        .map(|(id, address)| (*id, openraft::BasicNode::new(address)))
        .collect();
    tracing::info!(quorum = describe_members(&quorum), "forming a new cluster");
    match node.raft.initialize(nodes).await {
        Ok(()) | Err(RaftError::APIError(InitializeError::NotAllowed(_))) => admit(node).await,
        Err(error) => Err(format!("the cluster cannot be formed: {error}")),
    }
}

async fn elect(node: &Node) {
    if let Err(error) = node.raft.trigger().elect(false).await {
        tracing::warn!(%error, "the election could not be started");
    }
}

/// One member stands for election at once; the others only if it does not come to that.
async fn elect_when_admitted(node: &Node) {
    for _ in 0..10 {
        let peers = ask_peers(node).await;
        let ready = 1 + peers.iter().filter(|(_, peer)| peer.admitted).count();
        if ready > node.options.first_quorum().len() / 2 {
            if node.metrics().current_leader.is_none() {
                elect(node).await;
            }
            return;
        }
        tokio::time::sleep(ROUND / 2).await;
    }
}

/// Whether a quorum, this member included, wants to form the same cluster.
fn agree(node: &Node, peers: &Peers, log: &Throttle) -> bool {
    let mine = node.options.first_quorum();
    let mut agreeing = 1;
    for (id, peer) in peers {
        if peer.first_quorum == mine {
            agreeing += 1;
        } else if log.allows() {
            tracing::warn!(
                member = id,
                theirs = describe_members(&peer.first_quorum),
                mine = describe_members(&mine),
                "a peer was started with another quorum; start all with the same"
            );
        }
    }
    let enough = agreeing > mine.len() / 2;
    if !enough && log.allows() {
        tracing::info!(
            present = agreeing,
            of = mine.len(),
            "waiting for more members to form the cluster"
        );
    }
    enough
}

async fn ask_peers(node: &Node) -> Peers {
    let quorum = node.options.first_quorum();
    let questions = quorum
        .iter()
        .filter(|(id, _)| **id != node.id())
        .map(|(id, address)| async move { Some((*id, identify(node, *id, address).await?)) });
    join_all(questions).await.into_iter().flatten().collect()
}

async fn identify(node: &Node, id: MemberId, address: &str) -> Option<pb::IdentifyResponse> {
    let mut client = node.channels.client(address, Lane::Control).ok()?;
    let (member_id, disk_id) = (node.id(), node.identity.disk_id());
    let question = client.identify(pb::IdentifyRequest { member_id, disk_id });
    let answer = tokio::time::timeout(ANSWER, question)
        .await
        .ok()?
        .ok()?
        .into_inner();
    if answer.stopped {
        node.channels.forget(address, Lane::Control);
        return None;
    }
    if answer.member_id != id {
        tracing::warn!(
            expected = id,
            found = answer.member_id,
            address,
            "another member answers at this address; check the quorum"
        );
        return None;
    }
    Some(answer)
}

fn cluster_that_knows_another_disk(node: &Node, peers: &Peers) -> Option<String> {
    let mine = node.identity.disk_id();
    let knows =
        |peer: &&pb::IdentifyResponse| !peer.bound_disk.is_empty() && peer.bound_disk != mine;
    let peer = peers.iter().map(|(_, peer)| peer).find(knows)?;
    // A member of another cluster is told so, not that its disk was wiped.
    let cluster_id = node.identity.cluster_id();
    (cluster_id.is_empty() || cluster_id == peer.cluster_id).then(|| peer.cluster_id.clone())
}

/// Asks the leader that some peer names to be taken in.
async fn join_any(node: &Node, peers: &Peers, log: &Throttle) -> Result<bool, String> {
    for (_, peer) in peers {
        if peer.leader_id == 0 || peer.leader_id == node.id() {
            continue;
        }
        let Some(answer) = ask_to_join(node, peer.leader_id, &peer.leader_address).await else {
            continue;
        };
        return act_on(node, &answer, log).await;
    }
    if log.allows() {
        tracing::info!("the cluster is formed, waiting for it to have a leader");
    }
    Ok(false)
}

async fn ask_to_join(node: &Node, leader: MemberId, address: &str) -> Option<pb::JoinResponse> {
    let mut client = node.channels.client(address, Lane::Control).ok()?;
    let header = pb::Header {
        cluster_id: node.identity.cluster_id(),
        from: node.id(),
        to: leader,
    };
    let request = pb::JoinRequest {
        header: Some(header),
        member_id: node.id(),
        disk_id: node.identity.disk_id(),
    };
    let limit = Duration::from_millis(node.options.propose_timeout_ms);
    let answer = tokio::time::timeout(limit, client.join(request))
        .await
        .ok()?;
    Some(answer.ok()?.into_inner())
}

async fn act_on(node: &Node, answer: &pb::JoinResponse, log: &Throttle) -> Result<bool, String> {
    match answer.verdict() {
        Verdict::Admitted => {
            let (identity, cluster_id) = (node.identity.clone(), answer.cluster_id.clone());
            let noted = blocking(move || {
                identity
                    .set_cluster_id(&cluster_id)
                    .map_err(anyhow::Error::msg)
            });
            noted.await.map_err(|error| error.to_string())?;
            tracing::info!(
                cluster_id = answer.cluster_id,
                "the leader took this member in"
            );
            Ok(true)
        }
        Verdict::OtherDisk => {
            let cluster_id = answer.cluster_id.clone();
            Err(OpenError::WipedMember {
                member_id: node.id(),
                cluster_id,
            }
            .to_string())
        }
        Verdict::NotAMember => {
            if log.allows() {
                tracing::warn!(
                    member = node.id(),
                    address = node.options.address,
                    cluster_id = answer.cluster_id,
                    "this member is not in the cluster; add it with `caprock quorum add`"
                );
            }
            Ok(false)
        }
        Verdict::NotLeader | Verdict::Unspecified => Ok(false),
    }
}

/// Waits until the log says that this member's id belongs to this disk, and sees to it.
async fn become_bound(node: &Node) -> Result<(), String> {
    let (me, disk_id) = (node.id(), node.identity.disk_id());
    let mut cluster = node.cluster.clone();
    let log = Throttle::default();
    loop {
        let known = cluster.borrow_and_update().clone();
        match known.disks.get(&me) {
            Some(bound) if *bound == disk_id => return Ok(()),
            Some(_) => {
                let cluster_id = known.cluster_id;
                return Err(OpenError::WipedMember {
                    member_id: me,
                    cluster_id,
                }
                .to_string());
            }
            None => {}
        }
        match node.known_leader() {
            Some((leader, _)) if leader == me => bind_self(node).await,
            Some((leader, address)) => {
                if let Some(answer) = ask_to_join(node, leader, &address).await {
                    act_on(node, &answer, &log).await?;
                }
            }
            None => {}
        }
        tokio::select! {
            _ = cluster.changed() => {}
            () = tokio::time::sleep(ROUND) => {}
        }
    }
}

/// The first leader gives the cluster its id.
async fn bind_self(node: &Node) {
    if node.cluster.borrow().cluster_id.is_empty() {
        let formed = node
            .write(
                None,
                Command::Formed {
                    cluster_id: random_id(),
                },
            )
            .await;
        if let Err(error) = formed {
            tracing::debug!(%error, "the cluster has no id yet");
            return;
        }
    }
    let bound = Command::Bound {
        member_id: node.id(),
        disk_id: node.identity.disk_id(),
    };
    if let Err(error) = node.write(None, bound).await {
        tracing::debug!(%error, "the leader's disk is not bound yet");
    }
}

/// As leader: binds a member to its disk. Answers with the disk that it is bound to.
async fn bind(node: &Node, member_id: MemberId, disk_id: String) -> Result<String, ProposeError> {
    // It cannot have acknowledged anything before it was bound, except while the cluster formed.
    if let Err(error) = node
        .raft
        .trigger()
        .allow_next_revert(&member_id, true)
        .await
    {
        tracing::debug!(%error, "the engine is stopping");
    }
    let applied = node
        .write(None, Command::Bound { member_id, disk_id })
        .await?;
    let bound = applied
        .outcome
        .and_then(|outcome| outcome.downcast::<String>().ok());
    bound
        .map(|disk| *disk)
        .ok_or_else(|| ProposeError::Unknown {
            reason: ConvertError::Missing("bound disk").to_string(),
        })
}

#[tonic::async_trait]
impl AdmitJoin for Node {
    fn identify(&self, request: &pb::IdentifyRequest) -> pb::IdentifyResponse {
        let (leader_id, leader_address) = self.known_leader().unwrap_or_default();
        let cluster = self.cluster.borrow();
        let bound_disk = cluster
            .disks
            .get(&request.member_id)
            .cloned()
            .unwrap_or_default();
        pb::IdentifyResponse {
            member_id: self.id(),
            // Known from disk also before the log was replayed up to the entry that says so.
            cluster_id: self.identity.cluster_id(),
            bound_disk,
            first_quorum: self.options.first_quorum(),
            leader_id,
            leader_address,
            admitted: self.admitted.load(Ordering::Acquire),
            stopped: self.is_stopped(),
        }
    }

    async fn join(&self, request: pb::JoinRequest) -> pb::JoinResponse {
        let cluster = self.cluster.borrow().clone();
        let answer = |verdict: Verdict, bound_disk: String| pb::JoinResponse {
            verdict: verdict.into(),
            cluster_id: cluster.cluster_id.clone(),
            bound_disk,
        };
        let metrics = self.metrics();
        let leads = metrics.current_leader == Some(self.id()) && !cluster.cluster_id.is_empty();
        if !leads || self.is_stopped() || request.header.is_none_or(|header| header.to != self.id())
        {
            return answer(Verdict::NotLeader, String::new());
        }
        let bound = match cluster.disks.get(&request.member_id) {
            Some(bound) => bound.clone(),
            None if metrics
                .membership_config
                .get_node(&request.member_id)
                .is_none() =>
            {
                return answer(Verdict::NotAMember, String::new());
            }
            None => match bind(self, request.member_id, request.disk_id.clone()).await {
                Ok(bound) => bound,
                Err(error) => {
                    tracing::debug!(%error, member = request.member_id, "cannot be bound now");
                    return answer(Verdict::NotLeader, String::new());
                }
            },
        };
        let verdict = if bound == request.disk_id {
            Verdict::Admitted
        } else {
            Verdict::OtherDisk
        };
        if verdict == Verdict::OtherDisk {
            tracing::warn!(
                member = request.member_id,
                "a member came back with another disk and is refused: remove it and add the \
                 machine with a new id"
            );
        }
        answer(verdict, bound)
    }
}
