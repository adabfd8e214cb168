//! Answers of the read calls, built from one consistent snapshot: no lock is held and no
//! writer waits. Messages of the v1 API here; the older JSON shapes are in `http/legacy`.

mod agents;
mod executors;
mod frameworks;
mod lists;
mod maintenance;
mod operations;
mod quota;
mod roles;
mod snapshot;
mod tasks;

pub use agents::{agent, agents, pid};
pub use executors::executors;
pub use frameworks::{framework, frameworks, is_recovered};
pub use lists::{state as write_state, write_response};
pub use maintenance::{maintenance_schedule, maintenance_status};
pub use operations::operations;
pub use quota::{quota_status, weight_infos};
pub use roles::{role_uses, roles};
pub use snapshot::Snapshot;
pub use tasks::{completed_tasks, live_tasks, task, tasks, unreachable_tasks};

use caprock_proto::mesos::v1::master::response;

/// All that GET_STATE shows.
pub fn state(snapshot: &Snapshot) -> response::GetState {
    response::GetState {
        get_tasks: Some(tasks(snapshot)),
        get_executors: Some(executors(snapshot)),
        get_frameworks: Some(frameworks(snapshot)),
        get_agents: Some(agents(snapshot)),
    }
}
