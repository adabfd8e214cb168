//! Status updates on their way from agents to schedulers and into the log.
//!
//! Every update is logged before it is forwarded: what a framework has been told, the next
//! leader knows before any agent has spoken. One batch is in the log at a time; what comes
//! meanwhile waits for the next, so that a busy leader writes few entries.

use caprock_model::task::is_terminal;
use caprock_model::{AgentId, ExecutorId, FrameworkId, TaskId};
use caprock_proto::caprock::registry::{RecordUpdates, RecordedUpdate, entry::Command};
use caprock_proto::caprock::session::{ExecutorMessage, StatusUpdate};
use caprock_proto::mesos::v1::{TaskState, TaskStatus};
use caprock_registry::Task;

use crate::event;
use crate::input::TimerKey;
use crate::metrics;
use crate::office::Office;
use crate::propose::{Pending, Verdict};
use crate::turn::Turn;

/// Updates on their way through the log.
pub(crate) type Batch = Vec<RecordedUpdate>;

/// What is to be logged.
#[derive(Debug, Default)]
pub(crate) struct Updates {
    waiting: Batch,
    in_flight: bool,
    /// The log refused the last batch: it is tried again at a timer.
    backing_off: bool,
}

fn ends(record: &RecordedUpdate) -> bool {
    is_terminal(record.latest_state())
}

impl Office {
    /// An update of an attached agent.
    pub(crate) fn status_update(
        &mut self,
        turn: &mut Turn<'_>,
        agent: &AgentId,
        update: StatusUpdate,
    ) {
        let latest_state = update.latest_state();
        let StatusUpdate {
            framework_id,
            status,
            ..
        } = update;
        let framework_id = FrameworkId::from(framework_id);
        // Removed frameworks get no updates, and an unknown one would have been reported when
        // the agent attached: the order to end it was lost.
        let Some(framework) = turn.registry.framework(&framework_id) else {
            self.metrics.count(metrics::INVALID_UPDATES);
            return self.order_shutdown(turn, agent, &framework_id);
        };
        let Some(mut status) = status else {
            return self.metrics.count(metrics::INVALID_UPDATES);
        };
        self.metrics.count(metrics::VALID_UPDATES);
        status.agent_id.get_or_insert_with(|| agent.to_proto());
        let task = framework.task(&TaskId::from(&status.task_id));
        // A task that the log does not have (any more) is the scheduler's to acknowledge.
        let Some(task) = task.filter(|task| task.agent_id == *agent) else {
            return self.send(turn, &framework_id, event::update(status));
        };
        if is_recorded(task, &status, latest_state) {
            return self.send(turn, &framework_id, event::update(status));
        }
        let record = RecordedUpdate {
            framework_id: framework_id.to_string(),
            agent_id: agent.to_string(),
            status: Some(status),
            latest_state: latest_state as i32,
        };
        self.record_update(turn, record);
    }

    /// Logs an update, then forwards it.
    pub(crate) fn record_update(&mut self, turn: &mut Turn<'_>, update: RecordedUpdate) {
        self.updates.waiting.push(update);
        self.flush_updates(turn);
    }

    /// Logs what waits, unless the batch before is still on its way.
    fn flush_updates(&mut self, turn: &mut Turn<'_>) {
        let updates = &mut self.updates;
        if updates.in_flight || updates.backing_off || updates.waiting.is_empty() {
            return;
        }
        updates.in_flight = true;
        let batch = std::mem::take(&mut updates.waiting);
        let command = Command::RecordUpdates(RecordUpdates {
            updates: batch.clone(),
        });
        self.propose(turn, command, Pending::Record(batch));
    }

    pub(crate) fn flush_timer(&mut self, turn: &mut Turn<'_>) {
        self.updates.backing_off = false;
        self.flush_updates(turn);
    }

    pub(crate) fn updates_applied(&mut self, turn: &mut Turn<'_>, batch: Batch, verdict: &Verdict) {
        self.updates.in_flight = false;
        match verdict {
            Verdict::Applied(..) => {
                for record in batch {
                    self.update_logged(turn, record);
                }
                self.flush_updates(turn);
            }
            Verdict::Rejected(rejection) => {
                turn.warn(format!(
                    "The log rejected {} updates: {rejection}",
                    batch.len()
                ));
                self.flush_updates(turn);
            }
            // Recording an update twice changes nothing, so both are tried again.
            Verdict::Refused | Verdict::Unknown => {
                let later = std::mem::replace(&mut self.updates.waiting, batch);
                self.updates.waiting.extend(later);
                self.updates.backing_off = true;
                turn.wake(turn.now + self.config.retry_delay, TimerKey::FlushUpdates);
            }
        }
    }

    fn update_logged(&mut self, turn: &mut Turn<'_>, record: RecordedUpdate) {
        if ends(&record) {
            self.mark_dirty(turn, &AgentId::from(record.agent_id.as_str()));
        }
        if let Some(status) = record.status {
            self.count_end(status.state());
            let framework = FrameworkId::from(record.framework_id);
            self.send(turn, &framework, event::update(status));
        }
    }

    pub(crate) fn count_end(&mut self, state: TaskState) {
        self.metrics.count(match state {
            TaskState::TaskFinished => metrics::TASKS_FINISHED,
            TaskState::TaskFailed => metrics::TASKS_FAILED,
            TaskState::TaskKilled => metrics::TASKS_KILLED,
            TaskState::TaskError => metrics::TASKS_ERROR,
            TaskState::TaskLost => metrics::TASKS_LOST,
            TaskState::TaskDropped => metrics::TASKS_DROPPED,
            TaskState::TaskGone | TaskState::TaskGoneByOperator => metrics::TASKS_GONE,
            TaskState::TaskStaging
            | TaskState::TaskStarting
            | TaskState::TaskRunning
            | TaskState::TaskKilling
            | TaskState::TaskUnreachable
            | TaskState::TaskUnknown => return,
        });
    }

    /// What an executor tells its scheduler; lost if that is not connected.
    pub(crate) fn executor_message(
        &mut self,
        turn: &mut Turn<'_>,
        agent: &AgentId,
        message: ExecutorMessage,
    ) {
        let executor = ExecutorId::from(message.executor_id);
        let event = event::message(agent, &executor, message.data);
        self.send(turn, &FrameworkId::from(message.framework_id), event);
    }
}

/// Whether the log has this update already: then it is a repetition.
fn is_recorded(task: &Task, status: &TaskStatus, latest_state: TaskState) -> bool {
    let uuid = status.uuid.as_deref().unwrap_or_default();
    let freed = is_terminal(task.latest_state) || !is_terminal(latest_state);
    !uuid.is_empty() && uuid == &task.status_uuid[..] && freed
}
