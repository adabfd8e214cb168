//! One member at work: owns the engine. Nothing here is generic, so that dependants only link.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use caprock_proto::caprock::raft::raft_server::RaftServer;
use openraft::async_runtime::watch::WatchReceiver;
use openraft::errors::{ClientWriteError, LinearizableReadError, RaftError};
use openraft::impls::ProgressResponder;
use openraft::{Config, ReadPolicy, SnapshotPolicy};
use tokio::sync::{Semaphore, watch};
use tokio::task::AbortHandle;
use tonic::service::Routes;

use crate::db::Db;
use crate::hurry::Contact;
use crate::identity::Identity;
use crate::log::LogStore;
use crate::machine::{AnyOutcome, ErasedMachine};
use crate::network::{Channels, MESSAGE_BYTES_MAX, Network, Service};
use crate::snapshot::SnapshotStore;
use crate::state::StateStore;
use crate::status::{Status, keep_published};
use crate::types::{ClusterState, Command, CommittedLeaderId, Raft};
use crate::{LogIndex, MemberId, OpenError, Options, ProposeError};
use crate::{form, hurry, quiet};

/// How long `shutdown` waits for the database to be closed.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(10);

pub(crate) struct Node {
    pub(crate) options: Options,
    pub(crate) raft: Raft,
    pub(crate) identity: Arc<Identity>,
    pub(crate) channels: Arc<Channels>,
    pub(crate) cluster: watch::Receiver<ClusterState>,
    /// May vote and acknowledge.
    pub(crate) admitted: Arc<AtomicBool>,
    pub(crate) status: watch::Sender<Status>,
    /// Why the cluster does not take this member.
    pub(crate) refusal: OnceLock<String>,
    pub(crate) transferring: AtomicBool,
    pub(crate) contact: Arc<Contact>,
    pub(crate) stopping: watch::Sender<bool>,
    snapshots: Arc<Mutex<Option<Arc<SnapshotStore>>>>,
    proposals: Semaphore,
    tasks: Mutex<Vec<AbortHandle>>,
    closed: watch::Receiver<()>,
}

/// What the disk gave.
struct Opened {
    identity: Arc<Identity>,
    log: LogStore,
    snapshots: Arc<SnapshotStore>,
    closed: watch::Receiver<()>,
}

/// A proposal that was applied.
pub(crate) struct Applied {
    pub(crate) index: LogIndex,
    pub(crate) term: u64,
    pub(crate) outcome: Option<AnyOutcome>,
}

impl Node {
    pub(crate) async fn open(
        options: Options,
        machine: Box<dyn ErasedMachine>,
    ) -> Result<Arc<Self>, OpenError> {
        options.validate()?;
        let disk = options.clone();
        let opened = tokio::task::spawn_blocking(move || open_disk(&disk)).await;
        let opened = opened.map_err(|error| damaged(&options, &error))??;
        let lease = Duration::from_millis(options.lease_ms());
        let channels = Arc::new(Channels::new(lease));
        let Opened {
            identity,
            log,
            snapshots,
            closed,
        } = opened;
        let state = StateStore::new(machine, snapshots.clone(), identity.clone());
        let cluster = state.watch_cluster();
        let network = Network {
            identity: identity.clone(),
            channels: channels.clone(),
            setup: lease,
        };
        let raft = start(&options, network, log, state).await?;
        let node = Arc::new(Self {
            raft,
            identity,
            channels,
            cluster,
            admitted: Arc::new(AtomicBool::new(false)),
            status: watch::Sender::new(Status::default()),
            refusal: OnceLock::new(),
            transferring: AtomicBool::new(false),
            contact: Arc::new(Contact::default()),
            stopping: watch::Sender::new(false),
            snapshots: Arc::new(Mutex::new(Some(snapshots))),
            proposals: Semaphore::new(options.max_in_flight_proposals),
            tasks: Mutex::new(Vec::new()),
            closed,
            options,
        });
        node.publish_status();
        if let Err(error) = form::check_with_peers(&node).await {
            node.shutdown().await;
            return Err(error);
        }
        node.spawn(keep_published(node.clone()));
        node.spawn(form::run(node.clone()));
        node.spawn(hurry::run(node.clone()));
        node.spawn(quiet::run(node.clone()));
        Ok(node)
    }

    pub(crate) fn id(&self) -> MemberId {
        self.options.member_id
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let handle = tokio::spawn(task).abort_handle();
        self.tasks
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(handle);
    }

    /// The member-to-member service.
    pub(crate) fn routes(self: &Arc<Self>) -> Routes {
        let service = Service {
            raft: self.raft.clone(),
            identity: self.identity.clone(),
            snapshots: self.snapshots.clone(),
            formation: self.clone(),
            admitted: self.admitted.clone(),
            contact: self.contact.clone(),
            stopping: self.stopping.subscribe(),
            warned: Default::default(),
        };
        let server = RaftServer::new(service)
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX);
        Routes::new(server)
    }

    pub(crate) fn known_leader(&self) -> Option<(MemberId, String)> {
        let metrics = self.metrics();
        let id = metrics.current_leader?;
        let node = metrics.membership_config.get_node(&id)?;
        Some((id, node.addr.clone()))
    }

    pub(crate) fn leads(&self) -> bool {
        self.raft.is_leader()
    }

    pub(crate) fn is_stopped(&self) -> bool {
        *self.stopping.borrow() || self.raft.metrics().borrow_watched().running_state.is_err()
    }

    /// Proposes a command of the state machine above.
    pub(crate) async fn propose(
        &self,
        term: Option<u64>,
        command: Bytes,
    ) -> Result<Applied, ProposeError> {
        if self.is_stopped() {
            return Err(ProposeError::Stopped);
        }
        let (size, limit) = (command.len(), self.options.max_command_bytes);
        if size > limit {
            return Err(ProposeError::TooLarge { size, limit });
        }
        if self.leads() && !self.has_quorum_lease() {
            return Err(ProposeError::NotLeader { leader: None });
        }
        let _permit = self
            .proposals
            .try_acquire()
            .map_err(|_| ProposeError::Overloaded)?;
        self.write(term, Command::User(command)).await
    }

    /// Logs a command and waits until it is applied here.
    pub(crate) async fn write(
        &self,
        term: Option<u64>,
        command: Command,
    ) -> Result<Applied, ProposeError> {
        if self.is_stopped() {
            return Err(ProposeError::Stopped);
        }
        let (responder, answer) = ProgressResponder::complete_only();
        let mut request = self.raft.write(command).responder(responder);
        if let Some(term) = term {
            request = request.with_leader(CommittedLeaderId::new(term));
        }
        let unknown = |reason: String| ProposeError::Unknown { reason };
        let limit = Duration::from_millis(self.options.propose_timeout_ms);
        let applied = async {
            request.await.map_err(|error| unknown(error.to_string()))?;
            answer
                .await
                .map_err(|_| unknown("the engine stopped".to_owned()))
        };
        let result = match tokio::time::timeout(limit, applied).await {
            Ok(result) => result?,
            Err(_) => {
                return Err(unknown(format!(
                    "no answer within {} ms",
                    limit.as_millis()
                )));
            }
        };
        match result {
            Ok(response) => Ok(Applied {
                index: LogIndex(response.log_id.index()),
                term: response.log_id.committed_leader_id().term,
                outcome: response.data.into_outcome(),
            }),
            Err(ClientWriteError::ForwardToLeader(forward)) => Err(ProposeError::NotLeader {
                leader: forward
                    .leader_id
                    .zip(forward.leader_node.map(|node| node.addr)),
            }),
            Err(error) => Err(unknown(error.to_string())),
        }
    }

    /// Confirms with a quorum that this member leads, and waits until it has applied everything
    /// that was committed before.
    pub(crate) async fn ensure_linearizable(&self) -> Result<LogIndex, ProposeError> {
        if self.is_stopped() {
            return Err(ProposeError::Stopped);
        }
        let limit = Duration::from_millis(self.options.propose_timeout_ms);
        let read = self.raft.ensure_linearizable(ReadPolicy::ReadIndex);
        match tokio::time::timeout(limit, read).await {
            Ok(Ok(read)) => Ok(LogIndex(read.index())),
            Ok(Err(RaftError::APIError(LinearizableReadError::ForwardToLeader(forward)))) => {
                let leader = forward
                    .leader_id
                    .zip(forward.leader_node.map(|node| node.addr));
                Err(ProposeError::NotLeader { leader })
            }
            Ok(Err(RaftError::APIError(LinearizableReadError::QuorumNotEnough(_)))) | Err(_) => {
                Err(ProposeError::NotLeader { leader: None })
            }
            Ok(Err(RaftError::Fatal(_))) => Err(ProposeError::Stopped),
        }
    }

    /// Takes a snapshot now, whatever the policy says.
    pub(crate) async fn take_snapshot(&self) {
        if let Err(error) = self.raft.trigger().snapshot().await {
            tracing::warn!(%error, "no snapshot is taken, the engine is stopped");
        }
    }

    /// The cluster does not take this member: it stops for good.
    pub(crate) async fn refuse(&self, reason: String) {
        tracing::error!(
            member = self.id(),
            reason,
            "this member is refused and stops"
        );
        self.admitted.store(false, Ordering::Release);
        // Only the first reason counts.
        let _already_refused = self.refusal.set(reason);
        self.stopping.send_replace(true);
        if let Err(error) = self.raft.shutdown().await {
            tracing::warn!(%error, "the engine did not stop in order");
        }
        self.publish_status();
    }

    pub(crate) async fn shutdown(&self) {
        self.begin_to_stop();
        if let Err(error) = self.raft.shutdown().await {
            tracing::warn!(%error, "the engine did not stop in order");
        }
        self.close().await;
    }

    /// As `shutdown` after the engine was ended together with its runtime.
    #[cfg(test)]
    pub(crate) async fn bury(&self) {
        self.begin_to_stop();
        self.close().await;
    }

    fn begin_to_stop(&self) {
        self.stopping.send_replace(true);
        self.admitted.store(false, Ordering::Release);
        for task in self
            .tasks
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .drain(..)
        {
            task.abort();
        }
    }

    async fn close(&self) {
        self.snapshots
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        self.identity.close();
        self.publish_status();
        // Ends with an error when the sender, a part of the database, is gone.
        let mut closed = self.closed.clone();
        if tokio::time::timeout(CLOSE_TIMEOUT, closed.changed())
            .await
            .is_err()
        {
            tracing::warn!(
                waited_s = CLOSE_TIMEOUT.as_secs(),
                "the data directory is still in use by a transfer; it is freed with the process"
            );
        }
    }
}

fn damaged(options: &Options, error: &impl std::fmt::Display) -> OpenError {
    OpenError::Damaged {
        path: options.data_dir.clone(),
        reason: error.to_string(),
    }
}

fn open_disk(options: &Options) -> Result<Opened, OpenError> {
    let (db, closed) = Db::open(&options.data_dir)?;
    let db = Arc::new(db);
    let identity = Arc::new(Identity::open(db.clone(), options.member_id)?);
    let log = LogStore::open(db.clone()).map_err(|error| damaged(options, &error))?;
    let snapshots = SnapshotStore::open(db).map_err(|error| damaged(options, &error))?;
    Ok(Opened {
        identity,
        log,
        snapshots: Arc::new(snapshots),
        closed,
    })
}

fn config(options: &Options) -> Result<Config, OpenError> {
    let (election_timeout_min, election_timeout_max) = options.election_timeout_ms;
    let config = Config {
        cluster_name: "caprock".to_owned(),
        heartbeat_interval: options.heartbeat_ms,
        election_timeout_min,
        election_timeout_max,
        install_snapshot_timeout: options.install_snapshot_timeout_ms,
        snapshot_policy: SnapshotPolicy::LogsSinceLast(options.snapshot_every_entries),
        max_in_snapshot_log_to_keep: options.keep_entries_after_snapshot,
        // More than the entries since the last snapshot: else a snapshot would not end the lag.
        replication_lag_threshold: options
            .snapshot_every_entries
            .saturating_mul(2)
            .saturating_add(options.keep_entries_after_snapshot),
        purge_batch_size: 1,
        max_payload_entries: 1024,
        // The default lets tens of thousands wait; the semaphore bounds what is ours.
        api_channel_size: Some(4096),
        enable_pre_vote: Some(true),
        // Each leadership is a new term: agents and schedulers rely on it.
        enable_leader_restore: Some(false),
        allow_log_reversion: Some(false),
        ..Config::default()
    };
    config.validate().map_err(|error| OpenError::Options {
        reason: error.to_string(),
    })
}

async fn start(
    options: &Options,
    network: Network,
    log: LogStore,
    state: StateStore,
) -> Result<Raft, OpenError> {
    let config = Arc::new(config(options)?);
    let raft = Raft::new(options.member_id, config, network, log, state);
    Box::pin(raft)
        .await
        .map_err(|error| damaged(options, &error))
}
