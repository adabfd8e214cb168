//! The members: the log that they agree on, who leads, and what happens to proposals.

use std::collections::BTreeMap;

use caprock_leader::{Applied, Config, Input, Leader, ProposalFailure, ProposalId, Term};
use caprock_model::DurationMs;
use caprock_proto::caprock::registry::{CreateCluster, Entry, entry::Command};
use caprock_proto::mesos::v1::{Address, MasterInfo};
use caprock_registry::{Limits, LogIndex, Registry};

use super::{Happening, World};

/// One member of the quorum.
pub struct Member {
    number: usize,
    pub alive: bool,
    /// Grows with each restart: what was meant for a former life is lost.
    pub life: u32,
    pub leader: Leader,
    pub registry: Registry,
    /// Length of the log as far as it is applied.
    applied: usize,
    /// The term in which it was elected last.
    pub term: Term,
    /// When the last answer to a proposal arrives: they keep their order.
    answered_at: i64,
    /// Its proposals by their place in the log, until they are applied.
    waiting: BTreeMap<usize, ProposalId>,
}

/// A proposal on its way into the log.
pub struct Underway {
    id: ProposalId,
    entry: Entry,
    /// The leader is told nothing but that its fate is unknown.
    in_doubt: bool,
}

fn config(number: usize) -> Config {
    Config {
        member_id: number as u64,
        agent_ping_timeout: DurationMs(1_000),
        max_agent_ping_timeouts: 3,
        agent_reregister_timeout: DurationMs(8_000),
        agent_disconnect_grace: DurationMs(200),
        election_grace: DurationMs(3_000),
        ..Config::default()
    }
}

impl Member {
    pub fn new(number: usize) -> Self {
        Self {
            number,
            alive: true,
            life: 0,
            leader: Leader::new(config(number)),
            registry: Registry::new(Limits::default()),
            applied: 0,
            term: 0,
            answered_at: 0,
            waiting: BTreeMap::new(),
        }
    }

    fn master_info(&self, term: Term) -> MasterInfo {
        MasterInfo {
            id: format!("master-{term}"),
            ip: 0x0100_007f,
            port: 5050 + self.number as u32,
            hostname: Some("localhost".to_owned()),
            address: Some(Address {
                hostname: Some("localhost".to_owned()),
                ip: Some("127.0.0.1".to_owned()),
                port: 5050,
            }),
            ..MasterInfo::default()
        }
    }
}

impl World {
    pub(super) fn found_cluster(&mut self) {
        let command = Command::CreateCluster(CreateCluster {
            cluster_id: "cluster".to_owned(),
        });
        let time = caprock_model::Millis(self.now);
        self.log.push(caprock_registry::entry(time, command));
        self.elect(0);
    }

    pub fn log_length(&self) -> usize {
        self.log.len()
    }

    /// The digest of the state that the whole log leads to.
    pub fn digest(&mut self) -> caprock_registry::Digest {
        self.catch_up(0, self.log.len());
        self.members[0].registry.digest()
    }

    pub(super) fn lives(&self, member: usize, life: u32) -> bool {
        self.members[member].alive && self.members[member].life == life
    }

    /// Applies the log up to here; the outcome of the last entry.
    pub(super) fn catch_up(&mut self, member: usize, upto: usize) {
        while self.members[member].applied < upto {
            let at = self.members[member].applied;
            let index = at as LogIndex + 1;
            let outcome = self.members[member].registry.apply(index, &self.log[at]);
            let outcome = outcome.expect("every entry can be applied");
            self.members[member].applied += 1;
            self.log_applied(member, at, outcome);
            self.check_apply(member, at);
        }
    }

    fn log_applied(&mut self, member: usize, at: usize, outcome: caprock_registry::Outcome) {
        self.note(|| format!("member {member} applied {} : {outcome:?}", at + 1));
        let life = self.members[member].life;
        let Some(id) = self.members[member].waiting.remove(&at) else {
            return;
        };
        let delay = self.rng.delay_ms(self.quiet);
        let member_state = &mut self.members[member];
        member_state.answered_at = member_state.answered_at.max(self.now + delay);
        let at_ms = member_state.answered_at;
        let result = Ok(Applied {
            index: at as LogIndex + 1,
            outcome,
        });
        self.at_ms(
            at_ms,
            Happening::Answer {
                member,
                life,
                id,
                result,
            },
        );
    }

    pub(super) fn apply(&mut self, member: usize, life: u32, upto: usize) {
        if self.lives(member, life) {
            self.catch_up(member, upto);
        }
    }

    pub(super) fn propose(&mut self, member: usize, id: ProposalId, entry: Entry) {
        let life = self.members[member].life;
        let fail = |world: &mut Self, failure| {
            let delay = world.rng.between(0, 30);
            let result = Err(failure);
            world.in_ms(
                delay,
                Happening::Answer {
                    member,
                    life,
                    id,
                    result,
                },
            );
        };
        if self.current != Some(member) {
            // It does not know yet that it was deposed.
            return fail(self, ProposalFailure::Unknown);
        }
        let mut in_doubt = false;
        if !self.quiet {
            match self.rng.below(200) {
                0..=2 => return fail(self, ProposalFailure::Refused),
                3 => return fail(self, ProposalFailure::Unknown),
                4 => {
                    in_doubt = true;
                    fail(self, ProposalFailure::Unknown);
                }
                _ => {}
            }
        }
        self.underway.push(Underway {
            id,
            entry,
            in_doubt,
        });
        let delay = self.rng.between(0, 6);
        self.in_ms(delay, Happening::Commit(self.term));
    }

    pub(super) fn commit(&mut self, term: Term) {
        if term == self.term && !self.underway.is_empty() {
            self.commit_oldest();
        }
    }

    fn commit_oldest(&mut self) {
        let Underway {
            id,
            entry,
            in_doubt,
        } = self.underway.remove(0);
        self.log.push(entry);
        if let Some(member) = self.current.filter(|_| !in_doubt) {
            let at = self.log.len() - 1;
            self.members[member].waiting.insert(at, id);
        }
        for member in 0..self.members.len() {
            let delay = self.rng.between(0, 10);
            let (life, upto) = (self.members[member].life, self.log.len());
            self.in_ms(delay, Happening::Apply { member, life, upto });
        }
    }

    /// Makes a member the leader: what it does not have of the log it applies first.
    pub(super) fn elect(&mut self, member: usize) {
        // Of the former leader's proposals some made it, in their order; the rest is lost.
        let kept = self.rng.below(self.underway.len() as u64 + 1) as usize;
        for _ in 0..kept {
            self.commit_oldest();
        }
        self.underway.clear();
        if let Some(former) = self.current.take() {
            let life = self.members[former].life;
            let delay = self.rng.between(0, 600);
            self.in_ms(
                delay,
                Happening::Depose {
                    member: former,
                    life,
                },
            );
        }
        self.term += 1;
        self.catch_up(member, self.log.len());
        self.current = Some(member);
        self.members[member].term = self.term;
        let master = self.members[member].master_info(self.term);
        self.note(|| format!("member {member} is elected"));
        self.step(
            member,
            Input::Elected {
                term: self.term,
                master,
            },
        );
        for session in self.links_of(|link| link.member == member) {
            self.introduce(session);
        }
    }

    pub(super) fn change_leader(&mut self) {
        let others: Vec<usize> = (0..self.members.len())
            .filter(|member| self.members[*member].alive && self.current != Some(*member))
            .collect();
        if let Some(member) = self.rng.pick(&others).copied() {
            self.elect(member);
        }
    }

    pub(super) fn crash_leader(&mut self) {
        if let Some(leader) = self.current {
            self.crash_member(leader);
            self.change_leader();
        }
    }

    pub(super) fn crash_some_member(&mut self) {
        let member = self.rng.below(self.members.len() as u64) as usize;
        if self.members[member].alive && self.current != Some(member) {
            self.crash_member(member);
        }
    }

    fn crash_member(&mut self, member: usize) {
        self.note(|| format!("member {member} crashes"));
        self.members[member].alive = false;
        self.members[member].life += 1;
        for session in self.links_of(|link| link.member == member) {
            self.cut_link(session);
        }
        let streams: Vec<_> = self
            .streams
            .iter()
            .filter(|(_, stream)| stream.member == member)
            .map(|(session, _)| *session)
            .collect();
        for session in streams {
            self.in_ms(1, Happening::StreamEnd { session });
        }
        self.lose_requests(member);
        // The others stay a majority.
        for other in 0..self.members.len() {
            if other != member && !self.members[other].alive {
                self.restart_member(other);
            }
        }
    }

    pub(super) fn restart_member(&mut self, member: usize) {
        self.note(|| format!("member {member} is back"));
        let life = self.members[member].life + 1;
        self.members[member] = Member {
            life,
            ..Member::new(member)
        };
        let upto = self.log.len();
        self.in_ms(1, Happening::Apply { member, life, upto });
    }
}
