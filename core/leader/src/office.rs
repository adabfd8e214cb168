//! The soft state of one leadership: everything here is lost with it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use caprock_model::{FrameworkId, Millis};
use caprock_proto::mesos::v1::MasterInfo;

use crate::accept::launch::Launching;
use crate::accept::repeat::CallKey;
use crate::accept::ticket::Ticket;
use crate::agents::Agents;
use crate::allocate::Allocation;
use crate::config::Config;
use crate::drains::Drains;
use crate::executors::Exits;
use crate::filters::Filters;
use crate::input::{RequestId, Term};
use crate::inverse_offers::InverseOffers;
use crate::machines::Windows;
use crate::metrics::Counters;
use crate::offers::Offers;
use crate::patience::Patience;
use crate::propose::Proposals;
use crate::session::Sessions;
use crate::updates::Updates;
use crate::view::LeaderView;

/// What a leader knows beyond the registry. It keeps no copy of what the registry holds.
#[derive(Debug)]
pub(crate) struct Office {
    pub config: Arc<Config>,
    pub term: Term,
    pub elected_at: Millis,
    /// Its id is the prefix of all ids made in this leadership.
    pub master: Arc<MasterInfo>,
    pub sessions: Sessions,
    pub offers: Offers,
    pub filters: Filters,
    pub agents: Agents,
    pub proposals: Proposals,
    pub updates: Updates,
    pub allocation: Allocation,
    /// Tasks and executors of launches on their way through the log.
    pub launching: Launching,
    pub exits: Exits,
    /// ACCEPT calls that wait for their launches.
    pub tickets: BTreeMap<RequestId, Ticket>,
    /// Those of them that may be sent again.
    pub keyed: BTreeMap<CallKey, RequestId>,
    /// Frameworks that were there before the election and have not come back yet.
    pub inherited: BTreeSet<FrameworkId>,
    /// Frameworks whose disconnection is on its way through the log.
    pub disconnecting: BTreeSet<FrameworkId>,
    /// Frameworks whose removal may or may not be in the log.
    pub doubtful_removals: BTreeSet<FrameworkId>,
    pub drains: Drains,
    /// What frameworks know of the maintenance schedule.
    pub windows: Windows,
    pub inverse: InverseOffers,
    pub patience: Patience,
    pub metrics: Counters,
    next_framework: u64,
    next_agent: u64,
    next_offer: u64,
}

impl Office {
    pub fn new(config: Arc<Config>, term: Term, now: Millis, master: MasterInfo) -> Self {
        Self {
            config,
            term,
            elected_at: now,
            master: Arc::new(master),
            sessions: Sessions::default(),
            offers: Offers::default(),
            filters: Filters::default(),
            agents: Agents::default(),
            proposals: Proposals::new(term),
            updates: Updates::default(),
            allocation: Allocation::new(term),
            launching: Launching::default(),
            exits: Exits::default(),
            tickets: BTreeMap::new(),
            keyed: BTreeMap::new(),
            inherited: BTreeSet::new(),
            disconnecting: BTreeSet::new(),
            doubtful_removals: BTreeSet::new(),
            drains: Drains::default(),
            windows: Windows::default(),
            inverse: InverseOffers::default(),
            patience: Patience::default(),
            metrics: Counters::default(),
            next_framework: 0,
            next_agent: 0,
            next_offer: 0,
        }
    }

    /// `<master id>-0000`, `-0001`, ... (Mesos: Master::newFrameworkId).
    pub fn new_framework_id(&mut self) -> FrameworkId {
        let number = self.next_framework;
        self.next_framework += 1;
        FrameworkId::from(format!("{}-{number:04}", self.master.id))
    }

    pub fn new_agent_id(&mut self) -> caprock_model::AgentId {
        let number = self.next_agent;
        self.next_agent += 1;
        caprock_model::AgentId::from(format!("{}-S{number}", self.master.id))
    }

    pub fn new_offer_id(&mut self) -> caprock_model::OfferId {
        let number = self.next_offer;
        self.next_offer += 1;
        caprock_model::OfferId::from(format!("{}-O{number}", self.master.id))
    }

    pub fn view(&self) -> LeaderView {
        LeaderView {
            term: self.term,
            elected_at: self.elected_at,
            master: Arc::clone(&self.master),
            offers: self.offers.view().clone(),
            connected_frameworks: self.sessions.connected().clone(),
            connected_agents: self.agents.connected().clone(),
            inverse_offers: self.inverse.view().clone(),
            inverse_answers: self.inverse.answers().clone(),
            mass_loss: self.patience.alarm(),
            metrics: self.metrics.values().clone(),
        }
    }
}
