//! LAUNCH: tasks are judged one by one; the good ones go to the log, then to the agent.

use std::collections::{BTreeMap, BTreeSet};

use caprock_model::task::state_for;
use caprock_model::{
    AgentId, ExecutorId, FrameworkId, Millis, ResourceError, Resources, TaskId, validate,
};
use caprock_proto::caprock::registry::{Launch, entry::Command};
use caprock_proto::mesos::v1::offer::Operation;
use caprock_proto::mesos::v1::task_status::Reason;
use caprock_proto::mesos::v1::{ExecutorInfo, TaskInfo, TaskState, TaskStatus, health_check};
use caprock_registry::{Outcome, Registry, Rejection};

use super::bid::{Bid, Part, Refusal, Standing};
use super::repeat::{CallKey, dropped};
use crate::call::Admitted;
use crate::executors::Key;
use crate::input::{ProposalId, RequestId};
use crate::metrics;
use crate::office::Office;
use crate::propose::{Doubt, Pending, Verdict};
use crate::status::MasterStatus;
use crate::turn::Turn;

/// A launch on its way through the log.
#[derive(Debug)]
pub(crate) struct PendingLaunch {
    request: RequestId,
    pub key: Option<CallKey>,
    framework: FrameworkId,
    agent: AgentId,
    tasks: Vec<TaskId>,
    group: bool,
    new_executors: BTreeSet<ExecutorId>,
    /// Executors that launches before this one start.
    coming_executors: BTreeSet<ExecutorId>,
}

impl PendingLaunch {
    /// The executors that it starts.
    pub fn new_executors(&self) -> &BTreeSet<ExecutorId> {
        &self.new_executors
    }

    /// Starts those of the executors on which it relies; a launch before it failed to.
    pub fn inherit(&mut self, executors: &BTreeSet<ExecutorId>) {
        for id in executors {
            if self.coming_executors.remove(id) {
                self.new_executors.insert(id.clone());
            }
        }
    }
}

/// Tasks and executors of all launches that are on their way.
#[derive(Debug, Default)]
pub(crate) struct Launching {
    tasks: BTreeMap<(FrameworkId, TaskId), (ProposalId, AgentId)>,
    executors: BTreeMap<Key, (ProposalId, ExecutorInfo)>,
}

impl Launching {
    /// Where a task is about to be launched.
    pub fn agent_of(&self, framework: &FrameworkId, task: &TaskId) -> Option<&AgentId> {
        let key = (framework.clone(), task.clone());
        self.tasks.get(&key).map(|(_, agent)| agent)
    }

    /// An executor that is about to be started.
    pub fn executor(&self, key: &Key) -> Option<&ExecutorInfo> {
        self.executors.get(key).map(|(_, info)| info)
    }

    /// Whether the registry has a launch whose end has not been heard of here.
    pub fn is_applied(&self, proposal: ProposalId, registry: &Registry) -> bool {
        let mut tasks = self
            .tasks
            .iter()
            .filter(|(_, (owner, _))| *owner == proposal);
        tasks.any(|((framework, task), _)| registry.task(framework, task).is_some())
    }

    fn started_by(&self, proposal: ProposalId) -> Vec<(Key, ExecutorInfo)> {
        let own = self
            .executors
            .iter()
            .filter(|(_, (owner, _))| *owner == proposal);
        own.map(|(key, (_, info))| (key.clone(), info.clone()))
            .collect()
    }

    fn add(&mut self, proposal: ProposalId, launch: &PendingLaunch, executors: Vec<ExecutorInfo>) {
        for task in &launch.tasks {
            let key = (launch.framework.clone(), task.clone());
            self.tasks.insert(key, (proposal, launch.agent.clone()));
        }
        for info in executors {
            let id = ExecutorId::from(&info.executor_id);
            let key = (launch.agent.clone(), launch.framework.clone(), id);
            self.executors.insert(key, (proposal, info));
        }
    }

    fn remove(&mut self, proposal: ProposalId, launch: &PendingLaunch) {
        for task in &launch.tasks {
            self.tasks.remove(&(launch.framework.clone(), task.clone()));
        }
        for id in &launch.new_executors {
            let key = (launch.agent.clone(), launch.framework.clone(), id.clone());
            if self
                .executors
                .get(&key)
                .is_some_and(|(owner, _)| *owner == proposal)
            {
                self.executors.remove(&key);
            }
        }
    }
}

impl Bid<'_> {
    pub fn launch(&mut self, operation: Operation) {
        let with_id = operation.id.is_some();
        let mut tasks = operation.launch.unwrap_or_default().task_infos;
        let normalized = tasks
            .iter_mut()
            .try_for_each(|task| self.normalize_task(task));
        let error = match normalized {
            Err(ResourceError(text)) => Some(text),
            Ok(()) if with_id => {
                Some("The `id` field cannot be set on LAUNCH operations".to_owned())
            }
            Ok(()) => None,
        };
        if let Some(text) = error {
            return self.reject(&tasks, Reason::TaskInvalid, &text.into());
        }
        if self.parts.last().is_none_or(|part| part.run != self.run) {
            self.parts.push(Part {
                run: self.run,
                ..Part::default()
            });
        }
        for task in tasks {
            if let Err((task, refusal)) = self.launch_one(task) {
                self.reject(&[*task], Reason::TaskInvalid, &refusal);
            }
        }
        if self.parts.last().is_some_and(|part| part.tasks.is_empty()) {
            self.parts.pop();
        }
    }

    fn normalize_task(&self, task: &mut TaskInfo) -> Result<(), ResourceError> {
        self.normalize(&mut task.resources)?;
        if let Some(executor) = &mut task.executor {
            executor
                .framework_id
                .get_or_insert_with(|| self.framework.id.to_proto());
            self.normalize(&mut executor.resources)?;
        }
        infer_health_check(task);
        Ok(())
    }

    fn launch_one(&mut self, task: TaskInfo) -> Result<(), (Box<TaskInfo>, Refusal)> {
        match self.judge(&task) {
            Ok((standing, consumed)) => {
                let executor = task.executor.clone().zip(standing);
                self.take(vec![task], executor, &consumed);
                Ok(())
            }
            Err(refusal) => Err((Box::new(task), refusal)),
        }
    }

    /// Where the task's executor stands, and what the launch takes in all.
    fn judge(&self, task: &TaskInfo) -> Result<(Option<Standing>, Resources), Refusal> {
        self.check_id(task)?;
        self.check_limits(task)?;
        validate::task(task, &self.agent.id)?;
        let mut executor = None;
        if let Some(info) = &task.executor {
            validate::executor_framework_id(info, &self.framework.id)?;
            executor = Some((info, self.standing(info)?));
        }
        let required = Resources::from_protos(&task.resources)
            .and_then(|resources| self.required(resources, executor))
            .map_err(|ResourceError(text)| format!("Task uses invalid resources: {text}"))?;
        if !required.fits {
            let available = self.remaining.to_string();
            let required = required.resources.to_string();
            let rejection = Rejection::NotEnoughResources {
                required,
                available,
            };
            return Err(Refusal {
                text: rejection.to_string(),
                lapsed: self.lapsed,
            });
        }
        Ok((executor.map(|(_, standing)| standing), required.resources))
    }

    pub fn reject(&mut self, tasks: &[TaskInfo], reason: Reason, refusal: &Refusal) {
        let Refusal { text, lapsed } = refusal;
        let rejections = tasks.iter().map(|task| match lapsed {
            true => dropped(self.now, self.framework, task, text),
            false => rejection(self.now, task, TaskState::TaskError, reason, text),
        });
        self.rejected.extend(rejections);
    }
}

/// The type of a health check may be left out (Mesos: Master::accept fills it in).
pub(super) fn infer_health_check(task: &mut TaskInfo) {
    if let Some(check) = &mut task.health_check
        && check.r#type.is_none()
    {
        if check.command.is_some() {
            check.r#type = Some(health_check::Type::Command as i32);
        } else if check.http.is_some() {
            check.r#type = Some(health_check::Type::Http as i32);
        }
    }
}

/// The status of a task that was not launched.
pub(super) fn rejection(
    now: Millis,
    task: &TaskInfo,
    state: TaskState,
    reason: Reason,
    message: &str,
) -> TaskStatus {
    let agent = AgentId::from(&task.agent_id);
    MasterStatus {
        task: &TaskId::from(&task.task_id),
        agent: Some(&agent),
        executor: None,
        state,
        reason,
        message: message.to_owned(),
    }
    .at(now)
}

impl Office {
    pub(super) fn propose_launch(
        &mut self,
        turn: &mut Turn<'_>,
        admitted: &Admitted<'_>,
        framework: &FrameworkId,
        agent: &AgentId,
        part: Part,
    ) {
        let proposal = self.next_proposal();
        let key = admitted.key.as_ref().map(|key| key.part(part.run));
        let consumed = part.consumed.clone();
        let (pending, command) = self.begin_launch(proposal, admitted, (framework, agent), part);
        self.agents
            .peer_or_new(agent)
            .holds
            .insert(proposal, consumed);
        self.propose_once(
            turn,
            admitted.principal.clone(),
            key.unwrap_or_default(),
            Command::Launch(command),
            Pending::Launch(Box::new(pending)),
        );
    }

    /// Notes that a launch is on its way in this proposal.
    pub(super) fn begin_launch(
        &mut self,
        proposal: ProposalId,
        admitted: &Admitted<'_>,
        whose: (&FrameworkId, &AgentId),
        part: Part,
    ) -> (PendingLaunch, Launch) {
        let (framework, agent) = whose;
        let Part {
            tasks,
            group,
            new_executors,
            coming_executors,
            ..
        } = part;
        let ids = new_executors
            .iter()
            .map(|executor| ExecutorId::from(&executor.executor_id));
        let pending = PendingLaunch {
            request: admitted.request,
            key: admitted.key.clone(),
            framework: framework.clone(),
            agent: agent.clone(),
            tasks: tasks
                .iter()
                .map(|task| TaskId::from(&task.task_id))
                .collect(),
            group,
            new_executors: ids.collect(),
            coming_executors,
        };
        let command = Launch {
            framework_id: framework.to_string(),
            agent_id: agent.to_string(),
            tasks,
            group,
            new_executors: new_executors.clone(),
        };
        self.launching.add(proposal, &pending, new_executors);
        (pending, command)
    }

    pub(crate) fn launch_applied(
        &mut self,
        turn: &mut Turn<'_>,
        proposal: ProposalId,
        launch: PendingLaunch,
        verdict: Verdict,
    ) {
        let request = launch.request;
        match verdict {
            Verdict::Applied(outcome) => {
                self.release(turn, proposal, &launch);
                let rejected = match outcome {
                    Outcome::Launched { rejected } => rejected,
                    // Launched before under this key; the rest was told then.
                    _ => Vec::new(),
                };
                let refused: BTreeSet<&TaskId> = rejected.iter().map(|(task, _)| task).collect();
                self.launched(turn, &launch, &refused);
                let mut statuses = Vec::new();
                for (task, rejection) in &rejected {
                    statuses.extend(self.explain(turn, &launch, task, rejection));
                }
                self.part_done(turn, request, |ticket| {
                    ticket.applied = true;
                    ticket.rejected.extend(statuses);
                });
            }
            Verdict::Rejected(rejection) => {
                self.give_up(turn, proposal, &launch);
                let mut statuses = Vec::new();
                for task in &launch.tasks {
                    statuses.extend(self.explain(turn, &launch, task, &rejection));
                }
                self.part_done(turn, request, |ticket| {
                    ticket.applied = true;
                    ticket.rejected.extend(statuses);
                });
            }
            Verdict::Refused => {
                self.give_up(turn, proposal, &launch);
                let statuses: Vec<TaskStatus> = launch
                    .tasks
                    .iter()
                    .filter_map(|task| self.explain_refusal(turn, &launch, task))
                    .collect();
                self.part_done(turn, request, |ticket| ticket.refused.extend(statuses));
            }
            Verdict::Unknown => {
                // Its resources stay held until the log tells.
                self.proposals
                    .doubt(proposal, Doubt::Launch(Box::new(launch)));
                self.part_done(turn, request, |ticket| ticket.doubtful = true);
            }
        }
    }

    /// What became of a launch whose answer was lost: its tasks are in the registry or not.
    pub(crate) fn resolve_launch(
        &mut self,
        turn: &mut Turn<'_>,
        proposal: ProposalId,
        launch: &PendingLaunch,
    ) {
        let registry = turn.registry;
        let applied = |task: &TaskId| registry.task(&launch.framework, task).is_some();
        if launch.tasks.iter().any(applied) {
            self.release(turn, proposal, launch);
            self.launched(turn, launch, &BTreeSet::new());
        } else {
            self.give_up(turn, proposal, launch);
        }
    }

    /// A launch failed that was to start executors: the next one that uses them does it.
    fn hand_over(&mut self, launch: &PendingLaunch, infos: Vec<(Key, ExecutorInfo)>) {
        for (key, info) in infos {
            let mut later = self.proposals.launches_mut().filter(|(_, later)| {
                later.agent == launch.agent
                    && later.framework == launch.framework
                    && later.coming_executors.contains(&key.2)
            });
            if let Some((proposal, heir)) = later.next() {
                heir.coming_executors.remove(&key.2);
                heir.new_executors.insert(key.2.clone());
                drop(later);
                // What the executor takes was held by the failed launch; now this one does.
                if let Some(peer) = self.agents.peer_mut(&launch.agent)
                    && let Ok(resources) = Resources::from_protos(&info.resources)
                {
                    *peer.holds.entry(proposal).or_default() += &resources;
                }
                self.launching.executors.insert(key, (proposal, info));
            }
        }
    }

    /// The launch came to nothing.
    fn give_up(&mut self, turn: &mut Turn<'_>, proposal: ProposalId, launch: &PendingLaunch) {
        let mut infos = self.launching.started_by(proposal);
        infos.retain(|(key, _)| launch.new_executors.contains(&key.2));
        self.release(turn, proposal, launch);
        self.hand_over(launch, infos);
    }

    fn release(&mut self, turn: &mut Turn<'_>, proposal: ProposalId, launch: &PendingLaunch) {
        self.launching.remove(proposal, launch);
        if let Some(peer) = self.agents.peer_mut(&launch.agent) {
            peer.holds.remove(&proposal);
        }
        self.mark_returned(turn, &launch.agent);
    }

    fn launched(
        &mut self,
        turn: &mut Turn<'_>,
        launch: &PendingLaunch,
        refused: &BTreeSet<&TaskId>,
    ) {
        let registry = turn.registry;
        let tasks: Vec<_> = launch
            .tasks
            .iter()
            .filter(|task| !refused.contains(task))
            .filter_map(|task| registry.task(&launch.framework, task))
            .filter(|task| task.agent_id == launch.agent && task.statuses.is_empty())
            .cloned()
            .collect();
        self.metrics
            .add(metrics::TASKS_LAUNCHED, tasks.len() as f64);
        self.order_launches(turn, &launch.agent, &tasks, &launch.new_executors);
    }

    /// The status of a task that the log rejected; none for a framework that is gone.
    fn explain(
        &self,
        turn: &Turn<'_>,
        launch: &PendingLaunch,
        task: &TaskId,
        rejection: &Rejection,
    ) -> Option<TaskStatus> {
        let framework = turn.registry.framework(&launch.framework)?;
        let invalid = if launch.group {
            Reason::TaskGroupInvalid
        } else {
            Reason::TaskInvalid
        };
        let (state, reason, message) = match rejection {
            Rejection::UnknownFramework(_) | Rejection::FrameworkRemoved(_) => return None,
            Rejection::UnknownAgent(_)
            | Rejection::AgentUnreachable(_)
            | Rejection::AgentRemoved(_)
            | Rejection::AgentGone(_) => (
                TaskState::TaskDropped,
                Reason::AgentRemoved,
                "Agent removed".to_owned(),
            ),
            Rejection::NotEnoughResources { .. } | Rejection::NotEnoughForGroup { .. } => {
                let text = format!("Task launched with invalid offers: {rejection}");
                (TaskState::TaskDropped, Reason::InvalidOffers, text)
            }
            other => (TaskState::TaskError, invalid, other.to_string()),
        };
        let status = MasterStatus {
            task,
            agent: Some(&launch.agent),
            executor: None,
            state: state_for(framework.capabilities, state),
            reason,
            message,
        };
        Some(status.at(turn.now))
    }

    fn explain_refusal(
        &self,
        turn: &Turn<'_>,
        launch: &PendingLaunch,
        task: &TaskId,
    ) -> Option<TaskStatus> {
        let framework = turn.registry.framework(&launch.framework)?;
        let status = MasterStatus {
            task,
            agent: Some(&launch.agent),
            executor: None,
            state: state_for(framework.capabilities, TaskState::TaskDropped),
            reason: Reason::InvalidOffers,
            message: "The registry did not take the launch".to_owned(),
        };
        Some(status.at(turn.now))
    }
}
