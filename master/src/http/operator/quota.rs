//! UPDATE_QUOTA, SET_QUOTA, REMOVE_QUOTA and UPDATE_WEIGHTS: whether the caller may; the
//! leader says whether it can be done (Mesos: src/master/quota_handler.cpp,
//! src/master/weights_handler.cpp).

use caprock_http::{Reply, reply};
use caprock_proto::mesos::v1::master::{Call, call};
use http::StatusCode;

use super::Context;
use crate::context::Master;
use crate::driver::Answer;
use crate::http::answer;

pub(super) async fn handle(context: &Context<'_>, call: Call) -> Reply {
    submit(context.master, context.principal.as_deref(), call).await
}

/// Hands a call on quotas or weights to the leader, if the principal may make it.
pub async fn submit(master: &Master, principal: Option<&str>, call: Call) -> Reply {
    if !is_allowed(master, principal, &call) {
        return reply::empty(StatusCode::FORBIDDEN);
    }
    let principal = principal.map(str::to_owned);
    match master.driver.operator(principal, call).await {
        Answer::Reply(verdict) => answer::reply(verdict),
        Answer::Stream(_) => reply::status_line(StatusCode::INTERNAL_SERVER_ERROR),
    }
}

fn is_allowed(master: &Master, principal: Option<&str>, call: &Call) -> bool {
    let acls = &master.acls;
    let may_update = |role: &str| acls.may_update_quota(principal, role);
    match call.r#type() {
        call::Type::UpdateQuota => {
            let update = call.update_quota.iter();
            let mut configs = update.flat_map(|update| &update.quota_configs);
            configs.all(|config| may_update(&config.role))
        }
        call::Type::SetQuota => {
            let set = call.set_quota.as_ref();
            set.is_none_or(|set| may_update(set.quota_request.role()))
        }
        call::Type::RemoveQuota => {
            let remove = call.remove_quota.as_ref();
            remove.is_none_or(|remove| may_update(&remove.role))
        }
        _ => {
            let update = call.update_weights.iter();
            let mut infos = update.flat_map(|update| &update.weight_infos);
            infos.all(|info| acls.may_update_weight(principal, info.role().trim()))
        }
    }
}
