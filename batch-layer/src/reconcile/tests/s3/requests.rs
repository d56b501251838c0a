//! How many requests a reconcile of one new micro-batch makes, and how often it waits for a reply: on S3, that is what its time goes by.

use std::collections::BTreeMap;

use platform::settings::Secret;
use test_kit::{Redis, S3Server};

use super::super::super::*;
use super::super::bench::Bench;

/// Few enough for a reconcile of one metric: table by table, what its log says; the index of identities; the new file, and those that it is
/// merged with; a file, a commit, and a row of the drift. Not among them is what a process tries out when it starts.
const REQUESTS_MAX: usize = 70;
/// How often it waits for a reply: what does not depend on each other is asked for at once.
const WAITS_MAX: u64 = 50;
/// Reconciles of before, each of a micro-batch, as the log of no table may make the next one longer without end.
const BEFORE: i64 = 3;

#[tokio::test(flavor = "multi_thread")]
async fn a_reconcile_of_one_new_micro_batch_makes_few_requests() {
    let (server, redis) = (S3Server::start().await.expect("a server"), Redis::start().await.expect("a Redis"));
    let store = Settings::load(None, std::iter::empty(), &server.settings()).expect("valid settings").store;
    let redis = settings::Redis { url: Secret::from(redis.url()), ..settings::Redis::default() };
    let mut bench = Bench::in_store_of(Settings { store, redis, ..Settings::default() }).await;
    bench.reconciler.checkpoint_every = settings::Archive::default().checkpoint_every;
    let stop = CancellationToken::new();
    for id in 0..BEFORE {
        bench.archived(&[id]).await;
        bench.reconciler.run(&stop).await.expect("reconciled");
    }
    bench.archived(&[BEFORE]).await;
    server.settled().await.expect("idle");
    let waits = server.waits();
    server.listen();
    bench.reconciler.run(&stop).await.expect("reconciled");
    server.settled().await.expect("idle");
    let (heard, waits) = (server.heard(), server.waits() - waits);
    let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
    for request in &heard {
        *kinds.entry(kind(request)).or_default() += 1;
    }
    println!("{} requests, {waits} waits: {kinds:?}", heard.len());
    assert!(heard.len() <= REQUESTS_MAX, "{} requests: {heard:#?}", heard.len());
    assert!(waits <= WAITS_MAX && waits > 0, "{waits} waits: {heard:#?}");
    let (_, cut, events) = bench.read().await;
    assert_eq!((cut, events), (Some(BEFORE + 1), BEFORE + 1), "it has counted the micro-batch");
}

/// What kind of request that is.
fn kind(request: &str) -> &str {
    let (method, path) = request.split_once(' ').unwrap_or((request, ""));
    match method {
        "GET" if path.contains("list-type") => "LIST",
        _ => method,
    }
}
