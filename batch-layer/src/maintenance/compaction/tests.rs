//! Of two passes that planned the same, one merges.

use std::collections::BTreeMap;

use polars::prelude::{DataType, Schema};
use shared_logic::catalog::Catalog;
use shared_logic::contracts::archive::{Facts, OFFSET};
use shared_logic::decode::Decoder;
use shared_logic::log::PartitionId;
use storage::Storage;

use super::*;
use crate::archive::buffer::Buffer;
use crate::archive::commit;
use crate::archive_rows::record_rows::Incoming;

const DAY_MS: i64 = 24 * 3_600_000;
const RECORDS: i64 = 8;

/// Each commit of the archiver adds a record, and a file, to each of two days.
async fn two_days(storage: &Storage, source: &Source) -> Archive {
    let mut archive = crate::archive::create(storage, source).await.expect("created");
    let begin = |facts: &mut Facts| {
        facts.keep_bytes(&source.rules(), None);
        facts.begin(&PartitionId::new("log", 0), 0);
    };
    archive.change("BEGIN", begin).await.expect("begun");
    let (declared, mut decoder) = (archive.columns().expect("read"), Decoder::new(source));
    for first in (0..RECORDS).step_by(2) {
        let mut buffer = Buffer::new(source, &declared, "log", &BTreeMap::from([(0, first)]));
        for offset in first..first + 2 {
            let payload = format!(r#"{{"at": {}, "k": "a"}}"#, offset % 2 * DAY_MS + 1_000);
            let payload = Some(payload.as_bytes());
            let record = Incoming { partition: 0, offset, timestamp_us: None, key: None, payload, headers: None };
            assert_eq!(buffer.push(record, &mut decoder), None);
        }
        let committed = commit::rows(&mut archive, source, buffer, &BTreeMap::new()).await.expect("tried");
        assert!(matches!(committed, Committed::At(_)), "{committed:?}");
    }
    archive
}

async fn offsets(archive: &Archive) -> Vec<i64> {
    let columns: Schema = [(OFFSET.into(), DataType::Int64)].into_iter().collect();
    let read = archive.read(&archive.files().await.expect("listed"), &columns).await.expect("read");
    let rows = crate::rows::compute("read", archive.path(), move || read.collect()).await.expect("decoded");
    let mut offsets: Vec<i64> = rows.column(OFFSET).expect("there").i64().expect("integers").iter().flatten().collect();
    offsets.sort_unstable();
    offsets
}

#[tokio::test(flavor = "multi_thread")]
async fn what_another_pass_has_merged_since_it_was_planned_is_not_merged_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let settings = platform::settings::Store { url: folder.path().display().to_string(), ..Default::default() };
    let catalog = Catalog::parse(test_kit::catalogs::TINY).expect("a valid catalog");
    let storage = Storage::new(&settings, &catalog.deployment).expect("a store");
    let source = &catalog.sources["s"];
    let mut fast = two_days(&storage, source).await;
    let mut slow = fast.clone();
    let planned = DataFile::by_partition(fast.files().await.expect("listed"));
    assert_eq!(planned.values().map(Vec::len).collect::<Vec<_>>(), [4, 4]);

    // Both days, before the slow one has committed the first. Its commit conflicts, and it reads the newest version.
    for (day, files) in planned.clone() {
        assert!(merge(source, &mut fast, &day, files, TARGET).await.expect("merged"), "{day}");
    }
    for (day, files) in planned {
        assert!(!merge(source, &mut slow, &day, files, TARGET).await.expect("tried"), "{day}");
    }

    let newest = storage.archive("s").await.expect("read").expect("archived");
    assert_eq!((newest.version(), slow.version()), (fast.version(), fast.version()));
    assert_eq!(offsets(&newest).await, (0..RECORDS).collect::<Vec<_>>(), "each record once");
    let of_day = |day: &str| std::fs::read_dir(folder.path().join("braid/archive/s").join(day)).expect("a day").count();
    assert_eq!(["1970-01-01", "1970-01-02"].map(of_day), [4 + 2, 4 + 1], "the second day is not even read again");
}
