//! Decides from the store's status when this member may act as leader: it was elected, a
//! majority still follows it, and it has applied all that was committed before.

use std::sync::Arc;
use std::time::{Duration, Instant};

use caprock_leader::Term;
use caprock_proto::caprock::registry::{CreateCluster, Entry, entry};
use caprock_raft_store::Role;
use caprock_registry::FORMAT;
use prost::Message;
use tokio::sync::watch;

use crate::clock;
use crate::machine::RegistryStore;
use crate::published::Published;
use crate::standing::{Leader, Standing};

/// How often a leader's lease is looked at.
const TICK: Duration = Duration::from_millis(20);
/// Wait before another attempt when the log did not answer.
const RETRY: Duration = Duration::from_millis(20);

/// What the driver is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Leadership {
    /// This member leads; `serial` is another one for each leadership of this process.
    Leading { term: Term, serial: u64 },
    /// It does not, or not yet.
    NotLeading(Standing),
}

impl Default for Leadership {
    fn default() -> Self {
        Self::NotLeading(Standing::Leaderless)
    }
}

impl Leadership {
    /// The term that this member leads.
    pub fn leading_term(&self) -> Option<Term> {
        match self {
            Self::Leading { term, .. } => Some(*term),
            Self::NotLeading(_) => None,
        }
    }

    /// Which leadership of this process it is.
    pub fn serial(&self) -> Option<u64> {
        match self {
            Self::Leading { serial, .. } => Some(*serial),
            Self::NotLeading(_) => None,
        }
    }
}

/// Watches the store.
pub struct Watcher {
    store: RegistryStore,
    published: Arc<Published>,
    leadership: watch::Sender<Leadership>,
    /// A leader whose lease has been gone for this long gives up.
    lease_grace: Duration,
    without_lease_since: Option<Instant>,
    serial: u64,
}

impl Watcher {
    /// A watcher that publishes on the returned channel once it runs.
    pub fn new(
        store: RegistryStore,
        published: Arc<Published>,
        lease_grace: Duration,
    ) -> (Self, watch::Receiver<Leadership>) {
        let (leadership, receiver) = watch::channel(Leadership::default());
        let watcher = Self {
            store,
            published,
            leadership,
            lease_grace,
            without_lease_since: None,
            serial: 0,
        };
        (watcher, receiver)
    }

    /// Runs until the store stops.
    pub async fn run(mut self) {
        let mut status = self.store.watch();
        while self.store.status().role != Role::Stopped {
            self.look().await;
            tokio::select! {
                changed = status.changed() => if changed.is_err() { break },
                () = tokio::time::sleep(TICK) => {}
            }
        }
        self.leadership.send_replace(Leadership::default());
    }

    async fn look(&mut self) {
        let status = self.store.status();
        if status.role != Role::Leader {
            self.without_lease_since = None;
            let standing = match status.leader {
                Some(leader) if leader.member_id != status.member_id => {
                    let (member_id, address) = (leader.member_id, leader.address);
                    Standing::Following(Leader { member_id, address })
                }
                _ => Standing::Leaderless,
            };
            self.publish(Leadership::NotLeading(standing));
            return;
        }
        if !self.store.has_quorum_lease() {
            let since = *self.without_lease_since.get_or_insert_with(Instant::now);
            if since.elapsed() >= self.lease_grace {
                self.publish(Leadership::NotLeading(Standing::Leaderless));
            }
            return;
        }
        self.without_lease_since = None;
        if self.leadership.borrow().leading_term() == Some(status.term) {
            return;
        }
        self.publish(Leadership::NotLeading(Standing::Preparing));
        let begun = Instant::now();
        if self.prepare().await {
            self.published.set_state_fetch(begun.elapsed());
            self.serial += 1;
            self.publish(Leadership::Leading {
                term: status.term,
                serial: self.serial,
            });
        }
    }

    /// Catches up with the log, and gives a new cluster its first entry; false if that
    /// failed, which is no error: the next look tells whether this member still leads.
    async fn prepare(&self) -> bool {
        if let Err(error) = self.store.ensure_linearizable().await {
            tracing::info!(%error, "not ready to lead yet");
            tokio::time::sleep(RETRY).await;
            return false;
        }
        if self.published.registry().cluster_id().is_some() {
            return true;
        }
        let Some(cluster_id) = self.store.cluster_id() else {
            return false;
        };
        let entry = Entry {
            format: FORMAT,
            time_ms: clock::now().0,
            command: Some(entry::Command::CreateCluster(CreateCluster { cluster_id })),
            ..Entry::default()
        };
        match self.store.propose(entry.encode_to_vec().into()).await {
            Ok(_) => true,
            Err(error) => {
                tracing::info!(%error, "the first entry of the cluster is not in the log yet");
                tokio::time::sleep(RETRY).await;
                false
            }
        }
    }

    fn publish(&self, leadership: Leadership) {
        self.leadership.send_if_modified(|current| {
            let modified = *current != leadership;
            *current = leadership;
            modified
        });
    }
}
