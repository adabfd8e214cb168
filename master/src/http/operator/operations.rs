//! Reservations and volumes by operators, and GET_OPERATIONS (Mesos: src/master/http.cpp
//! `_reserve` to `_shrinkVolume`). Here is checked whether the caller may; the leader says
//! whether it can be done.

use std::sync::Arc;

use caprock_http::{Reply, reply};
use caprock_proto::mesos::v1::master::{Call, call, response};
use http::StatusCode;

use super::{Context, of_type};
use crate::context::Master;
use crate::driver::Answer;
use crate::http::answer;
use crate::http::server::mark_state;
use crate::reads::{self, Snapshot};

pub(super) async fn handle(context: &Context<'_>, call: Call) -> Reply {
    submit(context.master, context.principal.as_deref(), call).await
}

/// Hands an operation to the leader, if the principal may ask for it.
pub async fn submit(master: &Master, principal: Option<&str>, call: Call) -> Reply {
    let agent_missing = match call.r#type() {
        call::Type::GrowVolume => call.grow_volume.as_ref().map(|grow| &grow.agent_id),
        call::Type::ShrinkVolume => call.shrink_volume.as_ref().map(|shrink| &shrink.agent_id),
        _ => None,
    };
    if agent_missing.is_some_and(Option::is_none) {
        return reply::bad_request("Expecting 'agent_id' to be present");
    }
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
    let acls = master.acls.operations(principal);
    match call.r#type() {
        call::Type::ReserveResources => call.reserve_resources.as_ref().is_none_or(|reserve| {
            acls.may_reserve(&reserve.resources) && acls.may_unreserve(&reserve.source)
        }),
        call::Type::UnreserveResources => call
            .unreserve_resources
            .as_ref()
            .is_none_or(|unreserve| acls.may_unreserve(&unreserve.resources)),
        call::Type::CreateVolumes => call
            .create_volumes
            .as_ref()
            .is_none_or(|create| acls.may_create(&create.volumes)),
        call::Type::DestroyVolumes => call
            .destroy_volumes
            .as_ref()
            .is_none_or(|destroy| acls.may_destroy(&destroy.volumes)),
        call::Type::GrowVolume => call
            .grow_volume
            .as_ref()
            .is_none_or(|grow| acls.may_resize(&grow.volume)),
        _ => call
            .shrink_volume
            .as_ref()
            .is_none_or(|shrink| acls.may_resize(&shrink.volume)),
    }
}

/// GET_OPERATIONS.
pub(super) async fn read(context: &Context<'_>) -> Reply {
    let master = Arc::clone(context.master);
    let (headers, media) = (context.headers.clone(), context.media);
    let principal = context.principal.clone();
    let built = tokio::task::spawn_blocking(move || {
        let snapshot = Snapshot::take(&master.published);
        let may_view = |role: &str| master.acls.may_view_role(principal.as_deref(), role);
        let mut shown = of_type(response::Type::GetOperations);
        shown.get_operations = Some(reads::operations(&snapshot, may_view));
        let bytes = reads::write_response(media, &shown);
        let mut reply = reply::ok(&headers, media.as_str(), bytes);
        mark_state(
            &mut reply,
            snapshot.registry.applied(),
            master.published.age_ms(),
        );
        reply
    });
    built.await.unwrap_or_else(|error| {
        tracing::error!(%error, "a read failed");
        reply::status_line(StatusCode::INTERNAL_SERVER_ERROR)
    })
}
