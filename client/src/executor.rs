//! The executor's side of the v1 API, for executors written in Rust.

use std::env::VarError;

use bytes::Bytes;
use caprock_proto::mesos::v1::executor::{Call, Event, call};
use caprock_proto::mesos::v1::{ExecutorId, FrameworkId, TaskInfo, TaskStatus, task_status};
use http::{HeaderMap, StatusCode};
use prost::Message;

use crate::http::{Http, body_of, expect_status};
use crate::{ClientError, EventStream};

const PATH: &str = "/api/v1/executor";

/// One executor, as its agent started it.
#[derive(Debug, Clone)]
pub struct Executor {
    http: Http,
    agent: String,
    executor_id: ExecutorId,
    framework_id: FrameworkId,
}

impl Executor {
    /// Reads `MESOS_AGENT_ENDPOINT`, `MESOS_FRAMEWORK_ID` and `MESOS_EXECUTOR_ID`.
    ///
    /// # Errors
    /// The name of a variable that is not set: the process was not started by an agent.
    pub fn from_environment() -> Result<Self, (&'static str, VarError)> {
        let get = |name: &'static str| std::env::var(name).map_err(|e| (name, e));
        let agent = get("MESOS_AGENT_ENDPOINT")?;
        let framework = get("MESOS_FRAMEWORK_ID")?;
        let executor = get("MESOS_EXECUTOR_ID")?;
        Ok(Executor::new(agent, &framework, &executor))
    }

    /// An executor of the agent at `host:port`.
    pub fn new(agent: String, framework_id: &str, executor_id: &str) -> Self {
        Executor {
            http: Http::default(),
            agent,
            executor_id: executor_id.into(),
            framework_id: framework_id.into(),
        }
    }

    /// Opens the event stream. After a lost connection it is called again with what the
    /// agent has not acknowledged.
    pub async fn subscribe(
        &self,
        unacknowledged_tasks: Vec<TaskInfo>,
        unacknowledged_updates: Vec<call::Update>,
    ) -> Result<EventStream<Event>, ClientError> {
        let subscribe = call::Subscribe {
            unacknowledged_tasks,
            unacknowledged_updates,
        };
        let call = Call {
            subscribe: Some(subscribe),
            ..self.new_call(call::Type::Subscribe)
        };
        let response = self.post(&call, StatusCode::OK).await?;
        Ok(EventStream::new(self.agent.clone(), response.into_body()))
    }

    /// Reports a task's state; source and a fresh uuid are filled in. Returns what was
    /// sent, to be kept until the agent's ACKNOWLEDGED event.
    pub async fn update(&self, mut status: TaskStatus) -> Result<call::Update, ClientError> {
        status.source = Some(task_status::Source::Executor as i32);
        status.uuid = Some(Bytes::copy_from_slice(uuid::Uuid::new_v4().as_bytes()));
        let update = call::Update { status };
        let call = Call {
            update: Some(update.clone()),
            ..self.new_call(call::Type::Update)
        };
        let response = self.post(&call, StatusCode::ACCEPTED).await?;
        body_of(&self.agent, response).await?;
        Ok(update)
    }

    /// Sends data to the scheduler, best effort.
    pub async fn message(&self, data: Bytes) -> Result<(), ClientError> {
        let message = Some(call::Message { data });
        let call = Call {
            message,
            ..self.new_call(call::Type::Message)
        };
        let response = self.post(&call, StatusCode::ACCEPTED).await?;
        body_of(&self.agent, response).await.map(|_| ())
    }

    fn new_call(&self, kind: call::Type) -> Call {
        Call {
            r#type: Some(kind as i32),
            executor_id: self.executor_id.clone(),
            framework_id: self.framework_id.clone(),
            ..Default::default()
        }
    }

    async fn post(
        &self,
        call: &Call,
        expected: StatusCode,
    ) -> Result<http::Response<hyper::body::Incoming>, ClientError> {
        let body = Bytes::from(call.encode_to_vec());
        let (address, response) = self
            .http
            .post(&self.agent, PATH, &HeaderMap::new(), body)
            .await?;
        expect_status(&address, response, &[expected]).await
    }
}
