//! The engine's state machine: drives the erased machine above, keeps what the log says about the
//! cluster itself, and makes and installs snapshots.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use caprock_proto::caprock::raft as pb;
use futures::{Stream, StreamExt};
use openraft::EntryPayload;
use openraft::entry::RaftEntry;
use openraft::storage::{ApplyResponder, EntryResponder, RaftSnapshotBuilder, RaftStateMachine};
use tokio::sync::watch;

use crate::convert::{
    log_id_from_proto, log_id_to_proto, membership_to_proto, stored_membership_from_proto,
};
use crate::identity::{FORMAT, Identity};
use crate::machine::{Committed, ErasedMachine, FrozenState};
use crate::snapshot::{Generation, SnapshotStore};
use crate::types::{
    ClusterState, Command, LogId, Reply, SnapshotMeta, StoredMembership, TypeConfig,
};

/// The machine is fed batches of at most so many commands and bytes.
const BATCH_COMMANDS: usize = 1024;
const BATCH_BYTES: usize = 4 * 1024 * 1024;

type Snapshot = openraft::alias::SnapshotOf<TypeConfig, Arc<Generation>>;
type Responder = Option<ApplyResponder<TypeConfig>>;

pub(crate) struct StateStore {
    // The lock only makes it shareable, as the engine demands; it is never contended. Empty while
    // a snapshot is restored on another thread, and after that failed.
    machine: Mutex<Option<Box<dyn ErasedMachine>>>,
    applied: Option<LogId>,
    membership: StoredMembership,
    cluster: watch::Sender<ClusterState>,
    snapshots: Arc<SnapshotStore>,
    identity: Arc<Identity>,
}

impl StateStore {
    pub(crate) fn new(
        machine: Box<dyn ErasedMachine>,
        snapshots: Arc<SnapshotStore>,
        identity: Arc<Identity>,
    ) -> Self {
        Self {
            machine: Mutex::new(Some(machine)),
            applied: None,
            membership: StoredMembership::default(),
            cluster: watch::Sender::new(ClusterState::default()),
            snapshots,
            identity,
        }
    }

    /// What the applied part of the log says about the cluster.
    pub(crate) fn watch_cluster(&self) -> watch::Receiver<ClusterState> {
        self.cluster.subscribe()
    }

    fn machine(&mut self) -> io::Result<&mut Box<dyn ErasedMachine>> {
        let machine = self
            .machine
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner);
        machine
            .as_mut()
            .ok_or_else(|| io::Error::other("the state was lost with a bad snapshot"))
    }

    fn apply_batch(&mut self, batch: &mut Batch) -> io::Result<()> {
        if batch.commands.is_empty() {
            return Ok(());
        }
        let outcomes = self.machine()?.apply(&batch.commands).map_err(|error| {
            let first = batch.commands[0].index.0;
            let last = batch.commands[batch.commands.len() - 1].index.0;
            io::Error::other(format!(
                "entries {first} to {last} cannot be applied: {error}"
            ))
        })?;
        if outcomes.len() != batch.commands.len() {
            return Err(io::Error::other(format!(
                "the state machine gave {} outcomes for {} commands",
                outcomes.len(),
                batch.commands.len()
            )));
        }
        for (responder, outcome) in batch.responders.drain(..).zip(outcomes) {
            if let Some(responder) = responder {
                responder.send(Reply::of(outcome));
            }
        }
        batch.commands.clear();
        batch.bytes = 0;
        Ok(())
    }

    /// The first id counts: two leaders in a row may each have proposed one.
    async fn apply_formed(&mut self, cluster_id: String) -> io::Result<()> {
        if !self.cluster.borrow().cluster_id.is_empty() {
            return Ok(());
        }
        self.note_cluster_id(&cluster_id).await?;
        tracing::info!(cluster_id, "the cluster is formed");
        self.cluster
            .send_modify(|cluster| cluster.cluster_id = cluster_id);
        Ok(())
    }

    /// The first disk counts; returns it.
    fn apply_bound(&mut self, member_id: u64, disk_id: String) -> String {
        let mut bound = disk_id.clone();
        self.cluster.send_if_modified(|cluster| {
            let before = cluster.disks.len();
            bound = cluster.disks.entry(member_id).or_insert(disk_id).clone();
            cluster.disks.len() != before
        });
        bound
    }

    async fn note_cluster_id(&self, cluster_id: &str) -> io::Result<()> {
        let (identity, cluster_id) = (self.identity.clone(), cluster_id.to_owned());
        blocking(move || {
            identity
                .set_cluster_id(&cluster_id)
                .map_err(anyhow::Error::msg)
        })
        .await
    }

    async fn apply_other(
        &mut self,
        entry: EntryPayload<Command, u64, openraft::BasicNode>,
        id: LogId,
    ) -> io::Result<Reply> {
        match entry {
            EntryPayload::Normal(Command::Formed { cluster_id }) => {
                self.apply_formed(cluster_id).await?;
                Ok(Reply::none())
            }
            EntryPayload::Normal(Command::Bound { member_id, disk_id }) => {
                Ok(Reply::of(Box::new(self.apply_bound(member_id, disk_id))))
            }
            EntryPayload::Membership(membership) => {
                self.membership = StoredMembership::new(Some(id), membership);
                Ok(Reply::none())
            }
            EntryPayload::Blank | EntryPayload::Normal(Command::User(_)) => Ok(Reply::none()),
        }
    }

    fn describe(&self) -> pb::SnapshotMeta {
        let cluster = self.cluster.borrow();
        pb::SnapshotMeta {
            format: FORMAT,
            last_log_id: self.applied.as_ref().map(log_id_to_proto),
            membership_log_id: self.membership.log_id().as_ref().map(log_id_to_proto),
            membership: Some(membership_to_proto(self.membership.membership())),
            cluster_id: cluster.cluster_id.clone(),
            disks: cluster.disks.clone(),
            ..pb::SnapshotMeta::default()
        }
    }
}

#[derive(Default)]
struct Batch {
    commands: Vec<Committed>,
    responders: Vec<Responder>,
    bytes: usize,
}

impl Batch {
    fn push(&mut self, id: LogId, command: Bytes, responder: Responder) {
        self.bytes += command.len();
        let term = id.committed_leader_id().term;
        self.commands.push(Committed {
            index: crate::LogIndex(id.index()),
            term,
            command,
        });
        self.responders.push(responder);
    }

    fn is_full(&self) -> bool {
        self.commands.len() >= BATCH_COMMANDS || self.bytes >= BATCH_BYTES
    }
}

impl RaftStateMachine<TypeConfig> for StateStore {
    type SnapshotData = Arc<Generation>;
    type SnapshotBuilder = Builder;

    async fn applied_state(&mut self) -> io::Result<(Option<LogId>, StoredMembership)> {
        Ok((self.applied, self.membership.clone()))
    }

    async fn apply<Strm>(&mut self, mut entries: Strm) -> io::Result<()>
    where
        Strm: Stream<Item = Result<EntryResponder<TypeConfig>, io::Error>> + Unpin + Send,
    {
        let mut batch = Batch::default();
        while let Some(item) = entries.next().await {
            let (entry, responder) = item?;
            let id = entry.log_id();
            if let EntryPayload::Normal(Command::User(command)) = entry.payload {
                batch.push(id, command, responder);
                if batch.is_full() {
                    self.apply_batch(&mut batch)?;
                }
            } else {
                self.apply_batch(&mut batch)?;
                let reply = self.apply_other(entry.payload, id).await?;
                if let Some(responder) = responder {
                    responder.send(reply);
                }
            }
            self.applied = Some(id);
        }
        self.apply_batch(&mut batch)
    }

    async fn get_snapshot_builder(&mut self) -> Self::SnapshotBuilder {
        let meta = self.describe();
        let machine = self
            .machine
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner);
        let frozen = machine.as_ref().map(|machine| machine.freeze());
        Builder {
            frozen: Mutex::new(frozen),
            meta,
            snapshots: self.snapshots.clone(),
        }
    }

    async fn install_snapshot(
        &mut self,
        meta: &SnapshotMeta,
        snapshot: Arc<Generation>,
    ) -> io::Result<()> {
        let cluster_id = snapshot.meta().cluster_id.clone();
        if !cluster_id.is_empty() {
            self.note_cluster_id(&cluster_id).await?;
        }
        let machine = self
            .machine
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let mut machine =
            machine.ok_or_else(|| io::Error::other("the state was lost with a bad snapshot"))?;
        let snapshots = self.snapshots.clone();
        let (machine, snapshot) = blocking(move || {
            let snapshot = snapshots.adopt(snapshot)?;
            machine.restore(&mut snapshot.chunks())?;
            snapshots
                .commit(snapshot.clone())
                .map_err(anyhow::Error::msg)?;
            Ok((machine, snapshot))
        })
        .await?;
        *self
            .machine
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner) = Some(machine);
        self.applied = meta.last_log_id;
        self.membership = meta.last_membership.clone();
        let disks = snapshot.meta().disks.clone();
        self.cluster
            .send_replace(ClusterState { cluster_id, disks });
        tracing::info!(
            index = meta.last_log_id.as_ref().map(|id| id.index()),
            chunks = snapshot.meta().chunk_count,
            bytes = snapshot.meta().byte_count,
            "a snapshot was restored"
        );
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> io::Result<Option<Snapshot>> {
        self.snapshots.current().map(as_snapshot).transpose()
    }
}

/// Writes one snapshot on a thread of its own while entries are applied.
pub(crate) struct Builder {
    frozen: Mutex<Option<Box<dyn FrozenState>>>,
    meta: pb::SnapshotMeta,
    snapshots: Arc<SnapshotStore>,
}

impl RaftSnapshotBuilder<TypeConfig> for Builder {
    type SnapshotData = Arc<Generation>;

    async fn build_snapshot(&mut self) -> io::Result<Snapshot> {
        let frozen = self
            .frozen
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let frozen =
            frozen.ok_or_else(|| io::Error::other("there is no state to take a snapshot of"))?;
        let (snapshots, meta) = (self.snapshots.clone(), self.meta.clone());
        let generation = blocking(move || {
            let mut writer = snapshots.begin();
            frozen.write(&mut |chunk| writer.push(&chunk))?;
            snapshots
                .commit(writer.finish(meta))
                .map_err(anyhow::Error::msg)
        })
        .await?;
        tracing::info!(
            index = generation.meta().last_log_id.as_ref().map(|id| id.index),
            chunks = generation.meta().chunk_count,
            bytes = generation.meta().byte_count,
            "a snapshot was written"
        );
        as_snapshot(generation)
    }
}

fn as_snapshot(generation: Arc<Generation>) -> io::Result<Snapshot> {
    let meta = snapshot_meta(generation.meta()).map_err(io::Error::other)?;
    Ok(Snapshot {
        meta,
        snapshot: generation,
    })
}

/// The engine's part of a snapshot's description.
pub(crate) fn snapshot_meta(
    meta: &pb::SnapshotMeta,
) -> Result<SnapshotMeta, crate::convert::ConvertError> {
    Ok(SnapshotMeta {
        last_log_id: meta.last_log_id.as_ref().map(log_id_from_proto),
        last_membership: stored_membership_from_proto(
            meta.membership_log_id.as_ref(),
            meta.membership.as_ref(),
        )?,
    })
}

/// Runs disk work beside the runtime.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> anyhow::Result<T> + Send + 'static,
) -> io::Result<T> {
    let result = tokio::task::spawn_blocking(work)
        .await
        .map_err(io::Error::other)?;
    result.map_err(|error| io::Error::other(format!("{error:#}")))
}
