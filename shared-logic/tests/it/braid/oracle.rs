//! The fold by hand: slow, plain, and without a line of the crate's code.

use std::collections::{HashMap, HashSet};

use serde_json::Value as Json;
use shared_logic::group_key::KeyValue;
use shared_logic::measure::{MeasureKind, Value};
use shared_logic::time::TimeRange;

use super::Key;
use super::catalogs::Definition;
use super::records::{Partition, Record};

#[derive(Debug, Clone)]
pub(super) struct Row {
    pub(super) partition: usize,
    pub(super) offset: i64,
    pub(super) id: String,
    pub(super) at_us: i64,
    pub(super) s: String,
    pub(super) t: Option<String>,
    pub(super) n: i64,
    pub(super) m: Option<i64>,
    pub(super) k: i64,
    pub(super) x: Option<f64>,
    pub(super) b: bool,
    pub(super) w_us: i64,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Number {
    Int(i128),
    Float(f64),
}

/// Every record that is an event, by partition and offset.
pub(super) fn decode_all(definition: &Definition, partitions: &[Partition]) -> Vec<Row> {
    let numbered = partitions.iter().enumerate();
    numbered
        .flat_map(|(at, partition)| partition.records.iter().filter_map(move |record| decode(definition, at, record)))
        .collect()
}

/// The record's event by hand.
pub(super) fn decode(definition: &Definition, partition: usize, record: &Record) -> Option<Row> {
    let document: Json = serde_json::from_slice(record.payload.as_deref()?).ok()?;
    let members = document.as_object()?;
    let get = |name: &str| members.get(name).filter(|value| !value.is_null());
    let text = |name: &str| get(name).map(|value| value.as_str().map(str::to_owned));
    let int = |name: &str| get(name).map(Json::as_i64);
    let row = Row {
        partition,
        offset: record.offset,
        id: text("id")??,
        at_us: instant(get("at")?)?,
        s: text("s")??,
        t: required_if_there(text("t"))?,
        n: int("n")??,
        m: required_if_there(int("m"))?,
        k: int("k")??,
        x: required_if_there(get("x").map(Json::as_f64))?,
        b: get("b")?.as_bool()?,
        w_us: instant(get("w")?)?,
    };
    if definition.groups_by("s") && row.s.len() > 1_024 {
        return None;
    }
    if let Some(now) = record.timestamp_us
        && (row.at_us < now - definition.max_age_us || row.at_us > now + definition.max_ahead_us)
    {
        return None;
    }
    Some(row)
}

/// An optional field may be absent, but not of another type.
fn required_if_there<T>(value: Option<Option<T>>) -> Option<Option<T>> {
    match value {
        None => Some(None),
        Some(None) => None,
        Some(value) => Some(value),
    }
}

/// Epoch milliseconds, or `yyyy-mm-ddThh:mm:ss[.mmm]Z` from 1970 on, by counting days.
fn instant(value: &Json) -> Option<i64> {
    if let Some(ms) = value.as_i64() {
        return Some(ms * 1_000);
    }
    let text = value.as_str()?.strip_suffix('Z')?;
    let (date, time) = text.split_once('T')?;
    let date: Vec<i64> = date.split('-').map(|part| part.parse().ok()).collect::<Option<_>>()?;
    let (time, millis) = time.split_once('.').unwrap_or((time, "0"));
    let time: Vec<i64> = time.split(':').map(|part| part.parse().ok()).collect::<Option<_>>()?;
    let leap = |year: i64| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let years: i64 = (1970..date[0]).map(|year| if leap(year) { 366 } else { 365 }).sum();
    let lengths = [31, if leap(date[0]) { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let days = years + lengths[..date[1] as usize - 1].iter().sum::<i64>() + date[2] - 1;
    let seconds = ((days * 24 + time[0]) * 60 + time[1]) * 60 + time[2];
    Some((seconds * 1_000 + millis.parse::<i64>().ok()?) * 1_000)
}

/// The first copy of each event.
pub(super) fn distinct(rows: &[Row]) -> Vec<Row> {
    let mut seen = HashSet::new();
    rows.iter().filter(|row| seen.insert((row.id.clone(), row.at_us))).cloned().collect()
}

/// Copies whose last earlier copy lies more than so many offsets back.
pub(super) fn copies_beyond(rows: &[Row], window: i64) -> Vec<&Row> {
    let mut last: HashMap<(&str, i64), i64> = HashMap::new();
    rows.iter()
        .filter(|row| {
            let earlier = last.insert((&row.id, row.at_us), row.offset);
            earlier.is_some_and(|earlier| row.offset - earlier > window)
        })
        .collect()
}

/// The rows that count for the key in the range.
pub(super) fn matching<'a>(
    definition: &'a Definition,
    rows: &'a [Row],
    key: &'a Key,
    range: TimeRange,
) -> impl Iterator<Item = &'a Row> {
    let metric = definition.metric();
    let is_of_key = move |row: &Row| {
        let wanted = metric.by.iter().zip(key);
        wanted
            .filter_map(|(column, value)| Some((column, value.as_ref()?)))
            .all(|(column, value)| row.key_value(column) == *value)
    };
    let bucket = move |row: &Row| row.at_us.div_euclid(metric.grain_us) * metric.grain_us;
    rows.iter()
        .filter(move |row| range.from_us <= bucket(row) && bucket(row) < range.to_us)
        .filter(|row| definition.counts(row))
        .filter(move |row| is_of_key(row))
}

/// Every measure over the rows that count.
pub(super) fn fold(definition: &Definition, rows: &[Row], key: &Key, range: TimeRange) -> Vec<Value> {
    let rows: Vec<&Row> = matching(definition, rows, key, range).collect();
    let of = |at: usize| rows.iter().filter_map(move |row| (definition.measures[at].of)(row));
    let ints = |at: usize| of(at).map(|number| if let Number::Int(int) = number { int } else { panic!("an int") });
    let floats =
        |at: usize| of(at).map(|number| if let Number::Float(float) = number { float } else { panic!("a float") });
    let measure = |at: usize| match definition.measures[at].kind {
        MeasureKind::Count | MeasureKind::SumInt => int(ints(at).sum()),
        MeasureKind::MinInt => ints(at).min().map_or(Value::Null, int),
        MeasureKind::MaxInt => ints(at).max().map_or(Value::Null, int),
        MeasureKind::SumFloat => Value::Float(floats(at).fold(0.0, |sum, x| sum + x)),
        MeasureKind::MinFloat => floats(at).min_by(f64::total_cmp).map_or(Value::Null, Value::Float),
        MeasureKind::MaxFloat => floats(at).max_by(f64::total_cmp).map_or(Value::Null, Value::Float),
    };
    (0..definition.measures.len()).map(measure).collect()
}

pub(super) fn int(int: i128) -> Value {
    Value::Int(int)
}

impl Row {
    pub(super) fn key_value(&self, column: &str) -> KeyValue {
        match column {
            "s" => KeyValue::Text(self.s.clone()),
            "k" => KeyValue::Int(self.k),
            "n" => KeyValue::Int(self.n),
            "b" => KeyValue::Bool(self.b),
            _ => KeyValue::Timestamp(self.w_us),
        }
    }
}

/// Logic of three values, as SQL has it.
pub(super) fn not(a: Option<bool>) -> Option<bool> {
    a.map(|a| !a)
}

pub(super) fn any(of: &[Option<bool>]) -> Option<bool> {
    if of.contains(&Some(true)) {
        Some(true)
    } else if of.contains(&None) {
        None
    } else {
        Some(false)
    }
}

pub(super) fn all(of: &[Option<bool>]) -> Option<bool> {
    not(any(&of.iter().map(|a| not(*a)).collect::<Vec<_>>()))
}
