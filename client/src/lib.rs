//! The Rust SDK of Caprock: schedulers, executors and operator tools.
//!
//! It speaks the Mesos v1 HTTP API in protobuf, to any member of the quorum or to a
//! gateway, finds the leader, and tries the next master when one does not answer.
//! It is not needed to use Caprock: every Mesos v1 client works unchanged.
//!
//! ```text
//!   Masters "a:5050,b:5050,c:5050"
//!      │
//!      ├── Operator ── call() ──────────────► POST /api/v1
//!      ├── Scheduler ─ subscribe(), call() ─► POST /api/v1/scheduler   ◄── EventStream
//!      └── Admin ───── quorum status, ... ──► gRPC caprock.admin
//!   Executor ───────── subscribe(), call() ─► POST /api/v1/executor of the agent
//!   sandbox::tail ─────────────────────────► GET /files/read of the agent
//! ```
//!
//! Reading order: [`masters`], [`http`], [`stream`], [`scheduler`], [`executor`],
//! [`operator`], [`admin`], [`sandbox`], [`error`].

pub mod admin;
pub mod error;
pub mod executor;
pub mod http;
pub mod masters;
pub mod operator;
pub mod sandbox;
pub mod scheduler;
pub mod stream;

pub use admin::Admin;
pub use error::ClientError;
pub use executor::Executor;
pub use masters::Masters;
pub use operator::Operator;
pub use scheduler::Scheduler;
pub use stream::EventStream;
