//! The hashes that name what a metric counts, what a stream writes, what the rows of a table or of a report are, and what the documents of
//! an index.
//!
//! Counters in Redis and batch views carry the hash, so that no answer contains numbers of another definition. It covers
//! everything that can change a count: how the source's bytes become events, which events are duplicates or too old, `where`,
//! `by`, `grain`, the measures, and [`PLAN_VERSION`]. It leaves out what cannot change a count: where records lie (topic,
//! partitions, start, key), what is computed after merging (`derived`), and the layout of the catalog.
//!
//! The hash of a stream covers all that can change an output: the same of the source, and everything that the catalog says of the
//! stream but its name and topic. If a source is a stream itself, both hashes cover the definition of that one, and with it
//! all that it was made from.

use std::fmt::{self, Write};

use super::stream::{Detect, Lookup, Map, Stream, StreamKind};
use super::{
    Alert, Catalog, DefinitionHash, Derived, Index, IndexFrom, Join, LookKind, Measure, Metric, Report, Source, rules,
};
use crate::expression::Expression;

/// Raise this when a change of this crate makes the same catalog count differently. Every view is rebuilt then.
pub const PLAN_VERSION: u32 = 2;

/// Raise this when a change of this crate makes the same catalog write another stream. Each is then another definition (T13).
pub const STREAM_VERSION: u32 = 1;

/// Raise this when a change of this crate makes the same catalog write other rows of a report.
pub const REPORT_VERSION: u32 = 1;

/// Raise this when a change of this crate makes the same changes leave other rows (B1). Every table is materialised anew then.
pub const TABLE_VERSION: u32 = 1;

/// Raise this when a change of this crate makes the same catalog judge an alert otherwise.
const ALERT_VERSION: u32 = 1;

/// Raise this when a change of this crate makes the same rows other documents of an index. Every index is built anew then.
pub const INDEX_VERSION: u32 = 1;

/// The hash of the table that this source is: all that decides what a change is, and so which rows changes leave.
pub(super) fn of_table(source: &Source) -> DefinitionHash {
    DefinitionHash::of_text(&format!("table {TABLE_VERSION}\n{}", rules::decoding(source)))
}

/// The hash of a metric over its source.
pub(super) fn hash(source: &Source, metric: &Metric) -> DefinitionHash {
    DefinitionHash::of_text(&canonical(source, metric, PLAN_VERSION))
}

/// The hash of a stream that reads that source. `tables` are those that it may look into.
pub(super) fn of_stream<'t>(
    from: &Source,
    stream: &Stream,
    tables: &dyn Fn(&str) -> Option<&'t Source>,
) -> DefinitionHash {
    let mut text = canonical_stream(from, stream, PLAN_VERSION, STREAM_VERSION);
    for lookup in stream.lookups() {
        let Lookup { table, on, take, require } = lookup;
        writeln!(text, "lookup {table} {on} {} {require}", take.join(" ")).expect("a String takes any text");
        // What a row is depends on all that decides what a change of the table is.
        if let Some(table) = tables(table) {
            writeln!(text, "table {}", of_table(table)).expect("a String takes any text");
        }
    }
    DefinitionHash::of_text(&text)
}

/// The hash of a report: what its metric counts and derives, the rules of the tables that are joined, and its days and columns. When it
/// runs, and what it waits for, is left out.
pub(super) fn of_report(catalog: &Catalog, report: &Report) -> DefinitionHash {
    let metric = &catalog.metrics[&report.metric];
    let counted = hash(&catalog.sources[&metric.source], metric);
    let mut facts = Facts(format!("report {REPORT_VERSION}\nmetric {counted}\nzone {}\n", report.time_zone.name()));
    facts.derived(&metric.derived);
    for Join { table, on, take } in &report.join {
        let rows = of_table(&catalog.sources[table]);
        facts.line(format_args!("join {table} {rows} {on} {}", take.join(" ")));
    }
    for column in &report.columns {
        facts.line(format_args!("column {} {:?}", column.name, column.of.to_string()));
    }
    DefinitionHash::of_text(&facts.0)
}

/// The hash of an alert: what its metric counts and derives, and all that decides when it fires and by which labels. What it says to people
/// is left out.
pub(super) fn of_alert(catalog: &Catalog, alert: &Alert) -> DefinitionHash {
    let metric = &catalog.metrics[&alert.metric];
    let counted = hash(&catalog.sources[&metric.source], metric);
    let mut facts = Facts(format!("alert {ALERT_VERSION}\nmetric {} {counted}\n", metric.name));
    facts.derived(&metric.derived);
    facts.line(format_args!("key {}", alert.key()));
    facts.line(format_args!("window_us {} {:?} {}", alert.window_us, alert.shift_us, alert.lateness_us));
    facts.line(format_args!("when {:?} {}", alert.when.to_string(), alert.for_us));
    for (label, text) in &alert.labels {
        facts.line(format_args!("label {label} {text:?}"));
    }
    DefinitionHash::of_text(&facts.0)
}

/// The hash of the rows that an index follows.
pub(super) fn of_indexed_rows(catalog: &Catalog, index: &Index) -> DefinitionHash {
    match &index.from {
        IndexFrom::Table(table) => of_table(&catalog.sources[table]),
        IndexFrom::Stream(stream) => {
            let written = catalog.stream_definition(&catalog.streams[stream]);
            DefinitionHash::of_text(&format!("table {TABLE_VERSION}\nstream {written}\nid {}\n", index.id))
        }
    }
}

/// The hash of an index: the rows that it follows, where they are kept, and the fields of its documents. The name of the rows is that of
/// their generation, so indexes of equal hashes follow the same rows.
pub(super) fn of_index(catalog: &Catalog, index: &Index) -> DefinitionHash {
    let rows = of_indexed_rows(catalog, index);
    let name = catalog.indexed_table(index);
    let mut facts = Facts(format!("index {INDEX_VERSION}\nrows {rows} {}\n", catalog.deployment.table_name(&name)));
    for field in &index.fields {
        facts.line(format_args!("field {} {}", field.name, field.kind.name()));
    }
    DefinitionHash::of_text(&facts.0)
}

/// The text that is hashed, one fact a line. Names contain no spaces and expressions are quoted, so different definitions
/// have different texts.
fn canonical(source: &Source, metric: &Metric, plan_version: u32) -> String {
    let mut facts = Facts::of_events(format!("plan {plan_version}\n"), source, metric.filter.as_ref());
    facts.line(format_args!("by {}", metric.by.join(" ")));
    facts.line(format_args!("grain_us {}", metric.grain_us));
    facts.measures(&metric.measures);
    facts.0
}

/// The same of a stream. Unlike a metric's, its derived values are written, and its records are keyed.
fn canonical_stream(from: &Source, stream: &Stream, plan_version: u32, stream_version: u32) -> String {
    let versions = format!("stream {stream_version}\nplan {plan_version}\n");
    let mut facts = Facts::of_events(versions, from, stream.filter.as_ref());
    facts.line(format_args!("rekeyed {}", from.rekeyed));
    facts.line(format_args!("from_key {}", from.key.as_deref().unwrap_or("-")));
    facts.line(format_args!("lateness_us {}", stream.lateness_us));
    match &stream.kind {
        StreamKind::Map(map) => facts.map(map),
        StreamKind::Window(window) => {
            let (size, slide, offset) = (window.size_us, window.slide_us, window.offset_us);
            facts.line(format_args!("window_us {size} {slide} {offset}"));
            facts.aggregates(&window.by, &window.measures, &window.derived);
        }
        StreamKind::Session(session) => {
            facts.line(format_args!("session_us {} {:?}", session.gap_us, session.longest_us));
            facts.aggregates(&session.by, &session.measures, &session.derived);
        }
        StreamKind::Detect(detect) => facts.detect(detect),
    }
    facts.0
}

/// The text so far.
struct Facts(String);

impl Facts {
    /// How the source's bytes become the events that are taken.
    fn of_events(versions: String, source: &Source, filter: Option<&Expression>) -> Facts {
        let mut facts = Facts(versions + &rules::decoding(source));
        facts.line(format_args!("dedup_window {}", source.dedup_window));
        if let Some(definition) = &source.written_by {
            facts.line(format_args!("written_by {definition}"));
        }
        if let Some(filter) = filter {
            facts.line(format_args!("where {:?}", filter.to_string()));
        }
        facts
    }

    fn line(&mut self, fact: fmt::Arguments<'_>) {
        writeln!(self.0, "{fact}").expect("a String takes any text");
    }

    fn measures(&mut self, measures: &[Measure]) {
        for measure in measures {
            let of = measure.of.as_ref().map(ToString::to_string).unwrap_or_default();
            self.line(format_args!("measure {} {:?} {of:?}", measure.name, measure.kind));
        }
    }

    fn aggregates(&mut self, by: &[String], measures: &[Measure], derived: &[Derived]) {
        self.line(format_args!("by {}", by.join(" ")));
        self.measures(measures);
        self.derived(derived);
    }

    fn derived(&mut self, derived: &[Derived]) {
        for derived in derived {
            self.line(format_args!("derived {} {:?}", derived.name, derived.of.to_string()));
        }
    }

    fn map(&mut self, map: &Map) {
        self.line(format_args!("map {}", map.key.as_deref().unwrap_or("-")));
        for (name, of) in &map.fields {
            self.line(format_args!("set {name} {:?}", of.to_string()));
        }
    }

    fn detect(&mut self, detect: &Detect) {
        let Detect { key, history_us, history_max, rejudge_max, rules } = detect;
        self.line(format_args!("detect {key} {history_us} {history_max} {rejudge_max}"));
        for rule in rules {
            self.line(format_args!("rule {} {:?}", rule.name, rule.condition.to_string()));
            for look in &rule.looks {
                let kind = match &look.kind {
                    LookKind::Count => "count".to_owned(),
                    LookKind::Previous(of) => format!("previous {of}"),
                    LookKind::Sum(of) => format!("sum {of}"),
                    LookKind::Avg(of) => format!("avg {of}"),
                    LookKind::Min(of) => format!("min {of}"),
                    LookKind::Max(of) => format!("max {of}"),
                };
                self.line(format_args!("look {:?} {:?} {kind:?}", look.column, look.span_us));
            }
        }
    }
}

#[cfg(test)]
mod tests;
