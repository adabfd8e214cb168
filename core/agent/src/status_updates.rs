//! The status update manager: one stream per framework and task. The oldest unacknowledged
//! update is in flight, all others wait for it; it is sent again after 10 s, 20 s, ... 10 min
//! (Mesos: src/slave/task_status_update_manager.cpp).

use std::collections::VecDeque;

use bytes::Bytes;
use caprock_model::task::is_terminal;
use caprock_model::{DurationMs, ExecutorId, FrameworkId, Millis, TaskId};
use caprock_proto::caprock::checkpoint;
use caprock_proto::caprock::session::{self, Acknowledge, from_agent};
use caprock_proto::mesos::v1::TaskStatus;

use crate::agent::Agent;
use crate::checkpoint::Key;
use crate::input::TimerKey;

/// So many acknowledged uuids of a stream are kept, to recognise an update that an executor
/// repeats because it has not seen ACKNOWLEDGED.
const MAX_ACKNOWLEDGED: usize = 64;

/// The updates of one task.
#[derive(Debug, Clone)]
pub(crate) struct Stream {
    pub executor: ExecutorId,
    /// Oldest first; the first one is in flight.
    pending: VecDeque<(u64, TaskStatus)>,
    acknowledged: VecDeque<(u64, Bytes)>,
    next_sequence: u64,
    pause: DurationMs,
    /// When the first one is sent again; None while it has not been sent.
    resend_at: Option<Millis>,
}

impl Stream {
    fn new(executor: ExecutorId) -> Self {
        Self {
            executor,
            pending: VecDeque::new(),
            acknowledged: VecDeque::new(),
            next_sequence: 1,
            pause: DurationMs::ZERO,
            resend_at: None,
        }
    }

    /// The update in flight.
    pub fn head(&self) -> Option<&TaskStatus> {
        self.pending.front().map(|(_, status)| status)
    }

    /// Whether an update with this uuid has been taken already.
    pub fn has_seen(&self, uuid: &Bytes) -> bool {
        self.pending
            .iter()
            .any(|(_, status)| status.uuid.as_ref() == Some(uuid))
            || self.acknowledged.iter().any(|(_, seen)| seen == uuid)
    }

    pub fn to_record(
        &self,
        framework: &FrameworkId,
        task: &TaskId,
        sequence: u64,
    ) -> Option<checkpoint::Update> {
        let record = |uuid: Bytes, status: Option<TaskStatus>| checkpoint::Update {
            framework_id: framework.to_string(),
            task_id: task.to_string(),
            executor_id: self.executor.to_string(),
            sequence,
            uuid,
            status,
        };
        let pending = self.pending.iter().find(|(found, _)| *found == sequence);
        if let Some((_, status)) = pending {
            return Some(record(
                status.uuid.clone().unwrap_or_default(),
                Some(status.clone()),
            ));
        }
        let (_, uuid) = self
            .acknowledged
            .iter()
            .find(|(found, _)| *found == sequence)?;
        Some(record(uuid.clone(), None))
    }

    /// Takes over a record; records come in order of their sequence.
    fn restore(&mut self, record: checkpoint::Update) {
        self.next_sequence = self.next_sequence.max(record.sequence + 1);
        match record.status {
            Some(status) => self.pending.push_back((record.sequence, status)),
            None => self.acknowledged.push_back((record.sequence, record.uuid)),
        }
    }

    fn sequences(&self) -> impl Iterator<Item = u64> {
        let pending = self.pending.iter().map(|(sequence, _)| *sequence);
        pending.chain(self.acknowledged.iter().map(|(sequence, _)| *sequence))
    }
}

impl Agent {
    /// Adds an update to the stream of its task; sends it if it is the only one.
    pub(crate) fn enqueue_update(
        &mut self,
        framework: &FrameworkId,
        executor: &ExecutorId,
        status: TaskStatus,
    ) {
        let task = TaskId::from(&status.task_id);
        let key = (framework.clone(), task.clone());
        let stream = self
            .streams
            .entry(key)
            .or_insert_with(|| Stream::new(executor.clone()));
        let sequence = stream.next_sequence;
        stream.next_sequence += 1;
        stream.pending.push_back((sequence, status));
        let alone = stream.pending.len() == 1;
        self.mark(Key::Update(framework.clone(), task.clone(), sequence));
        if alone {
            self.send_head(framework, &task);
        }
    }

    pub(crate) fn restore_update(&mut self, record: checkpoint::Update) {
        let key = (
            record.framework_id.as_str().into(),
            TaskId::from(record.task_id.as_str()),
        );
        let executor = ExecutorId::from(record.executor_id.as_str());
        self.streams
            .entry(key)
            .or_insert_with(|| Stream::new(executor))
            .restore(record);
    }

    pub(crate) fn stream(&self, framework: &FrameworkId, task: &TaskId) -> Option<&Stream> {
        self.streams.get(&(framework.clone(), task.clone()))
    }

    /// Sends the oldest update of a task, for the first time or after its back-off was reset.
    fn send_head(&mut self, framework: &FrameworkId, task: &TaskId) {
        let pause = self.config.status_update_retry_min;
        self.send_with_pause(framework, task, pause);
    }

    fn send_with_pause(&mut self, framework: &FrameworkId, task: &TaskId, pause: DurationMs) {
        let attached = self.is_attached();
        let again_at = self.after(pause);
        let Some(stream) = self.streams.get_mut(&(framework.clone(), task.clone())) else {
            return;
        };
        stream.resend_at = attached.then_some(again_at);
        stream.pause = pause;
        let Some(status) = stream.head().cloned() else {
            return;
        };
        if !attached {
            return;
        }
        let latest = self
            .frameworks
            .get(framework)
            .and_then(|found| found.task(task));
        let latest_state = latest.map_or(status.state, |task| task.state as i32);
        let update = session::StatusUpdate {
            framework_id: framework.to_string(),
            executor_id: self.streams[&(framework.clone(), task.clone())]
                .executor
                .to_string(),
            status: Some(status),
            latest_state,
        };
        self.tell_leader(from_agent::Message::Update(update));
        let key = TimerKey::RetryUpdate {
            framework: framework.clone(),
            task: task.to_string(),
        };
        self.wake(again_at, key);
    }

    pub(crate) fn retry_update(&mut self, framework: &FrameworkId, task: &TaskId) {
        let Some(stream) = self.stream(framework, task) else {
            return;
        };
        let (deadline, pause) = (stream.resend_at, stream.pause);
        let key = TimerKey::RetryUpdate {
            framework: framework.clone(),
            task: task.to_string(),
        };
        if stream.pending.is_empty() || !self.is_attached() || !self.is_due(deadline, key) {
            return;
        }
        let longest = self.config.status_update_retry_max;
        self.send_with_pause(framework, task, DurationMs((pause.0 * 2).min(longest.0)));
    }

    /// Sends the oldest update of every task again, at once.
    pub(crate) fn resend_all(&mut self) {
        let keys: Vec<_> = self.streams.keys().cloned().collect();
        for (framework, task) in keys {
            self.send_head(&framework, &task);
        }
    }

    /// The same for the tasks of one framework.
    pub(crate) fn resend_of(&mut self, framework: &FrameworkId) {
        for task in self.tasks_with_stream(framework) {
            self.send_head(framework, &task);
        }
    }

    pub(crate) fn tasks_with_stream(&self, framework: &FrameworkId) -> Vec<TaskId> {
        let first = (framework.clone(), TaskId::default());
        let of_framework = self
            .streams
            .range(first..)
            .take_while(|((f, _), _)| f == framework);
        of_framework.map(|((_, task), _)| task.clone()).collect()
    }

    pub(crate) fn has_streams(&self, framework: &FrameworkId) -> bool {
        let first = (framework.clone(), TaskId::default());
        let next = self.streams.range(first..).next();
        next.is_some_and(|((found, _), _)| found == framework)
    }

    pub(crate) fn acknowledge(&mut self, order: &Acknowledge) {
        let framework = FrameworkId::from(order.framework_id.as_str());
        let task = TaskId::from(order.task_id.as_str());
        let Some(stream) = self.streams.get_mut(&(framework.clone(), task.clone())) else {
            self.log(format!(
                "acknowledgement for task {task} of {framework}: nothing waits"
            ));
            return;
        };
        let expected = stream.head().and_then(|status| status.uuid.clone());
        if expected.as_ref() != Some(&order.uuid) {
            self.log(format!(
                "acknowledgement for task {task} of {framework}: unexpected uuid"
            ));
            return;
        }
        let Some((sequence, status)) = stream.pending.pop_front() else {
            return;
        };
        stream
            .acknowledged
            .push_back((sequence, order.uuid.clone()));
        let forgotten = (stream.acknowledged.len() > MAX_ACKNOWLEDGED)
            .then(|| stream.acknowledged.pop_front())
            .flatten();
        stream.resend_at = None;
        let idle = stream.pending.is_empty();
        self.mark(Key::Update(framework.clone(), task.clone(), sequence));
        if let Some((old, _)) = forgotten {
            self.mark(Key::Update(framework.clone(), task.clone(), old));
        }
        if is_terminal(status.state()) {
            self.finish_task(&framework, &task, Some(status));
        } else if !idle {
            self.send_head(&framework, &task);
        } else if !self.has_task(&framework, &task) {
            // An update of a task that no executor has: nothing else will follow.
            self.drop_stream(&framework, &task);
            self.remove_framework_if_idle(&framework);
        }
    }

    /// Whether a terminal update of this task waits for its acknowledgement.
    pub(crate) fn has_told_end(&self, framework: &FrameworkId, task: &TaskId) -> bool {
        let ended = |stream: &Stream| {
            stream
                .pending
                .iter()
                .any(|(_, status)| is_terminal(status.state()))
        };
        self.stream(framework, task).is_some_and(ended)
    }

    fn has_task(&self, framework: &FrameworkId, task: &TaskId) -> bool {
        self.frameworks
            .get(framework)
            .is_some_and(|found| found.task(task).is_some())
    }

    /// Forgets the stream of a task with all that is in it.
    pub(crate) fn drop_stream(&mut self, framework: &FrameworkId, task: &TaskId) {
        let Some(stream) = self.streams.remove(&(framework.clone(), task.clone())) else {
            return;
        };
        for sequence in stream.sequences() {
            self.mark(Key::Update(framework.clone(), task.clone(), sequence));
        }
    }
}
