use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use flate2::Compression;
use flate2::write::GzEncoder;
use parquet::arrow::ArrowWriter;
use polars::prelude::{DataFrame, DataType};
use shared_logic::catalog::Catalog;
use shared_logic::contracts::archive::{DAY, ERROR, HEADERS, LOG, OFFSET, RAW, TIMESTAMP};
use shared_logic::log::PartitionId;
use shared_logic::rejection::Reason;

use super::*;
use crate::rows;

mod s3;

const CATALOG: &str = r#"
[sources.json]
event_id = "id"
event_time = "at"
raw = "rejected"
[sources.json.fields]
id = "string"
at = "timestamp"
n = "int?"
[sources.table]
topic = "table"
format = "csv"
event_id = "id"
event_time = "at"
[sources.table.fields]
id = "string"
at = "timestamp"
n = "int?"
[sources.log]
topic = "log"
format = "combined"
event_time = "time"
[sources.log.fields]
time = "timestamp"
status = "int"
"#;
/// 2026-04-24T09:29:59Z.
const US: i64 = 1_777_022_999_000_000;

/// A store, and files that are imported into it.
struct World {
    folder: tempfile::TempDir,
    catalog: Catalog,
    settings: Settings,
    storage: Storage,
}

impl World {
    fn new() -> World {
        let folder = tempfile::tempdir().expect("a folder");
        let catalog = Catalog::parse(CATALOG).unwrap_or_else(|mistakes| panic!("{mistakes:?}"));
        let store = settings::Store { url: folder.path().join("store").display().to_string(), ..Default::default() };
        // Two records at a time.
        let archive = settings::Archive { max_rows: 2, ..Default::default() };
        let settings = Settings { store, archive, ..Settings::default() };
        let storage = Storage::new(&settings.store, &catalog.deployment).expect("a store");
        World { folder, catalog, settings, storage }
    }

    fn file(&self, name: &str, bytes: &[u8]) -> InputFile {
        let path = self.folder.path().join(name);
        std::fs::write(&path, bytes).expect("written");
        InputFile::open(&path, None).expect("opened")
    }

    fn importer(&self, source: &str) -> Importer {
        Importer::new(&self.settings, &self.storage, &self.catalog.sources[source])
    }

    async fn import(&self, source: &str, file: &InputFile) -> Imported {
        self.importer(source).import(file, &RowArgs::default()).await.expect("imported")
    }

    async fn archive(&self, source: &str) -> Archive {
        self.storage.archive(source).await.expect("read").expect("there is one")
    }

    /// What the archive holds of a source: the version, and a line for each row, by log and offset.
    async fn rows(&self, source: &str) -> (u64, Vec<String>) {
        let archive = self.archive(source).await;
        let (files, columns) = (archive.files().await.expect("listed"), archive.columns().expect("read"));
        let mut lines = Vec::new();
        for file in files {
            let frame = archive.read(std::slice::from_ref(&file), &columns).await.expect("read");
            let frame = rows::compute("read", archive.path(), move || frame.collect()).await.expect("decoded");
            lines.extend(as_lines(&frame, &file.partition));
        }
        lines.sort();
        (archive.version(), lines)
    }
}

/// Each row: its log, offset, day, bytes, and error.
fn as_lines(frame: &DataFrame, day: &str) -> Vec<String> {
    let texts = |name: &str| {
        let column = frame.column(name).expect("declared").cast(&DataType::String).expect("texts");
        column.str().expect("texts").iter().map(|text| text.map(str::to_owned)).collect::<Vec<_>>()
    };
    assert_eq!(frame.column(TIMESTAMP).expect("declared").null_count(), frame.height(), "they have no timestamp");
    assert_eq!(frame.column(HEADERS).expect("declared").null_count(), frame.height());
    let offsets = frame.column(OFFSET).expect("declared").i64().expect("integers").iter();
    let raw = frame.column(RAW).expect("declared").binary().expect("bytes").iter();
    let raw = raw.map(|bytes| String::from_utf8_lossy(bytes.expect("all bytes are kept")).into_owned());
    let places = texts(LOG).into_iter().zip(offsets).zip(raw).zip(texts(ERROR));
    let lines = places.map(|(((log, offset), raw), error)| {
        let (log, offset): (String, i64) = (log.unwrap_or_default(), offset.unwrap_or_default());
        format!("{} {offset} {DAY}={day} {raw} {}", &log[..7], error.unwrap_or_default())
    });
    lines.collect()
}

fn expected(rows: &[(i64, &str, &str, &str)]) -> Vec<String> {
    rows.iter().map(|(offset, day, raw, error)| format!("import- {offset} {DAY}={day} {raw} {error}")).collect()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).expect("packed");
    encoder.finish().expect("finished")
}

/// A Parquet file with two events.
fn parquet_file(path: &Path) {
    let at = TimestampMicrosecondArray::from(vec![US, US + 86_400_000_000]).with_timezone("UTC");
    let columns: [(&str, ArrayRef); 3] = [
        ("id", Arc::new(StringArray::from(vec!["a", "b"]))),
        ("at", Arc::new(at)),
        ("n", Arc::new(Int64Array::from(vec![Some(7), None]))),
    ];
    let batch = RecordBatch::try_from_iter(columns).expect("columns of one length");
    let file = std::fs::File::create(path).expect("created");
    let mut writer = ArrowWriter::try_new(file, batch.schema(), None).expect("a schema for Parquet");
    writer.write(&batch).expect("written");
    writer.close().expect("closed");
}

const LINES: &[u8] =
    b"{\"id\":\"a\",\"at\":\"2026-04-24T09:29:59Z\"}\n\nno event\n{\"id\":\"b\",\"at\":\"1999-01-01T00:00:00Z\"}\n\
                       {\"at\":1000}\n{\"id\":\"c\",\"at\":1000,\"n\":3}\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_file_may_be_named_by_its_address() {
    let world = World::new();
    let path = world.folder.path().join("some events.ndjson");
    std::fs::write(&path, LINES).expect("written");
    let address = format!("file://{}", path.display()).replace(' ', "%20");
    let files = files::open(&[PathBuf::from(address)], None, &world.settings.store).await.expect("there");
    let imported = world.import("json", &files[0]).await;
    assert_eq!((imported.outcome, imported.rows), (Outcome::Archived { version: 1 }, 5));
}

#[tokio::test(flavor = "multi_thread")]
async fn records_are_archived_with_their_bytes_days_and_reasons() {
    let world = World::new();
    let imported = world.import("json", &world.file("a.ndjson", LINES)).await;
    assert_eq!(imported.outcome, Outcome::Archived { version: 1 }, "one commit, though it was read in three parts");
    assert_eq!((imported.rows, imported.valid, imported.bytes), (5, 3, LINES.len() as u64));
    let first = |line: usize, error: &str| RejectedRows { count: 1, first_line: line, first_error: error.to_owned() };
    let rejected = [(Reason::NotJson, first(3, "not_json")), (Reason::MissingField, first(5, "missing_field:id"))];
    assert_eq!(imported.rejected, BTreeMap::from(rejected));
    let rows = expected(&[
        (0, "2026-04-24", r#"{"id":"a","at":"2026-04-24T09:29:59Z"}"#, ""),
        (1, "1970-01-01", "no event", "not_json"),
        (2, "1999-01-01", r#"{"id":"b","at":"1999-01-01T00:00:00Z"}"#, ""),
        (3, "1970-01-01", r#"{"at":1000}"#, "missing_field:id"),
        (4, "1970-01-01", r#"{"id":"c","at":1000,"n":3}"#, ""),
    ]);
    assert_eq!(world.rows("json").await, (1, rows), "however old they are, and although the source keeps few bytes");
    let facts = world.archive("json").await.facts();
    let id = PartitionId::new(imported.log, 0);
    assert!(facts.is_closed(&id.log) && facts.is_settled(&id) && facts.keeps_bytes);
    assert_eq!(facts.partition(&id).map(|known| (known.begin, known.next)), Some((0, 5)));
    assert_eq!(facts.rejects[&Reason::NotJson].last.offset, 1);
    assert_eq!(facts.columns_only().count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_format_gives_the_records_that_its_source_reads() {
    let world = World::new();
    let parquet = world.folder.path().join("a.parquet");
    parquet_file(&parquet);
    let parquet = InputFile::open(&parquet, None).expect("opened");
    let csv = world.file("a.csv", b"n,id,more,at\n7,a,x,2026-04-24T09:29:59Z\n");
    let packed = world.file("b.tsv.gz", &gzip(b"id\tat\nd\t2026-04-24T09:29:59Z\n"));
    for file in [&parquet, &csv, &packed] {
        world.import("json", file).await;
    }
    let (version, mut rows) = world.rows("json").await;
    let mut json = expected(&[
        (0, "2026-04-24", r#"{"id":"a","at":"2026-04-24T09:29:59Z","n":7}"#, ""),
        (1, "2026-04-25", r#"{"id":"b","at":"2026-04-25T09:29:59Z"}"#, ""),
        (0, "2026-04-24", r#"{"n":7,"id":"a","more":"x","at":"2026-04-24T09:29:59Z"}"#, ""),
        (0, "2026-04-24", r#"{"id":"d","at":"2026-04-24T09:29:59Z"}"#, ""),
    ]);
    rows.sort();
    json.sort();
    assert_eq!((version, rows), (3, json), "a log for each file");

    world.import("table", &csv).await;
    let rows = expected(&[(0, "2026-04-24", "a,2026-04-24T09:29:59Z,7", "")]);
    assert_eq!(world.rows("table").await, (1, rows), "in the declared order");

    let line = "h - - [24/Apr/2026:09:29:59 +0000] \"GET / HTTP/1.1\" 200 5 \"-\" \"-\"";
    world.import("log", &world.file("access.log", line.as_bytes())).await;
    assert_eq!(world.rows("log").await, (1, expected(&[(0, "2026-04-24", line, "")])));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_content_is_imported_once_whatever_its_name() {
    let world = World::new();
    world.import("json", &world.file("a.ndjson", LINES)).await;
    let once = world.rows("json").await;
    for file in [world.file("a.ndjson", LINES), world.file("b.ndjson.gz", &gzip(LINES))] {
        let again = world.import("json", &file).await;
        assert_eq!((again.outcome, again.rows), (Outcome::AlreadyImported, 0));
    }
    assert_eq!(world.rows("json").await, once);
    let facts = world.archive("json").await.facts();
    let names: Vec<String> = facts.imports().map(|(_, import)| import.file.clone()).collect();
    assert!(names.len() == 1 && names[0].ends_with("a.ndjson"), "{names:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_dies_before_its_commit_leaves_nothing_that_counts() {
    let world = World::new();
    let (importer, file) = (world.importer("json"), world.file("a.ndjson", LINES));
    let archive = importer.archive().await.expect("created");
    let log = import_log(file.digest().expect("read"));
    let decoding = Decoding::begin(&file, &RowArgs::default(), &importer.source, &log).expect("opened");
    let Written { files, .. } = importer.write(&archive, &file, decoding, now_us()).await.expect("written");
    assert!(files.len() >= 3, "{} files, and no commit refers to any", files.len());
    assert!(world.storage.archive("json").await.expect("read").is_none());
    assert_eq!(world.import("json", &file).await.outcome, Outcome::Archived { version: 1 });
    assert_eq!(world.rows("json").await.1.len(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_at_once_one_commits_and_the_other_sees_it() {
    let world = World::new();
    let (file, copy) = (world.file("a.ndjson", LINES), world.file("b.ndjson", LINES));
    let (one, other) = tokio::join!(world.import("json", &file), world.import("json", &copy));
    let mut outcomes = [one.outcome, other.outcome];
    outcomes.sort_by_key(|outcome| *outcome == Outcome::AlreadyImported);
    assert_eq!(outcomes, [Outcome::Archived { version: 1 }, Outcome::AlreadyImported]);
    assert_eq!(world.rows("json").await.1.len(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_another_overtook_follows_from_what_that_one_wrote() {
    let world = World::new();
    let (importer, file) = (world.importer("json"), world.file("a.ndjson", LINES));
    let mut archive = importer.archive().await.expect("created");
    let digest = file.digest().expect("read");
    let decoding = Decoding::begin(&file, &RowArgs::default(), &importer.source, &import_log(digest)).expect("opened");
    let written = importer.write(&archive, &file, decoding, now_us()).await.expect("written");
    // The archiver has begun a partition since.
    let topic = PartitionId::new("topic", 0);
    world.import("json", &world.file("other.ndjson", b"{\"id\":\"z\",\"at\":1}\n")).await;
    let mut other = world.archive("json").await;
    other.change("BEGIN", |facts| facts.begin(&topic, 3)).await.expect("begun");

    let outcome = importer.register(&mut archive, &file, digest, &written).await;
    assert_eq!(outcome.expect("committed"), Outcome::Archived { version: 3 });
    let facts = world.archive("json").await.facts();
    assert_eq!((facts.logs.len(), facts.partition(&topic).map(|known| known.begin)), (3, Some(3)));
    // The reply was lost, or another process had imported the same meanwhile.
    let again = importer.register(&mut other, &file, digest, &written).await;
    assert_eq!(again.expect("looked"), Outcome::AlreadyImported);
    assert_eq!(world.rows("json").await.1.len(), 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_that_stood_still_is_not_committed() {
    let world = World::new();
    let (importer, file) = (world.importer("json"), world.file("a.ndjson", LINES));
    let mut archive = importer.archive().await.expect("created");
    let digest = file.digest().expect("read");
    let listed_us = now_us() - LIST_HOLDS.as_micros() as i64 - 1;
    let written = Written { tally: Tally { rows: 5, ..Tally::default() }, files: Vec::new(), listed_us };
    let refused = importer.register(&mut archive, &file, digest, &written).await;
    assert!(matches!(refused, Err(ImportError::StoodStill { .. })), "{refused:?}");
    assert!(world.storage.archive("json").await.expect("read").is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_an_import_that_is_under_way_are_no_orphans() {
    let world = World::new();
    let (importer, file) = (world.importer("json"), world.file("a.ndjson", LINES));
    let archive = importer.archive().await.expect("created");
    let decoding = Decoding::begin(&file, &RowArgs::default(), &importer.source, "import-1").expect("opened");
    // As if they had last been listed so long ago that they are listed again.
    let begun_us = now_us() - LIST_EVERY.as_micros() as i64;
    let Written { files, .. } = importer.write(&archive, &file, decoding, begun_us).await.expect("written");
    let folder = PathBuf::from(&world.settings.store.url).join("braid/archive/json");
    let hours_ago = UNIX_EPOCH + Duration::from_micros(now_us() as u64) - 2 * ORPHAN_AGE;
    let ages = |path: &Path| {
        let aged = std::fs::File::options().write(true).open(path).expect("a file");
        aged.set_modified(hours_ago).expect("dated");
    };
    files.iter().for_each(|file| ages(&folder.join(&file.path)));
    // Its first part was an event of one day and an invalid record of another.
    assert_eq!(archive.remove_orphans().await.expect("looked"), files.len() - 2, "only that part was listed");
    assert_eq!(archive.remove_orphans().await.expect("looked"), 0);
    for list in std::fs::read_dir(folder.join("_import")).expect("lists") {
        ages(&list.expect("a list").path());
    }
    assert_eq!(archive.remove_orphans().await.expect("removed"), 2, "the process that wrote the list has died");
}

#[tokio::test(flavor = "multi_thread")]
async fn trying_out_changes_nothing_and_tells_the_same() {
    let world = World::new();
    let file = world.file("a.ndjson", LINES);
    let tried = world.importer("json").try_out(&file, &RowArgs::default()).await.expect("decoded");
    assert_eq!(tried.outcome, Outcome::Decoded);
    assert!(!PathBuf::from(&world.settings.store.url).join("braid/archive").exists());
    let imported = world.import("json", &file).await;
    let same = Imported { outcome: tried.outcome, took: tried.took, ..imported };
    assert_eq!(same, tried);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_imported_changes_nothing() {
    let world = World::new();
    let empty = world.import("json", &world.file("a.ndjson", b"\n\n")).await;
    assert_eq!(empty.outcome, Outcome::Empty);
    let mut cut_off = gzip(LINES);
    cut_off.truncate(cut_off.len() - 5);
    for (source, file) in [("json", world.file("b.ndjson.gz", &cut_off)), ("table", world.file("b.ndjson", LINES))] {
        let refused = world.importer(source).import(&file, &RowArgs::default()).await;
        assert!(matches!(refused, Err(ImportError::Input(_))), "{refused:?}");
        assert!(world.storage.archive(source).await.expect("read").is_none());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fields_that_the_archive_does_not_declare_are_declared_first() {
    let mut world = World::new();
    world.import("json", &world.file("a.ndjson", b"{\"id\":\"a\",\"at\":1,\"later\":\"x\"}\n")).await;
    let catalog = CATALOG.replacen("n = \"int?\"", "n = \"int?\"\nlater = \"string?\"", 1);
    world.catalog = Catalog::parse(&catalog).unwrap_or_else(|mistakes| panic!("{mistakes:?}"));
    world.import("json", &world.file("b.ndjson", b"{\"id\":\"b\",\"at\":1,\"later\":\"y\"}\n")).await;
    let archive = world.archive("json").await;
    assert!(archive.columns().expect("read").contains("later"));
    assert_eq!(world.rows("json").await.1.len(), 2);
}

#[test]
fn a_report_is_one_line() {
    let rejected = |count, first_line, error: &str| RejectedRows { count, first_line, first_error: error.to_owned() };
    let imported = Imported {
        file: "a.csv".to_owned(),
        log: "import-7".to_owned(),
        outcome: Outcome::Archived { version: 3 },
        rows: 1_000,
        valid: 990,
        rejected: [(Reason::NotJson, rejected(3, 7, "not_json")), (Reason::WrongType, rejected(7, 9, "wrong_type:n"))]
            .into(),
        bytes: 5_000,
        took: Duration::from_millis(500),
    };
    assert_eq!(
        imported.to_string(),
        "imported a.csv as import-7 in version 3: 1000 rows of 5000 bytes in 0.5 s (2000/s), 990 valid, 10 rejected: 3 (first on \
         line 7: not_json), 7 (first on line 9: wrong_type:n)"
    );
    let json = serde_json::to_value(&imported).expect("written");
    assert_eq!(
        json,
        serde_json::json!({
            "file": "a.csv", "log": "import-7", "outcome": "archived", "version": 3, "rows": 1000, "valid": 990, "bytes": 5000,
            "took_ms": 500,
            "rejected": {
                "not_json": {"count": 3, "first_line": 7, "first_error": "not_json"},
                "wrong_type": {"count": 7, "first_line": 9, "first_error": "wrong_type:n"},
            },
        })
    );
    let again = Imported { outcome: Outcome::AlreadyImported, ..imported };
    assert_eq!(again.to_string(), "a.csv: its content was already imported, as import-7");
}
