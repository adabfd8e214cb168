//! An agent says what it is and what it runs; the log is brought in line with it before
//! the agent takes orders (Mesos: Master::reregisterSlave in src/master/master.cpp).

use std::collections::BTreeSet;

use caprock_model::task::executor_id_of;
use caprock_model::{AgentCapabilities, AgentId, ExecutorId, FrameworkId, Millis, TaskId};
use caprock_proto::caprock::registry::{
    AdmitAgent, AgentDescription, AttachAgent, ExecutorKey, ExecutorRecord, TaskRecord,
    entry::Command, remove_agent::Removal,
};
use caprock_proto::caprock::session::{Attach, Refused, ReportedTask, from_master};
use caprock_proto::mesos::v1::TaskState;
use caprock_registry::{Agent, Outcome, Registry, Rejection};

use crate::Effect;
use crate::agents::Presence;
use crate::input::{AgentSessionId, TimerKey};
use crate::metrics;
use crate::offers::split_address;
use crate::office::Office;
use crate::propose::{Pending, Verdict};
use crate::settle::awaits_launch;
use crate::turn::Turn;

/// A first registration on its way through the log.
#[derive(Debug)]
pub(crate) struct PendingAdmission {
    pub registration_id: String,
    pub agent: AgentId,
}

/// A return that changes the log, on its way through it.
#[derive(Debug)]
pub(crate) struct PendingAttach {
    pub agent: AgentId,
    pub session: AgentSessionId,
    pub attach: Attach,
}

impl Office {
    pub(crate) fn attach(&mut self, turn: &mut Turn<'_>, session: AgentSessionId, attach: Attach) {
        if !self.agents.is_linked(session) {
            return;
        }
        if attach.info.is_none() {
            return self.refuse_agent(turn, session, "AgentInfo is missing".to_owned(), false);
        }
        let hostname = attach.info.as_ref().map_or("", |info| &info.hostname);
        if turn
            .registry
            .maintenance()
            .forbids(hostname, &attach.address)
        {
            let text = "Machine is `DOWN`".to_owned();
            return self.refuse_agent(turn, session, text, true);
        }
        let known = if attach.agent_id.is_empty() {
            turn.registry
                .agent_by_registration(&attach.registration_id)
                .map(|known| known.id.clone())
        } else {
            Some(AgentId::from(attach.agent_id.as_str()))
        };
        match known {
            Some(agent) => self.reattach(turn, session, &agent, attach),
            None => self.admit(turn, session, attach),
        }
    }

    fn refuse_agent(
        &mut self,
        turn: &mut Turn<'_>,
        session: AgentSessionId,
        reason: String,
        shutdown: bool,
    ) {
        turn.warn(format!("An agent may not attach: {reason}"));
        turn.to_agent(
            session,
            from_master::Message::Refused(Refused { reason, shutdown }),
        );
    }

    /// A first registration.
    fn admit(&mut self, turn: &mut Turn<'_>, session: AgentSessionId, attach: Attach) {
        let registration_id = attach.registration_id.clone();
        if let Some(asked) = self.agents.admitting.get_mut(&registration_id) {
            *asked = (session, Box::new(attach));
            return;
        }
        if let Some(former) = self.agents.by_address(&attach.address).cloned()
            && turn
                .registry
                .agent(&former)
                .is_some_and(|agent| *agent.address == *attach.address)
        {
            if self.agents.attached_session(&former).is_some() {
                // The former process may have died a moment ago: its stream will break, and
                // this agent asks again.
                let text = format!("Agent {former} is still attached at {}", attach.address);
                return turn.warn(text);
            }
            let text = "a new agent registered at the same address";
            self.remove_agent(turn, &former, Removal::Replaced, text);
        }
        let agent = self.new_agent_id();
        let command = AdmitAgent {
            agent: Some(description(&agent, &attach)),
        };
        self.agents
            .admitting
            .insert(registration_id.clone(), (session, Box::new(attach)));
        let pending = PendingAdmission {
            registration_id,
            agent,
        };
        self.propose(turn, Command::AdmitAgent(command), Pending::Admit(pending));
    }

    pub(crate) fn admission_applied(
        &mut self,
        turn: &mut Turn<'_>,
        pending: &PendingAdmission,
        verdict: &Verdict,
    ) {
        let asked = self.agents.admitting.remove(&pending.registration_id);
        let agent = match verdict {
            Verdict::Applied(..) => {
                self.metrics.count(metrics::AGENT_REGISTRATIONS);
                turn.info(format!("Admitted agent {}", pending.agent));
                &pending.agent
            }
            // Admitted by an earlier proposal whose answer was lost.
            Verdict::Rejected(Rejection::AgentExists(existing)) => existing,
            Verdict::Rejected(rejection) => {
                if let Some((session, _)) = asked {
                    self.refuse_agent(turn, session, rejection.to_string(), false);
                }
                return;
            }
            Verdict::Refused | Verdict::Unknown => {
                if let Some((session, _)) = asked {
                    self.ask_again(turn, session);
                }
                return;
            }
        };
        let Some(known) = turn.registry.agent(agent) else {
            return;
        };
        self.agents.index(known);
        self.allocation.total_changed();
        let presence = Presence::Disconnected {
            since: turn.now,
            written_off: false,
        };
        if self.agents.peer(agent).is_none() {
            self.agents.set_presence(agent, presence);
        }
        match asked {
            Some((session, attach)) if self.agents.is_linked(session) => {
                self.reattach(turn, session, agent, *attach);
            }
            _ => self.arm_disconnect_deadlines(turn, agent),
        }
    }

    /// Ends a stream, so that the agent connects and attaches again.
    fn ask_again(&mut self, turn: &mut Turn<'_>, session: AgentSessionId) {
        self.agent_disconnected(turn, session);
        turn.out.push(Effect::CloseAgent(session));
    }

    /// An agent with an id: compares it with the log.
    fn reattach(
        &mut self,
        turn: &mut Turn<'_>,
        session: AgentSessionId,
        agent: &AgentId,
        attach: Attach,
    ) {
        if turn
            .registry
            .removed_agent(agent)
            .is_some_and(|gone| gone.removal == Removal::Gone)
        {
            return self.refuse_agent(turn, session, "Agent has been marked gone".into(), true);
        }
        let peer = self.agents.peer_or_new(agent);
        if peer.departing {
            // Its departure is decided in the log first; then it is compared with what is left.
            peer.deferred = Some((session, Box::new(attach)));
            return;
        }
        let known = turn.registry.agent(agent);
        if let Some(known) = known
            && let Some(reason) = moved(known, &attach)
        {
            return self.refuse_agent(turn, session, reason, true);
        }
        self.agents.assign(session, agent);
        let oldest = turn.now - self.config.relaunch_limit;
        let comparison = compare(turn.registry, agent, &attach, oldest);
        let peer = self.agents.peer_or_new(agent);
        // What an attachment before this one takes up is not in the registry yet: then this
        // one goes through the log as well, and is settled on what that leads to.
        if comparison.agrees && peer.attachments == 0 {
            peer.attaching = None;
            return self.settle(turn, session, agent, &attach, &[]);
        }
        peer.attaching = Some(session);
        peer.attachments += 1;
        // What is taken up may be in use by nobody as far as offers know.
        self.rescind_offers_on(turn, agent);
        let pending = Box::new(PendingAttach {
            agent: agent.clone(),
            session,
            attach,
        });
        let command = Command::AttachAgent(comparison.command);
        self.propose(turn, command, Pending::Attach(pending));
    }

    pub(crate) fn attach_applied(
        &mut self,
        turn: &mut Turn<'_>,
        pending: PendingAttach,
        verdict: &Verdict,
    ) {
        let PendingAttach {
            agent,
            session,
            attach,
        } = pending;
        if let Some(known) = turn.registry.agent(&agent) {
            self.agents.index(known);
            self.allocation.total_changed();
        }
        let Some(peer) = self.agents.peer_mut(&agent) else {
            return;
        };
        peer.attachments = peer.attachments.saturating_sub(1);
        if peer.attaching != Some(session) || peer.attachments > 0 {
            // It has hung up, or has attached again since.
            if peer.presence == Presence::Recovered {
                let presence = Presence::Disconnected {
                    since: turn.now,
                    written_off: false,
                };
                self.agents.set_presence(&agent, presence);
                self.arm_disconnect_deadlines(turn, &agent);
            }
            return;
        }
        peer.attaching = None;
        match verdict {
            Verdict::Applied(outcome) => {
                let (returned, skipped) = match outcome {
                    Outcome::Attached { returned, skipped } => (&returned[..], &skipped[..]),
                    _ => (&[][..], &[][..]),
                };
                for (framework, task, rejection) in skipped {
                    let text = format!("Task {task} of {framework} is not taken up: {rejection}");
                    turn.warn(text);
                }
                self.metrics.count(metrics::AGENT_REREGISTRATIONS);
                self.settle(turn, session, &agent, &attach, returned);
            }
            Verdict::Rejected(rejection) => {
                let gone = matches!(rejection, Rejection::AgentGone(_));
                self.refuse_agent(turn, session, rejection.to_string(), gone);
            }
            Verdict::Refused | Verdict::Unknown => self.ask_again(turn, session),
        }
    }

    /// The timer of an agent that the log knows and that has not been heard of.
    pub(crate) fn arm_reregistration(&mut self, turn: &mut Turn<'_>) {
        let at = self.elected_at + self.config.agent_reregister_timeout;
        for (agent, _) in self.agents.peers() {
            turn.wake(at, TimerKey::AgentDeadline(agent.to_string()));
        }
    }
}

fn description(agent: &AgentId, attach: &Attach) -> AgentDescription {
    let mut info = attach.info.clone().unwrap_or_default();
    info.id = Some(agent.to_proto());
    AgentDescription {
        agent_id: agent.to_string(),
        info: Some(info),
        version: attach.version.clone(),
        address: attach.address.clone(),
        registration_id: attach.registration_id.clone(),
        capabilities: attach.capabilities.clone(),
    }
}

/// A registered agent may not come back under another host (Mesos shuts such agents down,
/// as their tasks would be unreachable at the address that frameworks know).
fn moved(known: &Agent, attach: &Attach) -> Option<String> {
    let info = attach.info.as_ref()?;
    let (old_host, _) = split_address(&known.address);
    let (new_host, _) = split_address(&attach.address);
    if !known.is_reachable() || (old_host == new_host && known.info.hostname == info.hostname) {
        return None;
    }
    Some(format!(
        "Agent attempted to reregister with changed address: {} ({}) instead of {} ({})",
        attach.address, info.hostname, known.address, known.info.hostname
    ))
}

fn same_description(known: &Agent, attach: &Attach) -> bool {
    let described = description(&known.id, attach);
    *known.address == *attach.address
        && *known.version == *attach.version
        && *known.registration_id == *attach.registration_id
        && known.capabilities == AgentCapabilities::from(&attach.capabilities[..])
        && described.info.as_ref() == Some(&*known.info)
}

/// An agent's report beside the log.
struct Comparison {
    /// Nothing has to be changed in the log.
    agrees: bool,
    /// What makes it agree.
    command: AttachAgent,
}

fn compare(registry: &Registry, agent: &AgentId, attach: &Attach, oldest: Millis) -> Comparison {
    let known = registry.agent(agent);
    let mut command = AttachAgent {
        agent: Some(description(agent, attach)),
        unknown_tasks: unknown_tasks(registry, agent, attach),
        unknown_executors: unknown_executors(registry, agent, attach),
        unknown_frameworks: Vec::new(),
        lost_executors: Vec::new(),
        checkpointed_resources: attach.checkpointed_resources.clone(),
    };
    command.unknown_frameworks = unknown_frameworks(registry, attach);
    if let Some(known) = known {
        command.lost_executors = lost_executors(registry, known, attach, oldest);
    }
    let as_known =
        known.is_some_and(|known| known.is_reachable() && same_description(known, attach));
    let nothing_new = command.unknown_tasks.is_empty()
        && command.unknown_executors.is_empty()
        && command.lost_executors.is_empty();
    Comparison {
        agrees: as_known && nothing_new,
        command,
    }
}

fn unknown_frameworks(
    registry: &Registry,
    attach: &Attach,
) -> Vec<caprock_proto::mesos::v1::FrameworkInfo> {
    let infos = attach
        .frameworks
        .iter()
        .filter_map(|reported| reported.info.as_ref());
    let is_unknown = |id: &FrameworkId| {
        registry.framework(id).is_none() && registry.completed_framework(id).is_none()
    };
    infos
        .filter(|info| {
            info.id
                .as_ref()
                .is_some_and(|id| is_unknown(&FrameworkId::from(id)))
        })
        .cloned()
        .collect()
}

/// Reported tasks that live and that the log has not, or has as unreachable.
fn unknown_tasks(registry: &Registry, agent: &AgentId, attach: &Attach) -> Vec<TaskRecord> {
    let is_unknown = |reported: &&ReportedTask| {
        let Some(info) = &reported.info else {
            return false;
        };
        let framework = FrameworkId::from(reported.framework_id.as_str());
        let task = TaskId::from(&info.task_id);
        match registry.framework(&framework) {
            Some(framework) => match framework.task(&task) {
                Some(known) => known.agent_id != *agent,
                // An end that the log does not have is one that was acknowledged: the agent
                // resends the update and gets its acknowledgement again.
                None => {
                    framework.unreachable_tasks.contains_key(&task)
                        || !caprock_model::task::is_terminal(latest_state(reported))
                }
            },
            None => registry.completed_framework(&framework).is_none(),
        }
    };
    attach
        .tasks
        .iter()
        .filter(is_unknown)
        .filter_map(record_of)
        .collect()
}

pub(crate) fn latest_state(reported: &ReportedTask) -> TaskState {
    reported
        .latest_status
        .as_ref()
        .map_or(TaskState::TaskStaging, |status| status.state())
}

fn record_of(reported: &ReportedTask) -> Option<TaskRecord> {
    let info = reported.info.clone()?;
    let sent = reported.sent_status.as_ref();
    Some(TaskRecord {
        executor_id: executor_id_of(&info).to_string(),
        framework_id: reported.framework_id.clone(),
        state: sent.map_or(TaskState::TaskStaging, |status| status.state()) as i32,
        latest_state: latest_state(reported) as i32,
        statuses: sent.cloned().into_iter().collect(),
        status_uuid: sent
            .and_then(|status| status.uuid.clone())
            .unwrap_or_default(),
        info: Some(info),
        ..TaskRecord::default()
    })
}

/// Framework and task ids of what the agent runs.
pub(crate) fn reported_tasks(attach: &Attach) -> BTreeSet<(&str, &str)> {
    let mut keys = BTreeSet::new();
    for task in &attach.tasks {
        if let Some(info) = &task.info {
            keys.insert((task.framework_id.as_str(), info.task_id.value.as_str()));
        }
    }
    keys
}

pub(crate) fn reported_executors(attach: &Attach) -> BTreeSet<(FrameworkId, ExecutorId)> {
    let key = |info: &caprock_proto::mesos::v1::ExecutorInfo| {
        let framework = info.framework_id.as_ref()?;
        Some((
            FrameworkId::from(framework),
            ExecutorId::from(&info.executor_id),
        ))
    };
    attach.executors.iter().filter_map(key).collect()
}

fn unknown_executors(registry: &Registry, agent: &AgentId, attach: &Attach) -> Vec<ExecutorRecord> {
    let known = registry.agent(agent);
    let is_unknown = |framework: &FrameworkId, executor: &ExecutorId| {
        registry.completed_framework(framework).is_none()
            && known.is_none_or(|known| known.executor(framework, executor).is_none())
    };
    let mut records = Vec::new();
    for info in &attach.executors {
        let Some(framework) = info.framework_id.as_ref().map(FrameworkId::from) else {
            continue;
        };
        if is_unknown(&framework, &ExecutorId::from(&info.executor_id)) {
            records.push(ExecutorRecord {
                info: Some(info.clone()),
                framework_id: framework.to_string(),
                agent_id: agent.to_string(),
            });
        }
    }
    records
}

/// Executors of the log that the agent does not run, unless a launch that it has not seen
/// yet will start them.
fn lost_executors(
    registry: &Registry,
    known: &Agent,
    attach: &Attach,
    oldest: Millis,
) -> Vec<ExecutorKey> {
    let reported = reported_executors(attach);
    let tasks = reported_tasks(attach);
    let is_expected = |framework: &FrameworkId, executor: &ExecutorId| {
        known
            .tasks_of(framework)
            .filter_map(|task| registry.task(framework, task))
            .filter(|task| !tasks.contains(&(framework.as_str(), task.id.as_str())))
            .any(|task| task.executor_id == *executor && awaits_launch(task, oldest))
    };
    known
        .executors
        .keys()
        .filter(|key| !reported.contains(key))
        .filter(|(framework, executor)| !is_expected(framework, executor))
        .map(|(framework, executor)| ExecutorKey {
            framework_id: framework.to_string(),
            agent_id: known.id.to_string(),
            executor_id: executor.to_string(),
        })
        .collect()
}
