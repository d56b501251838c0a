//! The status of all layers as a person reads it: for each source its partitions and rejected records, then the streams, the
//! tables, the search indexes and the metrics.
//!
//! - `indexes`: search indexes.

mod indexes;

use std::fmt::Write;

use super::rejects;
use super::report::{
    Erasure, Materialised, Metric, Partition, Pause, Range, Reconciliation, Report, Source, Stream, StreamCheck,
};
use crate::number::{duration, integer};
use crate::table::{Cell, Column, Table};
use crate::terminal::{Screen, Tint, printable};

/// What stands for something that is not known.
const UNKNOWN: &str = "-";

/// The whole page, as it fits on the screen.
pub(super) fn page(report: &Report, screen: Screen) -> String {
    let mut page = Page { text: String::new(), screen };
    let status = &report.status;
    page.heading(&format!(
        "deployment {} {}, braid {}",
        status.deployment.name, status.deployment.version, status.braid
    ));
    let dependencies = &status.dependencies;
    for (name, dependency) in
        [("redis", &dependencies.redis), ("kafka", &dependencies.kafka), ("store", &dependencies.store)]
    {
        for reason in &dependency.reasons {
            page.trouble(&format!("{name}: {reason}"));
        }
    }
    for source in &status.sources {
        page.source(source);
    }
    page.streams(&status.streams);
    page.tables(&status.tables);
    page.indexes(&status.indexes, &report.reconciliations);
    page.metrics(report);
    page.text
}

struct Page {
    text: String,
    screen: Screen,
}

impl Page {
    fn source(&mut self, source: &Source) {
        self.line("");
        let log = source.log.as_ref().map_or("which does not exist".to_owned(), |log| format!("log {log}"));
        self.heading(&format!("source {}, topic {}, {log}", source.name, source.topic));
        if !source.partitions.is_empty() {
            self.text.push_str(&partitions(source).text(self.screen));
        }
        if source.logs_not_shown > 0 {
            self.line(&format!("{} older logs have ended; nothing is missing of them", integer(source.logs_not_shown)));
        }
        for partition in &source.partitions {
            let open =
                |ranges: &[Range]| ranges.iter().filter(|range| !range.accepted).map(offsets).collect::<Vec<_>>();
            let place = format!("{}/{}", partition.log, partition.partition);
            for offsets in open(&partition.lost) {
                self.trouble(&format!("lost in {place}: {offsets}"));
            }
            for offsets in open(&partition.not_decodable) {
                self.trouble(&format!("not decodable in {place}: {offsets}, archived without bytes under other rules"));
            }
        }
        let rejects = source.rejects.iter().map(|reject| (reject.reason.as_str(), reject.count, &reject.last));
        let rejects = rejects::table(rejects, self.screen);
        if !rejects.is_empty() {
            self.line("");
            self.text.push_str(&rejects);
        }
        for erasure in &source.erasures {
            let text = outstanding(erasure);
            if erasure.left_in.is_some() { self.trouble(&text) } else { self.line(&printable(&text)) }
        }
        if source.erasures_not_shown > 0 {
            let (others, name) = (integer(source.erasures_not_shown), &source.name);
            self.line(&format!("{others} other erasures: see `braid erasures {name}`"));
        }
    }

    fn streams(&mut self, streams: &[Stream]) {
        if streams.is_empty() {
            return;
        }
        self.line("");
        self.text.push_str(&written(streams).text(self.screen));
        for Stream { name, why, stopped, warnings, .. } in streams {
            // Why it is not written at all may be the first of what stops it.
            for why in why.iter().filter(|why| !stopped.contains(why)).chain(stopped) {
                self.trouble(&format!("{name}: {why}"));
            }
            for warning in warnings {
                self.line(&printable(&format!("{name}: {warning}")));
            }
        }
    }

    fn tables(&mut self, tables: &[Materialised]) {
        if tables.is_empty() {
            return;
        }
        self.line("");
        self.text.push_str(&materialised(tables).text(self.screen));
        for Materialised { name, .. } in tables.iter().filter(|table| table.current == Some(false)) {
            self.trouble(&format!("{name}: the table is of another definition, until a reconcile makes it anew"));
        }
    }

    fn metrics(&mut self, Report { metrics, reconciliations, .. }: &Report) {
        self.line("");
        self.text.push_str(&freshness(metrics, reconciliations).text(self.screen));
        for Metric { name, cut, freshness, .. } in metrics {
            if cut.as_ref().is_some_and(|cut| !cut.is_current) {
                self.trouble(&format!("{name}: the batch view is out of date, until a reconcile rebuilds it"));
            }
            if let Some(Pause { since, rolled_back_to }) = cut.as_ref().and_then(|cut| cut.pause.as_ref()) {
                let version = integer(rolled_back_to);
                self.trouble(&format!(
                    "{name}: rolled back to version {version} and paused since {since}, until `batch-layer resume {name}`"
                ));
            }
            if let Some(error) = &freshness.error {
                self.trouble(&format!("{name}: {error}"));
            }
            for gap in &freshness.gaps {
                self.trouble(&format!("{name}: gap: {gap}"));
            }
        }
        for Reconciliation { metric, drift, stream_check, .. } in reconciliations {
            if let Some(StreamCheck { missing, extra, different }) = stream_check
                && missing + extra + different > 0
            {
                let [missing, extra, different] = [missing, extra, different].map(integer);
                self.trouble(&format!(
                    "{metric}: the last check found {missing} outputs missing, {extra} extra and {different} different"
                ));
            }
            if let Some(drift) = drift.as_ref().filter(|drift| drift.unexplained > 0) {
                let buckets = integer(drift.unexplained);
                self.trouble(&format!(
                    "{metric}: in {buckets} buckets speed had counted what its rules do not explain"
                ));
            }
        }
    }

    fn heading(&mut self, text: &str) {
        self.line(&self.screen.paint(Some(Tint::Heading), &printable(text)));
    }

    fn trouble(&mut self, text: &str) {
        self.line(&self.screen.paint(Some(Tint::Bad), &printable(text)));
    }

    fn line(&mut self, text: &str) {
        // Writing to a String cannot fail.
        let _ = writeln!(self.text, "{text}");
    }
}

/// How far speed (the cursor) and the archive (next) have come, and how far there is to go. Logs are only named where there
/// are several.
fn partitions(source: &Source) -> Table {
    let has_other_logs = source.partitions.iter().any(|partition| Some(&partition.log) != source.log.as_ref());
    let mut columns: Vec<Column> =
        ["partition", "cursor", "next", "end", "speed lag", "archive lag"].map(Column::right).into();
    columns.push(Column::left("state"));
    if has_other_logs {
        columns.push(Column::left("log"));
    }
    let mut table = Table::new(columns);
    for partition in &source.partitions {
        let Partition { next, cursor, end, speed_lag, archive_lag, .. } = partition;
        let mut row = vec![Cell::new(&partition.partition.to_string())];
        row.extend([cursor, next, end, speed_lag, archive_lag].map(|offset| known(*offset)));
        row.push(Cell::new(if partition.closed { "closed" } else { "open" }));
        if has_other_logs {
            row.push(Cell::new(&partition.log));
        }
        table.push(row);
    }
    table
}

/// Whether each stream is written, and how far.
fn written(streams: &[Stream]) -> Table {
    let mut table = Table::new(vec![
        Column::left("stream"),
        Column::left("source"),
        Column::left("written"),
        Column::right("behind"),
        Column::left("published"),
    ]);
    for Stream { name, from, behind, published_at, written, .. } in streams {
        let written = written.map_or_else(|| Cell::new(UNKNOWN), Cell::yes_or_no);
        let published_at = Cell::new(published_at.as_deref().unwrap_or(UNKNOWN));
        table.push(vec![Cell::new(name), Cell::new(from), written, known(*behind), published_at]);
    }
    table
}

/// How far each table is materialised.
fn materialised(tables: &[Materialised]) -> Table {
    let mut table = Table::new(vec![
        Column::left("table"),
        Column::right("rows"),
        Column::right("behind"),
        Column::left("materialised"),
    ]);
    for Materialised { name, rows, materialised_at, behind, .. } in tables {
        let rows = rows.map_or_else(|| UNKNOWN.to_owned(), integer);
        let at = materialised_at.as_deref().unwrap_or(UNKNOWN);
        table.push(vec![Cell::new(name), Cell::new(&rows), known(*behind), Cell::new(at)]);
    }
    table
}

/// How old the batch view of each metric is, how far its answers are behind, and how many duplicates speed had counted before the
/// last reconcile.
fn freshness(metrics: &[Metric], reconciliations: &[Reconciliation]) -> Table {
    let mut table = Table::new(vec![
        Column::left("metric"),
        Column::left("source"),
        Column::right("version"),
        Column::right("cut age"),
        Column::right("behind"),
        Column::left("complete"),
        Column::right("drift"),
    ]);
    for Metric { name, source, cut, freshness } in metrics {
        let behind = freshness.lag_ms.map_or_else(|| UNKNOWN.to_owned(), duration);
        let (version, age) = match cut {
            Some(cut) => (integer(cut.version), duration(cut.age_ms)),
            None => (UNKNOWN.to_owned(), UNKNOWN.to_owned()),
        };
        let mut row: Vec<Cell> = [name, source, &version, &age, &behind].map(|text| Cell::new(text)).into();
        row.push(Cell::yes_or_no(freshness.complete));
        let is_of =
            |row: &&Reconciliation| row.metric == *name && row.stream_check.is_none() && row.index_check.is_none();
        let last = reconciliations.iter().find(is_of).and_then(|row| row.drift.as_ref());
        row.push(Cell::new(&last.map_or_else(|| UNKNOWN.to_owned(), |drift| integer(drift.duplicates))));
        table.push(row);
    }
    table
}

/// What is outstanding of an erasure.
fn outstanding(erasure: &Erasure) -> String {
    let Erasure { id, events, left_in, since, retired_before, without_bytes } = erasure;
    let since = since.as_ref().map(|since| format!(", since {since}")).unwrap_or_default();
    let mut what: Vec<String> = left_in.iter().map(|left_in| format!("{left_in}{since}")).collect();
    what.extend(retired_before.iter().map(|before| {
        format!("events of days before {before} were retired and not found, and views go on counting them")
    }));
    if *without_bytes > 0 {
        what.push(format!("{} records without bytes could not be judged under these rules", integer(*without_bytes)));
    }
    format!("erasure {id} of {} events: {}", integer(*events), what.join("; "))
}

fn known(offset: Option<i64>) -> Cell {
    Cell::new(&offset.map_or_else(|| UNKNOWN.to_owned(), integer))
}

fn offsets(range: &Range) -> String {
    format!("offsets {} to {}", integer(range.from), integer(range.to))
}

#[cfg(test)]
mod tests;
