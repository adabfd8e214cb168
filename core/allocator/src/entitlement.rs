//! Whether an agent can be offered to a framework at all, and what is worth an offer.

use caprock_model::{Capabilities, Quantities, Resource, Resources, Scalar};

use crate::allocation::Reason;
use crate::request::{AgentSupply, Options};

/// Whether the agent can be offered to the framework in this role at all.
pub(crate) fn receivable(
    agent: &AgentSupply,
    is_nested_role: bool,
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
    if is_nested_role && !agent.capabilities.hierarchical_role {
        return Err(Reason::AgentLacksHierarchicalRole);
    }
    Ok(())
}

/// Whether resources are enough for an offer: at least one of the alternatives is in them.
/// Ranges and sets count by their members. Without alternatives anything is enough.
pub fn is_allocatable(resources: &Resources, alternatives: &[Quantities]) -> bool {
    let all = resources
        .iter()
        .map(|entry| (entry, entry.amount().count()));
    is_enough(&all, alternatives)
}

/// The same for amounts that are not in a collection.
pub(crate) fn is_enough<'a>(
    amounts: &(impl Iterator<Item = (&'a Resource, Scalar)> + Clone),
    alternatives: &[Quantities],
) -> bool {
    let mut some = amounts.clone().filter(|(_, amount)| !amount.is_zero());
    if some.next().is_none() {
        return false;
    }
    let count = |name| -> Scalar {
        let of_name = amounts.clone().filter(|(entry, _)| entry.name() == name);
        of_name.map(|(_, amount)| amount).sum()
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
