//! A cluster with a scheduler that never waits for an answer before it reads on.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result};
use caprock_client::{EventStream, Scheduler};
use caprock_proto::mesos::v1::offer::{self, operation};
use caprock_proto::mesos::v1::scheduler::{Call, Event, call, event};
use caprock_proto::mesos::v1::{
    CommandInfo, ExecutorInfo, Filters, FrameworkInfo, Offer, Resource, TaskInfo, TaskStatus,
    executor_info, value,
};
use caprock_tests::Cluster;
use caprock_tests::wait::PATIENCE;

/// What one task takes.
const TASK_CPUS: f64 = 0.01;
const TASK_MEM_MB: f64 = 1.0;

/// What runs the tasks of a measurement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// One executor of ours per agent.
    Custom,
    /// The command `true`.
    Command,
}

/// A cluster and a subscribed scheduler.
pub struct Bench {
    pub cluster: Cluster,
    pub stream: EventStream<Event>,
    scheduler: Arc<Scheduler>,
    kind: Kind,
    next_task: usize,
    /// How often the stream ended.
    pub streams_ended: usize,
}

impl Bench {
    /// Starts masters and agents, and subscribes.
    pub async fn start(masters: usize, agents: usize, kind: Kind) -> Result<Self> {
        let cluster = Cluster::start(masters, agents).await?;
        let info = FrameworkInfo {
            user: "root".to_owned(),
            name: "load".to_owned(),
            checkpoint: Some(true),
            failover_timeout: Some(3600.0),
            ..Default::default()
        };
        let mut scheduler = Scheduler::new(cluster.target(), info);
        let (scheduler, stream) = subscribe(&mut scheduler).await?;
        Ok(Bench {
            cluster,
            stream,
            scheduler,
            kind,
            next_task: 0,
            streams_ended: 0,
        })
    }

    /// The next event, within a generous time. Subscribes again, at whichever master takes
    /// it first, when the stream has ended: it does if it was the leader's own.
    pub async fn next(&mut self) -> Result<Event> {
        let started = Instant::now();
        loop {
            let left = PATIENCE.saturating_sub(started.elapsed());
            let next = tokio::time::timeout(left, self.stream.next()).await;
            if let Ok(Some(event)) = next.context("no event for a minute")?
                && event.r#type() != event::Type::Error
            {
                return Ok(event);
            }
            let mut scheduler = (*self.scheduler).clone();
            (self.scheduler, self.stream) = subscribe(&mut scheduler).await?;
            self.streams_ended += 1;
        }
    }

    /// Waits for the next OFFERS.
    pub async fn offers(&mut self) -> Result<Vec<Offer>> {
        loop {
            let event = self.next().await?;
            match event.r#type() {
                event::Type::Offers => return Ok(event.offers.unwrap_or_default().offers),
                event::Type::Update => {
                    if let Some(update) = event.update {
                        self.acknowledge(update.status);
                    }
                }
                _ => {}
            }
        }
    }

    /// How many tasks an offer has room for.
    pub fn room(&self, offer: &Offer) -> usize {
        let amount = |name| caprock_tests::framework::scalar(&offer.resources, name);
        let overhead = if self.kind == Kind::Custom {
            TASK_CPUS
        } else {
            0.0
        };
        let by_cpus = (amount("cpus") - overhead) / TASK_CPUS;
        let by_mem = (amount("mem") - TASK_MEM_MB) / TASK_MEM_MB;
        // Half a task of tolerance for the rounding of the division.
        by_cpus.min(by_mem).max(0.0).round() as usize
    }

    /// New tasks for an offer.
    pub fn tasks(&mut self, offer: &Offer, count: usize) -> Vec<TaskInfo> {
        (0..count).map(|_| self.task(offer)).collect()
    }

    fn task(&mut self, offer: &Offer) -> TaskInfo {
        self.next_task += 1;
        let (executor, command) = match self.kind {
            Kind::Custom => (Some(executor(&offer.agent_id.value)), None),
            Kind::Command => {
                let value = Some("true".to_owned());
                (
                    None,
                    Some(CommandInfo {
                        value,
                        ..Default::default()
                    }),
                )
            }
        };
        TaskInfo {
            name: "load".to_owned(),
            task_id: format!("t{}", self.next_task).into(),
            agent_id: offer.agent_id.clone(),
            resources: resources(),
            executor,
            command,
            ..Default::default()
        }
    }

    /// ACCEPT with these tasks; returns when the master has answered.
    pub async fn launch(&self, offer: &Offer, tasks: Vec<TaskInfo>) -> Result<()> {
        Ok(self.scheduler.call(accept(offer, tasks)).await?)
    }

    /// The same in the background; a failure ends the process, as the figures are wrong then.
    pub fn launch_soon(&self, offer: &Offer, tasks: Vec<TaskInfo>) {
        self.send(accept(offer, tasks));
    }

    /// Acknowledges in the background.
    pub fn acknowledge(&self, status: TaskStatus) {
        let scheduler = self.scheduler.clone();
        tokio::spawn(async move {
            // What is not acknowledged comes again.
            if let Err(error) = scheduler.acknowledge(&status).await
                && !error.is_retryable()
            {
                eprintln!("ACKNOWLEDGE was refused: {error}");
            }
        });
    }

    /// Gives offers back in the background, to be offered again at once.
    pub fn decline(&self, offer: &Offer) {
        let decline = call::Decline {
            offer_ids: vec![offer.id.clone()],
            filters: Some(Filters {
                refuse_seconds: Some(0.0),
            }),
        };
        let kind = Some(call::Type::Decline as i32);
        self.send(Call {
            r#type: kind,
            decline: Some(decline),
            ..Default::default()
        });
    }

    fn send(&self, call: Call) {
        let scheduler = self.scheduler.clone();
        tokio::spawn(async move {
            if let Err(error) = scheduler.call(call).await {
                eprintln!("a call was refused: {error}");
            }
        });
    }
}

async fn subscribe(scheduler: &mut Scheduler) -> Result<(Arc<Scheduler>, EventStream<Event>)> {
    let open = async {
        loop {
            let mut stream = match scheduler.subscribe().await {
                Ok(stream) => stream,
                Err(error) if error.is_retryable() => {
                    tokio::time::sleep(std::time::Duration::from_millis(5)).await;
                    continue;
                }
                Err(error) => anyhow::bail!(error),
            };
            match stream.next().await {
                Ok(Some(Event {
                    subscribed: Some(subscribed),
                    ..
                })) => {
                    scheduler.set_framework_id(subscribed.framework_id);
                    return Ok((Arc::new(scheduler.clone()), stream));
                }
                Ok(Some(other)) => anyhow::bail!("the first event is {other:?}"),
                Ok(None) | Err(_) => {}
            }
        }
    };
    tokio::time::timeout(PATIENCE, open)
        .await
        .context("no master takes SUBSCRIBE")?
}

fn accept(offer: &Offer, task_infos: Vec<TaskInfo>) -> Call {
    let launch = offer::Operation {
        r#type: Some(operation::Type::Launch as i32),
        launch: Some(operation::Launch { task_infos }),
        ..Default::default()
    };
    let accept = call::Accept {
        offer_ids: vec![offer.id.clone()],
        operations: vec![launch],
        filters: Some(Filters {
            refuse_seconds: Some(0.0),
        }),
    };
    let kind = Some(call::Type::Accept as i32);
    Call {
        r#type: kind,
        accept: Some(accept),
        ..Default::default()
    }
}

fn executor(agent: &str) -> ExecutorInfo {
    let this = std::env::current_exe().unwrap_or_else(|_| PathBuf::from("caprock-load"));
    let command = CommandInfo {
        value: Some(this.display().to_string()),
        shell: Some(false),
        arguments: vec!["caprock-load".to_owned(), "executor".to_owned()],
        ..Default::default()
    };
    ExecutorInfo {
        r#type: Some(executor_info::Type::Custom as i32),
        executor_id: format!("load-{agent}").as_str().into(),
        command: Some(command),
        resources: resources(),
        ..Default::default()
    }
}

fn resources() -> Vec<Resource> {
    let scalar = |name: &str, value: f64| Resource {
        name: name.to_owned(),
        r#type: value::Type::Scalar as i32,
        scalar: Some(value::Scalar { value }),
        ..Default::default()
    };
    vec![scalar("cpus", TASK_CPUS), scalar("mem", TASK_MEM_MB)]
}
