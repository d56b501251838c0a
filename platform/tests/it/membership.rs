//! A group's partitions are divided among its members.

use std::collections::BTreeSet;

use platform::kafka::Membership;
use platform::settings::Span;
use tokio::sync::watch::Receiver;
use tokio::time::timeout;

use crate::cluster::{Cluster, DEADLINE};

async fn wait_for(assigned: &mut Receiver<BTreeSet<i32>>, what: &str, wanted: impl Fn(&BTreeSet<i32>) -> bool) {
    let waited = timeout(DEADLINE, assigned.wait_for(wanted)).await;
    let reached = waited.unwrap_or_else(|_| panic!("not within {DEADLINE:?}: {what}"));
    drop(reached.unwrap_or_else(|_| panic!("membership ended before: {what}")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn partitions_are_divided_and_come_back() {
    let mut cluster = Cluster::with_topic("views", 4);
    // The in-process broker waits for members 3 s before the first rebalance and almost a session before others.
    cluster.settings.session_timeout = Span::from_secs(4);
    let first = Membership::join(&cluster.settings, "workers", "views").expect("joins");
    let mut ours = first.assigned();
    wait_for(&mut ours, "all partitions", |assigned| assigned.len() == 4).await;

    let second = Membership::join(&cluster.settings, "workers", "views").expect("joins");
    let mut theirs = second.assigned();
    wait_for(&mut theirs, "half of the partitions", |assigned| assigned.len() == 2).await;
    wait_for(&mut ours, "the other half", |assigned| assigned.len() == 2).await;
    assert!(ours.borrow().is_disjoint(&theirs.borrow()));

    tokio::task::spawn_blocking(move || drop(second)).await.expect("leaves");
    wait_for(&mut ours, "all partitions again", |assigned| assigned.len() == 4).await;
    tokio::task::spawn_blocking(move || drop(first)).await.expect("leaves");
    assert!(ours.borrow().is_empty(), "a member that left has no partitions");
}
