//! An ACCEPT that is more than launches: all its steps enter the log as one entry, so that a
//! task is never without the reservation or the volume that was made for it.

use std::collections::BTreeSet;

use caprock_model::{AgentId, FrameworkId, Resources};
use caprock_proto::caprock::registry::accept_step::Step;
use caprock_proto::caprock::registry::{self, AcceptStep, entry::Command};
use caprock_proto::mesos::v1::OperationId;
use caprock_proto::mesos::v1::offer::Operation;
use caprock_proto::mesos::v1::offer::operation::Type;
use caprock_registry::{Outcome, Rejection};

use super::bid::Part;
use super::launch::PendingLaunch;
use super::operations::failure;
use super::repeat::CallKey;
use crate::call::Admitted;
use crate::input::{ProposalId, RequestId};
use crate::office::Office;
use crate::propose::{Doubt, Pending, Verdict};
use crate::turn::Turn;

/// The steps of one ACCEPT on their way through the log.
#[derive(Debug)]
pub(crate) struct PendingSteps {
    request: RequestId,
    key: Option<CallKey>,
    framework: FrameworkId,
    agent: AgentId,
    steps: Vec<PendingStep>,
}

#[derive(Debug)]
enum PendingStep {
    Launch(Box<PendingLaunch>),
    Operation { kind: Type, id: Option<OperationId> },
}

impl PendingSteps {
    /// The launches among the steps.
    pub fn launches_mut(&mut self) -> impl Iterator<Item = &mut PendingLaunch> {
        self.steps.iter_mut().filter_map(|step| match step {
            PendingStep::Launch(launch) => Some(&mut **launch),
            PendingStep::Operation { .. } => None,
        })
    }
}

/// What the steps of an ACCEPT do, and what of the offers that takes.
pub(super) struct Steps {
    pub parts: Vec<Part>,
    /// With the number of parts before each.
    pub operations: Vec<(usize, Operation)>,
    pub held: Resources,
}

impl Office {
    /// How many answers [`Self::propose_steps`] will give to the ticket.
    pub(super) fn count_steps(steps: &Steps) -> usize {
        steps.parts.len() + 1
    }

    pub(super) fn propose_steps(
        &mut self,
        turn: &mut Turn<'_>,
        admitted: &Admitted<'_>,
        whose: (&FrameworkId, &AgentId),
        steps: Steps,
    ) {
        let (framework, agent) = whose;
        let proposal = self.next_proposal();
        let mut pending = Vec::new();
        let mut commands = Vec::new();
        let mut operations = steps.operations.into_iter().peekable();
        let mut parts = steps.parts.into_iter().enumerate();
        loop {
            let part = parts.next();
            let before = part.as_ref().map_or(usize::MAX, |(place, _)| *place);
            while let Some((_, operation)) = operations.next_if(|(place, _)| *place <= before) {
                pending.push(PendingStep::Operation {
                    kind: operation.r#type(),
                    id: operation.id.clone(),
                });
                commands.push(Step::Operation(operation));
            }
            let Some((_, part)) = part else { break };
            let (launch, command) = self.begin_launch(proposal, admitted, whose, part);
            pending.push(PendingStep::Launch(Box::new(launch)));
            commands.push(Step::Launch(command));
        }
        let peer = self.agents.peer_or_new(agent);
        peer.holds.insert(proposal, steps.held);
        let command = registry::Accept {
            framework_id: framework.to_string(),
            agent_id: agent.to_string(),
            steps: commands
                .into_iter()
                .map(|step| AcceptStep { step: Some(step) })
                .collect(),
        };
        let pending = PendingSteps {
            request: admitted.request,
            key: admitted.key.clone(),
            framework: framework.clone(),
            agent: agent.clone(),
            steps: pending,
        };
        let key = admitted.key.as_ref().map(CallKey::whole);
        self.propose_once(
            turn,
            admitted.principal.clone(),
            key.unwrap_or_default(),
            Command::Accept(command),
            Pending::Steps(Box::new(pending)),
        );
    }

    pub(crate) fn steps_applied(
        &mut self,
        turn: &mut Turn<'_>,
        proposal: ProposalId,
        pending: PendingSteps,
        verdict: Verdict,
    ) {
        if let Verdict::Unknown = verdict {
            return self.doubt_steps(turn, proposal, pending);
        }
        self.release_hold(turn, proposal, &pending.agent);
        let count = pending.steps.len();
        let outcomes: Vec<Verdict> = match verdict {
            Verdict::Applied(Outcome::Steps(outcomes)) => {
                outcomes.into_iter().map(Verdict::of).collect()
            }
            Verdict::Rejected(rejection) => (0..count)
                .map(|_| Verdict::Rejected(rejection.clone()))
                .collect(),
            // An entry with this key was applied by a former leader: what it did is there.
            Verdict::Applied(outcome) => (0..count)
                .map(|_| Verdict::Applied(outcome.clone()))
                .collect(),
            Verdict::Refused | Verdict::Unknown => (0..count).map(|_| Verdict::Refused).collect(),
        };
        let PendingSteps {
            request,
            framework,
            agent,
            steps,
            ..
        } = pending;
        let mut failed = Vec::new();
        let mut taken = false;
        let mut lost = BTreeSet::new();
        for (step, verdict) in steps.into_iter().zip(outcomes) {
            match step {
                PendingStep::Launch(mut launch) => {
                    launch.inherit(&lost);
                    if let Verdict::Rejected(_) = verdict {
                        lost.extend(launch.new_executors().iter().cloned());
                    }
                    self.launch_applied(turn, proposal, *launch, verdict);
                }
                PendingStep::Operation { kind, id } => {
                    taken |= !matches!(verdict, Verdict::Refused);
                    let text = self.operation_applied(turn, &framework, &agent, kind, verdict);
                    failed.extend(id.zip(text).map(|(id, text)| failure(&id, &text)));
                }
            }
        }
        self.part_done(turn, request, |ticket| {
            ticket.applied |= taken;
            ticket.operations_refused |= !taken;
            ticket.failed.extend(failed);
        });
    }

    /// One operation is in the log, or why not.
    fn operation_applied(
        &mut self,
        turn: &mut Turn<'_>,
        framework: &FrameworkId,
        agent: &AgentId,
        kind: Type,
        verdict: Verdict,
    ) -> Option<String> {
        match verdict {
            Verdict::Applied(Outcome::Converted(operation)) => {
                self.count_operation(kind);
                self.order_operation(turn, &operation);
                None
            }
            Verdict::Applied(_) => {
                self.order_operations(turn, agent);
                None
            }
            Verdict::Rejected(Rejection::UnknownFramework(_) | Rejection::FrameworkRemoved(_)) => {
                None
            }
            Verdict::Rejected(rejection) => {
                turn.info(format!(
                    "Operation {} of framework {framework} is dropped: {rejection}",
                    kind.as_str_name()
                ));
                let kind = kind.as_str_name();
                Some(format!(
                    "Invalid {kind} operation: {rejection}; on agent {agent}"
                ))
            }
            Verdict::Refused | Verdict::Unknown => None,
        }
    }

    /// What the steps take stays held until the log tells what became of them.
    fn doubt_steps(&mut self, turn: &mut Turn<'_>, proposal: ProposalId, pending: PendingSteps) {
        let PendingSteps {
            request,
            key,
            agent,
            steps,
            ..
        } = pending;
        let mut launches = Vec::new();
        for step in steps {
            if let PendingStep::Launch(launch) = step {
                launches.push(*launch);
                self.part_done(turn, request, |ticket| ticket.doubtful = true);
            }
        }
        let doubt = Doubt::Steps {
            key,
            agent,
            launches,
        };
        self.proposals.doubt(proposal, doubt);
        self.part_done(turn, request, |ticket| ticket.doubtful = true);
    }

    /// What became of steps whose answer was lost can be read from the registry.
    pub(crate) fn resolve_steps(
        &mut self,
        turn: &mut Turn<'_>,
        proposal: ProposalId,
        agent: &AgentId,
        launches: Vec<PendingLaunch>,
    ) {
        self.release_hold(turn, proposal, agent);
        self.order_operations(turn, agent);
        for launch in launches {
            self.resolve_launch(turn, proposal, &launch);
        }
    }

    pub(crate) fn release_hold(
        &mut self,
        turn: &mut Turn<'_>,
        proposal: ProposalId,
        agent: &AgentId,
    ) {
        if let Some(peer) = self.agents.peer_mut(agent) {
            peer.holds.remove(&proposal);
        }
        self.mark_returned(turn, agent);
    }
}
