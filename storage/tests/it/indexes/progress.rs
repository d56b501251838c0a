//! Cursors, and what was refused (I2, I3).

use shared_logic::contracts::index::{Progress, Refused};
use shared_logic::log::PartitionId;
use storage::SearchClient;

use super::fixture::Fixture;

async fn fixture(test: &str) -> Option<Fixture> {
    let fixture = Fixture::new(test).await?;
    let nothing = fixture.client.state("users").await.expect("read");
    fixture.client.put_state("users", &nothing, &nothing.state).await.expect("the progress index is created");
    Some(fixture)
}

fn progress(cursor: i64) -> Progress {
    Progress { cursor, witness: None, at_us: 1 }
}

fn refused(id: &str, version: u64) -> Refused {
    Refused {
        id: id.to_owned(),
        log: "log".to_owned(),
        partition: 3,
        offset: 41,
        version,
        document: "{\"age\":\"many\"}".to_owned(),
        reason: "no number".to_owned(),
        at_us: 1,
    }
}

async fn ids(client: &SearchClient, build: u64) -> Vec<(String, u64)> {
    let (found, total) = client.refused("users", build, 10_001).await.expect("read");
    assert_eq!(found.len() as u64, total);
    found.into_iter().map(|refused| (refused.id, refused.version)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_never_goes_back() {
    let Some(fixture) = fixture("cursors").await else { return };
    let client = &fixture.client;
    let lane = |partition| PartitionId::new("log.of/users", partition);
    assert_eq!(client.progress("users", 1, &[lane(0), lane(1)]).await.expect("read"), [None, None]);
    let put = async |cursor| client.put_progress("users", 1, &lane(1), &progress(cursor)).await.expect("answered");
    assert!(put(0).await && put(5).await);
    assert!(!put(4).await, "a later one is there");
    assert!(put(5).await, "the reply of the first may have been lost");
    let lanes = [lane(2), lane(1), lane(0)];
    assert_eq!(client.progress("users", 1, &lanes).await.expect("read"), [None, Some(progress(5)), None]);
    assert_eq!(client.progress("users", 2, &lanes).await.expect("read"), [None, None, None], "of another build");
    assert_eq!(client.progress("users", 1, &[]).await.expect("nothing is asked"), []);
    assert!(client.put_progress("users", 1, &lane(0), &progress(-1)).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_refused_is_kept_until_a_later_document_is_taken() {
    let Some(fixture) = fixture("refused").await else { return };
    let client = &fixture.client;
    assert_eq!(client.refused("users", 1, 5).await.expect("read"), (Vec::new(), 0));
    assert_eq!(client.count_refused("users", 1).await.expect("counted"), 0);
    let long = "x".repeat(9_000);
    let kept = [refused("b/c", 7), refused("a", 7), refused(&long, 7)];
    client.keep_refused("users", 1, &kept).await.expect("kept");
    let (first, total) = client.refused("users", 1, 2).await.expect("read");
    assert_eq!((first, total), (vec![kept[1].clone(), kept[0].clone()], 3));
    let first = client.refused_ids("users", 1, 2).await.expect("read");
    assert_eq!(first, (vec![("a".to_owned(), 7), ("b/c".to_owned(), 7)], 3), "without the documents");
    assert_eq!(client.count_refused("users", 1).await.expect("counted"), 3);
    assert_eq!(
        client.refused("users", 1, 0).await.expect("read"),
        (Vec::new(), 3),
        "a page of none is none to a server"
    );
    client.keep_refused("users", 1, &[refused("a", 6)]).await.expect("an older one is no failure");
    client.forget_refused("users", 1, &[("a".to_owned(), 6), ("z".to_owned(), 6)]).await.expect("nothing to forget");
    let all = [("a".to_owned(), 7), ("b/c".to_owned(), 7), (long.clone(), 7)];
    assert_eq!(ids(client, 1).await, all);
    client.forget_refused("users", 1, &[("a".to_owned(), 7), (long, 9)]).await.expect("forgotten");
    assert_eq!(ids(client, 1).await, [("b/c".to_owned(), 7)]);
    client.keep_refused("users", 1, &[]).await.expect("nothing to keep");
}

#[tokio::test(flavor = "multi_thread")]
async fn all_about_a_build_is_read_and_deleted_page_by_page() {
    let Some(fixture) = fixture("pages").await else { return };
    let client = &fixture.client;
    let many: Vec<Refused> = (0..1_203).map(|number| refused(&format!("{number:05}"), 1)).collect();
    client.keep_refused("users", 1, &many).await.expect("kept");
    client.keep_refused("users", 2, &many[..1]).await.expect("kept");
    client.keep_refused("other", 1, &many[..1]).await.expect("kept");
    let lane = PartitionId::new("log", 0);
    for build in [1, 2] {
        assert!(client.put_progress("users", build, &lane, &progress(0)).await.expect("put"));
    }
    let (found, total) = client.refused("users", 1, 1_100).await.expect("read");
    assert_eq!((found.as_slice(), total), (&many[..1_100], 1_203));
    assert_eq!(ids(client, 1).await.len(), 1_203);
    assert_eq!(client.refused_ids("users", 1, u64::MAX).await.expect("read").0.len(), 1_203);
    for _ in 0..2 {
        client.forget_build("users", 1).await.expect("deleted");
        assert_eq!(ids(client, 1).await, []);
    }
    assert_eq!(client.progress("users", 1, std::slice::from_ref(&lane)).await.expect("read"), [None]);
    assert_eq!((ids(client, 2).await.len(), client.refused("other", 1, 5).await.expect("read").1), (1, 1));
    assert_eq!(client.progress("users", 2, &[lane]).await.expect("read"), [Some(progress(0))]);
    assert!(client.state("users").await.expect("read").at.is_some(), "the state is about all builds");
}
