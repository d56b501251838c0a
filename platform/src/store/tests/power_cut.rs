//! What a power cut leaves of the last log entry, and what else can make a log say something else than before.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::*;

/// The number of the last entry.
const LAST: u64 = 4;

fn log(folder: &Path) -> PathBuf {
    folder.join("braid/a/b/_delta_log")
}

fn entry(folder: &Path, version: u64) -> PathBuf {
    log(folder).join(format!("{version:020}.json"))
}

/// Version, note and files.
type State = (u64, Option<i64>, BTreeSet<String>);

async fn state(table: &Table) -> State {
    let files = table.files().await.expect("listed").into_iter().map(|file| file.path).collect();
    (table.version(), table.note("x").await.expect("read"), files)
}

async fn opened(folder: &Path) -> Table {
    store(folder).open("a/b").await.expect("read").expect("exists")
}

/// Commits one more file, with that note, and returns its path.
async fn add(table: &mut Table, n: i64) -> String {
    let file = table.write("2026-01-01", frame(&[n]), &["n"]).await.expect("written");
    let (path, next) = (file.path.clone(), table.version() + 1);
    let commit = Commit::new("WRITE", "day", 0).adding([file]).note("x", &n);
    assert_eq!(table.commit(commit).await.expect("committed"), Committed::At(next));
    path
}

/// A table whose last entry adds a file with a note, or compacts without one.
async fn grown(folder: &Path, compacts: bool) -> Table {
    let mut table = table(folder).await;
    for n in 1..LAST as i64 {
        add(&mut table, n).await;
    }
    if compacts {
        let old = table.files().await.expect("listed");
        let one = table.write("2026-01-01", frame(&[1, 2, 3]), &["n"]).await.expect("written");
        let commit = Commit::new("COMPACT", "day", 0).adding([one]).removing(old).same_rows();
        assert_eq!(table.commit(commit).await.expect("committed"), Committed::At(LAST));
    } else {
        add(&mut table, LAST as i64).await;
    }
    table
}

fn copied(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let files = fs::read_dir(log(folder)).expect("a log").map(|file| file.expect("a file").path());
    files.map(|path| (path.clone(), fs::read(path).expect("read"))).collect()
}

/// The log as it was copied, its last entry cut.
fn cut_off(folder: &Path, copy: &BTreeMap<PathBuf, Vec<u8>>, at: usize) {
    fs::remove_dir_all(log(folder)).expect("removed");
    fs::create_dir(log(folder)).expect("created");
    for (path, text) in copy {
        let end = if *path == entry(folder, LAST) { at } else { text.len() };
        fs::write(path, &text[..end]).expect("written");
    }
}

/// Where lines end, before and after the sign that ends them.
fn ends_of_lines(text: &[u8]) -> Vec<usize> {
    let ends = text.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
    ends.flat_map(|(at, _)| [at, at + 1]).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_that_is_cut_anywhere_is_a_whole_commit_or_none() {
    for compacts in [false, true] {
        let folder = tempfile::tempdir().expect("a folder");
        let folder = folder.path();
        let whole = state(&grown(folder, compacts).await).await;
        let (text, copy) = (fs::read(entry(folder, LAST)).expect("read"), copied(folder));
        for cut in 0..text.len() {
            assert!(torn::is_torn(&text[..cut]), "cut at {cut}");
        }
        assert!(!torn::is_torn(&text));

        fs::remove_file(entry(folder, LAST)).expect("removed");
        let before = state(&opened(folder).await).await;
        let within = [0, 1, text.len() / 2, text.len() - 1, text.len()];
        for cut in ends_of_lines(&text).into_iter().chain(within) {
            cut_off(folder, &copy, cut);
            let mut table = opened(folder).await;
            let expected = if cut == text.len() { &whole } else { &before };
            assert_eq!(state(&table).await, *expected, "cut at {cut}");
            let added = add(&mut table, 99).await;
            let files: BTreeSet<String> = expected.2.iter().cloned().chain([added]).collect();
            assert_eq!(state(&opened(folder).await).await, (expected.0 + 1, Some(99), files), "cut at {cut}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_read_a_torn_entry_reads_anew_what_is_committed_in_its_place() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    grown(folder, false).await;
    let (text, copy) = (fs::read(entry(folder, LAST)).expect("read"), copied(folder));
    for cut in ends_of_lines(&text) {
        cut_off(folder, &copy, cut);
        let location = store(folder).location("a/b").expect("a folder");
        let mut delta = deltalake::DeltaTable::new(location.log_store().expect("a table"));
        delta.load().await.expect("whole lines can be read");
        let mut reader = Table::read_from(location, delta).await.expect("read");
        assert_eq!(reader.version(), LAST);

        let mut writer = opened(folder).await;
        assert_eq!(writer.version(), LAST - 1);
        add(&mut writer, 99).await;
        assert!(reader.refresh().await.expect("read"), "cut at {cut}");
        assert_eq!(state(&reader).await, state(&writer).await, "cut at {cut}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_writer_gets_past_a_torn_entry_that_appears_while_it_runs() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let mut table = grown(folder, false).await;
    fs::write(entry(folder, LAST + 1), "").expect("written");
    let file = table.write("2026-01-01", frame(&[5]), &["n"]).await.expect("written");
    let commit = Commit::new("WRITE", "day", 0).adding([file]);
    assert_eq!(table.commit(commit.clone()).await.expect("tried"), Committed::Conflict);
    table.refresh().await.expect("read");
    assert_eq!(table.commit(commit).await.expect("tried"), Committed::At(LAST + 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_follows_a_log_that_went_back_and_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let mut reader = grown(folder, false).await;
    fs::remove_file(entry(folder, LAST)).expect("removed");
    fs::remove_file(entry(folder, LAST - 1)).expect("removed");
    let mut writer = opened(folder).await;
    for n in 10..13 {
        add(&mut writer, n).await;
    }
    assert!(reader.refresh().await.expect("read"));
    assert_eq!(state(&reader).await, state(&writer).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_whose_files_another_program_changed_is_not_used() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let mut table = grown(folder, false).await;
    let before = state(&table).await;
    let path = before.2.first().expect("a file");
    let foreign = format!(
        "{{\"commitInfo\":{{\"engineInfo\":\"another\"}}}}\n{{\"remove\":{{\"path\":\"{path}\",\"dataChange\":true,\
         \"deletionTimestamp\":0}}}}"
    );
    fs::write(entry(folder, LAST + 1), foreign).expect("written");
    let differs = |error: &StoreError| matches!(error, StoreError::FilesDiffer { version: 5, found: 3, noted: 4, .. });
    assert!(table.refresh().await.is_err_and(|error| differs(&error)));
    assert!(store(folder).open("a/b").await.is_err_and(|error| differs(&error)));
    assert_eq!(state(&table).await, before, "it stays at the version that it knew");
    fs::remove_file(entry(folder, LAST + 1)).expect("removed");
    assert!(!table.refresh().await.expect("read"));
    assert_eq!(state(&opened(folder).await).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_writer_reads_back_of_its_commits_has_to_be_what_it_wrote() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let mut table = table(folder).await;
    let first = add(&mut table, 1).await;
    add(&mut table, 2).await;
    let text = fs::read_to_string(entry(folder, 1)).expect("read");
    fs::write(entry(folder, 1), text.replace(&first, "2026-01-01/another.parquet")).expect("written");
    let differs = |error: &StoreError| matches!(error, StoreError::FilesDiffer { version: 2, found: 2, noted: 2, .. });
    assert!(table.files().await.is_err_and(|error| differs(&error)));
    assert!(table.note::<i64>("x").await.is_err_and(|error| differs(&error)), "it is looked at again");
    fs::write(entry(folder, 1), text).expect("written");
    assert_eq!(state(&table).await, state(&opened(folder).await).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_of_older_versions_are_whole_and_need_no_digest() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let before = state(&grown(folder, true).await).await;
    for (path, text) in copied(folder) {
        let lines = String::from_utf8(text).expect("text");
        let lines = lines.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
        let lines = lines.filter(|line| line["domainMetadata"]["domain"] != digest::DOMAIN).map(|mut line| {
            if let Some(info) = line.get_mut("commitInfo").and_then(Value::as_object_mut) {
                info.remove(torn::ACTIONS).expect("a number of actions");
            }
            line.to_string()
        });
        fs::write(path, lines.collect::<Vec<_>>().join("\n")).expect("written");
    }
    let mut table = opened(folder).await;
    assert_eq!(state(&table).await, before);
    add(&mut table, 99).await;
    assert_eq!(state(&opened(folder).await).await, state(&table).await);
}
