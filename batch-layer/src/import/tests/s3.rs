//! Files in an S3 bucket: whatever befalls the requests, and whoever replaces a file meanwhile, a log holds the content that it is
//! named by.

use std::sync::atomic::{AtomicBool, Ordering};

use platform::settings::Span;
use test_kit::s3::GIVEN_UP_AFTER;
use test_kit::{Fault, S3Server};

use super::*;

/// How often an import is begun anew before it is done. A busy machine adds faults of its own: requests that take too long.
const ATTEMPTS: usize = 50;
/// So many requests an import takes, at least: two to find the file, one for its digest, one for its records.
const REQUESTS_MIN: u64 = 4;

/// A bucket in which files lie, and how a client sees it.
struct Lake {
    server: S3Server,
    store: settings::Store,
}

impl Lake {
    async fn new() -> Lake {
        let server = S3Server::start().await.expect("a server");
        let store = Settings::load(None, std::iter::empty(), &server.settings()).expect("valid settings").store;
        Lake { server, store }
    }

    /// The client gives up soon.
    async fn hurried() -> Lake {
        let Lake { server, store } = Lake::new().await;
        let request_timeout = Span::from_millis(GIVEN_UP_AFTER.as_millis() as u64);
        let store = settings::Store { request_timeout, retry_for: Span::from_millis(300), ..store };
        Lake { server, store }
    }

    fn put(&self, path: &str, bytes: &[u8]) {
        put(&self.server.bucket(), path, bytes);
    }

    async fn open(&self, path: &str) -> Result<Vec<InputFile>, ImportError> {
        files::open(&[PathBuf::from(self.server.url(path))], None, &self.store).await
    }

    /// Imports one file, as a process does that has just started.
    async fn import(&self, path: &str, world: &World) -> Result<Imported, ImportError> {
        let file = self.open(path).await?.remove(0);
        world.importer("json").import(&file, &RowArgs::default()).await
    }
}

/// Puts an object in one step: who reads it finds the one or the other.
fn put(bucket: &Path, path: &str, bytes: &[u8]) {
    let (aside, object) = (bucket.with_file_name("aside"), bucket.join(path));
    std::fs::create_dir_all(object.parent().expect("a folder")).expect("created");
    std::fs::write(&aside, bytes).expect("written");
    std::fs::rename(&aside, object).expect("put");
}

/// A Parquet file with an event for each id.
fn parquet(ids: [&str; 2]) -> Vec<u8> {
    let columns: [(&str, ArrayRef); 2] =
        [("id", Arc::new(StringArray::from(ids.to_vec()))), ("at", Arc::new(Int64Array::from(vec![1, 2])))];
    let batch = RecordBatch::try_from_iter(columns).expect("columns of one length");
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), None).expect("a schema for Parquet");
    writer.write(&batch).expect("written");
    writer.into_inner().expect("closed")
}

fn lines(ids: [&str; 2]) -> Vec<u8> {
    ids.iter().flat_map(|id| format!("{{\"id\":\"{id}\",\"at\":1}}\n").into_bytes()).collect()
}

/// The log that a file with that content becomes.
fn log_of(world: &World, name: &str, content: &[u8]) -> String {
    import_log(world.file(name, content).digest().expect("read"))
}

/// Whether the archive holds an event for each of these ids, in their order, and nothing else.
async fn holds(world: &World, ids: [&str; 2]) -> bool {
    let (_, rows) = world.rows("json").await;
    rows.len() == 2 && rows.iter().zip(ids).all(|(row, id)| row.contains(&format!("\"id\":\"{id}\"")))
}

#[tokio::test(flavor = "multi_thread")]
async fn every_file_below_a_prefix_is_imported_as_one_on_local_disk_would_be() {
    let (world, lake) = (World::new(), Lake::new().await);
    let csv = gzip(b"id,at,n\ne,5,7\n");
    for (path, bytes) in
        [("old/a.parquet", &parquet(["a", "b"])[..]), ("old/b.csv.gz", &csv[..]), ("old/c/d.ndjson", LINES)]
    {
        lake.put(path, bytes);
    }
    lake.put("old/_SUCCESS", b"done");
    let (mut names, mut rows) = (Vec::new(), 0);
    for file in lake.open("old/").await.expect("listed") {
        let tried = world.importer("json").try_out(&file, &RowArgs::default()).await.expect("decoded");
        let imported = world.import("json", &file).await;
        assert!(matches!(imported.outcome, Outcome::Archived { .. }), "{imported}");
        assert_eq!((tried.rows, tried.log), (imported.rows, imported.log));
        names.push(imported.file);
        rows += imported.rows;
    }
    assert_eq!(names, ["old/a.parquet", "old/b.csv.gz", "old/c/d.ndjson"].map(|path| lake.server.url(path)));
    assert_eq!((rows, world.rows("json").await.1.len()), (8, 8));
    let facts = world.archive("json").await.facts();
    assert!(facts.imports().all(|(_, import)| names.contains(&import.file)), "they are known by their addresses");
    for (name, bytes) in
        [("z.parquet", &parquet(["a", "b"])[..]), ("z.csv", &b"id,at,n\ne,5,7\n"[..]), ("z.ndjson", LINES)]
    {
        let copy = world.import("json", &world.file(name, bytes)).await;
        assert_eq!(copy.outcome, Outcome::AlreadyImported, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_befalls_a_request_a_file_is_imported_whole_and_once() {
    let lake = Lake::hurried().await;
    let content = parquet(["a", "b"]);
    lake.put("a.parquet", &content);
    for fault in Fault::ALL {
        for request in 1.. {
            let world = World::new();
            lake.server.befall(request, fault);
            let imported = import_at_last(&lake, &world).await;
            assert_eq!(imported.log, log_of(&world, "a.parquet", &content), "{fault:?} of request {request}");
            assert!(holds(&world, ["a", "b"]).await, "{fault:?} of request {request}");
            let has_befallen = lake.server.spare();
            lake.server.settled().await.expect("idle");
            if !has_befallen {
                assert!(request > REQUESTS_MIN, "an import took {request} requests");
                break;
            }
        }
    }
}

/// Imports the file again and again until that succeeds. What failed has changed nothing.
async fn import_at_last(lake: &Lake, world: &World) -> Imported {
    for _ in 0..ATTEMPTS {
        match lake.import("a.parquet", world).await {
            Ok(imported) => return imported,
            Err(_) => lake.server.heal(),
        }
        assert!(world.storage.archive("json").await.expect("read").is_none());
    }
    panic!("not imported after {ATTEMPTS} attempts");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_replaced_before_any_request_is_not_imported_under_the_digest_of_another_content() {
    let lake = Lake::new().await;
    let ids = [["a", "b"], ["c", "d"]];
    for (name, contents) in [("a.ndjson", ids.map(lines)), ("a.parquet", ids.map(parquet))] {
        for request in 1.. {
            let (world, was_replaced) = (World::new(), Arc::new(AtomicBool::new(false)));
            let logs = contents.each_ref().map(|content| log_of(&world, name, content));
            lake.put(name, &contents[0]);
            let (bucket, newer, flag) = (lake.server.bucket(), contents[1].clone(), Arc::clone(&was_replaced));
            lake.server.before(request, move || {
                put(&bucket, name, &newer);
                flag.store(true, Ordering::Relaxed);
            });
            let imported = match lake.import(name, &world).await {
                Ok(imported) => imported,
                Err(error) => {
                    let text = platform::telemetry::error_text(&error);
                    assert!(text.contains("was replaced while it was read"), "before request {request}: {text}");
                    assert!(world.storage.archive("json").await.expect("read").is_none());
                    lake.import(name, &world).await.expect("nothing replaces it now")
                }
            };
            let content = logs.iter().position(|log| *log == imported.log).expect("one of both");
            assert!(holds(&world, ids[content]).await, "{name}, replaced before request {request}");
            if !was_replaced.load(Ordering::Relaxed) {
                assert!(request > REQUESTS_MIN && content == 0, "an import took {request} requests");
                break;
            }
            assert_eq!(content, 1, "{name}, replaced before request {request}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_is_misspelt_is_found_before_anything_is_imported() {
    let (world, lake) = (World::new(), Lake::new().await);
    lake.put("a.ndjson", LINES);
    let names = ["a.ndjson", "b.ndjson"].map(|path| PathBuf::from(lake.server.url(path)));
    let refused = files::open(&names, None, &lake.store).await;
    assert!(matches!(refused, Err(ImportError::InS3(_))), "{refused:?}");
    let both = [world.folder.path().join("a.ndjson"), names[0].clone()];
    std::fs::write(&both[0], LINES).expect("written");
    assert_eq!(files::open(&both, None, &lake.store).await.expect("both are there").len(), 2);
}
