//! The agent's one port: the executor API, the operator API, and the endpoints that tools
//! written for Mesos read.
//!
//! Reading order: `server`, `route`, `executor`, `operator`, then the `legacy` readers.

mod call;
mod containers;
mod executor;
mod files;
mod legacy;
mod metrics;
mod operator;
mod route;
mod sandbox_file;
pub mod server;
mod session;
mod state;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use caprock_agent_core::view::AgentView;
use caprock_http::{Reply, reply};
use http::StatusCode;

use crate::config::AgentConfig;
use crate::containerizer::Containerizer;
use crate::inbox::Inbox;

/// An answer that ends the handling of a request early.
type Refusal = Box<Reply>;

/// What the handlers need; cheap to clone.
#[derive(Debug, Clone)]
pub struct Context {
    pub inbox: Inbox,
    pub containerizer: Containerizer,
    /// The containers of an earlier life have been found; executors may come.
    pub recovered: Arc<AtomicBool>,
    pub config: Arc<AgentConfig>,
    /// host:port that others know.
    pub address: String,
}

impl Context {
    fn is_recovered(&self) -> bool {
        self.recovered.load(Ordering::Acquire)
    }

    /// The agent's state, or the answer that there is none to see.
    async fn view(&self) -> Result<Arc<AgentView>, Refusal> {
        if !self.is_recovered() {
            return Err(recovering().into());
        }
        Ok(self.inbox.view().await.ok_or_else(recovering)?)
    }
}

fn recovering() -> Reply {
    reply::text(
        StatusCode::SERVICE_UNAVAILABLE,
        "Agent has not finished recovery",
    )
}
