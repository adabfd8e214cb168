//! The body of a scheduler's stream: each event is encoded when the client takes it, in the
//! task of its connection, and leaves as one record in one HTTP chunk.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use caprock_http::stream;
use caprock_proto::MediaType;
use http_body::Frame;

use crate::driver::EventStream;

/// An event stream on its way to the scheduler. Dropped when the scheduler hangs up, which
/// the driver hears of.
#[derive(Debug)]
pub struct EventBody {
    stream: EventStream,
    media: MediaType,
}

impl EventBody {
    /// The body of this stream in this media type.
    pub fn new(stream: EventStream, media: MediaType) -> Self {
        Self { stream, media }
    }
}

impl http_body::Body for EventBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let media = self.media;
        self.stream.events.poll_recv(context).map(|event| {
            event.map(|event| {
                let mut record = Vec::new();
                caprock_proto::encode(media, &*event, &mut record);
                Ok(Frame::data(stream::frame(&record)))
            })
        })
    }
}
