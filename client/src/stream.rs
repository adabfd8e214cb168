//! An open event stream: RecordIO over a chunked HTTP answer.

use std::marker::PhantomData;

use bytes::Bytes;
use caprock_proto::recordio::Decoder;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use prost::Message;

use crate::ClientError;

/// Larger records mean that the peer does not speak RecordIO.
const MAX_RECORD_BYTES: usize = 64 * 1024 * 1024;

/// Events of type `E`, in order, until the server ends the stream.
#[derive(Debug)]
pub struct EventStream<E> {
    address: String,
    body: Incoming,
    decoder: Decoder,
    events: PhantomData<fn() -> E>,
}

impl<E: Message + Default> EventStream<E> {
    pub(crate) fn new(address: String, body: Incoming) -> Self {
        let decoder = Decoder::new(MAX_RECORD_BYTES);
        EventStream {
            address,
            body,
            decoder,
            events: PhantomData,
        }
    }

    /// Who sends the events.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The next event; None when the server has ended the stream.
    ///
    /// # Errors
    /// The connection broke, or the bytes are not RecordIO of such events.
    pub async fn next(&mut self) -> Result<Option<E>, ClientError> {
        loop {
            if let Some(record) = self.decoder.next().map_err(|e| self.bad(&e.to_string()))? {
                return E::decode(record)
                    .map(Some)
                    .map_err(|e| self.bad(&e.to_string()));
            }
            match self.body.frame().await {
                None => return Ok(None),
                Some(Ok(frame)) => {
                    let data: Bytes = frame.into_data().unwrap_or_default();
                    self.decoder.feed(&data);
                }
                Some(Err(e)) => {
                    return Err(ClientError::Broken {
                        address: self.address.clone(),
                        reason: e.to_string(),
                    });
                }
            }
        }
    }

    fn bad(&self, reason: &str) -> ClientError {
        ClientError::BadAnswer {
            address: self.address.clone(),
            reason: reason.to_owned(),
        }
    }
}
