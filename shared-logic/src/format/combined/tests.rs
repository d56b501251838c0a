use proptest::prelude::*;

use super::*;
use crate::format::Format;
use crate::schema::{Place, Step};

/// A field for every column, which may be absent; all of them texts.
fn fields() -> Vec<Field> {
    COLUMNS.iter().map(|column| Field::new(column.name, FieldType::String, true)).collect()
}

/// The columns that a line has, as `name=text`.
fn read(line: &str) -> Result<Vec<String>, Reason> {
    let fields = fields();
    let mut record = Record::new(fields.len());
    let reader = Reader::new(Format::Combined, &fields, &["-".to_owned()], None);
    reader.read(line.as_bytes(), &mut record).map_err(|rejected| rejected.reason)?;
    let text = |(field, cell): (&Field, &Cell)| match cell {
        Cell::Text(span) => {
            let text = span.of(line.as_bytes(), &record.unescaped);
            Some(format!("{}={}", field.name, std::str::from_utf8(text).expect("UTF-8")))
        }
        _ => None,
    };
    Ok(fields.iter().zip(&record.cells).filter_map(text).collect())
}

/// A line with that request, referer and user agent.
fn with(request: &str, referer: &str, user_agent: &str) -> String {
    format!("h - - [t] \"{request}\" 200 5 \"{referer}\" \"{user_agent}\"")
}

fn one(line: &str, name: &str) -> Option<String> {
    let columns = read(line).unwrap_or_else(|reason| panic!("{reason}: {line}"));
    columns.iter().find_map(|column| column.strip_prefix(&format!("{name}="))).map(str::to_owned)
}

#[test]
fn a_line_of_apache_is_split_into_its_columns() {
    let line = r#"203.0.113.7 - frank [25/Nov/2026:10:00:00 +0100] "GET /a?b=%20c HTTP/1.1" 200 2326 "https://example.org/x" "Mozilla/5.0 (X11; \"Test\")""#;
    let want = [
        "remote_host=203.0.113.7",
        "user=frank",
        "time=25/Nov/2026:10:00:00 +0100",
        "request=GET /a?b=%20c HTTP/1.1",
        "method=GET",
        "target=/a?b=%20c",
        "protocol=HTTP/1.1",
        "status=200",
        "bytes=2326",
        "referer=https://example.org/x",
        "user_agent=Mozilla/5.0 (X11; \"Test\")",
    ];
    assert_eq!(read(line), Ok(want.map(str::to_owned).to_vec()));
    // Apache writes `-` where no bytes were sent.
    let line = r#"2001:db8::1 ident - [25/Nov/2026:10:00:00 +0100] "-" 408 - "-" "-""#;
    let want = ["remote_host=2001:db8::1", "ident=ident", "time=25/Nov/2026:10:00:00 +0100", "status=408"];
    assert_eq!(read(line), Ok(want.map(str::to_owned).to_vec()));
}

#[test]
fn a_line_of_nginx_is_split_into_its_columns() {
    let line = r#"198.51.100.2 - - [25/Nov/2026:09:00:00 +0000] "POST //favicon.ico HTTP/2.0" 499 0 "-" "caf\xC3\xA9 \x22q\x22""#;
    let want = [
        "remote_host=198.51.100.2",
        "time=25/Nov/2026:09:00:00 +0000",
        "request=POST //favicon.ico HTTP/2.0",
        "method=POST",
        "target=//favicon.ico",
        "protocol=HTTP/2.0",
        "status=499",
        "bytes=0",
        "user_agent=café \"q\"",
    ];
    assert_eq!(read(line), Ok(want.map(str::to_owned).to_vec()));
    // The packaged format `main` goes on behind the user agent.
    let main = format!("{line} \"203.0.113.9, 10.0.0.1\"");
    assert_eq!(read(&main), Ok(want.map(str::to_owned).to_vec()));
}

#[test]
fn a_line_of_the_common_form_ends_before_the_referer() {
    let line = "h - - [t] \"GET / HTTP/1.0\" 304 -";
    for line in [line.to_owned(), format!("{line}\n"), format!("{line}\r\n")] {
        assert_eq!(one(&line, "status").as_deref(), Some("304"));
        assert_eq!((one(&line, "bytes"), one(&line, "referer"), one(&line, "user_agent")), (None, None, None));
    }
}

#[test]
fn other_lines_are_refused() {
    for line in [
        "",
        "\n",
        "h - - [t] \"GET / HTTP/1.0\" 304",
        "h - - [t] \"GET / HTTP/1.0\" 304 ",
        "h - - [t] \"GET / HTTP/1.0\" 304 - ",
        "h - - [t] \"GET / HTTP/1.0\" 304 - \"-\"",
        "h - - [t] \"GET / HTTP/1.0\" 304 - \"-\" ",
        "h - - [t] \"GET / HTTP/1.0\" 304 - \"-\" \"-",
        "h - - [t] \"GET / HTTP/1.0\" 304 - \"-\" \"-\"x",
        "h - - [t] \"GET / HTTP/1.0\" 304 - \"-\" \"-\\\"",
        "h - - [t] \"GET / HTTP/1.0\" 304 - - -",
        "h - - [t] \"GET / HTTP/1.0\"  304 -",
        "h - - [t] \"GET / HTTP/1.0 304 -",
        "h - - [t] GET / HTTP/1.0 304 -",
        "h - - t \"GET / HTTP/1.0\" 304 -",
        "h - -[t] \"GET / HTTP/1.0\" 304 -",
        "h - [t] \"GET / HTTP/1.0\" 304 -",
        "h [t] \"GET / HTTP/1.0\" 304 -",
        "[t] \"GET / HTTP/1.0\" 304 -",
        " - - [t] \"GET / HTTP/1.0\" 304 -",
        "h - - [t] \"GET / HTTP/1.0\" 304 -\nh - - [t] \"GET / HTTP/1.0\" 304 -",
        // A virtual host in front.
        "example.org:443 h - - [t] \"GET / HTTP/1.0\" 304 -",
        "example.org:443 h - frank [t] \"GET / HTTP/1.0\" 304 - \"-\" \"-\"",
    ] {
        assert_eq!(read(line), Err(Reason::WrongColumns), "{line:?}");
    }
}

#[test]
fn a_request_has_parts_where_it_has_that_form() {
    for (request, want) in [
        ("GET /a HTTP/1.1", Some(["GET", "/a", "HTTP/1.1"])),
        ("OPTIONS * HTTP/1.0", Some(["OPTIONS", "*", "HTTP/1.0"])),
        ("CONNECT example.org:443 HTTP/1.1", Some(["CONNECT", "example.org:443", "HTTP/1.1"])),
        ("PRI * HTTP/2.0", Some(["PRI", "*", "HTTP/2.0"])),
        ("GET https://example.org/ HTTP/3", Some(["GET", "https://example.org/", "HTTP/3"])),
        ("GET /a b  c HTTP/1.1", Some(["GET", "/a b  c", "HTTP/1.1"])),
        ("M-SEARCH * HTTP/1.1", Some(["M-SEARCH", "*", "HTTP/1.1"])),
        ("GET /", Some(["GET", "/", ""])),
        ("POST /", None),
        ("GET  HTTP/1.1", None),
        ("GET ", None),
        ("GET", None),
        ("GET / ", None),
        ("GET / HTTP/", None),
        ("GET / HTTP/1.1x", None),
        (" / HTTP/1.1", None),
        ("G@T / HTTP/1.1", None),
        ("hello big world", None),
        (r"\x16\x03\x01\x00\xEE", None),
        (r"\n", None),
        ("", None),
    ] {
        let line = with(request, "-", "-");
        let parts = ["method", "target", "protocol"].map(|name| one(&line, name));
        let want = want.unwrap_or_default().map(|text| (!text.is_empty()).then(|| text.to_owned()));
        assert_eq!(parts, want, "{request}");
        assert!(one(&line, "request").is_some() && one(&line, "status").is_some(), "{request}");
    }
}

#[test]
fn escapes_are_resolved_and_what_is_none_stays() {
    for (written, want) in [
        (r#"\"quoted\""#, "\"quoted\""),
        (r"C:\\Windows\\x41", r"C:\Windows\x41"),
        (r"\x22\x5C\x41", "\"\\A"),
        (r"a\tb\nc\rd\be\vf", "a\tb\nc\rd\u{8}e\u{b}f"),
        (r"\xc3\xa4 \xE2\x82\xAC \xf0\x9f\x98\x80", "ä € 😀"),
        (r"ä\xc3\xa4", "ää"),
        ("ä", "ä"),
        (r"\x00", "\0"),
        // Not UTF-8: as it is written, with its letters in their case.
        (r"\xE4", r"\xE4"),
        (r"a\xe4b", r"a\xe4b"),
        (r"\xc3\xa4\xFf\xc3", r"ä\xFf\xc3"),
        (r"\xc3", r"\xc3"),
        (r"\xc3 \xa4", r"\xc3 \xa4"),
        // No escapes.
        (r"\q", r"\q"),
        (r"\x4", r"\x4"),
        (r"\xg0", r"\xg0"),
        (r"\x", r"\x"),
        (r"\u00e4", r"\u00e4"),
    ] {
        for line in [with("-", "-", written), with("-", written, "-"), with(written, "-", "-")] {
            assert!(read(&line).expect("a line").iter().any(|column| column.ends_with(&format!("={want}"))), "{line}");
        }
    }
}

#[test]
fn no_client_can_end_a_column() {
    // What a client sends as its name, its request or its agent, as Apache and nginx write it down.
    let evil = r#"] \"GET /evil HTTP/1.1\" 500 1 \"x"#;
    let line = format!("h - a [b {evil} [t] \"{evil}\" 200 5 \"{evil}\" \"{evil}\"");
    let resolved = evil.replace("\\\"", "\"");
    assert_eq!(one(&line, "user"), Some(format!("a [b {resolved}")));
    assert_eq!((one(&line, "time").as_deref(), one(&line, "status").as_deref()), (Some("t"), Some("200")));
    for name in ["request", "referer", "user_agent"] {
        assert_eq!(one(&line, name).as_ref(), Some(&resolved), "{name}");
    }
    assert_eq!(one(&line.replace("\\\"", "\\x22"), "user_agent"), Some(resolved));
}

#[test]
fn fields_take_columns_by_name_or_by_path() {
    let renamed = Place::Path(vec![Step::Member("user_agent".to_owned())]);
    let agent = Field { place: renamed, ..Field::new("agent", FieldType::String, false) };
    let fields = [Field::new("status", FieldType::Int, false), agent, Field::new("method", FieldType::String, true)];
    let null = ["-".to_owned()];
    let layout = Layout { fields: &fields, null: &null, time_zone: None };
    let text = |line: &'static str, at: usize| {
        Combined.field_text(layout, line.as_bytes(), at).map(|text| String::from_utf8_lossy(&text).into_owned())
    };
    let line = "h - - [t] \"GET / HTTP/1.0\" 200 5 \"-\" \"a\\\"b\"";
    let texts = [0, 1, 2].map(|at| text(line, at));
    assert_eq!(texts.each_ref().map(Option::as_deref), [Some("200"), Some("a\"b"), Some("GET")]);
    assert_eq!(text("h - - [t] \"-\" 200 5 \"-\" \"-\"", 1), None, "absent");
    assert_eq!(text("broken", 0), None);
}

/// What a client may send.
fn any_text() -> impl Strategy<Value = String> {
    prop_oneof!["[a\\\\\"\\[\\] x2\t\n]{1,9}", "\\PC{1,9}", any::<String>()].prop_filter("absent", |text| text != "-")
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(
        host in any_text(), ident in any_text(), user in any_text(), target in any_text(),
        referer in any_text(), agent in any_text(), status in 100_i64..600, bytes in any::<Option<u32>>(),
    ) {
        let kinds = |name: &str| if matches!(name, "status" | "bytes") { FieldType::Int } else { FieldType::String };
        let fields: Vec<Field> = COLUMNS.iter().map(|column| Field::new(column.name, kinds(column.name), true)).collect();
        let target = if target.is_empty() { "/" } else { target.as_str() };
        let request = format!("GET {target} HTTP/1.1");
        let mut texts = [""; COLUMNS.len()];
        texts[REMOTE_HOST] = &host;
        texts[IDENT] = &ident;
        texts[USER] = &user;
        texts[TIME_OF_REQUEST] = "25/Nov/2026:10:00:00 +0100";
        texts[REQUEST] = &request;
        texts[METHOD] = "GET";
        texts[TARGET] = target;
        texts[PROTOCOL] = "HTTP/1.1";
        texts[REFERER] = &referer;
        texts[USER_AGENT] = &agent;
        let mut values: Vec<Option<FieldValue<'_>>> =
            texts.into_iter().map(|text| (!text.is_empty()).then_some(FieldValue::Text(text))).collect();
        values[STATUS] = Some(FieldValue::Int(status));
        values[BYTES] = bytes.map(|bytes| FieldValue::Int(i64::from(bytes)));
        let null = ["-".to_owned()];
        let line = Combined.write(Layout { fields: &fields, null: &null, time_zone: None }, &values);

        let mut record = Record::new(fields.len());
        Reader::new(Format::Combined, &fields, &null, None).read(&line, &mut record).expect("a line");
        for (at, cell) in record.cells.iter().enumerate() {
            let read = match cell {
                Cell::Text(span) => Some(FieldValue::Text(std::str::from_utf8(span.of(&line, &record.unescaped)).expect("UTF-8"))),
                Cell::Int(number) => Some(FieldValue::Int(*number)),
                _ => None,
            };
            prop_assert_eq!(read, values[at], "{} of {}", COLUMNS[at].name, line.escape_ascii());
        }
    }

    #[test]
    fn any_line_is_read_or_refused_with_texts_of_utf_8(line in "[h\\-\\[\\] \"\\\\x34e2/GETHP.1ä]{0,60}", prefix in prop::sample::select(vec!["", "h - - [t] \"GET / HTTP/1.1\" 2 3 \""])) {
        let _ = read(&format!("{prefix}{line}"));
    }
}
