//! SUPPRESS and REVIVE: no offers for some roles, and offers again.

use std::sync::Arc;

use caprock_model::FrameworkId;
use caprock_proto::caprock::registry::{ReviveRoles, SuppressRoles, entry::Command};
use caprock_proto::mesos::v1::scheduler::call::{Revive, Suppress};

use crate::call::{Admitted, named_roles};
use crate::input::RequestId;
use crate::office::Office;
use crate::propose::{Pending, Verdict, reply_when_durable};
use crate::turn::Turn;

impl Office {
    pub(crate) fn suppress(
        &mut self,
        turn: &mut Turn<'_>,
        admitted: &Admitted<'_>,
        suppress: &Suppress,
    ) {
        let framework = admitted.framework;
        let Some(roles) = named_roles(framework, &suppress.roles) else {
            return turn.accepted(admitted.request);
        };
        let command = SuppressRoles {
            framework_id: framework.id.to_string(),
            roles: roles.iter().map(ToString::to_string).collect(),
        };
        let pending = Pending::Suppress {
            request: admitted.request,
        };
        let principal = admitted.principal.clone();
        self.propose_for(turn, principal, Command::SuppressRoles(command), pending);
    }

    /// The filters of the roles end at once; what is suppressed is in the log.
    pub(crate) fn revive(&mut self, turn: &mut Turn<'_>, admitted: &Admitted<'_>, revive: &Revive) {
        let framework = Arc::clone(admitted.framework);
        let Some(roles) = named_roles(&framework, &revive.roles) else {
            return turn.accepted(admitted.request);
        };
        self.inverse.revive(&framework.id);
        for role in &roles {
            self.filters.forget_role(&framework.id, role);
        }
        let command = ReviveRoles {
            framework_id: framework.id.to_string(),
            roles: roles.iter().map(ToString::to_string).collect(),
        };
        let request = admitted.request;
        let pending = Pending::Revive {
            request,
            framework: framework.id.clone(),
        };
        let principal = admitted.principal.clone();
        self.propose_for(turn, principal, Command::ReviveRoles(command), pending);
    }

    pub(crate) fn revive_applied(
        &mut self,
        turn: &mut Turn<'_>,
        request: RequestId,
        framework: &FrameworkId,
        verdict: &Verdict,
    ) {
        reply_when_durable(turn, request, verdict);
        if matches!(verdict, Verdict::Applied(..)) && self.sessions.is_connected(framework) {
            self.request_allocation(turn);
        }
    }
}
