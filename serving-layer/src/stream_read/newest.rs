//! The newest of many outputs, each once.
//!
//! However many are offered, in whatever order, split over whatever readers, and however often: what is kept is the same. An output
//! that is offered again is the same one by time and id. What was dropped once marks the end: nothing that is older comes back.

use std::collections::BTreeMap;

use serde_json::Value;

use super::output::Output;

/// The most bytes of outputs that an answer holds. A single larger output is held all the same.
const BYTES_MAX: usize = 16 * 1024 * 1024;

/// The newest outputs of those that were offered.
#[derive(Debug)]
pub(super) struct Newest {
    limit: usize,
    kept: BTreeMap<Key, String>,
    bytes: usize,
    /// The newest one that was dropped.
    dropped: Option<Key>,
}

/// Orders outputs by age. Of outputs of one time, the one of the later record is newer.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    time_us: i64,
    /// The offset of the record that completed it, and the number among those that the record completed.
    position: (i64, i64),
    id: String,
}

impl Key {
    fn of(time_us: i64, id: String) -> Key {
        // An id ends with `/<offset>/<n>`.
        let mut ends = id.rsplit('/').map(|number| number.parse().unwrap_or(0));
        let (n, offset) = (ends.next().unwrap_or(0), ends.next().unwrap_or(0));
        Key { time_us, position: (offset, n), id }
    }
}

impl Newest {
    /// None yet; at most `limit` are kept.
    pub(super) fn new(limit: usize) -> Newest {
        Newest { limit, kept: BTreeMap::new(), bytes: 0, dropped: None }
    }

    /// Whether an output of that time may be among the newest.
    pub(super) fn may_take(&self, time_us: i64) -> bool {
        self.dropped.as_ref().is_none_or(|dropped| dropped.time_us <= time_us)
    }

    /// Takes an output, if it is among the newest.
    pub(super) fn offer(&mut self, output: Output) {
        self.take(Key::of(output.time_us, output.id), output.json);
    }

    /// Takes what another one has kept, of other outputs or of the same.
    pub(super) fn merge(&mut self, other: Newest) {
        if let Some(dropped) = other.dropped {
            self.drop_up_to(dropped);
        }
        other.kept.into_iter().for_each(|(key, json)| self.take(key, json));
    }

    /// The outputs, the newest first, and whether there are older ones.
    pub(super) fn into_outputs(self) -> (Vec<Value>, bool) {
        // What another program wrote may be nested deeper than is read here; then it is shown as the text that it is.
        let shown = |json: String| serde_json::from_str(&json).unwrap_or(Value::String(json));
        (self.kept.into_values().rev().map(shown).collect(), self.dropped.is_some())
    }

    fn take(&mut self, key: Key, json: String) {
        if self.dropped.as_ref().is_some_and(|dropped| key <= *dropped) {
            return;
        }
        self.bytes += json.len();
        if let Some(same) = self.kept.insert(key, json) {
            self.bytes -= same.len();
        }
        while self.kept.len() > self.limit || (self.bytes > BYTES_MAX && self.kept.len() > 1) {
            let Some((oldest, json)) = self.kept.pop_first() else { return };
            self.bytes -= json.len();
            self.dropped = Some(oldest);
        }
    }

    fn drop_up_to(&mut self, key: Key) {
        if self.dropped.as_ref().is_some_and(|dropped| key <= *dropped) {
            return;
        }
        while let Some(oldest) = self.kept.first_entry().filter(|oldest| *oldest.key() <= key) {
            self.bytes -= oldest.remove().len();
        }
        self.dropped = Some(key);
    }
}

#[cfg(test)]
mod tests {
    use test_kit::Dice;

    use super::*;

    /// Outputs of which many share a time, each with another id.
    fn outputs(dice: &mut Dice, count: i64) -> Vec<Output> {
        let output = |n: i64| {
            let time_us = dice.between(0, 20);
            Output { time_us, id: format!("s/v1/log/0/{n}/{}", n % 3), json: format!("[{time_us},{n}]") }
        };
        (0..count).map(output).collect()
    }

    fn newest_of(all: &[Output], limit: usize) -> Vec<Value> {
        let mut all: Vec<(i64, i64, &str)> = all
            .iter()
            .map(|output| {
                let n: Value = serde_json::from_str(&output.json).expect("JSON");
                (output.time_us, n[1].as_i64().expect("a number"), output.json.as_str())
            })
            .collect();
        all.sort_unstable();
        all.iter().rev().take(limit).map(|(.., json)| serde_json::from_str(json).expect("JSON")).collect()
    }

    #[test]
    fn any_split_and_any_overlap_gives_each_output_once() {
        for seed in 1..200 {
            let mut dice = Dice::new(seed);
            let (limit, count) = (1 + dice.below(12), dice.between(0, 40));
            let all = outputs(&mut dice, count);
            // The archive has those below one offset, the tail those from another one on that is not above; in any order.
            let next = dice.below(all.len() + 1);
            let tail_begins = dice.below(next + 1);
            let (mut archived, mut tail) = (all[..next].to_vec(), all[tail_begins..].to_vec());
            for side in [&mut archived, &mut tail] {
                for at in (1..side.len()).rev() {
                    side.swap(at, dice.below(at + 1));
                }
            }
            let mut of_files = Newest::new(limit);
            for file in archived.chunks(1 + dice.below(9)) {
                let mut of_file = Newest::new(limit);
                file.iter().cloned().for_each(|output| of_file.offer(output));
                of_files.merge(of_file);
            }
            let mut both = Newest::new(limit);
            tail.into_iter().for_each(|output| both.offer(output));
            both.merge(of_files);
            assert_eq!(both.into_outputs(), (newest_of(&all, limit), all.len() > limit), "seed {seed}");
        }
    }

    #[test]
    fn of_one_time_the_output_of_the_later_record_is_newer() {
        let mut newest = Newest::new(9);
        for (offset, n) in [(9, 2), (10, 0), (9, 10)] {
            let id = format!("s/v1/log/0/{offset}/{n}");
            newest.offer(Output { time_us: 7, json: format!("\"{offset}/{n}\""), id });
        }
        newest.offer(Output { time_us: 7, json: "\"foreign\"".to_owned(), id: "x".to_owned() });
        assert_eq!(newest.into_outputs().0, ["10/0", "9/10", "9/2", "foreign"]);
    }

    #[test]
    fn what_was_dropped_makes_no_room_for_what_is_older() {
        let output = |time_us: i64, length: usize| Output {
            time_us,
            id: format!("s/v1/log/0/{time_us}/0"),
            json: format!("\"{}\"", "x".repeat(length)),
        };
        let mut newest = Newest::new(100);
        newest.offer(output(2, BYTES_MAX / 2));
        newest.offer(output(3, BYTES_MAX));
        assert!(newest.may_take(2) && !newest.may_take(1));
        newest.offer(output(1, 1));
        let mut merged = Newest::new(100);
        merged.offer(output(1, 1));
        merged.merge(newest);
        let (outputs, has_more) = merged.into_outputs();
        assert_eq!((outputs.len(), has_more), (1, true), "the large one alone, without a hole below it");
    }
}
