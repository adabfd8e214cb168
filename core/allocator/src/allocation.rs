//! What a cycle comes to: grants, and the reasons for everything that was not granted.

use std::collections::BTreeMap;
use std::fmt;

use caprock_model::{AgentId, FrameworkId, Resources, Role};

/// The result of a cycle.
#[derive(Debug, Clone, Default)]
pub struct Allocation {
    /// In the order in which they were made. At most one per framework, role and agent.
    pub grants: Vec<Grant>,
    /// For each framework in each of its roles, how its turns ended.
    pub tallies: BTreeMap<(Role, FrameworkId), Tally>,
    /// How many agents had something free.
    pub agents: u32,
}

/// Resources of one agent that one framework is to be offered in one role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// Who.
    pub framework: FrameworkId,
    /// In which role.
    pub role: Role,
    /// Whose.
    pub agent: AgentId,
    /// What, allocated to the role.
    pub resources: Resources,
}

/// Why a framework was not offered an agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// Others came first and left nothing.
    NothingLeft,
    /// What is free is reserved to roles that are neither this one nor above it.
    ReservedToOthers,
    /// The agent has GPUs, and the framework does not ask for them.
    GpuAgent,
    /// The agent lies in another region, and the framework is not aware of regions.
    RemoteAgent,
    /// The framework may have several roles, which the agent does not understand.
    AgentLacksMultiRole,
    /// The role has a parent, which the agent does not understand.
    AgentLacksHierarchicalRole,
    /// All that is free is shared, revocable or reserved in a way that the framework does
    /// not understand.
    NotUnderstood,
    /// Less than the minimum of an offer.
    BelowMinimum,
    /// The role has reached the limits of its quota.
    QuotaLimit,
    /// What is free is kept for the guarantees of other roles.
    QuotaHeadroom,
    /// The framework refused as much of this agent before.
    Filtered,
    /// The framework's offer constraints exclude the agent.
    Constraints,
}

impl Reason {
    /// All reasons, in the order of their declaration.
    pub const ALL: [Reason; 12] = [
        Reason::NothingLeft,
        Reason::ReservedToOthers,
        Reason::GpuAgent,
        Reason::RemoteAgent,
        Reason::AgentLacksMultiRole,
        Reason::AgentLacksHierarchicalRole,
        Reason::NotUnderstood,
        Reason::BelowMinimum,
        Reason::QuotaLimit,
        Reason::QuotaHeadroom,
        Reason::Filtered,
        Reason::Constraints,
    ];
}

impl Reason {
    /// The reason as one word, for programs.
    pub fn as_str(self) -> &'static str {
        match self {
            Reason::NothingLeft => "NOTHING_LEFT",
            Reason::ReservedToOthers => "RESERVED_TO_OTHERS",
            Reason::GpuAgent => "GPU_AGENT",
            Reason::RemoteAgent => "REMOTE_AGENT",
            Reason::AgentLacksMultiRole => "AGENT_LACKS_MULTI_ROLE",
            Reason::AgentLacksHierarchicalRole => "AGENT_LACKS_HIERARCHICAL_ROLE",
            Reason::NotUnderstood => "NOT_UNDERSTOOD",
            Reason::BelowMinimum => "BELOW_MINIMUM",
            Reason::QuotaLimit => "QUOTA_LIMIT",
            Reason::QuotaHeadroom => "QUOTA_HEADROOM",
            Reason::Filtered => "FILTERED",
            Reason::Constraints => "CONSTRAINTS",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Reason::NothingLeft => "nothing was left by those with smaller shares",
            Reason::ReservedToOthers => "everything free is reserved to other roles",
            Reason::GpuAgent => "the agent has GPUs, which the framework does not ask for",
            Reason::RemoteAgent => "the agent is in another region",
            Reason::AgentLacksMultiRole => "the agent lacks the capability MULTI_ROLE",
            Reason::AgentLacksHierarchicalRole => {
                "the agent lacks the capability HIERARCHICAL_ROLE"
            }
            Reason::NotUnderstood => "the framework lacks a capability for what is free",
            Reason::BelowMinimum => "less is free than the minimum of an offer",
            Reason::QuotaLimit => "the role has reached the limits of its quota",
            Reason::QuotaHeadroom => "what is free is kept for the guarantees of other roles",
            Reason::Filtered => "the framework has refused it for a while",
            Reason::Constraints => "the framework's offer constraints exclude the agent",
        })
    }
}

/// How the turns of one framework in one role ended, over all agents with something free.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// How many agents it was granted something of.
    pub granted: u32,
    refused: [u32; Reason::ALL.len()],
}

impl Tally {
    /// How many agents it was not granted for this reason.
    pub fn refused(&self, reason: Reason) -> u32 {
        self.refused[reason as usize]
    }

    /// The reasons that occurred, with the numbers of agents.
    pub fn reasons(&self) -> impl Iterator<Item = (Reason, u32)> {
        let occurred = |reason| (reason, self.refused(reason));
        Reason::ALL
            .into_iter()
            .map(occurred)
            .filter(|(_, agents)| *agents > 0)
    }

    pub(crate) fn count(&mut self, reason: Reason) {
        self.refused[reason as usize] += 1;
    }

    /// Settles the account: agents that were neither granted nor refused were used up before
    /// the framework's turn came.
    pub(crate) fn settle(&mut self, agents: u32, reserved_to_others: u32) {
        self.refused[Reason::ReservedToOthers as usize] += reserved_to_others;
        let seen: u32 = self.granted + self.refused.iter().sum::<u32>();
        self.refused[Reason::NothingLeft as usize] += agents.saturating_sub(seen);
    }
}
