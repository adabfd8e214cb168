//! Executors that end (Mesos: Master::exitedExecutor).

use std::collections::BTreeSet;

use caprock_model::{AgentId, ExecutorId, FrameworkId};
use caprock_proto::caprock::registry::{ExecutorKey, ForgetExecutor, entry::Command};
use caprock_proto::caprock::session::ExecutorExited;

use crate::event;
use crate::office::Office;
use crate::propose::{Pending, Verdict};
use crate::turn::Turn;

/// Whose executor, where.
pub(crate) type Key = (AgentId, FrameworkId, ExecutorId);

/// Executors that have ended, until the log has forgotten them.
#[derive(Debug, Default)]
pub(crate) struct Exits {
    ended: BTreeSet<Key>,
    /// The log did not take these; they are tried again.
    unfinished: Vec<PendingExit>,
}

impl Exits {
    /// Whether the executor has ended although the log still has it.
    pub fn has_ended(&self, key: &Key) -> bool {
        self.ended.contains(key)
    }
}

/// An exit on its way through the log.
#[derive(Debug)]
pub(crate) struct PendingExit {
    key: Key,
    /// Raw wait(2) word for the FAILURE event; none if there is to be no event.
    wait_status: Option<i32>,
}

impl Office {
    pub(crate) fn executor_exited(
        &mut self,
        turn: &mut Turn<'_>,
        agent: &AgentId,
        exited: &ExecutorExited,
    ) {
        let framework = FrameworkId::from(exited.framework_id.as_str());
        let executor = ExecutorId::from(exited.executor_id.as_str());
        let known = turn.registry.agent(agent);
        // The executors of command tasks are not known here, and nobody is told.
        if known.is_some_and(|known| known.executor(&framework, &executor).is_some()) {
            let wait_status = Some(exited.wait_status);
            self.forget_executor(turn, &framework, agent, &executor, wait_status);
        }
    }

    pub(crate) fn forget_executor(
        &mut self,
        turn: &mut Turn<'_>,
        framework: &FrameworkId,
        agent: &AgentId,
        executor: &ExecutorId,
        wait_status: Option<i32>,
    ) {
        let key = (agent.clone(), framework.clone(), executor.clone());
        if self.exits.ended.insert(key.clone()) {
            self.propose_exit(turn, PendingExit { key, wait_status });
        }
    }

    fn propose_exit(&mut self, turn: &mut Turn<'_>, exit: PendingExit) {
        let (agent, framework, executor) = &exit.key;
        let key = ExecutorKey {
            framework_id: framework.to_string(),
            agent_id: agent.to_string(),
            executor_id: executor.to_string(),
        };
        let command = Command::ForgetExecutor(ForgetExecutor {
            executor: Some(key),
        });
        self.propose(turn, command, Pending::ForgetExecutor(exit));
    }

    pub(crate) fn executor_forgotten(
        &mut self,
        turn: &mut Turn<'_>,
        exit: PendingExit,
        verdict: &Verdict,
    ) {
        match verdict {
            Verdict::Applied(..) => {
                self.exits.ended.remove(&exit.key);
                let (agent, framework, executor) = &exit.key;
                self.mark_dirty(turn, agent);
                if let Some(wait_status) = exit.wait_status {
                    let event = event::executor_failure(agent, executor, wait_status);
                    self.send(turn, framework, event);
                }
            }
            // Forgotten already, with its framework or agent.
            Verdict::Rejected(_) => {
                self.exits.ended.remove(&exit.key);
            }
            // Its resources would stay in use: it has to be forgotten.
            Verdict::Refused | Verdict::Unknown => self.exits.unfinished.push(exit),
        }
    }

    /// Exits that the log has not taken yet.
    pub(crate) fn sweep_exits(&mut self, turn: &mut Turn<'_>) {
        for exit in std::mem::take(&mut self.exits.unfinished) {
            self.propose_exit(turn, exit);
        }
    }
}
