//! A framework under the control of a test.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use caprock_client::{ClientError, EventStream, Masters, Scheduler};
use caprock_model::task::is_terminal;
use caprock_proto::mesos::v1::framework_info::{Capability, capability};
use caprock_proto::mesos::v1::offer::{self, operation};
use caprock_proto::mesos::v1::scheduler::{Call, Event, call, event};
use caprock_proto::mesos::v1::{
    CommandInfo, FrameworkId, FrameworkInfo, Offer, Resource, TaskInfo, TaskState, TaskStatus,
    value,
};
use tokio::time::timeout;

use crate::wait::PATIENCE;

/// A scheduler whose events a test takes one by one. It acknowledges every update.
#[derive(Debug)]
pub struct Framework {
    scheduler: Scheduler,
    stream: Option<EventStream<Event>>,
    /// Offers that have been neither used nor rescinded.
    pub offers: Vec<Offer>,
    /// All statuses of each task, in order.
    pub statuses: BTreeMap<String, Vec<TaskStatus>>,
    /// How often a stream was opened.
    pub subscriptions: usize,
}

impl Framework {
    /// A partition-aware framework with a long failover timeout, subscribed.
    pub async fn subscribe(masters: Masters, name: &str) -> Result<Self> {
        let mut framework = Framework {
            scheduler: Scheduler::new(masters, info(name)),
            stream: None,
            offers: Vec::new(),
            statuses: BTreeMap::new(),
            subscriptions: 0,
        };
        framework.connect().await?;
        Ok(framework)
    }

    /// The framework's id.
    pub fn id(&self) -> FrameworkId {
        self.scheduler
            .framework_id()
            .cloned()
            .expect("a subscribed framework has an id")
    }

    /// The scheduler, for calls that have no helper here.
    pub fn scheduler(&self) -> &Scheduler {
        &self.scheduler
    }

    /// Opens the stream (again) and waits for SUBSCRIBED.
    pub async fn connect(&mut self) -> Result<()> {
        let open = async {
            loop {
                match self.scheduler.subscribe().await {
                    Ok(stream) => return Ok::<_, ClientError>(stream),
                    Err(e) if e.is_retryable() => tokio::task::yield_now().await,
                    Err(e) => return Err(e),
                }
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        };
        let mut stream = timeout(PATIENCE, open)
            .await
            .context("no master takes SUBSCRIBE")??;
        let first = timeout(PATIENCE, stream.next())
            .await
            .context("no first event")??;
        let subscribed = first
            .and_then(|e| e.subscribed)
            .context("not SUBSCRIBED first")?;
        self.scheduler.set_framework_id(subscribed.framework_id);
        self.stream = Some(stream);
        self.offers.clear();
        self.subscriptions += 1;
        Ok(())
    }

    /// Closes the stream, as a scheduler that dies would.
    pub fn disconnect(&mut self) {
        self.stream = None;
    }

    /// The next event; subscribes again when the stream broke.
    pub async fn next(&mut self) -> Result<Event> {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let Some(stream) = &mut self.stream else {
                self.connect().await?;
                continue;
            };
            let next = tokio::time::timeout_at(deadline, stream.next()).await;
            match next.context("no event in time")? {
                Ok(Some(event)) => {
                    self.take(&event).await?;
                    return Ok(event);
                }
                Ok(None) | Err(ClientError::Broken { .. }) => self.stream = None,
                Err(e) => return Err(e.into()),
            }
        }
    }

    async fn take(&mut self, event: &Event) -> Result<()> {
        match event.r#type() {
            event::Type::Offers => {
                self.offers
                    .extend(event.offers.clone().unwrap_or_default().offers);
            }
            event::Type::Rescind => {
                let id = event.rescind.as_ref().map(|r| &r.offer_id);
                self.offers.retain(|o| Some(&o.id) != id);
            }
            event::Type::Update => {
                let status = event
                    .update
                    .clone()
                    .context("UPDATE without update")?
                    .status;
                let id = status.task_id.value.clone();
                match self.scheduler.acknowledge(&status).await {
                    // The agent sends the update again.
                    Err(e) if !e.is_retryable() && !is_lost_stream(&e) => bail!(e),
                    _ => {}
                }
                self.statuses.entry(id).or_default().push(status);
            }
            event::Type::Error => bail!("ERROR: {:?}", event.error),
            _ => {}
        }
        Ok(())
    }

    /// Waits for an offer with at least so many CPUs.
    pub async fn offer(&mut self, cpus: f64) -> Result<Offer> {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let fits = |o: &Offer| scalar(&o.resources, "cpus") >= cpus;
            if let Some(place) = self.offers.iter().position(fits) {
                return Ok(self.offers.remove(place));
            }
            tokio::time::timeout_at(deadline, self.next())
                .await
                .context("no offer in time")??;
        }
    }

    /// Waits until the outstanding offers have at least so many CPUs together, and returns
    /// how many they have. One amount may come in several offers.
    pub async fn offered(&mut self, cpus: f64) -> Result<f64> {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let sum: f64 = self
                .offers
                .iter()
                .map(|o| scalar(&o.resources, "cpus"))
                .sum();
            // Scalars have three decimals; their sum as floating point may have more.
            let sum = (sum * 1000.0).round() / 1000.0;
            if sum >= cpus {
                return Ok(sum);
            }
            tokio::time::timeout_at(deadline, self.next())
                .await
                .with_context(|| format!("only {sum} CPUs are offered"))??;
        }
    }

    /// Launches a shell command on the next good offer. Survives a change of leader in the
    /// middle: it then takes the next offer, under the same task id.
    pub async fn launch(&mut self, task_id: &str, command: &str) -> Result<TaskInfo> {
        loop {
            let offer = self.offer(0.1).await?;
            let task = command_task(task_id, command, &offer);
            match self.accept(&offer, vec![task.clone()]).await {
                Ok(()) => return Ok(task),
                Err(e) if e.is_retryable() || is_lost_stream(&e) => self.stream = None,
                Err(e) => return Err(e.into()),
            }
        }
    }

    /// ACCEPT with one LAUNCH.
    pub async fn accept(&self, offer: &Offer, tasks: Vec<TaskInfo>) -> Result<(), ClientError> {
        let operation = offer::Operation {
            r#type: Some(operation::Type::Launch as i32),
            launch: Some(operation::Launch { task_infos: tasks }),
            ..Default::default()
        };
        let accept = call::Accept {
            offer_ids: vec![offer.id.clone()],
            operations: vec![operation],
            filters: Some(caprock_proto::mesos::v1::Filters {
                refuse_seconds: Some(0.0),
            }),
        };
        let kind = Some(call::Type::Accept as i32);
        self.scheduler
            .call(Call {
                r#type: kind,
                accept: Some(accept),
                ..Default::default()
            })
            .await
    }

    /// Waits until a task has been reported in this state.
    pub async fn wait_for(&mut self, task_id: &str, state: TaskState) -> Result<TaskStatus> {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let of_task = self
                .statuses
                .get(task_id)
                .map(Vec::as_slice)
                .unwrap_or_default();
            if let Some(status) = of_task.iter().find(|s| s.state() == state) {
                return Ok(status.clone());
            }
            if let Some(end) = of_task.iter().find(|s| is_terminal(s.state())) {
                bail!("{task_id} ended as {:?}: {}", end.state(), end.message());
            }
            tokio::time::timeout_at(deadline, self.next())
                .await
                .with_context(|| format!("{task_id} is not {state:?} in time"))??;
        }
    }

    /// Asks for the state of one task and waits for the master's answer.
    pub async fn reconcile(&mut self, task_id: &str) -> Result<TaskStatus> {
        let seen = self.statuses.get(task_id).map_or(0, Vec::len);
        let tasks = vec![call::reconcile::Task {
            task_id: task_id.into(),
            agent_id: None,
        }];
        let call = Call {
            r#type: Some(call::Type::Reconcile as i32),
            reconcile: Some(call::Reconcile { tasks }),
            ..Default::default()
        };
        self.scheduler.call(call).await?;
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let new = self
                .statuses
                .get(task_id)
                .map(Vec::as_slice)
                .unwrap_or_default();
            let answer = new.iter().skip(seen).find(|s| s.uuid.is_none());
            if let Some(status) = answer {
                return Ok(status.clone());
            }
            tokio::time::timeout_at(deadline, self.next())
                .await
                .context("no answer")??;
        }
    }

    /// The states that a task went through, without repetitions.
    pub fn states(&self, task_id: &str) -> Vec<TaskState> {
        let mut states: Vec<TaskState> = self
            .statuses
            .get(task_id)
            .into_iter()
            .flatten()
            .map(TaskStatus::state)
            .collect();
        states.dedup();
        states
    }
}

/// The old stream is gone, so its id is refused: 400 or 403 depending on what the new
/// leader knows so far.
fn is_lost_stream(error: &ClientError) -> bool {
    matches!(
        error,
        ClientError::Status {
            status: 400 | 403,
            ..
        }
    )
}

/// A partition-aware framework with a long failover timeout.
pub fn info(name: &str) -> FrameworkInfo {
    let kinds = [
        capability::Type::MultiRole,
        capability::Type::PartitionAware,
        capability::Type::ReservationRefinement,
    ];
    FrameworkInfo {
        user: "root".to_owned(),
        name: name.to_owned(),
        roles: vec!["test".to_owned()],
        failover_timeout: Some(3600.0),
        checkpoint: Some(true),
        capabilities: kinds
            .map(|k| Capability {
                r#type: Some(k as i32),
            })
            .to_vec(),
        ..Default::default()
    }
}

/// A task of 0.1 CPUs and 32 MB on the offer's agent.
pub fn command_task(task_id: &str, command: &str, offer: &Offer) -> TaskInfo {
    let role = offer.allocation_info.clone();
    let resource = |name: &str, value: f64| Resource {
        name: name.to_owned(),
        r#type: value::Type::Scalar as i32,
        scalar: Some(value::Scalar { value }),
        allocation_info: role
            .clone()
            .map(|r| caprock_proto::mesos::v1::resource::AllocationInfo { role: r.role }),
        ..Default::default()
    };
    TaskInfo {
        name: task_id.to_owned(),
        task_id: task_id.into(),
        agent_id: offer.agent_id.clone(),
        resources: vec![resource("cpus", 0.1), resource("mem", 32.0)],
        command: Some(CommandInfo {
            value: Some(command.to_owned()),
            ..Default::default()
        }),
        ..Default::default()
    }
}

/// The sum of a scalar.
pub fn scalar(resources: &[Resource], name: &str) -> f64 {
    let of_name = resources.iter().filter(|r| r.name == name);
    of_name
        .filter_map(|r| r.scalar.as_ref())
        .map(|s| s.value)
        .sum()
}
