//! The calls of the operator API that change something: one file per family.

pub(crate) mod drain;
mod gone;
mod maintenance;
pub(crate) mod quota;
pub(crate) mod resources;
pub(crate) mod weights;

use caprock_model::AgentId;
use caprock_proto::mesos::v1::master::{Call, call};

use crate::effect::Reply;
use crate::input::RequestId;
use crate::office::Office;
use crate::turn::Turn;

impl Office {
    /// An operator's call; it is answered once it is durable.
    pub(crate) fn operator(
        &mut self,
        turn: &mut Turn<'_>,
        request: RequestId,
        principal: Option<String>,
        call: Call,
    ) {
        if let Some((agent, operation)) = resources::operation_of(&call) {
            return self.operate(turn, request, principal, &agent, operation);
        }
        match (call.r#type(), call) {
            (
                call::Type::Teardown,
                Call {
                    teardown: Some(call),
                    ..
                },
            ) => {
                self.operator_teardown(turn, request, &call.framework_id.value);
            }
            (
                call::Type::UpdateQuota,
                Call {
                    update_quota: Some(call),
                    ..
                },
            ) => self.update_quota(turn, request, principal, call),
            (
                call::Type::SetQuota,
                Call {
                    set_quota: Some(call),
                    ..
                },
            ) => self.set_quota(turn, request, principal, &call.quota_request),
            (
                call::Type::RemoveQuota,
                Call {
                    remove_quota: Some(call),
                    ..
                },
            ) => self.remove_quota(turn, request, principal, call.role),
            (
                call::Type::UpdateWeights,
                Call {
                    update_weights: Some(call),
                    ..
                },
            ) => self.update_weights(turn, request, principal, call.weight_infos),
            (_, call) => self.operator_on_agents(turn, request, principal, call),
        }
    }

    /// The calls about agents and their machines.
    fn operator_on_agents(
        &mut self,
        turn: &mut Turn<'_>,
        request: RequestId,
        principal: Option<String>,
        call: Call,
    ) {
        let Call {
            drain_agent,
            deactivate_agent,
            reactivate_agent,
            mark_agent_gone,
            update_maintenance_schedule,
            start_maintenance,
            stop_maintenance,
            ..
        } = call;
        if let Some(call) = drain_agent {
            self.drain_agent(turn, request, principal, &call);
        } else if let Some(call) = deactivate_agent {
            self.deactivate_agent(turn, request, principal, &call.agent_id);
        } else if let Some(call) = reactivate_agent {
            self.reactivate_agent(turn, request, principal, &call.agent_id);
        } else if let Some(call) = mark_agent_gone {
            self.mark_agent_gone(turn, request, principal, &AgentId::from(&call.agent_id));
        } else if let Some(call) = update_maintenance_schedule {
            self.update_schedule(turn, (request, principal), call.schedule);
        } else if let Some(call) = start_maintenance {
            self.start_maintenance(turn, (request, principal), call.machines);
        } else if let Some(call) = stop_maintenance {
            self.stop_maintenance(turn, (request, principal), call.machines);
        } else {
            turn.reply(request, Reply::NotImplemented);
        }
    }
}
