//! `POST /api/v1/scheduler`: the checks before a call reaches the leader's brain, in Mesos'
//! order (Mesos: src/master/http.cpp `Master::Http::scheduler`).

use std::collections::BTreeMap;
use std::sync::Arc;

use caprock_http::{Reply, accept, reply, stream};
use caprock_leader::Caller;
use caprock_model::{FrameworkId, roles_of, validate};
use caprock_proto::MediaType;
use caprock_proto::caprock::gateway::VouchedAccept;
use caprock_proto::mesos::v1::Offer;
use caprock_proto::mesos::v1::scheduler::{Call, Event, call, event};
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use http::{HeaderMap, StatusCode};
use prost::Message;

use super::event_body::EventBody;
use super::{answer, call as request_call};
use crate::context::Master;
use crate::driver::Answer;
use crate::gateway::headers::{
    IDEMPOTENCY_KEY, IDEMPOTENCY_KEY_BYTES_MAX, RESUMES, TERM, VOUCHED_ACCEPT,
};
use crate::gateway::{self, FORWARDED_BY};

/// The header that ties calls to a subscription.
pub const STREAM_ID: HeaderName = HeaderName::from_static("mesos-stream-id");

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
    let (call, vouched) = match read(headers, body, limit).await {
        Ok(read) => read,
        Err(refused) => return *refused,
    };
    let caller = match caller(principal, headers, vouched) {
        Ok(caller) => caller,
        Err(refused) => return *refused,
    };
    admit(master, caller, headers, call)
        .await
        .unwrap_or_else(|refused| *refused)
}

/// The call, and the offers that a gateway vouches for.
async fn read<B>(
    headers: &HeaderMap,
    body: B,
    limit: usize,
) -> Result<(Call, Vec<Offer>), Box<Reply>>
where
    B: http_body::Body<Data = bytes::Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let from_gateway =
        headers.contains_key(FORWARDED_BY) && accept::content_type(headers) == Some(VOUCHED_ACCEPT);
    if !from_gateway {
        let call = request_call::read::<Call, _>(headers, body, limit).await?;
        return Ok((call, Vec::new()));
    }
    let bytes = request_call::bytes(headers, body, limit).await?;
    let bad = |text: String| Box::new(reply::bad_request(text));
    let accept = VouchedAccept::decode(bytes).map_err(|error| bad(error.to_string()))?;
    let call = accept.call.ok_or_else(|| bad("no call".to_owned()))?;
    Ok((call, accept.offers))
}

/// Who sends the call. Only other members and gateways say which term they mean.
fn caller(
    principal: Option<String>,
    headers: &HeaderMap,
    vouched: Vec<Offer>,
) -> Result<Caller, Box<Reply>> {
    let lossy = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let idempotency_key = headers.get(IDEMPOTENCY_KEY).map(lossy);
    if let Some(key) = &idempotency_key
        && (key.len() > IDEMPOTENCY_KEY_BYTES_MAX || validate::id(key).is_err())
    {
        let text = "The 'Caprock-Idempotency-Key' header is no identifier";
        return Err(Box::new(reply::bad_request(text)));
    }
    let forwarded = headers.contains_key(FORWARDED_BY);
    let term = gateway::headers::term(headers).filter(|_| forwarded);
    Ok(Caller {
        principal,
        stream_id: headers.get(STREAM_ID).map(lossy),
        term,
        idempotency_key,
        resumes: forwarded && headers.contains_key(RESUMES),
        vouched,
        denied_operations: BTreeMap::new(),
    })
}

async fn admit(
    master: &Arc<Master>,
    mut caller: Caller,
    headers: &HeaderMap,
    call: Call,
) -> Result<Reply, Box<Reply>> {
    validate::scheduler_call(&call).map_err(|error| invalid(&error))?;
    check_principal(&call, caller.principal.as_deref())?;
    caller.denied_operations = denied_operations(master, &call, caller.principal.as_deref());

    let kind = call.r#type();
    let media = match kind {
        call::Type::Subscribe | call::Type::ReconcileOperations => {
            Some(request_call::answer_media(headers)?)
        }
        _ => None,
    };
    if kind == call::Type::Subscribe && caller.stream_id.is_some() {
        let text = "Subscribe calls should not include the 'Mesos-Stream-Id' header";
        return Err(Box::new(reply::bad_request(text)));
    }
    if let Some(metric) = metric_of(kind) {
        master.requests.received(metric);
    }
    match (kind, media) {
        (call::Type::Subscribe, Some(media)) => Ok(subscribe(master, caller, call, media).await),
        (call::Type::Unknown, _) => Err(Box::new(reply::status_line(StatusCode::NOT_IMPLEMENTED))),
        _ => Ok(match master.driver.call(caller, call).await {
            Answer::Reply(verdict) => answer::reply(verdict),
            Answer::Stream(_) => reply::status_line(StatusCode::INTERNAL_SERVER_ERROR),
        }),
    }
}

/// The operations of an ACCEPT that the framework may not ask for. Frameworks act with the
/// principal that they have subscribed with.
fn denied_operations(
    master: &Master,
    call: &Call,
    principal: Option<&str>,
) -> BTreeMap<usize, String> {
    let (Some(accept), Some(id)) = (&call.accept, &call.framework_id) else {
        return BTreeMap::new();
    };
    let registry = master.published.registry();
    let framework = registry.framework(&FrameworkId::from(id));
    let own = framework.and_then(|framework| framework.info.principal.as_deref());
    let acls = master.acls.operations(own.or(principal));
    let operations = accept.operations.iter().enumerate();
    operations
        .filter_map(|(place, operation)| Some((place, acls.refusal(operation)?)))
        .collect()
}

fn invalid(error: &str) -> Box<Reply> {
    Box::new(reply::bad_request(format!(
        "Failed to validate scheduler::Call: {error}"
    )))
}

/// The principal in the `FrameworkInfo` must be the one that sends it
/// (Mesos: src/master/validation.cpp `scheduler::call::validate`).
fn check_principal(call: &Call, principal: Option<&str>) -> Result<(), Box<Reply>> {
    let (Some(subscribe), Some(principal)) = (&call.subscribe, principal) else {
        return Ok(());
    };
    match subscribe.framework_info.principal.as_deref() {
        Some(named) if named != principal => Err(invalid(&format!(
            "Authenticated principal '{principal}' does not match principal '{named}' set in \
             `FrameworkInfo`"
        ))),
        _ => Ok(()),
    }
}

async fn subscribe(master: &Master, caller: Caller, call: Call, media: MediaType) -> Reply {
    let Some(mut subscribe) = call.subscribe else {
        return *invalid("Expecting 'subscribe' to be present");
    };
    let info = &mut subscribe.framework_info;
    if info.principal.is_none() {
        info.principal.clone_from(&caller.principal);
    }
    let principal = info.principal.as_deref().or(caller.principal.as_deref());
    if let Some(role) = roles_of(info)
        .into_iter()
        .find(|role| !master.acls.may_register(principal, role.as_str()))
    {
        let text = format!("Not authorized to use role '{role}'");
        return refusal_stream(media, text);
    }
    let framework_id = call
        .framework_id
        .map(|id| id.value)
        .filter(|id| !id.is_empty());
    match master
        .driver
        .subscribe(caller, framework_id, subscribe)
        .await
    {
        Answer::Reply(verdict) => answer::reply(verdict),
        Answer::Stream(events) => {
            let stream_id = events.stream_id.clone();
            let body = caprock_http::Body::new(EventBody::new(events, media));
            let mut reply = streaming(media, &stream_id, body);
            // For gateways. One that leads no more says nothing, and ends the stream.
            if let Some(term) = master.published.standing().leading_term() {
                reply.headers_mut().insert(TERM, HeaderValue::from(term));
            }
            reply
        }
    }
}

/// What concerns the content of a `FrameworkInfo` is answered with 200, a stream with one
/// ERROR, and its end (Mesos: src/master/master.cpp `subscribe`).
fn refusal_stream(media: MediaType, message: String) -> Reply {
    let event = Event {
        r#type: Some(event::Type::Error as i32),
        error: Some(event::Error { message }),
        ..Event::default()
    };
    let mut record = Vec::new();
    caprock_proto::encode(media, &event, &mut record);
    let stream_id = uuid::Uuid::new_v4().to_string();
    let (sender, opened) = stream::open(media.as_str(), 1);
    // The channel has room for the one record.
    let sent = sender.try_send(stream::frame(&record));
    debug_assert!(sent.is_ok());
    streaming(media, &stream_id, opened.into_body())
}

fn streaming(media: MediaType, stream_id: &str, body: caprock_http::Body) -> Reply {
    let mut reply = Reply::new(body);
    let headers = reply.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media.as_str()));
    let value = HeaderValue::from_str(stream_id).expect("a UUID is visible ASCII");
    headers.insert(STREAM_ID, value);
    reply
}

/// Mesos' counter of a call (Mesos: src/master/metrics.cpp).
fn metric_of(kind: call::Type) -> Option<&'static str> {
    match kind {
        call::Type::Subscribe => Some("master/messages_register_framework"),
        call::Type::Teardown => Some("master/messages_unregister_framework"),
        call::Type::Accept => Some("master/messages_launch_tasks"),
        call::Type::Decline => Some("master/messages_decline_offers"),
        call::Type::Revive => Some("master/messages_revive_offers"),
        call::Type::Suppress => Some("master/messages_suppress_offers"),
        call::Type::Kill => Some("master/messages_kill_task"),
        call::Type::Acknowledge => Some("master/messages_status_update_acknowledgement"),
        call::Type::AcknowledgeOperationStatus => {
            Some("master/messages_operation_status_update_acknowledgement")
        }
        call::Type::Reconcile => Some("master/messages_reconcile_tasks"),
        call::Type::ReconcileOperations => Some("master/messages_reconcile_operations"),
        call::Type::Message => Some("master/messages_framework_to_executor"),
        call::Type::Request => Some("master/messages_resource_request"),
        call::Type::Unknown
        | call::Type::Shutdown
        | call::Type::UpdateFramework
        | call::Type::AcceptInverseOffers
        | call::Type::DeclineInverseOffers => None,
    }
}
