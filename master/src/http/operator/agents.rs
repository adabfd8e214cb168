//! The calls that send agents and machines away, and the maintenance schedule: whether the
//! caller may; the leader says whether it can be done.

use caprock_http::{Reply, reply};
use caprock_proto::mesos::v1::master::{Call, call, response};
use http::StatusCode;

use super::{Context, answer as respond, of_type};
use crate::context::Master;
use crate::driver::Answer;
use crate::http::answer;
use crate::reads;

/// A call that changes something.
pub(super) async fn handle(context: &Context<'_>, call: Call) -> Reply {
    submit(context.master, context.principal.as_deref(), call).await
}

/// Hands a call of this family to the leader, if the principal may make it.
pub async fn submit(master: &Master, principal: Option<&str>, call: Call) -> Reply {
    if !master.acls.may_care_for_agents(principal, &call) {
        return reply::empty(StatusCode::FORBIDDEN);
    }
    let principal = principal.map(str::to_owned);
    match master.driver.operator(principal, call).await {
        Answer::Reply(verdict) => answer::reply(verdict),
        Answer::Stream(_) => reply::status_line(StatusCode::INTERNAL_SERVER_ERROR),
    }
}

/// Whether the principal may read the schedule, or the status.
pub fn may_read(master: &Master, principal: Option<&str>, kind: call::Type) -> bool {
    let call = Call {
        r#type: Some(kind as i32),
        ..Call::default()
    };
    master.acls.may_care_for_agents(principal, &call)
}

/// GET_MAINTENANCE_SCHEDULE; who may see no machine sees an empty one.
pub(super) fn schedule(context: &Context<'_>) -> Reply {
    let (master, principal) = (context.master, context.principal.as_deref());
    let shown = may_read(master, principal, call::Type::GetMaintenanceSchedule);
    let schedule = reads::maintenance_schedule(&master.published, shown);
    let mut found = of_type(response::Type::GetMaintenanceSchedule);
    found.get_maintenance_schedule = Some(response::GetMaintenanceSchedule { schedule });
    respond(context, &found)
}

/// GET_MAINTENANCE_STATUS
pub(super) fn status(context: &Context<'_>) -> Reply {
    let (master, principal) = (context.master, context.principal.as_deref());
    let shown = may_read(master, principal, call::Type::GetMaintenanceStatus);
    let status = reads::maintenance_status(&master.published, shown);
    let mut found = of_type(response::Type::GetMaintenanceStatus);
    found.get_maintenance_status = Some(response::GetMaintenanceStatus { status });
    respond(context, &found)
}
