//! The rules of the cut, driven as a whole.
//!
//! Workers, archivers, reconciles, droppers, readers, operators and faults take steps in a random order, each with the
//! project's own functions. Each step is one atomic write or one look, so whatever processes can do to each other between
//! two of them happens here too. Counters hold *which* offsets were counted, so "exactly once" is plain.
//!
//! - Safety, after every step: whenever `complete::judge` finds no gap, the view's rows and the slices from the cut on hold
//!   every offset below the cursor exactly once, under the reader's definition. Readers look now, hold an older look, or mix
//!   both.
//! - Meeting, after every step: no commit of a reconcile makes complete answers incomplete, unless Redis has lost a slice that
//!   the reconcile knew (R13).
//! - Liveness, at the end of every walk: once faults stop, a few fair rounds make every answer complete.
//! - Calm, in walks without faults: what is complete stays complete, while cuts move, also of reconciles for which the archive
//!   comes too late, slices are dropped and metrics are added.
//!
//! `lost_tail` is a walk of its own: one partition, whose log loses its tail and grows again or stays short (R12).

mod archiver;
mod dropper;
mod fault;
mod lost_tail;
mod mask;
mod reader;
mod reconcile;
mod rollback;
mod worker;
mod world;

use test_kit::{first_seed, repetitions};
use world::World;

const WALK_STEPS: usize = 150;

#[test]
fn complete_answers_are_exact_and_gaps_heal() {
    let wanted = repetitions(300_000, 6_000_000);
    let (mut steps, mut answers, mut complete) = (0, 0, 0);
    for seed in first_seed().. {
        let mut world = World::new(seed);
        for _ in 0..WALK_STEPS {
            world.step();
            if let Some(wrong) = world.wrong() {
                panic!("BRAID_SEED={seed}: {wrong}\n{}", world.told());
            }
        }
        if let Some(why) = world.heal() {
            panic!("BRAID_SEED={seed}: never complete again: {why}\n{}", world.told());
        }
        (steps, answers, complete) = (steps + WALK_STEPS, answers + world.answers, complete + world.complete);
        if steps >= wanted {
            break;
        }
    }
    // A model whose answers are never complete is never wrong.
    assert!(complete * 10 > answers, "only {complete} of {answers} answers were complete");
}

#[test]
fn ordinary_life_interrupts_no_answer() {
    let wanted = repetitions(60_000, 6_000_000);
    for (walk, seed) in (first_seed()..).enumerate() {
        let mut world = World::new(seed);
        world.calm();
        if let Some(why) = world.heal() {
            panic!("BRAID_SEED={seed}: not complete at first: {why}\n{}", world.told());
        }
        for _ in 0..WALK_STEPS {
            world.calm_step();
            if let Some(why) = world.interrupted() {
                panic!("BRAID_SEED={seed}: interrupted: {why}\n{}", world.told());
            }
        }
        if walk * WALK_STEPS >= wanted {
            break;
        }
    }
}
