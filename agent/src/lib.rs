//! The shell of a Caprock agent: it runs what the brain (`caprock_agent_core`) decides, and
//! tells it what happens. It decides nothing itself about tasks, frameworks or leaders.
//!
//! ```text
//!  masters ◄─► master_link ─┐                       ┌─► links ─► masters
//!  executors ─► http ───────┤► inbox ─► driver ─────┼─► connections ─► executors
//!  tools ─────► http ◄ view ┤           │  ▲        ├─► containerizer ─► shim ─► command
//!  containerizer, checks ───┘    step ▼  │ effects  ├─► checks
//!                                caprock_agent_core └─► checkpoint_store (before all others)
//! ```
//!
//! Reading order: [`node`] puts it together; `driver`, `inbox`, `timers`, `links` and
//! `connections` are the loop; `checkpoint_store` is what survives; `master_link` and `http`
//! are the way out; `containerizer` with [`shim`], `fetcher` and `checks` runs the tasks.

mod checkpoint_store;
mod checks;
mod clock;
pub mod config;
mod connections;
mod containerizer;
mod driver;
mod fetcher;
mod http;
mod inbox;
mod links;
mod machine;
mod master_link;
pub mod node;
mod procfs;
pub mod shim;
pub mod signals;
mod timers;
mod version;
mod volumes;

pub use caprock_agent_core::config::{ReconfigurationPolicy, Recover};
pub use config::AgentConfig;
pub use node::run;
pub use signals::Signals;
