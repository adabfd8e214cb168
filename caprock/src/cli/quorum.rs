//! Flags of `caprock quorum`.

use clap::{Args, Subcommand};

use super::{QueryFlags, Target};

#[derive(Debug, Args)]
pub struct QuorumFlags {
    #[command(subcommand)]
    pub command: QuorumCommand,
}

#[derive(Debug, Subcommand)]
pub enum QuorumCommand {
    /// What each member says of itself; exits with 1 if there is no leader
    Status(QueryFlags),
    /// Make the leader hand over to another member
    ///
    /// Frameworks and agents go on with the new leader. Done by itself when a leader is
    /// stopped with SIGTERM.
    TransferLeader {
        #[command(flatten)]
        target: Target,
        /// The member that shall lead; by default the one that is furthest ahead
        #[arg(long, value_name = "MEMBER ID")]
        to: Option<u64>,
    },
    /// Add a member without a vote; it receives the log
    ///
    /// Start it first, with an empty --data-dir, an --id that was never used, and --quorum
    /// naming the members and itself. Then add it here, and give it a vote with promote.
    Add {
        #[command(flatten)]
        target: Target,
        /// The new member, such as 4=10.0.0.4:5050
        #[arg(value_name = "ID=HOST:PORT", value_parser = member)]
        member: (u64, String),
    },
    /// Give a member a vote; waits until it has caught up
    Promote {
        #[command(flatten)]
        target: Target,
        /// The member
        #[arg(value_name = "MEMBER ID")]
        id: u64,
    },
    /// Remove a member for good; its id is never used again
    Remove {
        #[command(flatten)]
        target: Target,
        /// The member
        #[arg(value_name = "MEMBER ID")]
        id: u64,
    },
}

/// `4=10.0.0.4:5050`
fn member(text: &str) -> Result<(u64, String), String> {
    let members = super::master::quorum(text)?;
    match members.into_iter().next() {
        Some(member) if !text.contains(',') => Ok(member),
        _ => Err("one member is added at a time".to_owned()),
    }
}
