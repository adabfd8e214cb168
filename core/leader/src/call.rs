//! Scheduler calls: the checks that all of them share, then one file per call (Mesos:
//! Master::Http::scheduler in src/master/http.cpp).

pub(crate) mod acknowledge;
pub(crate) mod decline;
pub(crate) mod inverse_offers;
pub(crate) mod kill;
pub(crate) mod message;
pub(crate) mod operations;
pub(crate) mod reconcile;
pub(crate) mod request;
pub(crate) mod shutdown;
pub(crate) mod subscribe;
pub(crate) mod suppress;
pub(crate) mod teardown;
pub(crate) mod update_framework;

use std::collections::BTreeMap;
use std::sync::Arc;

use caprock_model::{FrameworkId, Role, validate};
use caprock_proto::mesos::v1::scheduler::{self, call::Type};
use caprock_registry::Framework;

use caprock_proto::mesos::v1::Offer;

use crate::accept::repeat::CallKey;
use crate::effect::Reply;
use crate::input::{Caller, RequestId};
use crate::metrics;
use crate::office::Office;
use crate::turn::Turn;

/// A call that passed the checks, from a framework with an open stream.
pub(crate) struct Admitted<'a> {
    pub request: RequestId,
    pub framework: &'a Arc<Framework>,
    /// The authenticated principal; empty without authentication.
    pub principal: String,
    /// Set if the call may be sent more than once.
    pub key: Option<CallKey>,
    /// Offers of former leaders, in the words of a gateway.
    pub vouched: &'a [Offer],
    /// Operations that the framework may not ask for, and why.
    pub denied_operations: &'a BTreeMap<usize, String>,
}

impl Office {
    pub(crate) fn call(
        &mut self,
        turn: &mut Turn<'_>,
        request: RequestId,
        caller: &Caller,
        call: scheduler::Call,
    ) {
        let registry = turn.registry;
        if let Err(reply) = self.fence(caller) {
            return turn.reply(request, reply);
        }
        if let Err(error) = validate::scheduler_call(&call) {
            let text = format!("Failed to validate scheduler::Call: {error}");
            return turn.reply(request, Reply::BadRequest(text));
        }
        let id = call
            .framework_id
            .as_ref()
            .map(FrameworkId::from)
            .unwrap_or_default();
        let Some(framework) = registry.framework(&id) else {
            return turn.reply(
                request,
                Reply::BadRequest("Framework cannot be found".to_owned()),
            );
        };
        if let Err(reply) = self.admit_caller(framework, caller) {
            return turn.reply(request, reply);
        }
        let principal = caller.principal.clone().unwrap_or_default();
        let key = caller.idempotency_key.as_deref();
        let admitted = Admitted {
            request,
            framework,
            principal,
            key: key.map(|key| CallKey::new(&framework.id, key)),
            vouched: &caller.vouched,
            denied_operations: &caller.denied_operations,
        };
        let kind = call.r#type();
        self.metrics.count(metric_of(kind));
        if !self.dispatch(turn, &admitted, kind, call) {
            turn.reply(request, Reply::NotImplemented);
        }
    }

    /// A call that a gateway sent to another leadership came late, or this one has ended
    /// without knowing it.
    pub(crate) fn fence(&mut self, caller: &Caller) -> Result<(), Reply> {
        if caller.term.is_none_or(|term| term == self.term) {
            return Ok(());
        }
        self.metrics.count(metrics::FENCED_CALLS);
        let text = "The call is meant for another leadership".to_owned();
        Err(Reply::Unavailable(text))
    }

    /// Rows of Mesos' table of answers in their order: principal, subscription, stream id.
    fn admit_caller(&self, framework: &Framework, caller: &Caller) -> Result<(), Reply> {
        if let Some(principal) = &caller.principal
            && let Some(registered) = &framework.info.principal
            && principal != registered
        {
            return Err(Reply::BadRequest(principal_mismatch(principal, registered)));
        }
        let Some(session) = self.sessions.of(&framework.id) else {
            return Err(Reply::Forbidden("Framework is not subscribed".to_owned()));
        };
        let Some(stream_id) = &caller.stream_id else {
            let text = "All non-subscribe calls should include the 'Mesos-Stream-Id' header";
            return Err(Reply::BadRequest(text.to_owned()));
        };
        if *stream_id != session.stream_id {
            return Err(Reply::BadRequest(format!(
                "The stream ID '{stream_id}' included in this request didn't match the stream ID \
                 currently associated with framework ID {}",
                framework.id
            )));
        }
        Ok(())
    }

    /// False if there is no such call.
    fn dispatch(
        &mut self,
        turn: &mut Turn<'_>,
        admitted: &Admitted<'_>,
        kind: Type,
        call: scheduler::Call,
    ) -> bool {
        // Validation has seen that the field of each type is present.
        match kind {
            Type::Teardown => self.teardown(turn, admitted),
            Type::Accept => self.accept(turn, admitted, call.accept.unwrap_or_default()),
            Type::Decline => self.decline(turn, admitted, &call.decline.unwrap_or_default()),
            Type::AcceptInverseOffers => {
                let accept = call.accept_inverse_offers.unwrap_or_default();
                self.accept_inverse_offers(turn, admitted, &accept);
            }
            Type::DeclineInverseOffers => {
                let decline = call.decline_inverse_offers.unwrap_or_default();
                self.decline_inverse_offers(turn, admitted, &decline);
            }
            Type::Revive => self.revive(turn, admitted, &call.revive.unwrap_or_default()),
            Type::Suppress => self.suppress(turn, admitted, &call.suppress.unwrap_or_default()),
            Type::Kill => self.kill(turn, admitted, &call.kill.unwrap_or_default()),
            Type::Shutdown => self.shutdown(turn, admitted, &call.shutdown.unwrap_or_default()),
            Type::Acknowledge => {
                self.acknowledge(turn, admitted, call.acknowledge.unwrap_or_default());
            }
            Type::AcknowledgeOperationStatus => {
                let acknowledge = call.acknowledge_operation_status.unwrap_or_default();
                self.acknowledge_operation(turn, admitted, &acknowledge);
            }
            Type::Reconcile => self.reconcile(turn, admitted, &call.reconcile.unwrap_or_default()),
            Type::ReconcileOperations => {
                let reconcile = call.reconcile_operations.unwrap_or_default();
                self.reconcile_operations(turn, admitted, &reconcile);
            }
            Type::Message => self.message(turn, admitted, call.message.unwrap_or_default()),
            Type::Request => self.request(turn, admitted),
            Type::UpdateFramework => {
                let update = call.update_framework.unwrap_or_default();
                self.update_framework(turn, admitted, update);
            }
            Type::Subscribe | Type::Unknown => return false,
        }
        true
    }
}

pub(crate) fn principal_mismatch(authenticated: &str, registered: &str) -> String {
    format!(
        "Authenticated principal '{authenticated}' does not match principal '{registered}' set \
         in `FrameworkInfo`"
    )
}

/// The named roles if the framework has all of them; without names all that it has. Mesos
/// ignores the whole call otherwise.
pub(crate) fn named_roles(framework: &Framework, names: &[String]) -> Option<Vec<Role>> {
    if names.is_empty() {
        return Some(framework.roles.iter().cloned().collect());
    }
    names
        .iter()
        .map(|name| framework.roles.get(name.as_str()).cloned())
        .collect()
}

fn metric_of(kind: Type) -> &'static str {
    match kind {
        Type::Subscribe => "master/messages_register_framework",
        Type::Teardown => "master/messages_unregister_framework",
        Type::Accept => "master/messages_launch_tasks",
        Type::Decline => "master/messages_decline_offers",
        Type::AcceptInverseOffers => "master/messages_accept_inverse_offers",
        Type::DeclineInverseOffers => "master/messages_decline_inverse_offers",
        Type::Revive => "master/messages_revive_offers",
        Type::Kill => "master/messages_kill_task",
        Type::Shutdown => "master/messages_shutdown_executor",
        Type::Acknowledge => "master/messages_status_update_acknowledgement",
        Type::AcknowledgeOperationStatus => {
            "master/messages_operation_status_update_acknowledgement"
        }
        Type::Reconcile => "master/messages_reconcile_tasks",
        Type::ReconcileOperations => "master/messages_reconcile_operations",
        Type::Message => "master/messages_framework_to_executor",
        Type::Request => "master/messages_resource_request",
        Type::Suppress => "master/messages_suppress_offers",
        Type::UpdateFramework => "master/messages_update_framework",
        Type::Unknown => crate::metrics::DROPPED_MESSAGES,
    }
}
