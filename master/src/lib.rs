//! The master's shell: everything between the sockets and the deterministic core.
//!
//! It takes no scheduling decision and keeps no state of the cluster: the brain is in
//! `caprock-leader`, the state in `caprock-registry`, the log in `caprock-raft-store`.
//!
//! ```text
//!   schedulers, operators ──► http ──────┐            ┌──► raft-store ──► machine ─┐
//!                               │        ├──► driver ─┤                            │
//!   agents, CLI ────────────► grpc ──────┘     ▲      └──► streams, orders         │
//!                               │              │ leadership                        │
//!        not the leader? ──► gateway ──► leader│                 published ◄───────┘
//!        reads, metrics ◄──────────────────────┴──────────────── (registry, view)
//! ```
//!
//! Reading order: [`config`]; `node` (assembles, nothing else); `driver` (the loop);
//! `leadership`, `machine` and `published` (log, state, who leads); `http` (every endpoint);
//! [`gateway`] (members that do not lead); `grpc`; `reads` and `metrics` (what is shown).

mod acl;
mod auth;
mod change;
mod clock;
pub mod config;
mod context;
mod driver;
pub mod gateway;
mod grpc;
mod host;
mod hostname;
mod http;
pub mod identity;
mod leadership;
mod listen;
mod logging_level;
mod machine;
mod metrics;
pub mod node;
mod published;
mod reads;
mod requests;
mod source;
mod standing;
mod version;

pub use config::{FollowerMode, MasterConfig, MemberId};
pub use identity::{CAPROCK_VERSION, MESOS_VERSION};
pub use node::run;
