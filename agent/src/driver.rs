//! The loop that owns the agent's brain. It takes in what has happened since the last turn,
//! steps the brain once for each, writes all checkpoints of the turn with one sync, and only
//! then does what the brain asked for. It has a thread of its own, so that a slow disk holds
//! up nothing else.

use std::sync::Arc;
use std::time::Duration;

use caprock_agent_core::recovery::Recovered;
use caprock_agent_core::{Agent, Effect, Effects, Input, Moment};
use caprock_model::Millis;
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use crate::checkpoint_store::CheckpointStore;
use crate::checks::Checks;
use crate::clock;
use crate::connections::Connections;
use crate::containerizer::Containerizer;
use crate::inbox::{Inbox, Message};
use crate::links::Links;
use crate::timers::Timers;

/// Steps of one turn; a bound on how long an effect waits for others' steps.
const BATCH_MAX: usize = 256;

/// How long the last messages to the masters may take when the agent ends.
const FAREWELL_TIMEOUT: Duration = Duration::from_secs(2);

/// Everything that the loop works with.
#[derive(Debug)]
pub struct Driver {
    pub agent: Agent,
    pub store: CheckpointStore,
    pub containerizer: Containerizer,
    pub inbox: Inbox,
    pub messages: mpsc::Receiver<Message>,
}

/// Why the loop has ended.
#[derive(Debug, PartialEq, Eq)]
pub enum Ended {
    /// SIGTERM: the containers go on.
    Stopped,
    /// The brain is done, with an error line or without.
    Exit(Option<String>),
}

struct Loop {
    agent: Agent,
    store: CheckpointStore,
    containerizer: Containerizer,
    messages: mpsc::Receiver<Message>,
    connections: Connections,
    links: Links,
    checks: Checks,
    timers: Timers,
    now: Millis,
    /// Carried out at the end of the turn, when the steps before them are durable.
    effects: Effects,
}

impl Driver {
    /// Starts the loop on its thread. `restored` is its first step.
    pub fn spawn(self, restored: Recovered) -> std::io::Result<std::thread::JoinHandle<Ended>> {
        let handle = Handle::current();
        let checks = Checks::new(self.containerizer.clone(), self.inbox.clone());
        let connections = Connections::new(self.inbox);
        let mut turns = Loop {
            agent: self.agent,
            store: self.store,
            containerizer: self.containerizer,
            messages: self.messages,
            connections,
            links: Links::default(),
            checks,
            timers: Timers::default(),
            now: clock::now(),
            effects: Effects::new(),
        };
        std::thread::Builder::new()
            .name("agent-driver".into())
            .spawn(move || handle.block_on(turns.run(restored)))
    }
}

impl Loop {
    async fn run(&mut self, restored: Recovered) -> Ended {
        self.step(Input::Start(restored));
        let mut batch = Vec::with_capacity(BATCH_MAX);
        loop {
            if let Some(ended) = self.commit() {
                self.say_farewell().await;
                return ended;
            }
            self.receive(&mut batch).await;
            let mut readers = Vec::new();
            for message in batch.drain(..) {
                match message {
                    Message::Stop => return Ended::Stopped,
                    Message::View(reader) => readers.push(reader),
                    other => self.take(other),
                }
            }
            self.fire_timers();
            if !readers.is_empty() {
                let view = Arc::new(self.agent.view());
                for reader in readers {
                    // A reader that has gone does not need it.
                    let _ = reader.send(Arc::clone(&view));
                }
            }
        }
    }

    /// Waits for messages or for the next timer.
    async fn receive(&mut self, batch: &mut Vec<Message>) {
        let wait_ms = self.timers.next().map(|at| (at - clock::now()).0.max(0));
        let received = self.messages.recv_many(batch, BATCH_MAX);
        match wait_ms.and_then(|ms| u64::try_from(ms).ok()) {
            None => drop(received.await),
            // Late is fine, and the timeout is the normal case.
            Some(ms) => drop(tokio::time::timeout(Duration::from_millis(ms), received).await),
        }
        // A clock that is set back must not undo the order of events.
        self.now = self.now.max(clock::now());
    }

    fn take(&mut self, message: Message) {
        match message {
            Message::Input(input) => {
                if let Input::ConnectionClosed(connection) = input.as_ref() {
                    self.connections.forget(*connection);
                }
                self.step(*input);
            }
            Message::LinkUp { link, outbox } => {
                self.links.up(link, outbox);
                self.step(Input::LinkUp(link));
            }
            Message::LinkDown(link) => {
                self.links.down(link);
                self.step(Input::LinkDown(link));
            }
            Message::Call(pending) => {
                let input = self.connections.admit(*pending);
                self.step(input);
            }
            Message::View(_) | Message::Stop => {}
        }
    }

    fn fire_timers(&mut self) {
        while let Some(key) = self.timers.pop_due(self.now) {
            self.step(Input::Timer(key));
        }
    }

    fn step(&mut self, input: Input) {
        let moment = Moment {
            now: self.now,
            entropy: rand::random(),
        };
        self.agent.step(moment, input, &mut self.effects);
    }

    /// Writes the checkpoints, then does the rest.
    fn commit(&mut self) -> Option<Ended> {
        let effects = std::mem::take(&mut self.effects);
        let mut writes = Vec::new();
        let mut rest = Vec::with_capacity(effects.len());
        for effect in effects {
            match effect {
                Effect::Checkpoint(changes) => writes.extend(changes),
                other => rest.push(other),
            }
        }
        if !writes.is_empty()
            && let Err(error) = self.store.write(&writes)
        {
            // What cannot be kept must not be promised: the next agent goes on from here.
            return Some(Ended::Exit(Some(error.to_string())));
        }
        let mut ended = None;
        for effect in rest {
            match effect {
                Effect::Exit { error } => ended = Some(Ended::Exit(error)),
                // What the log has and the disk has not must not be reported as done.
                Effect::MakeVolumes(volumes) => {
                    if let Err(error) = self.containerizer.make_volumes(&volumes) {
                        return Some(Ended::Exit(Some(error)));
                    }
                }
                Effect::DeleteVolumes(volumes) => {
                    if let Err(error) = self.containerizer.delete_volumes(&volumes) {
                        return Some(Ended::Exit(Some(error)));
                    }
                }
                effect => self.carry_out(effect),
            }
        }
        ended
    }

    fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::ToMaster { link, message } => self.links.send(link, message),
            Effect::Reply { request, reply } => self.connections.reply(request, reply),
            Effect::Event { connection, event } => self.connections.event(connection, &event),
            Effect::Close(connection) => self.connections.forget(connection),
            Effect::Launch(spec) => self.containerizer.launch(*spec),
            Effect::Signal { container, signal } => self.containerizer.signal(&container, signal),
            Effect::StartChecks {
                container,
                check,
                health,
            } => {
                self.checks.start(container, check, health);
            }
            Effect::StopChecks(container) => self.checks.stop(&container),
            Effect::CollectSandbox(container) => self.containerizer.collect(&container),
            Effect::Wake { at, key } => self.timers.set(key, at),
            Effect::Log {
                warning: true,
                text,
            } => tracing::warn!("{text}"),
            Effect::Log {
                warning: false,
                text,
            } => tracing::info!("{text}"),
            Effect::LinkVolumes { container, volumes } => {
                self.containerizer.link_volumes(&container, &volumes);
            }
            Effect::Checkpoint(_)
            | Effect::MakeVolumes(_)
            | Effect::DeleteVolumes(_)
            | Effect::Exit { .. } => {}
        }
    }

    /// Lets the last messages reach the masters: the links end when all is sent.
    async fn say_farewell(&mut self) {
        let mut open = self.links.close_all();
        let drained = async {
            while open > 0 {
                match self.messages.recv().await {
                    Some(Message::LinkDown(_)) => open -= 1,
                    Some(_) => {}
                    None => return,
                }
            }
        };
        // A master that does not answer is left without its message.
        let _ = tokio::time::timeout(FAREWELL_TIMEOUT, drained).await;
    }
}
