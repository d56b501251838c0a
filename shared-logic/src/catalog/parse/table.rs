//! Reads `[tables.…]`: topics of changes. Each is added to the sources, as streams are.

use std::collections::BTreeMap;

use super::document::{Table as Section, Text};
use super::size::size;
use super::source::{Draft, MAX_RECORD, choice, role};
use super::{field, name, schedule};
use crate::catalog::{CHANGED_AT, KeptBytes, Source, Start, Table, TableFormat};
use crate::schema::{Field, FieldType, Place, Step};

/// Reads all tables. `drafts` holds the sources, and besides those that the tables are afterwards.
pub(super) fn tables(section: Option<Section<'_>>, drafts: &mut BTreeMap<String, Draft>) -> BTreeMap<String, Table> {
    let mut tables = BTreeMap::new();
    let Some(mut section) = section else { return tables };
    for name in section.keys_in_order() {
        name::check(section.mistakes, name, "table");
        let Some(entry) = section.table(name.value) else { continue };
        let (table, draft) = table(name, entry);
        if drafts.contains_key(name.value) {
            let what = format!("table `{}` is called like a source", name.value);
            section.mistakes.report(name.at, what, "a table is a source, too: call one of them otherwise");
        } else {
            if let Some(other) = drafts.values().find(|other| other.source.topic == draft.source.topic) {
                let (kind, other) = (if other.source.is_table { "table" } else { "source" }, &other.source.name);
                let what =
                    format!("the table `{}` and the {kind} `{other}` share the topic `{}`", name.value, table.topic);
                section.mistakes.report(
                    draft.topic_at,
                    what,
                    "a topic is read in one way; give one of them another topic",
                );
            }
            drafts.insert(name.value.to_owned(), draft);
        }
        tables.insert(name.value.to_owned(), table);
    }
    tables
}

/// How events and the rows of a table come together.
pub(super) fn way_out(table: &str) -> String {
    format!("look its rows up in a map: lookup.{table} = {{ on = \"…\", take = [\"…\"] }}")
}

/// Reads one table, and the source that it is.
fn table(name: Text<'_>, mut table: Section<'_>) -> (Table, Draft) {
    let topic = table.text("topic");
    if let Some(topic) = topic {
        name::check_topic(table.mistakes, topic);
    }
    let topic = topic.unwrap_or(name);
    let partitions = table.integer("partitions", 1..=10_000).unwrap_or(4);
    let key = table.required_text("key", "user_id");
    let formats = TableFormat::ALL.map(|format| (format.name(), format));
    let format = choice(&mut table, "format", &formats).unwrap_or(TableFormat::Json);
    let max_record = size(&mut table, "max_record", 1 << 10..=1 << 30).unwrap_or(MAX_RECORD);
    let reconcile = schedule::cron(&mut table, "reconcile");
    let (zoned, time_zone) = (table.holds("time_zone"), schedule::time_zone(&mut table));
    refuse_what_sources_have(&mut table);
    let (mut fields, doubtful) = field::fields(&mut table, format.of_payloads(), zoned);
    check_own(&mut table, &fields);
    if let Some(key) = key {
        role(&table, &fields, key, "key", &[FieldType::String, FieldType::Int], true, doubtful);
        check_place(&table, &fields, key, format);
    }
    table.refuse_unknown_keys();
    fields.retain(|field| !field.name.eq_ignore_ascii_case(CHANGED_AT));
    fields.push(Field { place: Place::Record, ..Field::new(CHANGED_AT, FieldType::Timestamp, false) });

    let key = key.map(|key| key.value.to_owned());
    let source = Source {
        name: name.value.to_owned(),
        topic: topic.value.to_owned(),
        partitions: u32::try_from(partitions).unwrap_or(u32::MAX),
        event_id: Vec::new(),
        event_time: CHANGED_AT.to_owned(),
        key: key.clone(),
        // It is the record's own time, which is never older or newer than that.
        max_age_us: i64::MAX,
        max_ahead_us: i64::MAX,
        retain_us: None,
        max_record,
        start: Start::Earliest,
        format: format.of_payloads(),
        null: Vec::new(),
        time_zone,
        kept_bytes: KeptBytes::All,
        reconcile,
        dedup_window: 0,
        fields,
        is_stream: false,
        is_table: true,
        written_by: None,
        rekeyed: false,
    };
    let (name, topic_at, topic) = (name.value.to_owned(), topic.at, topic.value.to_owned());
    (Table { name, topic, key: key.unwrap_or_default(), format }, Draft { source, topic_at, doubtful })
}

/// Keys of sources that a table cannot have, with the reason why.
fn refuse_what_sources_have(table: &mut Section<'_>) {
    const REFUSED: [(&str, &str); 8] = [
        ("event_time", "a row has the timestamp of the record that changed it last, `changed_at`"),
        ("event_id", "changes are told apart by their offsets"),
        ("max_age", "rows do not grow too old"),
        ("max_ahead", "rows do not grow too old"),
        ("retain", "what a row was at any time is recomputed from every change"),
        ("raw", "the bytes of every change are kept"),
        ("start", "rows are made from every change that the topic holds"),
        ("dedup_window", "a change that comes twice leaves the same row"),
    ];
    for (key, why) in REFUSED {
        if let Some(at) = table.set_aside(key) {
            table.mistakes.report(
                at,
                format!("`{key}` is for a source, and {} is a table", table.title),
                format!("leave it out: {why}"),
            );
        }
    }
}

/// Refuses a field that is called like the one that every table has.
fn check_own(table: &mut Section<'_>, fields: &[Field]) {
    let Some(taken) = fields.iter().find(|field| field.name.eq_ignore_ascii_case(CHANGED_AT)) else { return };
    let Some(declared) = table.table("fields") else { return };
    let at = declared.key_at(&taken.name).unwrap_or(declared.at);
    let what = format!("field `{}` is called like the one that every table has", taken.name);
    let fix = format!(
        "give it another name and say where it stands: row_{CHANGED_AT} = {{ type = \"…\", path = \"{}\" }}",
        taken.name
    );
    declared.mistakes.report(at, what, fix);
}

/// The key of a record of Debezium is an object of columns, so the field that is the key stands in one.
fn check_place(table: &Section<'_>, fields: &[Field], key: Text<'_>, format: TableFormat) {
    let Some(field) = fields.iter().find(|field| field.name == key.value) else { return };
    let is_column = match &field.place {
        Place::Path(steps) => matches!(steps.as_slice(), [Step::Member(_)]),
        _ => true,
    };
    if format == TableFormat::Debezium && !is_column {
        let what = format!("`key` names `{}`, whose path leads into a column", field.name);
        table.mistakes.report(key.at, what, "name the column that is the key of the row, with a path of one step");
    }
}
