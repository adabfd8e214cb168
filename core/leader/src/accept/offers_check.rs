//! Whether the offers of one ACCEPT may be used together (Mesos: the namespace `offer` of
//! src/master/validation.cpp).

use std::collections::BTreeSet;

use caprock_model::{AgentId, FrameworkId, OfferId, Resources, Role};

use super::sum;
use super::vouched::Vouched;
use crate::offers::{Offers, Outstanding};

/// What valid offers amount to.
#[derive(Debug)]
pub(super) struct Basis {
    pub agent: AgentId,
    pub role: Role,
    /// In allocated form.
    pub resources: Resources,
    /// The part of it that offers of former leaders hold.
    pub vouched: Resources,
    /// The framework was told of more: not all of it is free any more.
    pub lapsed: bool,
}

pub(super) fn check(
    offers: &Offers,
    vouched: &Vouched,
    framework: &FrameworkId,
    ids: &[OfferId],
) -> Result<Basis, String> {
    let mut seen = BTreeSet::new();
    if let Some(twice) = ids.iter().find(|id| !seen.insert(*id)) {
        return Err(format!("Duplicate offer {twice} in offer list"));
    }
    let used: Vec<(&OfferId, &Outstanding)> = ids
        .iter()
        .map(|id| check_one(offers, vouched, framework, id))
        .collect::<Result<_, _>>()?;
    let Some((_, first)) = used.first() else {
        return Err("No offers specified".to_owned());
    };
    if let Some((id, other)) = used.iter().find(|(_, offer)| offer.role != first.role) {
        return Err(format!(
            "Aggregated offers must be allocated to the same role. Offer {id} uses role {} but \
             another is using role {}",
            other.role, first.role
        ));
    }
    if let Some((id, other)) = used.iter().find(|(_, offer)| offer.agent != first.agent) {
        return Err(format!(
            "Aggregated offers must belong to one single agent. Offer {id} uses agent {} and \
             agent {}",
            other.agent, first.agent
        ));
    }
    Ok(Basis {
        agent: first.agent.clone(),
        role: first.role.clone(),
        resources: sum(used.iter().map(|(_, offer)| &offer.resources)),
        vouched: sum(used
            .iter()
            .filter(|(id, _)| offers.get(id).is_none())
            .map(|(_, offer)| &offer.resources)),
        lapsed: ids.iter().any(|id| offers.is_shrunk(id)),
    })
}

fn check_one<'a>(
    offers: &'a Offers,
    vouched: &'a Vouched,
    framework: &FrameworkId,
    id: &'a OfferId,
) -> Result<(&'a OfferId, &'a Outstanding), String> {
    let Some(offer) = offers.get(id).or_else(|| vouched.get(id)) else {
        return Err(format!("Offer {id} is no longer valid"));
    };
    if offer.framework != *framework {
        return Err(format!(
            "Offer {id} has invalid framework {} while framework {framework} is expected",
            offer.framework
        ));
    }
    Ok((id, offer))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn offers() -> Offers {
        let mut offers = Offers::default();
        for (id, framework, agent, role) in [
            ("o1", "f", "a", "r"),
            ("o2", "f", "a", "r"),
            ("o3", "f", "b", "r"),
            ("o4", "f", "a", "s"),
            ("o5", "g", "a", "r"),
        ] {
            let offer = Outstanding {
                framework: framework.into(),
                agent: agent.into(),
                role: role.into(),
                resources: Resources::parse("cpus:1", "*").unwrap().allocated_to(role),
            };
            offers.insert(id.into(), offer, Arc::default());
        }
        offers
    }

    fn error(ids: &[&str]) -> String {
        let ids: Vec<OfferId> = ids.iter().map(|id| OfferId::from(*id)).collect();
        check(&offers(), &Vouched::new(), &"f".into(), &ids).unwrap_err()
    }

    #[test]
    fn the_first_problem_is_named() {
        assert_eq!(error(&[]), "No offers specified");
        assert_eq!(
            error(&["o1", "x", "o1"]),
            "Duplicate offer o1 in offer list"
        );
        assert_eq!(error(&["o1", "x", "o5"]), "Offer x is no longer valid");
        assert_eq!(
            error(&["o5"]),
            "Offer o5 has invalid framework g while framework f is expected"
        );
        assert!(error(&["o1", "o4", "o3"]).contains("the same role. Offer o4 uses role s"));
        assert!(error(&["o1", "o3"]).contains("one single agent. Offer o3 uses agent b"));
    }

    #[test]
    fn offers_of_one_agent_and_role_add_up() {
        let ids = ["o1".into(), "o2".into()];
        let basis = check(&offers(), &Vouched::new(), &"f".into(), &ids).unwrap();
        assert!(basis.vouched.is_empty());
        assert_eq!(
            basis.resources,
            Resources::parse("cpus:2", "*").unwrap().allocated_to("r")
        );
        assert_eq!(basis.agent, AgentId::from("a"));
    }
}
