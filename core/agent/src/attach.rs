//! Registration with the leader: one attachment at a time, through one link. While Attach is
//! not answered it is repeated; once it is, all pending updates are sent again.

use caprock_model::task::is_terminal;
use caprock_model::{DurationMs, Millis};
use caprock_proto::caprock::session::{
    Attach, Attached, Refused, ReportedFramework, ReportedTask, from_agent,
};
use caprock_proto::mesos::v1::{AgentInfo, TaskState, TaskStatus};

use crate::agent::Agent;
use crate::checkpoint::Key;
use crate::effect::Effect;
use crate::executor::Executor;
use crate::framework::Framework;
use crate::input::{LinkId, TimerKey};
use crate::task::Task;
use crate::view::{ExecutorKind, ExecutorState, Phase};

/// The agent's relation to the leader.
#[derive(Debug, Clone)]
pub(crate) struct Attachment {
    pub link: LinkId,
    pub term: u64,
    state: State,
    /// The last sign of life of the leader.
    heard_at: Millis,
    silence: DurationMs,
}

#[derive(Debug, Clone)]
enum State {
    /// Attach was sent.
    Asked { pause: DurationMs, again_at: Millis },
    /// It was accepted.
    Established { master_id: String, since: Millis },
}

impl Attachment {
    pub fn is_established(&self) -> bool {
        matches!(self.state, State::Established { .. })
    }

    /// Id of the master and time of the acceptance.
    pub fn established(&self) -> Option<(&str, Millis)> {
        match &self.state {
            State::Asked { .. } => None,
            State::Established { master_id, since } => Some((master_id, *since)),
        }
    }
}

impl Agent {
    /// Attaches through the link of the leader, if there is one and the agent is ready.
    pub(crate) fn try_attach(&mut self) {
        if self.attachment.is_some() || self.phase != Phase::Ready {
            return;
        }
        let highest = self.fence.highest_term;
        let candidates = self.links.iter().filter_map(|(link, found)| {
            let term = found.leader_term.filter(|term| *term >= highest)?;
            Some((term, *link))
        });
        let Some((term, link)) = candidates.max() else {
            return;
        };
        let pause = self.config.registration_backoff_factor;
        let again_at = self.after(pause);
        self.attachment = Some(Attachment {
            link,
            term,
            state: State::Asked { pause, again_at },
            heard_at: self.now,
            silence: self.config.master_silence,
        });
        self.wake(again_at, TimerKey::Attach);
        self.send_attach(link);
    }

    pub(crate) fn detach(&mut self) {
        self.attachment = None;
    }

    /// Sends a message to the leader, if the agent is attached to one.
    pub(crate) fn tell_leader(&mut self, message: from_agent::Message) -> bool {
        let established = self
            .attachment
            .as_ref()
            .filter(|found| found.is_established());
        let Some(link) = established.map(|found| found.link) else {
            return false;
        };
        self.emit(Effect::ToMaster { link, message });
        true
    }

    pub(crate) fn is_attached(&self) -> bool {
        self.attachment
            .as_ref()
            .is_some_and(Attachment::is_established)
    }

    pub(crate) fn attached(&mut self, link: LinkId, term: u64, attached: Attached) {
        let asked = self
            .attachment
            .as_ref()
            .is_some_and(|found| found.link == link && found.term == term);
        if !asked {
            return;
        }
        if !self.identity.agent_id.is_empty() && self.identity.agent_id != attached.agent_id {
            self.warn(format!(
                "the leader took agent {} for {}: its answer is ignored",
                self.identity.agent_id, attached.agent_id
            ));
            return;
        }
        if self.identity.agent_id.is_empty() || self.identity.cluster_id != attached.cluster_id {
            self.identity.agent_id = attached.agent_id;
            self.identity.cluster_id = attached.cluster_id;
            self.mark(Key::Identity);
        }
        let told = i64::from(attached.ping_timeout_ms) * i64::from(attached.max_ping_timeouts);
        let silence = if told > 0 {
            DurationMs(told)
        } else {
            self.config.master_silence
        };
        let now = self.now;
        if let Some(found) = &mut self.attachment {
            found.state = State::Established {
                master_id: attached.master_id,
                since: now,
            };
            found.silence = silence;
            found.heard_at = now;
        }
        self.wake(now + silence, TimerKey::MasterSilence);
        self.log(format!(
            "attached as {} in term {term}",
            self.identity.agent_id
        ));
        self.drain_order(attached.drain.as_ref());
        self.resend_all();
        self.resend_operations();
    }

    pub(crate) fn refused(&mut self, link: LinkId, refused: &Refused) {
        if refused.shutdown {
            self.warn(format!(
                "the leader asked this agent to shut down: {}",
                refused.reason
            ));
            self.shut_down_by_leader(&refused.reason);
            return;
        }
        // The timer of the attachment asks again.
        self.warn(format!("the leader refused this agent: {}", refused.reason));
        let established = self
            .attachment
            .as_ref()
            .is_some_and(|found| found.link == link && found.is_established());
        if established {
            self.detach();
            self.try_attach();
        }
    }

    pub(crate) fn attach_timeout(&mut self) {
        let Some(Attachment {
            state: State::Asked { again_at, .. },
            ..
        }) = &self.attachment
        else {
            return;
        };
        let again_at = *again_at;
        if !self.is_due(Some(again_at), TimerKey::Attach) {
            return;
        }
        let (now, longest) = (self.now, self.config.registration_backoff_max);
        let Some(found) = &mut self.attachment else {
            return;
        };
        let link = found.link;
        if let State::Asked { pause, again_at } = &mut found.state {
            *pause = DurationMs((pause.0 * 2).min(longest.0));
            *again_at = now + *pause;
            let at = *again_at;
            self.wake(at, TimerKey::Attach);
            self.send_attach(link);
        }
    }

    /// Notes a sign of life of the leader.
    pub(crate) fn heard_from(&mut self, link: LinkId) {
        let now = self.now;
        if let Some(found) = self.attachment.as_mut().filter(|found| found.link == link) {
            found.heard_at = now;
        }
    }

    pub(crate) fn master_silence(&mut self) {
        let Some(found) = self
            .attachment
            .as_ref()
            .filter(|found| found.is_established())
        else {
            return;
        };
        let deadline = found.heard_at + found.silence;
        if self.is_due(Some(deadline), TimerKey::MasterSilence) {
            self.warn("nothing heard from the leader: attaching again");
            self.detach();
            self.try_attach();
        }
    }

    fn send_attach(&mut self, link: LinkId) {
        let message = from_agent::Message::Attach(self.attach_message());
        self.emit(Effect::ToMaster { link, message });
    }

    /// The agent's information with its id.
    pub(crate) fn full_info(&self) -> AgentInfo {
        let mut info = self.config.info.clone();
        info.id = self.agent_id().map(|id| id.to_proto());
        info
    }

    fn attach_message(&self) -> Attach {
        let mut message = Attach {
            agent_id: self.identity.agent_id.clone(),
            info: Some(self.full_info()),
            version: self.config.version.clone(),
            registration_id: self.identity.registration_id.clone(),
            address: self.config.address.clone(),
            capabilities: self.config.capabilities.to_protos(),
            ..Attach::default()
        };
        if self.converted {
            message.checkpointed_resources = self.total.to_protos();
        }
        message.applied_operations = self.applied_operations();
        for framework in self
            .frameworks
            .values()
            .filter(|framework| !framework.terminating)
        {
            let info = Some(framework.info.as_ref().clone());
            message.frameworks.push(ReportedFramework { info });
            for executor in framework.executors.values() {
                if is_reported(executor) {
                    message.executors.push(executor.info.as_ref().clone());
                }
                let tasks = executor.tasks.values();
                message
                    .tasks
                    .extend(tasks.map(|task| self.reported_task(framework, executor, task)));
            }
        }
        message
    }

    fn reported_task(
        &self,
        framework: &Framework,
        executor: &Executor,
        task: &Task,
    ) -> ReportedTask {
        let latest = task.statuses.last().cloned().unwrap_or_else(|| TaskStatus {
            task_id: task.info.task_id.clone(),
            state: TaskState::TaskStaging as i32,
            agent_id: self.agent_id().map(|id| id.to_proto()),
            executor_id: Some(executor.id.to_proto()),
            timestamp: Some(executor.launched_at.seconds_f64()),
            ..TaskStatus::default()
        });
        let key = (framework.id.clone(), (&task.info.task_id).into());
        let in_flight = self.streams.get(&key).and_then(|stream| stream.head());
        let acknowledged = task
            .statuses
            .last()
            .filter(|last| !is_terminal(last.state()));
        ReportedTask {
            info: Some(task.info.as_ref().clone()),
            framework_id: framework.id.to_string(),
            sent_status: in_flight.or(acknowledged).cloned(),
            latest_status: Some(latest),
        }
    }
}

/// Masters know custom and pod executors only, and only while they can still end.
fn is_reported(executor: &Executor) -> bool {
    executor.kind != ExecutorKind::Command && executor.state != ExecutorState::Terminated
}
