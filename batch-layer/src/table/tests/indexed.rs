//! What search indexes follow: the rows of tables share by share, the last record of each id of a stream, and the keys of changes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use platform::settings;
use platform::store::Committed;
use shared_logic::catalog::Catalog;
use shared_logic::contracts::archive::Facts;
use shared_logic::decode::Decoder;
use shared_logic::index::{Documents, slice_of};
use shared_logic::log::{Offsets, PartitionId};
use shared_logic::table::RowValue;
use storage::Storage;

use super::super::materialise::Bounds;
use super::super::*;
use super::bench::{Bench, CATALOG, sent};
use crate::archive;
use crate::archive::buffer::Buffer;
use crate::archive_rows::record_rows::Incoming;

const OF_TABLE: &str = r#"
[indexes.users]
from = "tables.users"
[indexes.users.fields]
name = "text"
n = "integer"
changed_at = "time"
"#;

const OF_STREAM: &str = r#"
[sources.clicks]
event_id = "click"
event_time = "at"
key = "user"
[sources.clicks.fields]
click = "string"
at = "timestamp"
user = "string"
page = "string"
[streams.copied]
from = "clicks"
where = "page != 'none'"
[indexes.seen]
from = "streams.copied"
id = "user"
[indexes.seen.fields]
page = "keyword"
"#;

/// When the outputs of the stream came into being, in microseconds since 1970. Records of before cannot say so.
const AT_US: i64 = 1_777_023_000_000_000;

/// The documents of all rows, by id, with the part of the table in which they lie.
async fn documents(storage: &Storage, catalog: &Catalog, index: &str) -> BTreeMap<String, (u32, String)> {
    let index = &catalog.indexes[index];
    let subject = Subject::of_index(catalog, index);
    let table = storage.table(&subject.name).await.expect("read").expect("materialised");
    let note = Arc::clone(table.note().expect("noted"));
    assert_eq!(note.definition, subject.definition);
    let rows = SharedRows::of(&table, &note, &subject).await.expect("read");
    let documents = Documents::new(index, &subject.rows);
    let make: Arc<dyn Fn(SharedRow) -> (String, String) + Send + Sync> = Arc::new(move |row| {
        let SharedRow { id, row, timestamp_us, .. } = row;
        let value = |at: usize| -> Option<&RowValue> { row.get(at)?.as_ref() };
        let document = String::from_utf8(documents.document(&id, &value, timestamp_us)).expect("UTF-8");
        (id, document)
    });
    let mut all = BTreeMap::new();
    for part in 0..rows.parts {
        let slices = rows.slices(part);
        let mut of_part = rows.part(part).await.expect("read");
        while let Some(made) = of_part.next(&make).await.expect("made") {
            for (id, document) in made {
                assert!(slices.contains(&slice_of(&id)), "{id} is in another part");
                assert!(all.insert(id, (part, document)).is_none(), "once");
            }
        }
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn every_row_is_in_the_part_of_its_slice_however_many_shares_there_are() {
    let mut bench = Bench::of(&format!("{CATALOG}{OF_TABLE}")).await;
    let changes: Vec<_> = (0..200).map(|n| sent(0, n, 1, &format!("u-{n}"), Some(n))).collect();
    bench.archived(&changes).await;
    for (share_rows, least) in [(1_000, 1), (20, 8), (1, 40)] {
        let made = bench.materialised_within(Bounds { share_rows, ..Bounds::default() }).await;
        assert_eq!(made.rows, 200);
        let found = documents(&bench.storage, &bench.catalog, "users").await;
        assert_eq!(found.len(), 200);
        let parts: BTreeSet<u32> = found.values().map(|(part, _)| *part).collect();
        assert!(parts.len() >= least, "{share_rows}: {}", parts.len());
        let slice = slice_of("u-7");
        let wanted = format!(r#"{{"n":7,"changed_at":"1970-01-02T01:00:00Z","braid_slice":{slice}}}"#);
        assert_eq!(found["u-7"].1, wanted);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_keys_of_changes_are_those_between_two_vectors_of_offsets() {
    let mut bench = Bench::of(&format!("{CATALOG}{OF_TABLE}")).await;
    let changes = [
        sent(0, 0, 1, "u-0", Some(0)),
        sent(0, 1, 2, "u-1", Some(1)),
        sent(0, 2, 3, "u-2", None),
        sent(1, 0, 1, "u-3", Some(3)),
    ];
    bench.archived(&changes).await;
    let subject = Subject::of_index(&bench.catalog, &bench.catalog.indexes["users"]);
    let keys = async |from: [i64; 2], to: [i64; 2]| {
        let offsets = |at: [i64; 2]| -> Offsets {
            at.into_iter().zip(0..).map(|(offset, partition)| (PartitionId::new("first", partition), offset)).collect()
        };
        let keys = changed_keys(&bench.storage, &subject, &offsets(from), &offsets(to)).await.expect("read");
        keys.into_iter().collect::<BTreeSet<String>>().into_iter().collect::<Vec<String>>()
    };
    assert_eq!(keys([1, 0], [3, 0]).await, ["u-1", "u-2"], "a delete is a change");
    assert_eq!(keys([3, 0], [3, 1]).await, ["u-3"]);
    assert!(keys([3, 1], [3, 1]).await.is_empty());
}

/// Archives records of a stream, each with its user and its page.
async fn archive_stream(storage: &Storage, catalog: &Catalog, records: &[(i64, &str, &str, Option<i64>)]) {
    let source = &catalog.sources["copied"];
    let mut archive = archive::create(storage, source).await.expect("created");
    let (rules, id) = (source.rules(), PartitionId::new("log", 0));
    let begin = |facts: &mut Facts| {
        facts.keep_bytes(&rules, None);
        facts.begin(&id, 0);
    };
    archive.change("BEGIN", begin).await.expect("begun");
    let next = archive.facts().partition(&id).expect("begun").next;
    let declared = archive.columns().expect("read");
    let mut buffer = Buffer::new(source, &declared, "log", &[(0, next)].into());
    let mut decoder = Decoder::new(source);
    for (offset, user, page, timestamp_us) in records {
        let payload = format!(
            r#"{{"output_id":"copied/v1/l/0/{offset}/0","output_time":"2026-04-24T09:30:00Z","click":"c-{offset}","at":"2026-04-24T09:30:00Z","user":"{user}","page":"{page}"}}"#
        );
        let record = Incoming {
            partition: 0,
            offset: *offset,
            timestamp_us: *timestamp_us,
            key: Some(user.as_bytes()),
            payload: Some(payload.as_bytes()),
            headers: None,
        };
        buffer.push(record, &mut decoder);
        buffer.reach(0, offset + 1);
    }
    let committed = archive::commit::rows(&mut archive, source, buffer, &BTreeMap::new()).await;
    assert!(matches!(committed.expect("written"), Committed::At(_)));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_stream_the_last_record_of_each_id_is_kept() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = settings::Store { url: folder.path().display().to_string(), ..Default::default() };
    let catalog = Catalog::parse(OF_STREAM).unwrap_or_else(|mistakes| panic!("{mistakes:?}"));
    let storage = Storage::new(&store, &catalog.deployment).expect("a store");
    let subject = Subject::of_index(&catalog, &catalog.indexes["seen"]);
    let nothing = materialise_subject(&storage, &subject).await.expect("materialised");
    assert_eq!(nothing.version, None, "nothing is archived");
    let first = [(0, "a", "/1", Some(AT_US + 1)), (1, "b", "/2", Some(AT_US + 1)), (2, "a", "/3", None)];
    archive_stream(&storage, &catalog, &first).await;
    let made = materialise_subject(&storage, &subject).await.expect("materialised");
    assert_eq!((made.rows, made.anew), (2, true));
    assert_eq!(made.next.get(&PartitionId::new("log", 0)), Some(3));
    let page = |documents: &BTreeMap<String, (u32, String)>, id: &str| -> String {
        let document: serde_json::Value = serde_json::from_str(&documents[id].1).expect("JSON");
        document["page"].as_str().expect("a text").to_owned()
    };
    let found = documents(&storage, &catalog, "seen").await;
    assert_eq!((page(&found, "a").as_str(), page(&found, "b").as_str()), ("/3", "/2"), "by offset, not by timestamp");
    archive_stream(&storage, &catalog, &[(3, "b", "/4", Some(AT_US))]).await;
    let made = materialise_subject(&storage, &subject).await.expect("materialised");
    assert_eq!((made.rows, made.rows_read, made.anew), (2, 1, false));
    assert_eq!(page(&documents(&storage, &catalog, "seen").await, "b"), "/4");
}
