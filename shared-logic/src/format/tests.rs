//! What a format writes, its reader reads back; a key is the text of one field.

use proptest::prelude::*;

use super::*;
use crate::schema::{EpochUnit, Place};

const KINDS: [FieldType; 5] =
    [FieldType::String, FieldType::Int, FieldType::Float, FieldType::Bool, FieldType::Timestamp];

fn field(name: &str, kind: FieldType, optional: bool) -> Field {
    Field::new(name, kind, optional)
}

/// A required and an optional field of every type.
fn fields() -> Vec<Field> {
    let both = |kind: FieldType| {
        [field(&format!("{}_id", kind.name()), kind, false), field(&format!("{}_note", kind.name()), kind, true)]
    };
    KINDS.into_iter().flat_map(both).collect()
}

/// The texts that stand for an absent value, as a source has them that names none.
fn null(format: Format) -> Vec<String> {
    format.null().map(str::to_owned).into_iter().collect()
}

fn write(format: Format, fields: &[Field], row: &[Option<FieldValue<'_>>]) -> Vec<u8> {
    format.write(Layout { fields, null: &null(format), time_zone: None }, row)
}

/// The formats that are written and whose columns or members may have any name.
fn formats() -> impl Iterator<Item = Format> {
    Format::ALL.into_iter().filter(|format| format.named_columns().is_empty() && !format.names_schemas())
}

/// The cells of a payload, as the values that were written.
fn read<'a>(
    format: Format,
    payload: &'a [u8],
    record: &'a mut Record,
) -> Result<Vec<Option<FieldValue<'a>>>, Rejected> {
    Reader::new(format, &fields(), &null(format), None).read(payload, record)?;
    let text = |span: Span| std::str::from_utf8(span.of(payload, &record.unescaped)).expect("UTF-8");
    let value = |(cell, field): (&Cell, &Field)| match *cell {
        Cell::Null => None,
        Cell::Text(span) => Some(FieldValue::Text(text(span))),
        Cell::Int(us) if field.kind == FieldType::Timestamp => Some(FieldValue::Instant(us)),
        Cell::Int(number) => Some(FieldValue::Int(number)),
        Cell::Float(number) => Some(FieldValue::Float(number)),
        Cell::Bool(value) => Some(FieldValue::Bool(value)),
    };
    Ok(record.cells.iter().zip(&fields()).map(value).collect())
}

fn values(text: &str, number: i64) -> Vec<Option<FieldValue<'_>>> {
    let of = |kind: FieldType| match kind {
        FieldType::String => FieldValue::Text(text),
        FieldType::Int => FieldValue::Int(number),
        FieldType::Float => FieldValue::Float(number as f64 / 4.0),
        FieldType::Bool => FieldValue::Bool(number % 2 == 0),
        FieldType::Timestamp => FieldValue::Instant(number * 1_000),
    };
    let absent = |at: usize| at % 2 == 1 && number % 3 == 0;
    fields().iter().enumerate().map(|(at, field)| (!absent(at)).then(|| of(field.kind))).collect()
}

#[test]
fn names_differ_and_reasons_belong_to_one_format() {
    let mut names = Format::ALL.map(Format::name).to_vec();
    names.dedup();
    let (text, of_a_registry): (Vec<_>, Vec<_>) =
        names.into_iter().partition(|name| !Format::OF_A_REGISTRY.contains(name));
    assert_eq!(text, ["json", "tsv", "csv", "combined"]);
    assert!(of_a_registry.is_empty() || of_a_registry == Format::OF_A_REGISTRY, "{of_a_registry:?}");
    assert_eq!(Format::Json.reasons(), [Reason::NotJson, Reason::NotObject]);
    for format in [Format::Tsv, Format::Csv, Format::Combined] {
        assert_eq!(format.reasons(), [Reason::WrongColumns]);
    }
}

#[test]
fn rows_are_written_as_their_format_says() {
    let fields = [
        field("at", FieldType::Timestamp, false),
        field("n", FieldType::Int, true),
        field("x", FieldType::Float, true),
        field("user", FieldType::String, false),
        field("b", FieldType::Bool, true),
    ];
    let row = [
        Some(FieldValue::Instant(1_777_023_000_500_000)),
        None,
        Some(FieldValue::Float(0.25)),
        Some(FieldValue::Text("ü")),
        Some(FieldValue::Bool(true)),
    ];
    let written = |format: Format| String::from_utf8(write(format, &fields, &row)).expect("UTF-8");
    assert_eq!(written(Format::Json), r#"{"at":"2026-04-24T09:30:00.500Z","x":0.25,"user":"ü","b":true}"#);
    assert_eq!(written(Format::Tsv), "2026-04-24T09:30:00.500Z\t\t0.25\tü\ttrue");
    assert_eq!(written(Format::Csv), "2026-04-24T09:30:00.500Z,,0.25,ü,true");
}

#[test]
fn a_payload_without_a_required_field_is_rejected_for_it() {
    for format in formats() {
        let mut row = values("a", 1);
        row[4] = None;
        let payload = write(format, &fields(), &row);
        let rejected = read(format, &payload, &mut Record::new(row.len())).err();
        assert_eq!(rejected, Some(Rejected::at(Reason::MissingField, 4)), "{}", format.name());
    }
}

#[test]
fn instants_are_written_as_their_fields_say() {
    let with = |name: &str, instants| Field { instants, ..field(name, FieldType::Timestamp, false) };
    let fields = [
        with("s", InstantFormat::Epoch(EpochUnit::Seconds)),
        with("ns", InstantFormat::Epoch(EpochUnit::Nanoseconds)),
        with("day", InstantFormat::Pattern("%d.%m.%Y %H:%M".to_owned())),
    ];
    let row = [Some(FieldValue::Instant(1_777_023_000_500_000)); 3];
    let (tsv, json) = (null(Format::Tsv), null(Format::Json));
    let zone = Some(Tz::Europe__Berlin);
    let line = Format::Tsv.write(Layout { fields: &fields, null: &tsv, time_zone: zone }, &row);
    assert_eq!(String::from_utf8_lossy(&line), "1777023000.500000\t1777023000500000000\t24.04.2026 11:30");
    let object = Format::Json.write(Layout { fields: &fields, null: &json, time_zone: None }, &row);
    let want = r#"{"s":"1777023000.500000","ns":1777023000500000000,"day":"24.04.2026 09:30"}"#;
    assert_eq!(String::from_utf8_lossy(&object), want);
}

#[test]
fn a_date_and_a_time_of_two_fields_are_one_instant() {
    let joined = |instants| {
        let parts = ["day", "hour"].map(|name| field(name, FieldType::String, false));
        let place = Place::Joined(vec!["day".to_owned(), "hour".to_owned()]);
        let at = Field { place, instants, ..field("event_time", FieldType::Timestamp, false) };
        let [day, hour] = parts;
        [day, hour, field("n", FieldType::Int, true), at]
    };
    let usual = joined(InstantFormat::Usual);
    let german = joined(InstantFormat::Pattern("%d.%m.%Y %H:%M:%S".to_owned()));
    let (at_us, zone) = (1_777_023_000_000_000, Some(Tz::Europe__Berlin));
    let read = |format: Format, fields: &[Field], zone: Option<Tz>, payload: &str| {
        let mut record = Record::new(fields.len());
        let reader = Reader::new(format, fields, &null(format), zone);
        reader.read(payload.as_bytes(), &mut record).map(|()| record.cells[3])
    };
    let instant = Ok(Cell::Int(at_us));
    assert_eq!(read(Format::Tsv, &usual, zone, "2026-04-24\t11:30\t7"), instant);
    assert_eq!(read(Format::Csv, &usual, None, "2026-04-24,\"11:30:00+02:00\","), instant);
    assert_eq!(read(Format::Csv, &german, zone, "\"24.04.2026\",11:30:00,"), instant);
    let object = r#"{"hour":"11:30:00","day":"24.04.2\u003026","n":1}"#;
    assert_eq!(read(Format::Json, &german, zone, object), instant);
    let rejected = |reason, field| Err(Rejected::at(reason, field));
    assert_eq!(read(Format::Tsv, &usual, None, "2026-04-24\t11:30\t"), rejected(Reason::WrongType, 3));
    assert_eq!(read(Format::Tsv, &german, zone, "2026-04-24\t11:30:00\t"), rejected(Reason::WrongType, 3));
    assert_eq!(read(Format::Tsv, &usual, zone, "2026-04-24\t\t"), rejected(Reason::MissingField, 1));
    assert_eq!(read(Format::Json, &usual, zone, r#"{"day":"2026-04-24"}"#), rejected(Reason::MissingField, 1));
    // It has no column, and what is written of it stands in those of its parts.
    let columns = |format, line| read(format, &usual, zone, line);
    assert_eq!(columns(Format::Tsv, "2026-04-24\t11:30\t7\t8"), Err(Rejected::whole(Reason::WrongColumns)));
    let row = [Some(FieldValue::Text("a")), Some(FieldValue::Text("b")), None, Some(FieldValue::Instant(at_us))];
    for (fields, zone) in [(&usual, None), (&german, zone)] {
        for format in formats() {
            let null = null(format);
            let payload = format.write(Layout { fields, null: &null, time_zone: zone }, &row);
            let text = String::from_utf8(payload).expect("UTF-8");
            assert_eq!(read(format, fields, zone, &text), instant, "{text}");
        }
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(text in "[^\t\r\n\u{feff}]{1,9}", any_text in any::<String>(), number in -9_999_i64..9_999) {
        let every = [(Format::Json, &any_text), (Format::Json, &text), (Format::Tsv, &text), (Format::Csv, &text)];
        // In a table, an empty text is absent, and a byte-order mark before the first one is skipped.
        let is_text = !any_text.is_empty() && !any_text.starts_with('\u{feff}');
        let in_quotes = is_text.then_some((Format::Csv, &any_text));
        for (format, text) in every.into_iter().chain(in_quotes) {
            let row = values(text, number);
            let payload = write(format, &fields(), &row);
            let mut record = Record::new(row.len());
            prop_assert_eq!(read(format, &payload, &mut record), Ok(row.clone()), "{}", payload.escape_ascii());
            let (fields, null) = (fields(), null(format));
            let named = format.field_text(Layout { fields: &fields, null: &null, time_zone: None }, &payload, 0);
            prop_assert_eq!(named.as_deref(), Some(text.as_bytes()));
        }
    }
}
