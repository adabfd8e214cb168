//! UPDATE_FRAMEWORK: new info, suppressed roles and constraints at once, with a verdict
//! (Mesos: Master::updateFramework).

use std::sync::Arc;

use caprock_model::FrameworkId;
use caprock_proto::caprock::registry::{self, entry::Command};
use caprock_proto::mesos::v1::FrameworkInfo;
use caprock_proto::mesos::v1::scheduler::call::UpdateFramework;
use caprock_registry::{Framework, Registry};

use crate::call::Admitted;
use crate::call::subscribe::{check_info, check_wishes};
use crate::config::Config;
use crate::effect::Reply;
use crate::input::RequestId;
use crate::office::Office;
use crate::propose::{Pending, Verdict};
use crate::turn::Turn;

impl Office {
    pub(crate) fn update_framework(
        &mut self,
        turn: &mut Turn<'_>,
        admitted: &Admitted<'_>,
        mut update: UpdateFramework,
    ) {
        let known = admitted.framework;
        if update.framework_info.principal.is_none() {
            update
                .framework_info
                .principal
                .clone_from(&known.info.principal);
        }
        if let Err(text) = check(&self.config, turn.registry, known, &update) {
            return turn.reply(admitted.request, Reply::BadRequest(text));
        }
        // Offers that the change makes wrong end now, filters of roles that are no longer
        // suppressed as well; a failed proposal costs no more than an extra offer.
        for role in &known.suppressed {
            if !update
                .suppressed_roles
                .iter()
                .any(|suppressed| *role == suppressed.as_str())
            {
                self.filters.forget_role(&known.id, role);
            }
        }
        let command = registry::UpdateFramework {
            info: Some(update.framework_info),
            suppressed_roles: update.suppressed_roles,
            offer_constraints: update.offer_constraints,
        };
        let pending = Pending::UpdateFramework {
            request: admitted.request,
            framework: known.id.clone(),
        };
        let command = Command::UpdateFramework(command);
        self.propose_for(turn, admitted.principal.clone(), command, pending);
    }

    pub(crate) fn update_framework_applied(
        &mut self,
        turn: &mut Turn<'_>,
        request: RequestId,
        framework: &FrameworkId,
        verdict: Verdict,
    ) {
        match verdict {
            Verdict::Applied(..) => {
                turn.reply(request, Reply::Ok);
                let Some(known) = turn.registry.framework(framework) else {
                    return;
                };
                let known = Arc::clone(known);
                self.rescind_lost_roles(turn, &known);
                self.tell_agents_about(turn, &known);
                self.request_allocation(turn);
            }
            Verdict::Rejected(rejection) => {
                turn.reply(request, Reply::BadRequest(rejection.to_string()));
            }
            Verdict::Refused | Verdict::Unknown => turn.unavailable(request),
        }
    }
}

fn check(
    config: &Config,
    registry: &Registry,
    known: &Framework,
    update: &UpdateFramework,
) -> Result<(), String> {
    let info = &update.framework_info;
    check_info(config, registry, info)
        .map_err(|error| format!("Supplied FrameworkInfo is not valid: {error}"))?;
    check_immutable(&known.info, info)
        .map_err(|error| format!("FrameworkInfo update is not valid: {error}"))?;
    check_wishes(
        info,
        &update.suppressed_roles,
        update.offer_constraints.as_ref(),
    )
    .map_err(|error| format!("'UpdateFramework' call is not valid: {error}"))
}

fn check_immutable(old: &FrameworkInfo, new: &FrameworkInfo) -> Result<(), String> {
    let unsupported = |field: &str, old: &str, new: &str| {
        Err(format!(
            "Updating 'FrameworkInfo.{field}' is unsupported; attempted to update from '{old}' \
             to '{new}'"
        ))
    };
    if old.principal != new.principal {
        return Err("Changing framework's principal is not allowed.".to_owned());
    }
    if old.user != new.user {
        return unsupported("user", &old.user, &new.user);
    }
    if old.checkpoint() != new.checkpoint() {
        let (old, new) = (old.checkpoint().to_string(), new.checkpoint().to_string());
        return unsupported("checkpoint", &old, &new);
    }
    Ok(())
}
