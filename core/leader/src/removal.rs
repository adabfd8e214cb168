//! Frameworks that go: disconnected for a while, or removed for good (Mesos:
//! Master::disconnect, failoverFramework and removeFramework).

use std::collections::BTreeSet;

use caprock_model::{AgentId, DurationMs, FrameworkId, Millis};
use caprock_proto::caprock::registry::{DisconnectFramework, RemoveFramework, entry::Command};
use caprock_proto::caprock::session::{ShutdownFramework, order::Order};
use caprock_registry::{Framework, Outcome};

use crate::effect::Reply;
use crate::input::{RequestId, TimerKey};
use crate::office::Office;
use crate::propose::{Pending, Verdict};
use crate::turn::Turn;

/// A removal on its way through the log.
#[derive(Debug)]
pub(crate) struct PendingRemoval {
    pub framework: FrameworkId,
    /// The call that asked for it; none when its time was up.
    pub request: Option<RequestId>,
}

/// How long a framework may stay away.
pub(crate) fn failover_timeout(framework: &Framework) -> DurationMs {
    let timeout = DurationMs::from_seconds_f64(framework.info.failover_timeout());
    timeout.unwrap_or_default().max(DurationMs::ZERO)
}

impl Office {
    /// The framework's stream is gone: what it was offered is free, and its clock ticks.
    pub(crate) fn framework_away(&mut self, turn: &mut Turn<'_>, id: &FrameworkId) {
        self.discard_offers_of(turn, id);
        self.filters.forget_framework(id);
        // A subscription that is in the log already replaces the one that ended.
        if self.sessions.is_opening(id) {
            return;
        }
        let Some(framework) = turn.registry.framework(id) else {
            return;
        };
        let timeout = failover_timeout(framework);
        let deadline = turn.now + timeout;
        self.propose_disconnect(turn, id, deadline);
        if timeout == DurationMs::ZERO {
            self.propose_expiry(turn, id, deadline);
        }
    }

    pub(crate) fn propose_disconnect(
        &mut self,
        turn: &mut Turn<'_>,
        id: &FrameworkId,
        deadline: Millis,
    ) {
        let command = DisconnectFramework {
            framework_id: id.to_string(),
            deadline_ms: deadline.0,
        };
        self.disconnecting.insert(id.clone());
        let pending = Pending::Disconnect {
            framework: id.clone(),
        };
        self.propose(turn, Command::DisconnectFramework(command), pending);
    }

    pub(crate) fn disconnect_applied(
        &mut self,
        turn: &mut Turn<'_>,
        id: &FrameworkId,
        verdict: &Verdict,
    ) {
        self.disconnecting.remove(id);
        match verdict {
            Verdict::Applied(..) => {
                let deadline = turn.registry.framework(id).and_then(|known| known.deadline);
                if let Some(deadline) = deadline {
                    turn.wake(deadline, TimerKey::FrameworkDeadline(id.to_string()));
                }
            }
            Verdict::Rejected(_) => {}
            Verdict::Refused | Verdict::Unknown => {
                // Without a deadline in the log it would stay for ever: the timer tries again.
                let at = turn.now + self.config.retry_delay;
                turn.wake(at, TimerKey::FrameworkDeadline(id.to_string()));
            }
        }
    }

    /// The time of a disconnected framework is up, or its disconnection is not logged yet.
    pub(crate) fn framework_deadline(&mut self, turn: &mut Turn<'_>, id: &FrameworkId) {
        let doubtful = self.doubtful_removals.remove(id);
        let Some(framework) = turn.registry.framework(id) else {
            // A removal was applied although its answer was lost: the agents do not know.
            if doubtful {
                self.framework_removed(turn, id, &Outcome::Applied);
            }
            return;
        };
        if self.sessions.is_connected(id) || self.sessions.is_opening(id) {
            return;
        }
        if framework.subscribed {
            return self.framework_away(turn, id);
        }
        let Some(deadline) = framework.deadline else {
            return;
        };
        let patience = self.patience_until(id, deadline);
        if turn.now < patience {
            return turn.wake(patience, TimerKey::FrameworkDeadline(id.to_string()));
        }
        turn.info(format!("Framework {id} did not come back in time"));
        self.propose_expiry(turn, id, deadline);
    }

    /// A framework whose time ran out while there was no leader gets some after it.
    pub(crate) fn patience_until(&self, id: &FrameworkId, deadline: Millis) -> Millis {
        if self.inherited.contains(id) {
            deadline.max(self.elected_at + self.config.election_grace)
        } else {
            deadline
        }
    }

    fn propose_expiry(&mut self, turn: &mut Turn<'_>, id: &FrameworkId, deadline: Millis) {
        let command = RemoveFramework {
            framework_id: id.to_string(),
            cause: "its failover timeout has passed".to_owned(),
            expired_deadline_ms: Some(deadline.0),
        };
        let pending = PendingRemoval {
            framework: id.clone(),
            request: None,
        };
        self.propose(
            turn,
            Command::RemoveFramework(command),
            Pending::Remove(pending),
        );
    }

    /// TEARDOWN, of the scheduler or of an operator.
    pub(crate) fn propose_removal(
        &mut self,
        turn: &mut Turn<'_>,
        request: RequestId,
        id: &FrameworkId,
        principal: String,
    ) {
        let command = RemoveFramework {
            framework_id: id.to_string(),
            cause: "it was torn down".to_owned(),
            expired_deadline_ms: None,
        };
        let pending = PendingRemoval {
            framework: id.clone(),
            request: Some(request),
        };
        let command = Command::RemoveFramework(command);
        self.propose_for(turn, principal, command, Pending::Remove(pending));
    }

    pub(crate) fn operator_teardown(&mut self, turn: &mut Turn<'_>, request: RequestId, id: &str) {
        let id = FrameworkId::from(id);
        if turn.registry.framework(&id).is_some() {
            self.propose_removal(turn, request, &id, String::new());
        } else {
            // Mesos: src/master/http.cpp _teardown.
            let text = format!("No framework found with ID {id}");
            turn.reply(request, Reply::BadRequest(text));
        }
    }

    pub(crate) fn removal_applied(
        &mut self,
        turn: &mut Turn<'_>,
        pending: &PendingRemoval,
        verdict: &Verdict,
    ) {
        match verdict {
            Verdict::Applied(outcome) => {
                if let Some(request) = pending.request {
                    turn.accepted(request);
                }
                self.framework_removed(turn, &pending.framework, outcome);
            }
            // It came back in time, or another removal was faster.
            Verdict::Rejected(_) => {
                if let Some(request) = pending.request {
                    turn.accepted(request);
                }
            }
            Verdict::Refused | Verdict::Unknown => {
                if let Some(request) = pending.request {
                    turn.unavailable(request);
                }
                self.doubtful_removals.insert(pending.framework.clone());
                let key = TimerKey::FrameworkDeadline(pending.framework.to_string());
                turn.wake(turn.now + self.config.retry_delay, key);
            }
        }
    }

    /// Nothing of it is left but its history; its scheduler hears nothing but the end of
    /// the stream.
    pub(crate) fn framework_removed(
        &mut self,
        turn: &mut Turn<'_>,
        id: &FrameworkId,
        outcome: &Outcome,
    ) {
        turn.info(format!("Framework {id} is removed"));
        self.discard_offers_of(turn, id);
        self.filters.forget_framework(id);
        self.allocation.forget_framework(id);
        self.inherited.remove(id);
        if let Some(session) = self.sessions.of(id).map(|session| session.id) {
            self.sessions.remove(session);
            turn.close(session);
        }
        for agent in self.agents_of(turn, id, outcome) {
            self.mark_dirty(turn, &agent);
            self.order_shutdown(turn, &agent, id);
        }
    }

    /// Tells an agent to end everything of a framework that is gone.
    pub(crate) fn order_shutdown(
        &mut self,
        turn: &mut Turn<'_>,
        agent: &AgentId,
        framework: &FrameworkId,
    ) {
        if let Some(session) = self.orders_go_to(agent) {
            let framework_id = framework.to_string();
            turn.order(
                session,
                Order::ShutdownFramework(ShutdownFramework { framework_id }),
            );
        }
    }

    /// Where the removed framework may still have something running.
    fn agents_of(&self, turn: &Turn<'_>, id: &FrameworkId, outcome: &Outcome) -> BTreeSet<AgentId> {
        let mut agents = BTreeSet::new();
        if let Outcome::Ended { tasks } = outcome {
            agents.extend(tasks.iter().map(|task| task.agent_id.clone()));
        }
        if let Some(completed) = turn.registry.completed_framework(id) {
            agents.extend(completed.executors.iter().map(|(agent, _)| agent.clone()));
            agents.extend(
                completed
                    .completed_tasks
                    .iter()
                    .map(|task| task.agent_id.clone()),
            );
        }
        agents
    }
}
