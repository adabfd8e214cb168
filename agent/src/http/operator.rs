//! `POST /api/v1` on the agent: the calls of operators and tools
//! (Mesos: src/slave/http.cpp `Http::api`).

use caprock_agent_core::view::AgentView;
use caprock_http::{Reply, accept, reply};
use caprock_proto::mesos::v1::agent::call::Type;
use caprock_proto::mesos::v1::agent::response::{self, Type as Answer};
use caprock_proto::mesos::v1::agent::{Call, Response};
use caprock_proto::mesos::v1::{Flag, Metric};
use caprock_proto::{MediaType, MesosMessage};
use http::{HeaderMap, Request, StatusCode};
use hyper::body::Incoming;

use super::call::{self, Decoded};
use super::session;
use super::{Context, Refusal, containers, files, metrics, recovering};
use crate::version;

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
    if accept::content_type(request.headers()) == Some(accept::RECORDIO) {
        return session::attach_input(context, request).await;
    }
    refuse_message_type(request.headers())?;
    let max_body_bytes = context.config.max_request_body_bytes;
    let Decoded { headers, call } = call::decode::<Call>(request, max_body_bytes).await?;
    validate(&call).map_err(|message| {
        reply::bad_request(format!("Failed to validate agent::Call: {message}"))
    })?;
    if call.r#type() == Type::LaunchNestedContainerSession {
        return session::launch(context, &headers, &call).await;
    }
    if matches!(
        call.r#type(),
        Type::KillContainer | Type::KillNestedContainer
    ) {
        return session::kill(context, &call);
    }
    let media = call::acceptable(&headers)?;
    let response = answer(context, &call).await?;
    Ok(encode(&headers, media, &response))
}

/// The inner type belongs to streamed bodies only.
fn refuse_message_type(headers: &HeaderMap) -> Result<(), Refusal> {
    if headers.contains_key(session::MESSAGE_CONTENT_TYPE) {
        let text = "Expecting 'Message-Content-Type' to be not set for non-streaming requests";
        return Err(reply::text(StatusCode::UNSUPPORTED_MEDIA_TYPE, text).into());
    }
    Ok(())
}

fn validate(call: &Call) -> Result<(), String> {
    let missing = match call.r#type {
        None => Some("type"),
        Some(_) => match call.r#type() {
            Type::SetLoggingLevel => call
                .set_logging_level
                .is_none()
                .then_some("set_logging_level"),
            Type::ListFiles => call.list_files.is_none().then_some("list_files"),
            Type::ReadFile => call.read_file.is_none().then_some("read_file"),
            Type::GetMetrics => call.get_metrics.is_none().then_some("get_metrics"),
            Type::LaunchNestedContainerSession => call
                .launch_nested_container_session
                .is_none()
                .then_some("launch_nested_container_session"),
            Type::WaitNestedContainer => call
                .wait_nested_container
                .is_none()
                .then_some("wait_nested_container"),
            Type::WaitContainer => call.wait_container.is_none().then_some("wait_container"),
            Type::KillNestedContainer => call
                .kill_nested_container
                .is_none()
                .then_some("kill_nested_container"),
            Type::KillContainer => call.kill_container.is_none().then_some("kill_container"),
            _ => None,
        },
    };
    missing.map_or(Ok(()), |field| {
        Err(format!("Expecting '{field}' to be present"))
    })
}

async fn answer(context: &Context, call: &Call) -> Result<Response, Refusal> {
    match call.r#type() {
        Type::GetHealth => Ok(Response {
            get_health: Some(response::GetHealth { healthy: true }),
            ..of(Answer::GetHealth)
        }),
        Type::GetFlags => Ok(Response {
            get_flags: Some(flags(context)),
            ..of(Answer::GetFlags)
        }),
        Type::GetVersion => Ok(Response {
            get_version: Some(response::GetVersion {
                version_info: version::info(),
            }),
            ..of(Answer::GetVersion)
        }),
        Type::GetLoggingLevel => Ok(Response {
            get_logging_level: Some(response::GetLoggingLevel { level: 0 }),
            ..of(Answer::GetLoggingLevel)
        }),
        Type::ListFiles => list_files(context, call).await,
        Type::ReadFile => read_file(context, call).await,
        Type::GetMetrics
        | Type::GetState
        | Type::GetContainers
        | Type::GetFrameworks
        | Type::GetExecutors
        | Type::GetOperations
        | Type::GetTasks
        | Type::GetAgent
        | Type::GetResourceProviders => {
            let view = context.view().await?;
            Ok(answer_from(context, &view, call).await)
        }
        Type::WaitContainer | Type::WaitNestedContainer => session::wait(context, call).await,
        _ => Err(reply::status_line(StatusCode::NOT_IMPLEMENTED).into()),
    }
}

async fn answer_from(context: &Context, view: &AgentView, call: &Call) -> Response {
    match call.r#type() {
        Type::GetMetrics => Response {
            get_metrics: Some(get_metrics(view)),
            ..of(Answer::GetMetrics)
        },
        Type::GetState => Response {
            get_state: Some(response::GetState {
                get_tasks: Some(view.get_tasks()),
                get_executors: Some(view.get_executors()),
                get_frameworks: Some(view.get_frameworks()),
            }),
            ..of(Answer::GetState)
        },
        Type::GetContainers => {
            let nested = call
                .get_containers
                .as_ref()
                .is_some_and(|wanted| wanted.show_nested());
            let mut found = view.get_containers(nested);
            containers::add_statistics(context, view, &mut found).await;
            Response {
                get_containers: Some(found),
                ..of(Answer::GetContainers)
            }
        }
        Type::GetFrameworks => Response {
            get_frameworks: Some(view.get_frameworks()),
            ..of(Answer::GetFrameworks)
        },
        Type::GetExecutors => Response {
            get_executors: Some(view.get_executors()),
            ..of(Answer::GetExecutors)
        },
        Type::GetOperations => Response {
            get_operations: Some(response::GetOperations {
                operations: view.operations.clone(),
            }),
            ..of(Answer::GetOperations)
        },
        Type::GetTasks => Response {
            get_tasks: Some(view.get_tasks()),
            ..of(Answer::GetTasks)
        },
        Type::GetAgent => Response {
            get_agent: Some(response::GetAgent {
                agent_info: Some(view.info.clone()),
                drain_config: view.drain.map(|drain| drain.config),
                estimated_drain_start_time: view.drain.map(|drain| drain.started_at.to_proto()),
            }),
            ..of(Answer::GetAgent)
        },
        _ => Response {
            get_resource_providers: Some(response::GetResourceProviders::default()),
            ..of(Answer::GetResourceProviders)
        },
    }
}

fn of(kind: Answer) -> Response {
    Response {
        r#type: Some(kind.into()),
        ..Response::default()
    }
}

fn flags(context: &Context) -> response::GetFlags {
    let flags = context.config.flags().into_iter();
    let flags = flags
        .map(|(name, value)| Flag {
            name,
            value: Some(value),
        })
        .collect();
    response::GetFlags { flags }
}

fn get_metrics(view: &AgentView) -> response::GetMetrics {
    let metrics = metrics::of(view).into_iter();
    let metrics = metrics
        .map(|(name, value)| Metric {
            name,
            value: Some(value),
        })
        .collect();
    response::GetMetrics { metrics }
}

async fn list_files(context: &Context, call: &Call) -> Result<Response, Refusal> {
    let path = call
        .list_files
        .as_ref()
        .map(|wanted| wanted.path.clone())
        .unwrap_or_default();
    let file_infos = files::list(context, path).await?;
    Ok(Response {
        list_files: Some(response::ListFiles { file_infos }),
        ..of(Answer::ListFiles)
    })
}

async fn read_file(context: &Context, call: &Call) -> Result<Response, Refusal> {
    let wanted = call.read_file.clone().unwrap_or_default();
    let part = files::part(context, wanted.path, Some(wanted.offset), wanted.length).await?;
    Ok(Response {
        read_file: Some(response::ReadFile {
            size: part.size,
            data: part.data.into(),
        }),
        ..of(Answer::ReadFile)
    })
}

fn encode(headers: &HeaderMap, media: MediaType, response: &impl MesosMessage) -> Reply {
    let mut bytes = Vec::new();
    caprock_proto::encode(media, response, &mut bytes);
    reply::ok(headers, media.as_str(), bytes)
}
