//! Why one framework gets what it gets in one role: a cycle, watched from its side. What it
//! would get if something were different is the same on another request.

use std::collections::BTreeMap;

use caprock_model::{AgentId, FrameworkId, Quantities, Resources, Role, Scalar};

use crate::allocation::{Reason, Tally};
use crate::cycle::Cycle;
use crate::from_scratch::FromScratch;
use crate::request::{Gate, Request, Surroundings};

/// How a framework's turn with an agent ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It was granted this.
    Granted(Resources),
    /// It was granted nothing.
    Refused(Reason),
}

/// Why a framework gets what it gets.
#[derive(Debug, Clone)]
pub struct Explanation {
    /// Its dominant share in the role before the cycle. Smaller shares come first.
    pub share: f64,
    /// The share of the role with all below it, divided by its weight.
    pub role_share: f64,
    /// What counts against the quota of the role without a parent that it belongs to.
    pub consumed: Quantities,
    /// What is missing of the guarantees of that role.
    pub missing: Quantities,
    /// How much that role may still take; what is missing has no limit.
    pub below_limits: BTreeMap<caprock_model::Name, Scalar>,
    /// How its turns ended.
    pub tally: Tally,
    /// The same for each agent that had something free.
    pub agents: BTreeMap<AgentId, Verdict>,
}

/// Runs a cycle, and tells how it went for one framework in one role; None if the framework
/// wants no offers in it.
pub fn explain(
    request: &Request<'_>,
    surroundings: &Surroundings,
    gate: &dyn Gate,
    role: &Role,
    framework: &FrameworkId,
) -> Option<Explanation> {
    let mut scratch = FromScratch::new(request, surroundings);
    let book = &scratch.book;
    let number = book.find(role)?;
    let state = &book.roles[number as usize];
    let client = state.clients.find(framework)?;
    let mut explanation = Explanation {
        share: state.clients.share(client),
        role_share: book.tree.share(state.leaf),
        consumed: Quantities::new(),
        missing: Quantities::new(),
        below_limits: BTreeMap::new(),
        tally: Tally::default(),
        agents: BTreeMap::new(),
    };
    for (at, name) in book.dimensions.names().iter().enumerate() {
        let (consumed, missing, below) = book.ledger.balance(state.top, at);
        explanation.consumed.put(name.clone(), Scalar(consumed));
        explanation.missing.put(name.clone(), Scalar(missing));
        if let Some(below) = below {
            explanation.below_limits.insert(name.clone(), Scalar(below));
        }
    }
    let mut watch = Watch {
        role: number,
        client,
        noted: BTreeMap::new(),
    };
    let candidates = &scratch.candidates;
    let options = request.options;
    let mut cycle = Cycle::new(&mut scratch.book, options, options.seed, gate, candidates);
    cycle.watch(&mut watch);
    cycle.run();
    explanation.tally = scratch.book.tally(role, framework)?;
    for (at, agent) in request.agents.iter().enumerate() {
        if !agent.available.is_empty() {
            let unseen = Verdict::Refused(Reason::NothingLeft);
            let verdict = watch.noted.remove(&at).unwrap_or(unseen);
            explanation.agents.insert(agent.id.clone(), verdict);
        }
    }
    Some(explanation)
}

/// Notes on one framework's turns.
#[derive(Debug)]
pub(crate) struct Watch {
    role: u32,
    client: u32,
    /// By candidate.
    noted: BTreeMap<usize, Verdict>,
}

impl Watch {
    pub(crate) fn is_about(&self, role: u32, client: u32) -> bool {
        self.role == role && self.client == client
    }

    pub(crate) fn is_about_role(&self, role: u32) -> bool {
        self.role == role
    }

    pub(crate) fn note(&mut self, candidate: usize, verdict: Verdict) {
        match (self.noted.get_mut(&candidate), verdict) {
            (Some(Verdict::Granted(before)), Verdict::Granted(more)) => *before += &more,
            (Some(Verdict::Granted(_)), Verdict::Refused(_)) => {}
            (_, verdict) => drop(self.noted.insert(candidate, verdict)),
        }
    }
}
