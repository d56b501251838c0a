//! Lines of each format, good and bad ones. What the file begins with is good: a byte-order mark there belongs to no line.

use anyhow::{Context, Result};
use chrono::DateTime;
use e2e_tests::time::rfc3339;

/// The formats of texts, which are the names of the sources too.
pub(super) const FORMATS: [&str; 4] = ["json", "tsv", "csv", "combined"];

const MARK: &[u8] = b"\xef\xbb\xbf";
const HOUR_US: i64 = 3_600_000_000;
/// More than `max_age`, and more than `max_ahead`.
const OLD_US: i64 = 11 * 24 * HOUR_US;
const AHEAD_US: i64 = 2 * HOUR_US;
/// Makes a record longer than `max_record`.
const LONG: usize = 2_000;

/// A record of a file.
pub(super) struct Line {
    /// Its bytes; those of CSV may hold line ends.
    pub(super) text: Vec<u8>,
    /// Why it is rejected, as the archive says it: `reason` or `reason:field`.
    pub(super) error: Option<&'static str>,
}

/// The fields of a source.
pub(super) fn fields(format: &str) -> &'static str {
    if format == "combined" {
        r#"
at = { type = "timestamp", path = "time" }
site = { type = "string", path = "remote_host" }
n = { type = "int", path = "status" }
w = { type = "float?", path = "bytes" }
agent = { type = "string?", path = "user_agent" }
"#
    } else {
        r#"
at = "timestamp"
site = "string"
n = "int"
w = "float?"
ok = "bool?"
"#
    }
}

/// The lines of a file. All good ones have the number 1.
pub(super) fn lines(format: &str, now_us: i64) -> Result<Vec<Line>> {
    let moments = [now_us, now_us - OLD_US, now_us + AHEAD_US];
    let texts = moments.map(rfc3339);
    Ok(match format {
        "json" => json(&texts),
        "tsv" => rows("\t", &texts),
        "csv" => [rows(",", &texts), in_quotes(&texts[0])].into_iter().flatten().collect(),
        _ => {
            let of_log = |us: i64| -> Result<String> {
                let moment = DateTime::from_timestamp_micros(us).context("a time")?;
                Ok(moment.format("%d/%b/%Y:%H:%M:%S +0000").to_string())
            };
            let [now, old, ahead] = moments.map(of_log);
            log(&[now?, old?, ahead?])
        }
    })
}

fn good(text: impl Into<Vec<u8>>) -> Line {
    Line { text: text.into(), error: None }
}

fn bad(error: &'static str, text: impl Into<Vec<u8>>) -> Line {
    Line { text: text.into(), error: Some(error) }
}

fn json([now, old, ahead]: &[String; 3]) -> Vec<Line> {
    let with = |members: &str| format!(r#"{{"at":"{now}",{members}}}"#);
    let at = |at: &str| format!(r#"{{"at":{at},"site":"a","n":1}}"#);
    let whole = with(r#""site":"a","n":1"#);
    vec![
        good(whole.as_str()),
        good(with(r#""site":"a","n":1.0,"w":-0.5e1,"ok":true,"more":["\ud83d",[[[{"a":[]}]]]]"#)),
        good(format!(" {whole}\r")),
        good([MARK, whole.as_bytes()].concat()),
        bad("empty", MARK),
        bad("too_long", with(&format!(r#""site":"{}","n":1"#, "x".repeat(LONG)))),
        bad("not_utf8", [whole.as_bytes(), b"\xff"].concat()),
        bad("not_json", "{"),
        bad("not_json", "not json"),
        bad("not_json", format!("{whole}{whole}")),
        bad("not_json", with(r#""site":"a","n":01"#)),
        bad("not_json", with(r#""site":"\x41","n":1"#)),
        bad("not_object", "[1]"),
        bad("not_object", "null"),
        bad("not_object", "\"text\""),
        bad("missing_field:at", r#"{"site":"a","n":1}"#),
        bad("missing_field:site", with(r#""site":null,"n":1"#)),
        bad("missing_field:n", with(r#""site":"a""#)),
        bad("wrong_type:at", at("\"2026-04-24T09:30:00\"")),
        bad("wrong_type:at", at("true")),
        bad("wrong_type:site", with(r#""site":7,"n":1"#)),
        bad("wrong_type:n", with(r#""site":"a","n":"1""#)),
        bad("wrong_type:n", with(r#""site":"a","n":1.5"#)),
        bad("wrong_type:ok", with(r#""site":"a","n":1,"ok":1"#)),
        bad("out_of_range:at", at("1e99")),
        bad("out_of_range:n", with(r#""site":"a","n":9223372036854775808"#)),
        bad("out_of_range:w", with(r#""site":"a","n":1,"w":1e400"#)),
        bad("too_old:at", at(&format!("\"{old}\""))),
        bad("too_far_ahead:at", at(&format!("\"{ahead}\""))),
    ]
}

/// Rows of columns with this between them.
fn rows(delimiter: &str, [now, old, ahead]: &[String; 3]) -> Vec<Line> {
    let row = |columns: [&str; 5]| columns.join(delimiter);
    let whole = row([now, "a", "1", "", ""]);
    vec![
        good(whole.as_str()),
        good(format!("{}\r", row([now, "a", "01", "-0.5e1", "YES"]))),
        good([MARK, whole.as_bytes()].concat()),
        bad("empty", MARK),
        bad("too_long", row([now, &"x".repeat(LONG), "1", "", ""])),
        bad("not_utf8", [whole.as_bytes(), b"\xff"].concat()),
        bad("wrong_columns", [now.as_str(), "a", "1", ""].join(delimiter)),
        bad("wrong_columns", format!("{whole}{delimiter}")),
        bad("wrong_columns", "not a row"),
        bad("missing_field:at", row(["", "a", "1", "", ""])),
        bad("missing_field:site", row([now, "", "1", "", ""])),
        bad("missing_field:n", row([now, "a", "", "", ""])),
        bad("wrong_type:at", row(["2026-04-24 09:30", "a", "1", "", ""])),
        bad("wrong_type:n", row([now, "a", "1.5", "", ""])),
        bad("wrong_type:n", row([now, "a", "-", "", ""])),
        bad("wrong_type:w", row([now, "a", "1", "NaN", ""])),
        bad("wrong_type:ok", row([now, "a", "1", "", "maybe"])),
        bad("out_of_range:at", row(["1e99", "a", "1", "", ""])),
        bad("out_of_range:n", row([now, "a", "9223372036854775808", "", ""])),
        bad("out_of_range:w", row([now, "a", "1", "1e400", ""])),
        bad("too_old:at", row([old, "a", "1", "", ""])),
        bad("too_far_ahead:at", row([ahead, "a", "1", "", ""])),
    ]
}

/// Rows of CSV with quotes. The last one's quote takes the rest of the file.
fn in_quotes(now: &str) -> Vec<Line> {
    vec![
        good(format!("\"{now}\",\"two\nlines, \"\"quoted\"\"\",\"1\",\"\",t")),
        bad("missing_field:site", format!("{now},\"\",1,,")),
        bad("wrong_columns", format!("{now},a\"b,1,,")),
        bad("wrong_columns", format!("\"{now}\"x,a,1,,")),
        bad("wrong_columns", format!("{now}, \"a\",1,,")),
        bad("wrong_columns", format!("{now},\"a\nb\",1,,,")),
        bad("wrong_columns", format!("{now},\"a,1,,")),
    ]
}

fn log([now, old, ahead]: &[String; 3]) -> Vec<Line> {
    let line = |host: &str, at: &str, status: &str, bytes: &str| {
        format!(r#"{host} - - [{at}] "GET / HTTP/1.1" {status} {bytes} "-" "agent""#)
    };
    let whole = line("a", now, "1", "5");
    let hostile = r#""] \"GET /\" 500 2" 1 5 "" "() { :;}; \x22\" 200""#;
    vec![
        good(whole.as_str()),
        good(format!("{whole}\r")),
        good(format!(r#"a - - [{now}] "-" 1 -"#)),
        good(format!(r#"a - fr\"an k [{now}] {hostile}"#)),
        good([MARK, whole.as_bytes()].concat()),
        bad("empty", MARK),
        bad("too_long", format!("{whole} \"{}\"", "x".repeat(LONG))),
        bad("not_utf8", [whole.as_bytes(), b"\xff"].concat()),
        bad("wrong_columns", "-- MARK --"),
        bad("wrong_columns", &whole.as_bytes()[..whole.len() - 1]),
        bad("wrong_columns", format!(r#"a - - [{now}] "GET / HTTP/1.1" 1"#)),
        bad("wrong_columns", format!(r#"example.org:443 a - frank [{now}] "-" 1 5 "-" "-""#)),
        bad("missing_field:at", line("a", "-", "1", "5")),
        bad("missing_field:site", line("-", now, "1", "5")),
        bad("missing_field:n", line("a", now, "-", "5")),
        bad("wrong_type:at", line("a", "2026-04-24T09:30:00Z", "1", "5")),
        bad("wrong_type:n", line("a", now, "2xx", "5")),
        bad("wrong_type:w", line("a", now, "1", "5k")),
        bad("out_of_range:at", line("a", "31/Dec/0000:10:00:00 +0000", "1", "5")),
        bad("out_of_range:n", line("a", now, "9223372036854775808", "5")),
        bad("out_of_range:w", line("a", now, "1", "1e400")),
        bad("too_old:at", line("a", old, "1", "5")),
        bad("too_far_ahead:at", line("a", ahead, "1", "5")),
    ]
}
