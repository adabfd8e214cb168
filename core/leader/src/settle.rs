//! An agent is attached: it gets what it missed (Mesos: Master::reconcileKnownSlave).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use caprock_model::task::is_terminal;
use caprock_model::{AgentId, ExecutorId, FrameworkId, Millis, TaskId};
use caprock_proto::caprock::session::{
    Attach, Attached, Kill, Launch, LaunchGroup, Reconcile, ShutdownFramework, TaskReference,
    UpdateFramework, from_master, order::Order,
};
use caprock_proto::mesos::v1::task_status::Reason;
use caprock_proto::mesos::v1::{ExecutorInfo, TaskGroupInfo, TaskInfo, TaskState};
use caprock_registry::{Framework, Task};

use crate::Effect;
use crate::agents::Presence;
use crate::attach::{reported_executors, reported_tasks};
use crate::drains::drain_order;
use crate::event;
use crate::input::AgentSessionId;
use crate::liveness::Pulse;
use crate::office::Office;
use crate::status::MasterStatus;
use crate::turn::Turn;

/// Whether a task that its agent does not know has never got there: then its launch is
/// ordered again. Launches are idempotent at the agent.
pub(crate) fn awaits_launch(task: &Task, oldest: Millis) -> bool {
    task.latest_state == TaskState::TaskStaging
        && task.statuses.is_empty()
        && task.launch_index > 0
        && task.launched_at >= oldest
}

impl Office {
    /// The agent takes orders on this stream from now on.
    pub(crate) fn settle(
        &mut self,
        turn: &mut Turn<'_>,
        session: AgentSessionId,
        agent: &AgentId,
        attach: &Attach,
        returned: &[Arc<Task>],
    ) {
        if let Some(former) = self.agents.attached_session(agent)
            && former != session
        {
            self.agents.close(former);
            turn.out.push(Effect::CloseAgent(former));
        }
        self.agents.set_presence(agent, Presence::Attached(session));
        if let Some(peer) = self.agents.peer_mut(agent) {
            peer.pulse = Pulse::default();
        }
        let known = turn.registry.agent(agent);
        let attached = Attached {
            agent_id: agent.to_string(),
            cluster_id: turn.registry.cluster_id().unwrap_or_default().to_owned(),
            master_id: self.master.id.clone(),
            ping_timeout_ms: u32::try_from(self.config.agent_ping_timeout.0).unwrap_or(u32::MAX),
            max_ping_timeouts: self.config.max_agent_ping_timeouts,
            drain: known.and_then(|agent| agent.drain).map(|d| drain_order(&d)),
        };
        turn.to_agent(session, from_master::Message::Attached(attached));
        for task in returned {
            self.tell_return(turn, task);
        }
        self.shut_down_completed(turn, session, attach);
        self.catch_up_operations(turn, agent, attach);
        self.catch_up(turn, session, agent, attach);
        self.mark_dirty(turn, agent);
        if let Some(known) = turn.registry.agent(agent) {
            self.look_at_window(turn, known);
            self.clear_machine(turn, known);
        }
        self.advance_drains(turn);
    }

    /// A framework thought that this task was lost with its agent.
    fn tell_return(&mut self, turn: &mut Turn<'_>, task: &Task) {
        let status = MasterStatus {
            task: &task.id,
            agent: Some(&task.agent_id),
            executor: Some(&task.executor_id),
            state: task.latest_state,
            reason: Reason::AgentReregistered,
            // Mesos' own spelling.
            message: "Unreachable agent re-reregistered".to_owned(),
        };
        self.send(turn, &task.framework_id, event::update(status.at(turn.now)));
    }

    /// Frameworks that were removed while the agent was away.
    fn shut_down_completed(
        &mut self,
        turn: &mut Turn<'_>,
        session: AgentSessionId,
        attach: &Attach,
    ) {
        let tasks = attach
            .tasks
            .iter()
            .map(|task| FrameworkId::from(task.framework_id.as_str()));
        let infos = attach
            .frameworks
            .iter()
            .filter_map(|framework| framework.info.as_ref());
        let frameworks = infos
            .filter_map(|info| info.id.as_ref())
            .map(FrameworkId::from);
        let reported: BTreeSet<FrameworkId> = tasks.chain(frameworks).collect();
        for id in reported {
            if turn.registry.framework(&id).is_none() {
                let order = ShutdownFramework {
                    framework_id: id.to_string(),
                };
                turn.order(session, Order::ShutdownFramework(order));
            } else if let Some(framework) = turn.registry.framework(&id) {
                let framework = Some((*framework.info).clone());
                turn.order(
                    session,
                    Order::UpdateFramework(UpdateFramework { framework }),
                );
            }
        }
    }

    /// Launches, kills and questions about the tasks that the log has on this agent.
    fn catch_up(
        &mut self,
        turn: &mut Turn<'_>,
        session: AgentSessionId,
        agent: &AgentId,
        attach: &Attach,
    ) {
        let Some(known) = turn.registry.agent(agent) else {
            return;
        };
        let reported = reported_tasks(attach);
        let oldest = turn.now - self.config.relaunch_limit;
        let mut missing = Missing::default();
        for (framework_id, task_id) in &known.tasks {
            let Some(framework) = turn.registry.framework(framework_id) else {
                continue;
            };
            let Some(task) = framework.task(task_id) else {
                continue;
            };
            if reported.contains(&(framework_id.as_str(), task_id.as_str())) {
                if task.kill.is_some() && !is_terminal(task.latest_state) {
                    turn.order(session, kill_order(task));
                }
            } else if awaits_launch(task, oldest) {
                missing.launch(framework, task);
            } else {
                missing.ask(framework_id, task_id);
            }
        }
        missing.order(turn, session, reported_executors(attach));
    }

    /// Orders the launch of tasks of one agent that have just got into the log; if the
    /// agent is away it gets them when it attaches.
    pub(crate) fn order_launches(
        &mut self,
        turn: &mut Turn<'_>,
        agent: &AgentId,
        tasks: &[Arc<Task>],
        new_executors: &BTreeSet<ExecutorId>,
    ) {
        let Some(session) = self.orders_go_to(agent) else {
            return;
        };
        let mut missing = Missing::default();
        let mut running = BTreeSet::new();
        for task in tasks {
            let Some(framework) = turn.registry.framework(&task.framework_id) else {
                continue;
            };
            missing.launch(framework, task);
            if !new_executors.contains(&task.executor_id) {
                running.insert((task.framework_id.clone(), task.executor_id.clone()));
            }
        }
        missing.order(turn, session, running);
    }
}

/// The order to kill a task, with the policy that is in the log.
pub(crate) fn kill_order(task: &Task) -> Order {
    Order::Kill(Kill {
        framework_id: task.framework_id.to_string(),
        task_id: task.id.to_string(),
        kill_policy: task.kill.as_ref().and_then(|kill| kill.policy),
    })
}

/// A task with its framework.
type Owned = (Arc<Framework>, Arc<Task>);

/// Tasks of the log that an agent did not report.
#[derive(Default)]
struct Missing {
    /// In the order of the log; groups as wholes.
    launches: BTreeMap<(u64, Option<ExecutorId>), Vec<Owned>>,
    questions: Vec<TaskReference>,
    kills: Vec<Order>,
}

impl Missing {
    fn launch(&mut self, framework: &Arc<Framework>, task: &Arc<Task>) {
        let group = task.group.then(|| task.executor_id.clone());
        let launches = self.launches.entry((task.launch_index, group)).or_default();
        launches.push((Arc::clone(framework), Arc::clone(task)));
        if task.kill.is_some() {
            self.kills.push(kill_order(task));
        }
    }

    fn ask(&mut self, framework: &FrameworkId, task: &TaskId) {
        self.questions.push(TaskReference {
            framework_id: framework.to_string(),
            task_id: task.to_string(),
        });
    }

    fn order(
        self,
        turn: &mut Turn<'_>,
        session: AgentSessionId,
        mut running: BTreeSet<(FrameworkId, ExecutorId)>,
    ) {
        for ((launch_index, group), tasks) in self.launches {
            if group.is_some() {
                if let Some(order) = group_order(launch_index, &tasks, &mut running) {
                    turn.order(session, order);
                }
                continue;
            }
            for (framework, task) in tasks {
                let order = Launch {
                    framework: Some((*framework.info).clone()),
                    task: Some((*task.info).clone()),
                    launch_index,
                    new_executor: is_new(&task, &mut running),
                };
                turn.order(session, Order::Launch(order));
            }
        }
        if !self.questions.is_empty() {
            turn.order(
                session,
                Order::Reconcile(Reconcile {
                    tasks: self.questions,
                }),
            );
        }
        for kill in self.kills {
            turn.order(session, kill);
        }
    }
}

fn group_order(
    launch_index: u64,
    tasks: &[Owned],
    running: &mut BTreeSet<(FrameworkId, ExecutorId)>,
) -> Option<Order> {
    let (framework, first) = tasks.first()?;
    let executor: ExecutorInfo = first.info.executor.clone()?;
    let infos: Vec<TaskInfo> = tasks.iter().map(|(_, task)| (*task.info).clone()).collect();
    Some(Order::LaunchGroup(LaunchGroup {
        framework: Some((*framework.info).clone()),
        executor: Some(executor),
        group: Some(TaskGroupInfo { tasks: infos }),
        launch_index,
        new_executor: is_new(first, running),
    }))
}

/// Whether a launch starts its executor; the next one finds it running.
fn is_new(task: &Task, running: &mut BTreeSet<(FrameworkId, ExecutorId)>) -> bool {
    task.is_command || running.insert((task.framework_id.clone(), task.executor_id.clone()))
}
