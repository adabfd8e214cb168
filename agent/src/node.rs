//! Puts an agent together and runs it; nothing else.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, anyhow, bail};
use caprock_agent_core::config::Config as BrainConfig;
use caprock_agent_core::recovery::{self, Recovered};
use caprock_agent_core::{Agent, Input, LinkId};
use caprock_model::attribute;
use caprock_proto::mesos::v1::AgentInfo;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::checkpoint_store::CheckpointStore;
use crate::config::AgentConfig;
use crate::containerizer::{CollectionPolicy, Containerizer, Settings, environment};
use crate::driver::{Driver, Ended};
use crate::http::{Context as HttpContext, server};
use crate::inbox::Inbox;
use crate::signals::{Signal, Signals};
use crate::{machine, master_link, version};

/// Runs an agent until it is told to stop or has retired.
pub async fn run(mut config: AgentConfig, mut signals: Signals) -> anyhow::Result<()> {
    config.validate().map_err(|message| anyhow!(message))?;
    let listener = TcpListener::bind(config.listen)
        .await
        .with_context(|| format!("cannot listen on {}", config.listen))?;
    config.listen = listener.local_addr()?;
    config.work_dir = prepare_work_dir(&config)?;
    let store = CheckpointStore::open(&config.work_dir)?;
    let advertised = advertised(&config);
    let brain = brain_config(&config, &advertised)?;

    let (inbox, messages) = Inbox::new();
    let containerizer = Containerizer::new(settings(&config, &advertised), inbox.clone())
        .with_context(|| format!("cannot use {}", config.work_dir.display()))?;
    let recovered = Arc::new(AtomicBool::new(false));
    let mut tasks = JoinSet::new();
    tasks.spawn(server::serve(
        listener,
        HttpContext {
            inbox: inbox.clone(),
            containerizer: containerizer.clone(),
            recovered: Arc::clone(&recovered),
            config: Arc::new(config.clone()),
            address: advertised.clone(),
        },
    ));
    tracing::info!("listening on {} as {advertised}", config.listen);

    let (restored, survivors) = restore(&store, &containerizer).await?;
    let driver = Driver {
        agent: Agent::new(brain),
        store,
        containerizer,
        inbox: inbox.clone(),
        messages,
    };
    let containerizer = driver.containerizer.clone();
    let thread = driver.spawn(restored).context("cannot start the driver")?;
    containerizer.attach(survivors);
    recovered.store(true, Ordering::Release);
    for (index, master) in config.masters.iter().enumerate() {
        let link = LinkId(u32::try_from(index).context("too many masters")?);
        tasks.spawn(master_link::run(link, master.clone(), inbox.clone()));
    }
    let forward = inbox.clone();
    tasks.spawn(async move {
        loop {
            match signals.next().await {
                Signal::Stop => forward.stop().await,
                Signal::Retire => forward.input(Input::Retire).await,
            }
        }
    });
    match tokio::task::spawn_blocking(move || thread.join()).await? {
        Ok(Ended::Stopped | Ended::Exit(None)) => Ok(()),
        Ok(Ended::Exit(Some(error))) => bail!(error),
        Err(_) => bail!("the driver panicked"),
    }
}

fn prepare_work_dir(config: &AgentConfig) -> anyhow::Result<PathBuf> {
    let shown = config.work_dir.display();
    std::fs::create_dir_all(&config.work_dir)
        .with_context(|| format!("cannot make the work dir {shown}"))?;
    config
        .work_dir
        .canonicalize()
        .with_context(|| format!("cannot read the work dir {shown}"))
}

/// host:port for masters and executors.
fn advertised(config: &AgentConfig) -> String {
    config.advertise.clone().unwrap_or_else(|| {
        let ip = machine::reachable_ip(config.listen, &config.masters);
        SocketAddr::new(ip, config.listen.port()).to_string()
    })
}

fn brain_config(config: &AgentConfig, advertised: &str) -> anyhow::Result<BrainConfig> {
    let given = config.resources.as_deref();
    let resources = machine::resources(given, &config.default_role, &config.work_dir)
        .context("bad --resources")?;
    let attributes = attribute::parse(config.attributes.as_deref().unwrap_or_default())
        .context("bad --attributes")?;
    let info = AgentInfo {
        hostname: config.hostname.clone().unwrap_or_else(machine::hostname),
        port: Some(i32::from(config.listen.port())),
        resources: resources.to_protos(),
        attributes,
        domain: config.domain.clone(),
        ..AgentInfo::default()
    };
    let (host, _) = advertised.rsplit_once(':').unwrap_or((advertised, ""));
    Ok(BrainConfig {
        ip: host.to_string(),
        executor_registration_timeout: config.executor_registration_timeout,
        executor_reregistration_timeout: config.executor_reregistration_timeout,
        executor_shutdown_grace_period: config.executor_shutdown_grace_period,
        recover: config.recover,
        strict: config.strict,
        reconfiguration_policy: config.reconfiguration_policy,
        registration_backoff_factor: config.registration_backoff_factor,
        max_completed_executors_per_framework: config.max_completed_executors_per_framework,
        ..BrainConfig::new(info, advertised, version::MESOS_VERSION)
    })
}

fn settings(config: &AgentConfig, advertised: &str) -> Settings {
    Settings {
        work_dir: config.work_dir.clone(),
        environment: environment::Settings {
            extra: config.executor_environment_variables.clone(),
            libprocess_ip: std::env::var("LIBPROCESS_IP").ok(),
            endpoint: advertised.to_string(),
            http_command_executor: config.http_command_executor,
            executor_shutdown_grace_period: config.executor_shutdown_grace_period,
            recovery_timeout: config.recovery_timeout,
            executor_reregistration_timeout: config.executor_reregistration_timeout,
        },
        switch_user: config.switch_user,
        frameworks_home: config.frameworks_home.clone(),
        shim_program: config.shim_program.clone(),
        shim_arguments: config.shim_arguments.clone(),
        collection: CollectionPolicy {
            delay: config.gc_delay,
            disk_watch_interval: config.disk_watch_interval,
            disk_headroom: config.gc_disk_headroom,
        },
    }
}

async fn restore(
    store: &CheckpointStore,
    containerizer: &Containerizer,
) -> anyhow::Result<(Recovered, crate::containerizer::Survivors)> {
    let records = store.records()?;
    let stored = recovery::containers_in(&records).context("cannot read the checkpoints")?;
    let (containers, survivors) = containerizer.probe(&stored).await;
    let rebooted = store.note_boot(&machine::boot_id())?;
    Ok((
        Recovered {
            records,
            containers,
            rebooted,
        },
        survivors,
    ))
}
