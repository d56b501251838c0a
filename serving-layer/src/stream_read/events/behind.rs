//! Reads what a client has missed, a part at a time.

use std::collections::BTreeMap;
use std::ops::{ControlFlow, Range};
use std::sync::Arc;
use std::time::Duration;

use platform::kafka::KafkaError;
use platform::store::StoreError;
use shared_logic::log::OffsetRange;
use shared_logic::time::TimeRange;
use tokio::time::Instant;

use super::Watcher;
use super::catch_up::{Step, next_step};
use super::missed::Missed;
use crate::snapshot::ArchiveFacts;
use crate::stream_read::archive::{ArchiveScan, Row, Wanted};
use crate::stream_read::log::{self, Reached};
use crate::stream_read::log_client::LogRecord;
use crate::stream_read::output::text_of;

/// How long a client reads the log at a time.
const READ_WITHIN: Duration = Duration::from_secs(5);

/// Why a client cannot catch up now.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotCaughtUp {
    /// Kafka does not answer.
    #[error(transparent)]
    Kafka(#[from] KafkaError),
    /// The archive cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The topic is gone, or has another log since the client joined.
    #[error("topic {topic} has another log since")]
    AnotherLog {
        /// The topic.
        topic: String,
    },
}

impl Watcher {
    /// Reads a part of what it has missed.
    pub(super) async fn catch_up(&mut self) -> Result<(), NotCaughtUp> {
        let (Some(at), Some(until)) = (self.at.clone(), self.until().cloned()) else { return Ok(()) };
        let archive = self.reader.archive();
        let facts = archive.as_ref().map(|archive| Arc::clone(&archive.facts)).unwrap_or_default();
        let bounds = self.reader.bounds().await?;
        let bounds = bounds.filter(|bounds| bounds.positions(|bounds| bounds.end).is_of_the_same_log(&at));
        let Some(bounds) = bounds else { return Err(self.another_log()) };
        match (next_step(&at, &until, &bounds, &facts), archive) {
            (Some(Step::Lost(ranges)), _) => ranges.iter().for_each(|range| self.tell_lost(range)),
            (Some(Step::Archive(ranges)), Some(archive)) => self.read_archive(&ranges, &archive).await?,
            (Some(Step::Log(ranges)), _) => self.read_log(ranges, bounds.topic()).await?,
            (None | Some(Step::Archive(_)), _) => return Err(self.another_log()),
        }
        Ok(())
    }

    async fn read_archive(&mut self, ranges: &[OffsetRange], archive: &ArchiveFacts) -> Result<(), NotCaughtUp> {
        ranges.iter().for_each(|range| self.tell_not_archived(range, &archive.facts));
        let wanted = Wanted { filter: self.filter.clone(), times: TimeRange::ALL, ranges: Some(ranges.to_vec()) };
        let missed = {
            // Never closed.
            let _place = self.reader.access.archive_reads.acquire().await;
            let scan = ArchiveScan::new(&archive.table, &archive.facts, &self.reader.source, wanted)?;
            let mut missed = Missed::default();
            for file in scan.files().await? {
                missed = scan.visit(&file, missed, take_row).await?;
            }
            missed
        };
        let to = |range: &OffsetRange| (range.id.partition, missed.complete_to(range.id.partition, range.to));
        let reached = ranges.iter().map(to).collect();
        self.tell_missed(missed, reached);
        Ok(())
    }

    async fn read_log(&mut self, ranges: BTreeMap<i32, Range<i64>>, log: &str) -> Result<(), NotCaughtUp> {
        let (mut outputs, filter, begun) = (self.outputs.clone(), self.filter.clone(), Instant::now());
        let take = move |missed: &mut Missed, record: LogRecord<'_>| {
            let event = outputs.event(record.payload, record.timestamp_us());
            if event.is_some_and(|event| filter.accepts(&event)) {
                let json = text_of(record.payload.unwrap_or_default()).to_owned();
                missed.push(record.partition, record.offset, json);
            }
            let is_enough = missed.is_full() || begun.elapsed() > READ_WITHIN;
            if is_enough { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let topic = &self.reader.source.topic;
        let read = log::read(&self.reader.access, topic, ranges, Missed::default(), take).await?;
        let Reached { made: missed, offsets, is_out_of_range } = read;
        // R7: they are of this log if the topic still has its id.
        let described = self.reader.access.topics.describe(topic).await?;
        if described.is_none_or(|described| described.log != log) {
            return Err(self.another_log());
        }
        let to = |(partition, offset)| (partition, missed.complete_to(partition, offset));
        let reached = offsets.into_iter().map(to).collect();
        self.tell_missed(missed, reached);
        if is_out_of_range { Err(self.another_log()) } else { Ok(()) }
    }

    /// Tells outputs, and notes up to where all of them are told.
    fn tell_missed(&mut self, missed: Missed, reached: BTreeMap<i32, i64>) {
        for (partition, offset, json) in missed.into_outputs() {
            self.tell_output(partition, offset, &json);
        }
        reached.into_iter().for_each(|(partition, offset)| self.advance(partition, offset));
    }

    /// Has the client join again, which tells it what became of the log.
    fn another_log(&mut self) -> NotCaughtUp {
        self.subscription = None;
        NotCaughtUp::AnotherLog { topic: self.reader.source.topic.clone() }
    }
}

fn take_row(missed: &mut Missed, row: Row<'_>) {
    missed.push(row.partition, row.offset, row.json.into_owned());
}
