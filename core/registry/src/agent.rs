//! An agent: what it is, what it has, and what runs on it.

use std::sync::Arc;

use caprock_model::{
    AgentCapabilities, AgentId, ExecutorId, FrameworkId, Millis, Resources, TaskId,
};
use caprock_proto::caprock::registry::{AgentDescription, AgentReachability, AgentRecord};
use caprock_proto::mesos::v1::{AgentInfo, Resource};

use crate::outcome::Rejection;
use crate::{Drain, Executor, Map, Operation, OperationUuid, Set};

/// An agent that was admitted and not removed.
#[derive(Clone, Debug)]
pub struct Agent {
    pub id: AgentId,
    /// With its id.
    pub info: Arc<AgentInfo>,
    /// host:port of its HTTP endpoint.
    pub address: Arc<str>,
    pub version: Arc<str>,
    pub registration_id: Arc<str>,
    pub capabilities: AgentCapabilities,
    pub reachability: Reachability,
    /// All it has, as operations left it, in unallocated form.
    pub total: Resources,
    /// What its tasks that have not ended and its executors use, in allocated form.
    pub used: Resources,
    /// The same by framework; no entry for a framework that uses nothing.
    pub used_by: Map<FrameworkId, Resources>,
    /// Its tasks that are not completed: live ones while it is reachable, unreachable ones
    /// while it is not.
    pub tasks: Set<(FrameworkId, TaskId)>,
    /// Its custom and default executors; none while it is unreachable.
    pub executors: Map<(FrameworkId, ExecutorId), Arc<Executor>>,
    /// Its operations that are not acknowledged, in the order of the log.
    pub operations: Map<OperationUuid, Arc<Operation>>,
    /// An operator wants nothing of it to be offered.
    pub deactivated: bool,
    pub drain: Option<Drain>,
    pub registered_at: Millis,
    pub reregistered_at: Option<Millis>,
    /// Two users of the agent claim the same port or set item, which only what an agent
    /// reports can bring about: then subtracting is not the inverse of adding.
    pub(crate) overlapping: bool,
}

/// Whether the agent is thought to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reachability {
    Reachable,
    Unreachable { at: Millis },
}

impl Agent {
    /// An agent that joins now, or is read from a record.
    pub(crate) fn new(description: &AgentDescription, now: Millis) -> Result<Self, Rejection> {
        let mut agent = Self {
            id: AgentId::from(description.agent_id.as_str()),
            info: Arc::default(),
            address: Arc::default(),
            version: Arc::default(),
            registration_id: Arc::default(),
            capabilities: AgentCapabilities::default(),
            reachability: Reachability::Reachable,
            total: Resources::default(),
            used: Resources::default(),
            used_by: Map::new_sync(),
            tasks: Set::new_sync(),
            executors: Map::new_sync(),
            operations: Map::new_sync(),
            deactivated: false,
            drain: None,
            registered_at: now,
            reregistered_at: None,
            overlapping: false,
        };
        agent.describe(description)?;
        Ok(agent)
    }

    /// Replaces what the agent says of itself. Nothing is changed on an error.
    pub(crate) fn describe(&mut self, description: &AgentDescription) -> Result<(), Rejection> {
        let malformed = |text: String| Rejection::Malformed(text);
        if description.agent_id.is_empty() {
            return Err(malformed("Agent without an id".to_owned()));
        }
        let Some(mut info) = description.info.clone() else {
            return Err(malformed("Agent without AgentInfo".to_owned()));
        };
        let total = Resources::from_protos(&info.resources)
            .map_err(|error| malformed(format!("Agent's resources: {error}")))?;
        info.id = Some(self.id.to_proto());
        let (before, converted) = (self.described_total(), self.total.clone());
        self.total = total.unallocated();
        self.rebase_total(&before, &converted);
        self.info = Arc::new(info);
        self.address = description.address.as_str().into();
        self.version = description.version.as_str().into();
        self.registration_id = description.registration_id.as_str().into();
        self.capabilities = AgentCapabilities::from(&description.capabilities[..]);
        Ok(())
    }

    /// Whether the agent is thought to run.
    pub fn is_reachable(&self) -> bool {
        self.reachability == Reachability::Reachable
    }

    /// Whether it runs, and no operator holds it back.
    pub fn may_be_offered(&self) -> bool {
        self.is_reachable() && !self.deactivated
    }

    /// Since when the agent is unreachable.
    pub fn unreachable_since(&self) -> Option<Millis> {
        match self.reachability {
            Reachability::Reachable => None,
            Reachability::Unreachable { at } => Some(at),
        }
    }

    /// What nobody uses, in unallocated form. Empty while the agent is unreachable.
    pub fn available(&self) -> Resources {
        match self.reachability {
            Reachability::Reachable => &self.total - &self.used.unallocated(),
            Reachability::Unreachable { .. } => Resources::default(),
        }
    }

    /// An executor that runs on it.
    pub fn executor(
        &self,
        framework_id: &FrameworkId,
        executor_id: &ExecutorId,
    ) -> Option<&Arc<Executor>> {
        self.executors
            .get(&(framework_id.clone(), executor_id.clone()))
    }

    /// Its tasks of one framework, by id.
    pub fn tasks_of(&self, framework_id: &FrameworkId) -> impl Iterator<Item = &TaskId> {
        let first = (framework_id.clone(), TaskId::default());
        let wanted = framework_id.clone();
        self.tasks
            .range(first..)
            .take_while(move |(id, _)| *id == wanted)
            .map(|(_, task)| task)
    }

    /// What the agent describes, in unallocated form.
    fn described_total(&self) -> Resources {
        Resources::from_protos(&self.info.resources)
            .unwrap_or_default()
            .unallocated()
    }

    /// The total if it is another one than the agent describes.
    fn converted_total(&self) -> Vec<Resource> {
        match self.described_total() == self.total {
            true => Vec::new(),
            false => self.total.to_protos(),
        }
    }

    /// Takes over a total that is not the described one.
    pub(crate) fn restore_total(&mut self, total: &[Resource]) -> Result<(), Rejection> {
        if total.is_empty() {
            return Ok(());
        }
        let total = Resources::from_protos(total)
            .map_err(|error| Rejection::Malformed(format!("Agent's resources: {error}")))?;
        self.total = total.unallocated();
        Ok(())
    }

    pub(crate) fn to_record(&self) -> AgentRecord {
        let reachability = match self.reachability {
            Reachability::Reachable => AgentReachability::Reachable,
            Reachability::Unreachable { .. } => AgentReachability::Unreachable,
        };
        AgentRecord {
            description: Some(AgentDescription {
                agent_id: self.id.to_string(),
                info: Some(AgentInfo::clone(&self.info)),
                version: self.version.to_string(),
                address: self.address.to_string(),
                registration_id: self.registration_id.to_string(),
                capabilities: self.capabilities.to_protos(),
            }),
            reachability: reachability.into(),
            registered_ms: self.registered_at.0,
            reregistered_ms: self.reregistered_at.map(|at| at.0),
            unreachable_ms: self.unreachable_since().map(|at| at.0),
            total: self.converted_total(),
            deactivated: self.deactivated,
            drain: self.drain.map(Drain::to_record),
        }
    }

    pub(crate) fn from_record(record: &AgentRecord) -> Result<Self, Rejection> {
        let Some(description) = &record.description else {
            return Err(Rejection::Malformed(
                "Agent without a description".to_owned(),
            ));
        };
        let mut agent = Self::new(description, Millis(record.registered_ms))?;
        agent.reregistered_at = record.reregistered_ms.map(Millis);
        agent.restore_total(&record.total)?;
        agent.deactivated = record.deactivated;
        agent.drain = record.drain.as_ref().map(Drain::from_record);
        agent.reachability = match AgentReachability::try_from(record.reachability) {
            Ok(AgentReachability::Reachable) => Reachability::Reachable,
            Ok(AgentReachability::Unreachable) => Reachability::Unreachable {
                at: Millis(record.unreachable_ms()),
            },
            Ok(AgentReachability::Gone) | Err(_) => {
                let text = format!("Agent {} with an unknown reachability", agent.id);
                return Err(Rejection::Malformed(text));
            }
        };
        Ok(agent)
    }
}
