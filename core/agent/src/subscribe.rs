//! SUBSCRIBE of an executor, and the streams of those that did
//! (Mesos: Slave::subscribe in src/slave/slave.cpp).

use std::collections::BTreeSet;

use caprock_model::{ExecutorId, FrameworkId, TaskId};
use caprock_proto::mesos::v1::executor::call::Subscribe;
use caprock_proto::mesos::v1::executor::{Event, event};
use caprock_proto::mesos::v1::{TaskState, task_status::Reason};

use crate::agent::Agent;
use crate::checkpoint::Key;
use crate::effect::{Effect, Reply};
use crate::executor::Executor;
use crate::input::{ConnectionId, RequestId, TimerKey};
use crate::view::{ExecutorState, Phase};

impl Agent {
    pub(crate) fn subscribe(
        &mut self,
        request: RequestId,
        connection: ConnectionId,
        framework: &FrameworkId,
        executor: &ExecutorId,
        subscribe: Subscribe,
    ) {
        if self.phase == Phase::Starting {
            let text = "Agent has not finished recovery";
            return self.reply(request, Reply::Unavailable(text.to_string()));
        }
        let Some(owner) = self.frameworks.get(framework) else {
            let text = "Framework cannot be found";
            return self.reply(request, Reply::BadRequest(text.to_string()));
        };
        let leaving = matches!(self.phase, Phase::Retiring | Phase::Ended) || owner.terminating;
        // Executors that the agent plays itself have no process that could subscribe.
        let Some(found) = owner
            .executors
            .get(executor)
            .filter(|found| found.is_custom())
        else {
            let text = "Executor cannot be found";
            return self.reply(request, Reply::BadRequest(text.to_string()));
        };
        let live = found.is_live();
        self.reply(request, Reply::Stream(connection));
        if leaving || !live {
            self.emit(Effect::Event {
                connection,
                event: shutdown_event(),
            });
            self.emit(Effect::Close(connection));
            return;
        }
        self.take_connection(framework, executor, connection);
        // SUBSCRIBED is the first event of a stream, whatever the executor has to repeat.
        let answers = self.deferred(|agent| {
            for update in subscribe.unacknowledged_updates {
                agent.executor_update(framework, executor, update.status);
            }
            let tasks = subscribe.unacknowledged_tasks.iter();
            let known = tasks.map(|task| TaskId::from(&task.task_id)).collect();
            agent.drop_unknown_to_executor(framework, executor, &known);
        });
        self.greet(framework, executor, connection);
        self.emit_all(answers);
        self.recovered_if_complete();
    }

    /// The new stream takes the place of an earlier one.
    fn take_connection(
        &mut self,
        framework: &FrameworkId,
        executor: &ExecutorId,
        connection: ConnectionId,
    ) {
        let Some(found) = self.executor_mut(framework, executor) else {
            return;
        };
        let earlier = found.connection.replace(connection);
        found.awaited = false;
        found.state = ExecutorState::Running;
        if let Some(earlier) = earlier.filter(|earlier| *earlier != connection) {
            self.connections.remove(&earlier);
            self.emit(Effect::Close(earlier));
        }
        self.connections
            .insert(connection, (framework.clone(), executor.clone()));
        self.mark(Key::Run(framework.clone(), executor.clone()));
        let at = self.after(self.config.executor_heartbeat_interval);
        self.wake(at, TimerKey::ExecutorHeartbeat(connection));
    }

    /// A task that was sent to the executor and that it has never heard of got lost on the way.
    fn drop_unknown_to_executor(
        &mut self,
        framework: &FrameworkId,
        executor: &ExecutorId,
        known: &BTreeSet<TaskId>,
    ) {
        let Some(found) = self.executor(framework, executor) else {
            return;
        };
        let lost = found.tasks.iter().filter(|(id, task)| {
            task.delivered && task.state == TaskState::TaskStaging && !known.contains(*id)
        });
        let lost: Vec<TaskId> = lost.map(|(id, _)| id.clone()).collect();
        for task in lost {
            let status = self.agent_status(
                framework,
                executor,
                &task,
                TaskState::TaskDropped,
                Reason::AgentRestarted,
                "Task launched during agent restart",
            );
            self.apply_status(framework, executor, status);
        }
    }

    fn greet(&mut self, framework: &FrameworkId, executor: &ExecutorId, connection: ConnectionId) {
        let agent_info = self.full_info();
        let Some(owner) = self.frameworks.get(framework) else {
            return;
        };
        let Some(found) = owner.executors.get(executor) else {
            return;
        };
        if !found.ever_delivered && found.queue.is_empty() {
            // All its tasks were killed while it started.
            let grace = self.config.executor_shutdown_grace_period;
            self.shut_down_executor(framework, executor, grace);
            return;
        }
        let subscribed = event::Subscribed {
            executor_info: found.info.as_ref().clone(),
            framework_info: owner.info.as_ref().clone(),
            agent_info,
            container_id: Some(found.container.to_proto()),
        };
        let held = held_kills(found);
        let event = Event {
            r#type: Some(event::Type::Subscribed as i32),
            subscribed: Some(subscribed),
            ..Event::default()
        };
        self.emit(Effect::Event { connection, event });
        self.deliver_queued(framework, executor);
        for (task, kill) in held {
            if let Some(found) = self.task_mut(framework, &task) {
                found.held_kill = None;
            }
            self.emit(Effect::Event {
                connection,
                event: kill,
            });
        }
    }

    pub(crate) fn connection_closed(&mut self, connection: ConnectionId) {
        let Some((framework, executor)) = self.connections.remove(&connection) else {
            return;
        };
        // Nothing else changes: the executor may subscribe again, or its container ends.
        if let Some(found) = self.executor_mut(&framework, &executor)
            && found.connection == Some(connection)
        {
            found.connection = None;
        }
    }

    pub(crate) fn heartbeat(&mut self, connection: ConnectionId) {
        if !self.connections.contains_key(&connection) {
            return;
        }
        let event = Event {
            r#type: Some(event::Type::Heartbeat as i32),
            ..Event::default()
        };
        self.emit(Effect::Event { connection, event });
        let at = self.after(self.config.executor_heartbeat_interval);
        self.wake(at, TimerKey::ExecutorHeartbeat(connection));
    }
}

/// KILL events for tasks whose kill came while the executor had no stream.
fn held_kills(executor: &Executor) -> Vec<(TaskId, Event)> {
    let held = executor.tasks.iter().filter_map(|(id, task)| {
        let policy = task.held_kill.as_ref()?;
        (!task.is_terminal()).then(|| (id.clone(), kill_event(id, *policy)))
    });
    held.collect()
}

pub(crate) fn kill_event(
    task: &TaskId,
    kill_policy: Option<caprock_proto::mesos::v1::KillPolicy>,
) -> Event {
    Event {
        r#type: Some(event::Type::Kill as i32),
        kill: Some(event::Kill {
            task_id: task.to_proto(),
            kill_policy,
        }),
        ..Event::default()
    }
}

pub(crate) fn shutdown_event() -> Event {
    Event {
        r#type: Some(event::Type::Shutdown as i32),
        ..Event::default()
    }
}
