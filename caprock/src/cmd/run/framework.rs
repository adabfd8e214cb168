//! The scheduler behind `caprock run`: takes offers, launches, follows the instances.

use std::collections::BTreeMap;
use std::time::Duration;

use caprock_client::http::Http;
use caprock_client::{ClientError, EventStream, Scheduler};
use caprock_model::Resources;
use caprock_model::task::is_terminal;
use caprock_proto::mesos::v1::framework_info::{Capability, capability};
use caprock_proto::mesos::v1::offer::{self, operation};
use caprock_proto::mesos::v1::scheduler::{Call, Event, call, event};
use caprock_proto::mesos::v1::{
    CommandInfo, Environment, Filters, FrameworkInfo, Offer, Resource, TaskInfo, TaskState,
    TaskStatus, command_info, environment,
};

use super::output::Output;
use super::progress::Progress;
use crate::cli::RunFlags;

const RETRY_PAUSE: Duration = Duration::from_millis(200);
/// A framework whose tool was killed is cleaned up after this time, in seconds.
const FAILOVER_TIMEOUT_SECONDS: f64 = 60.0;

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Finished,
    Failed,
    TimedOut,
    Interrupted,
}

/// One instance of the command.
#[derive(Debug)]
struct Instance {
    state: Option<TaskState>,
    /// host:port of its agent.
    agent: Option<String>,
}

/// The one-off framework.
pub struct Framework {
    flags: RunFlags,
    scheduler: Scheduler,
    demand: Resources,
    instances: BTreeMap<String, Instance>,
    progress: Progress,
    http: Http,
    /// Kept open until the end: only a subscribed framework can be torn down.
    stream: Option<EventStream<Event>>,
    /// Output is read at the end of each instance.
    outputs: BTreeMap<String, Output>,
}

impl Framework {
    pub fn new(flags: RunFlags) -> anyhow::Result<Self> {
        let text = format!("cpus:{};mem:{};disk:{}", flags.cpus, flags.mem, flags.disk);
        let demand = Resources::parse(&text, "*")?;
        anyhow::ensure!(!demand.is_empty(), "a task needs some resources");
        let scheduler = Scheduler::new(flags.target.masters.clone(), info(&flags));
        let progress = Progress::new(flags.instances, flags.quiet);
        let task_id = |i| format!("{}.{i}", flags.name);
        let instance = |i| {
            (
                task_id(i),
                Instance {
                    state: None,
                    agent: None,
                },
            )
        };
        let instances = (0..flags.instances).map(instance).collect();
        let outputs = BTreeMap::new();
        let http = Http::default();
        let stream = None;
        Ok(Framework {
            flags,
            scheduler,
            demand,
            instances,
            progress,
            http,
            stream,
            outputs,
        })
    }

    /// Runs until every instance has ended; survives any change of leader.
    pub async fn run(&mut self) -> anyhow::Result<Verdict> {
        let mut failing_since = None;
        while !self.all_ended() {
            match self.follow().await {
                Ok(()) => failing_since = None,
                Err(error) if error.is_retryable() => {
                    let since = *failing_since.get_or_insert_with(std::time::Instant::now);
                    if self.scheduler.framework_id().is_none()
                        && since.elapsed() > self.flags.target.timeout
                    {
                        return Err(error.into());
                    }
                }
                Err(error) => return Err(error.into()),
            }
            if !self.all_ended() {
                tokio::time::sleep(RETRY_PAUSE).await;
            }
        }
        let finished = |i: &Instance| i.state == Some(TaskState::TaskFinished);
        let good = self.instances.values().all(finished);
        Ok(if good {
            Verdict::Finished
        } else {
            Verdict::Failed
        })
    }

    /// Tears the framework down, which ends what still runs.
    pub async fn end(&mut self) {
        self.progress.finish();
        if self.scheduler.framework_id().is_none() {
            return;
        }
        if let Err(error) = self.tear_down().await {
            eprintln!(
                "caprock: the framework could not be torn down and ends by itself in \
                 {FAILOVER_TIMEOUT_SECONDS} s: {error}"
            );
        }
    }

    async fn tear_down(&mut self) -> Result<(), ClientError> {
        if self.stream.is_none() {
            self.stream = Some(self.scheduler.subscribe().await?);
        }
        self.scheduler.teardown().await
    }

    fn all_ended(&self) -> bool {
        self.instances
            .values()
            .all(|i| i.state.is_some_and(is_terminal))
    }

    /// One subscription, from SUBSCRIBED to the end of the stream.
    async fn follow(&mut self) -> Result<(), ClientError> {
        self.stream = Some(self.scheduler.subscribe().await?);
        let result = self.follow_stream().await;
        if !self.all_ended() {
            self.stream = None;
        }
        result
    }

    async fn follow_stream(&mut self) -> Result<(), ClientError> {
        while let Some(stream) = &mut self.stream
            && let Some(event) = stream.next().await?
        {
            self.handle(event).await?;
            if self.all_ended() {
                break;
            }
        }
        Ok(())
    }

    async fn handle(&mut self, event: Event) -> Result<(), ClientError> {
        match event.r#type() {
            event::Type::Subscribed => self.subscribed(event.subscribed).await,
            event::Type::Offers => self.offers(event.offers.unwrap_or_default().offers).await,
            event::Type::Update => match event.update {
                Some(update) => self.update(update.status).await,
                None => Ok(()),
            },
            event::Type::Error => Err(ClientError::Status {
                address: self.flags.target.masters.first().to_owned(),
                status: 400,
                text: event.error.map(|e| e.message).unwrap_or_default(),
            }),
            _ => Ok(()),
        }
    }

    /// After a change of leader, asks for the states that may have been missed.
    async fn subscribed(
        &mut self,
        subscribed: Option<event::Subscribed>,
    ) -> Result<(), ClientError> {
        if let Some(subscribed) = subscribed {
            self.scheduler.set_framework_id(subscribed.framework_id);
        }
        let launched: Vec<call::reconcile::Task> = self
            .instances
            .iter()
            .filter(|(_, i)| i.agent.is_some() && !i.state.is_some_and(is_terminal))
            .map(|(id, _)| call::reconcile::Task {
                task_id: id.as_str().into(),
                agent_id: None,
            })
            .collect();
        if launched.is_empty() {
            return Ok(());
        }
        let kind = call::Type::Reconcile as i32;
        let reconcile = Some(call::Reconcile { tasks: launched });
        self.scheduler
            .call(Call {
                r#type: Some(kind),
                reconcile,
                ..Default::default()
            })
            .await
    }

    async fn offers(&mut self, offers: Vec<Offer>) -> Result<(), ClientError> {
        for offer in offers {
            let tasks = self.place(&offer);
            if tasks.is_empty() {
                self.scheduler.decline(vec![offer.id], None).await?;
            } else {
                self.launch(offer, tasks).await?;
            }
        }
        if self.instances.values().all(|i| i.agent.is_some()) {
            let suppress = Some(call::Type::Suppress as i32);
            self.scheduler
                .call(Call {
                    r#type: suppress,
                    ..Default::default()
                })
                .await?;
        }
        Ok(())
    }

    /// As many waiting instances as fit into the offer.
    fn place(&self, offer: &Offer) -> Vec<TaskInfo> {
        let Ok(mut free) = Resources::from_protos(&offer.resources) else {
            return Vec::new();
        };
        let mut tasks = Vec::new();
        for (id, _) in self.instances.iter().filter(|(_, i)| i.agent.is_none()) {
            let Some(resources) = take(&mut free, &self.demand) else {
                break;
            };
            tasks.push(self.task(id, offer, resources));
        }
        tasks
    }

    fn task(&self, id: &str, offer: &Offer, resources: Vec<Resource>) -> TaskInfo {
        TaskInfo {
            name: self.flags.name.clone(),
            task_id: id.into(),
            agent_id: offer.agent_id.clone(),
            resources,
            command: Some(command(&self.flags)),
            ..Default::default()
        }
    }

    async fn launch(&mut self, offer: Offer, tasks: Vec<TaskInfo>) -> Result<(), ClientError> {
        let agent = agent_address(&offer);
        let ids: Vec<String> = tasks.iter().map(|t| t.task_id.value.clone()).collect();
        let operation = offer::Operation {
            r#type: Some(operation::Type::Launch as i32),
            launch: Some(operation::Launch { task_infos: tasks }),
            ..Default::default()
        };
        let accept = call::Accept {
            offer_ids: vec![offer.id],
            operations: vec![operation],
            filters: Some(Filters {
                refuse_seconds: Some(1.0),
            }),
        };
        // Noted before the call: if its answer is lost, reconciliation tells the truth.
        for id in &ids {
            if let Some(instance) = self.instances.get_mut(id) {
                instance.agent = Some(agent.clone());
            }
            self.progress.set(id, TaskState::TaskStaging);
        }
        let kind = call::Type::Accept as i32;
        let accept = Some(accept);
        self.scheduler
            .call(Call {
                r#type: Some(kind),
                accept,
                ..Default::default()
            })
            .await
    }

    async fn update(&mut self, status: TaskStatus) -> Result<(), ClientError> {
        let id = status.task_id.value.clone();
        self.scheduler.acknowledge(&status).await?;
        let Some(instance) = self.instances.get_mut(&id) else {
            return Ok(());
        };
        if instance.state.is_some_and(is_terminal) {
            return Ok(());
        }
        let state = status.state();
        if matches!(state, TaskState::TaskDropped | TaskState::TaskUnknown) {
            // The launch never reached an agent: wait for another offer.
            *instance = Instance {
                state: None,
                agent: None,
            };
            let revive = Some(call::Type::Revive as i32);
            return self
                .scheduler
                .call(Call {
                    r#type: revive,
                    ..Default::default()
                })
                .await;
        }
        instance.state = Some(state);
        self.progress.set(&id, state);
        if !self.flags.quiet {
            self.show_output(&id, &status).await;
        }
        Ok(())
    }

    /// Prints what the instance wrote so far; a sandbox that cannot be read is no failure
    /// of the command.
    async fn show_output(&mut self, id: &str, status: &TaskStatus) {
        let framework = self.scheduler.framework_id().map(|f| f.value.clone());
        let agent = self.instances.get(id).and_then(|i| i.agent.clone());
        let (Some(framework), Some(agent)) = (framework, agent) else {
            return;
        };
        let several = self.flags.instances > 1;
        let output = self
            .outputs
            .entry(id.to_owned())
            .or_insert_with(|| Output::new(self.http.clone(), agent, &framework, id, several));
        match output.read_new().await {
            Ok(pieces) => self.progress.suspend(|| output.write(&pieces)),
            Err(error) if is_terminal(status.state()) => {
                self.progress
                    .say(&format!("the output of {id} cannot be read: {error}"));
            }
            Err(_) => {}
        }
        if is_terminal(status.state()) && status.state() != TaskState::TaskFinished {
            let message = status.message();
            self.progress
                .say(&format!("{id}: {} {message}", status.state().as_str_name()));
        }
    }
}

fn info(flags: &RunFlags) -> FrameworkInfo {
    let user = flags.user.clone().or_else(|| std::env::var("USER").ok());
    let kinds = [
        capability::Type::MultiRole,
        capability::Type::PartitionAware,
    ];
    let capability = |kind: capability::Type| Capability {
        r#type: Some(kind as i32),
    };
    FrameworkInfo {
        user: user.unwrap_or_else(|| "root".to_owned()),
        name: flags.name.clone(),
        roles: vec![flags.role.clone()],
        failover_timeout: Some(FAILOVER_TIMEOUT_SECONDS),
        checkpoint: Some(true),
        capabilities: kinds
            .into_iter()
            .chain([capability::Type::ReservationRefinement])
            .map(capability)
            .collect(),
        ..Default::default()
    }
}

fn command(flags: &RunFlags) -> CommandInfo {
    let variable = |pair: &String| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        environment::Variable {
            name: name.to_owned(),
            value: Some(value.to_owned()),
            ..Default::default()
        }
    };
    let variables: Vec<_> = flags.environment.iter().map(variable).collect();
    let uri = |value: &String| command_info::Uri {
        value: value.clone(),
        ..Default::default()
    };
    CommandInfo {
        value: Some(flags.command.clone()),
        environment: (!variables.is_empty()).then_some(Environment { variables }),
        uris: flags.uris.iter().map(uri).collect(),
        ..Default::default()
    }
}

/// Takes the demand out of what is free, whatever reservations it is covered by.
fn take(free: &mut Resources, demand: &Resources) -> Option<Vec<Resource>> {
    let mut taken = Resources::default();
    for wanted in demand.to_protos() {
        let mut missing = wanted.scalar.as_ref().map_or(0.0, |s| s.value);
        for offered in free.to_protos().iter().filter(|r| r.name == wanted.name) {
            let available = offered.scalar.as_ref().map_or(0.0, |s| s.value);
            let amount = available.min(missing);
            if amount <= 0.0 || offered.disk.is_some() {
                continue;
            }
            let mut piece = offered.clone();
            piece.scalar = Some(caprock_proto::mesos::v1::value::Scalar { value: amount });
            taken += &Resources::from_protos(std::slice::from_ref(&piece)).ok()?;
            missing -= amount;
        }
        if missing > 1e-6 {
            return None;
        }
    }
    *free -= &taken;
    Some(taken.to_protos())
}

/// host:port of the agent that an offer is of.
fn agent_address(offer: &Offer) -> String {
    match offer.url.as_ref().map(|u| &u.address) {
        Some(a) => format!("{}:{}", a.ip.as_deref().unwrap_or(&offer.hostname), a.port),
        None => format!("{}:5051", offer.hostname),
    }
}
