//! What every decoder promises for any bytes.
//!
//! An input is a batch of records, separated by [`SEPARATOR`], so that seeds can be read and written by hand.

use polars::prelude::{AnyValue, DataFrame};
use shared_logic::catalog::{Catalog, Source};
use shared_logic::decode::{Columns, Decoder};
use shared_logic::identity::Identity;
use shared_logic::rejection::{Reason, Rejected};

/// ASCII's record separator.
pub(crate) const SEPARATOR: u8 = 0x1e;

/// The timestamp of every record: 2026-04-24T09:30:00Z, in microseconds. The source's `max_age` and `max_ahead` leave an
/// hour before and a minute behind it.
const RECORD_TIME_US: i64 = 1_777_023_000_000_000;

/// A field of every type, required and optional.
const FIELDS: &str = r#"
id = "string"
at = "timestamp"
user = "string"
n = "int"
note = "string?"
m = "int?"
x = "float?"
b = "bool?"
w = "timestamp?"
"#;

/// The same of an access log, whose columns have their names.
const COLUMNS: &str = r#"
id = { type = "string", path = "remote_host" }
at = { type = "timestamp", path = "time" }
user = { type = "string", path = "request" }
n = { type = "int", path = "status" }
note = { type = "string?", path = "user_agent" }
m = { type = "int?", path = "bytes" }
x = { type = "float?", path = "bytes" }
method = "string?"
target = "string?"
protocol = "string?"
referer = "string?"
"#;

/// Optional fields inside of objects and arrays.
const NESTED: &str = r#"
sku = { type = "string?", path = "o.items[1].sku", numbers = true }
size = { type = "int?", path = "o.items[1].size" }
tag = { type = "string?", path = ["a.b", "tag"] }
"#;

/// Everything that a decoder returns about an event.
#[derive(Debug, PartialEq)]
pub(crate) struct Said {
    time_us: i64,
    identity: Option<Identity>,
}

/// A source with every type of field, required and optional, with a metric by two of them. JSON has nested ones besides, and
/// CSV two texts for an absent value.
pub(crate) fn source(format: &str) -> Source {
    let null = if format == "csv" { r#"null = ["", "-"]"# } else { "" };
    let fields = match format {
        "json" => format!("{FIELDS}{NESTED}"),
        "combined" => COLUMNS.to_owned(),
        _ => FIELDS.to_owned(),
    };
    let text = format!(
        r#"
[sources.s]
format = "{format}"
{null}
event_id = ["user", "id"]
event_time = "at"
max_age = "1h"
max_ahead = "1m"
max_record = "1KiB"
[sources.s.fields]
{fields}
[metrics.m]
source = "s"
by = ["user", "note"]
grain = "1m"
[metrics.m.measures]
c = "count()"
"#
    );
    let mut catalog = Catalog::parse(&text).expect("the catalog above");
    catalog.sources.remove("s").expect("its source")
}

/// Decodes a batch of records and checks what must hold for any bytes: each record is an event, or rejected for a reason
/// that fits its bytes; the result does not depend on the records before it; and the rows hold the events.
///
/// Returns the result for each record.
pub(crate) fn judged<'a>(source: &Source, batch: &'a [u8]) -> Vec<(&'a [u8], Result<Said, Rejected>)> {
    judged_by(source, &Decoder::new(source), batch)
}

/// The same, by decoders that know what this one knows.
pub(crate) fn judged_by<'a>(
    source: &Source,
    decoder: &Decoder,
    batch: &'a [u8],
) -> Vec<(&'a [u8], Result<Said, Rejected>)> {
    let payloads: Vec<&[u8]> = batch.split(|byte| *byte == SEPARATOR).collect();
    let mut one = decoder.clone();
    let (together, rows) = decoded(source, &payloads, |payload, columns| said(&mut one, payload, columns));
    let (alone, rows_alone) =
        decoded(source, &payloads, |payload, columns| said(&mut decoder.clone(), payload, columns));
    assert_eq!(together, alone, "decoding depends on the records before");
    assert!(rows.equals_missing(&rows_alone), "a row depends on the records before");
    assert_eq!(rows.height(), payloads.len(), "a row for every record");

    for (at, (payload, said)) in payloads.iter().zip(&together).enumerate() {
        let cells: Vec<AnyValue<'_>> =
            rows.columns().iter().map(|column| column.get(at).expect("a row for every record")).collect();
        match said {
            Ok(said) => event(source, said, &cells),
            Err(rejected) => rejection(source, decoder, payload, *rejected, &cells),
        }
    }
    payloads.into_iter().zip(together).collect()
}

/// The records of a batch, judged as in [`judged`], that their format decides about: bytes, their text without a byte-order mark,
/// and the reason of a rejection. Records that are too long, empty or not UTF-8 are left out.
pub(crate) fn texts<'a>(source: &Source, batch: &'a [u8]) -> Vec<(&'a [u8], &'a str, Option<Reason>)> {
    let text = |(payload, said): (&'a [u8], Result<Said, Rejected>)| {
        let reason = said.err().map(|rejected| rejected.reason);
        let text = std::str::from_utf8(payload).ok().filter(|_| reason != Some(Reason::TooLong))?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        (!text.is_empty()).then_some((payload, text, reason))
    };
    judged(source, batch).into_iter().filter_map(text).collect()
}

/// The decoder's result for each record, and the archive's rows, which are null where a record was rejected.
fn decoded(
    source: &Source,
    payloads: &[&[u8]],
    mut decode: impl FnMut(&[u8], &mut Columns) -> Result<Said, Rejected>,
) -> (Vec<Result<Said, Rejected>>, DataFrame) {
    let mut columns = Columns::new(source, |_| true, payloads.len());
    let said = payloads.iter().map(|payload| decode(payload, &mut columns)).collect();
    (said, columns.finish().expect("columns of a checked catalog"))
}

fn said(decoder: &mut Decoder, payload: &[u8], columns: &mut Columns) -> Result<Said, Rejected> {
    match decoder.decode(Some(payload), Some(RECORD_TIME_US)) {
        Ok(event) => {
            columns.push(&event);
            Ok(Said { time_us: event.time_us, identity: event.identity() })
        }
        Err(rejected) => {
            columns.push_nulls();
            Err(rejected)
        }
    }
}

fn event(source: &Source, said: &Said, cells: &[AnyValue<'_>]) {
    assert!(said.identity.is_some(), "the source names an event id");
    assert!(said.time_us >= RECORD_TIME_US - source.max_age_us, "older than allowed");
    assert!(said.time_us <= RECORD_TIME_US + source.max_ahead_us, "further ahead than allowed");
    for (field, cell) in source.fields.iter().zip(cells) {
        assert!(field.optional || !cell.is_null(), "{} is required", field.name);
        if let AnyValue::Float64(x) = cell {
            assert!(x.is_finite() && !(*x == 0.0 && x.is_sign_negative()));
        }
    }
}

fn rejection(source: &Source, decoder: &Decoder, payload: &[u8], rejected: Rejected, cells: &[AnyValue<'_>]) {
    let Rejected { reason, field } = rejected;
    assert!(Reason::ALL.contains(&reason), "{reason} is in the closed list");
    let is_text = !source.format.names_schemas();
    let text = if is_text { payload.strip_prefix(b"\xef\xbb\xbf").unwrap_or(payload) } else { payload };
    let too_long = payload.len() as u64 > source.max_record;
    assert_eq!(reason == Reason::Empty, text.is_empty());
    assert_eq!(reason == Reason::TooLong, too_long);
    assert_eq!(reason == Reason::NotUtf8, is_text && !too_long && std::str::from_utf8(payload).is_err());
    let (of_a_field, of_the_format) = match reason {
        Reason::Empty | Reason::TooLong | Reason::NotUtf8 => (false, true),
        Reason::NotJson
        | Reason::NotObject
        | Reason::UnknownSchema
        | Reason::NotAvro
        | Reason::NotProtobuf
        | Reason::NotChange
        | Reason::WrongColumns => (false, source.format.reasons().contains(&reason)),
        Reason::MissingField | Reason::WrongType | Reason::OutOfRange | Reason::TooOld | Reason::TooFarAhead => {
            (true, true)
        }
        Reason::WrongKey | Reason::Delete => (false, source.is_table),
        Reason::Mark => (false, source.is_stream),
    };
    assert!(of_the_format, "{reason} cannot happen in this format");
    assert_eq!(of_a_field, field.is_some_and(|field| field < source.fields.len()), "{reason} names its field");
    assert!(rejected.text(&source.fields).starts_with(reason.name()));

    // Only the record's own timestamp can make it too old: without one it is an event.
    let aged = matches!(reason, Reason::TooOld | Reason::TooFarAhead);
    assert_eq!(decoder.clone().decode(Some(payload), None).is_ok(), aged, "{reason}");
    assert!(cells.iter().all(AnyValue::is_null), "a rejected record has no row");
}
