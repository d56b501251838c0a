//! How values are written: patterns of instants, dates and times of two fields, columns with names, texts of absent values.

use super::*;
use crate::schema::InstantFormat;

/// A source of one format, with these lines; its first field is on the third line behind them.
fn source(format: &str, lines: &str, fields: &str) -> String {
    format!("[sources.s]\nformat = \"{format}\"\n{lines}\n[sources.s.fields]\n{fields}\n")
}

#[test]
fn a_pattern_of_instants_must_place_an_event() {
    let with = |lines: &str, format: &str| {
        let field = format!("at = {{ type = \"timestamp\", format = \"{format}\" }}");
        source("tsv", &format!("event_time = \"at\"\n{lines}"), &field)
    };
    for (lines, format, what, fix) in [
        ("", "%d.%m.%Y %H:%M", "does not say which time zone", "time_zone = \"Europe/Berlin\""),
        ("", "%H:%M:%S %z", "does not say which day", "event_time = [\"date\", \"time\"]"),
        ("time_zone = \"UTC\"", "%Y-%m-%d %I:%M", "cannot be read back", "%p"),
        ("", "%Q", "has no meaning", "epoch_s"),
        ("", "epoch", "which day", "add the date"),
        ("", "%Y-%m-%d%t%H:%M %z", "a tab or a line end", "blanks"),
    ] {
        let found = mistakes(&with(lines, format));
        assert_eq!(found.len(), 1, "{format}: {found:?}");
        assert_eq!(found[0].line, 6, "{format}");
        assert!(found[0].what.contains(what) && found[0].fix.contains(fix), "{format}: {}", found[0]);
    }
    for (lines, format) in [
        ("time_zone = \"UTC\"", "%d.%m.%Y %H:%M"),
        ("", "%d/%b/%Y:%H:%M:%S %z"),
        ("", "%s"),
        ("", "epoch_s"),
        ("", "epoch_ns"),
    ] {
        let found = mistakes(&with(lines, format));
        assert!(found.is_empty(), "{format}: {found:?}");
    }
}

#[test]
fn an_event_time_may_be_a_date_and_a_time_of_two_fields() {
    let fields = "date = \"string\"\ntime = \"string\"\nn = \"int\"\nmay = \"string?\"\nx = \"string\"\ny = \"string\"";
    for (event_time, what, fix) in [
        ("[\"date\"]", "lists 1 fields", "[\"date\", \"time\"]"),
        ("{ format = \"%s\" }", "lists 0 fields", "[\"date\", \"time\"]"),
        ("[\"date\", \"tiem\"]", "undeclared field `tiem`", "did you mean `time`?"),
        ("[\"date\", \"n\"]", "`n`, which is int, not string", "of type string"),
        ("[\"date\", \"may\"]", "may be absent", "without \"?\""),
        ("[\"date\", 7]", "`event_time` holds an integer", "event_time = ["),
        ("[\"date\", \"time\", \"x\", \"y\"]", "read with blanks", "%d.%m.%Y %H:%M:%S"),
        ("[\"date\", \"date\"]", "names `date` twice", "once"),
        ("{ fields = [\"date\", \"time\"], format = \"%Y%m%d\" }", "read with blanks", "as many blanks"),
        ("{ fields = [\"date\", \"time\"], format = \"epoch_s\" }", "read with blanks", "as many blanks"),
        ("{ fields = [\"date\", \"time\"], pattern = \"\" }", "unknown key `pattern`", "keys are fields, format"),
    ] {
        let text = source("csv", &format!("time_zone = \"UTC\"\nevent_time = {event_time}"), fields);
        let found = mistakes(&text);
        // A number among the names leaves one name, which is a mistake too.
        let expected = if event_time.contains('7') { 2 } else { 1 };
        assert_eq!(found.len(), expected, "{event_time}: {found:?}");
        let fits = |mistake: &Mistake| mistake.what.contains(what) && mistake.fix.contains(fix) && mistake.line == 4;
        assert!(found.iter().any(fits), "{event_time}: {found:?}");
    }
    let taken = source("csv", "event_time = [\"date\", \"event_time\"]", "date = \"string\"\nevent_time = \"string\"");
    assert!(mistakes(&taken)[0].what.contains("there is a field `event_time`"));
    let log = source("combined", "event_time = [\"time\", \"user\"]", "time = \"string\"\nuser = \"string\"");
    assert!(mistakes(&log)[0].what.contains("one column for the time"));

    let german = "event_time = { fields = [\"date\", \"time\"], format = \"%d.%m.%Y %H:%M:%S\" }";
    let catalog = Catalog::parse(&source("csv", &format!("time_zone = \"UTC\"\n{german}"), fields)).expect("valid");
    let source = &catalog.sources["s"];
    let joined = source.fields.last().expect("it is added behind the declared ones");
    assert_eq!(
        (joined.name.as_str(), joined.kind, source.event_time.as_str()),
        ("event_time", FieldType::Timestamp, "event_time")
    );
    assert_eq!(joined.place, Place::Joined(vec!["date".to_owned(), "time".to_owned()]));
    assert_eq!(joined.instants, InstantFormat::Pattern("%d.%m.%Y %H:%M:%S".to_owned()));
}

#[test]
fn fields_of_an_access_log_are_named_like_its_columns() {
    let with = |field: &str| source("combined", "event_time = \"time\"", &format!("time = \"timestamp\"\n{field}"));
    for (field, what, fix) in [
        ("user_agnet = \"string\"", "combined has no column `user_agnet`", "did you mean `user_agent`?"),
        ("country = \"string\"", "no column `country`", "columns are remote_host, ident, user, time, request, method"),
        ("page = { type = \"string\", path = \"url\" }", "no column `url`", "columns are"),
        ("page = { type = \"string\", path = \"a.b\" }", "has several steps", "one column"),
        ("status = \"bool\"", "`status` is bool", "write int or float or string"),
        ("method = \"int\"", "`method` is int", "write string"),
        (
            "at = { type = \"timestamp\", path = \"time\", format = \"[%+]\" }",
            "between which the time stands",
            "leave them out",
        ),
    ] {
        let found = mistakes(&with(field));
        assert_eq!(found.len(), 1, "{field}: {found:?}");
        assert_eq!(found[0].line, 6, "{field}");
        assert!(found[0].what.contains(what) && found[0].fix.contains(fix), "{field}: {}", found[0]);
    }
    let null = source("combined", "null = [\"\"]\nevent_time = \"time\"", "time = \"timestamp\"");
    assert!(mistakes(&null)[0].what.contains("`null` lacks \"-\""));

    let text = with("agent = { type = \"string?\", path = \"user_agent\" }\nstatus = \"int\"\nbytes = \"int?\"");
    let catalog = Catalog::parse(&text).expect("valid");
    let source = &catalog.sources["s"];
    assert_eq!(source.null, ["-"]);
    assert_eq!(source.fields[0].instants, InstantFormat::Pattern("%d/%b/%Y:%H:%M:%S %z".to_owned()));
}

#[test]
fn what_is_absent_is_a_matter_of_the_format() {
    let null = |format: &str, lines: &str| {
        let text = source(format, &format!("event_time = \"time\"\n{lines}"), "time = \"timestamp\"");
        Catalog::parse(&text).expect("valid").sources["s"].null.clone()
    };
    assert!(null("json", "").is_empty());
    assert_eq!((null("tsv", ""), null("csv", "")), (vec![String::new()], vec![String::new()]));
    assert_eq!(null("csv", "null = [\"-\", \"\"]"), ["-", ""]);
}
