//! The promises of Caprock, tested from outside on real processes.
//!
//! Each test starts its own cluster in a temporary directory. `script/test end_to_end`
//! runs only these; `CAPROCK` names another binary than the one that cargo built.

mod agent;
mod agent_life;
mod cli;
mod failover;
mod gateway;
mod input;
mod launch;
mod membership;
mod quota;
mod reservations;
mod restart;
mod third_party;
