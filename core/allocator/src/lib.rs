//! Who is offered what: one allocation cycle as a pure function.
//!
//! It keeps nothing between two cycles, knows no sessions and no time, and sends no offers.
//! Whatever depends on those (filters, constraints) it asks of the caller's [`Gate`].
//!
//! ```text
//!   Request                                               Allocation
//!     roles ---> tree: roles by share ----+                 grants: framework, role, agent,
//!     frameworks -> clients: by share ----+--> cycle --->           resources
//!     agents ---> shuffle ----------------+      |          tallies: why each got no more
//!                        entitlement: what of ---+
//!                        an agent's free resources?
//! ```
//!
//! Agents are visited in random order. Each agent is offered to roles in the order of their
//! dominant shares, and within a role to frameworks likewise; the first that wants it takes
//! all of it that it is entitled to. So shares move while the cycle runs (Mesos:
//! src/master/allocator/mesos/hierarchical.cpp, stage 2).
//!
//! To read it: [`Request`] and [`Allocation`], then `cycle`, which is the algorithm; `tree` and
//! `clients` keep the order, `shares` computes them, `entitlement` says what may be offered.

mod allocation;
mod clients;
mod cycle;
mod entitlement;
mod request;
mod shares;
mod shuffle;
#[cfg(test)]
mod tests;
mod tree;

pub use allocation::{Allocation, Grant, Reason, Tally};
pub use cycle::allocate;
pub use entitlement::is_allocatable;
pub use request::{AgentSupply, FrameworkDemand, Gate, OpenGate, Options, Request, RoleDemand};
