//! What the tasks of requests share: settings, the log, the published state, the driver.

use std::sync::Arc;

use caprock_model::Millis;

use crate::acl::Acls;
use crate::auth::Authenticator;
use crate::config::MasterConfig;
use crate::driver::DriverHandle;
use crate::gateway::Gateway;
use crate::identity::Identity;
use crate::logging_level::LoggingLevel;
use crate::machine::RegistryStore;
use crate::published::Published;
use crate::requests::Requests;

/// One running master.
#[derive(Debug)]
pub struct Master {
    pub config: MasterConfig,
    pub identity: Identity,
    pub started_at: Millis,
    pub store: RegistryStore,
    pub published: Arc<Published>,
    pub driver: DriverHandle,
    pub authenticator: Authenticator,
    pub acls: Acls,
    pub gateway: Gateway,
    pub logging_level: LoggingLevel,
    pub requests: Requests,
}

impl Master {
    /// Whether this member may answer for the cluster at this moment.
    pub fn is_serving(&self) -> bool {
        self.published.standing().leading_term().is_some() && self.store.has_quorum_lease()
    }
}
