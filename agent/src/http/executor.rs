//! `POST /api/v1/executor`. The checks are in the order in which Mesos makes them
//! (Mesos: src/slave/http.cpp `Http::executor`); what needs the agent's state is asked of
//! the brain.

use caprock_agent_core::Reply as Answer;
use caprock_http::{Reply, reply, stream};
use caprock_model::validate;
use caprock_proto::mesos::v1::executor::Call;
use caprock_proto::mesos::v1::executor::call::Type;
use http::{Request, StatusCode};
use hyper::body::Incoming;

use super::call::{self, Decoded};
use super::{Context, Refusal, recovering};
use crate::inbox::EventStream;

/// Answers one call.
pub async fn handle(context: &Context, request: Request<Incoming>) -> Reply {
    respond(context, request)
        .await
        .unwrap_or_else(|refused| *refused)
}

async fn respond(context: &Context, request: Request<Incoming>) -> Result<Reply, Refusal> {
    if !context.is_recovered() {
        return Err(recovering().into());
    }
    let max_body_bytes = context.config.max_request_body_bytes;
    let Decoded { headers, call } = call::decode::<Call>(request, max_body_bytes).await?;
    validate::executor_call(&call).map_err(|message| {
        reply::bad_request(format!("Failed to validate Executor::Call: {message}"))
    })?;
    match call.r#type() {
        Type::Subscribe => {
            let media = call::acceptable(&headers)?;
            subscribe(context, call, media).await
        }
        Type::Heartbeat => Ok(reply::empty(StatusCode::ACCEPTED)),
        Type::Unknown => Ok(reply::status_line(StatusCode::NOT_IMPLEMENTED)),
        Type::Update | Type::Message => {
            let answer = context
                .inbox
                .call(call, None)
                .await
                .ok_or_else(recovering)?;
            Ok(plain(answer))
        }
    }
}

async fn subscribe(
    context: &Context,
    call: Call,
    media: caprock_proto::MediaType,
) -> Result<Reply, Refusal> {
    // The stream has the media type of its records, not that of the framing.
    let (sender, opened) = stream::open(media.as_str(), context.config.executor_event_buffer);
    let events = EventStream { media, sender };
    match context
        .inbox
        .call(call, Some(events))
        .await
        .ok_or_else(recovering)?
    {
        Answer::Stream(_) => Ok(opened),
        other => Ok(plain(other)),
    }
}

fn plain(answer: Answer) -> Reply {
    match answer {
        Answer::Accepted | Answer::Stream(_) => reply::empty(StatusCode::ACCEPTED),
        Answer::BadRequest(text) => reply::bad_request(text),
        Answer::Forbidden(text) => reply::text(StatusCode::FORBIDDEN, text),
        Answer::Unavailable(text) => reply::text(StatusCode::SERVICE_UNAVAILABLE, text),
    }
}
