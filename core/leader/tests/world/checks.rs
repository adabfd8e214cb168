//! What a user relies on.

use std::collections::BTreeSet;

use caprock_leader::{Effect, Reply, RequestId};
use caprock_model::{FrameworkId, TaskId};
use caprock_proto::caprock::registry::entry::Command;

use super::World;
use super::framework::Asked;

/// Every so many entries the members' states are compared.
const DIGEST_EVERY: usize = 64;

/// Tasks about which an update is among the effects.
pub(super) fn tasks_told(effects: &[Effect]) -> BTreeSet<String> {
    let mut told = BTreeSet::new();
    for effect in effects {
        if let Effect::Event { event, .. } = effect
            && let Some(update) = &event.update
        {
            told.insert(update.status.task_id.value.clone());
        }
    }
    told
}

impl World {
    /// The leader does not contradict itself: nothing is offered twice, or while in use.
    pub(super) fn check_step(&self, member: usize) {
        if self.current != Some(member) {
            return;
        }
        let state = &self.members[member];
        if let Err(found) = state.leader.check_invariants(&state.registry) {
            panic!("seed {}: at {}: {found:#?}", self.seed, self.now);
        }
    }

    /// The state is sound, and the same on every member.
    pub(super) fn check_apply(&mut self, member: usize, at: usize) {
        if !at.is_multiple_of(DIGEST_EVERY) {
            return;
        }
        let registry = &self.members[member].registry;
        if let Err(found) = registry.check_invariants() {
            panic!("seed {}: entry {at}: {found:#?}", self.seed);
        }
        let digest = registry.digest();
        let known = self.digests.entry(at).or_insert(digest);
        assert_eq!(
            *known, digest,
            "seed {}: members differ at entry {at}",
            self.seed
        );
    }

    /// An ACCEPT that was taken is durable: each task is in the log, or its scheduler is told.
    pub(super) fn check_reply(&self, request: RequestId, reply: &Reply, told: &BTreeSet<String>) {
        let known = &self.requests[&request];
        let (Asked::Accept { framework, tasks }, Reply::Accepted) = (&known.what, reply) else {
            return;
        };
        let registry = &self.members[known.member].registry;
        let Some(framework) = registry.framework(&FrameworkId::from(framework.as_str())) else {
            return;
        };
        let connected = self.members[known.member]
            .leader
            .view()
            .connected_frameworks;
        let connected = connected.contains_key(&framework.id);
        for (task, _) in tasks {
            let id = TaskId::from(task.as_str());
            let in_log = framework.tasks.contains_key(&id)
                || framework.unreachable_tasks.contains_key(&id)
                || framework
                    .completed_tasks
                    .iter()
                    .any(|completed| completed.id == id);
            assert!(
                in_log || told.contains(task) || !connected,
                "seed {}: {task} was accepted and is nowhere",
                self.seed
            );
        }
    }

    /// Everything has come to an end.
    pub(super) fn check_end(&mut self) {
        let upto = self.log.len();
        for member in 0..self.members.len() {
            self.catch_up(member, upto);
            let digest = self.members[member].registry.digest();
            let first = self.members[0].registry.digest();
            assert_eq!(
                digest, first,
                "seed {}: members differ at the end",
                self.seed
            );
        }
        let open: Vec<_> = self
            .requests
            .iter()
            .filter(|(_, request)| request.answers == 0 && !request.dead)
            .collect();
        assert!(open.is_empty(), "seed {}: unanswered: {open:?}", self.seed);
        self.check_frameworks_end();
        self.check_agents_end();
    }

    fn check_frameworks_end(&self) {
        let leader = self.current.expect("there is a leader in the quiet");
        let registry = &self.members[leader].registry;
        let harmed = self.harmed_agents();
        for framework in &self.frameworks {
            let id = framework
                .id
                .as_ref()
                .expect("every framework is subscribed in the end");
            assert!(
                framework.stream.is_some(),
                "seed {}: {id} has no stream",
                self.seed
            );
            let known = registry.framework(&FrameworkId::from(id.as_str()));
            let known = known.expect("a subscribed framework is in the log");
            assert!(
                known.subscribed,
                "seed {}: {id} is not subscribed in the log",
                self.seed
            );
            let live: Vec<_> = known.tasks.values().collect();
            assert!(
                live.is_empty(),
                "seed {}: tasks of {id} did not end: {live:#?}",
                self.seed
            );
            for (task, state) in &framework.tasks {
                assert!(
                    state.over,
                    "seed {}: {id} waits for {task}: {state:?}",
                    self.seed
                );
                let ran = self.was_launched(&state.agent, id, task);
                let excused = !state.promised || state.rejected || harmed.contains(&state.agent);
                assert!(
                    ran || excused,
                    "seed {}: {task} of {id} was never launched",
                    self.seed
                );
            }
        }
    }

    /// Agents whose tasks may have been lost in good order.
    fn harmed_agents(&self) -> BTreeSet<String> {
        let mut harmed = self.harmed.clone();
        for entry in &self.log {
            match &entry.command {
                Some(Command::MarkAgentUnreachable(mark)) => {
                    harmed.insert(mark.agent_id.clone());
                }
                Some(Command::RemoveAgent(remove)) => {
                    harmed.insert(remove.agent_id.clone());
                }
                _ => {}
            }
        }
        harmed
    }

    fn check_agents_end(&self) {
        let leader = self.current.expect("there is a leader in the quiet");
        let registry = &self.members[leader].registry;
        let running = self.running();
        assert!(
            running.is_empty(),
            "seed {}: still running: {running:?}",
            self.seed
        );
        let ids: BTreeSet<&str> = self.agents.iter().map(|agent| agent.id.as_str()).collect();
        for agent in registry
            .agents()
            .filter(|agent| ids.contains(agent.id.as_str()))
        {
            assert!(
                agent.is_reachable(),
                "seed {}: {} is unreachable",
                self.seed,
                agent.id
            );
            assert!(
                agent.used.is_empty(),
                "seed {}: {} of {} did not come back: {:?}",
                self.seed,
                agent.used,
                agent.id,
                agent.executors.keys().collect::<Vec<_>>()
            );
        }
        let view = self.members[leader].leader.view();
        assert_eq!(
            view.connected_agents.size(),
            self.agents.len(),
            "seed {}",
            self.seed
        );
    }
}
