//! The body of an event stream: each record that is put into the sender leaves as one HTTP
//! chunk. Some clients split the stream at chunks, so records are never joined or cut here.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_TYPE, HeaderValue};
use http_body::Frame;
use http_body_util::BodyExt;
use tokio::sync::mpsc;

use crate::Reply;

/// Where records of a stream are put. Dropping it ends the stream; it is closed when the
/// client has gone.
pub type Sender = mpsc::Sender<Bytes>;

/// Opens a stream that holds at most `capacity` records which the client has not taken.
pub fn open(content_type: &'static str, capacity: usize) -> (Sender, Reply) {
    let (sender, receiver) = mpsc::channel(capacity);
    let mut reply = Reply::new(RecordBody { receiver }.boxed());
    reply
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    (sender, reply)
}

/// RecordIO: the length in decimal, a newline, the record.
/// Mesos: 3rdparty/stout/include/stout/recordio.hpp.
pub fn frame(record: &[u8]) -> Bytes {
    let length = record.len().to_string();
    let mut framed = BytesMut::with_capacity(length.len() + 1 + record.len());
    framed.extend_from_slice(length.as_bytes());
    framed.extend_from_slice(b"\n");
    framed.extend_from_slice(record);
    framed.freeze()
}

struct RecordBody {
    receiver: mpsc::Receiver<Bytes>,
}

impl http_body::Body for RecordBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.receiver
            .poll_recv(context)
            .map(|record| record.map(|bytes| Ok(Frame::data(bytes))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_record_is_one_frame() {
        let (sender, reply) = open("application/json", 4);
        sender.send(frame(b"{}")).await.unwrap();
        sender.send(frame(b"hello world")).await.unwrap();
        drop(sender);
        let mut body = reply.into_body();
        let mut frames = Vec::new();
        while let Some(next) = body.frame().await {
            frames.push(next.unwrap().into_data().unwrap());
        }
        assert_eq!(
            frames,
            [Bytes::from("2\n{}"), Bytes::from("11\nhello world")]
        );
    }

    #[tokio::test]
    async fn the_sender_sees_that_the_client_left() {
        let (sender, reply) = open("application/json", 4);
        drop(reply);
        sender.closed().await;
        assert!(sender.send(frame(b"x")).await.is_err());
    }
}
