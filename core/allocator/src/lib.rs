//! Who is offered what: one allocation cycle as a pure function.
//!
//! It knows no sessions and no time, and sends no offers. Whatever depends on those (filters,
//! constraints) it asks of the caller's [`Gate`]. [`allocate`] keeps nothing between two
//! cycles; [`Allocator`] keeps what a [`Request`] says, is told of changes, and answers the
//! same.
//!
//! ```text
//!   Request ----> book <---- notices           Allocation
//!                  |  tree: roles by share       grants: framework, role, agent, resources
//!                  |  clients: frameworks        tallies: why each got no more
//!                  |  ledger: quota                   ^
//!                  v                                  |
//!   agents ---> cycle: guarantees, then fair shares --+
//!                  |
//!                  +-- placement: which agent first?
//!                  +-- entitlement, portions: what of an agent's free resources?
//! ```
//!
//! Agents are visited in random order, or by [`Placement`]. Each agent is offered to roles in
//! the order of their dominant shares, and within a role to frameworks likewise; the first
//! that wants it takes all of it that it is entitled to. So shares move while the cycle runs
//! (Mesos: src/master/allocator/mesos/hierarchical.cpp).
//!
//! To read it: [`Request`] and [`Allocation`], then `cycle`, which is the algorithm; `tree` and
//! `clients` keep the order, `shares` computes them, `ledger` keeps quota, `entitlement` and
//! `portions` say what may be offered, `policy` and `placement` what an operator chooses;
//! `from_scratch`, `allocator` and `explain` are the ways to run a cycle.

mod allocation;
mod allocator;
mod book;
mod clients;
mod cycle;
mod entitlement;
mod explain;
mod from_scratch;
mod ledger;
mod placement;
mod policy;
mod portions;
mod request;
mod shares;
mod shuffle;
#[cfg(test)]
mod tests;
mod tree;

pub use allocation::{Allocation, Grant, Reason, Tally};
pub use allocator::Allocator;
pub use entitlement::is_allocatable;
pub use explain::{Explanation, Verdict, explain};
pub use from_scratch::{allocate, allocate_within};
pub use policy::{Placement, Sorter};
pub use request::{
    AgentSupply, FrameworkDemand, Gate, OpenGate, Options, Quota, Request, RoleDemand, Surroundings,
};
