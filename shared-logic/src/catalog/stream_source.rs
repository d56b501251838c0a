//! A stream as a source: what is read of the topic that it writes.

use super::definition;
use super::source::{Source, Start};
use super::stream::{
    Detect, INCOMPLETE, JUDGED_OFFSET, Lookup, Map, OF_DETECTORS, OUTPUT_ID, OUTPUT_TIME, RULE, SESSION_END,
    SESSION_START, Session, Stream, StreamKind, TRUNCATED, WINDOW_END, WINDOW_START, Window,
};
use super::{Derived, Measure};
use crate::expression::Expression;
use crate::format::Format;
use crate::measure::MeasureKind;
use crate::schema::{Field, FieldType};

/// The most bytes of a record that a catalog can allow. Whatever a stream writes is read again.
const MAX_RECORD: u64 = 1 << 30;

/// The source that a stream is, which reads `from`. What it says of archive and duplicates is what `from` says. `tables` are those that
/// it may look into.
pub(super) fn source<'t>(stream: &Stream, from: &Source, tables: &dyn Fn(&str) -> Option<&'t Source>) -> Source {
    Source {
        name: stream.name.clone(),
        topic: stream.topic.clone(),
        partitions: from.partitions,
        event_id: vec![OUTPUT_ID.to_owned()],
        event_time: OUTPUT_TIME.to_owned(),
        key: key(stream, from),
        max_age_us: i64::MAX,
        max_ahead_us: from.max_ahead_us,
        retain_us: from.retain_us,
        max_record: MAX_RECORD,
        start: Start::Earliest,
        format: Format::Json,
        null: Vec::new(),
        time_zone: None,
        kept_bytes: from.kept_bytes,
        reconcile: from.reconcile.clone(),
        dedup_window: from.dedup_window,
        fields: fields(stream, from, tables),
        is_stream: true,
        is_table: false,
        rekeyed: stream.rekeys(),
        written_by: Some(definition::of_stream(from, stream, tables)),
    }
}

/// The fields of a source that a stream hands on where it hands on all: an output has its own identity and time.
pub(super) fn handed_on(from: &Source) -> impl Iterator<Item = &Field> {
    const OWN: [&str; 3] = [OUTPUT_ID, OUTPUT_TIME, INCOMPLETE];
    from.fields.iter().filter(move |field| !(from.is_stream && OWN.contains(&field.name.as_str())))
}

impl Stream {
    /// Whether outputs have that field of what it reads under the same name and as it was. A map may have given the name to something else, and so
    /// may a table that is looked into.
    pub fn hands_on(&self, from: &Source, field: &str) -> bool {
        match &self.kind {
            StreamKind::Map(map) => map.fields.iter().any(|(name, of)| name == field && of.as_column() == Some(field)),
            StreamKind::Window(Window { by, .. }) | StreamKind::Session(Session { by, .. }) => {
                by.iter().any(|column| column == field)
            }
            StreamKind::Detect(_) => !OF_DETECTORS.contains(&field) && handed_on(from).any(|known| known.name == field),
        }
    }
}

/// The field that the stream's records are keyed by, as far as one is known.
fn key(stream: &Stream, from: &Source) -> Option<String> {
    let grouped = |by: &[String]| {
        let own = from.key.clone().filter(|key| by.contains(key));
        own.or_else(|| by.first().cloned())
    };
    match &stream.kind {
        StreamKind::Map(Map { key: Some(key), .. }) => Some(key.clone()),
        // Records keep their keys; the field that has it may be called otherwise by now.
        StreamKind::Map(Map { key: None, fields, .. }) => {
            let key = from.key.as_deref()?;
            fields.iter().find(|(_, of)| of.as_column() == Some(key)).map(|(name, _)| name.clone())
        }
        StreamKind::Window(window) => grouped(&window.by),
        StreamKind::Session(session) => grouped(&session.by),
        StreamKind::Detect(Detect { key, .. }) => Some(from.key.as_ref().unwrap_or(key).clone()),
    }
}

/// The fields of the stream's outputs, in the order in which they are written.
fn fields<'t>(stream: &Stream, from: &Source, tables: &dyn Fn(&str) -> Option<&'t Source>) -> Vec<Field> {
    let (instant, flag) =
        (|name| Field::new(name, FieldType::Timestamp, false), |name| Field::new(name, FieldType::Bool, true));
    let mut fields = vec![Field::new(OUTPUT_ID, FieldType::String, false), instant(OUTPUT_TIME)];
    match &stream.kind {
        StreamKind::Map(map) => {
            fields.extend(map.fields.iter().map(|(name, of)| mapped(from, name, of)));
            for lookup in &map.lookups {
                fields.extend(looked_up(from, lookup, tables(&lookup.table)));
            }
        }
        StreamKind::Window(window) => {
            fields.extend([instant(WINDOW_START), instant(WINDOW_END)]);
            fields.extend(aggregated(from, &window.by, &window.measures, &window.derived));
        }
        StreamKind::Session(session) => {
            fields.extend([instant(SESSION_START), instant(SESSION_END)]);
            fields.extend(aggregated(from, &session.by, &session.measures, &session.derived));
        }
        StreamKind::Detect(_) => {
            fields
                .extend([Field::new(RULE, FieldType::String, false), Field::new(JUDGED_OFFSET, FieldType::Int, false)]);
            fields.push(flag(TRUNCATED));
            fields.extend(handed_on(from).map(|field| Field::new(&field.name, field.kind, field.optional)));
        }
    }
    fields.push(flag(INCOMPLETE));
    fields
}

fn mapped(from: &Source, name: &str, of: &Expression) -> Field {
    Field::new(name, of.kind(), may_be_null(from, of))
}

/// What outputs take of a table's row, and as of when. Without `require` there may be no row.
fn looked_up(from: &Source, lookup: &Lookup, table: Option<&Source>) -> Vec<Field> {
    let taken = lookup.take.iter().filter_map(|name| table?.field(name));
    let taken = taken.map(|field| Field::new(&field.name, field.kind, field.optional || !lookup.require));
    let may_lack_a_key = !lookup.require && from.field(&lookup.on).is_none_or(|on| on.optional);
    taken.chain([Field::new(&lookup.seen(), FieldType::String, may_lack_a_key)]).collect()
}

/// Whether an expression over the fields of a source can be null.
pub(super) fn may_be_null(from: &Source, of: &Expression) -> bool {
    of.may_be_null(&|name| from.field(name).is_none_or(|field| field.optional))
}

/// Group columns, measures and derived values. A value that is null is left out, and only a number of events never is.
fn aggregated<'a>(
    from: &'a Source,
    by: &'a [String],
    measures: &'a [Measure],
    derived: &'a [Derived],
) -> impl Iterator<Item = Field> + 'a {
    let by = by.iter().filter_map(move |name| from.field(name));
    let by = by.map(|field| Field::new(&field.name, field.kind, field.optional));
    let measures = measures
        .iter()
        .map(|measure| Field::new(&measure.name, measure.kind.value_type(), measure.kind != MeasureKind::Count));
    let derived = derived.iter().map(|derived| Field::new(&derived.name, derived.of.kind(), true));
    by.chain(measures).chain(derived)
}
