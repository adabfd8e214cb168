//! A framework that puts up with nothing: no broken stream, no refused call, no lost task.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use caprock_client::{EventStream, Masters, Scheduler};
use caprock_model::task::is_terminal;
use caprock_proto::mesos::v1::offer::{Operation, operation};
use caprock_proto::mesos::v1::scheduler::{Call, Event, call, event};
use caprock_proto::mesos::v1::{Filters, FrameworkInfo, Offer, TaskState, TaskStatus};
use tokio::task::JoinHandle;

use crate::framework::{command_task, info};
use crate::wait::{PATIENCE, eventually};

/// Tasks that run at the same time.
const AT_ONCE: usize = 4;

/// What others see of it while it runs.
#[derive(Debug, Default)]
struct Progress {
    finished: AtomicUsize,
    rescinded: AtomicUsize,
    stop: AtomicBool,
    /// Why it has given up.
    failure: OnceLock<String>,
}

/// Launches short tasks one after the other until it is told to stop.
#[derive(Debug)]
pub struct Steady {
    progress: Arc<Progress>,
    running: JoinHandle<Result<usize>>,
}

impl Steady {
    /// Subscribes at this one address, and launches from then on. Each task adds a line
    /// with its name to the file.
    pub async fn start(address: &str, name: &str, file: PathBuf) -> Result<Self> {
        Self::start_as(address, info(name), file).await
    }

    /// The same with other properties.
    pub async fn start_as(address: &str, info: FrameworkInfo, file: PathBuf) -> Result<Self> {
        let masters: Masters = address.parse()?;
        let mut scheduler = Scheduler::new(masters, info);
        let mut stream = scheduler.subscribe().await?;
        let first = next(&mut stream).await?;
        let subscribed = first.subscribed.context("not SUBSCRIBED first")?;
        scheduler.set_framework_id(subscribed.framework_id);
        let progress = Arc::new(Progress::default());
        let launcher = Launcher {
            scheduler,
            stream,
            file,
            progress: Arc::clone(&progress),
            states: BTreeMap::new(),
            offers: BTreeSet::new(),
        };
        let told = Arc::clone(&progress);
        let running = tokio::spawn(async move {
            launcher.run().await.inspect_err(|error| {
                told.failure.get_or_init(|| format!("{error:#}"));
            })
        });
        Ok(Self { progress, running })
    }

    /// Tasks that have finished so far.
    pub fn finished(&self) -> usize {
        self.progress.finished.load(Ordering::Relaxed)
    }

    /// Offers that were rescinded so far.
    pub fn rescinded(&self) -> usize {
        self.progress.rescinded.load(Ordering::Relaxed)
    }

    /// Waits until so many more tasks have finished.
    pub async fn goes_on(&self, tasks: usize) {
        let wanted = self.finished() + tasks;
        eventually(&format!("{tasks} more tasks"), async || {
            if let Some(failure) = self.progress.failure.get() {
                panic!("the framework has given up: {failure}");
            }
            let finished = self.finished();
            if finished >= wanted {
                Ok(())
            } else {
                Err(finished)
            }
        })
        .await;
    }

    /// Launches no more, and waits for the end of what was launched; the number of tasks.
    ///
    /// # Errors
    /// Whatever went wrong since the start.
    pub async fn stop(self) -> Result<usize> {
        self.progress.stop.store(true, Ordering::Relaxed);
        self.running.await?
    }
}

struct Launcher {
    scheduler: Scheduler,
    stream: EventStream<Event>,
    file: PathBuf,
    progress: Arc<Progress>,
    states: BTreeMap<String, TaskState>,
    offers: BTreeSet<String>,
}

impl Launcher {
    async fn run(mut self) -> Result<usize> {
        while !(self.progress.stop.load(Ordering::Relaxed) && self.open_tasks() == 0) {
            let event = next(&mut self.stream).await?;
            self.take(event).await?;
        }
        self.scheduler.teardown().await?;
        self.check_runs()?;
        Ok(self.states.len())
    }

    fn open_tasks(&self) -> usize {
        let states = self.states.values();
        states.filter(|state| !is_terminal(**state)).count()
    }

    async fn take(&mut self, event: Event) -> Result<()> {
        match event.r#type() {
            event::Type::Subscribed => bail!("a second SUBSCRIBED"),
            event::Type::Error => bail!("ERROR: {:?}", event.error),
            event::Type::Offers => {
                for offer in event.offers.unwrap_or_default().offers {
                    let is_new = self.offers.insert(offer.id.value.clone());
                    ensure!(is_new, "{} was offered twice", offer.id.value);
                    self.answer(&offer).await?;
                }
            }
            event::Type::Rescind => {
                self.progress.rescinded.fetch_add(1, Ordering::Relaxed);
            }
            event::Type::Update => {
                let update = event.update.context("UPDATE without update")?;
                self.update(&update.status).await?;
            }
            _ => {}
        }
        Ok(())
    }

    async fn answer(&mut self, offer: &Offer) -> Result<()> {
        let stopping = self.progress.stop.load(Ordering::Relaxed);
        let mut tasks = Vec::new();
        if !stopping && self.open_tasks() < AT_ONCE {
            let id = format!("task-{}", self.states.len());
            self.states.insert(id.clone(), TaskState::TaskStaging);
            let command = format!("echo {id} >> {}", self.file.display());
            tasks.push(command_task(&id, &command, offer));
        }
        let launch = Operation {
            r#type: Some(operation::Type::Launch as i32),
            launch: Some(operation::Launch { task_infos: tasks }),
            ..Default::default()
        };
        let accept = call::Accept {
            offer_ids: vec![offer.id.clone()],
            operations: vec![launch],
            filters: Some(Filters {
                refuse_seconds: Some(0.0),
            }),
        };
        let accept = Call {
            r#type: Some(call::Type::Accept as i32),
            accept: Some(accept),
            ..Default::default()
        };
        self.scheduler.call(accept).await.context("ACCEPT")
    }

    async fn update(&mut self, status: &TaskStatus) -> Result<()> {
        let (id, state) = (&status.task_id.value, status.state());
        let expected = !is_terminal(state) || state == TaskState::TaskFinished;
        let message = status.message();
        ensure!(
            expected,
            "{id} is {state:?} ({:?}): {message}",
            status.reason()
        );
        let before = self.states.insert(id.clone(), state);
        let before = before.with_context(|| format!("{id} was never launched"))?;
        if is_terminal(before) {
            self.states.insert(id.clone(), before);
            ensure!(is_terminal(state), "{id} is {state:?} after {before:?}");
        } else if is_terminal(state) {
            self.progress.finished.fetch_add(1, Ordering::Relaxed);
        }
        self.scheduler
            .acknowledge(status)
            .await
            .context("ACKNOWLEDGE")
    }

    /// Each task has run, and once.
    fn check_runs(&self) -> Result<()> {
        let text = std::fs::read_to_string(&self.file)?;
        let mut runs: BTreeMap<&str, usize> = BTreeMap::new();
        for line in text.lines() {
            *runs.entry(line).or_default() += 1;
        }
        for task in self.states.keys() {
            let times = runs.get(task.as_str()).copied().unwrap_or_default();
            ensure!(times == 1, "{task} ran {times} times");
        }
        Ok(())
    }
}

async fn next(stream: &mut EventStream<Event>) -> Result<Event> {
    let event = tokio::time::timeout(PATIENCE + Duration::from_secs(1), stream.next());
    let event = event.await.context("no event in time")??;
    event.context("the stream ended")
}
