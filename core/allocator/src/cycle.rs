//! The cycle (Mesos: src/master/allocator/mesos/hierarchical.cpp). Two passes over the
//! agents: guarantees first, then fair shares. In each, every agent is offered to each role by
//! share, and in a role to each framework by share.

use caprock_model::{Quantities, Resources};

use crate::allocation::{Grant, Reason};
use crate::book::Book;
use crate::entitlement::receivable;
use crate::explain::{Verdict, Watch};
use crate::ledger::Pass;
use crate::portions::{Portions, Terms, is_charged};
use crate::request::{AgentSupply, Gate, Options};
use crate::shuffle::Random;
use crate::tree::Walk;

/// An agent that may be offered.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Candidate<'a> {
    pub(crate) supply: &'a AgentSupply,
    /// What it has in all, as far as that is known.
    pub(crate) capacity: Option<&'a Quantities>,
}

/// Who was granted something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Owner {
    role: u32,
    client: u32,
}

/// One cycle over some agents.
pub(crate) struct Cycle<'a> {
    book: &'a mut Book,
    options: &'a Options,
    gate: &'a dyn Gate,
    candidates: &'a [Candidate<'a>],
    random: Random,
    walk: Walk,
    portions: Portions,
    /// What is left of each candidate.
    rest: Vec<Resources>,
    grants: Vec<Grant>,
    /// Of each grant.
    owners: Vec<Owner>,
    /// By candidate, its grants in the pass for guarantees; empty if there was none.
    early: Vec<(usize, usize)>,
    /// Grants of the present agent that do not count in shares yet, with their amounts: one
    /// vector after the other.
    unsettled: Vec<Owner>,
    unsettled_amounts: Vec<i64>,
    charged: Vec<i64>,
    amounts: Vec<i64>,
    watch: Option<&'a mut Watch>,
}

/// What a cycle leaves: grants in the order in which they were made, and the rest of each
/// candidate.
pub(crate) struct Outcome {
    pub(crate) grants: Vec<Grant>,
    pub(crate) rest: Vec<Resources>,
}

impl<'a> Cycle<'a> {
    pub(crate) fn new(
        book: &'a mut Book,
        options: &'a Options,
        seed: u64,
        gate: &'a dyn Gate,
        candidates: &'a [Candidate<'a>],
    ) -> Self {
        let free = |candidate: &Candidate<'_>| candidate.supply.available.clone();
        Self {
            book,
            options,
            gate,
            candidates,
            random: Random::new(seed),
            walk: Walk::default(),
            portions: Portions::default(),
            rest: candidates.iter().map(free).collect(),
            grants: Vec::new(),
            owners: Vec::new(),
            early: Vec::new(),
            unsettled: Vec::new(),
            unsettled_amounts: Vec::new(),
            charged: Vec::new(),
            amounts: Vec::new(),
            watch: None,
        }
    }

    /// Writes down how the turns of one framework end.
    pub(crate) fn watch(&mut self, watch: &'a mut Watch) {
        self.watch = Some(watch);
    }

    pub(crate) fn run(mut self) -> Outcome {
        let book = &mut *self.book;
        book.cycle += 1;
        book.tree.prepare(&book.dimensions);
        book.ledger.prepare(&book.dimensions);
        let has_some = |rest: &&Resources| !rest.is_empty();
        book.agents = self.rest.iter().filter(has_some).count() as u32;
        if book.ledger.is_anything_missing() {
            self.early = vec![(0, 0); self.candidates.len()];
            for at in self.order() {
                let first = self.grants.len();
                self.meet_guarantees(at);
                self.early[at] = (first, self.grants.len());
                self.settle();
            }
        }
        for at in self.order() {
            self.share_out(at);
            self.settle();
        }
        Outcome {
            grants: self.grants,
            rest: self.rest,
        }
    }

    fn order(&mut self) -> impl Iterator<Item = usize> + use<> {
        let order = &self.options.placement;
        let order = order.order(self.candidates, &self.rest, &mut self.random);
        order.into_iter().map(|at| at as usize)
    }

    /// Offers one agent to the roles whose guarantees are not met.
    fn meet_guarantees(&mut self, at: usize) {
        if self.rest[at].is_empty() || !self.book.ledger.is_anything_missing() {
            return;
        }
        self.gate.turn_to(&self.candidates[at].supply.id);
        let mut place = 0;
        while !self.rest[at].is_empty()
            && let Some(top) = self.book.tree.next_top(place, &mut self.random)
        {
            place += 1;
            if self.book.ledger.is_missing(top)
                && let Some(role) = self.book.tree.role_of_top(top)
            {
                self.offer_to_role(Pass::Guarantees, role, at);
            }
        }
    }

    /// Offers one agent to everybody in turn, until nothing is left of it. The order is that
    /// of the beginning: shares change when the agent is done.
    fn share_out(&mut self, at: usize) {
        if self.rest[at].is_empty() {
            return;
        }
        self.gate.turn_to(&self.candidates[at].supply.id);
        self.walk.restart();
        while !self.rest[at].is_empty()
            && let Some(role) = self.book.tree.next_role(&mut self.walk, &mut self.random)
        {
            self.offer_to_role(Pass::Fair, role, at);
        }
    }

    fn offer_to_role(&mut self, pass: Pass, role: u32, at: usize) {
        let book = &mut *self.book;
        let state = &mut book.roles[role as usize];
        let sorter = self.options.framework_sorter;
        state.clients.prepare(book.cycle, &book.dimensions, sorter);
        if !self.restart_portions(role, at) {
            if pass == Pass::Fair {
                self.count_reserved_to_others(role, at);
            }
            return;
        }
        for place in 0..self.book.roles[role as usize].clients.len() {
            let state = &mut self.book.roles[role as usize];
            let client = state.clients.turn(place, sorter, &mut self.random);
            let owner = Owner { role, client };
            match self.judge(pass, owner, at) {
                Err(reason) => {
                    if pass == Pass::Fair {
                        self.refuse(owner, at, reason);
                    }
                    continue;
                }
                Ok(resources) => self.give(owner, at, &resources),
            }
            let top = self.book.roles[role as usize].top;
            let is_done = pass == Pass::Guarantees && !self.book.ledger.is_missing(top);
            if is_done || !self.restart_portions(role, at) {
                return;
            }
        }
    }

    /// Looks at what is free for the role now; answers whether there is anything.
    fn restart_portions(&mut self, role: u32, at: usize) -> bool {
        let state = &self.book.roles[role as usize];
        let free = self.rest[at].available_to(&state.role);
        if free.is_empty() {
            return false;
        }
        self.portions.restart(free);
        // Roles below a guaranteed one get nothing of its guarantee, as in Mesos.
        let own = (!state.is_nested).then_some(state.top);
        let limits = (!state.is_nested || self.options.limits_hold_below).then_some(state.top);
        let allowance = &mut self.portions.allowance;
        self.book
            .ledger
            .allow(own, limits, &self.book.dimensions, allowance);
        true
    }

    /// What the framework is granted of the agent, or why it is granted nothing.
    fn judge(&mut self, pass: Pass, owner: Owner, at: usize) -> Result<Resources, Reason> {
        let state = &self.book.roles[owner.role as usize];
        let client = state.clients.client(owner.client);
        let agent = self.candidates[at].supply;
        receivable(agent, state.is_nested, client.capabilities, self.options)?;
        let terms = Terms {
            pass,
            min_allocatable: &self.options.min_allocatable,
            dimensions: &self.book.dimensions,
        };
        let minimum = client.min_allocatable.as_deref();
        let offered =
            self.portions
                .offer(client.capabilities, minimum, &terms, &mut self.random)?;
        match self
            .gate
            .blocks(&client.id, &state.role, &agent.id, &offered)
        {
            Some(reason) => Err(reason),
            None => Ok(offered),
        }
    }

    fn give(&mut self, owner: Owner, at: usize, resources: &Resources) {
        take(&mut self.rest[at], resources);
        self.count_amounts(owner, at, resources);
        self.book.charge(owner.role, &self.charged);
        let state = &mut self.book.roles[owner.role as usize];
        let granted = resources.with_allocation(Some(&state.role));
        if let Some(watch) = &mut self.watch
            && watch.is_about(owner.role, owner.client)
        {
            watch.note(at, Verdict::Granted(granted.clone()));
        }
        let (first, end) = self.early.get(at).copied().unwrap_or((0, 0));
        let earlier = (first..end).find(|grant| self.owners[*grant] == owner);
        if let Some(earlier) = earlier {
            self.grants[earlier].resources += &granted;
            return;
        }
        state.clients.count_grant(owner.client);
        self.owners.push(owner);
        self.grants.push(Grant {
            framework: state.clients.client(owner.client).id.clone(),
            role: state.role.clone(),
            agent: self.candidates[at].supply.id.clone(),
            resources: granted,
        });
    }

    /// Counts what a grant is, for quota at once and for shares when the agent is done.
    fn count_amounts(&mut self, owner: Owner, at: usize, resources: &Resources) {
        let book = &mut *self.book;
        self.charged.clear();
        self.amounts.clear();
        let state = &book.roles[owner.role as usize];
        let framework = &state.clients.client(owner.client).id;
        let agent = &self.candidates[at].supply.id;
        for entry in resources {
            if is_charged(entry) {
                book.dimensions.add_entry(&mut self.charged, entry);
            }
            if !(entry.is_shared() && self.gate.holds(framework, agent, entry)) {
                book.dimensions.add_entry(&mut self.amounts, entry);
            }
        }
        self.amounts.resize(book.dimensions.len(), 0);
        self.unsettled.push(owner);
        self.unsettled_amounts.extend_from_slice(&self.amounts);
    }

    /// Counts the grants of the agent that is done, for the order on the next one.
    fn settle(&mut self) {
        let length = self.book.dimensions.len();
        for (number, owner) in self.unsettled.drain(..).enumerate() {
            let amounts = &self.unsettled_amounts[number * length..][..length];
            self.book.settle(owner.role, owner.client, amounts);
        }
        self.unsettled_amounts.clear();
    }

    fn refuse(&mut self, owner: Owner, at: usize, reason: Reason) {
        let (first, end) = self.early.get(at).copied().unwrap_or((0, 0));
        if self.owners[first..end].contains(&owner) {
            return;
        }
        let state = &mut self.book.roles[owner.role as usize];
        state.clients.count_refusal(owner.client, reason);
        if let Some(watch) = &mut self.watch
            && watch.is_about(owner.role, owner.client)
        {
            watch.note(at, Verdict::Refused(reason));
        }
    }

    fn count_reserved_to_others(&mut self, role: u32, at: usize) {
        let state = &mut self.book.roles[role as usize];
        let available = &self.candidates[at].supply.available;
        if available
            .iter()
            .any(|entry| entry.is_available_to(&state.role))
        {
            // It was there, but others came first.
            return;
        }
        state.clients.count_reserved_to_others();
        if let Some(watch) = &mut self.watch
            && watch.is_about_role(role)
        {
            watch.note(at, Verdict::Refused(Reason::ReservedToOthers));
        }
    }
}

/// Takes a part that is in it; the usual part is everything.
fn take(rest: &mut Resources, part: &Resources) {
    if rest == part {
        *rest = Resources::new();
    } else {
        *rest -= part;
    }
}
