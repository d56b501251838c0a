//! What a client has missed of some partitions: the first outputs of each, as far as there is room.

use std::collections::BTreeMap;

/// The most bytes of outputs that are held. A single larger one is held all the same.
const BYTES_MAX: usize = 4 * 1024 * 1024;

/// The first outputs of partitions, each once, whatever the order in which they are found.
#[derive(Debug, Default)]
pub(super) struct Missed {
    /// By partition and offset.
    kept: BTreeMap<(i32, i64), String>,
    bytes: usize,
    /// By partition, the first one that was dropped; nothing from there on is kept.
    dropped: BTreeMap<i32, i64>,
}

impl Missed {
    /// Takes an output, if there is room for it before all that were dropped.
    pub(super) fn push(&mut self, partition: i32, offset: i64, json: String) {
        if self.dropped.get(&partition).is_some_and(|dropped| *dropped <= offset) {
            return;
        }
        self.bytes += json.len();
        if let Some(same) = self.kept.insert((partition, offset), json) {
            self.bytes -= same.len();
        }
        while self.bytes > BYTES_MAX && self.kept.len() > 1 {
            let Some(((partition, offset), json)) = self.kept.pop_last() else { return };
            self.bytes -= json.len();
            self.dropped.insert(partition, offset);
        }
    }

    /// Whether there is no more room.
    pub(super) fn is_full(&self) -> bool {
        self.bytes >= BYTES_MAX
    }

    /// Up to where all outputs of a partition are here, of those below `to`.
    pub(super) fn complete_to(&self, partition: i32, to: i64) -> i64 {
        self.dropped.get(&partition).map_or(to, |dropped| to.min(*dropped))
    }

    /// The outputs with partition and offset, those of a partition in their order.
    pub(super) fn into_outputs(self) -> impl Iterator<Item = (i32, i64, String)> {
        self.kept.into_iter().map(|((partition, offset), json)| (partition, offset, json))
    }
}

#[cfg(test)]
mod tests {
    use test_kit::Dice;

    use super::*;

    #[test]
    fn whatever_the_order_the_first_outputs_are_kept_without_a_hole() {
        for seed in 1..60 {
            let mut dice = Dice::new(seed);
            let mut outputs: Vec<(i32, i64)> = (0..20).map(|n| (n as i32 % 3, n)).collect();
            for at in (1..outputs.len()).rev() {
                outputs.swap(at, dice.below(at + 1));
            }
            let mut missed = Missed::default();
            for (partition, offset) in outputs {
                missed.push(partition, offset, "x".repeat(dice.below(BYTES_MAX / 4)));
            }
            let complete: Vec<i64> = (0..3).map(|partition| missed.complete_to(partition, 20)).collect();
            assert!(missed.bytes <= BYTES_MAX, "seed {seed}");
            let kept: Vec<(i32, i64)> =
                missed.into_outputs().map(|(partition, offset, _)| (partition, offset)).collect();
            let of = |partition: i32| {
                (0..20_i64).filter(move |n| *n as i32 % 3 == partition).map(move |n| (partition, n)).collect::<Vec<_>>()
            };
            let mut expected = Vec::new();
            for partition in 0..3 {
                let to = complete[partition as usize];
                expected.extend(of(partition).into_iter().filter(|(_, offset)| *offset < to));
            }
            assert_eq!(kept, expected, "seed {seed}: up to {complete:?}");
            assert!(!kept.is_empty(), "seed {seed}: it comes further");
        }
    }
}
