//! The end of an agent's life on purpose: everything is killed, the leader is told, the
//! checkpoints are wiped, the process exits (Mesos: Slave::shutdown and Slave::finalize).

use bytes::Bytes;
use caprock_model::{DurationMs, Millis};
use caprock_proto::caprock::session::{Unregister, from_agent};

use crate::agent::Agent;
use crate::checkpoint::Key;
use crate::effect::Effect;
use crate::input::TimerKey;
use crate::view::Phase;

/// Beyond the grace period of executors, for their containers to be gone.
const MARGIN: DurationMs = DurationMs(1000);

/// A retirement that is under way.
#[derive(Debug, Clone)]
pub(crate) struct Retirement {
    deadline: Millis,
    /// What the leader is told at the end; nothing if it is the one who wants it.
    farewell: Option<String>,
    error: Option<String>,
}

impl Agent {
    /// SIGUSR1
    pub(crate) fn retire(&mut self) {
        self.begin_retirement(Some("the agent unregistered".to_string()), None);
    }

    pub(crate) fn shut_down_by_leader(&mut self, reason: &str) {
        self.begin_retirement(
            None,
            Some(format!("asked to shut down by the leader: {reason}")),
        );
    }

    /// `--recover=cleanup`
    pub(crate) fn clean_up(&mut self) {
        self.begin_retirement(None, None);
    }

    fn begin_retirement(&mut self, farewell: Option<String>, error: Option<String>) {
        if matches!(self.phase, Phase::Retiring | Phase::Ended) {
            return;
        }
        self.phase = Phase::Retiring;
        let deadline = self.after(self.config.executor_shutdown_grace_period + MARGIN);
        self.retirement = Some(Retirement {
            deadline,
            farewell,
            error,
        });
        self.wake(deadline, TimerKey::Retirement);
        let frameworks: Vec<_> = self.frameworks.keys().cloned().collect();
        for framework in frameworks {
            self.shut_down_framework(&framework);
        }
        self.go_on_retiring();
    }

    /// Ends the retirement when nothing runs any more.
    pub(crate) fn go_on_retiring(&mut self) {
        let idle = self.places.is_empty() && self.orphans.is_empty();
        if self.phase == Phase::Retiring && idle {
            self.end_retirement();
        }
    }

    pub(crate) fn retirement_timeout(&mut self) {
        let deadline = self
            .retirement
            .as_ref()
            .map(|retirement| retirement.deadline);
        if self.phase != Phase::Retiring || !self.is_due(deadline, TimerKey::Retirement) {
            return;
        }
        let containers: Vec<_> = self
            .places
            .keys()
            .chain(self.orphans.keys())
            .cloned()
            .collect();
        for container in containers {
            self.kill_container(&container);
        }
        self.end_retirement();
    }

    fn end_retirement(&mut self) {
        self.phase = Phase::Ended;
        let Some(retirement) = self.retirement.take() else {
            return;
        };
        if let Some(message) = retirement.farewell {
            self.tell_leader(from_agent::Message::Unregister(Unregister { message }));
        }
        self.detach();
        self.wipe();
        self.emit(Effect::Exit {
            error: retirement.error,
        });
    }

    /// Forgets everything but the fence: started again with the same directory, this is a new
    /// agent.
    pub(crate) fn wipe(&mut self) {
        let mut keys = vec![Key::Identity, Key::Converted, Key::Drain];
        for (id, framework) in &self.frameworks {
            keys.push(Key::Framework(id.clone()));
            for (executor, found) in &framework.executors {
                keys.push(Key::Run(id.clone(), executor.clone()));
                keys.extend(
                    found
                        .tasks
                        .keys()
                        .map(|task| Key::Task(id.clone(), task.clone())),
                );
            }
        }
        keys.extend(self.finished.keys());
        keys.extend(
            self.orphans
                .keys()
                .map(|container| Key::Orphan(container.clone())),
        );
        let operations = self.operations.keys();
        keys.extend(operations.map(|uuid| Key::Operation(Bytes::copy_from_slice(uuid))));
        let streams: Vec<_> = self.streams.keys().cloned().collect();
        for (framework, task) in streams {
            self.drop_stream(&framework, &task);
        }
        self.identity = Default::default();
        self.frameworks.clear();
        self.places.clear();
        self.connections.clear();
        self.finished = Default::default();
        self.orphans.clear();
        self.operations.clear();
        self.converted = false;
        self.drain = None;
        for key in keys {
            self.mark(key);
        }
    }
}
