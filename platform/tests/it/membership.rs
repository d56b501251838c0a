//! A group's partitions are divided among its members.

use std::collections::BTreeSet;
use std::time::Duration;

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

/// What the group has given a member is said right after the channel of assignments says it.
async fn wait_for_grant(member: &Membership, wanted: &BTreeSet<i32>) {
    let said = async {
        while member.granted().as_ref() != Some(wanted) {
            tokio::task::yield_now().await;
        }
    };
    timeout(DEADLINE, said).await.unwrap_or_else(|_| panic!("{wanted:?} are not given"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn partitions_are_divided_and_come_back() {
    let mut cluster = Cluster::with_topic("views", 4);
    // The in-process broker waits for members 3 s before the first rebalance and almost a session before others.
    cluster.settings.session_timeout = Span::from_secs(4);
    let first = Membership::join(&cluster.settings, "workers", "views").expect("joins");
    let mut ours = first.assigned();
    assert_eq!(first.granted(), None, "the group has not formed");
    wait_for(&mut ours, "all partitions", |assigned| assigned.len() == 4).await;
    wait_for_grant(&first, &(0..4).collect()).await;

    let second = Membership::join(&cluster.settings, "workers", "views").expect("joins");
    let mut theirs = second.assigned();
    wait_for(&mut theirs, "half of the partitions", |assigned| assigned.len() == 2).await;
    wait_for(&mut ours, "the other half", |assigned| assigned.len() == 2).await;
    assert!(ours.borrow().is_disjoint(&theirs.borrow()));
    let half = theirs.borrow().clone();
    wait_for_grant(&second, &half).await;

    tokio::task::spawn_blocking(move || drop(second)).await.expect("leaves");
    wait_for(&mut ours, "all partitions again", |assigned| assigned.len() == 4).await;
    tokio::task::spawn_blocking(move || drop(first)).await.expect("leaves");
    assert!(ours.borrow().is_empty(), "a member that left has no partitions");
}

/// The same, which may take as long as a session.
async fn wait_for_what_is_said(member: &Membership, wanted: Option<&BTreeSet<i32>>) {
    let said = async {
        while member.granted().as_ref() != wanted {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(DEADLINE, said).await.unwrap_or_else(|_| panic!("not within {DEADLINE:?}: {wanted:?}"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_without_partitions_learns_that_its_group_went_away() {
    let mut cluster = Cluster::with_topic("views", 1);
    cluster.settings.session_timeout = Span::from_secs(4);
    let first = Membership::join(&cluster.settings, "workers", "views").expect("joins");
    wait_for_what_is_said(&first, Some(&[0].into())).await;
    let second = Membership::join(&cluster.settings, "workers", "views").expect("joins");
    wait_for_what_is_said(&second, Some(&BTreeSet::new())).await;

    // The only broker is the group's coordinator.
    cluster.stop();
    for member in [&first, &second] {
        wait_for_what_is_said(member, None).await;
    }
    cluster.start();
    tokio::task::spawn_blocking(move || drop((first, second))).await.expect("leave");
}
