//! Reads `[reports.…]`, and checks each against its metric and the tables that it joins.

use std::collections::{BTreeMap, BTreeSet};

use chrono_tz::Tz;

use super::condition::accepted;
use super::document::{Table as Section, Text};
use super::duration::duration;
use super::source::Draft;
use super::{name, schedule};
use crate::catalog::{Cron, Derived, Join, Metric, Report, Table};
use crate::expression::{Expression, Scope};
use crate::schema::{Field, FieldType};
use crate::suggest;
use crate::time::{DAY_US, HOUR_US, format_duration_us, zone_offsets_us};

/// The only period so far.
const PERIOD: &str = "1d";
/// The column of a row's day, and the parameter that asks for one.
const DATE: &str = "date";
/// Each run calculates these days again, so they are not many.
const REVISE_MAX_US: i64 = 31 * DAY_US;
/// A run that waits is given up after so long. With more, there would always be a day that waits, and none would be revised.
const SETTLE_MAX_US: i64 = 12 * HOUR_US;

/// What a report can name.
pub(super) struct Known<'a> {
    /// The sources, those that tables are among them.
    pub(super) drafts: &'a BTreeMap<String, Draft>,
    pub(super) tables: &'a BTreeMap<String, Table>,
    pub(super) metrics: &'a BTreeMap<String, Metric>,
    /// The metrics of which a part could not be read.
    pub(super) doubtful: &'a BTreeSet<String>,
    /// The zone of a report that names none.
    pub(super) time_zone: Tz,
}

/// The metric of a report.
#[derive(Clone, Copy)]
struct Counted<'a> {
    metric: &'a Metric,
    draft: Option<&'a Draft>,
    /// Where the report names it.
    at: usize,
    /// Whether a part of it could not be read, so that the report may name that.
    doubtful: bool,
}

/// The columns so far, with their types. Delta tells names apart without regard to case.
#[derive(Default)]
struct Columns {
    all: Vec<(String, FieldType)>,
    /// Whether some are missing, as they could not be read.
    lacks_some: bool,
}

/// Reads all reports. Reports mistakes and leaves the wrong parts out.
pub(super) fn reports(section: Option<Section<'_>>, known: &Known<'_>) -> BTreeMap<String, Report> {
    let mut reports = BTreeMap::new();
    let Some(mut section) = section else { return reports };
    for name in section.keys_in_order() {
        name::check(section.mistakes, name, "report");
        let Some(entry) = section.table(name.value) else { continue };
        reports.extend(report(name.value, entry, known).map(|report| (name.value.to_owned(), report)));
    }
    reports
}

/// Reads one report; `None` if nothing can stand for what is wrong with it.
fn report(name: &str, mut table: Section<'_>, known: &Known<'_>) -> Option<Report> {
    let counted = counted(name, &mut table, known);
    period(&mut table);
    let cron = cron(&mut table);
    let time_zone = schedule::time_zone(&mut table).unwrap_or(known.time_zone);
    if let Some(counted) = counted {
        check_grain(&table, counted, time_zone);
    }
    let mut columns = Columns::of(&table, counted);
    let join = joins(&mut table, known, counted, &mut columns);
    let computed = computed(&mut table, &mut columns);
    let settle_us = settle(&mut table).unwrap_or(HOUR_US);
    let revise_us = revise(&mut table).unwrap_or(7 * DAY_US);
    table.refuse_unknown_keys();
    let metric = counted?.metric.name.clone();
    Some(Report {
        name: name.to_owned(),
        metric,
        schedule: cron?,
        time_zone,
        join,
        columns: computed,
        settle_us,
        revise_us,
    })
}

fn counted<'a>(name: &str, table: &mut Section<'_>, known: &Known<'a>) -> Option<Counted<'a>> {
    let names = || known.metrics.keys().map(String::as_str);
    let text = table.required_text("metric", names().next().unwrap_or("engagement"))?;
    let Some(metric) = known.metrics.get(text.value) else {
        let fix = suggest::fix(text.value, "metrics", names().collect::<Vec<_>>());
        table.mistakes.report(text.at, format!("report `{name}` names the unknown metric `{}`", text.value), fix);
        return None;
    };
    let draft = known.drafts.get(&metric.source);
    let doubtful = known.doubtful.contains(&metric.name) || draft.is_none_or(|draft| draft.doubtful);
    Some(Counted { metric, draft, at: text.at, doubtful })
}

fn period(table: &mut Section<'_>) {
    let Some(text) = table.text("period").filter(|text| text.value != PERIOD) else { return };
    let what = format!("`period` is \"{}\", and a report is of days", text.value);
    table.mistakes.report(text.at, what, format!("write period = \"{PERIOD}\", or leave it out"));
}

fn cron(table: &mut Section<'_>) -> Option<Cron> {
    if !table.holds("schedule") {
        let what = format!("{} has no `schedule`", table.title);
        table.mistakes.report(table.at, what, "say when it runs, such as schedule = \"0 0 2 * * *\"");
    }
    schedule::cron(table, "schedule")
}

/// Days of the zone have to consist of whole buckets.
fn check_grain(table: &Section<'_>, counted: Counted<'_>, zone: Tz) {
    let Metric { name, grain_us, .. } = counted.metric;
    let offsets = zone_offsets_us(zone);
    if offsets.iter().all(|offset| offset % grain_us == 0) {
        return;
    }
    let largest = offsets.into_iter().fold(DAY_US, greatest_common_divisor);
    let (grain, largest) = (format_duration_us(*grain_us), format_duration_us(largest));
    let what = format!("days of {} begin within a bucket of metric `{name}`, whose grain is {grain}", zone.name());
    let fix =
        format!("write grain = \"{largest}\" in [metrics.{name}], or a part of that, or time_zone = \"UTC\" here");
    table.mistakes.report(counted.at, what, fix);
}

fn greatest_common_divisor(a: i64, b: i64) -> i64 {
    if b == 0 { a.abs() } else { greatest_common_divisor(b, a % b) }
}

impl Columns {
    /// Those of a metric: what it groups by, its measures, and what is derived from these.
    fn of(table: &Section<'_>, counted: Option<Counted<'_>>) -> Columns {
        let Some(Counted { metric, draft, at, doubtful }) = counted else {
            return Columns { all: Vec::new(), lacks_some: true };
        };
        let mut columns = Columns { all: Vec::new(), lacks_some: doubtful };
        let field = |name: &String| draft.and_then(|draft| draft.source.field(name)).map(|field| field.kind);
        let by = metric.by.iter().filter_map(|name| Some((name, field(name)?)));
        let numbers = metric.measures.iter().filter(|measure| measure.kind.is_number());
        let measures = numbers.map(|measure| (&measure.name, measure.kind.value_type()));
        let derived = metric.derived.iter().map(|derived| (&derived.name, derived.of.kind()));
        for (name, kind) in by.chain(measures).chain(derived) {
            if let Some(other) = columns.taken(name) {
                let what = format!("metric `{}` calls a column `{name}`, and {other}", metric.name);
                table.mistakes.report(at, what, "a report cannot have both: call that column of the metric otherwise");
            }
            columns.all.push((name.clone(), kind));
        }
        columns
    }

    /// What else is called so, as the end of a sentence.
    fn taken(&self, name: &str) -> Option<String> {
        if name.eq_ignore_ascii_case(DATE) {
            return Some(format!("every report has a column `{DATE}`"));
        }
        let other = self.all.iter().find(|(other, _)| other.eq_ignore_ascii_case(name));
        other.map(|(other, _)| format!("another column is called `{other}`"))
    }
}

/// Reads the tables that are joined, and adds their columns.
fn joins(table: &mut Section<'_>, known: &Known<'_>, counted: Option<Counted<'_>>, columns: &mut Columns) -> Vec<Join> {
    let mut joins = Vec::new();
    let Some(mut entries) = table.table("join") else { return joins };
    for name in entries.keys_in_order() {
        let Some(mut entry) = entries.table(name.value) else { continue };
        let draft = known.drafts.get(name.value).filter(|_| known.tables.contains_key(name.value));
        if draft.is_none() {
            columns.lacks_some = true;
            let fix = suggest::fix(name.value, "tables", known.tables.keys().map(String::as_str).collect::<Vec<_>>());
            let is_source = if known.drafts.contains_key(name.value) { "a source, and no table" } else { "unknown" };
            entries.mistakes.report(name.at, format!("`join` names `{}`, which is {is_source}", name.value), fix);
        }
        let usual = counted.and_then(|counted| counted.metric.by.first()).map_or("user_id", String::as_str);
        let on = entry.required_text("on", usual);
        if let (Some(on), Some(counted), Some(draft)) = (on, counted, draft) {
            check_on(&entry, on, counted, draft);
        }
        let take = take(&mut entry, draft, columns);
        entry.refuse_unknown_keys();
        let on = on.map(|on| on.value.to_owned()).unwrap_or_default();
        joins.push(Join { table: name.value.to_owned(), on, take });
    }
    joins
}

/// Checks that a column of the metric can be the key of a table's rows.
fn check_on(entry: &Section<'_>, on: Text<'_>, counted: Counted<'_>, draft: &Draft) {
    let Counted { metric, draft: source, doubtful, .. } = counted;
    if !metric.by.iter().any(|column| column == on.value) {
        if !doubtful {
            let fix =
                suggest::fix(on.value, "columns of `by`", metric.by.iter().map(String::as_str).collect::<Vec<_>>());
            let what = format!("`on` names `{}`, by which metric `{}` does not group", on.value, metric.name);
            entry.mistakes.report(on.at, what, fix);
        }
        return;
    }
    let key = draft.source.key.as_deref().and_then(|key| draft.source.field(key));
    let (Some(key), Some(field)) = (key, source.and_then(|source| source.source.field(on.value))) else { return };
    if key.kind != field.kind {
        let (kind, of_key) = (field.kind.name(), key.kind.name());
        let what =
            format!("`on` names `{}`, which is {kind}, and the key `{}` of the table is {of_key}", on.value, key.name);
        entry.mistakes.report(on.at, what, format!("group by a column that is {of_key}"));
    }
}

/// Reads which fields of a table become columns.
fn take(entry: &mut Section<'_>, draft: Option<&Draft>, columns: &mut Columns) -> Vec<String> {
    let before = entry.mistakes.count();
    let fields = entry.texts("take");
    columns.lacks_some |= fields.is_empty();
    if fields.is_empty() && entry.mistakes.count() == before {
        let what = format!("{} has no `take`", entry.title);
        entry.mistakes.report(entry.at, what, "name the fields that become columns: take = [\"name\"]");
    }
    let mut taken = Vec::new();
    for text in fields {
        let Some(draft) = draft else { continue };
        let Some(Field { name, kind, .. }) = draft.source.field(text.value) else {
            columns.lacks_some = true;
            if !draft.doubtful {
                let known: Vec<&str> = draft.source.fields.iter().map(|field| field.name.as_str()).collect();
                let what = format!("`take` names the undeclared field `{}`", text.value);
                entry.mistakes.report(text.at, what, suggest::fix(text.value, "fields", known));
            }
            continue;
        };
        if let Some(other) = columns.taken(name) {
            let what = format!("`take` names `{name}`, and {other}");
            let fix = "leave it out, or give the field another name and say where it stands: \
                       other = { type = \"…\", path = \"…\" }";
            entry.mistakes.report(text.at, what, fix);
            continue;
        }
        columns.all.push((name.clone(), *kind));
        taken.push(name.clone());
    }
    taken
}

/// Reads the columns that are calculated.
fn computed(table: &mut Section<'_>, columns: &mut Columns) -> Vec<Derived> {
    let mut computed = Vec::new();
    let Some(mut entries) = table.table("columns") else { return computed };
    let scope = Scope::of_report(columns.all.iter().cloned());
    for name in entries.keys_in_order() {
        name::check(entries.mistakes, name, "column");
        if let Some(other) = columns.taken(name.value) {
            let what = format!("column `{}` is declared, and {other}", name.value);
            entries.mistakes.report(name.at, what, "call one of them otherwise");
        }
        let Some(text) = entries.text(name.value) else { continue };
        let read = Expression::parse(text.value, &scope);
        let place = format!("column `{}`", name.value);
        let Some(of) = accepted(&entries, text, &place, read, columns.lacks_some) else { continue };
        columns.all.push((name.value.to_owned(), of.kind()));
        computed.push(Derived { name: name.value.to_owned(), of });
    }
    computed
}

fn settle(table: &mut Section<'_>) -> Option<i64> {
    let why = ["a run waits no longer than half a day", "what arrives later is counted within `revise`"];
    at_most(table, "settle", SETTLE_MAX_US, why)
}

fn revise(table: &mut Section<'_>) -> Option<i64> {
    let why = ["each run calculates these days again", "`batch-layer report run` writes older days"];
    at_most(table, "revise", REVISE_MAX_US, why)
}

/// Reads a duration that has a largest value, given why that is, and what to do instead.
fn at_most(table: &mut Section<'_>, key: &str, most_us: i64, [why, instead]: [&str; 2]) -> Option<i64> {
    let at = table.key_at(key);
    let us = duration(table, key, 0)?;
    if us > most_us {
        let what = format!("`{key}` is {}, and {why}", format_duration_us(us));
        let fix = format!("write at most \"{}\"; {instead}", format_duration_us(most_us));
        table.mistakes.report(at.unwrap_or(table.at), what, fix);
        return None;
    }
    Some(us)
}
