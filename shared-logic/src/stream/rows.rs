//! Records, made ready for operators: everything that looks at one event alone.
//!
//! Polars evaluates the expressions of all streams together, each once. Keys become bytes, and copies are found. From then on
//! streams take one row after the other, so nothing depends on where records were split.

use std::collections::BTreeSet;

use polars::prelude::{DataFrame, Expr, IntoLazy, PolarsError, PolarsResult};

use super::column::TypedColumn;
use super::{Found, LookedUp, MarkRecord, Originals, Records, Upstream, encoding, keyed};
use crate::dedup::RecentIdentities;
use crate::expression::{Expression, Scalar};
use crate::group_key::shortened;

/// What streams need of each event: conditions, values, and keys made of values. Each is there once, however many streams need it.
#[derive(Debug, Default)]
pub(super) struct RowPlan {
    event_time: String,
    conditions: Vec<Expression>,
    columns: Vec<Expression>,
    /// Which columns the keys are made of.
    keys: Vec<Vec<usize>>,
}

/// Events, a row each.
#[derive(Debug)]
pub(super) struct Rows {
    /// The offset behind all of them.
    pub(super) to: i64,
    pub(super) offsets: Vec<i64>,
    /// When each event happened.
    pub(super) times_us: Vec<i64>,
    /// How far each moves a front: the lesser of the event's time and its record's.
    pub(super) reached_us: Vec<i64>,
    /// Which are copies of earlier events.
    pub(super) copies: Vec<bool>,
    pub(super) originals: Originals,
    pub(super) upstreams: Vec<Option<Upstream>>,
    pub(super) marks: Vec<MarkRecord>,
    looked_up: Vec<LookedUp>,
    conditions: Vec<Vec<bool>>,
    columns: Vec<TypedColumn>,
    keys: Vec<Keys>,
}

/// The key of each row.
#[derive(Debug, Default)]
struct Keys {
    bytes: Vec<u8>,
    ends: Vec<usize>,
    hashes: Vec<u64>,
}

/// What the expressions give for some events.
struct Evaluated {
    times_us: Vec<i64>,
    conditions: Vec<Vec<bool>>,
    columns: Vec<TypedColumn>,
}
impl RowPlan {
    /// For a source whose events have their time in that field.
    pub(super) fn new(event_time: &str) -> RowPlan {
        RowPlan { event_time: event_time.to_owned(), ..RowPlan::default() }
    }

    /// The place of a condition.
    pub(super) fn condition(&mut self, condition: &Expression) -> usize {
        place(&mut self.conditions, condition.clone())
    }

    /// The place of a value.
    pub(super) fn column(&mut self, of: Expression) -> usize {
        place(&mut self.columns, of)
    }

    /// The place of the key that is made of those values.
    pub(super) fn key(&mut self, of: impl IntoIterator<Item = Expression>) -> usize {
        let of = of.into_iter().map(|of| self.column(of)).collect();
        place(&mut self.keys, of)
    }

    /// The fields that are read, sorted.
    pub(super) fn fields(&self) -> Vec<String> {
        let expressions = self.conditions.iter().chain(&self.columns);
        let fields: BTreeSet<&str> =
            expressions.flat_map(Expression::columns).chain([self.event_time.as_str()]).collect();
        fields.into_iter().map(str::to_owned).collect()
    }

    /// Looks at each record alone, and for copies of events among those in `recent`.
    ///
    /// # Errors
    /// If a column is missing or has another type, or a list has another length than the events; `recent` is as before then.
    pub(super) fn rows(&self, records: Records, recent: &mut RecentIdentities) -> PolarsResult<Rows> {
        let Records { to, offsets, record_times_us, sightings, events, originals, upstreams, marks, looked_up, .. } =
            records;
        let rows = events.height();
        let fits = |length: usize, may_lack: bool| length == rows || (may_lack && length == 0);
        let copies_known = sightings.is_empty() || sightings.len() >= rows;
        let places_fit = fits(offsets.len(), false) && fits(record_times_us.len(), false);
        let others_fit = fits(originals.len(), true) && fits(upstreams.len(), true);
        let found_fit = looked_up.iter().all(|found| fits(found.of.len(), false));
        let all_fit = places_fit && others_fit && found_fit && copies_known;
        if !all_fit {
            return Err(PolarsError::ShapeMismatch("there are not as many of each list as there are events".into()));
        }
        let Evaluated { times_us, conditions, columns } = self.evaluate(events)?;
        let reached = times_us.iter().zip(&record_times_us).map(|(time, at)| at.map_or(*time, |at| at.min(*time)));
        let reached_us = reached.collect();
        let keys = self.keys.iter().map(|of| Keys::new(rows, of.iter().map(|of| &columns[*of]))).collect();
        // What stands before the events only warms.
        let mut copies = recent.judge(&sightings);
        copies.drain(..copies.len().saturating_sub(rows));
        copies.resize(rows, false);
        Ok(Rows {
            to,
            offsets,
            times_us,
            reached_us,
            copies,
            originals,
            upstreams,
            marks,
            looked_up,
            conditions,
            columns,
            keys,
        })
    }

    fn evaluate(&self, events: DataFrame) -> PolarsResult<Evaluated> {
        if events.height() == 0 {
            let conditions = vec![Vec::new(); self.conditions.len()];
            return Ok(Evaluated { times_us: Vec::new(), conditions, columns: self.none()? });
        }
        let all = || self.conditions.iter().chain(&self.columns).enumerate();
        let calculated: Vec<Expr> =
            all().filter(|(_, of)| of.as_column().is_none()).map(|(at, of)| of.to_polars().alias(name(at))).collect();
        let events = if calculated.is_empty() { events } else { events.lazy().with_columns(calculated).collect()? };
        let column = |(at, of): (usize, &Expression)| match of.as_column() {
            Some(field) => events.column(field),
            None => events.column(&name(at)),
        };
        let times_us = events.column(&self.event_time)?.i64()?.iter().map(Option::unwrap_or_default).collect();
        let conditions = all().take(self.conditions.len()).map(|condition| {
            // A condition that is null is not true.
            let results = column(condition)?.bool()?;
            Ok(results.iter().map(|holds| holds == Some(true)).collect())
        });
        let conditions = conditions.collect::<PolarsResult<Vec<_>>>()?;
        let columns = all().skip(conditions.len()).map(|(at, of)| TypedColumn::new(column((at, of))?, of.kind()));
        let columns = columns.collect::<PolarsResult<Vec<_>>>()?;
        Ok(Evaluated { times_us, conditions, columns })
    }

    /// Columns of no rows.
    fn none(&self) -> PolarsResult<Vec<TypedColumn>> {
        let empty = |of: &Expression| {
            let column = polars::prelude::Column::new_empty("".into(), &of.kind().column_type());
            TypedColumn::new(&column, of.kind())
        };
        self.columns.iter().map(empty).collect()
    }
}

impl Rows {
    /// Whether a stream with that condition takes the event.
    pub(super) fn holds(&self, condition: Option<usize>, row: usize) -> bool {
        condition.is_none_or(|condition| self.conditions[condition][row])
    }

    /// One of the values.
    pub(super) fn column(&self, column: usize) -> &TypedColumn {
        &self.columns[column]
    }

    /// One of the keys, and its hash.
    pub(super) fn key(&self, key: usize, row: usize) -> (&[u8], u64) {
        let keys = &self.keys[key];
        let begin = row.checked_sub(1).map_or(0, |before| keys.ends[before]);
        (&keys.bytes[begin..keys.ends[row]], keys.hashes[row])
    }

    /// What one of the lookups has found for the event; `None` if the event names no key, or nothing was looked up.
    pub(super) fn found(&self, lookup: usize, row: usize) -> Option<&Found> {
        self.looked_up.get(lookup).and_then(|found| found.of_row(row))
    }

    /// From which partition a re-keying map made the event.
    pub(super) fn upstream(&self, row: usize) -> Option<&Upstream> {
        self.upstreams.get(row).and_then(Option::as_ref)
    }
}

impl Keys {
    fn new<'a>(rows: usize, of: impl Iterator<Item = &'a TypedColumn>) -> Keys {
        let columns: Vec<&TypedColumn> = of.collect();
        let mut keys = Keys::default();
        keys.ends.reserve(rows);
        keys.hashes.reserve(rows);
        for row in 0..rows {
            let begin = keys.bytes.len();
            for column in &columns {
                match column.get(row) {
                    // As in the group keys of metrics.
                    Scalar::String(text) => encoding::push(&mut keys.bytes, &Scalar::String(shortened(&text))),
                    value => encoding::push(&mut keys.bytes, &value),
                }
            }
            keys.ends.push(keys.bytes.len());
            keys.hashes.push(keyed::hash(&keys.bytes[begin..]));
        }
        keys
    }
}

/// The name of a column that is calculated.
fn name(at: usize) -> String {
    format!("_{at}")
}

/// The position of an item in a list, to which it is added if it is new.
fn place<T: PartialEq>(list: &mut Vec<T>, item: T) -> usize {
    list.iter().position(|known| *known == item).unwrap_or_else(|| {
        list.push(item);
        list.len() - 1
    })
}
