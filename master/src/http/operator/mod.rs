//! `POST /api/v1`: the operator API (Mesos: src/master/http.cpp `Master::Http::api`). One
//! file per group of calls; what this version does not do is answered 501.

pub(super) mod agents;
mod events;
mod node;
pub(super) mod operations;
pub(super) mod quota;
mod roles;
mod state;
mod stream;
pub(super) mod teardown;
mod validate;

use std::sync::Arc;

use caprock_http::{Reply, reply};
use caprock_proto::MediaType;
use caprock_proto::mesos::v1::master::{Call, Response, call, response};
use http::{HeaderMap, StatusCode};

use super::call as request_call;
use crate::context::Master;
use crate::reads;

/// What a handler needs beside the call.
struct Context<'a> {
    master: &'a Arc<Master>,
    principal: Option<String>,
    headers: &'a HeaderMap,
    media: MediaType,
}

/// Answers one request.
pub async fn handle<B>(
    master: &Arc<Master>,
    principal: Option<String>,
    headers: &HeaderMap,
    body: B,
) -> Reply
where
    B: http_body::Body<Data = bytes::Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let limit = master.config.max_request_body_bytes;
    let call = match request_call::read::<Call, _>(headers, body, limit).await {
        Ok(call) => call,
        Err(refused) => return *refused,
    };
    if let Err(error) = validate::call(&call) {
        return reply::bad_request(format!("Failed to validate master::Call: {error}"));
    }
    let media = match request_call::answer_media(headers) {
        Ok(media) => media,
        Err(refused) => return *refused,
    };
    let context = Context {
        master,
        principal,
        headers,
        media,
    };
    Box::pin(dispatch(&context, call)).await
}

async fn dispatch(context: &Context<'_>, call: Call) -> Reply {
    match call.r#type() {
        call::Type::GetHealth => node::health(context),
        call::Type::GetFlags => node::flags(context),
        call::Type::GetVersion => node::version(context),
        call::Type::GetMetrics => node::metrics(context).await,
        call::Type::GetLoggingLevel => node::logging_level(context),
        call::Type::SetLoggingLevel => node::set_logging_level(context, call.set_logging_level),
        call::Type::GetMaster => node::master(context),
        // No file of a master is served.
        call::Type::ListFiles | call::Type::ReadFile => reply::status_line(StatusCode::NOT_FOUND),
        call::Type::GetState
        | call::Type::GetAgents
        | call::Type::GetFrameworks
        | call::Type::GetExecutors
        | call::Type::GetTasks => state::read(context, call.r#type()).await,
        call::Type::GetRoles | call::Type::GetWeights | call::Type::GetQuota => {
            roles::read(context, call.r#type()).await
        }
        call::Type::UpdateQuota
        | call::Type::SetQuota
        | call::Type::RemoveQuota
        | call::Type::UpdateWeights => Box::pin(quota::handle(context, call)).await,
        call::Type::GetOperations => operations::read(context).await,
        call::Type::ReserveResources
        | call::Type::UnreserveResources
        | call::Type::CreateVolumes
        | call::Type::DestroyVolumes
        | call::Type::GrowVolume
        | call::Type::ShrinkVolume => Box::pin(operations::handle(context, call)).await,
        call::Type::GetMaintenanceSchedule => agents::schedule(context),
        call::Type::GetMaintenanceStatus => agents::status(context),
        call::Type::UpdateMaintenanceSchedule
        | call::Type::StartMaintenance
        | call::Type::StopMaintenance
        | call::Type::DrainAgent
        | call::Type::DeactivateAgent
        | call::Type::ReactivateAgent
        | call::Type::MarkAgentGone => Box::pin(agents::handle(context, call)).await,
        call::Type::Subscribe => stream::open(context),
        call::Type::Teardown => teardown::handle(context, call.teardown).await,
        call::Type::Unknown => reply::status_line(StatusCode::NOT_IMPLEMENTED),
    }
}

/// An answer of the operator API, encoded and perhaps compressed.
fn answer(context: &Context<'_>, answer: &Response) -> Reply {
    let bytes = reads::write_response(context.media, answer);
    reply::ok(context.headers, context.media.as_str(), bytes)
}

/// An empty answer of this type.
fn of_type(kind: response::Type) -> Response {
    Response {
        r#type: Some(kind as i32),
        ..Response::default()
    }
}
