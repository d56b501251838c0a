//! Membership in a group: Kafka divides a topic's partitions among the members, and this says which are ours. It does
//! nothing else. The partitions are paused at once, and nothing is ever fetched or committed here: [`super::Consumer`] reads,
//! and offsets are written together with the data.
//!
//! For a moment, two members may both believe that they own a partition. That is harmless, because every write names the
//! position that it expects; membership only avoids duplicate work.
//!
//! After a session that ended while its coordinator went away, librdkafka may wait for ever for what does not come, and cannot be closed
//! either. So a client that has been no member for long is left to itself, and another one joins in its place.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::KafkaError as ClientError;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka::types::{RDKafkaErrorCode, RDKafkaRespErr};
use serde::Deserialize;
use tokio::sync::watch;
use tracing::{debug, error, info, warn};

use super::native::{is_connection_loss, log_line};
use super::{KafkaError, client_config};
use crate::settings;

/// How long the group's thread waits for an event before it checks whether it should stop.
const POLL: Duration = Duration::from_millis(100);

/// How long leaving may take. After that the broker notices when the session times out.
const LEAVE_WITHIN: Duration = Duration::from_secs(5);

/// How often the group checks for added partitions. Answers are incomplete until these are assigned.
const METADATA_EVERY: Duration = Duration::from_secs(2);

/// How often librdkafka says whether it is a member. Nothing else says so of a member without partitions.
const STATISTICS_EVERY: Duration = Duration::from_secs(1);

/// For how long a client may be no member before another one joins in its place: as the setting `kafka.stalled_after` says, but at least so
/// many sessions, and so long. A group takes a few seconds to form.
const SESSIONS_MIN: u32 = 3;
const PATIENCE_MIN: Duration = Duration::from_secs(30);

/// How many clients that were given up may still be closing.
const MOST_CLOSING: usize = 4;

/// What librdkafka calls the state of a client that is a member, and whose group is not about to divide the partitions anew.
const STEADY: &str = "steady";

/// Our place in a group; dropping it leaves the group, which blocks for at most 5 seconds.
pub struct Membership {
    assigned: watch::Receiver<BTreeSet<i32>>,
    granted: watch::Receiver<Option<BTreeSet<i32>>>,
    group: String,
    stop: Arc<AtomicBool>,
    ended: Receiver<()>,
}

impl Membership {
    /// Joins `group` for `topic`. Returns at once; the first assignment comes when the group has formed.
    ///
    /// # Errors
    ///
    /// A property of `[kafka.client]` that librdkafka refuses, or a thread that cannot be started. Brokers that cannot be
    /// reached are no error: librdkafka retries.
    pub fn join(settings: &settings::Kafka, group: &str, topic: &str) -> Result<Membership, KafkaError> {
        let (sender, assigned) = watch::channel(BTreeSet::new());
        let (grants, granted) = watch::channel(None);
        let said = Arc::new(Said { assigned: sender, granted: grants });
        let operation = "join a group";
        let (config, named, subscribed) = (group_config(settings, group), group.to_owned(), topic.to_owned());
        let client = move |said| -> Result<BaseConsumer<Group>, ClientError> {
            let consumer: BaseConsumer<Group> = config.create_with_context(Group::new(&named, said))?;
            consumer.subscribe(&[&subscribed])?;
            Ok(consumer)
        };
        let consumer = client(Arc::clone(&said)).map_err(|source| KafkaError::Config { operation, source })?;
        let patience =
            settings.stalled_after.get().max(settings.session_timeout.get() * SESSIONS_MIN).max(PATIENCE_MIN);
        let stop = Arc::new(AtomicBool::new(false));
        let (ending, ended) = channel();
        let asked = Arc::clone(&stop);
        thread::Builder::new()
            .name("membership".to_owned())
            .spawn(move || serve(ending, consumer, client, said, patience, &asked))
            .map_err(|error| KafkaError::Thread { operation, topic: topic.to_owned(), reason: error.to_string() })?;
        Ok(Membership { assigned, granted, group: group.to_owned(), stop, ended })
    }

    /// The partitions that are ours now, and every later change; none while the group forms. If the channel is closed,
    /// membership has ended for good, by a fatal error that is in the log.
    pub fn assigned(&self) -> watch::Receiver<BTreeSet<i32>> {
        self.assigned.clone()
    }

    /// The partitions that the group has given us, be it none; `None` while it says nothing: before it has formed, after it has lost us, also
    /// if we had none, and once membership has ended.
    pub fn granted(&self) -> Option<BTreeSet<i32>> {
        if self.has_ended() { None } else { self.granted.borrow().clone() }
    }

    /// Whether membership has ended for good, by a fatal error that is in the log.
    pub fn has_ended(&self) -> bool {
        self.granted.has_changed().is_err()
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if self.ended.recv_timeout(LEAVE_WITHIN) == Err(RecvTimeoutError::Timeout) {
            warn!(
                group = self.group,
                within_s = LEAVE_WITHIN.as_secs(),
                "leaving the group takes too long; not waiting for it"
            );
        }
    }
}

/// Serves the group's events until it should stop. Closing the consumer leaves the group. If it is no member for longer than `patience`, and
/// so has no partitions, another one is the `client` from then on.
fn serve(
    _ended: Sender<()>,
    mut consumer: BaseConsumer<Group>,
    client: impl Fn(Arc<Said>) -> Result<BaseConsumer<Group>, ClientError>,
    said: Arc<Said>,
    patience: Duration,
    stop: &AtomicBool,
) {
    let mut closing: Vec<JoinHandle<()>> = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        match consumer.poll(POLL) {
            None => {}
            // A fetch was in flight before the pause took effect; its records are not needed.
            Some(Ok(_)) => {}
            Some(Err(fatal @ ClientError::MessageConsumptionFatal(_))) => {
                error!(group = consumer.context().group, error = %fatal, "membership has ended");
                break;
            }
            Some(Err(
                ClientError::MessageConsumption(RDKafkaErrorCode::PartitionEOF) | ClientError::PartitionEOF(_),
            )) => {}
            // It is in the log already, once for each broker.
            Some(Err(lost)) if is_connection_loss(&lost) => {
                debug!(group = consumer.context().group, error = %lost, "group membership");
            }
            Some(Err(other)) => warn!(group = consumer.context().group, error = %other, "group membership"),
        }
        closing.retain(|closing| !closing.is_finished());
        let is_lost = consumer.context().is_no_member_for() > patience && said.assigned.borrow().is_empty();
        if is_lost && closing.len() < MOST_CLOSING {
            let group = &consumer.context().group;
            warn!(group, for_s = patience.as_secs(), "no member of the group for long; joining it with another client");
            let other = match client(Arc::clone(&said)) {
                Ok(other) => other,
                Err(error) => {
                    error!(group, %error, "membership has ended");
                    break;
                }
            };
            let given_up = std::mem::replace(&mut consumer, other);
            given_up.context().give_up();
            // That may wait for ever.
            closing.push(thread::spawn(move || drop(given_up)));
            if closing.len() == MOST_CLOSING {
                let group = &consumer.context().group;
                error!(
                    group,
                    clients = MOST_CLOSING,
                    "clients of the group hang; start this process again if it gets no partitions"
                );
            }
        }
    }
    drop(consumer);
}

/// What the group has said, whichever client is its member.
struct Said {
    assigned: watch::Sender<BTreeSet<i32>>,
    /// The same while the group says so.
    granted: watch::Sender<Option<BTreeSet<i32>>>,
}

/// Receives librdkafka's callbacks, on the group's thread.
struct Group {
    group: String,
    /// Nothing once the client is given up.
    said: Mutex<Option<Arc<Said>>>,
    /// When it was a member last, or was created.
    member_at: Mutex<Instant>,
}

/// What of librdkafka's statistics is looked at.
#[derive(Deserialize)]
struct Statistics {
    cgrp: Option<GroupStatistics>,
}

/// The same of the group.
#[derive(Deserialize)]
struct GroupStatistics {
    join_state: String,
}

impl Group {
    fn new(group: &str, said: Arc<Said>) -> Group {
        Group { group: group.to_owned(), said: Mutex::new(Some(said)), member_at: Mutex::new(Instant::now()) }
    }

    fn is_no_member_for(&self) -> Duration {
        locked(&self.member_at).elapsed()
    }

    /// From now on nothing that it is told counts.
    fn give_up(&self) {
        if let Some(said) = locked(&self.said).take() {
            said.granted.send_replace(None);
        }
    }

    fn said(&self) -> Option<Arc<Said>> {
        locked(&self.said).clone()
    }

    /// Without partitions, a member is never told that the group has lost it, for instance because its coordinator went away: there is
    /// nothing to take from it. librdkafka notices after as long as a session lasts, as it does with partitions, and joins anew.
    fn note_member(&self, is_member: bool) {
        if is_member {
            *locked(&self.member_at) = Instant::now();
        }
        let Some(said) = self.said().filter(|said| said.assigned.borrow().is_empty()) else { return };
        said.granted.send_if_modified(|granted| {
            let now = is_member.then(BTreeSet::new);
            let changes = *granted != now;
            *granted = now;
            changes
        });
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl ClientContext for Group {
    fn stats_raw(&self, statistics: &[u8]) {
        match serde_json::from_slice(statistics) {
            Ok(Statistics { cgrp: Some(group) }) => self.note_member(group.join_state == STEADY),
            Ok(Statistics { cgrp: None }) => {}
            Err(error) => debug!(group = self.group, %error, "cannot read the statistics of librdkafka"),
        }
    }

    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        log_line(level as i32, facility, line);
    }

    fn error(&self, error: ClientError, reason: &str) {
        if is_connection_loss(&error) {
            debug!(group = self.group, %error, reason, "group membership");
        } else {
            warn!(group = self.group, %error, reason, "group membership");
        }
    }
}

impl ConsumerContext for Group {
    fn rebalance(&self, consumer: &BaseConsumer<Self>, event: RDKafkaRespErr, partitions: &mut TopicPartitionList) {
        // Asked first: a changed assignment resets it.
        let is_lost = consumer.assignment_lost();
        let numbers: BTreeSet<i32> = partitions.elements().iter().map(|element| element.partition()).collect();
        let outcome = match event {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => take(consumer, partitions),
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS => consumer.incremental_unassign(partitions),
            _ => consumer.unassign(),
        };
        if let Err(error) = outcome {
            error!(group = self.group, %error, "librdkafka refused a change of partitions");
        }
        let Some(said) = self.said() else { return };
        said.assigned.send_modify(|assigned| match event {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => assigned.extend(&numbers),
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS => assigned.retain(|own| !numbers.contains(own)),
            _ => assigned.clear(),
        });
        let assigned = said.assigned.borrow();
        said.granted.send_replace(match event {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => Some(assigned.clone()),
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS if !is_lost => Some(assigned.clone()),
            _ => None,
        });
        info!(group = self.group, event = ?RDKafkaErrorCode::from(event), ?numbers, assigned = ?*assigned, "partitions");
    }
}

/// Accepts partitions without reading them: they start at their end, for which no committed offset is looked up, and are
/// paused.
fn take(consumer: &BaseConsumer<Group>, partitions: &mut TopicPartitionList) -> Result<(), ClientError> {
    partitions.set_all_offsets(Offset::End)?;
    consumer.incremental_assign(partitions)?;
    consumer.pause(partitions)
}

fn group_config(settings: &settings::Kafka, group: &str) -> ClientConfig {
    let mut config = client_config(settings);
    let session_ms = settings.session_timeout.millis();
    let own = [
        ("group.id", group.to_owned()),
        ("partition.assignment.strategy", "cooperative-sticky".to_owned()),
        ("session.timeout.ms", session_ms.to_string()),
        // A member learns of a rebalance with its next heartbeat, and a cooperative rebalance takes two rounds.
        ("heartbeat.interval.ms", (session_ms / 20).max(1).to_string()),
        // Added partitions are assigned once the group's leader sees them; librdkafka checks only every five minutes.
        ("topic.metadata.refresh.interval.ms", METADATA_EVERY.as_millis().to_string()),
        ("statistics.interval.ms", STATISTICS_EVERY.as_millis().to_string()),
        ("enable.auto.commit", "false".to_owned()),
        ("enable.auto.offset.store", "false".to_owned()),
        ("auto.offset.reset", "latest".to_owned()),
        // If a fetch is in flight before the pause takes effect, it should be small.
        ("queued.min.messages", "1".to_owned()),
        ("fetch.message.max.bytes", "1024".to_owned()),
    ];
    for (name, value) in own {
        config.set(name, value);
    }
    config
}

#[cfg(test)]
mod tests {
    use rdkafka::mocking::MockCluster;
    use test_kit::DEADLINE;

    use super::*;

    /// Of a group that has said nothing yet.
    fn said() -> Arc<Said> {
        Arc::new(Said { assigned: watch::channel(BTreeSet::new()).0, granted: watch::channel(None).0 })
    }

    #[test]
    fn a_member_without_partitions_learns_that_the_group_has_lost_it() {
        let said = said();
        let granted = said.granted.subscribe();
        let group = Group::new("workers", Arc::clone(&said));
        let says = |state: &str| {
            group.stats_raw(format!(r#"{{"type":"consumer","cgrp":{{"join_state":"{state}"}}}}"#).as_bytes())
        };
        says("wait-join");
        assert_eq!(*granted.borrow(), None, "the group has not formed");
        says(STEADY);
        assert_eq!(*granted.borrow(), Some(BTreeSet::new()), "there are more members than partitions");
        says("wait-join");
        assert_eq!(*granted.borrow(), None, "its session is over, and nobody answers");
        // With partitions, it is told when they are taken away, and goes on with them while others join.
        said.assigned.send_replace([1].into());
        said.granted.send_replace(Some([1].into()));
        says("wait-sync");
        assert_eq!(*granted.borrow(), Some([1].into()));
        group.stats_raw(b"{}");
        assert_eq!(*granted.borrow(), Some([1].into()), "of a client without a group nothing is said");
    }

    #[test]
    fn nothing_counts_that_a_client_is_told_once_it_is_given_up() {
        let said = said();
        let granted = said.granted.subscribe();
        let group = Group::new("workers", Arc::clone(&said));
        group.note_member(true);
        group.give_up();
        assert_eq!(*granted.borrow(), None);
        group.note_member(true);
        assert_eq!(*granted.borrow(), None, "another client is the member");
        drop(said);
        assert!(granted.has_changed().is_err(), "it keeps a membership from ending");
    }

    /// What a session that ends while the coordinator goes away may leave cannot be had at will. To the group's thread it is a client that is
    /// never a member, as one is whose brokers are not there.
    #[test]
    fn another_client_joins_in_the_place_of_one_that_is_no_member_for_long() {
        let cluster = MockCluster::new(1).expect("a cluster");
        cluster.create_topic("views", 2, 1).expect("a topic");
        let said = said();
        let assigned = said.assigned.subscribe();
        let first = AtomicBool::new(true);
        let brokers = cluster.bootstrap_servers();
        let client = move |said| -> Result<BaseConsumer<Group>, ClientError> {
            let is_first = first.swap(false, Ordering::Relaxed);
            let settings = settings::Kafka {
                brokers: if is_first { "127.0.0.1:1".to_owned() } else { brokers.clone() },
                ..settings::Kafka::default()
            };
            let consumer: BaseConsumer<Group> =
                group_config(&settings, "workers").create_with_context(Group::new("workers", said))?;
            consumer.subscribe(&["views"])?;
            Ok(consumer)
        };
        let consumer = client(Arc::clone(&said)).expect("a client");
        let stop = Arc::new(AtomicBool::new(false));
        let (ending, ended) = channel();
        let asked = Arc::clone(&stop);
        thread::spawn(move || serve(ending, consumer, client, said, Duration::from_secs(8), &asked));
        let until = Instant::now() + DEADLINE;
        while assigned.borrow().len() < 2 && Instant::now() < until {
            thread::sleep(POLL);
        }
        assert_eq!(*assigned.borrow(), [0, 1].into(), "nobody has joined");
        stop.store(true, Ordering::Relaxed);
        assert_eq!(ended.recv_timeout(DEADLINE), Err(RecvTimeoutError::Disconnected), "it does not end");
        assert!(assigned.has_changed().is_err(), "membership has not ended");
    }
}
