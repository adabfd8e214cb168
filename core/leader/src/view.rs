//! The leader's soft state as readers see it: immutable, cheap to clone, published by
//! the shell beside the registry after each batch of steps.

use std::sync::Arc;

use caprock_model::{AgentId, FrameworkId, Millis, OfferId};
use caprock_proto::mesos::v1::allocator::InverseOfferStatus;
use caprock_proto::mesos::v1::{InverseOffer, MasterInfo, Offer};
use rpds::RedBlackTreeMapSync;

use crate::input::Term;

/// What only the leader knows.
#[derive(Debug, Clone, Default)]
pub struct LeaderView {
    pub term: Term,
    pub elected_at: Millis,
    pub master: Arc<MasterInfo>,
    /// Outstanding offers in the format of the operator API.
    pub offers: RedBlackTreeMapSync<OfferId, Arc<Offer>>,
    /// Frameworks with an open stream.
    pub connected_frameworks: RedBlackTreeMapSync<FrameworkId, ()>,
    /// Agents with an attached session.
    pub connected_agents: RedBlackTreeMapSync<AgentId, ()>,
    /// Outstanding inverse offers.
    pub inverse_offers: RedBlackTreeMapSync<OfferId, Arc<InverseOffer>>,
    /// What each framework answered last about each agent.
    pub inverse_answers: RedBlackTreeMapSync<(AgentId, FrameworkId), Arc<InverseOfferStatus>>,
    /// How many agents are missing, if it is so many that none is marked unreachable.
    pub mass_loss: Option<usize>,
    /// Counters and gauges by metric name, such as `master/messages_kill_task`.
    pub metrics: Metrics,
}

/// Values of the leader's counters.
pub type Metrics = RedBlackTreeMapSync<&'static str, f64>;
