//! Sessions: from what the archive knows to what the topic holds, until one of them differs.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use platform::kafka::{Bound, Consumer, Polled, Record, Topic, Topics};
use platform::settings::Settings;
use platform::store::{Store, Table};
use shared_logic::catalog::{Source, Start};
use shared_logic::contracts::archive::{FACTS_DOMAIN, Facts};
use shared_logic::log::PartitionId;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::buffer::{Buffer, Incoming};
use super::commit::{self, Outcome};
use super::compact;

/// How many records one call to Kafka may bring.
const POLL_RECORDS: usize = 4_096;
/// How long a call to Kafka waits when there is nothing to read.
const POLL_WAIT: Duration = Duration::from_millis(20);

/// Archives one source until `stop`, session after session.
pub(super) fn run(
    runtime: &Handle,
    settings: &Settings,
    store: &Store,
    source: Source,
    stop: &CancellationToken,
) -> anyhow::Result<()> {
    let mut archiver = Archiver {
        topics: Topics::new(&settings.kafka)?,
        consumer: Consumer::new(&settings.kafka, &source.topic)?,
        table: runtime.block_on(crate::archive::table(store, &source))?,
        runtime,
        settings,
        source,
        stop,
        commits: 0,
    };
    let backoff = settings.archive.retry_backoff.get();
    let mut wait = backoff;
    while !stop.is_cancelled() {
        match archiver.session() {
            Ok(()) => wait = backoff,
            Err(failed) => {
                error!(
                    source = archiver.source.name,
                    error = format!("{failed:#}"),
                    wait_ms = wait.as_millis(),
                    "archiving stopped; looking again"
                );
                archiver.pause(wait);
                wait = (wait * 2).min(backoff * 32);
            }
        }
    }
    Ok(())
}

struct Archiver<'a> {
    runtime: &'a Handle,
    settings: &'a Settings,
    source: Source,
    stop: &'a CancellationToken,
    topics: Topics,
    consumer: Consumer,
    table: Table,
    commits: u64,
}

impl Archiver<'_> {
    /// One session. Returns when something differs from what it began with, and at the stop, committed.
    fn session(&mut self) -> anyhow::Result<()> {
        self.runtime.block_on(self.table.refresh())?;
        let mut facts: Facts = self.runtime.block_on(self.table.note(FACTS_DOMAIN))?.unwrap_or_default();
        let Some(topic) = self.runtime.block_on(self.topics.describe(&self.source.topic))? else {
            warn!(topic = self.source.topic, "the topic does not exist; waiting for it");
            self.pause(self.settings.archive.discover_every.get());
            return Ok(());
        };
        let mut ends = self.ends(&topic)?;
        let before = facts.clone();
        self.meet(&mut facts, &topic)?;
        let wider = commit::wider(&self.table, &self.source)?;
        if facts != before || wider.is_some() {
            let committed = commit::facts(&mut self.table, &facts, wider.as_ref());
            if self.runtime.block_on(committed)? == Outcome::Overtaken {
                return Ok(());
            }
        }
        let next: BTreeMap<i32, i64> = facts
            .log(&topic.log)
            .iter()
            .flat_map(|log| &log.partitions)
            .map(|(partition, known)| (*partition, known.next))
            .collect();
        info!(topic = self.source.topic, log = topic.log, ?next, "archiving");
        self.consumer.assign(&next)?;
        let mut buffer = Buffer::new(&self.source, &topic.log, &next);
        let (mut opened, mut discovered) = (None, Instant::now());
        loop {
            let failed = self.read(&mut buffer)?;
            if buffer.moves() {
                opened.get_or_insert_with(Instant::now);
            }
            let stopping = self.stop.is_cancelled();
            let due = opened.is_some_and(|at: Instant| at.elapsed() >= self.settings.archive.linger.get());
            let discover = discovered.elapsed() >= self.settings.archive.discover_every.get();
            if !(stopping || failed || discover || due || self.is_full(&buffer)) {
                continue;
            }
            // R7: what was read and asked belongs to this log only if the topic still is this log afterwards.
            let asked = discover.then(|| self.ends(&topic)).transpose();
            let now = self.runtime.block_on(self.topics.describe(&self.source.topic))?;
            if now.as_ref().map(|now| &now.log) != Some(&topic.log) {
                warn!(
                    topic = self.source.topic,
                    log = topic.log,
                    rows = buffer.rows(),
                    "the topic was created again or deleted; what was just read is not of this log"
                );
                return Ok(());
            }
            if let Some(asked) = asked? {
                (ends, discovered) = (asked, Instant::now());
            }
            if buffer.moves() && (stopping || failed || due || self.is_full(&buffer)) {
                let next = buffer.reached.iter().map(|(partition, (_, to))| (*partition, *to)).collect();
                let full = std::mem::replace(&mut buffer, Buffer::new(&self.source, &topic.log, &next));
                let committed = commit::rows(&mut self.table, &mut facts, &topic.log, full, &ends);
                if self.runtime.block_on(committed)? == Outcome::Overtaken {
                    warn!(
                        table = self.table.path(),
                        "another archiver writes to this archive; going on from what it says"
                    );
                    return Ok(());
                }
                opened = None;
                self.tidy_up();
            }
            if stopping || failed || now.as_ref() != Some(&topic) {
                return Ok(());
            }
        }
    }

    /// R6: closes logs that ended, begins partitions that are new, notes what the log lost.
    fn meet(&self, facts: &mut Facts, topic: &Topic) -> anyhow::Result<()> {
        let first_ever = facts.logs.is_empty();
        let ended: Vec<String> =
            facts.logs.iter().filter(|log| !log.closed && log.log != topic.log).map(|log| log.log.clone()).collect();
        for log in ended {
            warn!(
                topic = self.source.topic,
                log,
                now = topic.log,
                "the topic has another id: closing the log that ended"
            );
            facts.close(&log);
        }
        if facts.is_closed(&topic.log) {
            warn!(
                topic = self.source.topic,
                log = topic.log,
                "the topic is there again: its log is not closed after all"
            );
            facts.reopen(&topic.log);
        }
        let partitions: Vec<i32> = (0..topic.partitions).collect();
        let starts = self.runtime.block_on(self.topics.offsets(&self.source.topic, &partitions, Bound::Start))?;
        let at_end = first_ever && self.source.start == Start::Latest;
        let begins = if at_end { self.ends(topic)? } else { starts.clone() };
        for (partition, begin) in &begins {
            facts.begin(&PartitionId::new(topic.log.clone(), *partition), *begin);
        }
        for (partition, start) in &starts {
            let id = PartitionId::new(topic.log.clone(), *partition);
            if let Some(known) = facts.partition(&id).filter(|known| known.next < *start) {
                error!(%id, from = known.next, to = start, "the log lost offsets before they were archived: answers have a gap until `batch-layer lost accept`");
                facts.lose(&id, *start);
            }
        }
        Ok(())
    }

    /// Reads once into the buffer; gives whether a partition cannot be read on and the session has to look again.
    fn read(&mut self, buffer: &mut Buffer) -> anyhow::Result<bool> {
        let mut failed = false;
        let topic = &self.source.topic;
        self.consumer.poll(POLL_WAIT, POLL_RECORDS, |polled| match polled {
            Polled::Record(record) => buffer.push(incoming(&record)),
            Polled::End { partition, offset } => buffer.reach(partition, offset),
            Polled::OutOfRange { partition } => {
                warn!(topic, partition, "the log does not hold the next offset");
                failed = true;
            }
            Polled::Failed { partition, error } => warn!(topic, ?partition, %error, "kafka reports"),
        })?;
        Ok(failed)
    }

    fn is_full(&self, buffer: &Buffer) -> bool {
        let archive = &self.settings.archive;
        buffer.rows() >= archive.max_rows || buffer.bytes as u64 >= archive.max_bytes.bytes()
    }

    fn ends(&self, topic: &Topic) -> anyhow::Result<BTreeMap<i32, i64>> {
        let partitions: Vec<i32> = (0..topic.partitions).collect();
        Ok(self.runtime.block_on(self.topics.offsets(&self.source.topic, &partitions, Bound::End))?)
    }

    /// Now and then a checkpoint, and many small files into one. Without them everything still works, only slower.
    fn tidy_up(&mut self) {
        self.commits += 1;
        if !self.commits.is_multiple_of(self.settings.archive.checkpoint_every) {
            return;
        }
        let tidied = self.runtime.block_on(async {
            compact::run(&mut self.table, &self.source).await?;
            anyhow::Ok(self.table.checkpoint().await?)
        });
        if let Err(error) = tidied {
            warn!(
                table = self.table.path(),
                error = format!("{error:#}"),
                "cannot compact the archive; trying again later"
            );
        }
    }

    fn pause(&self, wait: Duration) {
        self.runtime.block_on(async {
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = self.stop.cancelled() => {}
            }
        });
    }
}

fn incoming<'a>(record: &Record<'a>) -> Incoming<'a> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let headers: Vec<(String, Option<String>)> =
        record.headers().map(|(name, value)| (name.to_owned(), value.map(text))).collect();
    Incoming {
        partition: record.partition,
        offset: record.offset,
        timestamp_ms: record.timestamp_ms,
        key: record.key,
        payload: record.payload,
        headers: (!headers.is_empty()).then(|| serde_json::to_string(&headers).unwrap_or_default()),
    }
}
