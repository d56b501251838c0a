//! TOML text → checked catalog, or every mistake in it.
//!
//! Sections are read one after the other, and a mistake in one does not stop the next. Each mistake is reported and a
//! harmless value takes the place of the wrong one, so that one report is enough to correct the whole file. Only a text
//! that is not TOML stops at once, since nothing after the syntax error can be trusted.
//!
//! - `document`: tables and values with the place where they stand, and the list of mistakes;
//! - `name`: which names are allowed;
//! - `deployment`: `[pipeline]`;
//! - `schedule`: `[schedule]`;
//! - `source`: `[sources.…]`; with `event_id`, what identifies an event, `event_time`, when it happened, `field`, its fields,
//!   `columns`, what formats with columns say about them, `instant`, how times are written, and `size`, numbers of bytes;
//! - `duration`, `retain`: durations, and how long events and counts are kept;
//! - `table`: `[tables.…]`, which are sources, too;
//! - `stream`: `[streams.…]`, checked against the fields of what they read;
//! - `metric`: `[metrics.…]`, checked against the fields of its source; with `condition`, `by` and `measures`, which streams have,
//!   too;
//! - `report`: `[reports.…]`, checked against their metrics and tables;
//! - `alert`: `[alerts.…]`, checked against their metrics;
//! - `index`: `[indexes.…]`, checked against the table or stream that they follow.

mod alert;
mod by;
mod columns;
mod condition;
mod deployment;
mod document;
mod duration;
mod event_id;
mod event_time;
mod field;
mod index;
mod instant;
mod measures;
mod metric;
mod name;
mod report;
mod retain;
mod schedule;
mod size;
mod source;
mod stream;
mod table;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use toml::de::DeTable;

use super::{Catalog, Metric, Mistake};
use document::{Mistakes, Table};
use source::Draft;

/// Reads and checks a catalog; mistakes come in the order of their lines.
pub(super) fn catalog(text: &str) -> Result<Catalog, Vec<Mistake>> {
    let mistakes = Mistakes::new(text);
    let document = match DeTable::parse(text) {
        Ok(document) => document,
        Err(error) => {
            let at = error.span().map_or(0, |span| span.start);
            mistakes.report(at, format!("not TOML: {}", error.message()), "mend this first; the rest was not read");
            return Err(mistakes.in_order());
        }
    };
    let mut root = Table::root(document.get_ref(), &mistakes);
    let deployment = deployment::deployment(root.table("pipeline"));
    let schedule = schedule::schedule(root.table("schedule"));
    let mut drafts = sources(root.table("sources"), &mistakes);
    let tables = table::tables(root.table("tables"), &mut drafts);
    let streams = stream::streams(root.table("streams"), &mut drafts);
    let (metrics, doubtful) = metrics(root.table("metrics"), &drafts);
    let time_zone = schedule.time_zone;
    let known = report::Known { drafts: &drafts, tables: &tables, metrics: &metrics, doubtful: &doubtful, time_zone };
    let reports = report::reports(root.table("reports"), &known);
    let known = alert::Known { drafts: &drafts, metrics: &metrics, doubtful: &doubtful };
    let alerts = alert::alerts(root.table("alerts"), &known);
    let indexes = index::indexes(root.table("indexes"), &drafts);
    root.refuse_unknown_keys();
    if !deployment.keeps_archive {
        refuse_without_archive(&root, &mistakes);
    }

    let mistakes = mistakes.in_order();
    if !mistakes.is_empty() {
        return Err(mistakes);
    }
    let sources = drafts.into_iter().map(|(name, draft)| (name, draft.source)).collect();
    Ok(Catalog { deployment, schedule, sources, tables, streams, metrics, reports, alerts, indexes })
}

/// K5: what lanes remember, rows of tables and days of reports lie beside archives or are made from them.
fn refuse_without_archive(root: &Table<'_>, mistakes: &Mistakes) {
    for section in ["tables", "streams", "reports", "indexes"] {
        if let Some(at) = root.key_at(section) {
            let what = format!("[{section}] needs archives, and [pipeline] has archive = false");
            mistakes.report(at, what, "leave `archive = false` out, or keep to sources and metrics");
        }
    }
}

fn sources(table: Option<Table<'_>>, mistakes: &Mistakes) -> BTreeMap<String, Draft> {
    let mut drafts: BTreeMap<String, Draft> = BTreeMap::new();
    let Some(mut table) = table.filter(|table| !table.is_empty()) else {
        mistakes.report(0, "the catalog declares no source", "add a table such as [sources.views]");
        return drafts;
    };
    for name in table.keys_in_order() {
        name::check(mistakes, name, "source");
        let Some(entry) = table.table(name.value) else { continue };
        let draft = source::source(name.value, entry);
        if let Some(other) = drafts.values().find(|other| other.source.topic == draft.source.topic) {
            let what = format!(
                "sources `{}` and `{}` share the topic `{}`",
                other.source.name, name.value, other.source.topic
            );
            mistakes.report(draft.topic_at, what, "a topic has one source; give one of them another topic");
        }
        drafts.insert(name.value.to_owned(), draft);
    }
    drafts
}

/// All metrics, and the names of those in which there are mistakes.
fn metrics(table: Option<Table<'_>>, drafts: &BTreeMap<String, Draft>) -> (BTreeMap<String, Metric>, BTreeSet<String>) {
    let (mut metrics, mut doubtful) = (BTreeMap::new(), BTreeSet::new());
    let Some(mut table) = table else { return (metrics, doubtful) };
    for name in table.keys_in_order() {
        let before = table.mistakes.count();
        name::check(table.mistakes, name, "metric");
        if let Some(entry) = table.table(name.value) {
            metrics.insert(name.value.to_owned(), metric::metric(name.value, entry, drafts));
        }
        if table.mistakes.count() > before {
            doubtful.insert(name.value.to_owned());
        }
    }
    (metrics, doubtful)
}
