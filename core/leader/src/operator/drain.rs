//! DRAIN_AGENT, DEACTIVATE_AGENT and REACTIVATE_AGENT: nothing new on an agent, and perhaps
//! nothing at all (Mesos: src/master/http.cpp `_drainAgent` and its neighbours).

use caprock_model::AgentId;
use caprock_proto::caprock::registry::{
    DeactivateAgent, DrainAgent, ReactivateAgent, entry::Command,
};
use caprock_proto::caprock::session::{Reactivate, order::Order};
use caprock_proto::mesos::v1::master::call;
use caprock_proto::mesos::v1::{AgentId as ProtoAgentId, DrainConfig, DurationInfo};
use caprock_registry::{Agent, Rejection};

use crate::drains::drain_order;
use crate::effect::Reply;
use crate::input::RequestId;
use crate::office::Office;
use crate::propose::{Pending, Verdict};
use crate::turn::Turn;

/// A change of what may run on an agent, on its way through the log.
#[derive(Debug)]
pub(crate) struct PendingAgentCall {
    pub request: RequestId,
    agent: AgentId,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Drain,
    Deactivate,
    Reactivate,
}

/// What is asked of the agent, in the API's units; the error has Mesos' text.
fn config_of(call: &call::DrainAgent) -> Result<DrainConfig, String> {
    let nanoseconds = |grace: &caprock_proto::google::protobuf::Duration| {
        let seconds = grace.seconds.checked_mul(1_000_000_000)?;
        seconds.checked_add(i64::from(grace.nanos))
    };
    let max_grace_period = match &call.max_grace_period {
        None => None,
        Some(grace) => {
            let nanoseconds = nanoseconds(grace).ok_or("'max_grace_period' is too long")?;
            if nanoseconds < 0 {
                return Err("Expecting 'max_grace_period' to be non-negative".to_owned());
            }
            Some(DurationInfo { nanoseconds })
        }
    };
    Ok(DrainConfig {
        max_grace_period,
        mark_gone: Some(call.mark_gone()),
    })
}

impl Office {
    pub(super) fn drain_agent(
        &mut self,
        turn: &mut Turn<'_>,
        request: RequestId,
        principal: Option<String>,
        call: &call::DrainAgent,
    ) {
        let config = match config_of(call) {
            Ok(config) => config,
            Err(text) => return turn.reply(request, Reply::BadRequest(text)),
        };
        let Some(agent) = self.agent_to_change(turn, request, &call.agent_id) else {
            return;
        };
        let id = &agent.id;
        let refusal = if !agent.capabilities.agent_draining {
            Some(format!("Agent {id} is not capable of AGENT_DRAINING"))
        } else if turn.registry.maintenance().window_of(&agent).is_some() {
            let text = "Cannot drain an agent on a machine in the maintenance schedule";
            Some(text.to_owned())
        } else {
            None
        };
        if let Some(text) = refusal {
            return turn.reply(request, Reply::BadRequest(text));
        }
        if self.agents.peer(id).is_some_and(|peer| peer.departing) {
            let text = format!("Agent {id} is about to leave the cluster");
            return turn.reply(request, Reply::Conflict(text));
        }
        let command = Command::DrainAgent(DrainAgent {
            agent_id: id.to_string(),
            config: Some(config),
        });
        self.propose_agent_call(turn, (request, principal), &agent, command, Kind::Drain);
    }

    pub(super) fn deactivate_agent(
        &mut self,
        turn: &mut Turn<'_>,
        request: RequestId,
        principal: Option<String>,
        id: &ProtoAgentId,
    ) {
        if let Some(agent) = self.agent_to_change(turn, request, id) {
            let command = Command::DeactivateAgent(DeactivateAgent {
                agent_id: agent.id.to_string(),
            });
            let caller = (request, principal);
            self.propose_agent_call(turn, caller, &agent, command, Kind::Deactivate);
        }
    }

    pub(super) fn reactivate_agent(
        &mut self,
        turn: &mut Turn<'_>,
        request: RequestId,
        principal: Option<String>,
        id: &ProtoAgentId,
    ) {
        if let Some(agent) = self.agent_to_change(turn, request, id) {
            let command = Command::ReactivateAgent(ReactivateAgent {
                agent_id: agent.id.to_string(),
            });
            let caller = (request, principal);
            self.propose_agent_call(turn, caller, &agent, command, Kind::Reactivate);
        }
    }

    /// The agent, reachable or not; without one the call is answered.
    fn agent_to_change(
        &self,
        turn: &mut Turn<'_>,
        request: RequestId,
        id: &ProtoAgentId,
    ) -> Option<Agent> {
        let agent = turn.registry.agent(&AgentId::from(id));
        if agent.is_none() {
            let text = format!("Unknown agent {}", id.value);
            turn.reply(request, Reply::BadRequest(text));
        }
        agent.map(|agent| Agent::clone(agent))
    }

    fn propose_agent_call(
        &mut self,
        turn: &mut Turn<'_>,
        (request, principal): (RequestId, Option<String>),
        agent: &Agent,
        command: Command,
        kind: Kind,
    ) {
        let pending = PendingAgentCall {
            request,
            agent: agent.id.clone(),
            kind,
        };
        let principal = principal.unwrap_or_default();
        self.propose_for(turn, principal, command, Pending::AgentCall(pending));
    }

    pub(crate) fn agent_call_applied(
        &mut self,
        turn: &mut Turn<'_>,
        pending: &PendingAgentCall,
        verdict: &Verdict,
    ) {
        let reply = match verdict {
            Verdict::Applied(_) => {
                self.agent_call_done(turn, pending);
                Reply::Ok
            }
            // It was there when the call was checked.
            Verdict::Rejected(
                rejection @ (Rejection::UnknownAgent(_) | Rejection::AgentRemoved(_)),
            ) => Reply::Conflict(rejection.to_string()),
            Verdict::Rejected(rejection) => Reply::BadRequest(rejection.to_string()),
            Verdict::Refused | Verdict::Unknown => return turn.unavailable(pending.request),
        };
        turn.reply(pending.request, reply);
    }

    fn agent_call_done(&mut self, turn: &mut Turn<'_>, pending: &PendingAgentCall) {
        let id = &pending.agent;
        match pending.kind {
            Kind::Deactivate => self.rescind_offers_on(turn, id),
            Kind::Drain => {
                self.rescind_offers_on(turn, id);
                turn.info(format!("Agent {id} is being drained"));
                self.drains.watch(id);
                let drain = turn.registry.agent(id).and_then(|agent| agent.drain);
                if let (Some(session), Some(drain)) = (self.orders_go_to(id), drain) {
                    turn.order(session, Order::Drain(drain_order(&drain)));
                }
            }
            Kind::Reactivate => {
                if let Some(session) = self.orders_go_to(id) {
                    turn.order(session, Order::Reactivate(Reactivate {}));
                }
                self.mark_dirty(turn, id);
            }
        }
    }
}
