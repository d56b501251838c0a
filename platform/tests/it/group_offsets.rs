//! What a group's offsets tell other processes, and how a cluster is recognised.

use std::collections::BTreeMap;
use std::time::Duration;

use platform::kafka::{GroupOffsets, cluster};

use crate::cluster::{Cluster, DEADLINE};

#[tokio::test]
async fn another_client_reads_what_one_has_committed() {
    let cluster = Cluster::with_topic("views", 3);
    let (one, other) = (
        GroupOffsets::new(&cluster.settings, "read").expect("a client"),
        GroupOffsets::new(&cluster.settings, "read").expect("a client"),
    );
    assert_eq!(other.committed("views", &[0, 1, 2]).await.expect("answers"), BTreeMap::new(), "nothing yet");
    for offsets in [BTreeMap::from([(0, 0), (2, 17)]), BTreeMap::from([(0, 5), (2, 17)])] {
        one.commit("views", &offsets).await.expect("committed");
        assert_eq!(other.committed("views", &[0, 1, 2]).await.expect("answers"), offsets);
    }
    let of_another_group = GroupOffsets::new(&cluster.settings, "another").expect("a client");
    assert_eq!(of_another_group.committed("views", &[0]).await.expect("answers"), BTreeMap::new());
}

#[tokio::test]
async fn the_in_process_broker_is_recognised() {
    let mock = Cluster::with_topic("views", 1);
    let found = cluster(&mock.settings, DEADLINE).await.expect("a client").expect("it answers");
    assert!(found.is_in_process() && found.brokers == 1, "{found:?}");
    let settings = mock.settings.clone();
    drop(mock);
    assert_eq!(cluster(&settings, Duration::from_millis(300)).await.expect("a client"), None);
}
