//! A snapshot on the wire: its description, then its chunks, several to a message.

use std::sync::Arc;

use caprock_proto::caprock::raft as pb;
use futures::{Stream, stream};
use tonic::transport::Channel;
use tonic::{Response, Status, Streaming};

use crate::convert::ConvertError;
use crate::snapshot::{Generation, SnapshotStore};
use crate::state::blocking;
use pb::raft_client::RaftClient;
use pb::snapshot_request::Part;

/// Small chunks travel together up to this size.
const MESSAGE_BYTES: usize = 256 * 1024;

pub(super) async fn send_snapshot(
    mut client: RaftClient<Channel>,
    start: pb::SnapshotStart,
    snapshot: Arc<Generation>,
) -> Result<Response<pb::SnapshotResponse>, Status> {
    tracing::info!(
        member = start.header.as_ref().map(|header| header.to),
        chunks = snapshot.meta().chunk_count,
        bytes = snapshot.meta().byte_count,
        "a member lags behind the log, it is sent a snapshot"
    );
    client.install_snapshot(requests(start, snapshot)).await
}

/// The start, then messages of chunks, each read from disk when the one before was taken. If a
/// chunk cannot be read the stream ends early, and the receiver refuses what is incomplete.
fn requests(
    start: pb::SnapshotStart,
    snapshot: Arc<Generation>,
) -> impl Stream<Item = pb::SnapshotRequest> + Send {
    let start = pb::SnapshotRequest {
        part: Some(Part::Start(start)),
    };
    let chunks = stream::unfold(0, move |next| {
        let snapshot = snapshot.clone();
        async move {
            if next >= snapshot.meta().chunk_count {
                return None;
            }
            match blocking(move || read_some(&snapshot, next)).await {
                Ok(chunks) => {
                    let next = next + chunks.len() as u64;
                    let chunks = pb::SnapshotChunks { chunks };
                    Some((
                        pb::SnapshotRequest {
                            part: Some(Part::Chunks(chunks)),
                        },
                        next,
                    ))
                }
                Err(error) => {
                    tracing::error!(%error, "a snapshot cannot be read; check the disk");
                    None
                }
            }
        }
    });
    futures::StreamExt::chain(stream::once(std::future::ready(start)), Box::pin(chunks))
}

fn read_some(snapshot: &Generation, first: u64) -> anyhow::Result<Vec<bytes::Bytes>> {
    let mut chunks = Vec::new();
    let mut bytes = 0;
    for index in first..snapshot.meta().chunk_count {
        let chunk = snapshot.chunk(index)?;
        bytes += chunk.len();
        if !chunks.is_empty() && bytes > MESSAGE_BYTES {
            break;
        }
        chunks.push(chunk);
    }
    Ok(chunks)
}

/// The first message of a transfer.
pub(super) fn start_of(request: pb::SnapshotRequest) -> Result<pb::SnapshotStart, ConvertError> {
    match request.part {
        Some(Part::Start(start)) => Ok(start),
        Some(Part::Chunks(_)) | None => Err(ConvertError::Missing("start")),
    }
}

/// Writes what arrives as a new generation, beside the current one.
pub(super) async fn receive_snapshot(
    mut requests: Streaming<pb::SnapshotRequest>,
    meta: pb::SnapshotMeta,
    snapshots: &SnapshotStore,
) -> Result<Arc<Generation>, Status> {
    let mut writer = snapshots.begin();
    while let Some(request) = requests.message().await? {
        let Some(Part::Chunks(chunks)) = request.part else {
            return Err(Status::invalid_argument(
                "chunks of a snapshot are expected",
            ));
        };
        let written = blocking(move || {
            for chunk in &chunks.chunks {
                writer.push(chunk)?;
            }
            Ok(writer)
        });
        writer = written
            .await
            .map_err(|error| Status::internal(error.to_string()))?;
    }
    writer
        .finish_received(&meta)
        .map_err(|error| Status::aborted(format!("{error:#}")))
}
