//! The operator's side of the v1 API: calls to any master.

use std::time::{Duration, Instant};

use bytes::Bytes;
use caprock_proto::mesos::v1::master::{Call, Event, Response, call};
use http::{HeaderMap, StatusCode};
use prost::Message;

use crate::http::{Http, body_of, expect_status};
use crate::{ClientError, EventStream, Masters};

const PATH: &str = "/api/v1";
const PAUSE: Duration = Duration::from_millis(100);

/// An operator's client.
#[derive(Debug, Clone)]
pub struct Operator {
    http: Http,
    masters: Masters,
    patience: Duration,
}

impl Operator {
    /// A client that waits up to `patience` for a leader.
    pub fn new(masters: Masters, patience: Duration) -> Self {
        Operator {
            http: Http::default(),
            masters,
            patience,
        }
    }

    /// A call that needs nothing but its type, such as GET_AGENTS.
    pub async fn get(&self, kind: call::Type) -> Result<Response, ClientError> {
        self.call(Call {
            r#type: Some(kind as i32),
            ..Default::default()
        })
        .await
    }

    /// Sends a call to the first master that answers it. The response is empty for a
    /// call without result.
    ///
    /// # Errors
    /// Nobody answered in time, or the call was refused.
    pub async fn call(&self, call: Call) -> Result<Response, ClientError> {
        let (address, response) = self.send(&call).await?;
        let body = body_of(&address, response).await?;
        Response::decode(body).map_err(|e| ClientError::BadAnswer {
            address,
            reason: e.to_string(),
        })
    }

    /// Subscribes to the cluster's events; the first one carries the whole state.
    pub async fn subscribe(&self) -> Result<EventStream<Event>, ClientError> {
        let kind = Some(call::Type::Subscribe as i32);
        let (address, response) = self
            .send(&Call {
                r#type: kind,
                ..Default::default()
            })
            .await?;
        Ok(EventStream::new(address, response.into_body()))
    }

    async fn send(
        &self,
        call: &Call,
    ) -> Result<(String, http::Response<hyper::body::Incoming>), ClientError> {
        let body = Bytes::from(call.encode_to_vec());
        let started = Instant::now();
        loop {
            let mut last = String::new();
            for (_, address) in self.masters.in_order() {
                match self.send_to(address, body.clone()).await {
                    Ok(answer) => return Ok(answer),
                    Err(e) if e.is_retryable() => last = e.to_string(),
                    Err(e) => return Err(e),
                }
            }
            if started.elapsed() >= self.patience {
                let tried = self.masters.addresses().join(", ");
                return Err(ClientError::Unreachable { tried, last });
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn send_to(
        &self,
        address: &str,
        body: Bytes,
    ) -> Result<(String, http::Response<hyper::body::Incoming>), ClientError> {
        let (address, response) = self
            .http
            .post(address, PATH, &HeaderMap::new(), body)
            .await?;
        let expected = [StatusCode::OK, StatusCode::ACCEPTED];
        let response = expect_status(&address, response, &expected).await?;
        Ok((address, response))
    }
}
