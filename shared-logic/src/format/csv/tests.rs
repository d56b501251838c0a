use proptest::prelude::*;

use super::*;
use crate::format::Format;
use crate::schema::FieldType;

/// Text columns, all of which may be absent.
fn fields(count: usize) -> Vec<Field> {
    (0..count).map(|at| Field::new(&format!("f{at}"), FieldType::String, true)).collect()
}

/// The texts of a row, by the tokenizer; `None` where a column is absent.
fn texts(payload: &[u8], count: usize, null: &[&str]) -> Result<Vec<Option<String>>, Reason> {
    let null: Vec<String> = null.iter().map(|text| (*text).to_owned()).collect();
    let mut record = Record::new(count);
    let reader = Reader::new(Format::Csv, &fields(count), &null, None);
    reader.read(payload, &mut record).map_err(|rejected| rejected.reason)?;
    let text = |cell: &Cell| match cell {
        Cell::Text(span) => Some(String::from_utf8_lossy(span.of(payload, &record.unescaped)).into_owned()),
        _ => None,
    };
    Ok(record.cells.iter().map(text).collect())
}

fn row(texts: &[&str]) -> Vec<Option<String>> {
    texts.iter().map(|text| (!text.is_empty()).then(|| (*text).to_owned())).collect()
}

#[test]
fn rows_are_split_as_rfc_4180_says() {
    for (payload, want) in [
        ("a,b,c", Some(["a", "b", "c"])),
        ("a,b,c\n", Some(["a", "b", "c"])),
        ("a,b,c\r\n", Some(["a", "b", "c"])),
        ("a,b,c\r", Some(["a", "b", "c"])),
        (",,", Some(["", "", ""])),
        (" a , b ,c ", Some([" a ", " b ", "c "])),
        ("\"a\",\"b\",\"c\"", Some(["a", "b", "c"])),
        ("\"a,b\",\"c\nd\",\"e\r\nf\"\r\n", Some(["a,b", "c\nd", "e\r\nf"])),
        ("\"a\"\"b\",\"\"\"\",\"\"\"c\"\"\"", Some(["a\"b", "\"", "\"c\""])),
        ("\"\",\"\",\"\"", Some(["", "", ""])),
        ("ü,\"ö\"\"\",\"\u{1f600}\"", Some(["ü", "ö\"", "\u{1f600}"])),
        ("a\tb,c,d", Some(["a\tb", "c", "d"])),
        ("a,b", None),
        ("a,b,c,", None),
        ("a,b,c,d", None),
        ("", None),
        // More than one row.
        ("a,b,c\na,b,c", None),
        ("a,b,c\n\n", None),
        ("a,b\rc,d", None),
        ("\"a\",b,c\n\"a\",b,c\n", None),
        // A quote in the wrong place.
        ("a\"b,c,d", None),
        ("a,b,c\"", None),
        ("\"a\"b,c,d", None),
        ("\"a\" ,c,d", None),
        (" \"a\",c,d", None),
        ("\"a,b,c", None),
        ("\"a\"\",b,c", None),
        ("a,b,\"", None),
        ("a,b,\"c\n", None),
    ] {
        let want = want.map(|texts| row(&texts)).ok_or(Reason::WrongColumns);
        assert_eq!(texts(payload.as_bytes(), 3, &[""]), want, "{payload:?}");
    }
}

#[test]
fn quotes_do_not_matter_for_what_is_absent() {
    let null = ["-", "\\N", "say \"no\""];
    let absent = Ok(vec![None, None, None]);
    assert_eq!(texts(b"-,\\N,\"say \"\"no\"\"\"", 3, &null), absent);
    assert_eq!(texts(b"\"-\",\"\\N\",-", 3, &null), absent);
    // An empty text is one, unless the source says otherwise.
    let empty = Some(String::new());
    assert_eq!(texts(b",\"\",--", 3, &null), Ok(vec![empty.clone(), empty, Some("--".to_owned())]));
}

#[test]
fn a_key_is_found_in_a_row_whose_end_is_broken() {
    let fields = fields(3);
    let null = [String::new()];
    let text = |payload: &'static [u8], at: usize| {
        let layout = Layout { fields: &fields, null: &null, time_zone: None };
        Csv.field_text(layout, payload, at).map(|text| String::from_utf8_lossy(&text).into_owned())
    };
    assert_eq!(text(b"a,\"b,\"\"c\"\"\",d\r", 1).as_deref(), Some("b,\"c\""));
    assert_eq!(text(b"a,b,c\r", 2).as_deref(), Some("c"));
    assert_eq!(text(b"a,b,\"c", 1).as_deref(), Some("b"));
    assert_eq!(text(b"a,\"\",c", 1), None, "absent");
    assert_eq!(text(b"a,b", 2), None);
    assert_eq!(text(b"\"a", 0), None);
}

#[test]
fn a_row_of_one_absent_column_is_not_empty() {
    let (fields, null) = (fields(1), [String::new()]);
    let layout = Layout { fields: &fields, null: &null, time_zone: None };
    assert_eq!(Csv.write(layout, &[None]), b"\"\"");
    assert_eq!(texts(b"\"\"", 1, &[""]), Ok(vec![None]));
}

/// Texts that need quotes, and texts that do not. The other program takes a byte-order mark for none of the table.
fn any_texts() -> impl Strategy<Value = Vec<String>> {
    let any_text = any::<String>().prop_map(|text| text.replace('\u{feff}', ""));
    prop::collection::vec(prop_oneof!["[a,\"\r\n ü]{0,6}", any_text], 1..6)
}

proptest! {
    #[test]
    fn what_another_program_writes_is_read(
        texts in any_texts(),
        style in prop::sample::select(vec![::csv::QuoteStyle::Necessary, ::csv::QuoteStyle::Always]),
        returns in any::<bool>(),
    ) {
        let end = if returns { ::csv::Terminator::CRLF } else { ::csv::Terminator::Any(b'\n') };
        let mut writer = ::csv::WriterBuilder::new().quote_style(style).terminator(end).from_writer(Vec::new());
        writer.write_record(&texts).expect("memory");
        let payload = writer.into_inner().expect("memory");
        let want = texts.iter().map(|text| (!text.is_empty()).then(|| text.clone())).collect();
        prop_assert_eq!(super::tests::texts(&payload, texts.len(), &[""]), Ok(want), "{}", payload.escape_ascii());
    }

    #[test]
    fn what_is_written_another_program_reads(texts in any_texts()) {
        let (fields, null) = (fields(texts.len()), [String::new()]);
        let layout = Layout { fields: &fields, null: &null, time_zone: None };
        let values: Vec<_> = texts.iter().map(|text| Some(FieldValue::Text(text))).collect();
        let payload = Csv.write(layout, &values);
        let mut reader = ::csv::ReaderBuilder::new().has_headers(false).from_reader(payload.as_slice());
        let rows: Vec<Vec<String>> = reader.deserialize().collect::<Result<_, _>>().expect("a table");
        prop_assert_eq!(rows, vec![texts], "{}", payload.escape_ascii());
    }

    #[test]
    fn any_text_is_one_row_or_refused(payload in "[ab,\"\r\n]{1,20}") {
        // Where this reader takes a row, the other one reads the same row and no second one.
        if let Ok(ours) = super::tests::texts(payload.as_bytes(), 3, &[]) {
            let mut reader = ::csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(payload.as_bytes());
            let rows: Vec<Vec<String>> = reader.deserialize().collect::<Result<_, _>>().expect("a table");
            let ours: Vec<String> = ours.into_iter().flatten().collect();
            prop_assert_eq!(rows, vec![ours], "{:?}", payload);
        }
    }
}
