//! What schemas' ids mean: what is written first stands, and the registry is asked for nothing else.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::future::join_all;
use platform::registry::Registry;
use platform::settings;
use polars::prelude::{DataType, Schema};
use shared_logic::catalog::Catalog;
use shared_logic::contracts::archive::ArchivedSchema;
use shared_logic::decode::Decoder;
use shared_logic::format::{SchemaId, WriterSchema};
use storage::{Archive, SchemaError, Schemas, Storage};
use test_kit::DEADLINE;

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
    schemas.teach_all(&mut decoder, &BTreeSet::from([SchemaId(1)])).await.expect("it is kept");
    assert_eq!(decoder.missing_schema(Some(&record(1))), None);
    assert_eq!(decoder.decode(Some(&record(1)), None).map(|event| event.time_us), Ok(1_000));

    let failed = schemas.teach_all(&mut decoder, &BTreeSet::from([SchemaId(2)])).await;
    assert!(matches!(failed, Err(SchemaError::Registry { .. })), "{failed:?}");
    let mut awaited = schemas.awaited(SchemaId(2), None);
    assert!(!schemas.ask(&mut awaited, &mut decoder).await, "no registry is named");
    // Another process has asked a registry.
    archive.keep_schema(SchemaId(2), ArchivedSchema::Unknown).await.expect("written");
    let asking = async {
        while !schemas.ask(&mut awaited, &mut decoder).await {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(DEADLINE, asking).await.expect("learned in time");
    let rejected = decoder.decode(Some(&record(2)), None).map(|event| event.time_us);
    assert_eq!(rejected.map_err(|rejected| rejected.reason.name()), Err("unknown_schema"));
}
