//! The consumer reads the partitions that it is assigned, from the given offsets, and nothing else.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use platform::kafka::{Consumer, KafkaError, Polled};
use platform::settings::{Kafka, Span};

use crate::cluster::{Cluster, until};

/// What the polls of a test delivered.
#[derive(Default)]
struct Seen {
    records: Vec<(i32, i64)>,
    ends: BTreeMap<i32, i64>,
    out_of_range: Vec<i32>,
    failed: Vec<(Option<i32>, KafkaError)>,
}

impl Seen {
    fn poll(&mut self, consumer: &mut Consumer, max: usize) -> usize {
        let visit = |polled: Polled<'_>| match polled {
            Polled::Record(record) => self.records.push((record.partition, record.offset)),
            Polled::End { partition, offset } => drop(self.ends.insert(partition, offset)),
            Polled::OutOfRange { partition } => self.out_of_range.push(partition),
            Polled::Failed { partition, error } => self.failed.push((partition, error)),
        };
        consumer.poll(Duration::from_millis(100), max, visit).expect("polls")
    }

    fn of(&self, partition: i32) -> Vec<i64> {
        self.records.iter().filter(|(p, _)| *p == partition).map(|(_, offset)| *offset).collect()
    }
}

#[test]
fn reads_from_the_given_offsets_to_the_ends() {
    let cluster = Cluster::with_topic("views", 3);
    for partition in 0..3 {
        cluster.produce("views", partition, 0, 50);
    }
    let mut consumer = Consumer::new(&cluster.settings, "views").expect("a consumer");
    consumer.assign(&BTreeMap::from([(0, 0), (1, 17)])).expect("assigned");
    let mut seen = Seen::default();
    until("both ends", || {
        assert!(seen.poll(&mut consumer, 16) <= 16);
        seen.ends.len() == 2
    });
    assert_eq!(seen.of(0), (0..50).collect::<Vec<i64>>());
    assert_eq!(seen.of(1), (17..50).collect::<Vec<i64>>());
    assert_eq!(seen.of(2), Vec::<i64>::new());
    assert_eq!(seen.ends, BTreeMap::from([(0, 50), (1, 50)]));

    cluster.produce("views", 1, 50, 5);
    until("the new end", || {
        seen.poll(&mut consumer, 16);
        seen.ends[&1] == 55
    });
    assert_eq!(seen.of(1), (17..55).collect::<Vec<i64>>());
}

#[test]
fn hands_over_every_part_of_a_record() {
    let cluster = Cluster::with_topic("views", 1);
    cluster.produce("views", 0, 0, 12);
    let mut consumer = Consumer::new(&cluster.settings, "views").expect("a consumer");
    consumer.assign(&BTreeMap::from([(0, 9)])).expect("assigned");
    let mut lines = Vec::new();
    until("the end", || {
        let mut ended = false;
        let visit = |polled: Polled<'_>| match polled {
            Polled::Record(record) => {
                let headers: Vec<_> = record
                    .headers()
                    .map(|(name, value)| format!("{name}={:?}", value.map(String::from_utf8_lossy)))
                    .collect();
                let text = |bytes: Option<&[u8]>| String::from_utf8_lossy(bytes.expect("present")).into_owned();
                let (key, payload) = (text(record.key), text(record.payload));
                lines.push(format!("{} {key} {payload} {:?} {headers:?}", record.offset, record.timestamp_ms));
            }
            Polled::End { .. } => ended = true,
            other => panic!("{other:?}"),
        };
        consumer.poll(Duration::from_millis(100), 100, visit).expect("polls");
        ended
    });
    assert_eq!(
        lines,
        [
            "9 k9 p0-9 Some(1700000000009) []",
            "10 k10 p0-10 Some(1700000000010) [\"trace=Some(\\\"abc\\\")\", \"none=None\"]",
            "11 k11 p0-11 Some(1700000000011) []",
        ]
    );
}

/// Assigns again and again, forwards and backwards, while batches are half read: the records must continue the newest
/// assignment without a hole.
#[test]
fn a_new_assignment_never_delivers_what_was_fetched_for_an_old_one() {
    let cluster = Cluster::with_topic("views", 2);
    cluster.produce("views", 0, 0, 4000);
    cluster.produce("views", 1, 0, 4000);
    let mut consumer = Consumer::new(&cluster.settings, "views").expect("a consumer");
    for round in 0..60_i64 {
        let begins = BTreeMap::from([(0, (round * 997) % 3900), (1, (round * 631) % 3900)]);
        let both = round % 3 != 0;
        let assigned: BTreeMap<i32, i64> = begins.into_iter().filter(|(p, _)| both || *p == 0).collect();
        consumer.assign(&assigned).expect("assigned");
        let mut seen = Seen::default();
        until("some records", || {
            seen.poll(&mut consumer, 7);
            seen.records.len() > 30
        });
        for (partition, begin) in &assigned {
            let offsets = seen.of(*partition);
            let expected: Vec<i64> = (*begin..).take(offsets.len()).collect();
            assert_eq!(offsets, expected, "round {round}, partition {partition}");
        }
        assert!(both || seen.of(1).is_empty(), "round {round}: partition 1 is not assigned");
        assert!(seen.failed.is_empty() && seen.out_of_range.is_empty());
    }
    consumer.assign(&BTreeMap::new()).expect("nothing assigned");
    let mut seen = Seen::default();
    for _ in 0..3 {
        assert_eq!(seen.poll(&mut consumer, 100), 0);
    }
}

#[test]
fn a_partition_that_is_paused_as_soon_as_it_is_assigned_waits() {
    let cluster = Cluster::with_topic("views", 2);
    cluster.produce("views", 0, 0, 500);
    cluster.produce("views", 1, 0, 500);
    let mut consumer = Consumer::new(&cluster.settings, "views").expect("a consumer");
    for from in [0, 100] {
        consumer.assign(&BTreeMap::from([(0, from), (1, from)])).expect("assigned");
        consumer.pause(&[0]).expect("paused");
        let mut seen = Seen::default();
        until("the end of partition 1", || {
            seen.poll(&mut consumer, 50);
            seen.ends.contains_key(&1)
        });
        assert_eq!(seen.of(0), Vec::<i64>::new());
        consumer.resume(&[0]).expect("resumed");
        until("the end of partition 0", || {
            seen.poll(&mut consumer, 50);
            seen.ends.contains_key(&0)
        });
        assert_eq!(seen.of(0), (from..500).collect::<Vec<i64>>());
    }
}

#[test]
fn a_paused_partition_goes_on_where_it_stood() {
    let cluster = Cluster::with_topic("views", 2);
    cluster.produce("views", 0, 0, 500);
    cluster.produce("views", 1, 0, 500);
    let mut consumer = Consumer::new(&cluster.settings, "views").expect("a consumer");
    consumer.assign(&BTreeMap::from([(0, 0), (1, 0)])).expect("assigned");
    let mut seen = Seen::default();
    until("records of partition 0", || {
        seen.poll(&mut consumer, 3);
        seen.of(0).len() > 5
    });
    consumer.pause(&[0]).expect("paused");
    let before = seen.of(0).len();
    until("the end of partition 1", || {
        seen.poll(&mut consumer, 50);
        seen.ends.contains_key(&1)
    });
    assert_eq!(seen.of(0).len(), before, "nothing comes while paused");
    consumer.resume(&[0]).expect("resumed");
    until("the end of partition 0", || {
        seen.poll(&mut consumer, 50);
        seen.ends.contains_key(&0)
    });
    assert_eq!(seen.of(0), (0..500).collect::<Vec<i64>>());

    // An assignment also resumes paused partitions.
    consumer.pause(&[0]).expect("paused");
    consumer.assign(&BTreeMap::from([(0, 490)])).expect("assigned");
    let mut seen = Seen::default();
    until("the end of partition 0 again", || {
        seen.poll(&mut consumer, 50);
        seen.ends.contains_key(&0)
    });
    assert_eq!(seen.of(0), (490..500).collect::<Vec<i64>>());
}

#[test]
fn an_offset_that_the_log_does_not_hold_is_reported_and_can_be_corrected() {
    let cluster = Cluster::with_topic("views", 2);
    cluster.produce("views", 0, 0, 10);
    cluster.produce("views", 1, 0, 10);
    let mut consumer = Consumer::new(&cluster.settings, "views").expect("a consumer");
    consumer.assign(&BTreeMap::from([(0, 1000), (1, 0)])).expect("assigned");
    let mut seen = Seen::default();
    until("out of range, and the other partition's end", || {
        seen.poll(&mut consumer, 100);
        !seen.out_of_range.is_empty() && seen.ends.contains_key(&1)
    });
    assert_eq!(seen.out_of_range, [0]);
    assert_eq!(seen.of(0), Vec::<i64>::new());
    consumer.assign(&BTreeMap::from([(0, 4)])).expect("assigned");
    until("the end", || {
        seen.poll(&mut consumer, 100);
        seen.ends.contains_key(&0)
    });
    assert_eq!(seen.of(0), (4..10).collect::<Vec<i64>>());
}

#[test]
fn the_visitor_may_panic_without_a_leak_or_a_loss_of_the_consumer() {
    let cluster = Cluster::with_topic("views", 1);
    cluster.produce("views", 0, 0, 100);
    let mut consumer = Consumer::new(&cluster.settings, "views").expect("a consumer");
    consumer.assign(&BTreeMap::from([(0, 0)])).expect("assigned");
    let broken = std::panic::AssertUnwindSafe(|| {
        until("a record", || consumer.poll(Duration::from_millis(100), 10, |_| panic!("on purpose")).is_err());
    });
    assert!(std::panic::catch_unwind(broken).is_err());
    let mut seen = Seen::default();
    consumer.assign(&BTreeMap::from([(0, 0)])).expect("assigned");
    until("the end", || {
        seen.poll(&mut consumer, 10);
        seen.ends.contains_key(&0)
    });
    assert_eq!(seen.of(0).len(), 100);
}

#[test]
fn the_last_record_of_each_partition_in_a_poll_says_so() {
    let cluster = Cluster::with_topic("views", 2);
    cluster.produce("views", 0, 0, 100);
    cluster.produce("views", 1, 0, 100);
    let mut consumer = Consumer::new(&cluster.settings, "views").expect("a consumer");
    consumer.assign(&BTreeMap::from([(0, 0), (1, 0)])).expect("assigned");
    let mut ends = 0;
    until("both ends", || {
        let mut flags: BTreeMap<i32, Vec<bool>> = BTreeMap::new();
        let visit = |polled: Polled<'_>| match polled {
            Polled::Record(record) => flags.entry(record.partition).or_default().push(record.is_last),
            Polled::End { .. } => ends += 1,
            other => panic!("{other:?}"),
        };
        consumer.poll(Duration::from_millis(100), 16, visit).expect("polls");
        for flags in flags.values() {
            let is_right = |(at, is_last): (usize, &bool)| *is_last == (at + 1 == flags.len());
            assert!(flags.iter().enumerate().all(is_right), "{flags:?}");
        }
        ends >= 2
    });
}

#[test]
fn a_connection_that_breaks_is_counted() {
    let cluster = Cluster::with_topic("views", 1);
    cluster.produce("views", 0, 0, 10);
    let mut consumer = Consumer::new(&cluster.settings, "views").expect("a consumer");
    let mut losses = consumer.losses();
    consumer.assign(&BTreeMap::from([(0, 0)])).expect("assigned");
    let mut seen = Seen::default();
    until("the end", || {
        seen.poll(&mut consumer, 100);
        seen.ends.contains_key(&0)
    });
    assert!(!losses.is_new(), "nothing broke yet");
    cluster.restart();
    until("the loss", || {
        seen.poll(&mut consumer, 100);
        losses.is_new()
    });
    assert!(losses.take() && !losses.is_new(), "it is forgotten");
}

/// After so long, something that is due and does not come counts as stalled.
const STALLED_AFTER: Duration = Duration::from_millis(300);

#[test]
fn a_partition_is_stalled_if_more_is_due_and_nothing_comes() {
    let cluster = Cluster::with_topic("views", 1);
    cluster.produce("views", 0, 0, 10);
    let settings = Kafka { stalled_after: Span::from(STALLED_AFTER), ..cluster.settings.clone() };
    let mut consumer = Consumer::new(&settings, "views").expect("a consumer");
    consumer.assign(&BTreeMap::from([(0, 0)])).expect("assigned");
    let mut seen = Seen::default();
    until("the end", || {
        seen.poll(&mut consumer, 100);
        seen.ends.contains_key(&0)
    });
    consumer.note_ends(&seen.ends);
    let reached = Instant::now();
    until("a while", || {
        seen.poll(&mut consumer, 100);
        assert_eq!(consumer.stalled(), None, "at its end, nothing is due");
        reached.elapsed() > 3 * STALLED_AFTER
    });
    // As if a record were there that never comes.
    consumer.note_ends(&BTreeMap::from([(0, 11)]));
    assert_eq!(consumer.stalled(), None, "it has time");
    until("the stall", || {
        seen.poll(&mut consumer, 100);
        consumer.stalled() == Some(0)
    });
    cluster.produce("views", 0, 10, 1);
    until("the record", || {
        seen.poll(&mut consumer, 100);
        seen.of(0).len() == 11
    });
    assert_eq!(consumer.stalled(), None, "Kafka has told something");
}

#[test]
fn a_partition_that_was_just_assigned_is_stalled_if_no_reply_comes() {
    // Nothing listens there, which is an error again and again, but about no partition.
    let settings =
        Kafka { brokers: "127.0.0.1:1".to_owned(), stalled_after: Span::from(STALLED_AFTER), ..Kafka::default() };
    let mut consumer = Consumer::new(&settings, "views").expect("a consumer");
    let mut seen = Seen::default();
    consumer.assign(&BTreeMap::from([(3, 7)])).expect("assigned");
    until("the stall", || {
        seen.poll(&mut consumer, 100);
        consumer.stalled() == Some(3)
    });
    assert!(seen.failed.iter().all(|(partition, _)| partition.is_none()), "{:?}", seen.failed);
    consumer.assign(&BTreeMap::new()).expect("nothing assigned");
    assert_eq!(consumer.stalled(), None, "nothing is due");
}

#[test]
fn mistakes_of_the_caller_are_named() {
    let cluster = Cluster::with_topic("views", 1);
    let mut consumer = Consumer::new(&cluster.settings, "views").expect("a consumer");
    let error = consumer.assign(&BTreeMap::from([(0, -1)])).expect_err("no such offset");
    assert_eq!(error.to_string(), "cannot assign topic views: there can be no partition 0 with offset -1");
    let error = consumer.pause(&[7]).expect_err("no such partition");
    assert!(error.to_string().starts_with("cannot pause partition views/7: "), "{error}");
    let mut settings = cluster.settings.clone();
    settings.client.insert("no.such.property", "1");
    let error = Consumer::new(&settings, "views").map(drop).expect_err("no such property");
    let source = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
    assert!(source.contains("no.such.property"), "{source}");
}

/// Where librdkafka is asked to stop a partition that it is stopping, it aborts the process. Without the wait for that it does so here at once,
/// as its threads have to wait for a processor.
#[test]
fn partitions_are_assigned_again_and_given_up_at_once() {
    const SPINNING: usize = 4;
    let cluster = Cluster::with_topic("views", 8);
    let partitions: BTreeMap<i32, i64> = (0..8).map(|partition| (partition, 0)).collect();
    let end = Instant::now() + Duration::from_secs(3);
    std::thread::scope(|scope| {
        for _ in 0..SPINNING {
            scope.spawn(|| while Instant::now() < end {});
        }
        while Instant::now() < end {
            let mut consumer = Consumer::new(&cluster.settings, "views").expect("a consumer");
            for _ in 0..50 {
                consumer.assign(&partitions).expect("assigned");
            }
        }
    });
}
