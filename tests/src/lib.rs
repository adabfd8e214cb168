//! What the end-to-end tests are made of: real processes on this machine, and a framework
//! that drives them from outside.
//!
//! ```text
//!   Cluster ── starts, kills, stops ──► caprock master ×N, caprock agent ×M  (Process)
//!   Framework ── v1 scheduler API ────► any master
//!   eventually ── waits for a condition with a deadline, never for a time
//! ```
//!
//! Reading order: [`process`], [`cluster`], [`framework`], [`steady`], [`wait`].

pub mod cluster;
pub mod framework;
pub mod process;
pub mod steady;
pub mod wait;

pub use cluster::Cluster;
pub use framework::Framework;
pub use process::Process;
pub use steady::Steady;
pub use wait::eventually;
