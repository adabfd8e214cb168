//! A cluster in one thread and one seed: leaders, agents and frameworks exchange messages
//! that are late, lost and cut off; members crash and lead again. What a user relies on is
//! checked after every step, and once more when everything is quiet.
//!
//! A failing seed is printed; run it alone with `CAPROCK_SEED=<seed> cargo test -p
//! caprock-leader --test simulation`, and with `CAPROCK_TRACE=1` to see its story.

mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};

use world::World;

/// Seeds per test unless `CAPROCK_SEEDS` says otherwise; there are four tests so that they
/// share the processors.
const SEEDS: u64 = 500;

fn run(seed: u64) {
    let mut world = World::new(seed);
    world.run();
}

#[expect(
    clippy::disallowed_methods,
    reason = "what is run is chosen by the caller"
)]
fn number_from(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{variable} is not a number")),
    )
}

fn run_block(block: u64) {
    if let Some(seed) = number_from("CAPROCK_SEED") {
        if block == 0 {
            run(seed);
        }
        return;
    }
    let seeds = number_from("CAPROCK_SEEDS").unwrap_or(SEEDS);
    for seed in block * seeds..(block + 1) * seeds {
        if catch_unwind(AssertUnwindSafe(|| run(seed))).is_err() {
            panic!("seed {seed} fails; repeat it with CAPROCK_SEED={seed}");
        }
    }
}

#[test]
fn seeds_of_block_0() {
    run_block(0);
}

#[test]
fn seeds_of_block_1() {
    run_block(1);
}

#[test]
fn seeds_of_block_2() {
    run_block(2);
}

#[test]
fn seeds_of_block_3() {
    run_block(3);
}

#[test]
fn a_seed_is_one_story() {
    let story = |seed| {
        let mut world = World::new(seed);
        world.run();
        (world.log_length(), world.digest())
    };
    assert_eq!(story(7), story(7));
}
