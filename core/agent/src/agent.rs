//! The agent: its state, and the step that changes it. A step collects effects and the keys of
//! the records that it changed; the records are written first, so that nothing is told or done
//! that a crash would make the agent forget.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use caprock_model::{
    AgentId, ContainerId, DurationMs, ExecutorId, FrameworkId, Millis, Resources, TaskId,
};
use caprock_proto::caprock::checkpoint;
use caprock_proto::mesos::v1::executor::Event;

use crate::attach::Attachment;
use crate::checkpoint::{Key, Write, encode};
use crate::config::Config;
use crate::drain::Drain;
use crate::effect::{Effect, Effects, Reply};
use crate::executor::Executor;
use crate::fence::Fence;
use crate::finished::Finished;
use crate::framework::Framework;
use crate::ids::Ids;
use crate::input::{ConnectionId, Input, LinkId, Moment, RequestId, TimerKey};
use crate::link::Link;
use crate::metrics::Counters;
use crate::operations::PendingOperation;
use crate::status_updates::Stream;
use crate::view::{FrameworkView, Phase};

/// The brain of an agent.
#[derive(Debug)]
pub struct Agent {
    pub(crate) config: Config,
    pub(crate) now: Millis,
    pub(crate) ids: Ids,
    effects: Effects,
    dirty: BTreeSet<Key>,
    pub(crate) phase: Phase,
    pub(crate) started_at: Millis,
    pub(crate) recovered_at: Option<Millis>,
    pub(crate) retirement: Option<crate::retire::Retirement>,
    pub(crate) identity: checkpoint::Identity,
    pub(crate) fence: Fence,
    pub(crate) links: BTreeMap<LinkId, Link>,
    pub(crate) attachment: Option<Attachment>,
    pub(crate) frameworks: BTreeMap<FrameworkId, Framework>,
    pub(crate) places: BTreeMap<ContainerId, Place>,
    pub(crate) connections: BTreeMap<ConnectionId, (FrameworkId, ExecutorId)>,
    pub(crate) streams: BTreeMap<(FrameworkId, TaskId), Stream>,
    pub(crate) finished: Finished,
    pub(crate) orphans: BTreeMap<ContainerId, checkpoint::Orphan>,
    pub(crate) operations: BTreeMap<Vec<u8>, PendingOperation>,
    /// The agent's resources, as operations left them.
    pub(crate) total: Resources,
    /// An operation has changed the resources.
    pub(crate) converted: bool,
    /// The leader empties the agent.
    pub(crate) drain: Option<Drain>,
    pub(crate) completed: VecDeque<FrameworkView>,
    pub(crate) counters: Counters,
}

/// What a container belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    pub framework: FrameworkId,
    pub executor: ExecutorId,
    /// The task that it runs, unless it is a custom executor's.
    pub task: Option<TaskId>,
}

impl Agent {
    /// An agent that waits for [`Input::Start`].
    pub fn new(config: Config) -> Self {
        Self {
            config,
            now: Millis::default(),
            ids: Ids::default(),
            effects: Effects::new(),
            dirty: BTreeSet::new(),
            phase: Phase::Starting,
            started_at: Millis::default(),
            recovered_at: None,
            retirement: None,
            identity: checkpoint::Identity::default(),
            fence: Fence::default(),
            links: BTreeMap::new(),
            attachment: None,
            frameworks: BTreeMap::new(),
            places: BTreeMap::new(),
            connections: BTreeMap::new(),
            streams: BTreeMap::new(),
            finished: Finished::default(),
            orphans: BTreeMap::new(),
            operations: BTreeMap::new(),
            total: Resources::default(),
            converted: false,
            drain: None,
            completed: VecDeque::new(),
            counters: Counters::default(),
        }
    }

    /// Takes one input and adds what has to be done to `out`.
    pub fn step(&mut self, moment: Moment, input: Input, out: &mut Effects) {
        self.now = moment.now;
        self.ids.seed(moment.entropy);
        if self.phase == Phase::Ended {
            self.answer_at_the_end(&input);
            return self.flush(out);
        }
        match input {
            Input::Start(recovered) => self.start(recovered),
            Input::LinkUp(link) => self.link_up(link),
            Input::LinkDown(link) => self.link_down(link),
            Input::Master { link, message } => self.master_message(link, message),
            Input::Subscribe {
                request,
                connection,
                framework_id,
                executor_id,
                subscribe,
            } => {
                self.subscribe(request, connection, &framework_id, &executor_id, subscribe);
            }
            Input::Call { request, call } => self.executor_call(request, call),
            Input::ConnectionClosed(connection) => self.connection_closed(connection),
            Input::ContainerStarted { container, pid } => self.container_started(&container, pid),
            Input::ContainerFailed { container, message } => {
                self.container_failed(&container, &message);
            }
            Input::ContainerExited {
                container,
                wait_status,
            } => {
                self.container_exited(&container, wait_status);
            }
            Input::CheckResult { container, status } => self.check_result(&container, &status),
            Input::Timer(key) => self.timer(key),
            Input::Retire => self.retire(),
        }
        self.flush(out);
    }

    /// Each call is answered, even when the process is about to exit.
    fn answer_at_the_end(&mut self, input: &Input) {
        if let Input::Subscribe { request, .. } | Input::Call { request, .. } = input {
            self.reply(
                *request,
                Reply::Unavailable("Agent is shutting down".to_string()),
            );
        }
    }

    fn timer(&mut self, key: TimerKey) {
        match key {
            TimerKey::RetryUpdate { framework, task } => {
                self.retry_update(&framework, &TaskId::from(task));
            }
            TimerKey::Registration(container) => self.registration_timeout(&container),
            TimerKey::Reregistration => self.reregistration_timeout(),
            TimerKey::Destroy(container) => self.destroy_timeout(&container),
            TimerKey::EscalateKill(container) => self.escalate_kill(&container),
            TimerKey::MaxCompletion(container) => self.completion_timeout(&container),
            TimerKey::MasterSilence => self.master_silence(),
            TimerKey::ExecutorHeartbeat(connection) => self.heartbeat(connection),
            TimerKey::Attach => self.attach_timeout(),
            TimerKey::Retirement => self.retirement_timeout(),
            TimerKey::RetryOperation(uuid) => self.retry_operation(&uuid),
        }
    }

    /// Hands out what the step collected: changed records first.
    fn flush(&mut self, out: &mut Effects) {
        let dirty = std::mem::take(&mut self.dirty);
        if !dirty.is_empty() {
            let writes = dirty.into_iter().map(|key| {
                let value = self.record_of(&key).map(encode);
                Write { key, value }
            });
            out.push(Effect::Checkpoint(writes.collect()));
        }
        out.append(&mut self.effects);
    }

    /// The record of a key as it has to be on disk; None if it must not be there.
    fn record_of(&self, key: &Key) -> Option<checkpoint::record::Record> {
        use checkpoint::record::Record;

        match key {
            Key::Identity => {
                let known = !self.identity.registration_id.is_empty();
                known.then(|| Record::Identity(self.identity.clone()))
            }
            Key::Fence => Some(Record::Fence(self.fence.to_record())),
            Key::Framework(id) => self.frameworks.get(id).map(|framework| {
                Record::Framework(checkpoint::Framework {
                    info: Some(framework.info.as_ref().clone()),
                    terminating: framework.terminating,
                })
            }),
            Key::Run(framework, executor) => self
                .executor(framework, executor)
                .map(|found| Record::Run(found.to_record())),
            Key::Task(framework, task) => {
                let found = self.frameworks.get(framework)?;
                let executor = found.placed.get(task)?;
                Some(Record::Task(
                    found.task(task)?.to_record(framework, executor),
                ))
            }
            Key::Update(framework, task, sequence) => {
                let stream = self.streams.get(&(framework.clone(), task.clone()))?;
                stream
                    .to_record(framework, task, *sequence)
                    .map(Record::Update)
            }
            Key::Finished(framework, task) => self
                .finished
                .to_record(framework, task)
                .map(Record::Finished),
            Key::Orphan(container) => self.orphans.get(container).cloned().map(Record::Orphan),
            Key::Operation(uuid) => self
                .operations
                .get(uuid.as_ref())
                .map(|found| Record::Operation(found.to_record())),
            Key::Converted => self.converted.then(|| {
                let resources = self.total.to_protos();
                Record::Converted(checkpoint::Converted { resources })
            }),
            Key::Drain => self.drain.map(|drain| Record::Drain(drain.to_record())),
        }
    }

    /// The record of this key has to be written at the end of the step.
    pub(crate) fn mark(&mut self, key: Key) {
        self.dirty.insert(key);
    }

    pub(crate) fn emit(&mut self, effect: Effect) {
        self.effects.push(effect);
    }

    /// Does something whose effects are to come later, and hands them over.
    pub(crate) fn deferred(&mut self, work: impl FnOnce(&mut Self)) -> Effects {
        let before = std::mem::take(&mut self.effects);
        work(self);
        std::mem::replace(&mut self.effects, before)
    }

    pub(crate) fn emit_all(&mut self, mut effects: Effects) {
        self.effects.append(&mut effects);
    }

    pub(crate) fn log(&mut self, text: impl Into<String>) {
        self.emit(Effect::Log {
            warning: false,
            text: text.into(),
        });
    }

    pub(crate) fn warn(&mut self, text: impl Into<String>) {
        self.emit(Effect::Log {
            warning: true,
            text: text.into(),
        });
    }

    pub(crate) fn wake(&mut self, at: Millis, key: TimerKey) {
        self.emit(Effect::Wake { at, key });
    }

    /// Whether a timer that fired was due. Clocks step backwards and timers are set anew: one
    /// that is early is set again, one without a deadline is over.
    pub(crate) fn is_due(&mut self, deadline: Option<Millis>, key: TimerKey) -> bool {
        match deadline {
            None => false,
            Some(at) if self.now < at => {
                self.wake(at, key);
                false
            }
            Some(_) => true,
        }
    }

    pub(crate) fn reply(&mut self, request: RequestId, reply: Reply) {
        self.emit(Effect::Reply { request, reply });
    }

    /// Sends an event to an executor that has a stream; tells whether it has one.
    pub(crate) fn send_event(
        &mut self,
        framework: &FrameworkId,
        executor: &ExecutorId,
        event: Event,
    ) -> bool {
        let Some(connection) = self
            .executor(framework, executor)
            .and_then(|e| e.connection)
        else {
            return false;
        };
        self.emit(Effect::Event { connection, event });
        true
    }

    pub(crate) fn executor(
        &self,
        framework: &FrameworkId,
        executor: &ExecutorId,
    ) -> Option<&Executor> {
        self.frameworks.get(framework)?.executors.get(executor)
    }

    pub(crate) fn executor_mut(
        &mut self,
        framework: &FrameworkId,
        executor: &ExecutorId,
    ) -> Option<&mut Executor> {
        self.frameworks
            .get_mut(framework)?
            .executors
            .get_mut(executor)
    }

    /// The id under which the agent was admitted.
    pub(crate) fn agent_id(&self) -> Option<AgentId> {
        let id = &self.identity.agent_id;
        (!id.is_empty()).then(|| AgentId::from(id.as_str()))
    }

    /// A time span that starts now.
    pub(crate) fn after(&self, span: DurationMs) -> Millis {
        self.now + span
    }
}
