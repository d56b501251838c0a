//! What schemas' ids mean: what is written first stands, and the registry is asked for nothing else.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::future::join_all;
use platform::clock::now_us;
use platform::registry::Registry;
use platform::settings;
use polars::prelude::{DataType, Schema};
use shared_logic::catalog::Catalog;
use shared_logic::contracts::archive::ArchivedSchema;
use shared_logic::decode::Decoder;
use shared_logic::format::{SchemaId, WriterSchema};
use storage::{Archive, AwaitedSchema, SchemaError, Schemas, Storage};
use test_kit::DEADLINE;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;

const CATALOG: &str = "[sources.s]\nformat = \"avro\"\nevent_time = \"at\"\n[sources.s.fields]\nat = \"timestamp\"\n";

async fn created(folder: &tempfile::TempDir, catalog: &Catalog) -> (Storage, Archive) {
    let settings = settings::Store { url: folder.path().display().to_string(), ..settings::Store::default() };
    let storage = Storage::new(&settings, &catalog.deployment).expect("a store");
    let columns = Schema::from_iter([("a".into(), DataType::Int64)]);
    let archive = storage.create_archive("s", &columns).await.expect("created");
    (storage, archive)
}

/// A schema whose only field is the event time, of that type.
fn of_type(kind: &str) -> ArchivedSchema {
    let text = format!(r#"{{"type": "record", "name": "E", "fields": [{{"name": "at", "type": "{kind}"}}]}}"#);
    ArchivedSchema::Registered(WriterSchema { kind: "AVRO".to_owned(), text, references: Vec::new() })
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_meanings_the_one_that_was_written_first_stands() {
    let (folder, catalog) = (tempfile::tempdir().expect("a folder"), Catalog::parse(CATALOG).expect("a valid catalog"));
    let (storage, one) = created(&folder, &catalog).await;
    let other = storage.follow_archive("s").newest().await.expect("read").expect("created").clone();
    let id = SchemaId(7);
    assert_eq!(one.schema(id).await.expect("read"), None);
    assert_eq!(one.keep_schema(id, ArchivedSchema::Unknown).await.expect("written"), ArchivedSchema::Unknown);
    assert_eq!(other.keep_schema(id, of_type("long")).await.expect("read"), ArchivedSchema::Unknown);
    assert_eq!(other.schema(id).await.expect("read"), Some(ArchivedSchema::Unknown));
    assert_eq!(other.keep_schema(SchemaId(8), of_type("long")).await.expect("written"), of_type("long"));

    let kept: Vec<_> = (0..8).map(|n| if n % 2 == 0 { of_type("int") } else { of_type("long") }).collect();
    let racing = join_all(kept.into_iter().map(|meaning| one.keep_schema(SchemaId(9), meaning))).await;
    let mut stand: Vec<_> = racing.into_iter().map(|result| result.expect("written or read")).collect();
    stand.dedup();
    assert_eq!(stand.len(), 1, "all go on with the same");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schema_that_was_kept_needs_no_registry_and_any_other_is_waited_for() {
    let (folder, catalog) = (tempfile::tempdir().expect("a folder"), Catalog::parse(CATALOG).expect("a valid catalog"));
    let (storage, archive) = created(&folder, &catalog).await;
    archive.keep_schema(SchemaId(1), of_type("long")).await.expect("written");
    let settings =
        settings::Registry { retry_backoff: settings::Span::from_millis(1), ..settings::Registry::default() };
    let mut schemas = Schemas::new(&storage, "s", &Registry::new(&settings));
    let mut decoder = Decoder::new(&catalog.sources["s"]);
    let record = |id: u8| [0, 0, 0, 0, id, 2];
    assert_eq!(decoder.missing_schema(Some(&record(1))), Some(SchemaId(1)));
    schemas.teach_all(&mut decoder, &BTreeMap::from([(SchemaId(1), None)])).await.expect("it is kept");
    assert_eq!(decoder.missing_schema(Some(&record(1))), None);
    assert_eq!(decoder.decode(Some(&record(1)), None).map(|event| event.time_us), Ok(1_000));

    let failed = schemas.teach_all(&mut decoder, &BTreeMap::from([(SchemaId(2), None)])).await;
    assert!(matches!(failed, Err(SchemaError::Registry { .. })), "{failed:?}");
    let mut awaited = schemas.awaited(SchemaId(2), None);
    assert!(!schemas.ask(&mut awaited, &mut decoder).await, "no registry is named");
    // Another process has asked a registry.
    archive.keep_schema(SchemaId(2), ArchivedSchema::Unknown).await.expect("written");
    learned(&mut schemas, &mut decoder, awaited).await;
    let rejected = decoder.decode(Some(&record(2)), None).map(|event| event.time_us);
    assert_eq!(rejected.map_err(|rejected| rejected.reason.name()), Err("unknown_schema"));
}

/// A registry that answers so many requests as if it knew no schema, and all others with that of [`of_type`] `long`.
async fn registry(late: usize) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    tokio::spawn(async move {
        for asked in 0.. {
            let (client, _) = listener.accept().await.expect("a client");
            let (from, mut to) = client.into_split();
            let mut lines = BufReader::new(from).lines();
            while lines.next_line().await.expect("a request").is_some_and(|line| !line.is_empty()) {}
            let (status, text) = match of_type("long") {
                ArchivedSchema::Registered(schema) if asked >= late => {
                    ("200 OK", format!(r#"{{"schema": {:?}}}"#, schema.text))
                }
                _ => ("404 Not Found", r#"{"error_code": 40403, "message": "not found"}"#.to_owned()),
            };
            let length = text.len();
            let head = format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
            to.write_all(format!("{head}{text}").as_bytes()).await.expect("answered");
        }
    });
    format!("http://{address}")
}

/// Schemas of a registry that may be so late.
async fn asking(storage: &Storage, late: usize, unknown_after: settings::Span) -> Schemas {
    let (url, retry_backoff) = (registry(late).await, settings::Span::from_millis(1));
    let settings = settings::Registry { url, retry_backoff, unknown_after, ..settings::Registry::default() };
    Schemas::new(storage, "s", &Registry::new(&settings))
}

/// Asks until it is known what the schema means.
async fn learned(schemas: &mut Schemas, decoder: &mut Decoder, mut awaited: AwaitedSchema) {
    let asking = async {
        while !schemas.ask(&mut awaited, decoder).await {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(DEADLINE, asking).await.expect("learned in time");
}

const HOUR_US: i64 = 3_600_000_000;

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_learns_of_a_schema_late_is_waited_for_whatever_time_the_record_has() {
    let (folder, catalog) = (tempfile::tempdir().expect("a folder"), Catalog::parse(CATALOG).expect("a valid catalog"));
    let (storage, archive) = created(&folder, &catalog).await;
    let mut schemas = asking(&storage, 3, settings::Span::from_secs(60)).await;
    let mut decoder = Decoder::new(&catalog.sources["s"]);
    // Its topic was copied from another cluster.
    let awaited = schemas.awaited(SchemaId(3), Some(now_us() - HOUR_US));
    learned(&mut schemas, &mut decoder, awaited).await;
    assert_eq!(archive.schema(SchemaId(3)).await.expect("read"), Some(of_type("long")));
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_wait_in_vain_older_records_do_not_wait_for_schemas_of_their_own() {
    let (folder, catalog) = (tempfile::tempdir().expect("a folder"), Catalog::parse(CATALOG).expect("a valid catalog"));
    let (storage, archive) = created(&folder, &catalog).await;
    let mut schemas = asking(&storage, usize::MAX, settings::Span::from_secs(2)).await;
    let mut decoder = Decoder::new(&catalog.sources["s"]);
    let old = Some(now_us() - HOUR_US);
    let first = schemas.awaited(SchemaId(1), old);
    learned(&mut schemas, &mut decoder, first).await;
    assert_eq!(archive.schema(SchemaId(1)).await.expect("read"), Some(ArchivedSchema::Unknown));
    for (id, time_us, is_known) in [(2, old, true), (3, Some(now_us() + HOUR_US), false)] {
        let mut awaited = schemas.awaited(SchemaId(id), time_us);
        assert_eq!(schemas.ask(&mut awaited, &mut decoder).await, is_known, "{id}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn archived_records_wait_too_unless_they_are_old() {
    let catalog = Catalog::parse(CATALOG).expect("a valid catalog");
    for (time_us, is_learned) in [(Some(now_us()), true), (None, true), (Some(now_us() - HOUR_US), false)] {
        let folder = tempfile::tempdir().expect("a folder");
        let (storage, archive) = created(&folder, &catalog).await;
        let mut schemas = asking(&storage, 1, settings::Span::from_secs(60)).await;
        let mut decoder = Decoder::new(&catalog.sources["s"]);
        let named = BTreeMap::from([(SchemaId(3), time_us)]);
        let taught = tokio::time::timeout(DEADLINE, schemas.teach_all(&mut decoder, &named)).await;
        taught.expect("taught in time").expect("the registry answers");
        let expected = if is_learned { of_type("long") } else { ArchivedSchema::Unknown };
        assert_eq!(archive.schema(SchemaId(3)).await.expect("read"), Some(expected), "{time_us:?}");
    }
}
