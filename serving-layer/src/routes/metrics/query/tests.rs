use super::*;
use shared_logic::group_key::MAX_KEY_BYTES;
use shared_logic::time::{DAY_US, HOUR_US, parse_rfc3339};
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
    Query::total(Some(query), &catalog, &catalog.metrics["visits"], at(NOW))
}

/// The columns as an answer repeats them.
fn given(query: &Query) -> serde_json::Value {
    serde_json::to_value(query.selection.given(&catalog().metrics["visits"])).expect("plain data")
}

fn refused(query: &str, parameter: &str, word: &str) {
    let problem = read(query).expect_err(query);
    assert_eq!(problem.parameter.as_deref(), Some(parameter), "{query}: {}", problem.detail);
    assert!(problem.detail.contains(word), "{query}: {}", problem.detail);
}

#[test]
fn columns_are_read_by_their_type() {
    let query = read("page=a%20b+%22c%22&code=-7&ok=true&seen=2026-01-01T02:00:00%2B02:00").expect("readable");
    assert_eq!(query.selection.key.as_str(), r#"["a b \"c\"",-7,true,"2026-01-01T00:00:00Z"]"#);
    assert_eq!(given(&query)["code"], -7);
    assert_eq!(given(&query)["seen"], "2026-01-01T00:00:00Z");
    let query = read("code=4").expect("readable");
    assert_eq!(
        (query.selection.key.as_str(), given(&query).to_string().as_str()),
        ("[null,4,null,null]", r#"{"code":4}"#)
    );
    assert_eq!(read("").expect("readable").selection.key.as_str(), "[]");
    assert_eq!(read("page=").expect("an empty text is one").selection.key.as_str(), r#"["",null,null,null]"#);
}

#[test]
fn an_absent_value_is_asked_for_by_name() {
    let query = read("page.missing=true&code=4&seen.missing=true").expect("readable");
    assert_eq!(query.selection.key.as_str(), "[{},4,null,{}]");
    assert_eq!(given(&query).to_string(), r#"{"page":null,"code":4,"seen":null}"#);
    let texts =
        ["page=", "page=null", "page=%7B%7D"].map(|text| read(text).expect("readable").selection.key.to_string());
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
    refused("code=1&code=2", "code", "repeated");
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
fn steps_are_whole_buckets_that_begin_alike_every_day() {
    let catalog = catalog();
    let read = |text: &str| step(&Parameters::read(Some(text)).expect("pairs"), &catalog.metrics["visits"]);
    assert_eq!(read("").expect("the grain"), 300_000_000);
    assert_eq!(read("step=1h").expect("an hour"), HOUR_US);
    assert_eq!(read("step=7d").expect("a week"), 7 * DAY_US);
    for (text, word) in
        [("1m", "multiple of 5m"), ("7h", "divides a day"), ("0s", "length"), ("x", "length"), ("400d", "366d")]
    {
        let problem = read(&format!("step={text}")).expect_err(text);
        assert_eq!(problem.parameter.as_deref(), Some("step"));
        assert!(problem.detail.contains(word), "{}", problem.detail);
    }
}
