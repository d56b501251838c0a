//! Reads `measures` and `derived`, which metrics, windows and sessions have.

use super::condition::accepted;
use super::document::{Table, Text};
use super::name;
use super::source::Draft;
use crate::catalog::{Derived, Measure};
use crate::expression::{Aggregation, Expression, Scope};
use crate::measure::MeasureKind;
use crate::schema::FieldType;

/// What is aggregated.
pub(super) struct Aggregates {
    pub(super) measures: Vec<Measure>,
    /// The means first, which are written as measures.
    pub(super) derived: Vec<Derived>,
}

/// The columns that stand beside measures.
pub(super) struct Others<'a> {
    pub(super) names: Vec<&'a str>,
    /// Where they all stand, for a message: `the view`.
    pub(super) holder: &'a str,
    /// Whether derived values stand there, too.
    pub(super) with_derived: bool,
    /// Whether measures that are sketches may stand there.
    pub(super) with_sketches: bool,
}

impl Others<'_> {
    fn hold(&self, name: &str) -> bool {
        self.names.iter().any(|other| other.eq_ignore_ascii_case(name))
    }
}

/// What the text of each measure gave.
#[derive(Default)]
struct Declared {
    measures: Vec<Measure>,
    means: Vec<Derived>,
    /// Whether some measure could not be read, so that a derived value may name it.
    lacks_some: bool,
}

/// Reads both. Reports mistakes and leaves the wrong parts out.
pub(super) fn aggregates(table: &mut Table<'_>, draft: Option<&Draft>, others: &Others<'_>) -> Aggregates {
    let declared = measures(table, draft, others);
    let derived = derived(table, &declared, others);
    let Declared { measures, means, .. } = declared;
    Aggregates { measures, derived: means.into_iter().chain(derived).collect() }
}

fn measures(table: &mut Table<'_>, draft: Option<&Draft>, others: &Others<'_>) -> Declared {
    let Some(mut entries) = table.table("measures").filter(|measures| !measures.is_empty()) else {
        let what = format!("{} has no measures", table.title);
        let fix =
            format!("add [{}.measures] with, for example, events = \"count()\"", table.title.trim_matches(['[', ']']));
        table.mistakes.report(table.at, what, fix);
        return Declared { lacks_some: true, ..Declared::default() };
    };
    let mut declared = Declared::default();
    for name in entries.keys_in_order() {
        name::check(entries.mistakes, name, "measure");
        if others.hold(name.value) {
            let what = format!("measure `{}` is called like another column of {}", name.value, others.holder);
            entries.mistakes.report(name.at, what, "call the measure otherwise");
        }
        let (Some(text), Some(draft)) = (entries.text(name.value), draft) else {
            declared.lacks_some = true;
            continue;
        };
        let read = Expression::parse_measure(text.value, &Scope::of_fields(&draft.source.fields));
        match accepted(&entries, text, &format!("measure `{}`", name.value), read, draft.doubtful) {
            Some(Aggregation::Measure(kind, _)) if kind.is_sketch() && !others.with_sketches => {
                let what = format!("measure `{}` is a sketch: `{}`", name.value, text.value);
                let fix = "a sketch cannot be written to a stream yet; count it in a metric over the same source";
                entries.mistakes.report(text.at, what, fix);
                declared.lacks_some = true;
            }
            Some(Aggregation::Measure(kind, of)) => {
                declared.measures.push(Measure { name: name.value.to_owned(), kind, of });
            }
            Some(Aggregation::Mean { sum, count }) => add_mean(&entries, name, sum, count, others, &mut declared),
            None => declared.lacks_some = true,
        }
    }
    declared
}

/// A mean is a sum, a count, and a value that is derived from both.
fn add_mean(
    entries: &Table<'_>,
    name: Text<'_>,
    sum: (MeasureKind, Expression),
    count: (MeasureKind, Expression),
    others: &Others<'_>,
    declared: &mut Declared,
) {
    let parts = [(format!("{}_sum", name.value), sum), (format!("{}_count", name.value), count)];
    for (part, _) in &parts {
        if entries.holds(part) || others.hold(part) {
            let what = format!("measure `{}` is a mean, which makes a measure `{part}`", name.value);
            entries.mistakes.report(
                name.at,
                what,
                format!("another column is called `{part}`: call one of them otherwise"),
            );
        }
    }
    let scope = Scope::of_measures(parts.iter().map(|(part, (kind, _))| (part.clone(), kind.value_type())));
    match Expression::parse(&format!("\"{}\" / \"{}\"", parts[0].0, parts[1].0), &scope) {
        Ok(of) => declared.means.push(Derived { name: name.value.to_owned(), of }),
        // A name with quotes in it is reported as no name.
        Err(_) => declared.lacks_some = true,
    }
    declared.measures.extend(parts.map(|(name, (kind, of))| Measure { name, kind, of: Some(of) }));
}

fn derived(table: &mut Table<'_>, declared: &Declared, others: &Others<'_>) -> Vec<Derived> {
    let Some(mut entries) = table.table("derived") else { return Vec::new() };
    let Declared { measures, means, lacks_some } = declared;
    let (numbers, sketches): (Vec<&Measure>, Vec<&Measure>) =
        measures.iter().partition(|measure| measure.kind.is_number());
    let columns = numbers.into_iter().map(|measure| (measure.name.clone(), measure.kind.value_type()));
    let scope = Scope::of_measures(columns.chain(means.iter().map(|mean| (mean.name.clone(), mean.of.kind()))))
        .with_sketches(sketches.into_iter().map(|measure| (measure.name.clone(), measure.kind)));
    let names = || measures.iter().map(|measure| &measure.name).chain(means.iter().map(|mean| &mean.name));
    let mut derived = Vec::new();
    for name in entries.keys_in_order() {
        name::check(entries.mistakes, name, "derived value");
        if names().any(|measure| measure == name.value) {
            let what = format!("derived `{}` is called like a measure", name.value);
            entries.mistakes.report(name.at, what, "call one of them otherwise");
        }
        if others.with_derived && others.hold(name.value) {
            let what = format!("derived `{}` is called like another column of {}", name.value, others.holder);
            entries.mistakes.report(name.at, what, "call the derived value otherwise");
        }
        let Some(text) = entries.text(name.value) else { continue };
        let place = format!("derived `{}`", name.value);
        let read = Expression::parse(text.value, &scope);
        let Some(of) = accepted(&entries, text, &place, read, *lacks_some) else { continue };
        if !matches!(of.kind(), FieldType::Int | FieldType::Float) {
            let what = format!("{place} is {}, not a number: `{}`", of.kind().name(), text.value);
            entries.mistakes.report(text.at, what, "write a calculation, such as `dwell_ms / views`");
            continue;
        }
        let mean = |name: &str| means.iter().find(|mean| mean.name == name).map(|mean| mean.of.clone());
        derived.push(Derived { name: name.value.to_owned(), of: of.with_in_place(&mean) });
    }
    derived
}
