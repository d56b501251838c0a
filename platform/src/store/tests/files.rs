//! Files on local disk: how they come, and when they go.

use std::collections::HashSet;
use std::path::Path as FilePath;
use std::time::{Duration, UNIX_EPOCH};

use deltalake::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions};

use super::*;
use crate::store::durable::DurableLocal;

const HOUR: Duration = Duration::from_secs(3600);
const HOUR_US: i64 = 3_600_000_000;

/// Dates the last write of a file two hours back.
fn age(path: &FilePath) {
    let written = crate::clock::now_us() - 2 * HOUR_US;
    let file = std::fs::File::options().write(true).open(path).expect("a file");
    file.set_modified(UNIX_EPOCH + Duration::from_micros(written as u64)).expect("dated");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_ages_from_the_commit_that_took_it_out() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut table = table(folder.path()).await;
    let now_us = crate::clock::now_us();
    let mut paths = Vec::new();
    for (n, removed_us) in [(1, now_us), (2, now_us - HOUR_US / 2), (3, now_us - HOUR_US * 3 / 2)] {
        let file = table.write("2026-01-01", frame(&[n]), &["n"]).await.expect("written");
        let path = folder.path().join("braid/a/b").join(&file.path);
        table.commit(Commit::new("WRITE", "day", now_us).adding([file.clone()])).await.expect("committed");
        age(&path);
        table.commit(Commit::new("TAKE OUT", "day", removed_us).removing([file])).await.expect("committed");
        paths.push(path);
    }
    let there = || paths.iter().map(|path| path.exists()).collect::<Vec<_>>();
    assert_eq!(table.remove_orphans(HOUR, &HashSet::new()).await.expect("removed"), 1);
    assert_eq!(there(), [true, true, false]);

    table.checkpoint().await.expect("checkpointed");
    let again = store(folder.path()).open("a/b").await.expect("read").expect("exists");
    assert_eq!(
        again.remove_orphans(HOUR, &HashSet::new()).await.expect("looked"),
        0,
        "a checkpoint knows what was removed"
    );
    assert_eq!(again.remove_orphans(HOUR / 4, &HashSet::new()).await.expect("removed"), 1);
    assert_eq!(there(), [true, false, false]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_of_a_file_is_young_and_of_one_that_is_gone_there_is_none() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut table = table(folder.path()).await;
    let file = table.write("2026-01-01", frame(&[1]), &["n"]).await.expect("written");
    let path = folder.path().join("braid/a/b").join(&file.path);
    age(&path);
    let copy = table.copied(&file).await.expect("copied").expect("it is there");
    assert_ne!(copy.path, file.path);
    assert_eq!(DataFile { path: file.path.clone(), ..copy.clone() }, file);
    let removed = table.remove_orphans(HOUR, &HashSet::new()).await.expect("removed");
    assert_eq!(removed, 1, "the old one, which belongs to no version");
    assert_eq!(table.copied(&file).await.expect("looked"), None);
    table.commit(Commit::new("WRITE", "day", 0).adding([copy.clone()])).await.expect("committed");
    assert_eq!(table.files().await.expect("listed"), [copy]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_never_committed_or_published_ages_from_its_writing() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut table = table(folder.path()).await;
    let kept = table.write("2026-01-01", frame(&[1]), &["n"]).await.expect("written");
    table.commit(Commit::new("WRITE", "day", 0).adding([kept.clone()])).await.expect("committed");
    let orphan = table.write("2026-01-01", frame(&[2]), &["n"]).await.expect("written");
    let of_table = |path: &str| folder.path().join("braid/a/b").join(path);
    let staged = ["2026-01-01/.staged-1", "_delta_log/.staged-2"].map(of_table);
    for path in &staged {
        std::fs::write(path, "half").expect("written");
    }
    assert_eq!(table.remove_orphans(HOUR, &HashSet::new()).await.expect("looked"), 0, "all are new");
    for path in staged.iter().chain([&of_table(&orphan.path), &of_table(&kept.path)]) {
        age(path);
    }
    let again = store(folder.path()).open("a/b").await.expect("read").expect("exists");
    assert_eq!(again.files().await.expect("listed"), std::slice::from_ref(&kept));
    let spared = HashSet::from([orphan.path.clone()]);
    assert_eq!(again.remove_orphans(HOUR, &spared).await.expect("removed"), 2);
    assert!(of_table(&orphan.path).exists(), "it is spared");
    assert_eq!(again.remove_orphans(HOUR, &HashSet::new()).await.expect("removed"), 1);
    assert!(of_table(&kept.path).exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_old_goes_even_if_others_commit_meanwhile() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut table = table(folder.path()).await;
    let now_us = crate::clock::now_us();
    let [orphan, kept, next] = [1, 2, 3].map(|n| frame(&[n]));
    let orphan = table.write("2026-01-01", orphan, &["n"]).await.expect("written");
    let kept = table.write("2026-01-01", kept, &["n"]).await.expect("written");
    for file in [&orphan, &kept] {
        age(&folder.path().join("braid/a/b").join(&file.path));
    }
    table.commit(Commit::new("WRITE", "day", now_us).adding([kept.clone()])).await.expect("committed");

    let look = table.look(HOUR).await.expect("looked").expect("it is the newest version");
    let mut other = store(folder.path()).open("a/b").await.expect("read").expect("exists");
    let next = other.write("2026-01-01", next, &["n"]).await.expect("written");
    let commit = Commit::new("REPLACE", "day", now_us).adding([next]).removing([kept]);
    assert!(matches!(other.commit(commit).await.expect("committed"), Committed::At(_)));
    let unused = table.unused_of(look, &HashSet::new()).await.expect("looked");
    let paths: Vec<&str> = unused.iter().map(|file| file.location.as_ref()).collect();
    assert_eq!(paths, [orphan.path.as_str()], "readers of the version before need the other one");
    assert!(table.look(HOUR).await.expect("looked").is_none(), "it is not the newest version any more");

    // What was left of long ago is known of every version.
    let is_left =
        async |table: &Table| table.has_others_of_before(now_us - HOUR_US, &HashSet::new()).await.expect("looked");
    assert!(is_left(&table).await);
    std::fs::remove_file(folder.path().join("braid/a/b").join(&orphan.path)).expect("removed");
    assert!(
        !is_left(&table).await,
        "the file that the newer version added is young, and the one that it took out belonged to this one"
    );
    assert!(is_left(&other).await, "it does not belong to the newest version");
}

#[tokio::test(flavor = "multi_thread")]
async fn by_a_clock_that_is_ahead_nothing_is_old_that_was_just_written() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut table = table(folder.path()).await;
    let removed = table.write("2026-01-01", frame(&[1]), &["n"]).await.expect("written");
    let now_us = crate::clock::now_us();
    table.commit(Commit::new("WRITE", "day", now_us).adding([removed.clone()])).await.expect("committed");
    table.commit(Commit::new("TAKE OUT", "day", now_us).removing([removed.clone()])).await.expect("committed");
    age(&folder.path().join("braid/a/b").join(&removed.path));
    // Of a commit that is under way, and its list.
    let written = table.write("2026-01-01", frame(&[2]), &["n"]).await.expect("written");
    table.put_beside("_import/list.json", &[&written.path]).await.expect("written");

    let ahead = Store { now_us: || crate::clock::now_us() + 3 * HOUR_US, ..store(folder.path()) };
    let ahead = ahead.open("a/b").await.expect("read").expect("exists");
    assert_eq!(ahead.remove_beside("_import", |_| true, HOUR).await.expect("looked"), 0);
    assert_eq!(ahead.remove_orphans(HOUR, &HashSet::new()).await.expect("looked"), 0);
    let there = |path: &str| folder.path().join("braid/a/b").join(path).exists();
    assert!(there(&removed.path) && there(&written.path), "readers of the version before need the one");
    assert_eq!(ahead.remove_beside("_import", |_| true, Duration::ZERO).await.expect("removed"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_lies_beside_a_table_grows_old_although_nobody_commits() {
    let folder = tempfile::tempdir().expect("a folder");
    table(folder.path()).await.put_beside("_import/list.json", &["a"]).await.expect("written");
    let of_table = |path: &str| folder.path().join("braid/a/b").join(path);
    age(&of_table("_import/list.json"));
    for entry in std::fs::read_dir(of_table("_delta_log")).expect("listed") {
        let path = entry.expect("an entry").path();
        if path.is_file() {
            age(&path);
        }
    }
    let quiet = store(folder.path()).open("a/b").await.expect("read").expect("exists");
    let removed = async || quiet.remove_beside("_import", |_| true, HOUR).await.expect("looked");
    assert_eq!(removed().await, 0, "by the store's clock, it may just have been written");
    quiet.checkpoint().await.expect("written");
    assert_eq!(removed().await, 1, "by the store's clock, the checkpoint is younger");
}

#[tokio::test]
async fn a_put_is_whole_or_leaves_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let disk = DurableLocal::new();
    let path = |name: &str| Path::from_absolute_path(folder.path().join(name)).expect("a path");
    let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).expect("a file");
    let create = || PutOptions::from(PutMode::Create);

    disk.put_opts(&path("a/b/entry"), "first".into(), create()).await.expect("put");
    let again = disk.put_opts(&path("a/b/entry"), "second".into(), create()).await;
    assert!(matches!(again, Err(object_store::Error::AlreadyExists { .. })), "{again:?}");
    assert_eq!(read("a/b/entry"), "first");
    disk.put(&path("a/b/entry"), "third".into()).await.expect("put");
    assert_eq!(read("a/b/entry"), "third");

    let mut upload = disk.put_multipart(&path("a/c/large")).await.expect("begun");
    for part in ["one ", "two ", "three"] {
        upload.put_part(part.into()).await.expect("written");
    }
    assert!(!folder.path().join("a/c/large").exists(), "not before it is complete");
    upload.complete().await.expect("put");
    drop(upload);
    let mut given_up = disk.put_multipart(&path("a/c/given-up")).await.expect("begun");
    given_up.put_part("part".into()).await.expect("written");
    drop(given_up);
    assert_eq!(read("a/c/large"), "one two three");
    for (below, name) in [("a/b", "entry"), ("a/c", "large")] {
        let names = std::fs::read_dir(folder.path().join(below)).expect("a folder");
        let names: Vec<_> = names.map(|file| file.expect("a file").file_name()).collect();
        assert_eq!(names, [name], "nothing else is left in {below}");
    }
}
