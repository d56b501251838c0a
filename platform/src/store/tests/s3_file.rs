//! Files in an S3 bucket that belong to no table: each read is of the content that the file had when it was found.

use std::sync::Arc;

use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use test_kit::{Fault, S3Server};

use super::place::settings_of;
use super::*;
use crate::settings::{Secret, Span};

/// A server whose bucket holds these files, each of which says its own path.
async fn holding(paths: &[&str]) -> (S3Server, settings::Store) {
    let server = S3Server::start().await.expect("a server");
    paths.iter().for_each(|path| put(&server, path, path));
    let settings = settings::Store { retry_for: Span::from_millis(300), ..settings_of(&server) };
    (server, settings)
}

fn put(server: &S3Server, path: &str, text: &str) {
    let file = server.bucket().join(path);
    std::fs::create_dir_all(file.parent().expect("a folder")).expect("created");
    std::fs::write(file, text).expect("written");
}

async fn found(settings: &settings::Store, url: &str) -> Result<Vec<String>, S3FileError> {
    let files = S3File::find(settings, url).await?;
    Ok(files.iter().map(|file| format!("{} {}", file.url(), file.bytes())).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_found_by_its_address_and_those_below_a_prefix_are_in_order_without_notes_of_other_programs() {
    let paths = [
        "a/2.csv",
        "a/1.csv",
        "a/_SUCCESS",
        "a/_delta_log/0.json",
        "a/.part.crc",
        "a/b/3.csv",
        "ab/4.csv",
        "a/b c.csv",
    ];
    let (server, settings) = holding(&paths).await;
    put(&server, "a/empty.csv", "");
    let all = ["s3://lake/a/1.csv 7", "s3://lake/a/2.csv 7", "s3://lake/a/b c.csv 9", "s3://lake/a/b/3.csv 9"];
    assert_eq!(found(&settings, &server.url("a/")).await.expect("listed"), all);
    assert_eq!(found(&settings, &server.url("a/b c.csv")).await.expect("found"), ["s3://lake/a/b c.csv 9"]);
    assert_eq!(found(&settings, &server.url("a/empty.csv")).await.expect("found"), ["s3://lake/a/empty.csv 0"]);
    let file = S3File::find(&settings, &server.url("a/b/3.csv")).await.expect("found").remove(0);
    assert_eq!((file.begin(), file.bytes()), (&b"a/b/3.csv"[..], 9));
    assert_eq!(file.read(2..5).await.expect("read"), "b/3");
    assert_eq!(file.read(0..9).await.expect("read"), "a/b/3.csv");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_or_no_address_is_refused_and_no_key_is_printed() {
    let (server, settings) = holding(&["a/1.csv"]).await;
    let missing = found(&settings, &server.url("a/2.csv")).await.expect_err("it is not there").to_string();
    assert_eq!(missing, "cannot find s3://lake/a/2.csv");
    let none = found(&settings, &server.url("c/")).await.expect_err("nothing is there").to_string();
    assert_eq!(none, "s3://lake/c/ cannot be read: no file lies below it");
    for url in ["s3://lake", "s3://lake/", "s3://lake//a/1.csv", "s3://lake/a//1.csv", "s3://lake/../a"] {
        let refused = found(&settings, url).await.expect_err("no address").to_string();
        assert!(refused.starts_with(url), "{refused}");
    }
    for url in ["s3://", "s3:///a", "s3://AKIA:hunter2@lake/a", "https://lake/a?X-Amz-Signature=hunter2"] {
        let refused = found(&settings, url).await.expect_err("no address").to_string();
        assert!(refused.contains("s3://bucket/path") && !refused.contains("hunter2"), "{refused}");
    }
    let wrong = settings::Store { secret_key: Secret::from("hunter2"), ..settings.clone() };
    let refused = found(&wrong, &server.url("a/1.csv")).await.expect_err("another key");
    let text = crate::telemetry::error_text(&refused);
    assert!(!text.contains("hunter2") && !format!("{refused:?}").contains("hunter2"), "{text}");
}

#[tokio::test]
async fn an_endpoint_that_is_the_host_of_one_bucket_gives_files_of_no_other() {
    let settings = settings::Store {
        url: "s3://own/tables".to_owned(),
        endpoint: "https://own.example.org".to_owned(),
        path_style: false,
        ..settings::Store::default()
    };
    let refused = found(&settings, "s3://other/a.csv").await.expect_err("requests would go to the own one").to_string();
    assert!(refused.starts_with("s3://other/a.csv cannot be read: store.endpoint is the host"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_replaced_is_not_read_on_though_its_length_is_the_same() {
    let (server, settings) = holding(&["a.csv"]).await;
    let file = S3File::find(&settings, &server.url("a.csv")).await.expect("found").remove(0);
    assert_eq!(file.read(0..2).await.expect("read"), "a.");
    put(&server, "a.csv", "b.csv");
    let read = file.read(2..5).await;
    assert!(matches!(read, Err(S3FileError::Replaced { .. })), "{read:?}");
    let again = S3File::find(&settings, &server.url("a.csv")).await.expect("found").remove(0);
    assert_eq!(again.read(0..5).await.expect("read"), "b.csv");
    std::fs::remove_file(server.bucket().join("a.csv")).expect("removed");
    let read = again.read(0..5).await;
    assert!(matches!(read, Err(S3FileError::Failed { operation: "read", .. })), "{read:?}");
}

/// The server of the other tests does not look at the condition of a read, and this one does.
#[tokio::test]
async fn a_server_that_refuses_to_read_another_content_is_believed() {
    let objects: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let path = Path::from("a");
    objects.put(&path, "one".into()).await.expect("put");
    let file = S3File::at(Arc::clone(&objects), "s3://b/a".to_owned(), path.clone()).await.expect("found");
    assert_eq!(file.read(0..3).await.expect("read"), "one");
    objects.put(&path, "two".into()).await.expect("put");
    let read = file.read(0..3).await.expect_err("another content").to_string();
    assert_eq!(read, "s3://b/a was replaced while it was read: try again once nothing writes to it");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_whose_reply_is_lost_is_tried_again_and_an_outage_is_an_error() {
    let (server, settings) = holding(&["a.csv"]).await;
    let file = S3File::find(&settings, &server.url("a.csv")).await.expect("found").remove(0);
    for fault in [Fault::Error, Fault::ReplyLost, Fault::Slow] {
        server.befall(1, fault);
        assert_eq!(file.read(0..5).await.expect("read"), "a.csv", "{fault:?}");
        assert!(server.spare());
    }
    server.befall(1, Fault::Outage);
    let read = file.read(0..5).await;
    assert!(matches!(read, Err(S3FileError::Failed { operation: "read", .. })), "{read:?}");
    server.heal();
    assert_eq!(file.read(0..5).await.expect("read"), "a.csv");
}
