//! Waits for the archive where the broker forgets records.
//!
//! librdkafka's in-process broker keeps about 5 MiB of each partition, and forgets older records, archived or not. So `braid up`
//! tells, through that broker, how far the archive has come: as the committed offsets of [`ARCHIVED_GROUP`]. A sender counts
//! what it sends in stretches, and begins another one once all but the last [`STRETCHES_AHEAD`] are archived.
//!
//! Three senders at once stay within what the broker keeps, whatever the partitions of their records are. Producers that know
//! nothing of this may exceed it.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use anyhow::{Result, bail};
use platform::kafka::{Bound, GroupOffsets, Outgoing, Producer, Topics, cluster};
use platform::settings;
use tokio::time::{Instant, sleep};

/// The group without members whose committed offsets are the first ones that are not archived.
pub const ARCHIVED_GROUP: &str = "braid-archived";
/// How much is sent before it is looked where the topic ends.
const STRETCH_BYTES: usize = 512 << 10;
/// How many stretches may be sent and not archived when another one begins.
const STRETCHES_AHEAD: usize = 2;
/// About what the broker keeps for a record besides key and payload. It is more if a record is sent alone, but then the archive
/// is far ahead of the sender.
const RECORD_BYTES: usize = 32;
/// How long the archive may take to take a stretch.
const ARCHIVED_WITHIN: Duration = Duration::from_secs(60);
const ASK_EVERY: Duration = Duration::from_millis(20);

/// What was sent to a topic and may not be archived yet.
pub(super) struct Backlog {
    topics: Topics,
    archived: GroupOffsets,
    topic: String,
    partitions: Vec<i32>,
    /// How much the stretch that is being sent has so far.
    bytes: usize,
    /// Where the topic ended after earlier stretches, the oldest first.
    ends: VecDeque<BTreeMap<i32, i64>>,
}

impl Backlog {
    /// An empty backlog of a topic whose broker forgets records; nothing for a broker that does not, or for which no process
    /// tells what is archived.
    pub(super) async fn of(settings: &settings::Kafka, topic: &str) -> Result<Option<Backlog>> {
        // Only then is the group asked for: in other clusters, that may need a permission.
        let found = cluster(settings, settings.request_timeout.get()).await?;
        if !found.is_some_and(|cluster| cluster.is_in_process()) {
            return Ok(None);
        }
        let (topics, archived) = (Topics::new(settings)?, GroupOffsets::new(settings, ARCHIVED_GROUP)?);
        let partitions: Vec<i32> = (0..topics.describe(topic).await?.map_or(0, |topic| topic.partitions)).collect();
        if archived.committed(topic, &partitions).await?.is_empty() {
            return Ok(None);
        }
        let topic = topic.to_owned();
        Ok(Some(Backlog { topics, archived, topic, partitions, bytes: 0, ends: VecDeque::new() }))
    }

    /// Waits until the broker can keep the record without forgetting any that is not archived.
    pub(super) async fn make_room(&mut self, producer: &Producer, record: &Outgoing<'_>) -> Result<()> {
        let bytes = [record.key, record.payload].into_iter().flatten().map(<[u8]>::len).sum::<usize>() + RECORD_BYTES;
        if self.bytes > 0 && self.bytes + bytes > STRETCH_BYTES {
            self.begin_stretch(producer).await?;
        }
        self.bytes += bytes;
        Ok(())
    }

    async fn begin_stretch(&mut self, producer: &Producer) -> Result<()> {
        // Only then does the topic's end lie behind what was sent.
        producer.settled().await;
        self.ends.push_back(self.topics.offsets(&self.topic, &self.partitions, Bound::End).await?);
        self.bytes = 0;
        if self.ends.len() > STRETCHES_AHEAD
            && let Some(end) = self.ends.pop_front()
        {
            self.wait_until_archived(&end).await?;
        }
        Ok(())
    }

    async fn wait_until_archived(&self, ends: &BTreeMap<i32, i64>) -> Result<()> {
        let deadline = Instant::now() + ARCHIVED_WITHIN;
        loop {
            let archived = self.archived.committed(&self.topic, &self.partitions).await?;
            let is_behind = |(partition, end): &(&i32, &i64)| archived.get(*partition) < Some(*end);
            let Some((partition, end)) = ends.iter().find(is_behind) else { return Ok(()) };
            if Instant::now() >= deadline {
                bail!(
                    "partition {partition} of topic {} was not archived up to offset {end} within {} s, and the broker inside \
                     `braid up` would forget it if more was sent: see the log of `braid up`, and send the rest once it archives",
                    self.topic,
                    ARCHIVED_WITHIN.as_secs()
                );
            }
            sleep(ASK_EVERY).await;
        }
    }
}
