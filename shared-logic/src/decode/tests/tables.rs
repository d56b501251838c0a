//! Tables and logs as people have them: words for true and false, texts for absent values, zones and patterns of instants.

use super::*;

/// A source with these lines beside its fields.
fn source(lines: &str, fields: &str) -> Source {
    let text = format!("[sources.s]\n{lines}\n[sources.s.fields]\n{fields}\n");
    Catalog::parse(&text).unwrap_or_else(|mistakes| panic!("{mistakes:?}")).sources["s"].clone()
}

/// The cells of a payload as `name=cell`, or why there are none.
fn cells(source: &Source, payload: &str) -> Result<Vec<String>, String> {
    let cells = decoded(source, payload.as_bytes())?;
    Ok(cells.into_iter().map(|(name, cell)| format!("{name}={cell}")).collect())
}

fn ok(cells: &[&str]) -> Result<Vec<String>, String> {
    Ok(cells.iter().map(|cell| (*cell).to_owned()).collect())
}

fn err(why: &str) -> Result<Vec<String>, String> {
    Err(why.to_owned())
}

#[test]
fn tables_say_true_and_false_in_many_words() {
    let source = source("event_time = \"at\"\nformat = \"csv\"", "at = \"timestamp\"\nb = \"bool\"");
    for (words, truth) in [
        (["true", "TRUE", "True", "t", "T", "1", "yes", "Yes", "y", "Y"], "b=true"),
        (["false", "FALSE", "False", "f", "F", "0", "no", "NO", "n", "N"], "b=false"),
    ] {
        for word in words {
            assert_eq!(cells(&source, &format!("0,\"{word}\"")), ok(&["at=0", truth]), "{word}");
        }
    }
    for word in ["on", "ja", "2", "-1", "tru", "truee", " true", "null"] {
        assert_eq!(cells(&source, &format!("0,{word}")), err("wrong_type:b"), "{word}");
    }
    assert_eq!(cells(&source, "0,"), err("missing_field:b"));
}

#[test]
fn a_source_names_the_texts_of_absent_values() {
    let fields = "at = \"timestamp\"\nn = \"int?\"\nnote = \"string?\"";
    let table =
        |format: &str, null: &str| source(&format!("event_time = \"at\"\nformat = \"{format}\"\n{null}"), fields);
    let null = r#"null = ["", "-", "\\N"]"#;
    for (table, payload) in [
        (table("tsv", null), "0\t-\t\\N"),
        (table("tsv", null), "0\t\t"),
        (table("csv", null), "0,-,\\N"),
        (table("csv", null), "\"0\",\"-\",\"\""),
    ] {
        assert_eq!(cells(&table, payload), ok(&["at=0"]), "{payload}");
    }
    // Without the key, only the empty text.
    assert_eq!(cells(&table("tsv", ""), "0\t\t-"), ok(&["at=0", "note=-"]));
    assert_eq!(cells(&table("tsv", ""), "0\t-\t-"), err("wrong_type:n"));
    // With it, only those that it names.
    assert_eq!(cells(&table("tsv", r#"null = ["-"]"#), "0\t-\t"), ok(&["at=0", "note="]));
    assert_eq!(cells(&table("tsv", r#"null = ["-"]"#), "-\t-\t"), err("missing_field:at"));
}

#[test]
fn each_field_says_how_its_instants_are_written() {
    let fields = r#"
at = { type = "timestamp", format = "%d.%m.%Y %H:%M:%S" }
s = { type = "timestamp?", format = "epoch_s" }
us = { type = "timestamp?", format = "epoch_us" }
w = "timestamp?"
"#;
    let lines = "event_time = \"at\"\ntime_zone = \"Europe/Berlin\"\n";
    let want = ok(&["at=1795600800000000", "s=1795600800250000", "us=1795600800000001", "w=1795600800000000"]);
    let line = "25.11.2026 11:00:00,1795600800.25,1795600800000001,2026-11-25 11:00";
    assert_eq!(cells(&source(&format!("{lines}format = \"csv\""), fields), line), want);
    assert_eq!(cells(&source(&format!("{lines}format = \"tsv\""), fields), &line.replace(',', "\t")), want);
    let object = r#"{"at":"25.11.2026 11:00:00","s":1795600800.25,"us":"1795600800000001","w":"2026-11-25T11:00:00"}"#;
    let json = source(lines, fields);
    assert_eq!(cells(&json, object), want);
    for (from, to, why) in [
        ("25.11.2026 11:00:00", "2026-11-25T10:00:00Z", "wrong_type:at"),
        ("25.11.2026 11:00:00", "1795600800000", "wrong_type:at"),
        ("1795600800.25", "\"2026-11-25T10:00:00Z\"", "wrong_type:s"),
        ("1795600800.25", "1795600800000", "out_of_range:s"),
        ("1795600800000001", "1e30", "out_of_range:us"),
    ] {
        assert_eq!(cells(&json, &object.replace(from, to)), err(why), "{to}");
    }
    // A pattern may tell its digits as a number.
    let digits =
        source("event_time = \"at\"\ntime_zone = \"UTC\"", r#"at = { type = "timestamp", format = "%Y%m%d%H%M%S" }"#);
    assert_eq!(cells(&digits, r#"{"at":20261125100000}"#), ok(&["at=1795600800000000"]));
}

#[test]
fn a_date_and_a_time_in_two_columns_are_the_event_time() {
    let fields = "date = \"string\"\ntime = \"string\"\nn = \"int?\"";
    let usual = source("format = \"tsv\"\ntime_zone = \"UTC\"\nevent_time = [\"date\", \"time\"]", fields);
    let want = ok(&["date=2026-11-25", "time=10:00:00", "n=7", "event_time=1795600800000000"]);
    assert_eq!(cells(&usual, "2026-11-25\t10:00:00\t7"), want);
    assert_eq!(cells(&usual, "2026-11-25\tnoon\t7"), err("wrong_type:event_time"));
    assert_eq!(cells(&usual, "2026-11-25\t\t7"), err("missing_field:time"));
    let american = r#"event_time = { fields = ["date", "time"], format = "%m/%d/%Y %I:%M:%S %p" }"#;
    let american = source(&format!("format = \"csv\"\ntime_zone = \"America/New_York\"\n{american}"), fields);
    let want = ok(&["date=11/25/2026", "time=5:00:00 AM", "event_time=1795600800000000"]);
    assert_eq!(cells(&american, "11/25/2026,5:00:00 AM,"), want);
}

#[test]
fn an_access_log_is_a_source() {
    let fields = r#"
status = "int"
bytes = "int?"
at = { type = "timestamp", path = "time" }
target = "string?"
agent = { type = "string?", path = "user_agent" }
"#;
    let log = source("format = \"combined\"\nevent_time = \"at\"\nkey = \"target\"", fields);
    let line = |rest: &str| format!("203.0.113.7 - - [25/Nov/2026:11:00:00 +0100] {rest}");
    let want = ok(&["status=200", "bytes=512", "at=1795600800000000", "target=//favicon.ico", "agent=curl/8"]);
    assert_eq!(cells(&log, &line(r#""GET //favicon.ico HTTP/1.1" 200 512 "-" "curl/8""#)), want);
    assert_eq!(cells(&log, &line(r#""-" 408 -"#)), ok(&["status=408", "at=1795600800000000"]));
    assert_eq!(cells(&log, &line(r#""-" ok -"#)), err("wrong_type:status"));
    assert_eq!(cells(&log, &line(r#""-" - -"#)), err("missing_field:status"));
    assert_eq!(cells(&log, &line(r#""-" 408"#)), err("wrong_columns"));
    assert_eq!(cells(&log, "203.0.113.7 - - [2026-11-25T10:00:00Z] \"-\" 408 -"), err("wrong_type:at"));
    let bytes = [line("\"GET /").as_bytes(), b"\xe4 HTTP/1.1\" 200 1"].concat();
    assert_eq!(decoded(&log, &bytes), Err("not_utf8".to_owned()));
    // The order in which fields are declared means nothing.
    let other = source(
        "format = \"combined\"\nevent_time = \"at\"",
        "at = { type = \"timestamp\", path = \"time\" }\nstatus = \"int\"",
    );
    assert_eq!(cells(&other, &line(r#""-" 408 -"#)), ok(&["at=1795600800000000", "status=408"]));
}
