//! The catalog: what sources and metrics exist, and what they mean.
//!
//! A catalog is a TOML file. [`Catalog::parse`] reads it and reports *every* [`Mistake`] at once, each with its line and
//! the fix. What it returns is checked: names resolve, expressions are typed, time grains divide a day. The layers never
//! meet an invalid definition.
//!
//! - `parse` walks the TOML document and collects mistakes;
//! - `definition` gives a metric the hash that names what it counts.

mod definition;
mod parse;

use std::collections::{BTreeMap, BTreeSet};

use crate::expression::Expression;
use crate::measure::MeasureKind;
use crate::schema::Field;

pub use definition::{DefinitionHash, NotADefinitionHash, PLAN_VERSION};

/// The checked content of one catalog file.
#[derive(Debug, Clone, PartialEq)]
pub struct Catalog {
    /// The deployment that this catalog belongs to.
    pub pipeline: Pipeline,
    /// When reconciles run.
    pub schedule: Schedule,
    /// Sources by name.
    pub sources: BTreeMap<String, Source>,
    /// Metrics by name.
    pub metrics: BTreeMap<String, Metric>,
}

/// Names one generation of one deployment, so that several can share Kafka, Redis and a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pipeline {
    /// The deployment; `[a-z0-9_-]`, at most 64 characters.
    pub name: String,
    /// The generation of the pipeline's output, for example `v1`; same alphabet as `name`.
    pub version: String,
}

/// When reconciles run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    /// A cron expression with seconds (six or seven fields).
    pub reconcile: String,
    /// An IANA time zone name, `UTC` unless given.
    pub time_zone: String,
}

/// A Kafka topic with a declared schema.
#[derive(Debug, Clone, PartialEq)]
pub struct Source {
    /// The source's name, the key of its table in the catalog.
    pub name: String,
    /// The Kafka topic; no two sources share one.
    pub topic: String,
    /// How many partitions Braid gives the topic when it creates it.
    pub partitions: u32,
    /// The field that identifies an event (a required string or int); without it nothing is a duplicate.
    pub event_id: Option<String>,
    /// The required timestamp field that says when the event happened.
    pub event_time: String,
    /// The field that producers key records by.
    pub key: Option<String>,
    /// An event older than its record's timestamp by more than this is rejected. Microseconds.
    pub max_age_us: i64,
    /// An event newer than its record's timestamp by more than this is rejected. Microseconds.
    pub max_ahead_us: i64,
    /// Where a topic with a past is first taken up.
    pub start: Start,
    /// How payloads are written.
    pub format: Format,
    /// How many offsets back the speed layer looks for an earlier copy of an event, per partition.
    pub dedup_window: u64,
    /// Declared fields, in the order of the file (the column order of `tsv`).
    pub fields: Vec<Field>,
    /// The fields that some metric of the catalog groups by, filled in by the parser. Text in them is limited to
    /// [`MAX_KEY_BYTES`](crate::group_key::MAX_KEY_BYTES) (`too_long`), so this set is part of every definition's hash.
    pub grouped: BTreeSet<String>,
}

impl Source {
    /// The declared field of that name.
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.name == name)
    }
}

/// Where a topic with a past is first taken up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// At the oldest record that the topic still holds.
    Earliest,
    /// At the topic's end.
    Latest,
}

/// How payloads are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One JSON object per record.
    Json,
    /// Tab-separated values, one line per record, columns in the order of the fields; an empty column is absent.
    Tsv,
}

/// A named aggregation over one source.
#[derive(Debug, Clone, PartialEq)]
pub struct Metric {
    /// The metric's name, the key of its table in the catalog.
    pub name: String,
    /// The name of its source.
    pub source: String,
    /// Which events count; none means all. Null is false.
    pub filter: Option<Expression>,
    /// The group key's columns, in order; required fields that are not floats. At most [`MAX_BY`].
    pub by: Vec<String>,
    /// The width of a bucket in microseconds; divides a day.
    pub grain_us: i64,
    /// What is kept per group key and bucket, in the order of the file; at least one.
    pub measures: Vec<Measure>,
    /// Values computed from merged measures, in the order of the file.
    pub derived: Vec<Derived>,
}

/// More group-key columns than this are refused: every subset of them is counted.
pub const MAX_BY: usize = 4;

/// One column of a metric.
#[derive(Debug, Clone, PartialEq)]
pub struct Measure {
    /// The measure's name.
    pub name: String,
    /// How partial values merge, and in which number type.
    pub kind: MeasureKind,
    /// What is aggregated, a row-wise expression of type int or float; `None` only for `count()`.
    pub of: Option<Expression>,
}

/// A value computed from merged measures, never merged itself.
#[derive(Debug, Clone, PartialEq)]
pub struct Derived {
    /// The value's name.
    pub name: String,
    /// An expression over the metric's measures.
    pub of: Expression,
}

/// One mistake in a catalog file, with where it is and what to write instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}; {fix}")]
pub struct Mistake {
    /// The line in the file, from 1.
    pub line: usize,
    /// What is wrong, naming the key or value.
    pub what: String,
    /// What to do about it.
    pub fix: String,
}

/// A catalog file that has mistakes, as an operator reads it: `file:line: what; fix`, one a line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .mistakes.iter().map(|m| format!("{}:{}: {}; {}", .path.display(), m.line, m.what, m.fix)).collect::<Vec<_>>().join("\n"))]
pub struct RefusedCatalog {
    /// The file.
    pub path: std::path::PathBuf,
    /// Every mistake in it.
    pub mistakes: Vec<Mistake>,
}

/// A name that a catalog has no source of.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the catalog declares no source `{name}`; it declares {}", .known.join(", "))]
pub struct UnknownSource {
    /// The name.
    pub name: String,
    /// The names that there are.
    pub known: Vec<String>,
}

impl Catalog {
    /// Like [`Catalog::parse`], for the text of a file.
    ///
    /// # Errors
    /// Every mistake, with the file's name.
    pub fn parse_file(path: &std::path::Path, text: &str) -> Result<Catalog, RefusedCatalog> {
        Catalog::parse(text).map_err(|mistakes| RefusedCatalog { path: path.to_owned(), mistakes })
    }

    /// Reads and checks a catalog.
    ///
    /// # Errors
    /// Every mistake in the file, in the order of its lines.
    pub fn parse(text: &str) -> Result<Catalog, Vec<Mistake>> {
        parse::catalog(text)
    }

    /// The source of that name.
    ///
    /// # Errors
    /// If there is none, with the names that there are.
    pub fn source(&self, name: &str) -> Result<&Source, UnknownSource> {
        let unknown = || UnknownSource { name: name.to_owned(), known: self.sources.keys().cloned().collect() };
        self.sources.get(name).ok_or_else(unknown)
    }

    /// The metrics over one source, in the order of their names.
    pub fn metrics_of<'a>(&'a self, source: &'a str) -> impl Iterator<Item = &'a Metric> + 'a {
        self.metrics.values().filter(move |metric| metric.source == source)
    }

    /// The hash that names what a metric of this catalog counts.
    ///
    /// # Panics
    /// If `metric` is not of this catalog, and so its source unknown.
    pub fn definition(&self, metric: &Metric) -> DefinitionHash {
        definition::hash(&self.sources[&metric.source], metric)
    }
}
