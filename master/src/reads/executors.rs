//! Executors as GET_EXECUTORS shows them.

use caprock_proto::mesos::v1::master::response::{GetExecutors, get_executors};

use super::Snapshot;

/// Custom and default executors of all agents.
pub fn executors(snapshot: &Snapshot) -> GetExecutors {
    let mut executors = Vec::new();
    for agent in snapshot.registry.agents() {
        for executor in agent.executors.values() {
            let mut info = (*executor.info).clone();
            info.framework_id
                .get_or_insert_with(|| executor.framework_id.to_proto());
            info.resources = executor.resources.to_protos_for_endpoints();
            executors.push(get_executors::Executor {
                executor_info: info,
                agent_id: agent.id.to_proto(),
            });
        }
    }
    GetExecutors {
        executors,
        ..GetExecutors::default()
    }
}
