//! Lookups: columns of outputs that stand in tables (B4, B5).
//!
//! What a lookup finds is no function of the lane's log: it depends on how far the table's changes were known by then. So an output says
//! so ([`Seen`]), and with what it says it is a function of logs again: of the partition's records, and of the table's below the
//! cursors that it names. Rows are found before an event is decided, by whoever runs the lane.

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;

use polars::prelude::{DataFrame, DataType, PolarsResult};

use super::json::Object;
use crate::catalog::{Lookup, Source};
use crate::expression::Scalar;
use crate::log::PartitionId;
use crate::table::{Row, RowValue};

/// What the streams over a source look up in a table by one field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LookupPlan {
    /// The table's name.
    pub table: String,
    /// The field of the source that names the row.
    pub on: String,
    /// The fields of the row that some stream takes, with their places among the table's fields.
    pub take: Vec<(String, usize)>,
}

/// Each key that some events name, once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Keys {
    /// Which of `keys` each event names; `None` where it names none.
    pub of: Vec<Option<u32>>,
    /// The texts of the keys, in the order in which they are named first.
    pub keys: Vec<String>,
}

/// What a lookup has found for some events.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LookedUp {
    /// Which of `found` each event has; `None` where it names no key.
    pub of: Vec<Option<u32>>,
    /// What stands under each key.
    pub found: Vec<Found>,
}

/// What stands under a key of a table.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// As of which changes: a [`Seen`] as a text.
    pub seen: String,
    /// The values of [`LookupPlan::take`]; `None` if there is no row.
    pub row: Option<Vec<Scalar<'static>>>,
}

/// As of which changes a row is: those below a cursor in each of these partitions of the table's logs. They are the ones that have a
/// change of the key below that cursor, one as a rule; where none has, it is the one in which Kafka's own partitioner puts the key.
///
/// As a text: `<log>/<partition>/<cursor>`, and a comma between two.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Seen(pub Vec<(PartitionId, i64)>);

/// The text is not a [`Seen`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` does not say as of which changes a row is: <log>/<partition>/<cursor>")]
pub struct NotSeen(String);

impl LookupPlan {
    /// The keys that events name, in the order of their rows.
    ///
    /// # Errors
    /// If the events lack the field, or it is neither a text nor an integer.
    pub fn keys(&self, events: &DataFrame) -> PolarsResult<Keys> {
        if events.height() == 0 {
            return Ok(Keys::default());
        }
        let texts = events.column(&self.on)?.cast(&DataType::String)?;
        let texts = texts.str()?;
        let (mut keys, mut numbers) = (Keys::default(), HashMap::new());
        for text in texts.iter() {
            let number = text.map(|text| {
                *numbers.entry(text).or_insert_with(|| {
                    keys.keys.push(text.to_owned());
                    // There are no more keys than rows.
                    u32::try_from(keys.keys.len() - 1).unwrap_or(u32::MAX)
                })
            });
            keys.of.push(number);
        }
        Ok(keys)
    }

    /// What is taken of a row that was changed last at that time; microseconds since 1970.
    pub fn values(&self, row: &Row, changed_at_us: i64) -> Vec<Scalar<'static>> {
        // The field behind the declared ones says when the row was changed.
        let changed_at = Scalar::Timestamp(changed_at_us);
        let value = |place: usize| row.get(place).map_or(changed_at.clone(), |value| row_scalar(value.as_ref()));
        self.take.iter().map(|(_, place)| value(*place)).collect()
    }
}

/// A value of a row, as outputs and answers write it. Zeros have no sign.
pub fn row_scalar(value: Option<&RowValue>) -> Scalar<'static> {
    match value {
        None => Scalar::Null,
        Some(RowValue::Text(text)) => Scalar::String(text.to_string().into()),
        Some(RowValue::Int(x)) => Scalar::Int((*x).into()),
        Some(RowValue::Float(x)) => Scalar::Float(x + 0.0),
        Some(RowValue::Bool(x)) => Scalar::Bool(*x),
        Some(RowValue::Instant(us)) => Scalar::Timestamp(*us),
    }
}

impl LookedUp {
    /// What was found for the event in a row; `None` if it names no key.
    pub fn of_row(&self, row: usize) -> Option<&Found> {
        let found = (*self.of.get(row)?)?;
        self.found.get(found as usize)
    }

    /// How many events name a key under which there is no row.
    pub fn missing(&self) -> usize {
        let is_missing = |found: &u32| self.found.get(*found as usize).is_none_or(|found| found.row.is_none());
        self.of.iter().flatten().filter(|found| is_missing(found)).count()
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (id, cursor)) in self.0.iter().enumerate() {
            let comma = if at > 0 { "," } else { "" };
            write!(f, "{comma}{id}/{cursor}")?;
        }
        Ok(())
    }
}

impl FromStr for Seen {
    type Err = NotSeen;

    fn from_str(text: &str) -> Result<Seen, NotSeen> {
        let place = |text: &str| {
            let (id, cursor) = text.rsplit_once('/')?;
            let (log, partition) = id.rsplit_once('/')?;
            let id = PartitionId::new(log, partition.parse().ok()?);
            (!log.is_empty() && !log.contains('/')).then_some((id, cursor.parse().ok()?))
        };
        let places: Option<Vec<(PartitionId, i64)>> = text.split(',').map(place).collect();
        places.map(Seen).ok_or_else(|| NotSeen(text.to_owned()))
    }
}

/// What a stream takes of a lookup.
#[derive(Debug)]
pub(super) struct Looking {
    /// Which of [`LanePlan::lookups`](super::LanePlan::lookups).
    pub(super) lookup: usize,
    pub(super) table: String,
    /// Whether an event without a row goes to the side output.
    pub(super) require: bool,
    /// The fields of an output, with their places among what is taken of the row.
    take: Vec<(String, usize)>,
    seen: String,
}

impl Looking {
    /// Adds what a stream looks up to what the others do. `table` is the table as a source; a checked catalog has it.
    pub(super) fn new(lookup: &Lookup, table: Option<&Source>, lookups: &mut Vec<LookupPlan>) -> Looking {
        let is_same = |known: &LookupPlan| known.table == lookup.table && known.on == lookup.on;
        let at = lookups.iter().position(is_same).unwrap_or_else(|| {
            lookups.push(LookupPlan { table: lookup.table.clone(), on: lookup.on.clone(), take: Vec::new() });
            lookups.len() - 1
        });
        let take = &mut lookups[at].take;
        let of_table = |name: &String| table?.fields.iter().position(|field| field.name == *name);
        let places = lookup.take.iter().filter_map(|name| {
            let in_table = of_table(name)?;
            let place = take.iter().position(|(_, known)| *known == in_table).unwrap_or_else(|| {
                take.push((name.clone(), in_table));
                take.len() - 1
            });
            Some((name.clone(), place))
        });
        let take = places.collect();
        Looking { lookup: at, table: lookup.table.clone(), require: lookup.require, take, seen: lookup.seen() }
    }

    /// Writes what an output has of what was found. What is not there is left out, as any value that is null.
    pub(super) fn write(&self, found: Option<&Found>, object: &mut Object) {
        let Some(found) = found else { return };
        for (name, place) in &self.take {
            if let Some(value) = found.row.as_ref().and_then(|row| row.get(*place)) {
                object.field(name, value);
            }
        }
        object.field(&self.seen, &Scalar::String(found.seen.as_str().into()));
    }
}

#[cfg(test)]
mod tests {
    use polars::prelude::df;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_key_is_named_once_and_an_absent_one_by_nobody() {
        let plan = LookupPlan { table: "users".to_owned(), on: "user".to_owned(), take: Vec::new() };
        let events = df!("user" => [Some("b"), None, Some("a"), Some("b")]).expect("columns");
        let keys = plan.keys(&events).expect("keys");
        assert_eq!((keys.of, keys.keys), (vec![Some(0), None, Some(1), Some(0)], vec!["b".to_owned(), "a".to_owned()]));
        let numbers = df!("user" => [-7_i64, 12]).expect("columns");
        assert_eq!(plan.keys(&numbers).expect("keys").keys, ["-7", "12"]);
        assert_eq!(plan.keys(&DataFrame::empty()).expect("no events"), Keys::default());
    }

    #[test]
    fn an_event_without_a_key_is_not_missing() {
        let found = |row| Found { seen: "log/0/1".to_owned(), row };
        let looked_up = LookedUp {
            of: vec![Some(0), None, Some(1), Some(1)],
            found: vec![found(Some(vec![Scalar::Int(1)])), found(None)],
        };
        assert_eq!(looked_up.missing(), 2);
        assert_eq!(looked_up.of_row(1), None);
        assert_eq!(looked_up.of_row(3).map(|found| found.row.is_none()), Some(true));
    }

    proptest! {
        #[test]
        fn what_an_output_has_seen_is_read_back(
            places in prop::collection::vec(("[a-zA-Z0-9_-]{1,8}(\\.[0-9]{1,2})?", 0..9_i32, any::<i64>()), 1..4),
        ) {
            let places = places.into_iter().map(|(log, partition, cursor)| (PartitionId::new(log, partition), cursor));
            let seen = Seen(places.collect());
            prop_assert_eq!(seen.to_string().parse::<Seen>(), Ok(seen));
        }
    }

    #[test]
    fn other_texts_say_nothing_of_changes() {
        for text in ["", "log", "log/1", "/1/2", "log/x/2", "log/1/x", "log/1/2,", "log/1/2;log/2/3"] {
            assert!(text.parse::<Seen>().is_err(), "{text}");
        }
    }
}
