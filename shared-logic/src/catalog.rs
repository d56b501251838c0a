//! The catalog: which sources and metrics exist, and what they mean.
//!
//! A catalog is a TOML file. [`Catalog::parse`] reads it and reports *every* [`Mistake`] at once, each with its line and
//! the fix. The catalog that it returns is valid: names resolve, expressions are typed, time grains divide a day. No layer
//! ever sees an invalid definition.
//!
//! Every section of the file has a file here, which declares it, and one of the same name in `parse`, which reads it:
//!
//! - `deployment`: `[pipeline]`, the name and version of the deployment;
//! - `schedule`: `[schedule]`, when jobs run;
//! - `source`: `[sources.…]`, a topic and its fields;
//! - `table`: `[tables.…]`, a topic of changes, and the rows that they leave;
//! - `stream`: `[streams.…]`, a topic that Braid writes itself, from another one;
//! - `metric`: `[metrics.…]`, what is counted of a source;
//! - `report`: `[reports.…]`, what is written of a metric for others to query, once a day;
//! - `alert`: `[alerts.…]`, which conditions on a metric are watched;
//! - `index`: `[indexes.…]`, what a search server is to hold of a table or a stream.
//!
//! Beside them, `mistake` is what a refused file is reported with, `rules` computes the hash that names how a source decodes
//! records, `definition` those that name what a metric counts and what a stream writes (`definition_hash`), `stream_source` makes a
//! source of a stream, `version` makes a version of a catalog, and `ticks` says which moments a cron expression names.

mod alert;
mod definition;
mod definition_hash;
mod deployment;
mod index;
mod metric;
mod mistake;
mod parse;
mod report;
mod rules;
mod schedule;
mod source;
mod stream;
mod stream_source;
mod table;
mod ticks;
mod version;

use std::collections::BTreeMap;
use std::path::Path;

pub use alert::{Alert, BEFORE};
pub use definition::{INDEX_VERSION, PLAN_VERSION, REPORT_VERSION, STREAM_VERSION, TABLE_VERSION};
pub use definition_hash::{DefinitionHash, NotADefinitionHash};
pub use deployment::Deployment;
pub use index::{Index, IndexField, IndexFrom, IndexKind, SEARCH_WORDS, SLICE, WRITTEN_AT, is_indexed_table};
pub use metric::{Derived, MAX_BY, Measure, Metric};
pub use mistake::{Mistake, RefusedCatalog};
pub use report::{Join, Report};
pub use rules::{DECODER_VERSION, DecodingRules, RulesHash};
pub use schedule::Schedule;
pub use source::{KeptBytes, MAX_EVENT_ID, NotAnInput, Source, Start, UnknownSource};
pub use stream::{
    Detect, INCOMPLETE, JUDGED_OFFSET, LOOKED_AT, Look, LookKind, Lookup, Map, OUTPUT_ID, OUTPUT_TIME, RULE, Rule,
    SESSION_END, SESSION_START, Session, Stream, StreamKind, TRUNCATED, WINDOW_END, WINDOW_START, Window, origin_of,
};
pub use table::{CHANGED_AT, Table, TableFormat};
pub use ticks::{Cron, NotCron};
pub use version::Changed;

/// The checked content of one catalog file.
#[derive(Debug, Clone, PartialEq)]
pub struct Catalog {
    /// The deployment that this catalog belongs to.
    pub deployment: Deployment,
    /// When jobs run.
    pub schedule: Schedule,
    /// Sources by name, those that tables and streams are among them.
    pub sources: BTreeMap<String, Source>,
    /// Tables by name.
    pub tables: BTreeMap<String, Table>,
    /// Streams by name.
    pub streams: BTreeMap<String, Stream>,
    /// Metrics by name.
    pub metrics: BTreeMap<String, Metric>,
    /// Reports by name.
    pub reports: BTreeMap<String, Report>,
    /// Alerts by name.
    pub alerts: BTreeMap<String, Alert>,
    /// Search indexes by name.
    pub indexes: BTreeMap<String, Index>,
}

impl Catalog {
    /// Reads and checks a catalog.
    ///
    /// # Errors
    /// Every mistake in the file, in the order of its lines.
    pub fn parse(text: &str) -> Result<Catalog, Vec<Mistake>> {
        parse::catalog(text)
    }

    /// Reads and checks the text of a catalog file.
    ///
    /// # Errors
    /// Every mistake in the file, with the file's name.
    pub fn parse_file(path: &Path, text: &str) -> Result<Catalog, RefusedCatalog> {
        Catalog::parse(text).map_err(|mistakes| RefusedCatalog { path: path.to_owned(), mistakes })
    }

    /// The source of that name.
    ///
    /// # Errors
    /// If there is none.
    pub fn source(&self, name: &str) -> Result<&Source, UnknownSource> {
        let unknown = || UnknownSource { name: name.to_owned(), known: self.sources.keys().cloned().collect() };
        self.sources.get(name).ok_or_else(unknown)
    }

    /// The source of that name, whose records come from elsewhere.
    ///
    /// # Errors
    /// If there is none, or Braid writes it itself.
    pub fn input(&self, name: &str) -> Result<&Source, NotAnInput> {
        let source = self.source(name)?;
        match self.streams.get(name) {
            Some(Stream { from, .. }) => Err(NotAnInput::Stream { name: name.to_owned(), from: from.clone() }),
            None => Ok(source),
        }
    }

    /// The sources whose records come from elsewhere: all but streams.
    pub fn inputs(&self) -> impl Iterator<Item = &Source> {
        self.sources.values().filter(|source| !source.is_stream)
    }

    /// The source of that name, whose records may come from a file: they are no changes of a table.
    ///
    /// # Errors
    /// If there is none, Braid writes it itself, or it is a table.
    pub fn importable(&self, name: &str) -> Result<&Source, NotAnInput> {
        let source = self.input(name)?;
        if source.is_table { Err(NotAnInput::Table { name: name.to_owned() }) } else { Ok(source) }
    }

    /// The metrics over one source, in the order of their names.
    pub fn metrics_of<'a>(&'a self, source: &'a str) -> impl Iterator<Item = &'a Metric> + 'a {
        self.metrics.values().filter(move |metric| metric.source == source)
    }

    /// The streams that read one source, in the order of their names.
    pub fn streams_of<'a>(&'a self, source: &'a str) -> impl Iterator<Item = &'a Stream> + 'a {
        self.streams.values().filter(move |stream| stream.from == source)
    }

    /// The reports that count a source, or join the table that it is, in the order of their names.
    pub fn reports_of<'a>(&'a self, source: &'a str) -> impl Iterator<Item = &'a Report> + 'a {
        let counts =
            move |report: &Report| self.metrics.get(&report.metric).is_some_and(|metric| metric.source == source);
        let is_of_it = move |report: &&Report| counts(report) || report.join.iter().any(|join| join.table == source);
        self.reports.values().filter(is_of_it)
    }

    /// When a source is reconciled: by its own schedule, or else by the catalog's.
    pub fn reconciles<'a>(&'a self, source: &'a Source) -> &'a Cron {
        source.reconcile.as_ref().unwrap_or(&self.schedule.reconcile)
    }

    /// Has every source reconciled by this schedule, whatever the file says.
    pub fn reconcile_all_by(&mut self, cron: Cron) {
        self.schedule.reconcile = cron;
        for source in self.sources.values_mut() {
            source.reconcile = None;
        }
    }

    /// The hash that names what a stream of this catalog writes.
    ///
    /// # Panics
    /// If `stream` is of another catalog, so that this one has no such source.
    pub fn stream_definition(&self, stream: &Stream) -> DefinitionHash {
        definition::of_stream(&self.sources[&stream.from], stream, &|table| self.sources.get(table))
    }

    /// The hash that names what the rows of a report of this catalog are.
    ///
    /// # Panics
    /// If `report` is of another catalog, so that this one has no such metric or table.
    pub fn report_definition(&self, report: &Report) -> DefinitionHash {
        definition::of_report(self, report)
    }

    /// The hash that names what the rows of a table of this catalog are.
    ///
    /// # Panics
    /// If `table` is of another catalog, so that this one has no such source.
    pub fn table_definition(&self, table: &Table) -> DefinitionHash {
        definition::of_table(&self.sources[&table.name])
    }

    /// The hash that names what an alert of this catalog judges. As long as it is the same, what is known of the alert stays.
    ///
    /// # Panics
    /// If `alert` is of another catalog, so that this one has no such metric.
    pub fn alert_definition(&self, alert: &Alert) -> DefinitionHash {
        definition::of_alert(self, alert)
    }

    /// The hash that names what the documents of an index of this catalog are, and whose rows they follow: of versions with the same hash,
    /// the index is the same.
    ///
    /// # Panics
    /// If `index` is of another catalog, so that this one has no such source.
    pub fn index_definition(&self, index: &Index) -> DefinitionHash {
        definition::of_index(self, index)
    }

    /// The hash of the rows that an index of this catalog follows, which is that of its materialised table.
    ///
    /// # Panics
    /// If `index` is of another catalog, so that this one has no such source.
    pub fn indexed_rows_definition(&self, index: &Index) -> DefinitionHash {
        definition::of_indexed_rows(self, index)
    }

    /// The hash that names what a metric of this catalog counts.
    ///
    /// # Panics
    /// If `metric` is of another catalog, so that this one has no such source.
    pub fn definition(&self, metric: &Metric) -> DefinitionHash {
        definition::hash(&self.sources[&metric.source], metric)
    }
}
