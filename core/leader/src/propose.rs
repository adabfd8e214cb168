//! Commands on their way through the log, and what happens when they are applied.

use std::collections::BTreeMap;

use caprock_model::{AgentId, FrameworkId, TaskId};
use caprock_proto::caprock::registry::{Entry, RecordUpdates, entry::Command};
use caprock_registry::{FORMAT, Outcome, Rejection};
use prost::bytes::Bytes;

use crate::accept::launch::PendingLaunch;
use crate::accept::repeat::CallKey;
use crate::accept::steps::PendingSteps;
use crate::attach::{PendingAdmission, PendingAttach};
use crate::call::kill::PendingKill;
use crate::call::subscribe::PendingSubscription;
use crate::departure::PendingDeparture;
use crate::effect::{Effect, Reply};
use crate::executors::PendingExit;
use crate::feedback::Feedback;
use crate::input::{AgentSessionId, Applied, ProposalFailure, ProposalId, RequestId, Term};
use crate::metrics;
use crate::office::Office;
use crate::operator::drain::PendingAgentCall;
use crate::operator::quota::PendingQuota;
use crate::operator::resources::PendingOperation;
use crate::operator::weights::PendingWeights;
use crate::removal::PendingRemoval;
use crate::turn::Turn;
use crate::updates::Batch;

/// What a proposal was for: one variant per kind of continuation.
#[derive(Debug)]
pub(crate) enum Pending {
    Subscribe(Box<PendingSubscription>),
    UpdateFramework {
        request: RequestId,
        framework: FrameworkId,
    },
    Launch(Box<PendingLaunch>),
    Steps(Box<PendingSteps>),
    /// An operator's operation.
    Operation(PendingOperation),
    RecordOperation(Feedback),
    AcknowledgeOperation(Feedback),
    Kill(PendingKill),
    /// A terminal update; the agent may forget it once the log has.
    Acknowledge {
        request: RequestId,
        agent: AgentId,
        framework: FrameworkId,
        task: TaskId,
        uuid: Bytes,
    },
    Suppress {
        request: RequestId,
    },
    Revive {
        request: RequestId,
        framework: FrameworkId,
    },
    Disconnect {
        framework: FrameworkId,
    },
    Remove(PendingRemoval),
    Record(Batch),
    ForgetExecutor(PendingExit),
    Admit(PendingAdmission),
    Attach(Box<PendingAttach>),
    Depart(PendingDeparture),
    Quota(PendingQuota),
    Weights(PendingWeights),
    AgentCall(PendingAgentCall),
    FinishDrain(AgentId),
    Maintenance {
        request: RequestId,
    },
    /// An empty entry behind proposals of unknown fate: when it is applied, they were
    /// applied before it or never will be.
    Barrier,
}

impl Pending {
    /// The request that waits for this proposal alone.
    fn request(&self) -> Option<RequestId> {
        match self {
            Self::Subscribe(pending) => Some(pending.request),
            Self::UpdateFramework { request, .. }
            | Self::Acknowledge { request, .. }
            | Self::Suppress { request }
            | Self::Revive { request, .. } => Some(*request),
            Self::Kill(pending) => Some(pending.request),
            Self::AgentCall(pending) => Some(pending.request),
            Self::Maintenance { request } => Some(*request),
            Self::Depart(pending) => pending.request,
            Self::Remove(pending) => pending.request,
            Self::Quota(pending) => Some(pending.request),
            Self::Weights(pending) => Some(pending.request),
            Self::Operation(pending) => Some(pending.request),
            Self::AcknowledgeOperation(pending) => pending.request,
            Self::Launch(_)
            | Self::Steps(_)
            | Self::RecordOperation(_)
            | Self::Disconnect { .. }
            | Self::Record(_)
            | Self::ForgetExecutor(_)
            | Self::Admit(_)
            | Self::Attach(_)
            | Self::FinishDrain(_)
            | Self::Barrier => None,
        }
    }
}

/// How a proposal ended, as continuations see it.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// In the log, and carried out; the outcome may tell more.
    Applied(Outcome),
    /// In the log, but nothing was changed.
    Rejected(Rejection),
    /// Certainly not in the log.
    Refused,
    /// Perhaps in the log, perhaps later.
    Unknown,
}

impl From<Result<Applied, ProposalFailure>> for Verdict {
    fn from(result: Result<Applied, ProposalFailure>) -> Self {
        match result {
            Ok(Applied { outcome, .. }) => Self::of(outcome),
            Err(ProposalFailure::Refused) => Self::Refused,
            Err(ProposalFailure::Unknown) => Self::Unknown,
        }
    }
}

impl Verdict {
    /// How an entry, or a step of it, was applied.
    pub fn of(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Rejected(rejection) => Self::Rejected(rejection),
            outcome => Self::Applied(outcome),
        }
    }
}

/// The proposals of one leadership. Ids contain the term, so that an answer to a former
/// leadership's proposal is recognised.
#[derive(Debug)]
pub(crate) struct Proposals {
    next: u64,
    pending: BTreeMap<ProposalId, Pending>,
    /// Changes of unknown fate; their resources stay held until it is known.
    doubtful: BTreeMap<ProposalId, Doubt>,
}

/// What a proposal of unknown fate was for.
#[derive(Debug)]
pub(crate) enum Doubt {
    Launch(Box<PendingLaunch>),
    Steps {
        key: Option<CallKey>,
        agent: AgentId,
        launches: Vec<PendingLaunch>,
    },
}

impl Doubt {
    fn key(&self) -> Option<&CallKey> {
        match self {
            Self::Launch(launch) => launch.key.as_ref(),
            Self::Steps { key, .. } => key.as_ref(),
        }
    }
}

impl Proposals {
    pub fn new(term: Term) -> Self {
        Self {
            next: term << 32,
            pending: BTreeMap::new(),
            doubtful: BTreeMap::new(),
        }
    }

    pub fn waiting_requests(&self) -> impl Iterator<Item = RequestId> {
        self.pending.values().filter_map(Pending::request)
    }

    /// The launches on their way, oldest first.
    pub fn launches_mut(&mut self) -> impl Iterator<Item = (ProposalId, &mut PendingLaunch)> {
        self.pending.iter_mut().flat_map(|(proposal, pending)| {
            let launches: Vec<&mut PendingLaunch> = match pending {
                Pending::Launch(launch) => vec![launch],
                Pending::Steps(steps) => steps.launches_mut().collect(),
                _ => Vec::new(),
            };
            launches.into_iter().map(|launch| (*proposal, launch))
        })
    }

    pub fn doubt(&mut self, proposal: ProposalId, doubt: Doubt) {
        self.doubtful.insert(proposal, doubt);
    }

    /// Whether a part of this call is of unknown fate.
    pub fn doubts_about(&self, key: &CallKey) -> bool {
        let mut doubtful = self.doubtful.values();
        doubtful.any(|doubt| doubt.key() == Some(key))
    }

    pub fn in_doubt(&self) -> bool {
        !self.doubtful.is_empty()
    }

    fn settled_before(&mut self, proposal: ProposalId) -> BTreeMap<ProposalId, Doubt> {
        let later = self.doubtful.split_off(&proposal);
        std::mem::replace(&mut self.doubtful, later)
    }
}

impl Office {
    /// Puts a command into the log on behalf of the leader itself.
    pub(crate) fn propose(
        &mut self,
        turn: &mut Turn<'_>,
        command: Command,
        pending: Pending,
    ) -> ProposalId {
        self.propose_for(turn, String::new(), command, pending)
    }

    /// Puts a command into the log on behalf of a principal.
    pub(crate) fn propose_for(
        &mut self,
        turn: &mut Turn<'_>,
        principal: String,
        command: Command,
        pending: Pending,
    ) -> ProposalId {
        self.propose_once(turn, principal, String::new(), command, pending)
    }

    /// Puts a command into the log that is carried out once, however often it gets there
    /// under this key.
    pub(crate) fn propose_once(
        &mut self,
        turn: &mut Turn<'_>,
        principal: String,
        idempotency_key: String,
        command: Command,
        pending: Pending,
    ) -> ProposalId {
        let proposal = self.next_proposal();
        self.proposals.next += 1;
        let entry = Entry {
            format: FORMAT,
            time_ms: turn.now.0,
            principal,
            idempotency_key,
            command: Some(command),
        };
        self.metrics.count(metrics::PROPOSALS);
        self.proposals.pending.insert(proposal, pending);
        turn.out.push(Effect::Propose { proposal, entry });
        proposal
    }

    /// The id that the next proposal will have.
    pub(crate) fn next_proposal(&self) -> ProposalId {
        ProposalId(self.proposals.next)
    }

    /// A proposal ended: its continuation runs.
    pub(crate) fn applied(
        &mut self,
        turn: &mut Turn<'_>,
        proposal: ProposalId,
        result: Result<Applied, ProposalFailure>,
    ) {
        // Answers to a former leadership's proposals concern nobody any more.
        let Some(pending) = self.proposals.pending.remove(&proposal) else {
            return;
        };
        if result.is_ok() {
            self.resolve_doubts(turn, proposal);
        } else {
            self.metrics.count(metrics::PROPOSALS_FAILED);
        }
        let verdict = Verdict::from(result);
        match pending {
            Pending::Subscribe(pending) => self.subscribe_applied(turn, *pending, verdict),
            Pending::UpdateFramework { request, framework } => {
                self.update_framework_applied(turn, request, &framework, verdict);
            }
            Pending::Launch(pending) => self.launch_applied(turn, proposal, *pending, verdict),
            Pending::Steps(pending) => self.steps_applied(turn, proposal, *pending, verdict),
            Pending::Operation(pending) => {
                self.operation_decided(turn, proposal, &pending, &verdict);
            }
            Pending::RecordOperation(pending) => {
                self.operation_recorded(turn, &pending, &verdict);
            }
            Pending::AcknowledgeOperation(pending) => {
                self.operation_forgotten(turn, &pending, &verdict);
            }
            Pending::Kill(pending) => self.kill_applied(turn, &pending, &verdict),
            Pending::Acknowledge {
                request,
                agent,
                framework,
                task,
                uuid,
            } => {
                self.acknowledge_applied(
                    turn,
                    request,
                    (&agent, &framework, &task),
                    uuid,
                    &verdict,
                );
            }
            Pending::Suppress { request } => reply_when_durable(turn, request, &verdict),
            Pending::Revive { request, framework } => {
                self.revive_applied(turn, request, &framework, &verdict);
            }
            Pending::Disconnect { framework } => {
                self.disconnect_applied(turn, &framework, &verdict);
            }
            Pending::Remove(pending) => self.removal_applied(turn, &pending, &verdict),
            Pending::Record(batch) => self.updates_applied(turn, batch, &verdict),
            Pending::ForgetExecutor(exit) => self.executor_forgotten(turn, exit, &verdict),
            Pending::Admit(pending) => self.admission_applied(turn, &pending, &verdict),
            Pending::Attach(pending) => self.attach_applied(turn, *pending, &verdict),
            Pending::Depart(pending) => self.departure_applied(turn, &pending, &verdict),
            Pending::AgentCall(pending) => self.agent_call_applied(turn, &pending, &verdict),
            Pending::FinishDrain(agent) => self.drain_finished(turn, &agent, &verdict),
            Pending::Maintenance { request } => self.maintenance_applied(turn, request, &verdict),
            Pending::Quota(pending) => self.quota_applied(turn, &pending, &verdict),
            Pending::Weights(pending) => self.weights_applied(turn, &pending, &verdict),
            Pending::Barrier => {}
        }
        self.advance_drains(turn);
    }

    /// The log is ordered: once a later proposal is applied, the fate of the earlier
    /// ones can be read from the registry.
    fn resolve_doubts(&mut self, turn: &mut Turn<'_>, applied: ProposalId) {
        if !self.proposals.in_doubt() {
            return;
        }
        for (proposal, doubt) in self.proposals.settled_before(applied) {
            match doubt {
                Doubt::Launch(launch) => self.resolve_launch(turn, proposal, &launch),
                Doubt::Steps {
                    agent, launches, ..
                } => self.resolve_steps(turn, proposal, &agent, launches),
            }
        }
    }

    /// Asks the log about proposals of unknown fate, if no other proposal will.
    pub(crate) fn probe_doubts(&mut self, turn: &mut Turn<'_>) {
        let probing = self
            .proposals
            .pending
            .values()
            .any(|p| matches!(p, Pending::Barrier));
        if self.proposals.in_doubt() && !probing {
            self.propose(
                turn,
                Command::RecordUpdates(RecordUpdates::default()),
                Pending::Barrier,
            );
        }
    }

    /// Leadership is lost: every waiting request learns it.
    pub(crate) fn abandon(&mut self, turn: &mut Turn<'_>) {
        let waiting: Vec<RequestId> = self
            .proposals
            .waiting_requests()
            .chain(self.tickets.keys().copied())
            .chain(self.tickets.values().flat_map(|t| t.also.iter().copied()))
            .collect();
        for request in waiting {
            turn.reply(
                request,
                Reply::Unavailable("This master does not lead any more".into()),
            );
        }
        let sessions: Vec<_> = self
            .sessions
            .frameworks()
            .map(|(_, session)| session)
            .collect();
        for session in sessions {
            turn.close(session);
        }
    }

    /// The session of an agent that takes orders now.
    pub(crate) fn orders_go_to(&self, agent: &AgentId) -> Option<AgentSessionId> {
        self.agents.attached_session(agent)
    }
}

/// The answer to a call that has no other effect than its entry in the log.
pub(crate) fn reply_when_durable(turn: &mut Turn<'_>, request: RequestId, verdict: &Verdict) {
    match verdict {
        // A rejection says that the framework is gone: the call has nothing left to do.
        Verdict::Applied(..) | Verdict::Rejected(_) => turn.accepted(request),
        Verdict::Refused | Verdict::Unknown => turn.unavailable(request),
    }
}
