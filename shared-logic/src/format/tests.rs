//! What a format writes, its reader reads back; a key is the text of one field.

use proptest::prelude::*;

use super::*;
use crate::schema::FieldType;

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

/// The cells of a payload, as the values that were written.
fn read<'a>(
    format: Format,
    payload: &'a [u8],
    record: &'a mut Record,
) -> Result<Vec<Option<FieldValue<'a>>>, Rejected> {
    Reader::new(format, &fields(), &[], None).read(payload, record)?;
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
    assert_eq!(text, ["json", "tsv"]);
    assert!(of_a_registry.is_empty() || of_a_registry == Format::OF_A_REGISTRY, "{of_a_registry:?}");
    assert_eq!(Format::Json.reasons(), [Reason::NotJson, Reason::NotObject]);
    assert_eq!(Format::Tsv.reasons(), [Reason::WrongColumns]);
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
    let written = |format: Format| String::from_utf8(format.write(&fields, &row)).expect("UTF-8");
    assert_eq!(written(Format::Json), r#"{"at":"2026-04-24T09:30:00.500Z","x":0.25,"user":"ü","b":true}"#);
    assert_eq!(written(Format::Tsv), "2026-04-24T09:30:00.500Z\t\t0.25\tü\ttrue");
}

#[test]
fn a_payload_without_a_required_field_is_rejected_for_it() {
    for format in Format::ALL.into_iter().filter(|format| !format.names_schemas()) {
        let mut row = values("a", 1);
        row[4] = None;
        let payload = format.write(&fields(), &row);
        let rejected = read(format, &payload, &mut Record::new(row.len())).err();
        assert_eq!(rejected, Some(Rejected::at(Reason::MissingField, 4)), "{}", format.name());
    }
}

#[test]
fn a_line_end_belongs_to_no_column() {
    let column = field("column", FieldType::String, false);
    let text = |line: &'static [u8], at: usize| Format::Tsv.field_text(line, &column, at);
    assert_eq!(text(b"a\tb\r", 1).as_deref(), Some(&b"b"[..]));
    assert_eq!(text(b"a\t\tc", 1), None, "an empty column is absent");
    assert_eq!(text(b"a\tb", 2), None);
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(text in "[^\t\r\n\u{feff}]{1,9}", any_text in any::<String>(), number in -9_999_i64..9_999) {
        for (format, text) in [(Format::Json, &any_text), (Format::Json, &text), (Format::Tsv, &text)] {
            let row = values(text, number);
            let payload = format.write(&fields(), &row);
            let mut record = Record::new(row.len());
            prop_assert_eq!(read(format, &payload, &mut record), Ok(row.clone()), "{}", payload.escape_ascii());
            let named = format.field_text(&payload, &fields()[0], 0);
            prop_assert_eq!(named.as_deref(), Some(text.as_bytes()));
        }
    }
}
