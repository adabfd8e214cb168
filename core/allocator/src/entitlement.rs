//! What of an agent's free resources a framework may be offered in a role. Limits and
//! guarantees of quota cut here, once there are any.

use caprock_model::{Capabilities, Quantities, Resource, Resources, Scalar};

use crate::allocation::Reason;
use crate::request::{AgentSupply, Options};

/// Whether the agent can be offered to the framework in this role at all.
pub(crate) fn receivable(
    agent: &AgentSupply,
    role: &str,
    capabilities: Capabilities,
    options: &Options,
) -> Result<(), Reason> {
    if agent.has_gpus && options.filter_gpu_resources && !capabilities.gpu_resources {
        return Err(Reason::GpuAgent);
    }
    if agent.is_remote && !capabilities.region_aware {
        return Err(Reason::RemoteAgent);
    }
    if capabilities.multi_role && !agent.capabilities.multi_role {
        return Err(Reason::AgentLacksMultiRole);
    }
    if role.contains('/') && !agent.capabilities.hierarchical_role {
        return Err(Reason::AgentLacksHierarchicalRole);
    }
    Ok(())
}

/// What is free for one role on one agent, cut down to what frameworks understand. Most
/// frameworks understand the same: each cut is made once.
#[derive(Debug)]
pub(crate) struct Portions {
    free: Resources,
    cuts: [Option<Resources>; 8],
}

impl Portions {
    pub(crate) fn new(free: Resources) -> Self {
        Self {
            free,
            cuts: Default::default(),
        }
    }

    /// The part that a framework with these capabilities understands.
    pub(crate) fn understood(&mut self, capabilities: Capabilities) -> &Resources {
        let cut = usize::from(capabilities.shared_resources)
            | usize::from(capabilities.revocable_resources) << 1
            | usize::from(capabilities.reservation_refinement) << 2;
        let understands = |entry: &Resource| {
            (!entry.is_shared() || capabilities.shared_resources)
                && (!entry.is_revocable() || capabilities.revocable_resources)
                && (!entry.is_refined() || capabilities.reservation_refinement)
        };
        self.cuts[cut].get_or_insert_with(|| self.free.filter(understands))
    }
}

/// Whether resources are enough for an offer: at least one of the alternatives is in them.
/// Ranges and sets count by their members. Without alternatives anything is enough.
pub fn is_allocatable(resources: &Resources, alternatives: &[Quantities]) -> bool {
    if resources.is_empty() {
        return false;
    }
    let count = |name| -> Scalar {
        let of_name = resources.iter().filter(|entry| entry.name() == name);
        of_name.map(|entry| entry.amount().count()).sum()
    };
    alternatives.is_empty()
        || alternatives
            .iter()
            .any(|minimum| minimum.iter().all(|(name, amount)| count(name) >= amount))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_alternative_is_enough() {
        let enough = |text: &str, alternatives: &[&str]| {
            let resources = Resources::parse(text, "*").unwrap();
            let alternatives: Vec<_> = alternatives
                .iter()
                .map(|text| Quantities::parse(text).unwrap())
                .collect();
            is_allocatable(&resources, &alternatives)
        };
        const DEFAULT: [&str; 2] = ["cpus:0.01", "mem:32"];
        assert!(!enough("cpus:0.005;mem:16", &DEFAULT));
        assert!(enough("cpus:0.005;mem:32", &DEFAULT));
        assert!(enough("cpus:0.01", &DEFAULT));
        assert!(!enough("disk:100", &DEFAULT));
        assert!(enough("disk:100", &[]));
        assert!(!enough("", &[]));
        assert!(!enough("cpus:1;mem:1", &["cpus:1;mem:32"]));
        assert!(enough("ports:[1-5,9-9]", &["ports:6"]));
        assert!(!enough("ports:[1-5,9-9]", &["ports:7"]));
        assert!(enough("cpus:1;cpus(a):1", &["cpus:2"]));
    }
}
