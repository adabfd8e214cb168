//! The nouns of the cluster and their arithmetic: ids, time, roles, resources, tasks, and what
//! makes a message valid.
//!
//! It is not where state is kept and not where anything is decided: nothing here knows which
//! agents, frameworks or offers exist. Everything is a pure function of its arguments.
//!
//! ```text
//!   wire messages (caprock_proto)
//!        |                                    ^
//!        | from_protos, From<&proto>          | to_protos, to_proto
//!        v                                    |
//!   ids  time  role  resources  capabilities  task  attribute  constraints
//!        |
//!        v
//!   validate: Ok, or the sentence that Mesos would answer
//! ```
//!
//! To read it: [`ids`], [`time`], [`role`]; then [`resources`], which everything is about;
//! [`task`], [`framework`], [`capabilities`]; [`attribute`] and [`constraints`];
//! [`validate`] last.

pub mod attribute;
pub mod capabilities;
pub mod constraints;
pub mod framework;
pub mod ids;
pub mod operation;
pub mod resources;
pub mod role;
pub mod task;
pub mod time;
pub mod validate;

pub use capabilities::{AgentCapabilities, Capabilities};
pub use constraints::{AgentTraits, OfferConstraints};
pub use framework::roles_of;
pub use ids::{AgentId, ContainerId, ExecutorId, FrameworkId, OfferId, OperationId, TaskId};
pub use resources::{
    Amount, Items, Name, Quantities, Ranges, Reservation, ReservationKind, Resource, ResourceError,
    Resources, Scalar,
};
pub use role::Role;
pub use time::{DurationError, DurationMs, Millis, format_duration, parse_duration};
