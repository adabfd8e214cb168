//! `caprock quorum`: status, handing over, and members that come and go.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use caprock_client::{Admin, ClientError};
use caprock_proto::caprock::admin::{Member, MemberRole, QuorumStatusResponse};
use serde::Serialize;

use crate::block_on;
use crate::cli::{QueryFlags, QuorumCommand, QuorumFlags, Target};
use crate::output::{self, Row};

/// Between two tries to promote a member that is catching up.
const PROMOTE_PAUSE: Duration = Duration::from_millis(200);

/// What one member says of itself.
#[derive(Debug, Serialize)]
struct MemberRow {
    address: String,
    member_id: Option<u64>,
    role: String,
    term: Option<u64>,
    leader_id: Option<u64>,
    applied_index: Option<u64>,
    cluster_id: Option<String>,
    version: Option<String>,
    serving: bool,
    error: Option<String>,
}

impl Row for MemberRow {
    const TITLES: &'static [&'static str] = &[
        "MEMBER", "ADDRESS", "ROLE", "TERM", "LEADER", "APPLIED", "VERSION", "REMARK",
    ];

    fn cells(&self) -> Vec<String> {
        let shown = |n: &Option<u64>| n.map_or_else(|| "-".to_owned(), |n| n.to_string());
        vec![
            shown(&self.member_id),
            self.address.clone(),
            self.role.clone(),
            shown(&self.term),
            shown(&self.leader_id),
            shown(&self.applied_index),
            self.version.clone().unwrap_or_else(|| "-".to_owned()),
            self.error.clone().unwrap_or_default(),
        ]
    }
}

pub fn run(flags: &QuorumFlags) -> anyhow::Result<ExitCode> {
    match &flags.command {
        QuorumCommand::Status(query) => status(query),
        QuorumCommand::TransferLeader { target, to } => transfer_leader(target, *to),
        QuorumCommand::Add {
            target,
            member: (id, address),
        } => {
            let admin = Admin::new(target.masters.clone());
            members(&block_on(admin.add_member(*id, address.clone()))??)
        }
        QuorumCommand::Promote { target, id } => members(&block_on(promote(target, *id))??),
        QuorumCommand::Remove { target, id } => members(&block_on(
            Admin::new(target.masters.clone()).remove_member(*id),
        )??),
    }
}

fn status(query: &QueryFlags) -> anyhow::Result<ExitCode> {
    let rows = block_on(all_members(query))?;
    let has_leader = rows.iter().any(|row| row.serving);
    output::print(query.output, &rows, "members")?;
    if !has_leader {
        eprintln!(
            "no member leads: a majority of the members has to be up and to reach each other"
        );
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

/// Asks the given masters, and the other members that these name.
async fn all_members(query: &QueryFlags) -> Vec<MemberRow> {
    let mut to_ask = query.target.masters.addresses().to_vec();
    let mut rows: Vec<MemberRow> = Vec::new();
    let mut asked = 0;
    let admin = Admin::new(query.target.masters.clone());
    while asked < to_ask.len() {
        let address = to_ask[asked].clone();
        asked += 1;
        let answer = admin.status(&address).await;
        let same = |row: &MemberRow| {
            answer
                .as_ref()
                .is_ok_and(|a| row.member_id == a.member.as_ref().map(|m| m.member_id))
        };
        if rows.iter().any(same) {
            continue; // two names of one member
        }
        if let Ok(status) = &answer {
            for member in &status.members {
                if !to_ask.contains(&member.address) {
                    to_ask.push(member.address.clone());
                }
            }
        }
        rows.push(row(address, answer));
    }
    rows.sort_by_key(|row| (row.member_id.is_none(), row.member_id));
    rows
}

fn row(address: String, answer: Result<QuorumStatusResponse, ClientError>) -> MemberRow {
    match answer {
        Ok(status) => MemberRow {
            address: status
                .member
                .as_ref()
                .map_or(address, |m| m.address.clone()),
            member_id: status.member.as_ref().map(|m| m.member_id),
            role: role_name(status.role()).to_owned(),
            term: Some(status.term),
            leader_id: status.leader.as_ref().map(|m| m.member_id),
            applied_index: Some(status.applied_index),
            cluster_id: Some(status.cluster_id),
            version: Some(status.version),
            serving: status.serving,
            error: None,
        },
        Err(error) => MemberRow {
            address,
            member_id: None,
            role: "down".to_owned(),
            term: None,
            leader_id: None,
            applied_index: None,
            cluster_id: None,
            version: None,
            serving: false,
            error: Some(error.to_string()),
        },
    }
}

fn role_name(role: MemberRole) -> &'static str {
    match role {
        MemberRole::Follower => "follower",
        MemberRole::Candidate => "candidate",
        MemberRole::Leader => "leader",
        MemberRole::Learner => "learner",
        MemberRole::Stopped => "stopped",
    }
}

/// Tries again while the member is catching up.
async fn promote(target: &Target, id: u64) -> Result<Vec<Member>, ClientError> {
    let admin = Admin::new(target.masters.clone());
    let started = Instant::now();
    loop {
        match admin.promote_member(id).await {
            Err(ClientError::Status {
                status: 412 | 503, ..
            }) if started.elapsed() < target.timeout => {
                tokio::time::sleep(PROMOTE_PAUSE).await;
            }
            result => return result,
        }
    }
}

fn members(members: &[Member]) -> anyhow::Result<ExitCode> {
    for member in members {
        let vote = if member.voter {
            "has a vote"
        } else {
            "has no vote"
        };
        println!("member {} at {} {vote}", member.member_id, member.address);
    }
    Ok(ExitCode::SUCCESS)
}

fn transfer_leader(target: &Target, to: Option<u64>) -> anyhow::Result<ExitCode> {
    let admin = Admin::new(target.masters.clone());
    let answer = block_on(admin.transfer_leader(to))??;
    match answer.leader {
        Some(leader) => {
            println!(
                "member {} at {} leads term {}",
                leader.member_id, leader.address, answer.term
            );
            Ok(ExitCode::SUCCESS)
        }
        None => anyhow::bail!("the leader stepped down, and no other member leads yet"),
    }
}
