//! The HTTP endpoints of a master.
//!
//! Reading order: [`route`] (paths and rules), [`server`] (one request from end to end),
//! [`call`] (bodies), [`scheduler`], [`operator`], [`legacy`].

mod answer;
pub(crate) mod call;
mod event_body;
mod leadership;
mod legacy;
mod operator;
mod route;
mod scheduler;
mod server;

pub use scheduler::STREAM_ID;
pub use server::Server;
