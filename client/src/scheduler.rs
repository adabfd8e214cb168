//! The scheduler's side of the v1 API: one event stream and calls beside it.

use bytes::Bytes;
use caprock_proto::mesos::v1::scheduler::{Call, Event, call};
use caprock_proto::mesos::v1::{AgentId, FrameworkId, FrameworkInfo, OfferId, TaskStatus};
use http::{HeaderMap, HeaderValue, StatusCode};
use prost::Message;

use crate::http::{Http, expect_status};
use crate::{ClientError, EventStream, Masters};

const PATH: &str = "/api/v1/scheduler";
const STREAM_ID: &str = "mesos-stream-id";

/// A framework's scheduler. Subscribe again after the stream ended: with the framework
/// id that the first SUBSCRIBED event gave, it is the same framework.
#[derive(Debug, Clone)]
pub struct Scheduler {
    http: Http,
    masters: Masters,
    info: FrameworkInfo,
    suppressed_roles: Vec<String>,
    stream: Option<Stream>,
}

#[derive(Debug, Clone)]
struct Stream {
    address: String,
    id: HeaderValue,
}

impl Scheduler {
    /// A scheduler that is not subscribed yet.
    pub fn new(masters: Masters, info: FrameworkInfo) -> Self {
        Scheduler {
            http: Http::default(),
            masters,
            info,
            suppressed_roles: Vec::new(),
            stream: None,
        }
    }

    /// The id that the master gave, to subscribe as the same framework again.
    pub fn set_framework_id(&mut self, id: FrameworkId) {
        self.info.id = Some(id);
    }

    /// The framework's id, once known.
    pub fn framework_id(&self) -> Option<&FrameworkId> {
        self.info.id.as_ref()
    }

    /// Roles that want no offers from the next subscription on.
    pub fn set_suppressed_roles(&mut self, roles: Vec<String>) {
        self.suppressed_roles = roles;
    }

    /// Opens the event stream at the first master that takes it.
    ///
    /// # Errors
    /// No master answers, or one refuses the request. A framework that is refused for
    /// what it says of itself gets a stream with an ERROR event instead.
    pub async fn subscribe(&mut self) -> Result<EventStream<Event>, ClientError> {
        let call = Call {
            r#type: Some(call::Type::Subscribe as i32),
            framework_id: self.info.id.clone(),
            subscribe: Some(call::Subscribe {
                framework_info: self.info.clone(),
                suppressed_roles: self.suppressed_roles.clone(),
                ..Default::default()
            }),
            ..Default::default()
        };
        let body = Bytes::from(call.encode_to_vec());
        let tries: Vec<(usize, String)> = self
            .masters
            .in_order()
            .map(|(i, a)| (i, a.to_owned()))
            .collect();
        let mut last = ClientError::NotSubscribed;
        for (at, address) in tries {
            match self.subscribe_at(&address, body.clone()).await {
                Ok(stream) => {
                    self.masters.prefer(at);
                    return Ok(stream);
                }
                Err(e) if e.is_retryable() => last = e,
                Err(e) => return Err(e),
            }
        }
        Err(last)
    }

    async fn subscribe_at(
        &mut self,
        address: &str,
        body: Bytes,
    ) -> Result<EventStream<Event>, ClientError> {
        let (address, response) = self
            .http
            .post(address, PATH, &HeaderMap::new(), body)
            .await?;
        let response = expect_status(&address, response, &[StatusCode::OK]).await?;
        let id = response.headers().get(STREAM_ID).cloned().ok_or_else(|| {
            let reason = "a stream without Mesos-Stream-Id".to_owned();
            ClientError::BadAnswer {
                address: address.clone(),
                reason,
            }
        })?;
        self.stream = Some(Stream {
            address: address.clone(),
            id,
        });
        Ok(EventStream::new(address, response.into_body()))
    }

    /// Sends a call; the framework id is filled in. Returns when the master has taken it,
    /// which for launches and other changes means that it is durable.
    ///
    /// # Errors
    /// Not subscribed, the connection broke (the call may or may not have been taken), or
    /// the master refused it.
    pub async fn call(&self, mut call: Call) -> Result<(), ClientError> {
        let stream = self.stream.as_ref().ok_or(ClientError::NotSubscribed)?;
        call.framework_id = self.info.id.clone();
        let mut headers = HeaderMap::new();
        headers.insert(STREAM_ID, stream.id.clone());
        let body = Bytes::from(call.encode_to_vec());
        let (address, response) = self
            .http
            .post(&stream.address, PATH, &headers, body)
            .await?;
        let accepted = [StatusCode::ACCEPTED, StatusCode::OK];
        let response = expect_status(&address, response, &accepted).await?;
        crate::http::body_of(&address, response).await.map(|_| ())
    }

    /// Acknowledges a status update; one without uuid needs no acknowledgement.
    pub async fn acknowledge(&self, status: &TaskStatus) -> Result<(), ClientError> {
        let (Some(uuid), Some(agent_id)) = (status.uuid.clone(), status.agent_id.clone()) else {
            return Ok(());
        };
        let acknowledge = call::Acknowledge {
            agent_id,
            task_id: status.task_id.clone(),
            uuid,
        };
        self.call(Call {
            r#type: Some(call::Type::Acknowledge as i32),
            acknowledge: Some(acknowledge),
            ..Default::default()
        })
        .await
    }

    /// Gives offers back.
    pub async fn decline(
        &self,
        offer_ids: Vec<OfferId>,
        refuse_seconds: Option<f64>,
    ) -> Result<(), ClientError> {
        let filters = refuse_seconds.map(|s| caprock_proto::mesos::v1::Filters {
            refuse_seconds: Some(s),
        });
        self.call(Call {
            r#type: Some(call::Type::Decline as i32),
            decline: Some(call::Decline { offer_ids, filters }),
            ..Default::default()
        })
        .await
    }

    /// Asks for the end of a task.
    pub async fn kill(&self, task_id: &str, agent_id: Option<AgentId>) -> Result<(), ClientError> {
        let kill = call::Kill {
            task_id: task_id.into(),
            agent_id,
            kill_policy: None,
        };
        self.call(Call {
            r#type: Some(call::Type::Kill as i32),
            kill: Some(kill),
            ..Default::default()
        })
        .await
    }

    /// Ends the framework and all its tasks for good.
    pub async fn teardown(&self) -> Result<(), ClientError> {
        self.call(Call {
            r#type: Some(call::Type::Teardown as i32),
            ..Default::default()
        })
        .await
    }
}
