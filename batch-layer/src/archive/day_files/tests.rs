//! What files hold, however their rows were encoded, and when they are as many as a commit may have.

use platform::settings::Size;
use polars::prelude::DataFrame;
use shared_logic::catalog::Catalog;
use shared_logic::contracts::archive::{OFFSET, RAW};
use shared_logic::time::DAY_US;
use storage::Storage;
use test_kit::{Dice, catalogs, first_seed, repetitions};

use super::*;

fn source() -> Source {
    Catalog::parse(catalogs::TINY).expect("a valid catalog").sources["s"].clone()
}

async fn archive(folder: &tempfile::TempDir, source: &Source) -> Archive {
    let settings = settings::Store { url: folder.path().display().to_string(), ..Default::default() };
    let deployment = Catalog::parse(catalogs::TINY).expect("a valid catalog").deployment;
    let storage = Storage::new(&settings, &deployment).expect("a store");
    crate::archive::create(&storage, source).await.expect("created")
}

fn no_rows(source: &Source, declared: &Schema) -> DayFiles {
    DayFiles::new(RecordRows::new(source, "log"), source, declared)
}

/// An event of that day.
fn event(day: i64, text: &str) -> String {
    format!(r#"{{"at": {}, "k": "{text}"}}"#, day * DAY_US / 1_000)
}

fn push(files: &mut DayFiles, decoder: &mut Decoder, offset: i64, payload: &str) {
    let payload = Some(payload.as_bytes());
    let record = Incoming { partition: 0, offset, timestamp_us: None, key: None, payload, headers: None };
    assert_eq!(files.push(record, decoder), None);
}

/// Offset and payload of each row, in the order of the file.
fn records(rows: &DataFrame) -> Vec<(i64, String)> {
    let offsets = rows.column(OFFSET).expect("there").i64().expect("integers").iter().flatten();
    let raw = rows.column(RAW).expect("there").binary().expect("bytes").iter().flatten();
    offsets.zip(raw.map(|raw| String::from_utf8_lossy(raw).into_owned())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_holds_the_rows_of_its_day_in_their_order_however_they_were_encoded() {
    let (folder, source, mut dice) = (tempfile::tempdir().expect("a folder"), source(), Dice::new(first_seed()));
    let archive = archive(&folder, &source).await;
    let columns = archive.columns().expect("read");
    for _ in 0..repetitions(20, 400) {
        let extent =
            |dice: &mut Dice| Extent { rows: dice.between(1, 30) as usize, bytes: dice.between(1, 2_000) as usize };
        let sizes = Sizes { group: extent(&mut dice), held: extent(&mut dice) };
        let (mut files, mut decoder) = (no_rows(&source, &columns).with_sizes(sizes), Decoder::new(&source));
        let mut sent = BTreeMap::<String, Vec<(i64, String)>>::new();
        for offset in 0..dice.between(0, 200) {
            let day = dice.between(1, 4);
            let payload = event(day, &"x".repeat(dice.below(50)));
            push(&mut files, &mut decoder, offset, &payload);
            sent.entry(format_day(day)).or_default().push((offset, payload));
        }
        assert_eq!(files.len(), sent.values().map(Vec::len).sum::<usize>());
        let mut found = BTreeMap::new();
        for file in files.write(&archive).await.expect("written") {
            let rows = archive.read(std::slice::from_ref(&file), &columns).await.expect("read");
            let rows = rows::compute("read rows", archive.path(), move || rows.collect()).await.expect("decoded");
            let records = records(&rows);
            let offsets = records.iter().map(|(offset, _)| *offset);
            assert_eq!(file.ranges.get(OFFSET).copied(), offsets.clone().min().zip(offsets.max()));
            assert_eq!(file.rows, records.len() as u64);
            assert_eq!(found.insert(file.partition, records), None, "one file for each day");
        }
        assert_eq!(found, sent, "{sizes:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_is_full_by_its_rows_its_bytes_or_what_these_are_encoded() {
    let (folder, source) = (tempfile::tempdir().expect("a folder"), source());
    let columns = archive(&folder, &source).await.columns().expect("read");
    let bound = |max_rows: usize, max_bytes: Size| settings::Archive { max_rows, max_bytes, ..Default::default() };
    let payload = event(1, "a");
    let (each, most) = (Extent { rows: 1, bytes: usize::MAX }, Extent { rows: usize::MAX, bytes: usize::MAX });
    // What is encoded row by row takes far more than its rows do.
    for (settings, group, expected) in [
        (bound(7, Size::from_mib(1)), most, 7..8),
        (bound(1_000, Size::from_bytes(5 * payload.len() as u64)), most, 5..6),
        (bound(1_000, Size::from_bytes(64 << 10)), each, 2..200),
    ] {
        let sizes = Sizes { group, held: most };
        let (mut files, mut decoder) = (no_rows(&source, &columns).with_sizes(sizes), Decoder::new(&source));
        let mut offset = 0;
        while !files.is_full(&settings) {
            push(&mut files, &mut decoder, offset, &payload);
            offset += 1;
        }
        assert!(expected.contains(&files.len()), "{} rows, and {expected:?} expected", files.len());
        assert!(!files.following().is_full(&settings));
    }
}
