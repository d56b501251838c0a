//! Reads `[sources.…]`: a topic, how its bytes become events, and what identifies an event.

use super::document::{Table, Text};
use super::duration::duration;
use super::event_id::event_id;
use super::size::size;
use super::{columns, event_time, field, name, retain, schedule};
use crate::catalog::{KeptBytes, Source, Start};
use crate::format::Format;
use crate::schema::{Field, FieldType};
use crate::suggest;
use crate::time::{DAY_US, HOUR_US, SECOND_US};

/// The most bytes of a record, unless the source says otherwise.
pub(super) const MAX_RECORD: u64 = 1 << 20;

/// A source as far as it could be read.
pub(super) struct Draft {
    pub(super) source: Source,
    /// Where its topic is named.
    pub(super) topic_at: usize,
    /// Whether some of its fields could not be read, so that an expression that names an unknown field may be right.
    pub(super) doubtful: bool,
}

/// Reads a source. Reports mistakes and puts a default in place of each wrong value.
pub(super) fn source(name: &str, mut table: Table<'_>) -> Draft {
    let title = Text { value: name, at: table.at };
    let topic = table.text("topic");
    if let Some(topic) = topic {
        name::check_topic(table.mistakes, topic);
    }
    let topic = topic.unwrap_or(title);
    let partitions = table.integer("partitions", 1..=10_000).unwrap_or(4);
    let event_id = event_id(&mut table);
    let key = table.text("key");
    let max_age_us = duration(&mut table, "max_age", SECOND_US).unwrap_or(400 * DAY_US);
    let max_ahead_us = duration(&mut table, "max_ahead", 0).unwrap_or(HOUR_US);
    let retain_us = retain::retain(&mut table, max_age_us, "`max_age`, so that an event which is not rejected is kept");
    let max_record = size(&mut table, "max_record", 1 << 10..=1 << 30).unwrap_or(MAX_RECORD);
    let start = choice(&mut table, "start", &[("earliest", Start::Earliest), ("latest", Start::Latest)]);
    let format = format(&mut table);
    let kept_bytes = choice(&mut table, "raw", &[("all", KeptBytes::All), ("rejected", KeptBytes::Rejected)]);
    let reconcile = schedule::cron(&mut table, "reconcile");
    let dedup_window = table.integer("dedup_window", 0..=100_000_000).unwrap_or(500_000);
    let known_format = format.or((!table.holds("format")).then_some(Format::Json));
    let null = null_texts(&mut table, known_format);
    let (zoned, time_zone) = (table.holds("time_zone"), schedule::time_zone(&mut table));
    let format = known_format.unwrap_or(Format::Json);
    let (mut fields, doubtful) = field::fields(&mut table, format, zoned);
    columns::check(&mut table, format, &mut fields);
    let event_time = match event_time::joined(&mut table, format, &fields, zoned) {
        Some(joined) => {
            for part in joined.parts {
                role(&table, &fields, part, "event_time", &[FieldType::String], true, doubtful);
            }
            fields.push(joined.field);
            Some(joined.name)
        }
        None => table.required_text("event_time", "occurred_at").inspect(|text| {
            role(&table, &fields, *text, "event_time", &[FieldType::Timestamp], true, doubtful);
        }),
    };
    for text in &event_id {
        role(&table, &fields, *text, "event_id", &[FieldType::String, FieldType::Int], true, doubtful);
    }
    if let Some(text) = key {
        role(&table, &fields, text, "key", &[], false, doubtful);
    }
    table.refuse_unknown_keys();

    let source = Source {
        name: name.to_owned(),
        topic: topic.value.to_owned(),
        partitions: u32::try_from(partitions).unwrap_or(u32::MAX),
        event_id: event_id.iter().map(|text| text.value.to_owned()).collect(),
        event_time: event_time.map(|text| text.value.to_owned()).unwrap_or_default(),
        key: key.map(|text| text.value.to_owned()),
        max_age_us,
        max_ahead_us,
        retain_us,
        max_record,
        start: start.unwrap_or(Start::Earliest),
        format,
        null,
        time_zone,
        kept_bytes: kept_bytes.unwrap_or(KeptBytes::All),
        reconcile,
        dedup_window: dedup_window.unsigned_abs(),
        fields,
        is_stream: false,
        is_table: false,
        written_by: None,
        rekeyed: false,
    };
    Draft { source, topic_at: topic.at, doubtful }
}

/// Checks a key that names a field: the field is declared, has one of the types in `kinds` (any type, if `kinds` is
/// empty), and is not optional if `required`.
pub(super) fn role(
    table: &Table<'_>,
    fields: &[Field],
    text: Text<'_>,
    key: &str,
    kinds: &[FieldType],
    required: bool,
    doubtful: bool,
) {
    let Some(field) = fields.iter().find(|field| field.name == text.value) else {
        if !doubtful {
            let fix = suggest::fix(text.value, "fields", fields.iter().map(|field| field.name.as_str()));
            table.mistakes.report(text.at, format!("`{key}` names the undeclared field `{}`", text.value), fix);
        }
        return;
    };
    if !kinds.is_empty() && !kinds.contains(&field.kind) {
        let wanted: Vec<&str> = kinds.iter().map(|kind| kind.name()).collect();
        let wanted = wanted.join(" or ");
        let what = format!("`{key}` names `{}`, which is {}, not {wanted}", field.name, field.kind.name());
        table.mistakes.report(text.at, what, format!("name a field of type {wanted}"));
    } else if required && field.optional {
        let what = format!("`{key}` names `{}`, which may be absent", field.name);
        let fix = format!("declare {} = \"{}\" without \"?\"", field.name, field.kind.name());
        table.mistakes.report(text.at, what, fix);
    }
}

/// The texts that stand for an absent value; without the key, the one of the format. `None`: the format is unknown.
fn null_texts(table: &mut Table<'_>, format: Option<Format>) -> Vec<String> {
    let texts: Vec<String> = table.texts("null").iter().map(|text| text.value.to_owned()).collect();
    let (Some(at), Some(format)) = (table.key_at("null"), format) else {
        return format.and_then(Format::null).map(str::to_owned).into_iter().collect();
    };
    match format.null() {
        None => {
            let what =
                format!("`null` is for formats that hold nothing but texts, and the format is {}", format.name());
            table.mistakes.report(at, what, "leave it out: null, or a member that is left out, is an absent value");
        }
        Some(usual) if table.holds_list("null") && texts.is_empty() => {
            let fix = format!("name at least one, such as null = [\"{usual}\"], or leave it out");
            table.mistakes.report(at, "`null` names no text, so that no value could be absent", fix);
        }
        // Servers write this one, whatever the catalog says.
        Some(usual) if !format.named_columns().is_empty() && !texts.iter().any(|text| text == usual) => {
            let what = format!("`null` lacks \"{usual}\", which {} has for an absent value", format.name());
            table.mistakes.report(at, what, format!("add \"{usual}\""));
        }
        Some(_) => {}
    }
    texts
}

/// How payloads are written. A build without the feature `registry` knows the formats of a schema registry only by name.
fn format(table: &mut Table<'_>) -> Option<Format> {
    let text = table.text("format")?;
    let is_known = Format::ALL.iter().any(|format| format.name() == text.value);
    if !is_known && Format::OF_A_REGISTRY.contains(&text.value) {
        let fix = "use the image, or build with `cargo build --features registry`";
        table.mistakes.report(text.at, format!("this build of Braid does not read {}", text.value), fix);
        return None;
    }
    chosen(table, "format", text, &Format::ALL.map(|format| (format.name(), format)))
}

/// One of a few words.
pub(super) fn choice<T: Copy>(table: &mut Table<'_>, key: &str, choices: &[(&str, T)]) -> Option<T> {
    let text = table.text(key)?;
    chosen(table, key, text, choices)
}

fn chosen<T: Copy>(table: &Table<'_>, key: &str, text: Text<'_>, choices: &[(&str, T)]) -> Option<T> {
    let chosen = choices.iter().find(|(word, _)| *word == text.value).map(|(_, choice)| *choice);
    if chosen.is_none() {
        let words: Vec<String> = choices.iter().map(|(word, _)| format!("\"{word}\"")).collect();
        let fix = format!("write {}", words.join(" or "));
        table.mistakes.report(text.at, format!("`{key}` is \"{}\"", text.value), fix);
    }
    chosen
}
