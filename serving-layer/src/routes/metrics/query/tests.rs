use super::*;
use shared_logic::group_key::MAX_KEY_BYTES;
use shared_logic::time::{HOUR_US, Width, Zone, parse_rfc3339};
use test_kit::catalogs;

/// With a grain that no unit of time is.
fn catalog() -> Catalog {
    Catalog::parse(&catalogs::EVERY_KEY_TYPE.replace("\"1m\"", "\"5m\"")).expect("a catalog")
}

const NOW: &str = "2026-04-24T09:31:07Z";

fn at(text: &str) -> i64 {
    parse_rfc3339(text.as_bytes()).expect("an instant")
}

fn read(query: &str) -> Result<Query, Problem> {
    let catalog = catalog();
    read_with(&catalog, query, &settings::Http::default())
}

fn read_with(catalog: &Catalog, query: &str, http: &settings::Http) -> Result<Query, Problem> {
    let reader = Reader { catalog, metric: &catalog.metrics["visits"], http, now_us: at(NOW) };
    reader.total(&Parameters::read_repeated(Some(query))?)
}

/// The first key that is asked for.
fn key(query: &Query) -> &str {
    query.selection.keys[0].key.as_str()
}

/// The columns as an answer repeats them.
fn given(query: &Query) -> serde_json::Value {
    serde_json::to_value(query.selection.keys[0].given(&catalog().metrics["visits"])).expect("plain data")
}

fn refused(query: &str, parameter: &str, word: &str) {
    let problem = read(query).expect_err(query);
    assert_eq!(problem.parameter.as_deref(), Some(parameter), "{query}: {}", problem.detail);
    assert!(problem.detail.contains(word), "{query}: {}", problem.detail);
}

#[test]
fn columns_are_read_by_their_type() {
    let query = read("page=a%20b+%22c%22&code=-7&ok=true&seen=2026-01-01T02:00:00%2B02:00").expect("readable");
    assert_eq!(key(&query), r#"["a b \"c\"",-7,true,"2026-01-01T00:00:00Z"]"#);
    assert_eq!(given(&query)["code"], -7);
    assert_eq!(given(&query)["seen"], "2026-01-01T00:00:00Z");
    let query = read("code=4").expect("readable");
    assert_eq!((key(&query), given(&query).to_string().as_str()), ("[null,4,null,null]", r#"{"code":4}"#));
    assert_eq!(key(&read("").expect("readable")), "[]");
    assert_eq!(key(&read("page=").expect("an empty text is one")), r#"["",null,null,null]"#);
}

#[test]
fn an_absent_value_is_asked_for_by_name() {
    let query = read("page.missing=true&code=4&seen.missing=true").expect("readable");
    assert_eq!(key(&query), "[{},4,null,{}]");
    assert_eq!(given(&query).to_string(), r#"{"page":null,"code":4,"seen":null}"#);
    let texts = ["page=", "page=null", "page=%7B%7D"].map(|text| key(&read(text).expect("readable")).to_owned());
    assert_eq!(texts, [r#"["",null,null,null]"#, r#"["null",null,null,null]"#, r#"["{}",null,null,null]"#]);
    refused("page=a&page.missing=true", "page.missing", "page and page.missing exclude each other");
    refused("page.missing=false", "page.missing", "write page.missing=true");
    refused("page.missing", "page.missing", "leave it out");
    refused("code.missing=true", "code.missing", "code is required");
    refused("code=1&code.missing=true", "code.missing", "code is required");
    refused("from.missing=true", "from.missing", "not known");
    refused("page.missing=true&page.missing=true", "page.missing", "repeated");
}

#[test]
fn a_long_text_names_the_key_that_events_have() {
    let long = "a".repeat(MAX_KEY_BYTES + 1);
    let query = read(&format!("page={long}")).expect("readable");
    let shown = given(&query)["page"].as_str().expect("a text").to_owned();
    assert!(shown.len() == MAX_KEY_BYTES && shown.contains('…'), "{} bytes", shown.len());
    // What an answer shows is another name of the same key.
    assert_eq!(read(&format!("page={}", shown.replace('…', "%E2%80%A6"))).expect("readable"), query);
    let whole = "a".repeat(MAX_KEY_BYTES);
    assert_eq!(given(&read(&format!("page={whole}")).expect("readable"))["page"], whole);
}

#[test]
fn ranges_are_widened_to_the_grain() {
    let query = read("from=-24h&to=now").expect("readable");
    assert_eq!(query.selection.from_us, Some(at("2026-04-23T09:30:00Z")));
    assert_eq!(query.selection.to_us, Some(at("2026-04-24T09:35:00Z")));
    let query = read("from=2026-04-24T09:30:00Z").expect("readable");
    assert_eq!((query.selection.from_us, query.selection.to_us), (Some(at("2026-04-24T09:30:00Z")), None));
    let query = read("").expect("readable");
    assert_eq!((query.selection.from_us, query.selection.to_us), (None, None));
}

#[test]
fn what_cannot_be_used_is_named() {
    refused("stie=1", "stie", "page, page.missing, code, ok, ok.missing, seen, seen.missing, from, to, require");
    refused("step=1h", "step", "not known");
    refused("from=-1h&from=-2h", "from", "repeated");
    refused("code=1&code=1", "code", "each value once");
    refused("code=1&code=2&code=01", "code", "code=01 is a value that is given already");
    refused("code=1&code=x", "code", "int");
    refused("page=a&page=b&page.missing=true", "page.missing", "exclude each other");
    refused("code=x", "code", "int");
    refused("code=1.5", "code", "int");
    refused("ok=yes", "ok", "true or false");
    refused("seen=2026-01-01T02:00:00+02:00", "seen", "%2B");
    refused("from=yesterday", "from", "-24h");
    refused("to=2026-13-01T00:00:00Z", "to", "RFC 3339");
    refused("from=now&to=-1h", "from", "before to");
    refused("from=now&to=now", "from", "before to");
    refused("require=exact", "require", "require=complete");
    refused("page=%zz", "page", "percent");
    refused("page=%ff", "page", "UTF-8");
    assert!(read("require=complete").expect("readable").require_complete);
}

#[test]
fn repeated_columns_ask_for_every_combination() {
    let catalog = catalog();
    let keys = |query: &str, max_keys: usize| {
        let http = settings::Http { max_keys, ..settings::Http::default() };
        let query = read_with(&catalog, query, &http)?;
        Ok(query.selection.keys.iter().map(|asked| asked.key.to_string()).collect::<Vec<_>>())
    };
    let all = keys("code=2&page=b&ok=true&code=1&page=a", 4).expect("readable");
    let expected = [r#"["b",2,true,null]"#, r#"["b",1,true,null]"#, r#"["a",2,true,null]"#, r#"["a",1,true,null]"#];
    assert_eq!(all, expected);
    let problem: Problem = keys("code=2&page=b&code=1&page=a&page=c", 4).expect_err("six");
    assert_eq!(problem.parameter.as_deref(), Some("page"), "{}", problem.detail);
    assert!(problem.detail.contains("6 keys") && problem.detail.contains("http.max_keys"), "{}", problem.detail);
    let many: String = (0..1_001).map(|n| format!("code={n}&")).collect();
    refused(&many, "code", "more than 1000 parameters");
}

/// How a series is divided that is asked for so.
fn divided(query: &str, grain: &str) -> Result<Stepping, Problem> {
    let catalog =
        Catalog::parse(&catalogs::EVERY_KEY_TYPE.replace("\"1m\"", &format!("{grain:?}"))).expect("a catalog");
    stepping(&Parameters::read(Some(query)).expect("pairs"), &catalog.metrics["visits"])
}

fn undivided(query: &str, grain: &str, parameter: &str, word: &str) {
    let problem = divided(query, grain).expect_err(query);
    assert_eq!(problem.parameter.as_deref(), Some(parameter), "{query}: {}", problem.detail);
    assert!(problem.detail.contains(word), "{query}: {}", problem.detail);
}

#[test]
fn steps_are_whole_buckets_that_begin_alike_every_day() {
    let width = |query: &str| divided(query, "5m").expect(query).steps.width();
    assert_eq!(width(""), Width::Within(300_000_000), "the grain");
    assert_eq!(width("step=1h"), Width::Within(HOUR_US));
    assert_eq!((width("step=7d"), width("step=24h")), (Width::Days(7), Width::Days(1)));
    assert_eq!((width("step=1mo"), width("step=12mo")), (Width::Months(1), Width::Months(12)));
    for (text, word) in [
        ("1m", "multiple of 5m"),
        ("7h", "divides a day"),
        ("0s", "length"),
        ("x", "length"),
        ("400d", "366d"),
        ("5mo", "divide a year"),
        ("0mo", "length"),
        ("+1mo", "length"),
        ("24mo", "divide a year"),
    ] {
        undivided(&format!("step={text}"), "5m", "step", word);
    }
}

#[test]
fn a_zone_is_one_whose_days_begin_with_a_bucket() {
    let zone =
        |query: &str, grain: &str| divided(query, grain).map(|stepping| (stepping.steps.zone(), stepping.names_zone));
    assert_eq!(zone("", "1h").expect("none"), (Zone::UTC, false));
    assert_eq!(zone("tz=UTC", "1d").expect("UTC"), (Zone::UTC, true));
    assert_eq!(zone("tz=Europe/Berlin", "1h").expect("Berlin"), (Zone::Europe__Berlin, true));
    assert_eq!(zone("tz=Asia/Kathmandu", "5m").expect("Kathmandu"), (Zone::Asia__Kathmandu, true));
    undivided("tz=Asia/Kathmandu", "1h", "tz", "the offset +05:45, which the metric's grain of 1h does not divide");
    undivided("tz=Europe/Berlin", "1d", "tz", "+01:00");
    undivided("tz=Mars", "1h", "tz", "IANA");
    undivided("tz=", "1h", "tz", "IANA");
}

#[test]
fn a_window_is_a_whole_number_of_steps() {
    let count = |query: &str| divided(query, "5m").expect(query).steps_per_point();
    assert_eq!((count("window=1h"), count("step=1h&window=36h"), count("step=1d&window=7d")), (12, 36, 7));
    assert_eq!((count("step=1mo&window=3mo"), count("window=5m"), count("")), (3, 1, 1));
    undivided("step=1h&window=90m", "5m", "window", "multiple of 1h");
    undivided("step=1d&window=12h", "5m", "window", "multiple of 1d");
    undivided("step=1mo&window=30d", "5m", "window", "months");
    undivided("step=1d&window=1mo", "5m", "window", "months");
    undivided("window=0s", "5m", "window", "length");
    undivided("window=367d", "5m", "window", "366d");
    undivided("step=1mo&window=13mo", "5m", "window", "12mo");
}
