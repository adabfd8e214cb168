//! Assembles a master from its parts, runs it, and takes it down in the right order.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use caprock_leader::config::{parse_min_allocatable, parse_sorter};
use caprock_model::{DurationMs, Role};
use caprock_proto::caprock::admin::admin_server::AdminServer;
use caprock_proto::caprock::session::agent_session_server::AgentSessionServer;
use caprock_raft_store::{Options, Store};
use http::Request;
use hyper::body::Incoming;
use tokio::sync::watch;
use tonic::service::Routes;

use crate::acl::Acls;
use crate::auth::Authenticator;
use crate::config::MasterConfig;
use crate::context::Master;
use crate::driver::{Driver, DriverHandle, DriverSettings};
use crate::gateway::{Gateway, GatewaySettings, LeaderAddress};
use crate::grpc::{AdminService, AgentService};
use crate::http::Server;
use crate::identity::Identity;
use crate::leadership::Watcher;
use crate::logging_level::LoggingLevel;
use crate::machine::{RegistryMachine, RegistryStore};
use crate::published::{Published, Shown};
use crate::requests::Requests;
use crate::standing::Standing;
use crate::{clock, listen};

/// How long a stopping leader waits for another to take over.
const TRANSFER_PATIENCE: Duration = Duration::from_secs(3);
/// How long open requests may take to end when the process stops.
const DRAIN: Duration = Duration::from_millis(500);
/// How long a gateway holds a scheduler's stream while nobody leads.
const STREAM_WAIT: Duration = Duration::from_secs(60);
/// Largest message of an agent: what it runs, when it attaches.
const AGENT_MESSAGE_BYTES_MAX: usize = 256 << 20;

impl listen::HttpService for Server {
    async fn handle(&self, request: Request<Incoming>) -> caprock_http::Reply {
        Self::handle(self, request).await
    }
}

/// The parts that run beside the server.
struct Parts {
    master: Arc<Master>,
    watcher: Watcher,
    driver: Driver,
}

/// Runs a master until `shutdown` is ready or the log of this member fails.
///
/// # Errors
/// One line that says what is wrong: a setting, the data directory, the port, the log.
pub async fn run(
    mut config: MasterConfig,
    shutdown: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    let leader_config = leader_config(&config)?;
    let authenticator = Authenticator::new(&config)?;
    let acls = Acls::new(config.acls.as_deref())?;
    let listener = listen::bind(config.listen).await?;
    config.listen = listener.local_addr()?;
    let Parts {
        master,
        watcher,
        driver,
    } = assemble(config, leader_config, authenticator, acls).await?;

    let watcher = tokio::spawn(watcher.run());
    let driver = tokio::spawn(driver.run());
    let (stopping, stop) = watch::channel(false);
    let server = Arc::new(Server::new(Arc::clone(&master)));
    let serving = tokio::spawn(listen::serve(
        listener,
        server,
        routes(&master),
        stop,
        DRAIN,
    ));
    tracing::info!(
        member = master.identity.member_id, address = %master.identity.address, "master started"
    );

    let failure = tokio::select! {
        () = shutdown => None,
        failure = log_failure(&master.store) => Some(failure),
    };
    if failure.is_none() {
        hand_over(&master).await;
    }
    stopping.send_replace(true);
    serving.await.context("the server failed")?;
    master.store.clone().shutdown().await;
    watcher
        .await
        .context("the watcher of the leadership failed")?;
    driver.await.context("the driver failed")?;
    match failure {
        Some(failure) => bail!("{failure}"),
        None => Ok(()),
    }
}

async fn assemble(
    config: MasterConfig,
    leader_config: caprock_leader::Config,
    authenticator: Authenticator,
    acls: Acls,
) -> anyhow::Result<Parts> {
    let identity = Identity::new(&config, config.listen);
    let published = Arc::new(Published::new(shown(&config)));
    let machine = RegistryMachine::new(Arc::clone(&published));
    let store: RegistryStore = Store::open(store_options(&config), machine).await?;

    let lease_grace = Duration::from_millis(config.election_timeout_max_ms * 4);
    let (watcher, leadership) = Watcher::new(store.clone(), Arc::clone(&published), lease_grace);
    let (driver_handle, commands) = DriverHandle::new();
    let driver = Driver::new(
        driver_settings(&config, leader_config),
        identity.clone(),
        store.clone(),
        Arc::clone(&published),
        leadership,
        commands,
    );
    let gateway = gateway(&config, &identity, &published);
    let master = Arc::new(Master {
        config,
        identity,
        started_at: clock::now(),
        store,
        published,
        driver: driver_handle,
        authenticator,
        acls,
        gateway,
        logging_level: LoggingLevel::default(),
        requests: Requests::default(),
    });
    Ok(Parts {
        master,
        watcher,
        driver,
    })
}

/// The gRPC services, those of the log included.
fn routes(master: &Arc<Master>) -> Routes {
    let agents = AgentSessionServer::new(AgentService::new(Arc::clone(master)))
        .max_decoding_message_size(AGENT_MESSAGE_BYTES_MAX);
    let admin = AdminServer::new(AdminService::new(Arc::clone(master)));
    master.store.routes().add_service(agents).add_service(admin)
}

/// Returns why the log of this member stopped, when it does.
async fn log_failure(store: &RegistryStore) -> String {
    let mut status = store.watch();
    let failed = status.wait_for(|status| status.failure.is_some()).await;
    match failed {
        Ok(status) => status.failure.clone().unwrap_or_default(),
        Err(_) => "the replicated log stopped".to_owned(),
    }
}

/// A leader transfers first, so that nobody has to wait for an election timeout.
async fn hand_over(master: &Master) {
    if master
        .store
        .status()
        .members
        .iter()
        .filter(|member| member.voter)
        .count()
        < 2
    {
        return;
    }
    if !master.store.status().is_leader() {
        return;
    }
    let transfer = master.store.transfer_leadership(None);
    match tokio::time::timeout(TRANSFER_PATIENCE, transfer).await {
        Ok(Ok(member)) => tracing::info!(member, "leadership handed over"),
        Ok(Err(error)) => tracing::warn!(%error, "leadership not handed over"),
        Err(_) => tracing::warn!("leadership not handed over in time"),
    }
    let mut standing = master.published.watch_standing();
    let deposed = standing.wait_for(|standing| !matches!(standing, Standing::Leading { .. }));
    if tokio::time::timeout(DRAIN, deposed).await.is_err() {
        tracing::warn!("still leading when stopped");
    }
}

fn shown(config: &MasterConfig) -> Shown {
    Shown {
        completed_frameworks: config.max_completed_frameworks,
        completed_tasks_per_framework: config.max_completed_tasks_per_framework,
        unreachable_tasks_per_framework: config.max_unreachable_tasks_per_framework,
    }
}

fn store_options(config: &MasterConfig) -> Options {
    Options {
        member_id: config.id,
        address: config.advertised_address(),
        data_dir: config.data_dir.clone(),
        members: config.initial_members(),
        heartbeat_ms: config.heartbeat_interval_ms,
        election_timeout_ms: (
            config.election_timeout_min_ms,
            config.election_timeout_max_ms,
        ),
        ..Options::default()
    }
}

fn leader_config(config: &MasterConfig) -> anyhow::Result<caprock_leader::Config> {
    let duration = |ms: u64| DurationMs(i64::try_from(ms).unwrap_or(i64::MAX));
    let roles = config
        .roles
        .as_ref()
        .map(|roles| roles.iter().map(|role| Role::from(role.as_str())).collect());
    Ok(caprock_leader::Config {
        member_id: config.id,
        allocation_interval: duration(config.allocation_interval_ms),
        min_allocatable_resources: parse_min_allocatable(&config.min_allocatable_resources)
            .context("--min-allocatable-resources")?,
        filter_gpu_resources: config.filter_gpu_resources,
        role_sorter: parse_sorter(&config.role_sorter).context("--role-sorter")?,
        framework_sorter: parse_sorter(&config.framework_sorter).context("--framework-sorter")?,
        offer_timeout: config.offer_timeout_ms.map(duration),
        agent_ping_timeout: duration(config.agent_ping_timeout_ms),
        max_agent_ping_timeouts: config.max_agent_ping_timeouts,
        agent_reregister_timeout: duration(config.agent_reregister_timeout_ms),
        agent_removal_rate_limit: config
            .agent_removal_rate_limit
            .as_deref()
            .map(str::parse)
            .transpose()
            .map_err(|error: String| anyhow::anyhow!("--agent-removal-rate-limit: {error}"))?,
        mass_loss_percent: config.agent_mass_loss_percent,
        mass_loss_minimum: config.agent_mass_loss_minimum,
        election_grace: duration(config.framework_reconnect_grace_ms),
        roles,
        root_submissions: config.root_submissions,
        ..caprock_leader::Config::default()
    })
}

fn driver_settings(config: &MasterConfig, leader: caprock_leader::Config) -> DriverSettings {
    DriverSettings {
        leader,
        scheduler_event_buffer: config.scheduler_event_buffer,
        agent_ping_timeout: Duration::from_millis(config.agent_ping_timeout_ms),
        max_agent_ping_timeouts: config.max_agent_ping_timeouts,
    }
}

fn gateway(config: &MasterConfig, identity: &Identity, published: &Arc<Published>) -> Gateway {
    let settings = GatewaySettings {
        name: format!("member-{}", config.id),
        leader_wait: Duration::from_millis(config.leader_wait_ms),
        stream_wait: STREAM_WAIT,
        event_buffer: config.scheduler_event_buffer,
    };
    let (address, leader) = watch::channel(None);
    let mut standing = published.watch_standing();
    let own = identity.address.clone();
    tokio::spawn(async move {
        loop {
            let leader = match &*standing.borrow_and_update() {
                Standing::Leading { .. } => Some(own.clone()),
                Standing::Following(leader) => Some(leader.address.clone()),
                Standing::Preparing | Standing::Leaderless => None,
            };
            address.send_if_modified(|current| {
                let modified = *current != leader;
                *current = leader;
                modified
            });
            if standing.changed().await.is_err() {
                return;
            }
        }
    });
    Gateway::new(settings, LeaderAddress::new(leader))
}
