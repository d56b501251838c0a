//! `top(…, n)`: the most frequent values.

use std::sync::Arc;

use super::sketch::{Frequent, Item, Sketch};
use super::{Argument, Arguments, Measure, Value};
use crate::group_key::shortened_to;
use crate::hash_index::Texts;
use crate::schema::FieldType;

/// A longer text is counted as what it is shortened to.
const TEXT_MAX_BYTES: usize = 256;
/// For how many values there is room at least, and for how many for each that is asked for.
const ROOM_MIN: usize = 256;
const ROOM_FOR_EACH: usize = 16;

/// The `n` most frequent values.
#[derive(Debug)]
pub(super) struct Top {
    pub(super) n: u32,
}

impl Top {
    /// How many different values are counted.
    pub(super) fn room(&self) -> usize {
        (self.n as usize * ROOM_FOR_EACH).max(ROOM_MIN)
    }
}

impl Measure for Top {
    fn name(&self) -> &'static str {
        "top"
    }

    fn takes(&self) -> &'static [FieldType] {
        &[FieldType::String, FieldType::Int, FieldType::Bool, FieldType::Timestamp]
    }

    fn value_type(&self) -> FieldType {
        FieldType::String
    }

    fn identity(&self) -> Value {
        value(Frequent::default())
    }

    fn of_event(&self, of: Argument<'_>) -> Value {
        let counts = item(of).map(|item| (item, 1)).into_iter().collect();
        value(Frequent::of_counts(counts, self.room()))
    }

    fn merge(&self, a: Value, b: Value) -> Value {
        match (a.sketch(), b.sketch()) {
            (Some(Sketch::Top(a)), Some(Sketch::Top(b))) => value(a.merged(b, self.room())),
            _ => Value::Overflow,
        }
    }

    fn fold(&self, values: &mut [Value], groups: &[u32], of: &Arguments) {
        // Numbers stand for texts, so that each is compared and copied once.
        let (mut texts, mut items) = (Texts::default(), Vec::new());
        let numbered = of.by_group(groups, |of| match of {
            Argument::Text(text) => {
                let number = texts.number(text);
                if items.len() == number as usize {
                    items.extend(item(of));
                }
                Some(i64::from(number))
            }
            Argument::Int(x) | Argument::Instant(x) => Some(x),
            Argument::Bool(truth) => Some(truth.into()),
            Argument::Absent | Argument::Float(_) => None,
        });
        let item_of = |number: i64| match of {
            Arguments::Texts(_) => items[number as usize].clone(),
            Arguments::Bools(_) => Item::Bool(number == 1),
            Arguments::Instants(_) => Item::Instant(number),
            _ => Item::Int(number),
        };
        for group in numbered.chunk_by(|a, b| a.0 == b.0) {
            let same = group.chunk_by(|a, b| a.1 == b.1);
            let mut counts: Vec<(Item, u64)> = same.map(|same| (item_of(same[0].1), same.len() as u64)).collect();
            counts.sort_unstable_by(|a, b| a.0.cmp(&b.0));
            // Two long texts may be shortened to the same one.
            counts.dedup_by(|later, first| {
                let is_same = later.0 == first.0;
                first.1 += if is_same { later.1 } else { 0 };
                is_same
            });
            self.add(values, group[0].0, value(Frequent::of_counts(counts, self.room())));
        }
    }

    fn null_cell(&self) -> Value {
        self.identity()
    }

    fn read_sketch(&self, bytes: &[u8]) -> Option<Sketch> {
        Frequent::read(bytes, self.room()).map(Sketch::Top)
    }
}

fn value(frequent: Frequent) -> Value {
    Value::Sketch(Arc::new(Sketch::Top(frequent)))
}

fn item(of: Argument<'_>) -> Option<Item> {
    Some(match of {
        Argument::Text(text) => Item::Text(shortened_to(text, TEXT_MAX_BYTES).into()),
        Argument::Int(x) => Item::Int(x),
        Argument::Instant(us) => Item::Instant(us),
        Argument::Bool(truth) => Item::Bool(truth),
        Argument::Absent | Argument::Float(_) => return None,
    })
}
