//! Rejected records with their bytes, out of an archive.

use platform::store::Committed;
use polars::prelude::{Column, DataFrame, DataType, Schema};
use serde_json::{Value, json};
use shared_logic::catalog::Source;
use shared_logic::contracts::archive::{
    ERROR, HASH, HEADERS, KEY, LOG as LOG_COLUMN, OFFSET, PARTITION, RAW, RULES, TIMESTAMP, record_columns,
};
use shared_logic::decode::{Columns, Decoder};
use shared_logic::log::PartitionId;
use shared_logic::schema::{FieldType, INSTANT};
use storage::Storage;

use crate::test_server::{LOG, TestServer, at};

const PATH: &str = "/v1/rejected?source=views";
const EVENT: &[u8] = br#"{"at":"2026-04-24T09:00:00Z","video":"a","dwell_ms":7}"#;

/// When it was produced, its key and its payload.
type Record<'a> = (&'a str, Option<&'a [u8]>, Option<&'a [u8]>);

/// Rows as an archiver of those rules writes them.
fn rows(source: &Source, rules: &str, first: i64, records: &[Record<'_>]) -> DataFrame {
    let (mut decoder, mut columns) = (Decoder::new(source), Columns::new(source, |_| true, records.len()));
    let mut errors = Vec::new();
    for (produced, key, payload) in records {
        match decoder.decode_keyed(*key, *payload, Some(at(produced))) {
            Ok(event) => {
                columns.push(&event);
                errors.push(None);
            }
            Err(rejected) => {
                columns.push_nulls();
                errors.push(Some(rejected.text(&source.fields)));
            }
        }
    }
    let count = records.len();
    let produced: Vec<i64> = records.iter().map(|record| at(record.0)).collect();
    let produced = Column::new(TIMESTAMP.into(), produced).cast(&INSTANT).expect("instants");
    let mut all = vec![
        Column::new(LOG_COLUMN.into(), vec![LOG; count]),
        Column::new(PARTITION.into(), vec![0_i32; count]),
        Column::new(OFFSET.into(), (first..first + count as i64).collect::<Vec<_>>()),
        Column::new(RULES.into(), vec![rules; count]),
        produced,
        Column::new(KEY.into(), records.iter().map(|record| record.1).collect::<Vec<_>>()),
        Column::full_null(HEADERS.into(), count, &DataType::String),
        Column::new(RAW.into(), records.iter().map(|record| record.2).collect::<Vec<_>>()),
        Column::full_null(HASH.into(), count, &DataType::Int32),
        Column::new(ERROR.into(), errors),
    ];
    for (field, column) in source.fields.iter().zip(columns.finish().expect("columns").into_columns()) {
        let is_instant = field.kind == FieldType::Timestamp;
        all.push(if is_instant { column.cast(&INSTANT).expect("instants") } else { column });
    }
    DataFrame::new(count, all).expect("a frame")
}

/// Archives the next records in one file of the day in which the first was produced.
async fn archive(server: &TestServer, rules: Option<&str>, records: &[Record<'_>]) {
    let source = &server.catalog.sources["views"];
    let storage = Storage::new(&server.settings.store, &server.catalog.deployment).expect("a store");
    let fields = source.fields.iter().map(|field| (field.name.as_str().into(), field.kind.table_type()));
    let columns: Schema = record_columns().into_iter().chain(fields).collect();
    let mut archive = storage.create_archive("views", &columns).await.expect("created");
    let (id, own) = (PartitionId::new(LOG, 0), source.rules());
    let mut facts = archive.facts();
    facts.keep_bytes(&own, None);
    facts.begin(&id, 0);
    let next = facts.partition(&id).expect("begun").next;
    let rows = rows(source, rules.unwrap_or(own.as_str()), next, records);
    let file = archive.write(&records[0].0[..10], rows, &[LOG_COLUMN, PARTITION, OFFSET, RULES, "at"]);
    let file = file.await.expect("written");
    assert!(facts.advance(&id, next, next + records.len() as i64));
    let commit = archive.begin("ARCHIVE").adding([file]);
    let committed = archive.commit(commit, Some(facts)).await.expect("tried");
    assert!(matches!(committed, Committed::At(_)), "nobody else writes");
}

fn offsets(body: &Value) -> Vec<i64> {
    let records = body["records"].as_array().expect("records");
    records.iter().map(|record| record["offset"].as_i64().expect("a number")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn rejected_records_come_with_their_bytes_the_newest_first() {
    let mut server = TestServer::new().await;
    server.serve().await;
    let nothing = json!({
        "version": "v1", "source": "views", "archived": false, "records": [], "more": false, "complete": true,
    });
    assert_eq!(server.ok(PATH).await, nothing);
    let long = format!("{{\"at\":\"{}", "\u{e9}".repeat(5_000));
    let first: [Record<'_>; 4] = [
        ("2026-04-24T09:00:00Z", Some(b"k-0"), Some(EVENT)),
        ("2026-04-24T09:00:03Z", Some(b"k-1"), Some(br#"{"at":"2026-04-24T09:00:00Z","video":"a"}"#)),
        ("2026-04-24T09:00:01Z", None, Some(&[0xff, 0x00, 0x0a])),
        ("2026-04-24T09:00:02Z", None, None),
    ];
    archive(&server, None, &first).await;
    // A later file may hold what is older, and of another day.
    archive(&server, None, &[("2026-04-23T09:00:00Z", None, Some(long.as_bytes()))]).await;
    archive(&server, Some("other-rules"), &[("2026-04-25T09:00:00Z", Some(&[0xfe]), Some(b"{}"))]).await;
    let body = server.until(PATH, |status, body| status == 200 && offsets(body).len() == 5).await;
    assert_eq!(offsets(&body), [5, 1, 3, 2, 4], "{body}");
    assert_eq!((&body["archived"], &body["more"], &body["complete"]), (&json!(true), &json!(false), &json!(true)));
    let records = body["records"].as_array().expect("records");
    let missing = json!({
        "log": LOG, "partition": 0, "offset": 1, "timestamp": "2026-04-24T09:00:03Z",
        "reason": "missing_field", "field": "dwell_ms", "current": true,
        "key": {"text": "k-1", "bytes": 3, "cut": false},
        "payload": {"text": r#"{"at":"2026-04-24T09:00:00Z","video":"a"}"#, "bytes": 41, "cut": false},
    });
    assert_eq!(records[1], missing);
    assert_eq!((&records[2]["reason"], &records[2]["payload"]), (&json!("empty"), &Value::Null));
    assert_eq!((&records[3]["reason"], &records[3]["field"]), (&json!("not_utf8"), &Value::Null));
    assert_eq!(records[3]["payload"], json!({"hex": "ff000a", "bytes": 3, "cut": false}));
    assert_eq!((&records[0]["current"], &records[0]["key"]["hex"]), (&json!(false), &json!("fe")));
    let cut = &records[4]["payload"];
    assert_eq!((&cut["cut"], &cut["bytes"]), (&json!(true), &json!(long.len())));
    let text = cut["text"].as_str().expect("a text");
    assert!(text.len() <= 4_096 && text.len() > 4_092 && long.starts_with(text), "{}", text.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn as_many_are_given_as_are_asked_for_and_of_one_reason() {
    let mut server = TestServer::new().await;
    server.serve().await;
    let broken: Option<&[u8]> = Some(b"{");
    archive(&server, None, &[("2026-04-23T09:00:00Z", None, broken), ("2026-04-23T09:00:01Z", None, None)]).await;
    archive(&server, None, &[("2026-04-24T09:00:02Z", None, broken), ("2026-04-24T09:00:04Z", None, None)]).await;
    archive(&server, None, &[("2026-04-24T09:00:03Z", None, broken), ("2026-04-24T09:00:01Z", None, None)]).await;
    server.until(PATH, |status, body| status == 200 && offsets(body).len() == 6).await;
    for (query, expected, more) in [
        ("&limit=1", &[3][..], true),
        ("&limit=2", &[3, 4][..], true),
        ("&limit=4", &[3, 4, 2, 5][..], true),
        ("&reason=not_json", &[4, 2, 0][..], false),
        ("&reason=not_json&limit=1", &[4][..], true),
        ("&reason=wrong_type", &[][..], false),
    ] {
        let body = server.ok(&format!("{PATH}{query}")).await;
        assert_eq!((offsets(&body).as_slice(), &body["more"]), (expected, &json!(more)), "{query}: {body}");
        assert_eq!(body["complete"], true, "{query}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_that_cannot_be_read_is_a_problem_of_the_store() {
    let mut server = TestServer::new().await;
    server.serve().await;
    archive(&server, None, &[("2026-04-24T09:00:00Z", None, Some(b"{"))]).await;
    server.until(PATH, |status, body| status == 200 && offsets(body) == [0]).await;
    let day = server.store_folder().join("braid/archive/views/2026-04-24");
    std::fs::remove_dir_all(&day).unwrap_or_else(|error| panic!("{}: {error}", day.display()));
    let (status, problem) = server.get(PATH).await;
    assert_eq!((status, problem["type"].as_str()), (503, Some("urn:braid:problem:store-unavailable")), "{problem}");
}
