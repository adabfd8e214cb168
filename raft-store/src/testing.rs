//! For the tests of this crate: a state machine that is a list of lines, and a cluster of
//! members in this process, with real disks and real loopback connections.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures::TryStreamExt;
use futures::future::select_all;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};

use crate::{
    ApplyError, Committed, FrozenState, MemberId, OpenError, Options, Role, StateMachine, Status,
    Store,
};

/// Shows what the members log; for tests that are looked into.
pub(crate) fn show_log() {
    let filter = std::env::var("CAPROCK_LOG").unwrap_or_default();
    let shown = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_test_writer()
        .try_init();
    // Another test of this process may have done it.
    drop(shown);
}

/// Longer than anything takes on a busy machine.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

pub(crate) type SharedLines = Arc<Mutex<Vec<String>>>;

/// Appends each command as a line; the outcome is the number of lines. `poison` cannot be applied.
#[derive(Default)]
pub(crate) struct Lines {
    lines: Vec<String>,
    pub(crate) seen: SharedLines,
}

impl StateMachine for Lines {
    type Outcome = usize;

    fn apply(&mut self, batch: &[Committed]) -> Result<Vec<usize>, ApplyError> {
        let mut outcomes = Vec::new();
        for committed in batch {
            if committed.command.as_ref() == b"poison" {
                return Err(ApplyError("this version does not know 'poison'".to_owned()));
            }
            self.lines
                .push(String::from_utf8_lossy(&committed.command).into_owned());
            outcomes.push(self.lines.len());
        }
        self.seen.lock().unwrap().clone_from(&self.lines);
        Ok(outcomes)
    }

    fn freeze(&self) -> Box<dyn FrozenState> {
        Box::new(FrozenLines(self.lines.clone()))
    }

    fn restore(
        &mut self,
        chunks: &mut dyn Iterator<Item = anyhow::Result<Bytes>>,
    ) -> anyhow::Result<()> {
        self.lines.clear();
        for chunk in chunks {
            let text = String::from_utf8(chunk?.to_vec())?;
            self.lines.extend(text.lines().map(str::to_owned));
        }
        self.seen.lock().unwrap().clone_from(&self.lines);
        Ok(())
    }
}

struct FrozenLines(Vec<String>);

impl FrozenState for FrozenLines {
    fn write(
        self: Box<Self>,
        sink: &mut dyn FnMut(Bytes) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        for lines in self.0.chunks(100) {
            sink(Bytes::from(lines.join("\n")))?;
        }
        Ok(())
    }
}

/// A running member.
pub(crate) struct Member {
    pub(crate) store: Store<Lines>,
    pub(crate) lines: SharedLines,
    runtime: OwnRuntime,
}

/// All that a member does runs here, so that it can be ended at once like a process.
struct OwnRuntime(Option<Runtime>);

impl OwnRuntime {
    fn new() -> Self {
        let mut builder = Builder::new_multi_thread();
        Self(Some(
            builder.worker_threads(2).enable_all().build().unwrap(),
        ))
    }

    fn get(&self) -> &Runtime {
        self.0.as_ref().unwrap()
    }
}

impl Drop for OwnRuntime {
    fn drop(&mut self) {
        self.0.take().unwrap().shutdown_background();
    }
}

impl Member {
    pub(crate) async fn start(options: Options) -> Result<Self, OpenError> {
        let address: SocketAddr = options.address.parse().unwrap();
        let listener = bind(address).await;
        let machine = Lines::default();
        let lines = machine.seen.clone();
        let runtime = OwnRuntime::new();
        let opened = runtime.get().spawn(Store::open(options, machine));
        let store = opened.await.unwrap()?;
        let routes = store.routes();
        runtime.get().spawn(async move {
            let listener = TcpListener::from_std(listener).unwrap();
            let incoming = tokio_stream::wrappers::TcpListenerStream::new(listener);
            let incoming = incoming.inspect_ok(|stream| stream.set_nodelay(true).unwrap());
            let server = tonic::transport::Server::builder().add_routes(routes);
            server.serve_with_incoming(incoming).await.unwrap();
        });
        Ok(Self {
            store,
            lines,
            runtime,
        })
    }

    /// Stops it as a crash would: everything ends where it is, connections break.
    pub(crate) async fn stop(self) {
        drop(self.runtime);
        self.store.bury().await;
    }

    /// Stops it in order.
    pub(crate) async fn shut_down(self) {
        self.store.shutdown().await;
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap().clone()
    }

    /// Waits until the status is as wanted.
    pub(crate) async fn wait(&self, what: &str, wanted: impl Fn(&Status) -> bool) -> Status {
        let mut watch = self.store.watch();
        let waited = tokio::time::timeout(DEADLINE, watch.wait_for(|status| wanted(status))).await;
        match waited {
            Ok(status) => status.unwrap().clone(),
            Err(_) => panic!("not in time: {what}; {:?}", self.store.status()),
        }
    }
}

/// The port may be held a moment longer by the member that had it before.
async fn bind(address: SocketAddr) -> std::net::TcpListener {
    let deadline = tokio::time::Instant::now() + DEADLINE;
    loop {
        match TcpListener::bind(address).await {
            Ok(listener) => return listener.into_std().unwrap(),
            Err(error) if tokio::time::Instant::now() > deadline => panic!("{address}: {error}"),
            Err(_) => tokio::task::yield_now().await,
        }
    }
}

/// The members of one cluster, running or not, each with its directory and port.
pub(crate) struct Cluster {
    pub(crate) dirs: BTreeMap<MemberId, TempDir>,
    pub(crate) addresses: BTreeMap<MemberId, String>,
    pub(crate) members: BTreeMap<MemberId, Member>,
    pub(crate) change: fn(&mut Options),
}

impl Cluster {
    pub(crate) async fn new(size: u64) -> Self {
        show_log();
        let mut addresses = BTreeMap::new();
        let mut dirs = BTreeMap::new();
        for id in 1..=size {
            addresses.insert(id, free_address().await);
            dirs.insert(id, tempfile::tempdir().unwrap());
        }
        Self {
            dirs,
            addresses,
            members: BTreeMap::new(),
            change: |_| (),
        }
    }

    pub(crate) async fn started(size: u64, change: fn(&mut Options)) -> Self {
        let mut cluster = Self::new(size).await;
        cluster.change = change;
        for id in 1..=size {
            cluster.start(id).await;
        }
        cluster
    }

    pub(crate) fn options(&self, id: MemberId) -> Options {
        let mut options = options(id, &self.addresses[&id], self.dirs[&id].path());
        options.members = self.addresses.clone();
        (self.change)(&mut options);
        options
    }

    pub(crate) async fn start(&mut self, id: MemberId) {
        let member = Member::start(self.options(id)).await.unwrap();
        self.members.insert(id, member);
    }

    pub(crate) async fn stop(&mut self, id: MemberId) {
        self.members.remove(&id).unwrap().stop().await;
    }

    pub(crate) async fn stop_all(&mut self) {
        for (_, member) in std::mem::take(&mut self.members) {
            member.stop().await;
        }
    }

    /// Waits until one running member leads with a quorum and has applied what was before.
    pub(crate) async fn leader(&self) -> MemberId {
        let leads = |status: &Status| status.is_ready_to_lead && status.has_quorum_lease;
        let waits = self.members.iter().map(|(id, member)| {
            Box::pin(async move {
                member.wait("a leader", leads).await;
                *id
            })
        });
        select_all(waits).await.0
    }

    /// Proposes at whoever leads until it is accepted.
    pub(crate) async fn propose(&self, line: &str) -> usize {
        let deadline = tokio::time::Instant::now() + DEADLINE;
        loop {
            let leader = self.leader().await;
            let command = Bytes::from(line.to_owned());
            match self.members[&leader].store.propose(command).await {
                Ok(proposed) => return proposed.outcome,
                Err(error) if tokio::time::Instant::now() > deadline => panic!("{line}: {error}"),
                Err(_) => tokio::task::yield_now().await,
            }
        }
    }

    /// Waits until all running members have the same number of lines, and compares them.
    pub(crate) async fn all_have(&self, expected: &[String]) {
        for (id, member) in &self.members {
            let mut watch = member.store.watch();
            let waited = tokio::time::timeout(DEADLINE, async {
                while member.lines().len() < expected.len() {
                    watch.changed().await.unwrap();
                }
            });
            let count = expected.len();
            assert!(
                waited.await.is_ok(),
                "member {id} has {} of {count}",
                member.lines().len()
            );
            assert_eq!(member.lines(), expected, "member {id}");
        }
    }
}

impl Cluster {
    /// Waits until this line is the last one everywhere; the lines, which must be the same.
    pub(crate) async fn all_end_with(&self, last: &str) -> Vec<String> {
        let mut first: Option<Vec<String>> = None;
        for (id, member) in &self.members {
            let mut watch = member.store.watch();
            let waited = tokio::time::timeout(DEADLINE, async {
                while member.lines().last().is_none_or(|line| line != last) {
                    watch.changed().await.unwrap();
                }
            });
            assert!(
                waited.await.is_ok(),
                "member {id}: {:?}",
                member.store.status()
            );
            let lines = member.lines();
            assert_eq!(
                first.get_or_insert_with(|| lines.clone()),
                &lines,
                "member {id}"
            );
        }
        first.unwrap_or_default()
    }
}

pub(crate) fn options(id: MemberId, address: &str, data_dir: &Path) -> Options {
    Options {
        member_id: id,
        address: address.to_owned(),
        data_dir: data_dir.to_owned(),
        ..Options::default()
    }
}

/// An address that nobody listens at.
pub(crate) async fn free_address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap().to_string()
}

/// A cluster of one, ready.
pub(crate) async fn single(options: Options) -> Member {
    let member = Member::start(options).await.unwrap();
    member
        .wait("leadership", |status| status.is_ready_to_lead)
        .await;
    member
}

pub(crate) fn has_stopped(status: &Status) -> bool {
    status.role == Role::Stopped
}
