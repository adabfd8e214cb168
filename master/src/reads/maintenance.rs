//! The maintenance schedule, and what frameworks say to it.

use caprock_proto::mesos::v1::maintenance::cluster_status::DrainingMachine;
use caprock_proto::mesos::v1::maintenance::{ClusterStatus, Schedule};
use caprock_registry::Machine;

use crate::published::Published;

/// As it was given; empty if it is not to be shown.
pub fn maintenance_schedule(published: &Published, shown: bool) -> Schedule {
    match shown {
        true => Schedule::clone(&published.registry().maintenance().schedule),
        false => Schedule::default(),
    }
}

/// Machines that are draining, with the answers to inverse offers, and those that are down.
pub fn maintenance_status(published: &Published, shown: bool) -> ClusterStatus {
    let mut status = ClusterStatus::default();
    if !shown {
        return status;
    }
    let (registry, view) = (published.registry_to_keep(), published.view());
    let maintenance = registry.maintenance();
    for (id, _) in maintenance.machines() {
        if maintenance.is_down(id) {
            status.down_machines.push(id.clone());
            continue;
        }
        let machine = Machine::from(id);
        let is_there = |agent: &&std::sync::Arc<caprock_registry::Agent>| machine.holds(agent);
        let answers = view
            .inverse_answers
            .iter()
            .filter(|((agent, _), _)| registry.agent(agent).as_ref().is_some_and(is_there));
        status.draining_machines.push(DrainingMachine {
            id: id.clone(),
            statuses: answers.map(|(_, answer)| (**answer).clone()).collect(),
        });
    }
    status
}
