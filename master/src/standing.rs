//! Where this member stands: whether it may answer for the cluster, and if not, who may.

use caprock_leader::Term;

use crate::config::MemberId;

/// A member and its address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leader {
    pub member_id: MemberId,
    /// host:port
    pub address: String,
}

/// The standing of this member, published by the driver.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Standing {
    /// It leads, and the brain runs on everything that was committed before.
    Leading { term: Term },
    /// It won an election but has not yet applied what was committed before.
    Preparing,
    /// Another member leads.
    Following(Leader),
    /// Nobody is known to lead.
    #[default]
    Leaderless,
}

impl Standing {
    /// The term that this member leads.
    pub fn leading_term(&self) -> Option<Term> {
        match self {
            Self::Leading { term } => Some(*term),
            Self::Preparing | Self::Following(_) | Self::Leaderless => None,
        }
    }
}
