//! Puts to S3 whose replies are lost.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use object_store::path::Path;
use object_store::{Error, ObjectStore, PutMode, PutOptions, PutResult};
use test_kit::s3::GIVEN_UP_AFTER;
use test_kit::{Fault, S3Server};

use super::place::settings_of;
use super::*;
use crate::settings::{Secret, Span};

/// A server, and what a client that is in a hurry sees of it.
async fn hurried() -> (S3Server, settings::Store) {
    let server = S3Server::start().await.expect("a server");
    let settings = settings::Store {
        request_timeout: Span::from_millis(GIVEN_UP_AFTER.as_millis() as u64),
        retry_for: Span::from_secs(1),
        ..settings_of(&server)
    };
    (server, settings)
}

fn objects(settings: &settings::Store) -> Arc<dyn ObjectStore> {
    Store::new(settings, "braid").expect("a store").medium.objects()
}

async fn put(objects: &Arc<dyn ObjectStore>, text: &'static str) -> Result<PutResult, Error> {
    objects.put_opts(&Path::from("tables/object"), text.into(), PutOptions::from(PutMode::Create)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_put_that_was_done_succeeds_though_its_reply_is_lost_and_no_other_does() {
    let (server, settings) = hurried().await;
    let objects = objects(&settings);
    for fault in [Fault::ReplyLost, Fault::TimedOut, Fault::Error, Fault::Slow] {
        server.befall(1, fault);
        let own = put(&objects, "own").await;
        assert!(own.is_ok(), "{fault:?}: {own:?}");
        assert!(server.spare());
        let other = put(&objects, "other").await;
        assert!(matches!(other, Err(Error::AlreadyExists { .. })), "{fault:?}: {other:?}");
        server.befall(1, fault);
        let other = put(&objects, "other").await;
        assert!(matches!(other, Err(Error::AlreadyExists { .. })), "{fault:?}: {other:?}");
        server.settled().await.expect("idle");
        std::fs::remove_file(server.tables().join("object")).expect("it is there");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_put_that_cannot_be_looked_at_is_in_doubt() {
    let (server, settings) = hurried().await;
    let objects = objects(&settings);
    for fault in [Fault::Outage, Fault::LastWords] {
        server.befall(1, fault);
        let put = put(&objects, "own").await;
        assert!(matches!(put, Err(Error::Generic { .. })), "neither done nor lost to another one: {put:?}");
        server.heal();
        assert_eq!(server.tables().join("object").exists(), fault == Fault::LastWords);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_whose_reply_is_lost_is_one_commit() {
    let (server, settings) = hurried().await;
    let mut table = created(&Store::new(&settings, "braid").expect("a store")).await;
    // A commit looks whether its predecessor stands, puts the entry, and looks again: the second request is the put.
    server.befall(2, Fault::ReplyLost);
    let committed = table.commit(Commit::new("WRITE", "day", 0).note("x", &7)).await.expect("committed");
    assert_eq!((committed, table.version()), (Committed::At(1), 1));
    assert_eq!(table.note::<i64>("x").await.expect("read"), Some(7));

    // Two writers that say the same at the same moment are still two.
    let mut late = table.clone();
    let same = || Commit::new("WRITE", "day", 0).note("x", &8);
    assert_eq!(table.commit(same()).await.expect("tried"), Committed::At(2));
    assert_eq!(late.commit(same()).await.expect("tried"), Committed::Conflict);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_look_for_newer_commits_takes_two_requests_however_long_the_log_is() {
    let server = S3Server::start().await.expect("a server");
    let store = Store::new(&settings_of(&server), "braid").expect("a store");
    let mut table = created(&store).await;
    for n in 1..=3 {
        let commit = Commit::new("WRITE", "day", 0).note("x", &n);
        assert_eq!(table.commit(commit).await.expect("committed"), Committed::At(n));
        let before = server.requests();
        assert!(!table.refresh().await.expect("read"), "there is nothing new");
        assert_eq!(server.requests() - before, 2);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_takes_four_requests_however_much_the_table_holds() {
    let server = S3Server::start().await.expect("a server");
    let mut table = created(&Store::new(&settings_of(&server), "braid").expect("a store")).await;
    for n in 1..=4 {
        let file = table.write("2026-01-01", frame(&[1]), &["n"]).await.expect("written");
        let before = server.requests();
        let commit = Commit::new("WRITE", "day", 0).adding([file]).note("x", &n);
        assert_eq!(table.commit(commit).await.expect("committed"), Committed::At(n));
        assert_eq!(server.requests() - before, 4, "a look before it, the entry, and a look at both entries");
    }
    assert_eq!((table.files().await.expect("listed").len(), table.note("x").await.expect("read")), (4, Some(4_u64)));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_superfluous_is_deleted_on_s3_too() {
    let server = S3Server::start().await.expect("a server");
    let store = Store::new(&settings_of(&server), "braid").expect("a store");
    let mut table = created(&store).await;
    let kept = table.write("2026-01-01", frame(&[1]), &["n"]).await.expect("written");
    table.commit(Commit::new("WRITE", "day", 0).adding([kept.clone()])).await.expect("committed");
    let orphan = table.write("2026-01-01", frame(&[2]), &["n"]).await.expect("written");
    table.checkpoint().await.expect("checkpointed");
    let again = store.open("a/b").await.expect("read").expect("exists");
    assert_eq!(again.remove_orphans(Duration::from_secs(60), &HashSet::new()).await.expect("looked"), 0, "it is new");
    let of_table = |path: &str| server.tables().join("braid/a/b").join(path);
    let file = std::fs::File::options().write(true).open(of_table(&orphan.path)).expect("a file");
    file.set_modified(std::time::UNIX_EPOCH).expect("dated");
    assert_eq!(again.remove_orphans(Duration::from_secs(60), &HashSet::new()).await.expect("removed"), 1);
    assert!(!of_table(&orphan.path).exists() && of_table(&kept.path).exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_the_server_does_not_know_are_an_error_that_names_no_secret() {
    let server = S3Server::start().await.expect("a server");
    let settings = settings::Store { secret_key: Secret::from("hunter2"), ..settings_of(&server) };
    let store = Store::new(&settings, "braid").expect("a store");
    let refused = store.open("a/b").await.expect_err("another secret");
    let text = crate::telemetry::error_text(&refused);
    assert!(!format!("{text} {store:?} {refused:?}").contains("hunter2"), "{text}");
}

#[test]
fn what_names_no_store_is_refused_with_the_reason() {
    let refusal = |url: &str, option: &str| {
        let options = [(option, "x")].into_iter().filter(|(name, _)| !name.is_empty()).collect();
        let settings = settings::Store { url: url.to_owned(), options, ..settings::Store::default() };
        Store::new(&settings, "braid").expect_err("no store").to_string()
    };
    for (url, option, reason) in [
        ("gs://bucket/prefix", "", "there is no store for gs://"),
        ("s3:///prefix", "", "names no bucket"),
        ("s3://bucket", "no_such_option", "no_such_option"),
    ] {
        let text = refusal(url, option);
        assert!(text.contains(url) && text.contains(reason), "{text}");
    }
}
