//! What the tests of this crate are built from: a registry that checks itself after each
//! entry, and short ways to write commands.

pub(crate) mod operation;

use bytes::Bytes;
use caprock_model::{AgentId, FrameworkId, Millis, Quantities, Resources, TaskId};
use caprock_proto::caprock::registry::entry::Command;
use caprock_proto::caprock::registry::remove_agent::Removal;
use caprock_proto::caprock::registry::{
    AcknowledgeTask, AdmitAgent, AgentDescription, AttachAgent, DisconnectFramework, ExecutorKey,
    ForgetExecutor, Launch, MarkAgentUnreachable, RecordUpdates, RecordedUpdate, RemoveAgent,
    RemoveFramework, RequestKill, SubscribeFramework, UpdateQuotas, UpdateWeights,
};
use caprock_proto::mesos::v1;
use caprock_proto::mesos::v1::{AgentInfo, ExecutorInfo, FrameworkInfo, TaskInfo, TaskState};
use v1::framework_info::capability::Type as Capability;
use v1::quota::QuotaConfig;

use crate::{Agent, Framework, Limits, Outcome, Registry, Rejection, Task, entry};

pub(crate) const STAGING: TaskState = TaskState::TaskStaging;
pub(crate) const RUNNING: TaskState = TaskState::TaskRunning;
pub(crate) const FINISHED: TaskState = TaskState::TaskFinished;
pub(crate) const FAILED: TaskState = TaskState::TaskFailed;
pub(crate) const LOST: TaskState = TaskState::TaskLost;
pub(crate) const UNREACHABLE: TaskState = TaskState::TaskUnreachable;

/// A registry that applies one command after another, a second apart.
pub(crate) struct Cluster {
    pub registry: Registry,
    pub index: u64,
}

impl Cluster {
    pub fn new() -> Self {
        Self::with_limits(Limits::default())
    }

    pub fn with_limits(limits: Limits) -> Self {
        Self {
            registry: Registry::new(limits),
            index: 0,
        }
    }

    /// Agent `a1` with 4 cpus, 1024 MB and 10 ports, and framework `f1` of role `eng`,
    /// which is partition-aware.
    pub fn with_agent_and_framework() -> Self {
        let mut cluster = Self::new();
        cluster.done(admit("a1"));
        cluster.done(subscribe(framework("f1", &[Capability::PartitionAware])));
        cluster
    }

    /// The same with running command task `t1` of 1 cpu and 128 MB, last update `u1`.
    pub fn with_running_task() -> Self {
        let mut cluster = Self::with_agent_and_framework();
        cluster.launch("f1", "a1", vec![task("t1", "cpus:1;mem:128")]);
        cluster.update("t1", RUNNING, "u1", RUNNING);
        cluster
    }

    pub fn apply(&mut self, command: Command) -> Outcome {
        self.index += 1;
        let entry = entry(Millis(self.now().0), command);
        let outcome = self.registry.apply(self.index, &entry).unwrap();
        self.registry.check_invariants().unwrap();
        outcome
    }

    /// The time of the last entry.
    pub fn now(&self) -> Millis {
        Millis(i64::try_from(self.index).unwrap() * 1000)
    }

    pub fn done(&mut self, command: Command) {
        let outcome = self.apply(command);
        assert!(matches!(outcome, Outcome::Applied), "{outcome:?}");
    }

    pub fn rejected(&mut self, command: Command) -> Rejection {
        let before = self.registry.digest();
        match self.apply(command) {
            Outcome::Rejected(rejection) => {
                assert_eq!(
                    self.registry.digest(),
                    before,
                    "a rejection changes nothing"
                );
                rejection
            }
            other => panic!("not rejected: {other:?}"),
        }
    }

    pub fn launch(&mut self, framework: &str, agent: &str, tasks: Vec<TaskInfo>) {
        let rejected = self.try_launch(framework, agent, tasks);
        assert_eq!(rejected, []);
    }

    pub fn try_launch(
        &mut self,
        framework: &str,
        agent: &str,
        tasks: Vec<TaskInfo>,
    ) -> Vec<(TaskId, Rejection)> {
        match self.apply(launch(framework, agent, tasks)) {
            Outcome::Launched { rejected } => rejected,
            other => panic!("not launched: {other:?}"),
        }
    }

    /// Records an update of a task of `f1`; an empty uuid is none.
    pub fn update(&mut self, task: &str, state: TaskState, uuid: &str, latest: TaskState) {
        assert_eq!(self.try_update("f1", task, state, uuid, latest), None);
    }

    pub fn try_update(
        &mut self,
        framework: &str,
        task: &str,
        state: TaskState,
        uuid: &str,
        latest: TaskState,
    ) -> Option<Rejection> {
        let updates = vec![update(framework, task, state, uuid, latest)];
        match self.apply(Command::RecordUpdates(RecordUpdates { updates })) {
            Outcome::Recorded { mut ignored } => ignored.pop().map(|(_, _, rejection)| rejection),
            other => panic!("not recorded: {other:?}"),
        }
    }

    pub fn agent(&self, id: &str) -> &Agent {
        self.registry.agent(&AgentId::from(id)).unwrap()
    }

    pub fn framework(&self, id: &str) -> &Framework {
        self.registry.framework(&FrameworkId::from(id)).unwrap()
    }

    /// A task of `f1`.
    pub fn task(&self, id: &str) -> Option<&Task> {
        self.framework("f1")
            .task(&TaskId::from(id))
            .map(AsRef::as_ref)
    }

    pub fn used(&self, agent: &str) -> String {
        self.agent(agent).used.to_string()
    }
}

pub(crate) fn resources(text: &str) -> Vec<v1::Resource> {
    Resources::parse(text, "*").unwrap().to_protos()
}

/// Resources allocated to role `eng`.
pub(crate) fn allocated(text: &str) -> Vec<v1::Resource> {
    Resources::parse(text, "*")
        .unwrap()
        .allocated_to("eng")
        .to_protos()
}

pub(crate) fn description(id: &str) -> AgentDescription {
    AgentDescription {
        agent_id: id.to_owned(),
        info: Some(AgentInfo {
            hostname: format!("{id}.example"),
            resources: resources("cpus:4;mem:1024;ports:[1-10]"),
            ..AgentInfo::default()
        }),
        version: "1".to_owned(),
        address: format!("{id}.example:5051"),
        registration_id: format!("registration-{id}"),
        capabilities: Vec::new(),
    }
}

pub(crate) fn admit(id: &str) -> Command {
    Command::AdmitAgent(AdmitAgent {
        agent: Some(description(id)),
    })
}

/// An agent with other resources than usual.
pub(crate) fn admit_with(id: &str, text: &str) -> Command {
    let mut description = description(id);
    if let Some(info) = &mut description.info {
        info.resources = resources(text);
    }
    let agent = Some(description);
    Command::AdmitAgent(AdmitAgent { agent })
}

pub(crate) fn attach(id: &str) -> AttachAgent {
    AttachAgent {
        agent: Some(description(id)),
        ..AttachAgent::default()
    }
}

pub(crate) fn unreachable(agent: &str) -> Command {
    Command::MarkAgentUnreachable(MarkAgentUnreachable {
        agent_id: agent.to_owned(),
        cause: "health check timed out".to_owned(),
    })
}

pub(crate) fn remove_agent(agent: &str, removal: Removal) -> Command {
    Command::RemoveAgent(RemoveAgent {
        agent_id: agent.to_owned(),
        removal: removal.into(),
        cause: "the agent unregistered".to_owned(),
    })
}

/// A framework of role `eng`.
pub(crate) fn framework(id: &str, capabilities: &[Capability]) -> FrameworkInfo {
    let capability = |kind: &Capability| v1::framework_info::Capability {
        r#type: Some((*kind).into()),
    };
    let mut capabilities: Vec<_> = capabilities.iter().map(capability).collect();
    capabilities.push(capability(&Capability::MultiRole));
    FrameworkInfo {
        user: "alice".to_owned(),
        name: format!("framework {id}"),
        id: Some(v1::FrameworkId {
            value: id.to_owned(),
        }),
        roles: vec!["eng".to_owned()],
        capabilities,
        ..FrameworkInfo::default()
    }
}

pub(crate) fn subscribe(info: FrameworkInfo) -> Command {
    let info = Some(info);
    Command::SubscribeFramework(SubscribeFramework {
        info,
        ..SubscribeFramework::default()
    })
}

pub(crate) fn disconnect(framework: &str, deadline_ms: i64) -> Command {
    Command::DisconnectFramework(DisconnectFramework {
        framework_id: framework.to_owned(),
        deadline_ms,
    })
}

pub(crate) fn remove_framework(framework: &str, expired_deadline_ms: Option<i64>) -> Command {
    Command::RemoveFramework(RemoveFramework {
        framework_id: framework.to_owned(),
        cause: "teardown".to_owned(),
        expired_deadline_ms,
    })
}

/// A command task that uses something of role `eng`.
pub(crate) fn task(id: &str, resources: &str) -> TaskInfo {
    TaskInfo {
        name: id.to_owned(),
        task_id: v1::TaskId {
            value: id.to_owned(),
        },
        resources: allocated(resources),
        ..TaskInfo::default()
    }
}

/// A custom executor of 0.5 cpus and 32 MB.
pub(crate) fn executor(id: &str) -> ExecutorInfo {
    ExecutorInfo {
        executor_id: v1::ExecutorId {
            value: id.to_owned(),
        },
        resources: allocated("cpus:0.5;mem:32"),
        ..ExecutorInfo::default()
    }
}

pub(crate) fn task_with_executor(id: &str, resources: &str, executor_id: &str) -> TaskInfo {
    TaskInfo {
        executor: Some(executor(executor_id)),
        ..task(id, resources)
    }
}

pub(crate) fn launch(framework: &str, agent: &str, tasks: Vec<TaskInfo>) -> Command {
    Command::Launch(Launch {
        framework_id: framework.to_owned(),
        agent_id: agent.to_owned(),
        tasks,
        group: false,
        new_executors: Vec::new(),
    })
}

/// A group that runs under executor `e1`, given beside the tasks.
pub(crate) fn launch_group(framework: &str, agent: &str, tasks: Vec<TaskInfo>) -> Command {
    Command::Launch(Launch {
        framework_id: framework.to_owned(),
        agent_id: agent.to_owned(),
        tasks,
        group: true,
        new_executors: vec![executor("e1")],
    })
}

pub(crate) fn update(
    framework: &str,
    task: &str,
    state: TaskState,
    uuid: &str,
    latest: TaskState,
) -> RecordedUpdate {
    RecordedUpdate {
        framework_id: framework.to_owned(),
        agent_id: String::new(),
        status: Some(status(task, state, uuid)),
        latest_state: latest.into(),
    }
}

pub(crate) fn status(task: &str, state: TaskState, uuid: &str) -> v1::TaskStatus {
    v1::TaskStatus {
        task_id: v1::TaskId {
            value: task.to_owned(),
        },
        state: state.into(),
        uuid: (!uuid.is_empty()).then(|| Bytes::copy_from_slice(uuid.as_bytes())),
        ..v1::TaskStatus::default()
    }
}

pub(crate) fn acknowledge(framework: &str, task: &str, uuid: &str) -> Command {
    Command::AcknowledgeTask(AcknowledgeTask {
        framework_id: framework.to_owned(),
        task_id: task.to_owned(),
        uuid: Bytes::copy_from_slice(uuid.as_bytes()),
    })
}

pub(crate) fn kill(framework: &str, task: &str) -> Command {
    Command::RequestKill(RequestKill {
        framework_id: framework.to_owned(),
        task_id: task.to_owned(),
        kill_policy: None,
    })
}

pub(crate) fn executor_key(framework: &str, agent: &str, executor: &str) -> ExecutorKey {
    ExecutorKey {
        framework_id: framework.to_owned(),
        agent_id: agent.to_owned(),
        executor_id: executor.to_owned(),
    }
}

/// The quota of a role: guarantees and limits as text.
pub(crate) fn quota_config(role: &str, guarantees: &str, limits: &str) -> QuotaConfig {
    let amounts = |text: &str| {
        let amounts = Quantities::parse(text).unwrap();
        let amounts = amounts.iter().map(|(name, amount)| {
            let value = amount.to_f64();
            (name.to_string(), v1::value::Scalar { value })
        });
        amounts.collect()
    };
    QuotaConfig {
        role: role.to_owned(),
        guarantees: amounts(guarantees),
        limits: amounts(limits),
    }
}

/// Quotas by role, guarantees, limits; without any check.
pub(crate) fn update_quotas(quotas: &[(&str, &str, &str)]) -> UpdateQuotas {
    let configs = quotas
        .iter()
        .map(|(role, guarantees, limits)| quota_config(role, guarantees, limits));
    UpdateQuotas {
        configs: configs.collect(),
        ..UpdateQuotas::default()
    }
}

pub(crate) fn update_weights(weights: &[(&str, f64)]) -> Command {
    let info = |(role, weight): &(&str, f64)| v1::WeightInfo {
        role: Some((*role).to_owned()),
        weight: *weight,
    };
    Command::UpdateWeights(UpdateWeights {
        weight_infos: weights.iter().map(info).collect(),
    })
}

pub(crate) fn forget_executor(framework: &str, agent: &str, executor: &str) -> Command {
    let executor = Some(executor_key(framework, agent, executor));
    Command::ForgetExecutor(ForgetExecutor { executor })
}
