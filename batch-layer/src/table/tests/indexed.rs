//! What search indexes follow: the rows of tables share by share, the last record of each id of a stream, and the keys of changes.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use platform::registry::Registry;
use platform::settings::{self, Settings};
use platform::store::Committed;
use shared_logic::catalog::Catalog;
use shared_logic::contracts::archive::{ErasedIn, Facts};
use shared_logic::decode::Decoder;
use shared_logic::index::{Documents, slice_of};
use shared_logic::log::{Offsets, PartitionId};
use shared_logic::table::RowValue;
use storage::{Archive, MaterialisedTable, Schemas, Storage};

use super::super::materialise::Bounds;
use super::super::*;
use super::bench::{Bench, CATALOG, sent};
use crate::archive;
use crate::archive::buffer::Buffer;
use crate::archive_rows::record_rows::Incoming;
use crate::erase::Condition;
use crate::erase::commits::TakingOut;
use crate::reconcile::Reconciler;

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

/// A stream of which the events of two users are archived, and the index `seen` has rows of them.
struct Followed {
    folder: tempfile::TempDir,
    settings: Settings,
    catalog: Catalog,
    storage: Storage,
    archive: Archive,
}

impl Followed {
    async fn new() -> Followed {
        let folder = tempfile::tempdir().expect("a folder");
        let store = settings::Store { url: folder.path().display().to_string(), ..Default::default() };
        let settings = Settings { store, ..Settings::default() };
        let catalog = Catalog::parse(OF_STREAM).unwrap_or_else(|mistakes| panic!("{mistakes:?}"));
        let storage = Storage::new(&settings.store, &catalog.deployment).expect("a store");
        archive_stream(&storage, &catalog, &[(0, "a", "/1", Some(AT_US)), (1, "b", "/2", Some(AT_US))]).await;
        let archive = storage.archive("copied").await.expect("read").expect("created");
        let followed = Followed { folder, settings, catalog, storage, archive };
        assert_eq!(followed.materialised().await.rows, 2);
        followed
    }

    async fn materialised(&self) -> Materialised {
        let subject = Subject::of_index(&self.catalog, &self.catalog.indexes["seen"]);
        materialise_subject(&self.storage, &subject).await.expect("materialised")
    }

    async fn table(&self) -> MaterialisedTable {
        self.storage.table("stream.copied.user").await.expect("read").expect("materialised")
    }

    /// The one file of the table.
    async fn file(&self) -> PathBuf {
        let table = self.table().await;
        let file = table.files().await.expect("listed").remove(0).path;
        self.folder.path().join(&self.catalog.deployment.name).join(table.path()).join(file)
    }

    /// Erases what is archived of one of both users.
    async fn erase(&mut self) {
        let source = &self.catalog.sources["copied"];
        let condition = Condition::parse(source, "user = 'a'", None).expect("a condition");
        let schemas = Schemas::new(&self.storage, "copied", &Registry::new(&self.settings.registry));
        let taken_out = TakingOut::new(source, schemas, &condition, 9).run(&mut self.archive).await.expect("erased");
        assert_eq!(taken_out.events, 1);
    }

    /// Follows the erasure as a reconcile by that catalog does; gives how far it has come.
    async fn reached(&mut self, catalog: &Catalog) -> Option<ErasedIn> {
        let reconciler = Reconciler::new(&self.settings, &self.storage, catalog);
        reconciler.try_follow_erasures(&catalog.sources["copied"], &mut self.archive).await.expect("looked");
        self.archive.facts().erasures[0].versions.get(&catalog.deployment.version).copied()
    }

    /// As if no answer had counted the events for long. The file was written before that, and taken out of the table a moment ago.
    async fn ages(&mut self, file: &Path) -> ErasedIn {
        let dated = std::fs::File::options().write(true).open(file).expect("a file");
        dated.set_modified(UNIX_EPOCH + Duration::from_secs(1)).expect("dated");
        let long_ago = ErasedIn { uncounted_at_us: 2_000_000, deleted_at_us: None };
        let (seen, version) = (self.archive.facts().erasures[0].clone(), self.catalog.deployment.version.clone());
        let note = |facts: &mut Facts| facts.note_erased_in(&seen, &version, long_ago);
        self.archive.change("TEST", note).await.expect("changed");
        long_ago
    }
}

/// An index has rows of a stream in a table of its own, which has to forget as well.
#[tokio::test(flavor = "multi_thread")]
async fn an_erasure_of_a_stream_is_followed_until_the_rows_of_its_indexes_are_gone() {
    let mut followed = Followed::new().await;
    let (catalog, file) = (followed.catalog.clone(), followed.file().await);
    followed.erase().await;
    assert_eq!(followed.reached(&catalog).await, None, "the table still has the row");
    let made = followed.materialised().await;
    assert_eq!((made.rows, made.anew), (1, true));
    assert!(followed.reached(&catalog).await.is_some(), "no version that is read has the row");
    let long_ago = followed.ages(&file).await;
    assert_eq!(followed.reached(&catalog).await, Some(long_ago), "a file of this store has the row");
    assert!(file.exists(), "readers may need it");
    std::fs::remove_file(&file).expect("removed");
    assert!(followed.reached(&catalog).await.is_some_and(|reached| reached.deleted_at_us.is_some()));
}

/// No run materialises rows anew that no index follows any more, and no catalog names their table.
#[tokio::test(flavor = "multi_thread")]
async fn rows_that_no_index_follows_any_more_are_taken_out_by_an_erasure() {
    let mut followed = Followed::new().await;
    let file = followed.file().await;
    let (without, _) = OF_STREAM.split_once("[indexes.seen]").expect("an index");
    let without = Catalog::parse(without).unwrap_or_else(|mistakes| panic!("{mistakes:?}"));
    assert_eq!(followed.storage.indexed_tables("copied").await.expect("listed"), ["stream.copied.user"]);
    assert_eq!(followed.storage.indexed_tables("clicks").await.expect("listed"), [""; 0]);
    followed.erase().await;
    assert!(followed.reached(&without).await.is_some(), "no answer has the row");
    let table = followed.table().await;
    assert!(table.files().await.expect("listed").is_empty());
    assert_eq!(table.note().map(|note| (note.rows, note.next.iter().count())), Some((0, 0)));
    let long_ago = followed.ages(&file).await;
    assert_eq!(followed.reached(&without).await, Some(long_ago), "a file of this store has the row");
    std::fs::remove_file(&file).expect("removed");
    assert!(followed.reached(&without).await.is_some_and(|reached| reached.deleted_at_us.is_some()));

    // An index that follows them again has all rows that are left.
    let made = followed.materialised().await;
    assert_eq!((made.rows, made.next.get(&PartitionId::new("log", 0))), (1, Some(2)));
    let found = documents(&followed.storage, &followed.catalog, "seen").await;
    assert_eq!(found.keys().collect::<Vec<_>>(), ["b"]);
}
