//! A cycle on a view of the cluster, with nothing kept from before.

use caprock_model::Resources;

use crate::allocation::Allocation;
use crate::book::Book;
use crate::cycle::{Candidate, Cycle};
use crate::portions::is_charged;
use crate::request::{Gate, Request, Surroundings};
use crate::shares::Dimensions;

/// Runs one cycle. Equal requests, and equal answers of the gate, give equal allocations.
pub fn allocate(request: &Request<'_>, gate: &dyn Gate) -> Allocation {
    allocate_within(request, &Surroundings::default(), gate)
}

/// Runs one cycle over some of the agents of a cluster.
pub fn allocate_within(
    request: &Request<'_>,
    surroundings: &Surroundings,
    gate: &dyn Gate,
) -> Allocation {
    let mut scratch = FromScratch::new(request, surroundings);
    let candidates = &scratch.candidates;
    let options = request.options;
    let cycle = Cycle::new(&mut scratch.book, options, options.seed, gate, candidates);
    let outcome = cycle.run();
    Allocation {
        grants: outcome.grants,
        tallies: scratch.book.tallies(),
        agents: scratch.book.agents,
    }
}

/// A request, ready for a cycle.
pub(crate) struct FromScratch<'a> {
    pub(crate) book: Book,
    pub(crate) candidates: Vec<Candidate<'a>>,
}

impl<'a> FromScratch<'a> {
    pub(crate) fn new(request: &Request<'a>, surroundings: &'a Surroundings) -> Self {
        let options = request.options;
        let mut book = Book::new(options);
        book.dimensions
            .set_totals(request.total, &options.excluded_from_shares);
        for (role, demand) in request.roles {
            book.set_role(role, demand);
        }
        if book.ledger.has_guarantees() {
            let mut free = book.dimensions.vector(&surroundings.free_elsewhere);
            for agent in request.agents {
                add_charged(&mut book.dimensions, &mut free, &agent.available);
            }
            book.ledger.change_free(&free);
        }
        let candidate = |supply| Candidate {
            supply,
            capacity: surroundings.capacities.get(&supply.id),
        };
        Self {
            book,
            candidates: request.agents.iter().map(candidate).collect(),
        }
    }
}

/// Adds what counts for guarantees.
pub(crate) fn add_charged(dimensions: &mut Dimensions, vector: &mut Vec<i64>, all: &Resources) {
    for entry in all.iter().filter(|entry| is_charged(entry)) {
        dimensions.add_entry(vector, entry);
    }
}
