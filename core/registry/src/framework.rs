//! A framework: what it may be offered, and its tasks.

use std::collections::BTreeSet;
use std::sync::Arc;

use caprock_model::{
    AgentId, Capabilities, ExecutorId, FrameworkId, Millis, Quantities, Role, TaskId, roles_of,
};
use caprock_proto::caprock::registry::FrameworkRecord;
use caprock_proto::mesos::v1::FrameworkInfo;
use caprock_proto::mesos::v1::scheduler::OfferConstraints;

use crate::outcome::Rejection;
use crate::{History, Map, Set, Task};

/// A framework, subscribed, disconnected or completed.
#[derive(Clone, Debug)]
pub struct Framework {
    pub id: FrameworkId,
    /// With its id.
    pub info: Arc<FrameworkInfo>,
    pub roles: BTreeSet<Role>,
    pub capabilities: Capabilities,
    /// Key of the call that created it, by which a repeated one finds it; empty without.
    pub first_key: Arc<str>,
    /// Roles that want no offers.
    pub suppressed: BTreeSet<Role>,
    pub constraints: Option<Arc<OfferConstraints>>,
    /// False while disconnected, and for one that only an agent has told of.
    pub subscribed: bool,
    /// When it is removed if it does not come back; none while it is subscribed, and for
    /// one that only an agent has told of.
    pub deadline: Option<Millis>,
    pub registered_at: Millis,
    pub reregistered_at: Option<Millis>,
    /// When it was removed.
    pub unregistered_at: Option<Millis>,
    /// Live tasks, and those whose end is not acknowledged.
    pub tasks: Map<TaskId, Arc<Task>>,
    /// Tasks of unreachable agents; bounded.
    pub unreachable_tasks: Map<TaskId, Arc<Task>>,
    /// Tasks whose end is acknowledged or needs no acknowledgement; bounded.
    pub completed_tasks: History<Arc<Task>>,
    /// Its custom and default executors.
    pub executors: Set<(AgentId, ExecutorId)>,
    /// What its tasks that have not ended and its executors use, by the role that it was
    /// allocated to; no entry for a role that uses nothing.
    pub used: Map<Role, Quantities>,
    /// The part of it that counts against quota: neither reserved nor revocable.
    pub charged: Map<Role, Quantities>,
    /// The unreachable tasks by the time when their agents became so: the first is
    /// forgotten first.
    pub(crate) unreachable_order: Set<(Millis, TaskId)>,
}

/// What a scheduler says of its framework as a whole.
#[derive(Debug)]
pub(crate) struct Subscription<'a> {
    pub info: &'a Option<FrameworkInfo>,
    pub suppressed_roles: &'a [String],
    pub offer_constraints: &'a Option<OfferConstraints>,
}

impl Subscription<'_> {
    /// The id that the info has to carry.
    pub fn id(&self) -> Result<FrameworkId, Rejection> {
        let id = self.info.as_ref().and_then(|info| info.id.as_ref());
        match id {
            Some(id) if !id.value.is_empty() => Ok(FrameworkId::from(id)),
            _ => Err(Rejection::Malformed(
                "FrameworkInfo without an id".to_owned(),
            )),
        }
    }
}

impl Framework {
    /// A framework of which nothing is known but its info.
    pub(crate) fn new(id: FrameworkId, info: FrameworkInfo, now: Millis) -> Self {
        Self {
            id,
            roles: roles_of(&info),
            capabilities: Capabilities::from(&info),
            info: Arc::new(info),
            first_key: Arc::from(""),
            suppressed: BTreeSet::new(),
            constraints: None,
            subscribed: false,
            deadline: None,
            registered_at: now,
            reregistered_at: None,
            unregistered_at: None,
            tasks: Map::new_sync(),
            unreachable_tasks: Map::new_sync(),
            completed_tasks: History::default(),
            executors: Set::new_sync(),
            used: Map::new_sync(),
            charged: Map::new_sync(),
            unreachable_order: Set::new_sync(),
        }
    }

    /// Takes over what the scheduler says, but for `user` and `checkpoint`, which cannot
    /// change (Mesos: Framework::update in src/master/framework.cpp).
    pub(crate) fn update(&mut self, subscription: &Subscription<'_>) {
        if let Some(given) = subscription.info {
            let mut info = given.clone();
            info.user.clone_from(&self.info.user);
            info.checkpoint = self.info.checkpoint;
            self.roles = roles_of(&info);
            self.capabilities = Capabilities::from(&info);
            self.info = Arc::new(info);
        }
        self.suppressed = subscription
            .suppressed_roles
            .iter()
            .map(Role::from)
            .collect();
        self.constraints = subscription.offer_constraints.clone().map(Arc::new);
    }

    /// A live or terminal unacknowledged task.
    pub fn task(&self, id: &TaskId) -> Option<&Arc<Task>> {
        self.tasks.get(id)
    }

    /// Whether it was removed.
    pub fn is_completed(&self) -> bool {
        self.unregistered_at.is_some()
    }

    pub(crate) fn to_record(&self) -> FrameworkRecord {
        FrameworkRecord {
            info: Some(FrameworkInfo::clone(&self.info)),
            suppressed_roles: self.suppressed.iter().map(Role::to_string).collect(),
            offer_constraints: self.constraints.as_deref().cloned(),
            subscribed: self.subscribed,
            deadline_ms: self.deadline.map(|deadline| deadline.0),
            registered_ms: self.registered_at.0,
            reregistered_ms: self.reregistered_at.map(|at| at.0),
            unregistered_ms: self.unregistered_at.map(|at| at.0),
            first_key: self.first_key.to_string(),
        }
    }

    pub(crate) fn from_record(record: &FrameworkRecord) -> Result<Self, Rejection> {
        let subscription = Subscription {
            info: &record.info,
            suppressed_roles: &record.suppressed_roles,
            offer_constraints: &record.offer_constraints,
        };
        let id = subscription.id()?;
        let info = record.info.clone().unwrap_or_default();
        let mut framework = Self::new(id, info, Millis(record.registered_ms));
        framework.update(&subscription);
        framework.subscribed = record.subscribed;
        framework.deadline = record.deadline_ms.map(Millis);
        framework.reregistered_at = record.reregistered_ms.map(Millis);
        framework.unregistered_at = record.unregistered_ms.map(Millis);
        framework.first_key = Arc::from(record.first_key.as_str());
        Ok(framework)
    }
}
