use super::*;
use crate::format::{Format, Reader};
use crate::rejection::Rejected;
use crate::schema::{FieldType, Place};

fn fields() -> Vec<Field> {
    let deep = Place::Path(vec![Step::Member("address".to_owned()), Step::Member("city".to_owned())]);
    vec![
        Field::new("id", FieldType::Int, false),
        Field { place: deep, ..Field::new("city", FieldType::String, true) },
        Field { place: Place::Record, ..Field::new("changed_at", FieldType::Timestamp, false) },
    ]
}

fn read(payload: &str) -> Result<Vec<Cell>, Rejected> {
    // Whoever reads leaves the field out that no payload holds.
    let reader = Reader::new(Format::Debezium, &fields()[..2], &[], None);
    let mut record = Record::new(reader.tokens());
    reader.read(payload.as_bytes(), &mut record)?;
    Ok(record.cells[..2].to_vec())
}

#[test]
fn what_is_written_is_read() {
    let (fields, values) = (fields(), [Some(FieldValue::Int(7)), Some(FieldValue::Text("Köln \"7\"")), None]);
    let payload = Format::Debezium.write(Layout { fields: &fields, null: &[], time_zone: None }, &values);
    let text = String::from_utf8(payload.clone()).expect("UTF-8");
    assert!(text.starts_with(r#"{"before":null,"after":{"#) && text.ends_with(r#"},"op":"u"}"#), "{text}");
    let cells = read(&text).expect("a row");
    assert_eq!(cells[0], Cell::Int(7));
    let found = |at| Format::Debezium.field_text(Layout { fields: &fields, null: &[], time_zone: None }, &payload, at);
    assert_eq!(found(0).as_deref(), Some(&b"7"[..]));
    assert_eq!(found(1).as_deref(), Some("Köln \"7\"".as_bytes()));
    assert_eq!(found(2), None, "no payload holds it");
}

#[test]
fn a_row_is_what_stands_in_after() {
    let row = |payload: &str| read(payload).map(|cells| cells[0]);
    assert_eq!(row(r#"{"op":"c","before":{"id":1},"id":2,"after":{"id":3}}"#), Ok(Cell::Int(3)));
    // The last one of a repeated member stands, with all that is inside of it.
    assert_eq!(row(r#"{"op":"c","after":{"id":3},"after":{}}"#), Err(Rejected::at(Reason::MissingField, 0)));
    assert_eq!(row(r#"{"payload":{"after":{"id":3},"op":"r"},"schema":{"op":"d"}}"#), Ok(Cell::Int(3)));
    assert_eq!(row(r#"{"op":"c","after":{"id":"3"}}"#), Err(Rejected::at(Reason::WrongType, 0)));
    assert_eq!(row(r#"{"op":"c","after":{"id":3}"#), Err(Rejected::whole(Reason::NotJson)));
    assert_eq!(row("7"), Err(Rejected::whole(Reason::NotObject)));
    assert_eq!(row("{}"), Err(Rejected::whole(Reason::NotChange)));
    assert_eq!(row(r#"{"op":"d"}"#), Err(Rejected::whole(Reason::Delete)));
}
