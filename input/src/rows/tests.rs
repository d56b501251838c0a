use shared_logic::catalog::Catalog;
use shared_logic::decode::Decoder;

use super::*;

/// A source of these columns, of which `n` and `note` may be absent.
fn source(format: &str) -> Source {
    let text = format!(
        r#"
[sources.s]
format = "{format}"
event_time = "at"
[sources.s.fields]
id = "string"
at = "timestamp"
n = "int?"
note = {{ type = "string?", path = "A note" }}
"#
    );
    let mut catalog = Catalog::parse(&text).unwrap_or_else(|mistakes| panic!("{mistakes:?}"));
    catalog.sources.remove("s").expect("its source")
}

fn args(header: bool, comment: Option<&str>) -> RowArgs {
    RowArgs { header, comment: comment.map(str::to_owned) }
}

/// The records of an input, each with the number of its line.
fn rows(format: &str, args: &RowArgs, text: &str) -> Result<Vec<(usize, String)>, InputError> {
    let mut rows = Rows::of(&source(format), args)?;
    let mut input = text.as_bytes();
    let mut all = Vec::new();
    while let Some(Line { number, text }) = rows.next(&mut input, "a test")? {
        all.push((number, String::from_utf8(text).expect("UTF-8")));
    }
    Ok(all)
}

fn are(format: &str, args: &RowArgs, text: &str, expected: &[(usize, &str)]) {
    let expected: Vec<(usize, String)> = expected.iter().map(|(number, row)| (*number, (*row).to_owned())).collect();
    assert_eq!(rows(format, args, text).expect("readable"), expected, "{text:?}");
}

#[test]
fn rows_in_quotes_span_lines() {
    let none = RowArgs::default();
    are(
        "csv",
        &none,
        "a,1,2,x\nb,1,,\"two\nlines\"\n\nc\r\n",
        &[(1, "a,1,2,x"), (2, "b,1,,\"two\nlines\""), (4, ""), (5, "c\r")],
    );
    are("csv", &none, "\"a\"\"\n\",\"\n\",\"\"\nb", &[(1, "\"a\"\"\n\",\"\n\",\"\""), (4, "b")]);
    // A quote that does not begin a column opens none.
    are("csv", &none, "5\" pipe,1\nb", &[(1, "5\" pipe,1"), (2, "b")]);
    are("csv", &none, "\"a\"b\"\nb", &[(1, "\"a\"b\""), (2, "b")]);
    // One that is left open takes the rest, as it is.
    are("csv", &none, "a,\"b\nc\n", &[(1, "a,\"b\nc\n")]);
    for format in ["tsv", "json"] {
        are(format, &none, "a\t\"b\nc\t\"d\n", &[(1, "a\t\"b"), (2, "c\t\"d")]);
    }
}

#[test]
fn comments_are_left_out_where_a_row_begins() {
    let comment = args(false, Some("#"));
    are("tsv", &comment, "#Version: 1\na\t1\n#\n # b\n#end", &[(2, "a\t1"), (4, " # b")]);
    are("csv", &comment, "# say \"no\na,\"x\n# no comment\n\"\n#\"\nb", &[(2, "a,\"x\n# no comment\n\""), (6, "b")]);
    are("json", &args(false, Some("//")), "// {\n{}\n", &[(2, "{}")]);
    are("tsv", &RowArgs::default(), "#a\t1\n", &[(1, "#a\t1")]);
    are("tsv", &args(false, Some("")), "#a\t1\n", &[(1, "#a\t1")]);
}

#[test]
fn a_header_in_the_declared_order_is_left_out() {
    for header in [true, false] {
        are("csv", &args(header, None), "id,at,n,A note\r\na,1,2,\"x\"\r\n", &[(2, "a,1,2,\"x\"\r")]);
        are("tsv", &args(header, None), "\nid\tat\tn\tA note\na\t1\t\t", &[(1, ""), (3, "a\t1\t\t")]);
        are("csv", &args(header, None), "\"id\",\"at\",\"n\",\"A note\"\na,1,2,x", &[(2, "a,1,2,x")]);
    }
    // Only the first row can be one.
    let again = "id,at,n,A note\na,1,2,x\nid,at,n,A note";
    are("csv", &RowArgs::default(), again, &[(2, "a,1,2,x"), (3, "id,at,n,A note")]);
}

#[test]
fn rows_follow_a_header_that_names_another_order() {
    let none = RowArgs::default();
    let csv = "A note,extra,n,at,id\n\"x, y\",?,2,1,a\r\n,\"\"\"\",,3,\"b\nc\"\n";
    are("csv", &none, csv, &[(2, "a,1,2,\"x, y\""), (3, "\"b\nc\",3,,")]);
    are("tsv", &none, "n\tat\tid\tA note\r\n2\t1\ta\tx\r\n", &[(2, "a\t1\t2\tx")]);
    // Without --header, a row of some of the names is a record like any other.
    are("csv", &none, "at,id\n1,a", &[(1, "at,id"), (2, "1,a")]);
    are("csv", &args(true, None), "at,id\n1,a", &[(2, "a,1,,")]);
    // The names of fields whose columns have others are not in the header.
    are("csv", &none, "note,n,at,id\nx,2,1,a", &[(1, "note,n,at,id"), (2, "x,2,1,a")]);
}

#[test]
fn a_row_that_does_not_fit_its_header_stays_invalid() {
    let text = "extra,A note,n,at,id\n?,x,2,1,a\nx,2,1,a\n1,2,3\n?,x,2,1,a,b\n";
    let fitting = [(2, "a,1,2,x"), (3, "x,2,1,a,"), (4, "1,2,3"), (5, "?,x,2,1,a,b")];
    are("csv", &RowArgs::default(), text, &fitting);
    let source = source("csv");
    let mut decoder = Decoder::new(&source);
    let mut is_valid = |row: &str| decoder.decode(Some(row.as_bytes()), None).is_ok();
    assert_eq!(fitting.map(|(_, row)| is_valid(row)), [true, false, false, false]);
}

#[test]
fn a_header_must_have_what_is_required() {
    let error = |format: &str, text: &str| rows(format, &args(true, None), text).expect_err("an error").to_string();
    let lacks = error("csv", "id,\"the n\"\na,1");
    let what = "the header of a test lacks the column `at`, which the source requires; it names id, the n: ";
    assert!(lacks.starts_with(what) && lacks.contains("path = [\"…\"]"), "{lacks}");
    let json = error("json", "{}");
    assert_eq!(json, "source `s` is json, which has no header: leave --header out");
}

#[test]
fn a_header_that_names_a_column_twice_is_refused() {
    for (is_said, text) in
        [(false, "id,at,n,A note,n\na,1,2,x,3"), (true, "id,at,n,n\na,1,2,3"), (true, "id,at,?,?\na,1,2,3")]
    {
        let refused = rows("csv", &args(is_said, None), text).expect_err("a guess").to_string();
        assert!(refused.starts_with("a test has two columns `") && refused.contains("a name of its own"), "{refused}");
    }
    // Without --header, it is a record, as it lacks a column.
    are("csv", &RowArgs::default(), "id,at,n,n\na,1,2,3", &[(1, "id,at,n,n"), (2, "a,1,2,3")]);
}

#[test]
fn a_quote_that_is_left_open_is_found() {
    let mut rows = Rows::of(&source("csv"), &RowArgs::default()).expect("a table");
    let mut open = std::io::BufReader::new(b"\"".as_slice().chain(std::io::repeat(b'x')));
    let error = rows.next(&mut open, "a test").expect_err("an error").to_string();
    assert_eq!(error, "line 1 of a test is longer than 16 MiB: is a quote left open?");
}

#[test]
fn only_a_line_end_is_blank() {
    assert!(is_blank(b"") && is_blank(b"\r"));
    assert!(!is_blank(b" ") && !is_blank(b"\t") && !is_blank(b"{}"));
}
