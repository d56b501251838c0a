//! A random walk: windows hold or not, answers are incomplete, processes die and others go on, and windows are missed. What receivers are
//! told is compared with a plain rule over everything that was judged.

use std::collections::BTreeMap;

use serde_json::Map;
use test_kit::{Dice, first_seed};

use super::super::*;
use super::state;

const GRAIN: i64 = 60;
const SEEDS: u64 = 300;
const STEPS: usize = 200;

/// What is true of the windows, by their ends, and how often it may change.
struct World {
    dice: Dice,
    holds: BTreeMap<i64, bool>,
}

impl World {
    fn holds(&mut self, end: i64) -> bool {
        let before = self.holds.get(&(end - GRAIN)).copied().unwrap_or(false);
        let dice = &mut self.dice;
        *self.holds.entry(end).or_insert_with(|| if dice.chance(25) { !before } else { before })
    }
}

/// Whether the alert has to fire after these judgements of ends, each in its order, the last of which is of `end`.
fn has_to_fire(judged: &[(i64, bool)], rule: Rule, fired: bool) -> bool {
    let Some((end, true)) = judged.last() else { return false };
    let mut since = *end;
    // Backwards, as long as each window is the one before the next, or the same.
    for (earlier, holds) in judged.iter().rev() {
        if !holds || since - earlier > rule.grain_us {
            break;
        }
        since = *earlier;
    }
    fired || end - since >= rule.for_us
}

#[test]
fn receivers_are_told_of_what_has_held_for_long_enough_and_of_nothing_else() {
    let (mut fired_once, mut was_unknown) = (0, 0);
    for seed in first_seed()..first_seed() + SEEDS {
        let mut world = World { dice: Dice::new(seed), holds: BTreeMap::new() };
        let rule = Rule { for_us: world.dice.between(0, 4) * GRAIN, grain_us: GRAIN };
        let (mut alert, mut newest) = (state(), 0);
        let (mut judged, mut fires, mut notices) = (Vec::new(), false, Vec::new());
        for step in 0..STEPS {
            if world.dice.chance(10) {
                // Another process goes on with what was written.
                let written = serde_json::to_vec(&alert).expect("plain data");
                alert = serde_json::from_slice(&written).expect("what was written");
            }
            if world.dice.chance(15) {
                let unknown = alert.judged(rule, newest, Verdict::Unknown("a gap".to_owned()), Map::new());
                assert_eq!(alert.notice(&unknown), None, "seed {seed} step {step}");
                assert_eq!(unknown.word(), StateWord::Unknown);
                alert = unknown;
                was_unknown += 1;
                continue;
            }
            // Mostly the next window, sometimes the same or an older one, and sometimes many have passed.
            newest += GRAIN * *world.dice.pick(&[0, 1, 1, 1, 1, 2, 3, 20, -1]);
            for end in due_ends(alert.end_us, newest, rule.grain_us, rule.for_us) {
                let holds = world.holds(end);
                let after = alert.judged(rule, end, if holds { Verdict::Holds } else { Verdict::Fails }, Map::new());
                judged.push((end, holds));
                let now = has_to_fire(&judged, rule, fires);
                let expected = match (fires, now) {
                    (false, true) => Some(Notice::Firing),
                    (true, false) => Some(Notice::Resolved),
                    _ => None,
                };
                assert_eq!(alert.notice(&after), expected, "seed {seed} step {step} end {end}: {alert:?} {after:?}");
                assert_eq!(after.word() == StateWord::Firing, now, "seed {seed} step {step}");
                notices.extend(expected);
                (alert, fires) = (after, now);
            }
        }
        let alternate = notices.iter().zip([Notice::Firing, Notice::Resolved].iter().cycle());
        assert!(alternate.clone().all(|(notice, expected)| notice == expected), "seed {seed}: {notices:?}");
        fired_once += usize::from(!notices.is_empty());
    }
    assert!(fired_once > SEEDS as usize / 2 && was_unknown > 1_000, "the walk has seen {fired_once} {was_unknown}");
}
