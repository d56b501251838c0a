//! Reports: rows of the warehouse, and of a day that still runs (P4).

use polars::prelude::{DataFrame, df};
use serde_json::{Value, json};
use shared_logic::catalog::DefinitionHash;
use shared_logic::contracts::report::DateNote;
use shared_logic::log::Offsets;
use shared_logic::report::Layout;
use shared_logic::time::{day_of, format_day};
use storage::Storage;
use test_kit::catalogs;

use crate::test_server::{ABSENT, TestServer, at};

const REPORT: &str = r#"
[reports.daily]
metric = "views"
schedule = "0 0 2 * * *"
[reports.daily.columns]
score = "views * 0.5 + mean_ms"
label = "coalesce(country, video)"
"#;
const DAY_US: i64 = 86_400_000_000;

fn now_us() -> i64 {
    platform::clock::now_us()
}

async fn server() -> TestServer {
    TestServer::with(&format!("{}{REPORT}", catalogs::VIEWS)).await
}

fn path(date: &str, video: &str, country: &str) -> String {
    format!("/v1/reports/daily?date={date}&video={video}&{country}")
}

/// Commits a day of the report, as a run does.
async fn written(server: &TestServer, date: &str, rows: DataFrame) {
    let layout = Layout::of(&server.catalog, &server.catalog.reports["daily"]);
    let storage = Storage::new(&server.settings.store, &server.catalog.deployment).expect("a store");
    let mut table = storage.create_report("daily", &layout.in_table()).await.expect("created");
    let of_date = DateNote {
        definition: DefinitionHash::of_none(),
        version: "v1".to_owned(),
        view_version: 3,
        cut: Offsets::default(),
        arrived: Offsets::default(),
        tables: std::collections::BTreeMap::new(),
        erased: std::collections::BTreeMap::new(),
        rows: rows.height() as u64,
        committed_at_us: at("2026-04-24T02:00:03Z"),
        revisions: 1,
    };
    let columns = layout.in_table();
    table.replace(date, rows, of_date, (&columns, &["video", "country"][..])).await.expect("committed");
}

/// The rows of a day in which a video was seen so often in Germany.
fn rows(views: i64) -> DataFrame {
    df!(
        "video" => ["v1", "v1"],
        "country" => [None, Some("de")],
        "views" => [1, views],
        "dwell_ms" => [None, Some(400_i64)],
        "longest" => [50_i64, 300],
        "mean_ms" => [50.0, 200.0],
        "score" => [50.5, 201.0],
        "label" => ["v1", "de"],
    )
    .expect("columns")
}

fn row(answer: &Value) -> &Value {
    &answer["row"]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_that_runs_is_the_merged_answer_of_this_moment() {
    let mut server = server().await;
    server.topics.set(&[3]);
    server.archive_begins().await;
    server.open(0, 0).await;
    let today = format_day(day_of(now_us()));
    // Events are texts that live as long as the test.
    let moment: &'static str = Box::leak(format!("{today}T00:00:00Z").into_boxed_str());
    let events = [(moment, "v1", "de", 100), (moment, "v1", "de", 300), (moment, "v2", ABSENT, 50)];
    server.apply(0, &events, moment).await;
    server.serve().await;
    let asked = path(&today, "v1", "country=de");
    let answer = server.until_complete(&asked).await;
    let expected = json!({
        "video": "v1", "country": "de", "views": 2, "dwell_ms": 400, "longest": 300, "mean_ms": 200.0, "score": 201.0, "label": "de"
    });
    assert_eq!(row(&answer), &expected);
    assert_eq!((&answer["final"], &answer["committed_at"], &answer["gaps"]), (&json!(false), &Value::Null, &json!([])));
    assert!(answer["revisable_until"].is_string() && answer["as_of"].is_string(), "{answer}");
    assert_eq!(answer["from"], format!("{today}T00:00:00Z"));
    // A run whose clock was ahead has written it. It still runs.
    written(&server, &today, rows(9)).await;
    let answer = server.ok(&asked).await;
    assert_eq!((row(&answer), &answer["final"], &answer["revisions"]), (&expected, &json!(false), &Value::Null));
    let missing = server.ok(&path(&today, "v2", "country.missing=true")).await;
    assert_eq!((&row(&missing)["country"], &row(&missing)["label"]), (&Value::Null, &json!("v2")));
    assert_eq!(row(&server.ok(&path(&today, "v9", "country=de")).await), &Value::Null, "no events, no row");

    // What is missing is said, and refused if it may not be.
    server.delete_shard(0).await;
    let asked_complete = format!("{asked}&require=complete");
    let refused = server.until(&asked_complete, |status, _| status == 503).await;
    assert!(refused["gaps"].as_array().is_some_and(|gaps| !gaps.is_empty()), "{refused}");
    assert_eq!(server.ok(&asked).await["complete"], false);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_that_was_written_is_the_row_of_the_warehouse() {
    let mut server = server().await;
    server.archive_begins().await;
    server.open(0, 0).await;
    server.serve().await;
    let list = server.ok("/v1/reports").await;
    let daily = &list["reports"][0];
    assert_eq!(
        (&daily["name"], &daily["key"], &daily["last"]),
        (&json!("daily"), &json!(["video", "country"]), &Value::Null)
    );
    let names: Vec<&str> =
        daily["columns"].as_array().expect("columns").iter().filter_map(|column| column["name"].as_str()).collect();
    assert_eq!(names, ["video", "country", "views", "dwell_ms", "longest", "mean_ms", "score", "label"]);

    let yesterday = format_day(day_of(now_us() - DAY_US));
    for (date, views) in [(yesterday.as_str(), 2_i64), ("2020-01-02", 9)] {
        written(&server, date, rows(views)).await;
    }
    let answer = server.ok(&path(&yesterday, "v1", "country=de")).await;
    let expected = json!({
        "video": "v1", "country": "de", "views": 2, "dwell_ms": 400, "longest": 300, "mean_ms": 200.0, "score": 201.0, "label": "de"
    });
    assert_eq!(row(&answer), &expected);
    assert_eq!(
        (&answer["final"], &answer["committed_at"], &answer["revisions"], &answer["complete"]),
        (&json!(true), &json!("2026-04-24T02:00:03Z"), &json!(1), &json!(true))
    );
    assert!(answer["revisable_until"].is_string(), "{answer}");
    let without = server.ok(&path(&yesterday, "v1", "country.missing=true")).await;
    assert_eq!((&row(&without)["views"], &row(&without)["dwell_ms"]), (&json!(1), &Value::Null));
    let none = server.ok(&path(&yesterday, "v9", "country=de")).await;
    assert_eq!((row(&none), &none["final"]), (&Value::Null, &json!(true)));
    let old = server.ok(&path("2020-01-02", "v1", "country=de")).await;
    assert_eq!((&row(&old)["views"], &old["revisable_until"]), (&json!(9), &Value::Null));
    let list = server.ok("/v1/reports").await;
    assert_eq!(
        (&list["reports"][0]["last"]["date"], &list["reports"][0]["last"]["rows"]),
        (&json!(yesterday), &json!(2))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_answered_is_refused_by_name() {
    let mut server = server().await;
    server.archive_begins().await;
    server.serve().await;
    let tomorrow = format_day(day_of(now_us() + DAY_US));
    for (path, status, kind, part) in [
        ("/v1/reports/dayly?date=2026-04-24&video=v1&country=de".to_owned(), 404, "unknown-report", "daily"),
        (path("2020-01-02", "v1", "country=de"), 404, "unknown-date", "batch-layer report run daily --date 2020-01-02"),
        (path(&tomorrow, "v1", "country=de"), 400, "bad-parameter", "has not begun"),
        ("/v1/reports/daily?date=2026-04-24&video=v1".to_owned(), 400, "bad-parameter", "country is missing"),
        ("/v1/reports?limit=1".to_owned(), 400, "bad-parameter", "limit is not known"),
    ] {
        let (got, problem) = server.get(&path).await;
        assert_eq!(got, status, "{path}: {problem}");
        assert_eq!(problem["type"], format!("urn:braid:problem:{kind}"), "{path}");
        assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains(part)), "{path}: {problem}");
    }
}
