//! Reads `[alerts.…]`, and checks each against its metric.

use std::collections::{BTreeMap, BTreeSet};

use super::condition::{accepted, is_condition};
use super::document::{Table as Section, Text};
use super::duration::{duration, required};
use super::name;
use super::source::Draft;
use crate::catalog::{Alert, BEFORE, Metric};
use crate::expression::{Expression, Scope};
use crate::group_key::{KeyPart, KeyValue};
use crate::schema::FieldType;
use crate::suggest;
use crate::time::{DAY_US, SECOND_US, format_duration_us, parse_duration_us};

/// How long an alert waits for late events unless it says otherwise: as long as windows do.
const LATENESS_US: i64 = 10 * SECOND_US;
/// The longest way back: a bit more than a year, so that a window may be compared with that of the year before.
const SHIFT_MAX_US: i64 = 400 * DAY_US;
/// What `against` says of the window that ends where the newest begins.
const PREVIOUS: &str = "previous";
/// Longer texts are refused, as they go to receivers of all kinds.
const TEXT_MAX: usize = 1_000;
/// The labels that every alert has, besides those of group-key columns.
const OWN_LABELS: [&str; 3] = ["alertname", "deployment", "metric"];

/// What an alert can name.
pub(super) struct Known<'a> {
    pub(super) drafts: &'a BTreeMap<String, Draft>,
    pub(super) metrics: &'a BTreeMap<String, Metric>,
    /// The metrics of which a part could not be read.
    pub(super) doubtful: &'a BTreeSet<String>,
}

/// The metric of an alert.
#[derive(Clone, Copy)]
struct Watched<'a> {
    metric: &'a Metric,
    draft: Option<&'a Draft>,
    /// Whether a part of it could not be read, so that the alert may name that.
    doubtful: bool,
}

/// Reads all alerts. Reports mistakes and leaves the wrong parts out.
pub(super) fn alerts(section: Option<Section<'_>>, known: &Known<'_>) -> BTreeMap<String, Alert> {
    let mut alerts = BTreeMap::new();
    let Some(mut section) = section else { return alerts };
    for name in section.keys_in_order() {
        name::check(section.mistakes, name, "alert");
        let Some(entry) = section.table(name.value) else { continue };
        alerts.extend(alert(name.value, entry, known).map(|alert| (name.value.to_owned(), alert)));
    }
    alerts
}

/// Reads one alert; `None` if nothing can stand for what is wrong with it.
fn alert(name: &str, mut table: Section<'_>, known: &Known<'_>) -> Option<Alert> {
    let watched = watched(name, &mut table, known);
    let window_at = table.key_at("window").unwrap_or(table.at);
    let window_us = required(&mut table, "window", "5m", SECOND_US);
    if let (Some(window_us), Some(watched)) = (window_us, watched) {
        check_grain(&table, window_at, "window", window_us, watched);
    }
    let shift_us = against(&mut table, window_us, watched);
    let when = when(&mut table, watched);
    let for_us = duration(&mut table, "for", 0).unwrap_or(0);
    let lateness_us = duration(&mut table, "lateness", 0).unwrap_or(LATENESS_US);
    let keys = keys(&mut table, watched);
    let labels = labels(&mut table, watched);
    let summary = table.text("summary");
    let summary = summary.filter(|text| is_short(&table, "summary", *text)).map(|text| text.value.to_owned());
    table.refuse_unknown_keys();
    let metric = watched?.metric.name.clone();
    let ((when, when_text), name) = (when?, name.to_owned());
    Some(Alert {
        name,
        metric,
        keys,
        window_us: window_us?,
        shift_us,
        when,
        when_text,
        for_us,
        lateness_us,
        labels,
        summary,
    })
}

fn watched<'a>(name: &str, table: &mut Section<'_>, known: &Known<'a>) -> Option<Watched<'a>> {
    let names = || known.metrics.keys().map(String::as_str);
    let text = table.required_text("metric", names().next().unwrap_or("revenue"))?;
    let Some(metric) = known.metrics.get(text.value) else {
        let fix = suggest::fix(text.value, "metrics", names().collect::<Vec<_>>());
        table.mistakes.report(text.at, format!("alert `{name}` names the unknown metric `{}`", text.value), fix);
        return None;
    };
    let draft = known.drafts.get(&metric.source);
    let doubtful = known.doubtful.contains(&metric.name) || draft.is_none_or(|draft| draft.doubtful);
    Some(Watched { metric, draft, doubtful })
}

/// Windows consist of whole buckets.
fn check_grain(table: &Section<'_>, at: usize, key: &str, us: i64, watched: Watched<'_>) {
    let Metric { name, grain_us, .. } = watched.metric;
    if us % grain_us != 0 && !watched.doubtful {
        let (text, grain) = (format_duration_us(us), format_duration_us(*grain_us));
        let what = format!("`{key}` is {text}, and metric `{name}` is counted in buckets of {grain}");
        let fix = format!("write a multiple of {grain}, or a finer `grain` in [metrics.{name}]");
        table.mistakes.report(at, what, fix);
    }
}

/// Reads with which earlier window the newest is compared.
fn against(table: &mut Section<'_>, window_us: Option<i64>, watched: Option<Watched<'_>>) -> Option<i64> {
    let text = table.text("against")?;
    let window_us = window_us?;
    if text.value == PREVIOUS {
        return Some(window_us);
    }
    let Some(us) = parse_duration_us(text.value).filter(|us| (window_us..=SHIFT_MAX_US).contains(us)) else {
        let what = format!("`against` is \"{}\"", text.value);
        let window = format_duration_us(window_us);
        let fix =
            format!("write \"{PREVIOUS}\", or how much earlier, from \"{window}\" to 400d, such as \"1d\" or \"7d\"");
        table.mistakes.report(text.at, what, fix);
        return None;
    };
    if let Some(watched) = watched {
        check_grain(table, text.at, "against", us, watched);
    }
    Some(us)
}

/// Reads the condition, and how the catalog writes it.
fn when(table: &mut Section<'_>, watched: Option<Watched<'_>>) -> Option<(Expression, String)> {
    let text = table.required_text("when", "revenue < 0.8 * before.revenue")?;
    let Watched { metric, doubtful, .. } = watched?;
    let read = Expression::parse(text.value, &scope(metric));
    let when = accepted(table, text, "`when`", read, doubtful)?;
    if !is_condition(table, text, "`when`", &when) {
        return None;
    }
    if !table.holds("against") && when.columns().iter().any(|column| column.starts_with(BEFORE)) {
        let what = format!("`when` looks at an earlier window, and {} does not say which", table.title);
        table.mistakes.report(text.at, what, "add against = \"previous\", or how much earlier: against = \"7d\"");
    }
    Some((when, text.value.to_owned()))
}

/// The measures and derived values of a metric that are numbers, of both windows; and the distributions of the newest.
fn scope(metric: &Metric) -> Scope {
    let (numbers, sketches): (Vec<_>, Vec<_>) = metric.measures.iter().partition(|measure| measure.kind.is_number());
    let numbers = numbers.into_iter().map(|measure| (measure.name.clone(), measure.kind.value_type()));
    let derived = metric.derived.iter().map(|derived| (derived.name.clone(), derived.of.kind()));
    let newest: Vec<(String, FieldType)> = numbers.chain(derived).collect();
    let before: Vec<_> = newest.iter().map(|(name, kind)| (format!("{BEFORE}{name}"), *kind)).collect();
    let sketches = sketches.into_iter().map(|measure| (measure.name.clone(), measure.kind));
    Scope::of_measures(newest.into_iter().chain(before)).with_sketches(sketches)
}

/// Reads the values of group-key columns, as texts.
fn keys(table: &mut Section<'_>, watched: Option<Watched<'_>>) -> Vec<KeyPart> {
    let by = watched.map(|watched| watched.metric.by.as_slice()).unwrap_or_default();
    let mut parts = vec![KeyPart::All; by.len()];
    let Some(mut entries) = table.table("keys") else { return parts };
    for column in entries.keys_in_order() {
        let Some(text) = entries.text(column.value) else { continue };
        let Some(Watched { metric, draft, doubtful }) = watched else { continue };
        let Some(at) = by.iter().position(|name| name == column.value) else {
            if !doubtful {
                let what = format!("`keys` names `{}`, by which metric `{}` does not group", column.value, metric.name);
                let fix = suggest::fix(column.value, "columns of `by`", by.iter().map(String::as_str));
                entries.mistakes.report(column.at, what, fix);
            }
            continue;
        };
        let Some(field) = draft.and_then(|draft| draft.source.field(column.value)) else { continue };
        match KeyValue::parse(field.kind, text.value) {
            Some(value) => parts[at] = KeyPart::Value(value),
            None => {
                let what = format!(
                    "`{}` of `keys` is \"{}\", and the column is {}",
                    column.value,
                    text.value,
                    field.kind.name()
                );
                entries.mistakes.report(
                    text.at,
                    what,
                    format!("write a value that is {}, in quotes", field.kind.name()),
                );
            }
        }
    }
    parts
}

/// Reads what receivers get as labels.
fn labels(table: &mut Section<'_>, watched: Option<Watched<'_>>) -> BTreeMap<String, String> {
    let mut labels = BTreeMap::new();
    let Some(mut entries) = table.table("labels") else { return labels };
    let by = watched.map(|watched| watched.metric.by.as_slice()).unwrap_or_default();
    for label in entries.keys_in_order() {
        name::check(entries.mistakes, label, "label");
        if OWN_LABELS.contains(&label.value) || by.iter().any(|column| column == label.value) {
            let what = format!(
                "label `{}` is declared, and every alert of this metric may have one of that name",
                label.value
            );
            entries.mistakes.report(label.at, what, "call it otherwise, such as severity");
        }
        let Some(text) = entries.text(label.value).filter(|text| is_short(&entries, label.value, *text)) else {
            continue;
        };
        labels.insert(label.value.to_owned(), text.value.to_owned());
    }
    labels
}

/// Whether a text is short enough for receivers, and has something in it; reported if not.
fn is_short(table: &Section<'_>, key: &str, text: Text<'_>) -> bool {
    let fits = !text.value.trim().is_empty() && text.value.len() <= TEXT_MAX;
    if !fits {
        let what = format!("`{key}` has {} bytes", text.value.len());
        table.mistakes.report(text.at, what, format!("write 1 to {TEXT_MAX}, or leave it out"));
    }
    fits
}
