//! One file per command.

pub mod agent;
pub mod agents;
pub mod completions;
pub mod dev;
pub mod frameworks;
pub mod gateway;
pub mod master;
pub mod quorum;
pub mod run;
pub mod tasks;
pub mod version;
