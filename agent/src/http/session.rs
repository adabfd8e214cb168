//! LAUNCH_NESTED_CONTAINER_SESSION and the calls that go with it: a command beside a running
//! container, its output as a stream of records, its input as another.

use std::time::Duration;

use bytes::Bytes;
use caprock_agent_core::Signal;
use caprock_http::stream::{self, Sender};
use caprock_http::{Reply, accept, reply};
use caprock_proto::mesos::v1::agent::call::attach_container_input::Type as InputType;
use caprock_proto::mesos::v1::agent::call::{AttachContainerInput, Type};
use caprock_proto::mesos::v1::agent::process_io::control::{Heartbeat, Type as ControlType};
use caprock_proto::mesos::v1::agent::process_io::data::Type as DataType;
use caprock_proto::mesos::v1::agent::process_io::{Control, Data, Type as IoType};
use caprock_proto::mesos::v1::agent::response::{self, Type as Answer};
use caprock_proto::mesos::v1::agent::{Call, ProcessIo, Response};
use caprock_proto::mesos::v1::{ContainerId, DurationInfo};
use caprock_proto::{MediaType, recordio};
use http::{HeaderMap, HeaderValue, Request, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;

use super::{Context, Refusal};
use crate::containerizer::session::{OpenSession, Output, Session, SessionId, SessionInput};

/// Media type of the records of a streamed request.
pub const MESSAGE_CONTENT_TYPE: &str = "message-content-type";
const MESSAGE_ACCEPT: &str = "message-accept";

/// `--http_heartbeat_interval`
const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(30);
const RECORD_MAX_BYTES: usize = 4 << 20;
const RECORDS_WAITING: usize = 16;

/// Starts a session; the answer is its output.
pub async fn launch(context: &Context, headers: &HeaderMap, call: &Call) -> Result<Reply, Refusal> {
    let media = output_media(headers)?;
    let wanted = call
        .launch_nested_container_session
        .clone()
        .unwrap_or_default();
    let id = session_id(&wanted.container_id)?;
    let command = wanted.command.unwrap_or_default();
    let terminal = wanted
        .container
        .as_ref()
        .and_then(|container| container.tty_info.as_ref());
    let open = context
        .containerizer
        .open_session(id.clone(), &command, terminal.is_some())
        .await
        .map_err(reply::bad_request)?;
    if let Some(size) = terminal.and_then(|terminal| terminal.window_size.as_ref())
        && let Some(session) = context.containerizer.session(&id)
    {
        let size = SessionInput::WindowSize {
            rows: small(size.rows),
            columns: small(size.columns),
        };
        // It has just been opened: its queue is empty, or it is over already.
        let _ = session.input.try_send(size);
    }
    let (sender, mut reply) = stream::open(accept::RECORDIO, RECORDS_WAITING);
    let inner = HeaderValue::from_static(media.as_str());
    reply.headers_mut().insert("message-content-type", inner);
    tokio::spawn(forward(open, sender, media));
    Ok(reply)
}

/// JSON unless the client asks for protobuf; records are the only form of this answer.
fn output_media(headers: &HeaderMap) -> Result<MediaType, Refusal> {
    if !accept::allows(headers, accept::RECORDIO) {
        let text = "Expecting 'Accept' to allow application/recordio";
        return Err(reply::text(StatusCode::NOT_ACCEPTABLE, text).into());
    }
    let Some(inner) = headers.get(MESSAGE_ACCEPT) else {
        return Ok(MediaType::Json);
    };
    let media = inner
        .to_str()
        .ok()
        .and_then(MediaType::from_content_type)
        .ok_or_else(|| {
            let text =
                "Expecting 'Message-Accept' to allow application/json or application/x-protobuf";
            reply::text(StatusCode::NOT_ACCEPTABLE, text)
        })?;
    Ok(media)
}

async fn forward(mut open: OpenSession, sender: Sender, media: MediaType) {
    let mut heartbeat = tokio::time::interval(HEARTBEAT_INTERVAL);
    // The first tick is at once.
    heartbeat.tick().await;
    loop {
        let record = tokio::select! {
            output = open.output.recv() => match output {
                Some(Output::Stdout(data)) => data_record(DataType::Stdout, data),
                Some(Output::Stderr(data)) => data_record(DataType::Stderr, data),
                None => return,
            },
            _ = heartbeat.tick() => heartbeat_record(),
            // The session ends with its client.
            () = sender.closed() => return,
        };
        let mut bytes = Vec::new();
        caprock_proto::encode(media, &record, &mut bytes);
        if sender.send(stream::frame(&bytes)).await.is_err() {
            return;
        }
    }
}

fn data_record(kind: DataType, data: Bytes) -> ProcessIo {
    ProcessIo {
        r#type: Some(IoType::Data.into()),
        data: Some(Data {
            r#type: Some(kind.into()),
            data: Some(data),
        }),
        control: None,
    }
}

fn heartbeat_record() -> ProcessIo {
    let nanoseconds = i64::try_from(HEARTBEAT_INTERVAL.as_nanos()).unwrap_or_default();
    let heartbeat = Heartbeat {
        interval: Some(DurationInfo { nanoseconds }),
    };
    ProcessIo {
        r#type: Some(IoType::Control.into()),
        data: None,
        control: Some(Control {
            r#type: Some(ControlType::Heartbeat.into()),
            tty_info: None,
            heartbeat: Some(heartbeat),
        }),
    }
}

/// ATTACH_CONTAINER_INPUT: its first record names the session, the others are its input.
pub async fn attach_input(context: &Context, request: Request<Incoming>) -> Result<Reply, Refusal> {
    let (parts, mut body) = request.into_parts();
    if parts.method != http::Method::POST {
        return Err(reply::method_not_allowed(&[http::Method::POST], &parts.method).into());
    }
    let media = input_media(&parts.headers)?;
    let mut decoder = recordio::Decoder::new(RECORD_MAX_BYTES);
    let mut session: Option<Session> = None;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| reply::bad_request(error.to_string()))?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        decoder.feed(&data);
        while let Some(record) = decoder
            .next()
            .map_err(|error| reply::bad_request(error.to_string()))?
        {
            let input = decode_input(media, record)?;
            match &session {
                None => session = Some(find(context, &input)?),
                Some(session) => {
                    let Some(input) = input_of(&input) else {
                        continue;
                    };
                    if session.input.send(input).await.is_err() {
                        // The command has ended, or does not read.
                        return Ok(reply::empty(StatusCode::OK));
                    }
                }
            }
        }
    }
    Ok(reply::empty(StatusCode::OK))
}

fn input_media(headers: &HeaderMap) -> Result<MediaType, Refusal> {
    let Some(inner) = headers.get(MESSAGE_CONTENT_TYPE) else {
        let text = "Expecting 'Message-Content-Type' to be set for streaming requests";
        return Err(reply::bad_request(text).into());
    };
    let media = inner
        .to_str()
        .ok()
        .and_then(MediaType::from_content_type)
        .ok_or_else(|| {
            let text = "Expecting 'Message-Content-Type' of application/json or \
                    application/x-protobuf";
            reply::text(StatusCode::UNSUPPORTED_MEDIA_TYPE, text)
        })?;
    Ok(media)
}

fn decode_input(media: MediaType, record: Bytes) -> Result<AttachContainerInput, Refusal> {
    let call: Call = caprock_proto::decode(media, record)
        .map_err(|error| reply::bad_request(error.to_string()))?;
    if call.r#type() != Type::AttachContainerInput {
        let text = "Streaming 'Content-Type' application/recordio is not supported for this call";
        return Err(reply::text(StatusCode::UNSUPPORTED_MEDIA_TYPE, text).into());
    }
    let input = call.attach_container_input.ok_or_else(|| {
        reply::bad_request(
            "Failed to validate agent::Call: Expecting 'attach_container_input' to be present",
        )
    })?;
    Ok(input)
}

fn find(context: &Context, first: &AttachContainerInput) -> Result<Session, Refusal> {
    let Some(id) = first
        .container_id
        .as_ref()
        .filter(|_| first.r#type() == InputType::ContainerId)
    else {
        let text = "Expecting 'attach_container_input.container_id' to be present";
        return Err(reply::bad_request(text).into());
    };
    let session = context.containerizer.session(&session_id(id)?);
    Ok(session.ok_or_else(|| not_found(id))?)
}

fn input_of(input: &AttachContainerInput) -> Option<SessionInput> {
    let io = input.process_io.as_ref()?;
    match io.r#type() {
        IoType::Data => {
            let data = io.data.as_ref()?;
            Some(SessionInput::Data(data.data.clone().unwrap_or_default()))
        }
        IoType::Control => {
            let size = io
                .control
                .as_ref()?
                .tty_info
                .as_ref()?
                .window_size
                .as_ref()?;
            Some(SessionInput::WindowSize {
                rows: small(size.rows),
                columns: small(size.columns),
            })
        }
        IoType::Unknown => None,
    }
}

/// WAIT_NESTED_CONTAINER and WAIT_CONTAINER: answers when the session has ended.
pub async fn wait(context: &Context, call: &Call) -> Result<Response, Refusal> {
    let nested = call.r#type() == Type::WaitNestedContainer;
    let id = if nested {
        call.wait_nested_container
            .as_ref()
            .map(|wanted| &wanted.container_id)
    } else {
        call.wait_container
            .as_ref()
            .map(|wanted| &wanted.container_id)
    };
    let id = id.cloned().unwrap_or_default();
    let found = context.containerizer.session(&session_id(&id)?);
    let mut session = found.ok_or_else(|| not_found(&id))?;
    let ended = session
        .ended
        .wait_for(Option::is_some)
        .await
        .ok()
        .and_then(|status| *status);
    let mut response = Response::default();
    if nested {
        response.r#type = Some(Answer::WaitNestedContainer.into());
        response.wait_nested_container = Some(response::WaitNestedContainer {
            exit_status: ended,
            ..Default::default()
        });
    } else {
        response.r#type = Some(Answer::WaitContainer.into());
        response.wait_container = Some(response::WaitContainer {
            exit_status: ended,
            ..Default::default()
        });
    }
    Ok(response)
}

/// KILL_NESTED_CONTAINER and KILL_CONTAINER for sessions. Tasks are killed by their framework.
pub fn kill(context: &Context, call: &Call) -> Result<Reply, Refusal> {
    let nested = call.kill_nested_container.as_ref();
    let nested = nested.map(|wanted| (&wanted.container_id, wanted.signal));
    let plain = call
        .kill_container
        .as_ref()
        .map(|wanted| (&wanted.container_id, wanted.signal));
    let Some((id, number)) = nested.or(plain) else {
        return Err(reply::bad_request("Expecting 'container_id' to be present").into());
    };
    let terminate = number == Some(rustix::process::Signal::TERM.as_raw());
    let signal = if terminate {
        Signal::Terminate
    } else {
        Signal::Kill
    };
    if context
        .containerizer
        .signal_session(&session_id(id)?, signal)
    {
        Ok(reply::empty(StatusCode::OK))
    } else {
        Err(not_found(id).into())
    }
}

/// The ids from the outermost container to this one.
fn session_id(id: &ContainerId) -> Result<SessionId, Refusal> {
    let mut ids = Vec::new();
    let mut next = Some(id);
    while let Some(id) = next {
        let is_bad = |letter: char| matches!(letter, '.' | '/' | ' ' | '\0');
        if id.value.is_empty() || id.value.len() > 242 || id.value.contains(is_bad) {
            let text = format!("'ContainerID.value' '{}' is invalid", id.value);
            return Err(
                reply::bad_request(format!("Failed to validate agent::Call: {text}")).into(),
            );
        }
        ids.push(id.value.clone());
        next = id.parent.as_deref();
    }
    ids.reverse();
    Ok(ids)
}

fn not_found(id: &ContainerId) -> Reply {
    reply::text(
        StatusCode::NOT_FOUND,
        format!("Container '{}' cannot be found", id.value),
    )
}

fn small(value: u32) -> u16 {
    u16::try_from(value).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nested(values: &[&str]) -> ContainerId {
        let (own, parents) = values.split_last().unwrap();
        let parent = (!parents.is_empty()).then(|| Box::new(nested(parents)));
        ContainerId {
            value: (*own).to_string(),
            parent,
        }
    }

    #[test]
    fn ids_are_listed_from_the_outside() {
        assert_eq!(
            session_id(&nested(&["pod", "task", "s"])).unwrap(),
            ["pod", "task", "s"]
        );
        for bad in ["", "a.b", "a/b", "a b", &"x".repeat(243)] {
            assert!(session_id(&nested(&["pod", bad])).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_inner_media_type_is_negotiated() {
        let mut headers = HeaderMap::new();
        assert_eq!(output_media(&headers).unwrap(), MediaType::Json);
        headers.insert(
            "message-accept",
            HeaderValue::from_static("application/x-protobuf"),
        );
        assert_eq!(output_media(&headers).unwrap(), MediaType::Protobuf);
        headers.insert("accept", HeaderValue::from_static("application/json"));
        assert!(output_media(&headers).is_err());
    }
}
