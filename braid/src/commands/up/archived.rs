//! Tells producers how far the archive has come, where the broker would otherwise forget records before they are archived.
//!
//! It is told as the committed offsets of a group, in the broker itself: see [`source_topic`](crate::source_topic).

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result};
use platform::kafka::{GroupOffsets, Topic, Topics};
use platform::settings;
use platform::shutdown::Shutdown;
use shared_logic::catalog::Catalog;
use shared_logic::contracts::archive::Facts;
use storage::{Followed, Storage};
use tokio::time::sleep;
use tracing::debug;

use crate::source_topic::ARCHIVED_GROUP;

/// How often the archives are looked at. Senders that are faster than the archive wait about as long.
const EVERY: Duration = Duration::from_millis(50);

/// Keeps the offsets of the group up to date.
pub(super) struct Archived {
    offsets: GroupOffsets,
    topics: Vec<ArchivedTopic>,
}

struct ArchivedTopic {
    name: String,
    topic: Topic,
    archive: Followed<Facts>,
    told: BTreeMap<i32, i64>,
}

impl Archived {
    /// Tells of every topic that nothing is archived, which is true of a broker that has just started. So whoever learns the
    /// broker's address finds the group.
    pub(super) async fn begin(kafka: &settings::Kafka, catalog: &Catalog, storage: &Storage) -> Result<Archived> {
        let (offsets, asked) = (GroupOffsets::new(kafka, ARCHIVED_GROUP)?, Topics::new(kafka)?);
        let mut topics = Vec::new();
        for source in catalog.sources.values() {
            let name = source.topic.clone();
            let topic = asked.describe(&name).await?.with_context(|| format!("there is no topic {name}"))?;
            let told: BTreeMap<i32, i64> = (0..topic.partitions).map(|partition| (partition, 0)).collect();
            offsets.commit(&name, &told).await?;
            topics.push(ArchivedTopic { name, topic, archive: storage.follow_archive(&source.name), told });
        }
        Ok(Archived { offsets, topics })
    }

    /// Goes on until the stop is requested.
    ///
    /// # Errors
    /// None: while an archive cannot be read, senders wait.
    pub(super) async fn run(mut self, shutdown: Shutdown) -> Result<()> {
        loop {
            tokio::select! {
                biased;
                () = shutdown.requested() => return Ok(()),
                () = sleep(EVERY) => {}
            }
            for topic in &mut self.topics {
                if let Err(error) = topic.tell(&self.offsets).await {
                    debug!(topic = topic.name, error = format!("{error:#}"), "cannot tell what is archived");
                }
            }
        }
    }
}

impl ArchivedTopic {
    async fn tell(&mut self, offsets: &GroupOffsets) -> Result<()> {
        let archive = self.archive.newest().await?;
        let Some(facts) = archive.and_then(|archive| archive.note()) else { return Ok(()) };
        let next = |partition| Some((partition, facts.partition(&facts.current(&self.topic.log, partition))?.next));
        let archived: BTreeMap<i32, i64> = (0..self.topic.partitions).filter_map(next).collect();
        if !archived.is_empty() && archived != self.told {
            offsets.commit(&self.name, &archived).await?;
            self.told = archived;
        }
        Ok(())
    }
}
