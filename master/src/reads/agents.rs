//! Agents as GET_AGENTS shows them.

use caprock_proto::mesos::v1::master::response::{GetAgents, get_agents};
use caprock_registry::Agent;

use super::Snapshot;

/// All reachable agents. None is ever "recovered": the log has what Mesos' masters learn
/// only when an agent comes back.
pub fn agents(snapshot: &Snapshot) -> GetAgents {
    GetAgents {
        agents: snapshot
            .reachable_agents()
            .map(|a| agent(snapshot, a))
            .collect(),
        recovered_agents: Vec::new(),
    }
}

/// One agent.
pub fn agent(snapshot: &Snapshot, agent: &Agent) -> get_agents::Agent {
    get_agents::Agent {
        agent_info: (*agent.info).clone(),
        active: snapshot.is_active(agent),
        deactivated: Some(agent.deactivated),
        version: agent.version.to_string(),
        pid: Some(pid(agent)),
        registered_time: Some(agent.registered_at.to_proto()),
        reregistered_time: agent.reregistered_at.map(|at| at.to_proto()),
        total_resources: agent.total.to_protos_for_endpoints(),
        allocated_resources: agent.used.to_protos_for_endpoints(),
        offered_resources: snapshot.offered_on(&agent.id).to_protos_for_endpoints(),
        capabilities: agent.capabilities.to_protos(),
        resource_providers: Vec::new(),
        drain_info: agent.drain.map(|drain| drain.to_info()),
        estimated_drain_start_time: agent.drain.map(|drain| drain.started_at.to_proto()),
    }
}

/// libprocess' name of an agent, from which tools take its address.
pub fn pid(agent: &Agent) -> String {
    format!("slave(1)@{}", agent.address)
}
