//! Any text as a catalog: if it is accepted, every metric has a plan that runs, and every stream and table is a source; if it is
//! refused, each mistake says where and why.

use polars::prelude::{DataFrame, IntoLazy};
use shared_logic::catalog::{CHANGED_AT, Catalog, Metric, Mistake, Source};
use shared_logic::decode::{Columns, Decoder};
use shared_logic::format::FieldValue;
use shared_logic::plan::{Plan, SourcePlan};
use shared_logic::schema::{Field, FieldType, Place, Step};

/// Parses a text as a catalog and checks the result.
///
/// # Panics
/// If the parser breaks a promise.
pub fn catalog(text: &str) {
    let parsed = Catalog::parse(text);
    assert_eq!(parsed, Catalog::parse(text), "a catalog is a function of its text");
    match &parsed {
        Ok(catalog) => accepted(text, catalog),
        Err(mistakes) => refused(text, mistakes),
    }
}

/// Every metric has a plan that runs, and every stream and table is a source. Definitions do not depend on the layout of the file.
fn accepted(text: &str, catalog: &Catalog) {
    // Added at the end, because a byte order mark may only stand first.
    let again = Catalog::parse(&format!("{text}\n# the same\n")).expect("a comment changes nothing");
    assert_eq!(*catalog, again);
    for (metric, same) in catalog.metrics.values().zip(again.metrics.values()) {
        assert_eq!(catalog.definition(metric), again.definition(same), "a definition is stable");
        let source = &catalog.sources[&metric.source];
        if is_possible(source) {
            runs(source, metric);
        }
    }
    for (stream, same) in catalog.streams.values().zip(again.streams.values()) {
        let definition = catalog.stream_definition(stream);
        assert_eq!(definition, again.stream_definition(same), "a definition is stable");
        let source = &catalog.sources[&stream.name];
        assert!(source.is_stream && source.written_by == Some(definition), "a stream is a source");
        assert!(source.key.iter().all(|key| source.field(key).is_some()), "records are keyed by a field");
        events(source);
    }
    for (table, same) in catalog.tables.values().zip(again.tables.values()) {
        assert_eq!(catalog.table_definition(table), again.table_definition(same), "a definition is stable");
        let source = &catalog.sources[&table.name];
        assert!(source.is_table && source.key.as_ref() == Some(&table.key) && source.topic == table.topic);
        assert_eq!(source.fields.last().map(|field| field.name.as_str()), Some(CHANGED_AT));
        let is_key = |field: &&Field| matches!(field.kind, FieldType::String | FieldType::Int) && !field.optional;
        assert!(source.field(&table.key).filter(is_key).is_some(), "a key is there and has a text");
        if is_possible(source) {
            events(source);
        }
    }
    let counted = |source: &&Source| is_possible(source) && catalog.metrics_of(&source.name).next().is_some();
    catalog.sources.values().filter(counted).for_each(|source| run_together(catalog, source));
}

/// The texts of the values that events are made of, beside instants.
const VALUES: [&str; 4] = ["a", "7", "0.5", "true"];

/// Whether one document can hold a value of each field: no field stands where another does, inside of it, or where that one
/// needs an array and this one an object. And whether no value of ours stands for an absent one.
fn is_possible(source: &Source) -> bool {
    if source.null.iter().any(|null| VALUES.contains(&null.as_str())) {
        return false;
    }
    let steps = |place: &Place, name: &str| match place {
        Place::Path(steps) => steps.clone(),
        Place::Own | Place::Joined(_) | Place::Record => vec![Step::Member(name.to_owned())],
    };
    let all: Vec<Vec<Step>> = source.fields.iter().map(|field| steps(&field.place, &field.name)).collect();
    let apart = |a: &[Step], b: &[Step]| {
        let parting = a.iter().zip(b).find(|(a, b)| a != b);
        parting.is_some_and(|(a, b)| matches!(a, Step::Member(_)) == matches!(b, Step::Member(_)))
    };
    all.iter().enumerate().all(|(at, a)| all[..at].iter().all(|b| apart(a, b)))
}

/// The plan of a metric takes the events of its source and gives the columns that it promises.
fn runs(source: &Source, metric: &Metric) {
    let plan = Plan::new(source, metric);
    assert!(plan.columns().iter().all(|name| source.field(name).is_some()), "a plan reads declared fields only");
    if source.format.names_schemas() {
        return;
    }
    let events = events(source);
    let partials = plan.partials(events.lazy()).unwrap_or_else(|error| panic!("{} does not run: {error}", metric.name));
    assert!(partials.height() <= 2, "no more partials than events");
    assert_eq!(partials.width(), metric.by.len() + 1 + metric.measures.len());
    plan.roll_up(&partials, |_| false).unwrap_or_else(|error| panic!("{} does not roll up: {error}", metric.name));
}

/// The metrics of a source take its events in one pass.
fn run_together(catalog: &Catalog, source: &Source) {
    let plan = SourcePlan::new(source, catalog.metrics_of(&source.name));
    if source.format.names_schemas() {
        return;
    }
    let encoded = plan.encode(events(source)).unwrap_or_else(|error| panic!("{} is not counted: {error}", source.name));
    let counted = plan.count(&encoded, 0, &[1, 2], usize::MAX);
    assert_eq!((counted.to, counted.partials.len()), (2, catalog.metrics_of(&source.name).count()));
    let partials: usize = counted.partials.iter().map(|partials| partials.len()).sum();
    assert!(partials <= 2 * plan.sets(), "no more partials than events belong to");
}

/// Two events of a source: one with every field, one with the required ones only.
fn events(source: &Source) -> DataFrame {
    let mut decoder = Decoder::new(source);
    let mut columns = Columns::new(source, |_| true, 2);
    for everything in [true, false] {
        let value = |kind: FieldType| match kind {
            FieldType::String => FieldValue::Text("a"),
            FieldType::Int => FieldValue::Int(7),
            FieldType::Float => FieldValue::Float(0.5),
            FieldType::Bool => FieldValue::Bool(true),
            FieldType::Timestamp => FieldValue::Instant(1_777_023_000_000_000),
        };
        let values = source.fields.iter().map(|field| (everything || !field.optional).then(|| value(field.kind)));
        let payload = source.write(&values.collect::<Vec<_>>());
        // A change has the time of its record; the age of another event is not judged without one.
        let event = decoder.decode(Some(&payload), source.is_table.then_some(0));
        columns.push(
            &event.unwrap_or_else(|rejected| panic!("{} is {}", payload.escape_ascii(), rejected.text(&source.fields))),
        );
    }
    columns.finish().expect("columns of a checked catalog")
}

/// Each mistake names a line of the file and what to do, in one line of text, in order.
fn refused(text: &str, mistakes: &[Mistake]) {
    assert!(!mistakes.is_empty(), "refused without a reason");
    assert!(mistakes.is_sorted_by_key(|mistake| mistake.line), "mistakes come in the order of their lines");
    let last = text.bytes().filter(|byte| *byte == b'\n').count() + 1;
    for mistake in mistakes {
        assert!((1..=last).contains(&mistake.line), "{mistake} is not within {last} lines");
        assert!(!mistake.what.is_empty() && !mistake.fix.is_empty(), "{mistake:?}");
        assert!(!mistake.to_string().contains(char::is_control), "{mistake:?} is more than a line");
    }
}
