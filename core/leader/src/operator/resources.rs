//! Reservations and volumes by operators (Mesos: Master::Http::_operation in
//! src/master/http.cpp). Offers give way: those that hold what is needed are rescinded.

use caprock_model::operation::{Conversion, conversion};
use caprock_model::validate::{self, Asker};
use caprock_model::{AgentId, OfferId, Resources};
use caprock_proto::caprock::registry::{ApplyOperation, entry::Command};
use caprock_proto::mesos::v1::master::{Call, call};
use caprock_proto::mesos::v1::offer::Operation;
use caprock_proto::mesos::v1::offer::operation::{self, Type};
use caprock_proto::mesos::v1::{self, Filters};
use caprock_registry::{Agent, Outcome, Rejection};

use crate::effect::Reply;
use crate::input::{ProposalId, RequestId};
use crate::office::Office;
use crate::propose::{Doubt, Pending, Verdict};
use crate::turn::Turn;

/// An operator's operation on its way through the log.
#[derive(Debug)]
pub(crate) struct PendingOperation {
    pub request: RequestId,
    agent: AgentId,
    kind: Type,
}

/// The agent and the operation that a call means, if it is one of this family.
pub(super) fn operation_of(call: &Call) -> Option<(v1::AgentId, Operation)> {
    let of = |kind: Type| Operation {
        r#type: Some(kind as i32),
        ..Operation::default()
    };
    Some(match call.r#type() {
        call::Type::ReserveResources => {
            let call = call.reserve_resources.clone()?;
            let reserve = operation::Reserve {
                source: call.source,
                resources: call.resources,
            };
            let operation = Operation {
                reserve: Some(reserve),
                ..of(Type::Reserve)
            };
            (call.agent_id, operation)
        }
        call::Type::UnreserveResources => {
            let call = call.unreserve_resources.clone()?;
            let resources = call.resources;
            let operation = Operation {
                unreserve: Some(operation::Unreserve { resources }),
                ..of(Type::Unreserve)
            };
            (call.agent_id, operation)
        }
        _ => return volume_operation_of(call),
    })
}

fn volume_operation_of(call: &Call) -> Option<(v1::AgentId, Operation)> {
    let mut operation = Operation::default();
    let (agent, kind) = match call.r#type() {
        call::Type::CreateVolumes => {
            let call = call.create_volumes.clone()?;
            let volumes = call.volumes;
            operation.create = Some(operation::Create { volumes });
            (call.agent_id, Type::Create)
        }
        call::Type::DestroyVolumes => {
            let call = call.destroy_volumes.clone()?;
            let volumes = call.volumes;
            operation.destroy = Some(operation::Destroy { volumes });
            (call.agent_id, Type::Destroy)
        }
        call::Type::GrowVolume => {
            let call = call.grow_volume.clone()?;
            let (volume, addition) = (call.volume, call.addition);
            operation.grow_volume = Some(operation::GrowVolume { volume, addition });
            (call.agent_id?, Type::GrowVolume)
        }
        call::Type::ShrinkVolume => {
            let call = call.shrink_volume.clone()?;
            let (volume, subtract) = (call.volume, call.subtract);
            operation.shrink_volume = Some(operation::ShrinkVolume { volume, subtract });
            (call.agent_id?, Type::ShrinkVolume)
        }
        _ => return None,
    };
    operation.r#type = Some(kind as i32);
    Some((agent, operation))
}

impl Office {
    pub(super) fn operate(
        &mut self,
        turn: &mut Turn<'_>,
        request: RequestId,
        principal: Option<String>,
        agent: &v1::AgentId,
        mut operation: Operation,
    ) {
        let id = AgentId::from(agent);
        let Some(agent) = turn.registry.agent(&id).cloned() else {
            let text = "No agent found with specified ID".to_owned();
            return turn.reply(request, Reply::BadRequest(text));
        };
        let leaving = self.agents.peer(&id).is_none_or(|peer| peer.departing);
        if !agent.is_reachable() || leaving {
            let text = "No agent found with specified ID".to_owned();
            return turn.reply(request, Reply::BadRequest(text));
        }
        let conversion = match judge(&agent, principal.as_deref(), &mut operation) {
            Ok(conversion) => conversion,
            Err(text) => return turn.reply(request, Reply::BadRequest(text)),
        };
        if let Err(text) = self.recover_offered(turn, &agent, &conversion.consumed) {
            return turn.reply(request, Reply::Conflict(text));
        }
        let pending = PendingOperation {
            request,
            agent: id.clone(),
            kind: operation.r#type(),
        };
        let proposal = self.next_proposal();
        let peer = self.agents.peer_or_new(&id);
        peer.holds.insert(proposal, conversion.consumed);
        let command = Command::ApplyOperation(ApplyOperation {
            agent_id: id.to_string(),
            operation: Some(operation),
        });
        let principal = principal.unwrap_or_default();
        self.propose_for(turn, principal, command, Pending::Operation(pending));
    }

    /// Frees what is needed: offers that hold some of it are rescinded, one after another,
    /// until it is enough. Nothing is rescinded if it never can be.
    fn recover_offered(
        &mut self,
        turn: &mut Turn<'_>,
        agent: &Agent,
        required: &Resources,
    ) -> Result<(), String> {
        let mut free = self.free_on(agent);
        let mut rescinded: Vec<OfferId> = Vec::new();
        for id in self.offers.of_agent(&agent.id) {
            if free.contains(required) {
                break;
            }
            let Some(offer) = self.offers.get(&id) else {
                continue;
            };
            let offered = offer.resources.unallocated();
            if required - &offered != *required {
                free += &offered;
                rescinded.push(id);
            }
        }
        if !free.contains(required) {
            return Err(format!(
                "{free} of agent {} does not contain {required}",
                agent.id
            ));
        }
        for id in rescinded {
            let Some(offer) = self.offers.get(&id).cloned() else {
                continue;
            };
            self.rescind_offer(turn, &id);
            // So that its holder is not offered the same again at once.
            let key = (&offer.framework, &offer.role, &offer.agent);
            self.refuse(turn, key, &offer.resources, Some(&Filters::default()));
        }
        Ok(())
    }

    pub(crate) fn operation_decided(
        &mut self,
        turn: &mut Turn<'_>,
        proposal: ProposalId,
        pending: &PendingOperation,
        verdict: &Verdict,
    ) {
        let PendingOperation {
            request,
            agent,
            kind,
        } = pending;
        if let Verdict::Unknown = verdict {
            let doubt = Doubt::Steps {
                key: None,
                agent: agent.clone(),
                launches: Vec::new(),
            };
            self.proposals.doubt(proposal, doubt);
            return turn.unavailable(*request);
        }
        self.release_hold(turn, proposal, agent);
        match verdict {
            Verdict::Applied(outcome) => {
                self.count_operation(*kind);
                turn.accepted(*request);
                if let Outcome::Converted(operation) = outcome {
                    self.order_operation(turn, operation);
                }
            }
            Verdict::Rejected(rejection) => {
                let text = rejection.to_string();
                turn.reply(
                    *request,
                    match rejection {
                        Rejection::Malformed(_) | Rejection::InvalidOperation(_) => {
                            Reply::BadRequest(text)
                        }
                        _ => Reply::Conflict(text),
                    },
                );
            }
            Verdict::Refused | Verdict::Unknown => turn.unavailable(*request),
        }
    }
}

/// Whether the operation is valid, and what it converts.
fn judge(
    agent: &Agent,
    principal: Option<&str>,
    operation: &mut Operation,
) -> Result<Conversion, String> {
    let kind = operation.r#type().as_str_name();
    let invalid =
        |error: String| format!("Invalid {kind} operation on agent {}: {error}", agent.id);
    validate::normalize_operation(operation, None).map_err(invalid)?;
    let used = agent.used.unallocated();
    let asker = Asker {
        framework: None,
        principal,
        agent: agent.capabilities,
        total: &agent.total,
        used: &used,
    };
    validate::operation(operation, &asker).map_err(invalid)?;
    let conversion = conversion(operation).map_err(|error| invalid(error.to_string()))?;
    Ok(conversion.unallocated())
}
