//! SUBSCRIBE: the operator's event stream. It begins with the state at one log index and
//! goes on with the entries after it, so that nothing is missed and nothing comes twice.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use caprock_http::{Reply, reply, stream};
use caprock_proto::MediaType;
use caprock_proto::mesos::v1::master::{Event, event};
use http::StatusCode;
use tokio::sync::broadcast::{Receiver, error::RecvError};
use tokio::sync::mpsc::{self, error::TrySendError};
use tokio::time::{Instant, MissedTickBehavior};

use super::{Context, events};
use crate::change::Change;
use crate::context::Master;
use crate::reads::{self, Snapshot};
use crate::standing::Standing;

/// As Mesos' masters have it; not configurable there either.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// Events kept for a reader that is slow before its stream is cut off.
const EVENT_BUFFER: usize = 8_192;

/// Opens a stream.
pub(super) fn open(context: &Context<'_>) -> Reply {
    let master = Arc::clone(context.master);
    let limit = master.config.max_operator_event_stream_subscribers;
    if master.published.change_watchers() >= limit {
        let text = format!("There are {limit} operator event streams already");
        return reply::text(StatusCode::SERVICE_UNAVAILABLE, text);
    }
    let (sender, opened) = stream::open(context.media.as_str(), EVENT_BUFFER);
    // Before the snapshot is taken, so that no change falls in between.
    let changes = master.published.watch_changes();
    let media = context.media;
    tokio::spawn(async move {
        let to_reader = ToReader { sender, media };
        if run(&master, &to_reader, changes).await.is_none() {
            tracing::debug!("an operator event stream has ended");
        }
    });
    opened
}

struct ToReader {
    sender: mpsc::Sender<Bytes>,
    media: MediaType,
}

impl ToReader {
    fn send(&self, event: &Event) -> Option<()> {
        let mut record = Vec::new();
        caprock_proto::encode(self.media, event, &mut record);
        self.send_record(&record)
    }

    fn send_record(&self, record: &[u8]) -> Option<()> {
        match self.sender.try_send(stream::frame(record)) {
            Ok(()) => Some(()),
            Err(TrySendError::Closed(_)) => None,
            Err(TrySendError::Full(_)) => {
                tracing::warn!("an operator does not read its events: the stream is cut off");
                None
            }
        }
    }
}

/// Runs until the reader leaves, is too slow, or this member does not lead any more.
async fn run(
    master: &Arc<Master>,
    to_reader: &ToReader,
    mut changes: Receiver<Arc<Change>>,
) -> Option<()> {
    let begun_at = subscribed(master, to_reader).await?;
    let heartbeat_event = Event {
        r#type: Some(event::Type::Heartbeat as i32),
        ..Event::default()
    };
    to_reader.send(&heartbeat_event)?;

    let mut heartbeat = tokio::time::interval_at(Instant::now() + HEARTBEAT, HEARTBEAT);
    heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut standing = master.published.watch_standing();
    loop {
        tokio::select! {
            () = to_reader.sender.closed() => return None,
            _ = heartbeat.tick() => to_reader.send(&heartbeat_event)?,
            lost = standing.wait_for(|s| !matches!(s, Standing::Leading { .. })) => {
                drop(lost);
                return None;
            }
            change = changes.recv() => match change {
                Ok(change) if change.index <= begun_at => {}
                Ok(change) => {
                    let view = master.published.view();
                    for event in events::of(&change, &view, master.published.shown) {
                        to_reader.send(&event)?;
                    }
                }
                Err(RecvError::Lagged(missed)) => {
                    tracing::warn!(missed, "an operator event stream lags: it is cut off");
                    return None;
                }
                Err(RecvError::Closed) => return None,
            },
        }
    }
}

/// Sends the first event; returns the index that it shows.
async fn subscribed(master: &Arc<Master>, to_reader: &ToReader) -> Option<u64> {
    let master = Arc::clone(master);
    let media = to_reader.media;
    let built = tokio::task::spawn_blocking(move || {
        let snapshot = Snapshot::take(&master.published);
        (
            snapshot.registry.applied(),
            subscribed_record(&snapshot, media),
        )
    });
    let (index, record) = built.await.ok()?;
    to_reader.send_record(&record)?;
    Some(index)
}

fn subscribed_record(snapshot: &Snapshot, media: MediaType) -> Vec<u8> {
    let state = reads::state(snapshot);
    let seconds = HEARTBEAT.as_secs_f64();
    match media {
        MediaType::Json => {
            let mut record = br#"{"type":"SUBSCRIBED","subscribed":{"get_state":"#.to_vec();
            record.extend_from_slice(&reads::write_state(&state));
            record.extend_from_slice(
                format!(",\"heartbeat_interval_seconds\":{seconds:?}}}}}").as_bytes(),
            );
            record
        }
        MediaType::Protobuf => {
            let event = Event {
                r#type: Some(event::Type::Subscribed as i32),
                subscribed: Some(event::Subscribed {
                    get_state: Some(state),
                    heartbeat_interval_seconds: Some(seconds),
                }),
                ..Event::default()
            };
            let mut record = Vec::new();
            caprock_proto::encode(media, &event, &mut record);
            record
        }
    }
}
