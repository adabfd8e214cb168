//! Frameworks as GET_FRAMEWORKS shows them.

use caprock_proto::mesos::v1::master::response::{GetFrameworks, get_frameworks};
use caprock_registry::Framework;

use super::Snapshot;

/// All frameworks, and those that were removed lately.
pub fn frameworks(snapshot: &Snapshot) -> GetFrameworks {
    let registry = &snapshot.registry;
    GetFrameworks {
        frameworks: registry
            .frameworks()
            .map(|f| framework(snapshot, f))
            .collect(),
        completed_frameworks: snapshot
            .completed_frameworks()
            .map(|f| framework(snapshot, f))
            .collect(),
        ..GetFrameworks::default()
    }
}

/// One framework.
pub fn framework(snapshot: &Snapshot, framework: &Framework) -> get_frameworks::Framework {
    let connected = snapshot.is_connected(framework);
    let offers = snapshot.offers_of(&framework.id);
    get_frameworks::Framework {
        framework_info: (*framework.info).clone(),
        active: connected,
        connected,
        recovered: is_recovered(framework),
        registered_time: Some(framework.registered_at.to_proto()),
        reregistered_time: framework.reregistered_at.map(|at| at.to_proto()),
        unregistered_time: framework.unregistered_at.map(|at| at.to_proto()),
        offers: offers.iter().map(|offer| (**offer).clone()).collect(),
        inverse_offers: snapshot.inverse_offers_of(&framework.id),
        allocated_resources: snapshot.used_by(&framework.id).to_protos_for_endpoints(),
        offered_resources: snapshot.offered_to(&framework.id).to_protos_for_endpoints(),
        offer_constraints: framework.constraints.as_deref().cloned(),
    }
}

/// Known only from what an agent reported: its scheduler has never subscribed.
pub fn is_recovered(framework: &Framework) -> bool {
    !framework.subscribed && framework.deadline.is_none() && !framework.is_completed()
}
