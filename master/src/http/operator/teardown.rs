//! TEARDOWN of a framework by an operator (Mesos: src/master/http.cpp `_teardown`).

use caprock_http::{Reply, reply};
use caprock_leader::Reply as Verdict;
use caprock_model::FrameworkId;
use caprock_proto::mesos::v1::master::{Call, call};
use http::StatusCode;

use super::Context;
use crate::context::Master;
use crate::driver::Answer;
use crate::http::answer;

pub(super) async fn handle(context: &Context<'_>, call: Option<call::Teardown>) -> Reply {
    match call {
        Some(call) => {
            let principal = context.principal.as_deref();
            teardown(context.master, principal, &call.framework_id.value).await
        }
        None => reply::bad_request("Expecting 'teardown' to be present"),
    }
}

/// Removes a framework if it exists and the principal may.
pub async fn teardown(master: &Master, principal: Option<&str>, framework_id: &str) -> Reply {
    let unknown = || reply::bad_request(format!("No framework found with ID {framework_id}"));
    let owner = {
        let registry = master.published.registry();
        let Some(framework) = registry.framework(&FrameworkId::from(framework_id)) else {
            return unknown();
        };
        framework.info.principal.clone()
    };
    if !master.acls.may_teardown(principal, owner.as_deref()) {
        return reply::empty(StatusCode::FORBIDDEN);
    }
    let call = Call {
        r#type: Some(call::Type::Teardown as i32),
        teardown: Some(call::Teardown {
            framework_id: framework_id.into(),
        }),
        ..Call::default()
    };
    let principal = principal.map(str::to_owned);
    match master.driver.operator(principal, call).await {
        Answer::Reply(Verdict::NotFound(_)) => unknown(),
        Answer::Reply(Verdict::Accepted) => reply::empty(StatusCode::OK),
        Answer::Reply(verdict) => answer::reply(verdict),
        Answer::Stream(_) => reply::status_line(StatusCode::INTERNAL_SERVER_ERROR),
    }
}
