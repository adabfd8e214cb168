//! What the writers publish for readers: the registry after each batch of applied entries,
//! the leader's view and the member's standing after each turn of the driver. Reading
//! never makes a writer wait.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use arc_swap::{ArcSwap, Guard};
use caprock_leader::LeaderView;
use caprock_registry::{Limits, Registry};
use tokio::sync::{broadcast, watch};

use crate::change::Change;
use crate::clock;
use crate::standing::Standing;

/// Changes that a slow operator stream may lag behind before it is cut off.
const CHANGE_BUFFER: usize = 16_384;

/// Counts of what the driver holds open.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Open {
    pub scheduler_streams: usize,
    pub agent_streams: usize,
    pub timers: usize,
}

/// How much of the histories readers are shown; the registry may keep more.
#[derive(Debug, Clone, Copy)]
pub struct Shown {
    pub completed_frameworks: usize,
    pub completed_tasks_per_framework: usize,
    pub unreachable_tasks_per_framework: usize,
}

/// The published state of this member.
#[derive(Debug)]
pub struct Published {
    pub(crate) shown: Shown,
    registry: ArcSwap<Registry>,
    view: ArcSwap<LeaderView>,
    standing: watch::Sender<Standing>,
    changes: broadcast::Sender<Arc<Change>>,
    applied_at_ms: AtomicI64,
    state_fetch_us: AtomicU64,
    scheduler_streams: AtomicUsize,
    agent_streams: AtomicUsize,
    timers: AtomicUsize,
}

impl Published {
    /// An empty state.
    pub fn new(shown: Shown) -> Self {
        Self {
            shown,
            registry: ArcSwap::from_pointee(Registry::new(Limits::default())),
            view: ArcSwap::default(),
            standing: watch::Sender::default(),
            changes: broadcast::Sender::new(CHANGE_BUFFER),
            applied_at_ms: AtomicI64::new(clock::now().0),
            state_fetch_us: AtomicU64::new(0),
            scheduler_streams: AtomicUsize::new(0),
            agent_streams: AtomicUsize::new(0),
            timers: AtomicUsize::new(0),
        }
    }

    /// The registry now; cheap, for a short look.
    pub fn registry(&self) -> Guard<Arc<Registry>> {
        self.registry.load()
    }

    /// The registry now, to be kept.
    pub fn registry_to_keep(&self) -> Arc<Registry> {
        self.registry.load_full()
    }

    pub(crate) fn set_registry(&self, registry: Registry) {
        self.registry.store(Arc::new(registry));
        self.applied_at_ms.store(clock::now().0, Ordering::Relaxed);
    }

    /// How old the published registry may be: nothing on a leader, else the time since the
    /// last entry was applied.
    pub fn age_ms(&self) -> u64 {
        if self.standing.borrow().leading_term().is_some() {
            return 0;
        }
        let applied_at = self.applied_at_ms.load(Ordering::Relaxed);
        u64::try_from(clock::now().0.saturating_sub(applied_at)).unwrap_or(0)
    }

    /// How long this member needed at its last election to catch up with the log.
    pub fn state_fetch_ms(&self) -> f64 {
        self.state_fetch_us.load(Ordering::Relaxed) as f64 / 1_000.0
    }

    pub(crate) fn set_state_fetch(&self, took: Duration) {
        let took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.state_fetch_us.store(took_us, Ordering::Relaxed);
    }

    /// The leader's view now; of the last leadership, if this member does not lead.
    pub fn view(&self) -> Arc<LeaderView> {
        self.view.load_full()
    }

    pub(crate) fn set_view(&self, view: LeaderView) {
        self.view.store(Arc::new(view));
    }

    /// The standing now.
    pub fn standing(&self) -> Standing {
        self.standing.borrow().clone()
    }

    /// The standing now and as it changes.
    pub fn watch_standing(&self) -> watch::Receiver<Standing> {
        self.standing.subscribe()
    }

    pub(crate) fn set_standing(&self, standing: Standing) {
        self.standing.send_if_modified(|current| {
            let modified = *current != standing;
            *current = standing;
            modified
        });
    }

    /// Changes of the registry from now on.
    pub fn watch_changes(&self) -> broadcast::Receiver<Arc<Change>> {
        self.changes.subscribe()
    }

    /// How many follow the changes.
    pub fn change_watchers(&self) -> usize {
        self.changes.receiver_count()
    }

    pub(crate) fn publish_change(&self, change: Change) {
        if self.changes.send(Arc::new(change)).is_err() {
            tracing::trace!("the last operator stream has just ended");
        }
    }

    /// What the driver holds open.
    pub fn open(&self) -> Open {
        Open {
            scheduler_streams: self.scheduler_streams.load(Ordering::Relaxed),
            agent_streams: self.agent_streams.load(Ordering::Relaxed),
            timers: self.timers.load(Ordering::Relaxed),
        }
    }

    pub(crate) fn set_open(&self, open: Open) {
        self.scheduler_streams
            .store(open.scheduler_streams, Ordering::Relaxed);
        self.agent_streams
            .store(open.agent_streams, Ordering::Relaxed);
        self.timers.store(open.timers, Ordering::Relaxed);
    }
}
