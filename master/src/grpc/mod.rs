//! The gRPC services beside the members' own: sessions of agents, and the administrator's.

mod admin;
mod agent;

pub use admin::AdminService;
pub use agent::AgentService;
