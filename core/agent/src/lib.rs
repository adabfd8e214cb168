//! The brain of a Caprock agent: which leader it obeys, what it runs, and what it has still to
//! tell. It is pure: one input and the time go in, effects come out; the shell does the rest.
//!
//! ```text
//!  masters ── FromMaster ──►┌────────────────────────────┐──► Checkpoint (always first)
//!  executors ─ SUBSCRIBE ──►│ link · fence · attach      │──► ToMaster
//!              UPDATE ─────►│ orders ─ launch, kill, ... │──► Launch, Signal, StartChecks
//!  containers ─ started ───►│ lifecycle · command_task   │──► Reply, Event, Close
//!               exited ────►│ status_updates             │──► Wake ─┐
//!  clock ── Timer ─────────►└────────────────────────────┘          │
//!             ▲─────────────────────────────────────────────────────┘
//! ```
//!
//! It does no I/O, reads no clock and starts no process.
//!
//! Reading order: [`input`] and [`effect`] are the contract with the shell; `agent` has the
//! state and the step; `link`, `fence` and `attach` are about masters; `orders` hands out what
//! a leader wants (`launch`, `group`, `kill`, `shutdown`, `reconcile`, ...); `lifecycle` is
//! about containers, `command_task` and `pods` about tasks that the agent runs itself, `custom`,
//! `subscribe` and `executor_call` about executors of frameworks; `updates` makes statuses
//! and `status_updates` delivers them; [`checkpoint`] and [`recovery`] carry all of it over a
//! restart; [`view`] is for readers.

pub mod checkpoint;
pub mod config;
pub mod effect;
pub mod input;
pub mod recovery;
pub mod view;
mod volumes;

mod agent;
mod attach;
mod checks;
mod command_task;
mod custom;
mod drain;
mod executor;
mod executor_call;
mod exit_status;
mod fence;
mod finished;
mod framework;
mod group;
mod history;
mod ids;
mod kill;
mod launch;
mod lifecycle;
mod link;
mod messages;
mod metrics;
mod operations;
mod orders;
mod pods;
mod read;
mod reconcile;
mod retire;
mod shutdown;
mod status_updates;
mod subscribe;
mod task;
mod updates;

#[cfg(test)]
mod tests;

pub use agent::Agent;
pub use checkpoint::{Key, Write};
pub use config::{Config, ReconfigurationPolicy, Recover};
pub use drain::Drain;
pub use effect::{Effect, Effects, LaunchSpec, Reply, Signal};
pub use input::{ConnectionId, Input, LinkId, Moment, RequestId, TimerKey};
pub use recovery::{ContainerProbe, Recovered, StoredContainer, agent_id_in, containers_in};
pub use view::AgentView;
pub use volumes::{Place as VolumePlace, Volume, VolumeMount};
