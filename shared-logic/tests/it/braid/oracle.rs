//! The fold by hand: slow, plain, and without a line of the crate's code.

use std::collections::{HashMap, HashSet};

use serde_json::Value as Json;
use shared_logic::group_key::{KeyPart, KeyValue};
use shared_logic::measure::{Argument, MeasureKind, Value};
use shared_logic::time::TimeRange;

use super::Key;
use super::catalogs::{Definition, MAX_RECORD};
use super::records::{Partition, Record};

/// The most bytes of a text in a key.
pub(super) const MAX_KEY_BYTES: usize = 8_192;

/// What tells an event from others: the fields of its id as texts, and its time.
pub(super) type Identity = (Vec<String>, i64);

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

/// What a measure is of: a number, or for some sketches another value.
#[derive(Debug, Clone)]
pub(super) enum Number {
    Int(i128),
    Float(f64),
    Text(String),
    Bool(bool),
    Instant(i64),
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
    let payload = record.payload.as_deref().filter(|payload| payload.len() <= MAX_RECORD)?;
    let document: Json = serde_json::from_slice(payload).ok()?;
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

/// The identity of an event with these members.
pub(super) fn identity(definition: &Definition, id: &str, s: &str, k: i64, at_us: i64) -> Identity {
    let member = |name: &&str| match *name {
        "id" => id.to_owned(),
        "s" => s.to_owned(),
        _ => k.to_string(),
    };
    (definition.event_id.iter().map(member).collect(), at_us)
}

/// The first copy of each event.
pub(super) fn distinct(definition: &Definition, rows: &[Row]) -> Vec<Row> {
    let mut seen = HashSet::new();
    rows.iter().filter(|row| seen.insert(row.identity(definition))).cloned().collect()
}

/// Copies whose last earlier copy lies farther back than the window reaches.
pub(super) fn copies_beyond<'a>(definition: &Definition, rows: &'a [Row]) -> Vec<&'a Row> {
    let mut last: HashMap<Identity, i64> = HashMap::new();
    rows.iter()
        .filter(|row| {
            let earlier = last.insert(row.identity(definition), row.offset);
            earlier.is_some_and(|earlier| row.offset - earlier > definition.dedup_window())
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
        let mut wanted = metric.by.iter().zip(key);
        wanted.all(|(column, part)| *part == KeyPart::All || row.key_part(column) == *part)
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
        // What a sketch says is tested beside it; here, that it is the same however rows were split.
        kind @ (MeasureKind::Distinct { .. } | MeasureKind::Quantile | MeasureKind::Top { .. }) => {
            of(at).fold(kind.identity(), |sketch, number| kind.merge(sketch, kind.of_event(number.argument())))
        }
    };
    (0..definition.measures.len()).map(measure).collect()
}

impl Number {
    /// As a measure takes it.
    fn argument(&self) -> Argument<'_> {
        match self {
            Number::Int(int) => Argument::Int(i64::try_from(*int).expect("64 bits")),
            Number::Float(float) => Argument::Float(*float),
            Number::Text(text) => Argument::Text(text),
            Number::Bool(truth) => Argument::Bool(*truth),
            Number::Instant(us) => Argument::Instant(*us),
        }
    }
}

pub(super) fn int(int: i128) -> Value {
    Value::Int(int)
}

impl Row {
    pub(super) fn identity(&self, definition: &Definition) -> Identity {
        identity(definition, &self.id, &self.s, self.k, self.at_us)
    }

    /// The text in a column of texts, whole.
    pub(super) fn text(&self, column: &str) -> Option<&str> {
        match column {
            "s" => Some(&self.s),
            "t" => self.t.as_deref(),
            _ => None,
        }
    }

    pub(super) fn key_part(&self, column: &str) -> KeyPart {
        let value = match column {
            "s" | "t" => self.text(column).map(|text| KeyValue::Text(shortened(text))),
            "k" => Some(KeyValue::Int(self.k)),
            "n" => Some(KeyValue::Int(self.n)),
            "m" => self.m.map(KeyValue::Int),
            "b" => Some(KeyValue::Bool(self.b)),
            _ => Some(KeyValue::Timestamp(self.w_us)),
        };
        value.map_or(KeyPart::Missing, KeyPart::Value)
    }
}

/// A text as it stands in a key: as it is, or as many of its first characters as leave room for `…` and its hash.
fn shortened(text: &str) -> String {
    if text.len() <= MAX_KEY_BYTES {
        return text.to_owned();
    }
    let mut short = String::new();
    for letter in text.chars() {
        if short.len() + letter.len_utf8() + "…".len() + 32 > MAX_KEY_BYTES {
            break;
        }
        short.push(letter);
    }
    format!("{short}…{:032x}", xxhash_rust::xxh3::xxh3_128(text.as_bytes()))
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
