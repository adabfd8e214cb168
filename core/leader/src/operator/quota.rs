//! UPDATE_QUOTA, SET_QUOTA and REMOVE_QUOTA (Mesos: src/master/quota_handler.cpp). The
//! allocator reads quotas from the registry, so that a change counts from its next run on;
//! here it is checked, logged, and offers that stand against it are rescinded.

use caprock_model::validate::quota::{config_of_request, quota_configs, quota_request};
use caprock_model::{OfferId, Quantities, Role};
use caprock_proto::caprock::registry::update_quotas::Presence;
use caprock_proto::caprock::registry::{UpdateQuotas, entry::Command};
use caprock_proto::mesos::v1::master::call;
use caprock_proto::mesos::v1::quota::{QuotaConfig, QuotaRequest};
use caprock_registry::{Quota, Rejection};

use crate::effect::Reply;
use crate::input::RequestId;
use crate::office::Office;
use crate::propose::{Pending, Verdict};
use crate::quota::{charges, is_within};
use crate::turn::Turn;

/// An update of quotas on its way through the log.
#[derive(Debug)]
pub(crate) struct PendingQuota {
    pub request: RequestId,
    form: Form,
    roles: Vec<Role>,
}

/// Which call it was: each has its own words for the same refusals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Update,
    Set,
    Remove,
}

impl Office {
    pub(super) fn update_quota(
        &mut self,
        turn: &mut Turn<'_>,
        request: RequestId,
        principal: Option<String>,
        call: call::UpdateQuota,
    ) {
        let known = |role: &str| self.config.allows_role(role);
        if let Err(text) = quota_configs(&call.quota_configs, known) {
            return turn.reply(request, Reply::BadRequest(text));
        }
        if call.quota_configs.is_empty() {
            return turn.reply(request, Reply::Ok);
        }
        let checked = !call.force();
        let update = UpdateQuotas {
            configs: call.quota_configs,
            presence: Presence::Any.into(),
            within_capacity: checked,
            within_limits: checked,
        };
        self.propose_quotas(turn, request, principal, Form::Update, update);
    }

    pub(super) fn set_quota(
        &mut self,
        turn: &mut Turn<'_>,
        request: RequestId,
        principal: Option<String>,
        asked: &QuotaRequest,
    ) {
        if let Err(text) = quota_request(asked, |role| self.config.allows_role(role)) {
            return turn.reply(request, Reply::BadRequest(text));
        }
        let update = UpdateQuotas {
            configs: vec![config_of_request(asked)],
            presence: Presence::Absent.into(),
            within_capacity: !asked.force(),
            within_limits: false,
        };
        self.propose_quotas(turn, request, principal, Form::Set, update);
    }

    pub(super) fn remove_quota(
        &mut self,
        turn: &mut Turn<'_>,
        request: RequestId,
        principal: Option<String>,
        role: String,
    ) {
        let nothing = QuotaConfig {
            role,
            ..QuotaConfig::default()
        };
        let update = UpdateQuotas {
            configs: vec![nothing],
            presence: Presence::Present.into(),
            ..UpdateQuotas::default()
        };
        self.propose_quotas(turn, request, principal, Form::Remove, update);
    }

    /// The registry checks again when its turn comes; what it would refuse now need not be
    /// logged.
    fn propose_quotas(
        &mut self,
        turn: &mut Turn<'_>,
        request: RequestId,
        principal: Option<String>,
        form: Form,
        update: UpdateQuotas,
    ) {
        if let Err(rejection) = turn.registry.check_quotas(&update) {
            return turn.reply(request, refusal(form, &rejection));
        }
        let roles = update.configs.iter().map(|config| Role::from(&config.role));
        let pending = PendingQuota {
            request,
            form,
            roles: roles.collect(),
        };
        let principal = principal.unwrap_or_default();
        let command = Command::UpdateQuotas(update);
        self.propose_for(turn, principal, command, Pending::Quota(pending));
    }

    pub(crate) fn quota_applied(
        &mut self,
        turn: &mut Turn<'_>,
        pending: &PendingQuota,
        verdict: &Verdict,
    ) {
        match verdict {
            Verdict::Applied(..) => {
                turn.reply(pending.request, Reply::Ok);
                for role in &pending.roles {
                    self.enforce_quota(turn, role);
                }
                self.request_allocation(turn);
            }
            Verdict::Rejected(rejection) => {
                turn.reply(pending.request, refusal(pending.form, rejection));
            }
            Verdict::Refused | Verdict::Unknown => turn.unavailable(pending.request),
        }
    }

    /// Rescinds what the role is offered above its limits, and of what others are offered as
    /// much as it lacks. What is free is taken to be out of reach, as Mesos does: it may be
    /// kept for the guarantees of others. There is no filter: the next run offers it again
    /// to whomever it may be offered.
    fn enforce_quota(&mut self, turn: &mut Turn<'_>, role: &Role) {
        let Some(quota) = turn.registry.quota(role) else {
            return;
        };
        let mut charged = self.charged(turn.registry, role);
        for (id, amounts) in self.charged_offers(|other| is_within(other, role)) {
            if quota.allows(&charged) {
                break;
            }
            if exceeds(quota, &charged, &amounts) {
                self.rescind_offer(turn, &id);
                charged -= &amounts;
            }
        }
        let mut missing = quota.guarantees.clone();
        missing -= &charged;
        for (id, amounts) in self.charged_offers(|other| !is_within(other, role)) {
            if missing.is_empty() {
                break;
            }
            if amounts.iter().any(|(name, _)| !missing.of(name).is_zero()) {
                self.rescind_offer(turn, &id);
                missing -= &amounts;
            }
        }
    }

    /// What counts against quota in the offers to roles of a kind.
    fn charged_offers(&self, wanted: impl Fn(&Role) -> bool) -> Vec<(OfferId, Quantities)> {
        let offers = self.offers.iter().filter(|(_, offer)| wanted(&offer.role));
        let amounts = offers.map(|(id, offer)| (id.clone(), charges(&offer.resources)));
        amounts.collect()
    }
}

/// Whether giving these amounts back brings the role nearer to its limits.
fn exceeds(quota: &Quota, charged: &Quantities, amounts: &Quantities) -> bool {
    quota
        .limits
        .iter()
        .any(|(name, limit)| charged.of(name) > *limit && !amounts.of(name).is_zero())
}

/// The words of each call for what the registry refuses.
fn refusal(form: Form, rejection: &Rejection) -> Reply {
    match (form, rejection) {
        (
            Form::Update,
            Rejection::QuotaExceedsCapacity { .. } | Rejection::QuotaBelowUse { .. },
        ) => Reply::BadRequest(format!(
            "Invalid QuotaConfig: {rejection} (use 'force' flag to bypass this check)"
        )),
        (Form::Update, _) => Reply::BadRequest(format!("Invalid QuotaConfig: {rejection}")),
        (
            Form::Set,
            Rejection::QuotaExceedsCapacity {
                guarantees,
                capacity,
            },
        ) => Reply::Conflict(format!(
            "Quota guarantees overcommit the cluster (use 'force' to bypass this check): Total \
             quota guarantees '{guarantees}' exceed cluster capacity '{capacity}'"
        )),
        (Form::Set, _) => {
            Reply::BadRequest(format!("Failed to validate set quota request: {rejection}"))
        }
        (Form::Remove, _) => Reply::BadRequest(format!("Failed to remove quota: {rejection}")),
    }
}
