//! What is archived of a record, and what decoding it again leaves as it was.

use platform::registry::Registry;
use platform::settings;
use platform::store::Committed;
use shared_logic::catalog::{Catalog, KeptBytes};
use shared_logic::contracts::archive::HASH;
use shared_logic::log::{Content, PartitionId, Witness};
use storage::Storage;

use super::*;
use crate::archive::buffer::Buffer;
use crate::archive::{self, commit};

/// Key, payload and headers of each record. Which of the payloads are events depends on the type of `k`.
type Parts = (Option<&'static [u8]>, Option<&'static [u8]>, Option<&'static str>);

fn sent() -> Vec<Parts> {
    let headers = [None, Some(r#"[["a","1"]]"#), Some(r#"[["a","2"]]"#), Some("[]")];
    let payloads: [Option<&[u8]>; 5] =
        [Some(br#"{"at": 1000, "k": "a"}"#), Some(br#"{"at": 1000, "k": 5}"#), Some(b"no event"), Some(b""), None];
    let keys: [Option<&[u8]>; 3] = [None, Some(b""), Some(b"a key")];
    let with_headers = |key, payload| headers.map(|headers| (key, payload, headers));
    payloads.iter().flat_map(|payload| keys.iter().flat_map(move |key| with_headers(*key, *payload))).collect()
}

fn incoming(offset: usize, (key, payload, headers): &Parts) -> Incoming<'static> {
    let (timestamp_us, headers) = (Some(1_000_000), headers.map(str::to_owned));
    Incoming { partition: 0, offset: offset as i64, timestamp_us, key: *key, payload: *payload, headers }
}

/// A catalog whose source `s` has the field `k` of that type.
fn catalog(k: &str) -> Catalog {
    let text = format!("[sources.s]\nevent_time = \"at\"\n[sources.s.fields]\nat = \"timestamp\"\nk = \"{k}\"\n");
    Catalog::parse(&text).expect("a valid catalog")
}

/// The rows, which all lie in one day.
fn of_one_day(days: Vec<(String, DataFrame)>) -> DataFrame {
    let [(_, rows)] = <[(String, DataFrame); 1]>::try_from(days).expect("one day");
    rows
}

#[test]
fn every_row_has_the_hash_of_its_record_whatever_bytes_are_kept() {
    let sent = sent();
    for (kept, with_bytes) in [(KeptBytes::All, 48), (KeptBytes::Rejected, 36)] {
        let source = Source { kept_bytes: kept, ..catalog("string").sources["s"].clone() };
        let (mut rows, mut decoder) = (RecordRows::new(&source, "log"), Decoder::new(&source));
        for (offset, parts) in sent.iter().enumerate() {
            rows.push(incoming(offset, parts), &mut decoder);
        }
        let rows = of_one_day(rows.into_days(None).expect("rows"));
        let hashes = rows.column(HASH).expect("a column").i32().expect("32 bits");
        for (row, (key, payload, headers)) in sent.iter().enumerate() {
            let content = Content { timestamp_us: None, key: *key, payload: *payload, headers: *headers };
            let witness = Witness::of(row as i64, Some(3), &content);
            assert_eq!(hashes.get(row), Some(witness.short_hash()), "{kept:?}, {content:?}");
        }
        let raw = rows.column(RAW).expect("a column");
        assert_eq!(raw.len() - raw.null_count(), with_bytes, "{kept:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn decoding_again_changes_the_verdict_and_nothing_that_was_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = settings::Store { url: folder.path().display().to_string(), ..Default::default() };
    let (own, other) = (catalog("string"), catalog("int"));
    let storage = Storage::new(&store, &own.deployment).expect("a store");
    let (own, other) = (&own.sources["s"], &other.sources["s"]);
    let mut archive = archive::create(&storage, own).await.expect("created");
    let begin = |facts: &mut Facts| {
        facts.keep_bytes(&own.rules(), None);
        facts.begin(&PartitionId::new("log", 0), 0);
    };
    archive.change("BEGIN", begin).await.expect("begun");
    let declared = archive.columns().expect("read");
    let (mut buffer, mut decoder) = (Buffer::new(own, &declared, "log", &BTreeMap::from([(0, 0)])), Decoder::new(own));
    for (offset, parts) in sent().iter().enumerate() {
        buffer.push(incoming(offset, parts), &mut decoder);
    }
    let committed = commit::rows(&mut archive, own, buffer, &BTreeMap::new()).await.expect("written");
    assert!(matches!(committed, Committed::At(_)), "there is no other writer");

    let [file] = <[DataFile; 1]>::try_from(archive.files().await.expect("listed")).expect("one day");
    let columns: Schema = record_columns().into_iter().collect();
    let rows = archive.read(std::slice::from_ref(&file), &columns).await.expect("read");
    let before = rows::compute("read", archive.path(), move || rows.collect()).await.expect("decoded");
    let schemas = Schemas::new(&storage, "s", &Registry::new(&settings::Registry::default()));
    let redecoded = redecode(&archive, other, &schemas, &file, None).await.expect("decoded");
    assert_eq!((redecoded.records, redecoded.without_bytes), (60, 0));
    let after = of_one_day(redecoded.days);

    let read = [LOG, PARTITION, OFFSET, TIMESTAMP, KEY, HEADERS, RAW, HASH];
    let (seen, expected) = (after.select(read).expect("columns"), before.select(read).expect("columns"));
    assert!(seen.equals_missing(&expected), "{seen}\ninstead of\n{expected}");
    let events = |rows: &DataFrame| rows.column(ERROR).expect("a column").is_null();
    let (before, after) = (events(&before), events(&after));
    assert_eq!((before.sum(), after.sum(), (before & after).sum()), (Some(12), Some(12), Some(0)));
}
