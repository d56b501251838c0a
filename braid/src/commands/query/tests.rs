//! What is asked, and how answers are printed, character by character.

use clap::Parser;

use super::*;

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    args: Args,
}

fn args(line: &[&str]) -> Args {
    Line::parse_from([&["query"], line].concat()).args
}

fn url(line: &[&str]) -> String {
    let args = args(line);
    args.url(&args.serving.serving().expect("an address")).expect("a URL").to_string()
}

#[test]
fn flags_become_parameters() {
    assert_eq!(url(&["views"]), "http://127.0.0.1:8080/v1/metrics/views/total");
    assert_eq!(
        url(&["views", "video_id=a b&c", "--from=-24h", "--http", "localhost:1"]),
        "http://localhost:1/v1/metrics/views/total?video_id=a+b%26c&from=-24h"
    );
    assert_eq!(
        url(&["views", "--from", "-1h", "--step", "5m", "--complete", "--http", "http://h:1/braid/"]),
        "http://h:1/braid/v1/metrics/views/series?from=-1h&step=5m&require=complete"
    );
    assert_eq!(
        url(&["views", "country.missing=true", "note="]),
        "http://127.0.0.1:8080/v1/metrics/views/total?country.missing=true&note="
    );
    assert_eq!(url(&["views", "--in-version", "v2"]), "http://127.0.0.1:8080/v1/metrics/views/total?version=v2");
    assert_eq!(
        url(&["views", "v=1", "v=2", "--step", "1d", "--tz", "Europe/Berlin", "--window", "7d"]),
        "http://127.0.0.1:8080/v1/metrics/views/series?v=1&v=2&step=1d&tz=Europe%2FBerlin&window=7d"
    );
    assert_eq!(url(&["views", "--tz", "UTC"]), "http://127.0.0.1:8080/v1/metrics/views/series?tz=UTC");
    assert_eq!(url(&["views", "--series"]), "http://127.0.0.1:8080/v1/metrics/views/series");
}

#[test]
fn a_metric_cannot_leave_its_place_in_the_path() {
    assert_eq!(url(&["../x?y"]), "http://127.0.0.1:8080/v1/metrics/..%2Fx%3Fy/total");
}

#[test]
fn a_terminal_gets_a_table_and_anything_else_json() {
    let terminal = Screen { width: Some(80), colours: true };
    assert_eq!((Output::usual(terminal), Output::usual(Screen::NONE)), (Output::Table, Output::Json));
    assert_eq!(args(&["views", "--output", "csv"]).output, Some(Output::Csv));
    assert_eq!(args(&["views"]).output, None);
}

const TOTAL: &str = r#"{"metric": "sales", "key": {"shop": "日本 é", "vip": true, "coupon": null},
    "from": "2026-04-24T09:00:00Z", "to": null, "grain": "1m",
    "values": {"sales": 9223372036854775807, "cents": -1234567, "weight": null, "mean": 4573.333333333333},
    "overflow": [{"value": "weight", "reason": "the sum does not fit in 64 bits"}],
    "complete": false,
    "gaps": [{"reason": "no_shard", "text": "no worker counts it", "source": "sales", "log": "L1", "partition": 3,
              "from": "2026-04-24T09:00:00Z", "to": null},
             {"reason": "topic_unknown", "text": "no topic", "source": "sales", "log": null, "partition": null,
              "from": "2026-04-24T09:00:00Z", "to": null}],
    "authoritative": false, "as_of": "2026-04-24T09:30:12.345Z",
    "provenance": {
        "batch": {"values": {"sales": 9223372036854770000, "cents": -1234567, "weight": null}, "version": 1017,
                  "committed_at": "2026-04-24T09:20:03Z"},
        "speed": {"values": {"sales": 5807, "cents": 0, "weight": null}, "lag_ms": 83}}}"#;

const SERIES: &str = r#"{"metric": "sales", "key": {}, "from": "2026-04-24T09:00:00Z", "to": "2026-04-24T09:20:00Z",
    "grain": "1m", "step": "5m", "complete": true, "gaps": [], "authoritative": false, "as_of": null,
    "provenance": {
        "batch": {"values": {"largest": 1400, "cents": 0}, "version": null, "committed_at": null},
        "speed": {"values": {"largest": 1400, "cents": 9223372036854775807}, "lag_ms": null}},
    "points": [
        {"start": "2026-04-24T09:00:00Z", "values": {"largest": 0, "cents": 9223372036854775807}, "layer": "batch"},
        {"start": "2026-04-24T09:05:00Z", "values": {"largest": null, "cents": null}, "layer": "batch",
         "overflow": [{"value": "cents", "reason": "it is too large"}]},
        {"start": "2026-04-24T09:10:00Z", "values": {"largest": -7, "cents": null}, "layer": "both",
         "overflow": [{"value": "cents", "reason": "it is too large"}]},
        {"start": "2026-04-24T09:15:00Z", "values": {"largest": 1400, "cents": -2}, "layer": "speed"}]}"#;

fn table(body: &str, screen: Screen) -> String {
    page::page(&answer(body).expect("an answer"), screen)
}

fn narrow(width: usize) -> Screen {
    Screen { width: Some(width), colours: false }
}

#[test]
fn a_total_is_a_row_and_what_to_know_of_it() {
    let expected = "\
sales, shop=日本 é, vip=true, coupon missing, from 2026-04-24T09:00:00Z, grain 1m

                    sales       cents  weight       mean  complete  authoritative  as_of
9,223,372,036,854,775,807  -1,234,567       -  4,573.333  no        no             2026-04-24T09:30:12.345Z

batch: sales 9,223,372,036,854,770,000, cents -1,234,567, weight -; version 1,017 of 2026-04-24T09:20:03Z
speed: sales 5,807, cents 0, weight -; 83 ms behind
weight is null: the sum does not fit in 64 bits
gap: no worker counts it (source sales, log L1, partition 3)
gap: no topic (source sales)
";
    assert_eq!(table(TOTAL, Screen::NONE), expected);
}

#[test]
fn a_total_that_is_too_wide_is_turned_on_its_side() {
    let page = table(TOTAL, narrow(60));
    let rows = "\
sales          9,223,372,036,854,775,807
cents          -1,234,567
weight         -
mean           4,573.333
complete       no
authoritative  no
as_of          2026-04-24T09:30:12.345Z
";
    assert!(page.contains(rows), "{page}");
}

#[test]
fn a_series_is_a_line_of_blocks_and_a_row_for_each_point() {
    let expected = "\
sales, 2026-04-24T09:00:00Z to 2026-04-24T09:20:00Z, step 5m

largest from 0 to 1,400:
▁ -█

start                 layer  largest                      cents
2026-04-24T09:00:00Z  batch        0  9,223,372,036,854,775,807
2026-04-24T09:05:00Z  batch        -                          -
2026-04-24T09:10:00Z  both        -7                          -
2026-04-24T09:15:00Z  speed    1,400                         -2

complete  authoritative  as_of
yes       no             -

batch: nothing, no reconcile has run yet
speed: largest 1,400, cents 9,223,372,036,854,775,807; how far it is behind is not known
cents is null in 2 places: it is too large
";
    assert_eq!(table(SERIES, Screen::NONE), expected);
}

#[test]
fn a_narrow_terminal_gets_a_series_with_fewer_columns_and_fewer_blocks() {
    let page = table(SERIES, narrow(40));
    assert!(page.contains("\n2026-04-24T09:10:00Z  both        -7\n"), "{page}");
    assert!(page.contains("\n(too narrow for cents; --output json has all)\n"), "{page}");
    let page = table(SERIES, narrow(2));
    assert!(page.contains("\nlargest from 0 to 1,400, each block the largest of 2 points:\n▁█\n"), "{page}");
}

#[test]
fn colours_are_only_for_terminals_that_have_them() {
    assert!(!table(TOTAL, narrow(200)).contains('\x1b') && !table(TOTAL, Screen::NONE).contains('\x1b'));
    let coloured = table(TOTAL, Screen { width: Some(200), colours: true });
    assert!(coloured.contains("\x1b[31mgap: no topic (source sales)\x1b[0m\n"), "{coloured}");
}

#[test]
fn csv_has_every_digit_and_nothing_for_null() {
    let csv = |body: &str| csv::csv(&answer(body).expect("an answer"));
    let total = "sales,cents,weight,mean,complete,authoritative,as_of\r\n\
                 9223372036854775807,-1234567,,4573.333333333333,false,false,2026-04-24T09:30:12.345Z\r\n";
    assert_eq!(csv(TOTAL), total);
    let series = "start,layer,largest,cents\r\n\
                  2026-04-24T09:00:00Z,batch,0,9223372036854775807\r\n\
                  2026-04-24T09:05:00Z,batch,,\r\n\
                  2026-04-24T09:10:00Z,both,-7,\r\n\
                  2026-04-24T09:15:00Z,speed,1400,-2\r\n";
    assert_eq!(csv(SERIES), series);
}

#[test]
fn a_series_without_points_has_a_header() {
    let mut body: serde_json::Value = serde_json::from_str(SERIES).expect("JSON");
    body["points"] = serde_json::json!([]);
    let body = body.to_string();
    assert_eq!(csv::csv(&answer(&body).expect("an answer")), "start,layer,largest,cents\r\n");
    let page = table(&body, Screen::NONE);
    assert!(page.contains("step 5m\n\nstart  layer  largest  cents\n\ncomplete"), "{page}");
}

#[test]
fn json_is_the_body_with_every_digit() {
    let printed = indented(TOTAL);
    let value: serde_json::Value = serde_json::from_str(TOTAL).expect("JSON");
    assert_eq!(serde_json::from_str::<serde_json::Value>(&printed).expect("JSON"), value);
    for line in ["    \"sales\": 9223372036854775807,\n", "    \"mean\": 4573.333333333333\n", "\"日本 é\""] {
        assert!(printed.contains(line), "{line}: {printed}");
    }
}

#[test]
fn another_body_is_no_answer() {
    let error = answer("{\"status\": \"ready\"}").expect_err("not an answer").to_string();
    assert!(error.starts_with("this is no answer of a serving layer"), "{error}");
}

const SKETCHES: &str = r#"{"metric": "visits", "key": {}, "from": null, "to": null, "grain": "1h",
    "values": {"pages": 5012, "users": 7, "frequent": [{"value": "/a", "count": 24, "at_most": 24},
               {"value": "/b", "count": 5, "at_most": 6}], "p50": 310.5},
    "bounds": {"pages": {"low": 4860, "high": 5170, "exact": false}, "users": {"low": 7, "high": 7, "exact": true},
               "frequent": {"exact": false}, "p50": {"relative_error": 0.01}},
    "complete": true, "gaps": [], "authoritative": true, "as_of": null,
    "provenance": {"batch": {"values": {"pages": 5012, "users": 7, "frequent": []}, "version": 3, "committed_at": null},
                   "speed": {"values": {"pages": 0, "users": 0, "frequent": []}, "lag_ms": null}}}"#;

#[test]
fn sketches_are_shown_with_what_they_may_lack() {
    let page = table(SKETCHES, Screen::NONE);
    for line in [
        "5,012      7  /a 24, /b 5-6  310.5",
        "frequent had more values than are counted: see what each may be\n",
        "p50 is within 1% of the true value\n",
        "pages is an estimate: 4,860 to 5,170 in 95 of 100 cases\n",
        "speed: pages 0, users 0, frequent -; ",
    ] {
        assert!(page.contains(line), "{line:?} in\n{page}");
    }
    assert!(!page.contains("users is"), "it is exact:\n{page}");
    let csv = csv::csv(&answer(SKETCHES).expect("an answer"));
    let list = r#""[{""value"":""/a"",""count"":24,""at_most"":24},{""value"":""/b"",""count"":5,""at_most"":6}]""#;
    assert_eq!(csv.lines().nth(1), Some(format!("5012,7,{list},310.5,true,true,").as_str()));
}

const TOTALS: &str = r#"{"metric": "sales", "from": null, "to": null, "grain": "1m", "complete": true, "gaps": [], "authoritative": false,
    "as_of": "2026-04-24T09:30:12Z",
    "provenance": {"batch": {"version": 7, "committed_at": null}, "speed": {"lag_ms": 83}},
    "keys": [
        {"key": {"shop": "a,b"}, "values": {"n": 1234, "users": 5012}, "authoritative": true,
         "bounds": {"users": {"low": 4860, "high": 5170, "exact": false}},
         "provenance": {"batch": {"values": {"n": 1234}}, "speed": {"values": {"n": 0}}}},
        {"key": {"shop": null}, "values": {"n": null, "users": 0}, "authoritative": false,
         "overflow": [{"value": "n", "reason": "it is too large"}],
         "provenance": {"batch": {"values": {"n": 0}}, "speed": {"values": {"n": null}}}}]}"#;

#[test]
fn several_keys_are_a_row_each() {
    let expected = "\
sales, 2 keys, all time, grain 1m

shop      n  users  authoritative
a,b   1,234  5,012  yes
-         -      0  no

complete  authoritative  as_of
yes       no             2026-04-24T09:30:12Z

batch: version 7
speed: 83 ms behind
n is null: it is too large
shop=a,b: users is an estimate: 4,860 to 5,170 in 95 of 100 cases
";
    assert_eq!(table(TOTALS, Screen::NONE), expected);
    let csv = csv::csv(&answer(TOTALS).expect("an answer"));
    let lines = "shop,n,users,complete,authoritative,as_of\r\n\
                 \"a,b\",1234,5012,true,true,2026-04-24T09:30:12Z\r\n\
                 ,,0,true,false,2026-04-24T09:30:12Z\r\n";
    assert_eq!(csv, lines);
}

const WINDOWS: &str = r#"{"metric": "sales", "from": "2026-04-23T22:00:00Z", "to": "2026-04-24T22:00:00Z", "grain": "1m", "step": "1d",
    "tz": "Europe/Berlin", "window": "7d", "complete": true, "gaps": [], "authoritative": false, "as_of": null,
    "provenance": {"batch": {"version": null, "committed_at": null}, "speed": {"lag_ms": null}},
    "keys": [
        {"key": {"shop": "a"}, "authoritative": false, "points": [],
         "provenance": {"batch": {"values": {"n": 0}}, "speed": {"values": {"n": 0}}}},
        {"key": {"shop": "b"}, "authoritative": false,
         "points": [{"start": "2026-04-17T22:00:00Z", "end": "2026-04-24T22:00:00Z", "values": {"n": 8, "mean": 0.5}, "layer": "speed"}],
         "provenance": {"batch": {"values": {"n": 0}}, "speed": {"values": {"n": 8}}}}]}"#;

#[test]
fn windows_by_the_clocks_of_a_zone_say_where_they_end() {
    let page = table(WINDOWS, Screen::NONE);
    let begin = "\
sales, 2 keys, 2026-04-23T22:00:00Z to 2026-04-24T22:00:00Z, step 1d, window 7d, by the clocks of Europe/Berlin

shop  start                 end                   layer  n   mean
b     2026-04-17T22:00:00Z  2026-04-24T22:00:00Z  speed  8  0.500
";
    assert!(page.starts_with(begin), "{page}");
    let csv = csv::csv(&answer(WINDOWS).expect("an answer"));
    assert_eq!(csv, "shop,start,end,layer,n,mean\r\nb,2026-04-17T22:00:00Z,2026-04-24T22:00:00Z,speed,8,0.5\r\n");
}
