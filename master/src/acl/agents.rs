//! Who may send agents and machines away, and plan maintenance. There is no list of single
//! agents or machines: an entry is about all of them, or none.

use caprock_proto::mesos::v1::master::{Call, call};
use serde::Deserialize;

use super::{Acls, Entity};

/// The lists of this family.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Lists {
    update_maintenance_schedules: Vec<OfMachines>,
    get_maintenance_schedules: Vec<OfMachines>,
    start_maintenances: Vec<OfMachines>,
    stop_maintenances: Vec<OfMachines>,
    get_maintenance_statuses: Vec<OfMachines>,
    drain_agents: Vec<OfAgents>,
    deactivate_agents: Vec<OfAgents>,
    reactivate_agents: Vec<OfAgents>,
    mark_agents_gone: Vec<OfAgents>,
}

#[derive(Debug, Deserialize)]
struct OfMachines {
    principals: Entity,
    machines: Entity,
}

#[derive(Debug, Deserialize)]
struct OfAgents {
    principals: Entity,
    agents: Entity,
}

impl Acls {
    /// Whether this principal may make a call about agents or machines.
    pub fn may_care_for_agents(&self, principal: Option<&str>, call: &Call) -> bool {
        let lists = &self.agents;
        let of_machines = |list: &[OfMachines]| {
            let pairs = list.iter().map(|acl| (&acl.principals, &acl.machines));
            self.decide(pairs, principal, None)
        };
        let of_agents = |list: &[OfAgents]| {
            let pairs = list.iter().map(|acl| (&acl.principals, &acl.agents));
            self.decide(pairs, principal, None)
        };
        match call.r#type() {
            call::Type::UpdateMaintenanceSchedule => {
                of_machines(&lists.update_maintenance_schedules)
            }
            call::Type::GetMaintenanceSchedule => of_machines(&lists.get_maintenance_schedules),
            call::Type::GetMaintenanceStatus => of_machines(&lists.get_maintenance_statuses),
            call::Type::StartMaintenance => of_machines(&lists.start_maintenances),
            call::Type::StopMaintenance => of_machines(&lists.stop_maintenances),
            call::Type::DrainAgent => {
                let marks_gone = call.drain_agent.as_ref().is_some_and(|d| d.mark_gone());
                of_agents(&lists.drain_agents)
                    && (!marks_gone || of_agents(&lists.mark_agents_gone))
            }
            call::Type::DeactivateAgent => of_agents(&lists.deactivate_agents),
            call::Type::ReactivateAgent => of_agents(&lists.reactivate_agents),
            call::Type::MarkAgentGone => of_agents(&lists.mark_agents_gone),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drain_that_marks_gone_needs_both() {
        let acls: Acls = serde_json::from_str(
            r#"{"drain_agents": [
                {"principals": {"values": ["alice", "bob"]}, "agents": {"type": "ANY"}},
                {"principals": {"type": "ANY"}, "agents": {"type": "NONE"}}],
               "mark_agents_gone": [
                {"principals": {"values": ["alice"]}, "agents": {"type": "ANY"}},
                {"principals": {"type": "ANY"}, "agents": {"type": "NONE"}}]}"#,
        )
        .unwrap();
        let drain = |mark_gone| Call {
            r#type: Some(call::Type::DrainAgent as i32),
            drain_agent: Some(call::DrainAgent {
                mark_gone: Some(mark_gone),
                ..call::DrainAgent::default()
            }),
            ..Call::default()
        };
        assert!(acls.may_care_for_agents(Some("alice"), &drain(true)));
        assert!(acls.may_care_for_agents(Some("bob"), &drain(false)));
        assert!(!acls.may_care_for_agents(Some("bob"), &drain(true)));
        assert!(!acls.may_care_for_agents(None, &drain(false)));
        let gone = Call {
            r#type: Some(call::Type::MarkAgentGone as i32),
            ..Call::default()
        };
        assert!(!acls.may_care_for_agents(Some("bob"), &gone));
        assert!(Acls::default().may_care_for_agents(None, &gone));
    }
}
