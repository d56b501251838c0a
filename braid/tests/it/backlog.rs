//! Where the broker forgets records, a sender does not overtake the archive.

use std::collections::BTreeMap;
use std::time::Duration;

use braid::source_topic::{self, ARCHIVED_GROUP, Sender};
use platform::kafka::{Bound, Delivered, GroupOffsets, Outgoing, Topics};

use super::send::{broker, catalog};

/// Together four times what the broker keeps of a partition. All have one key, and so go to one partition.
const RECORDS: usize = 20_000;
const PAYLOAD: [u8; 1_000] = [b'x'; 1_000];
const KEY: &[u8] = b"video-1";

async fn send_all(mut sender: Sender, topic: String) -> Delivered {
    for position in 0..RECORDS {
        let record = Outgoing { topic: &topic, key: Some(KEY), payload: Some(&PAYLOAD), time_us: None, position };
        sender.send(record).await.expect("the archive goes on");
    }
    sender.finish().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_wait_for_the_archive_where_the_broker_would_forget_them() {
    let catalog = catalog();
    let source = &catalog.sources["views"];
    let (_kafka, settings) = broker(&catalog);
    let (topics, archived) =
        (Topics::new(&settings).expect("a client"), GroupOffsets::new(&settings, ARCHIVED_GROUP).expect("a client"));
    let topic = source.topic.as_str();
    let partitions: Vec<i32> = (0..i32::try_from(source.partitions).expect("few")).collect();
    let mut told: BTreeMap<i32, i64> = partitions.iter().map(|partition| (*partition, 0)).collect();
    archived.commit(topic, &told).await.expect("committed");

    let sender = source_topic::connect(&settings, &catalog, source).await.expect("connects");
    let mut sending = tokio::spawn(send_all(sender, topic.to_owned()));
    // The archive of this test takes everything there is, time and again.
    let delivered = loop {
        tokio::select! {
            delivered = &mut sending => break delivered.expect("no panic"),
            () = tokio::time::sleep(Duration::from_millis(20)) => {}
        }
        let end = topics.offsets(topic, &partitions, Bound::End).await.expect("answers");
        let start = topics.offsets(topic, &partitions, Bound::Start).await.expect("answers");
        for partition in &partitions {
            let (start, told) = (start[partition], told[partition]);
            assert!(start <= told, "offsets {told} to {start} of partition {partition} are forgotten and not archived");
        }
        archived.commit(topic, &end).await.expect("committed");
        told = end;
    };
    assert_eq!(delivered, Delivered { acknowledged: RECORDS as u64, ..Delivered::default() });
    let start = topics.offsets(topic, &partitions, Bound::Start).await.expect("answers");
    assert!(
        start.values().any(|start| *start > 0),
        "the broker has forgotten nothing, so nothing was tested: {start:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_of_another_program_is_not_waited_for() {
    let catalog = catalog();
    let source = &catalog.sources["views"];
    let (_kafka, settings) = broker(&catalog);
    // No process tells what is archived.
    let sender = source_topic::connect(&settings, &catalog, source).await.expect("connects");
    let delivered = send_all(sender, source.topic.clone()).await;
    assert_eq!(delivered.acknowledged, RECORDS as u64);
}
