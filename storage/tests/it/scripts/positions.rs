//! Every script that moves a shard's positions, beside `Shard`.

use shared_logic::catalog::DefinitionHash;
use shared_logic::contracts::speed_view::script::Reply;
use shared_logic::contracts::speed_view::{Expected, Instance, Refusal, Shard};
use shared_logic::log::{Content, Position, Witness};
use test_kit::{Dice, first_seed, repetitions};

use super::{StoredShard, hash, start_redis};

const STEPS: usize = 60;

#[test]
fn scripts_do_what_the_pure_functions_say() {
    let server = start_redis();
    let first = first_seed();
    let (mut done, mut refused) = (0, 0);
    for seed in first..first + repetitions(60, 600) {
        let mut dice = Dice::new(seed);
        let mut stored = StoredShard::new(&server, &format!("walk-{seed}"));
        let mut shard: Option<Shard> = None;
        let mut story = String::new();
        for _ in 0..STEPS {
            let (what, reply, expected) = step(&mut dice, &mut stored, shard.as_ref());
            story += &format!("{what}\n");
            assert_eq!(reply, expected, "BRAID_SEED={seed}: the reply\n{story}");
            match reply {
                Reply::Done(now) => {
                    shard = Some(now);
                    done += 1;
                }
                Reply::Refused(_) => refused += 1,
            }
            if dice.chance(4) {
                let end = shard.as_ref().map_or(0, |shard| shard.cursor) + dice.between(-2, 2);
                let reply = stored.delete(end).expect("redis answers");
                let expected = as_reply(Shard::delete(shard.as_ref(), end));
                assert_eq!(reply, expected, "BRAID_SEED={seed}: delete if nothing was counted beyond {end}\n{story}");
                if matches!(reply, Reply::Done(_)) {
                    shard = None;
                }
            }
            assert_eq!(stored.shard(), shard, "BRAID_SEED={seed}: what is stored\n{story}");
        }
    }
    assert!(done > 1_000 && refused > 500, "{done} done, {refused} refused");
}

/// Takes one step in Redis and by the pure function.
fn step(dice: &mut Dice, stored: &mut StoredShard, shard: Option<&Shard>) -> (String, Reply, Reply) {
    let near = |dice: &mut Dice, at: i64| if dice.chance(75) { at } else { at + dice.between(-3, 3) };
    let cursor = shard.map_or(0, |shard| shard.cursor);
    let hashes = hashes(dice);
    // Few, so that an instance comes again.
    stored.next = Instance::new(dice.throw() % 4);
    let next = stored.next;
    match dice.below(9) {
        0 => {
            let at = dice.between(0, 20);
            let at = position(dice, at);
            let reply = stored.open(at, &hashes).expect("redis answers");
            (format!("open at {at:?} {hashes:?}"), reply, as_reply(Shard::open(shard, at, &hashes, next)))
        }
        1..=3 => {
            let mut expected = shard.map_or(
                Expected { cursor, slice: 0, definitions: Default::default(), instance: next, witness: None },
                Shard::expected,
            );
            expected.cursor = near(dice, expected.cursor);
            expected.slice = near(dice, expected.slice);
            if dice.chance(15) {
                expected.instance = next;
            }
            if dice.chance(15) {
                expected.definitions = hashes.iter().map(|hash| (hash.clone(), cursor)).collect();
            }
            if dice.chance(10) {
                expected.witness = position(dice, cursor).witness;
            }
            let to =
                if dice.chance(10) { cursor - 1 } else { cursor + dice.between(0, 9) * dice.between(0, 1_000_000) };
            let to = position(dice, to);
            let reply = stored.apply(&expected, to, &[]).expect("redis answers");
            (format!("apply {expected:?} to {to:?}"), reply, as_reply(Shard::apply(shard, &expected, to)))
        }
        4 => {
            let max_slices = dice.between(1, 6) as usize;
            let reply = stored.rotate(max_slices).expect("redis answers");
            let pure = Shard::rotate(shard, max_slices).map(|(shard, begin)| {
                assert_eq!(begin, shard.last_slice());
                shard
            });
            (format!("rotate, {max_slices} at most"), reply, as_reply(pure))
        }
        5 => {
            let reply = stored.adopt(&hashes).expect("redis answers");
            (format!("adopt {hashes:?}"), reply, as_reply(Shard::adopt(shard, &hashes)))
        }
        6 => {
            let (expected, to) = (near(dice, cursor), near(dice, cursor) + dice.between(0, 5));
            let reply = stored.reopen(expected, to, &hashes).expect("redis answers");
            (format!("reopen {expected} at {to}"), reply, as_reply(Shard::reopen(shard, expected, to, &hashes, next)))
        }
        7 if dice.chance(10) => {
            let instance = shard.map_or(next, |shard| if dice.chance(75) { shard.instance } else { next });
            let reply = stored.mark(instance, cursor).expect("redis answers");
            (format!("mark {instance} at {cursor}"), reply, as_reply(Shard::mark(shard, instance, cursor)))
        }
        _ => {
            let slices = shard.map_or(vec![0], |shard| shard.slices.clone());
            let cut = *dice.pick(&slices);
            let cut = near(dice, cut);
            let reply = stored.drop(cut).expect("redis answers");
            (format!("drop below {cut}"), reply, as_reply(Shard::drop_below(shard, cut).map(|(shard, _)| shard)))
        }
    }
}

fn as_reply(outcome: Result<Shard, Refusal>) -> Reply {
    outcome.map_or_else(Reply::Refused, Reply::Done)
}

/// An offset whose witness is one of two, or not known.
fn position(dice: &mut Dice, offset: i64) -> Position {
    let payload = [b"a".as_slice(), b"b"].into_iter().nth(dice.below(3));
    let epoch = dice.chance(50).then_some(7);
    let content =
        |payload| Content { timestamp_us: epoch.map(i64::from), key: None, payload: Some(payload), headers: None };
    Position { offset, witness: payload.map(|payload| Witness::of(offset - 1, epoch, &content(payload))) }
}

/// Some of four, in any order; two metrics of one definition name it twice.
fn hashes(dice: &mut Dice) -> Vec<DefinitionHash> {
    (0..dice.below(4)).map(|_| hash(dice.below(4))).collect()
}
