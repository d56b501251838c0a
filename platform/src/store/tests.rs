//! Tables on local disk and on S3; on each, what holds for both.
//!
//! - `s3`, `probe`: puts whose replies are lost, and servers that do not refuse a second put;
//! - `place`: a folder, or an S3 bucket;
//! - `files`, `power_cut`: local disk;
//! - `clocked`, `zombies`, `three_days`: what happens in time;
//! - `fetched`, `row_groups`: what is read of a file;
//! - `s3_file`: what is read of a file that belongs to no table.

use super::*;
use polars::prelude::*;

use self::place::Place;

mod clocked;
mod fetched;
mod files;
mod place;
mod power_cut;
mod probe;
mod row_groups;
mod s3;
mod s3_file;
mod three_days;
mod zombies;

fn store(folder: &std::path::Path) -> Store {
    let settings = settings::Store { url: folder.display().to_string(), ..settings::Store::default() };
    Store::new(&settings, "braid").expect("a folder")
}

async fn table(folder: &std::path::Path) -> Table {
    created(&store(folder)).await
}

async fn created(store: &Store) -> Table {
    store.open_or_create("a/b", &columns(), "day").await.expect("created")
}

fn columns() -> Schema {
    Schema::from_iter([Field::new("n".into(), DataType::Int64), Field::new("s".into(), DataType::String)])
}

fn frame(numbers: &[i64]) -> DataFrame {
    let texts: Vec<String> = numbers.iter().map(|n| format!("t{n}")).collect();
    df!("n" => numbers, "s" => texts).expect("two columns")
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_files_and_notes_come_back() {
    for place in Place::each().await {
        let mut table = created(&place.store("braid")).await;
        assert_eq!(table.note::<i64>("x").await.expect("read"), None);
        let file = table.write("2026-01-01", frame(&[3, 1, 2]), &["n", "s"]).await.expect("written");
        let commit = Commit::new("WRITE", "day", 0).adding([file]).note("x", &7);
        assert_eq!(table.commit(commit).await.expect("committed"), Committed::At(1));

        let again = place.store("braid").open("a/b").await.expect("read").expect("exists");
        assert_eq!(again.note::<i64>("x").await.expect("read"), Some(7));
        let files = again.files().await.expect("listed");
        assert_eq!((files.len(), files[0].rows, files[0].partition.as_str()), (1, 3, "2026-01-01"));
        assert_eq!(files[0].ranges["n"], (1, 3));
        assert!(files[0].may_hold("n", 3, 9) && !files[0].may_hold("n", 4, 9) && !files[0].may_hold_text("s", "t4"));
        let rows =
            again.read(&files, &frame(&[]).schema().as_ref().clone()).await.expect("read").collect().expect("decoded");
        assert_eq!(rows, frame(&[3, 1, 2]));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn deployments_share_a_url_and_no_table() {
    for place in Place::each().await {
        let mut table = created(&place.store("braid")).await;
        table.commit(Commit::new("WRITE", "day", 0).note("x", &7)).await.expect("committed");
        for ending in ["", "/"] {
            let of = |name| place.at(ending, name);
            assert!(of("other").open("a/b").await.expect("read").is_none());
            assert!(of("braid").open("a/b").await.expect("read").is_some());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_writers_one_wins() {
    for place in Place::each().await {
        let mut one = created(&place.store("braid")).await;
        let mut two = created(&place.store("braid")).await;
        assert_eq!(one.commit(Commit::new("A", "day", 0).note("x", &1)).await.expect("tried"), Committed::At(1));
        assert_eq!(two.commit(Commit::new("B", "day", 0).note("x", &2)).await.expect("tried"), Committed::Conflict);
        assert!(two.refresh().await.expect("read"));
        assert_eq!(two.note::<i64>("x").await.expect("read"), Some(1));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_takes_out_only_what_the_version_has_that_it_follows_on() {
    for place in Place::each().await {
        let mut one = created(&place.store("braid")).await;
        let mut two = Vec::new();
        for n in 1..=2 {
            let file = one.write("2026-01-01", frame(&[n]), &["n"]).await.expect("written");
            let commit = Commit::new("WRITE", "day", 0).adding([file.clone()]);
            assert_eq!(one.commit(commit).await.expect("committed"), Committed::At(n as u64));
            two.push(file);
        }
        let mut other = one.clone();
        let of_both = || frame(&[1, 2]);
        let merge = |merged: &DataFile| {
            Commit::new("COMPACT", "day", 0).adding([merged.clone()]).removing(two.clone()).same_rows()
        };
        let merged = one.write("2026-01-01", of_both(), &["n"]).await.expect("written");
        assert_eq!(one.commit(merge(&merged)).await.expect("committed"), Committed::At(3));
        // It planned the same on version 2, and has read the newest version since.
        assert!(other.refresh().await.expect("read"));
        let late = other.write("2026-01-01", of_both(), &["n"]).await.expect("written");
        assert_eq!(other.commit(merge(&late)).await.expect("tried"), Committed::Conflict);

        let own = one.write("2026-01-01", frame(&[3]), &["n"]).await.expect("written");
        let add = Commit::new("WRITE", "day", 0).adding([own.clone()]);
        assert_eq!(one.commit(add).await.expect("committed"), Committed::At(4));
        let remove = |files: &[&DataFile]| Commit::new("REMOVE", "day", 0).removing(files.iter().copied().cloned());
        assert_eq!(one.commit(remove(&[&own, &own])).await.expect("tried"), Committed::Conflict, "it is there once");
        assert_eq!(one.commit(remove(&[&own])).await.expect("committed"), Committed::At(5));
        assert_eq!(one.commit(remove(&[&own])).await.expect("tried"), Committed::Conflict);

        let newest = place.store("braid").open("a/b").await.expect("read").expect("exists");
        let paths: Vec<String> = newest.files().await.expect("listed").into_iter().map(|file| file.path).collect();
        assert_eq!((newest.version(), paths), (5, vec![merged.path]));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_of_the_same_rows_tells_other_readers_that_no_data_changed() {
    for place in Place::each().await {
        let mut table = created(&place.store("braid")).await;
        let mut written = Vec::new();
        for _ in 0..2 {
            written.push(table.write("2026-01-01", frame(&[1]), &["n"]).await.expect("written"));
        }
        let [first, merged] = <[DataFile; 2]>::try_from(written).expect("two files");
        let add = Commit::new("WRITE", "day", 0).adding([first.clone()]);
        assert_eq!(table.commit(add).await.expect("committed"), Committed::At(1));
        let merge = Commit::new("COMPACT", "day", 0).adding([merged]).removing([first]).same_rows();
        assert_eq!(table.commit(merge).await.expect("committed"), Committed::At(2));
        for (version, expected) in [(1, vec![true]), (2, vec![false, false])] {
            let entry = table.bytes_beside(&format!("_delta_log/{version:020}.json")).await.expect("read");
            let entry = entry.expect("it is there");
            let actions = std::str::from_utf8(&entry).expect("text").lines();
            let actions = actions.map(|line| serde_json::from_str::<serde_json::Value>(line).expect("JSON"));
            let changes = |action: serde_json::Value| {
                let of = |kind: &str| action[kind]["dataChange"].as_bool();
                of("add").or(of("remove"))
            };
            assert_eq!(actions.filter_map(changes).collect::<Vec<_>>(), expected, "version {version}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_that_put_a_new_file_beside_a_table_one_does() {
    for place in Place::each().await {
        let table = created(&place.store("braid")).await;
        let path = "_lists/7.json";
        assert!(table.put_beside_if_absent(path, &"one").await.expect("tried"));
        assert!(!table.put_beside_if_absent(path, &"other").await.expect("tried"));
        assert_eq!(table.beside::<String>(path).await.expect("read").as_deref(), Some("one"));
        let bytes = table.write_bytes_beside("_lists/day", "bytes", b"0123456789".to_vec()).await.expect("written");
        let read = table.ranges_beside(&bytes, &[1..3, 3..3, 2..5]).await.expect("read");
        assert_eq!(read, [b"12".as_slice(), b"", b"234"]);
        assert!(table.ranges_beside(&bytes, &[1..2, 8..11]).await.is_err(), "it ends too early");
        let mut files = table.files_beside("_lists").await.expect("listed");
        files.sort_by_key(|file| file.size);
        let found: Vec<_> = files.iter().map(|file| (file.path.as_str(), file.size)).collect();
        assert_eq!(found, [(path, 5), (bytes.as_str(), 10)]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn columns_are_as_they_were_last_declared() {
    for place in Place::each().await {
        let mut table = created(&place.store("braid")).await;
        let mut columns = table.columns("day").expect("read");
        assert_eq!(columns.iter_names().map(|name| name.as_str()).collect::<Vec<_>>(), ["n", "s"]);
        let instant = DataType::Datetime(TimeUnit::Microseconds, Some(TimeZone::UTC));
        let more =
            [("i", DataType::Int32), ("x", DataType::Float64), ("b", DataType::Boolean), ("r", DataType::Binary)];
        for (name, dtype) in more.into_iter().chain([("t", instant)]) {
            columns.with_column(name.into(), dtype);
        }
        let commit = Commit::new("WIDEN", "day", 0).schema(&columns);
        assert_eq!(table.commit(commit).await.expect("committed"), Committed::At(1));
        assert_eq!(table.columns("day").expect("read"), columns);
        let again = place.store("braid").open("a/b").await.expect("read").expect("exists");
        assert_eq!(again.columns("day").expect("read"), columns);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn notes_and_files_survive_checkpoints() {
    for place in Place::each().await {
        let mut table = created(&place.store("braid")).await;
        for n in 0..5 {
            let file = table.write("2026-01-01", frame(&[n]), &["n"]).await.expect("written");
            let old = table.files().await.expect("listed").into_iter().filter(|_| n == 4);
            let commit = Commit::new("WRITE", "day", 0).adding([file]).removing(old).note("x", &n);
            assert_eq!(table.commit(commit).await.expect("committed"), Committed::At(n as u64 + 1));
            if n == 2 {
                table.checkpoint().await.expect("checkpointed");
            }
        }
        table.checkpoint().await.expect("checkpointed");
        let again = place.store("braid").open("a/b").await.expect("read").expect("exists");
        assert_eq!(again.note::<i64>("x").await.expect("read"), Some(4));
        let files = again.files().await.expect("listed");
        assert_eq!(files.iter().map(|file| file.rows).sum::<u64>(), 1);
        assert_eq!(files[0].ranges["n"], (4, 4));
    }
}
