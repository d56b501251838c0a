//! Sessions of an archiver: each starts from what the archive and the topic say, and ends when one of them has changed.
//!
//! While one commit is written, the session reads what the next one will hold, and that is encoded as it comes. There is one commit
//! at a time, and a session that ends waits for it.
//!
//! - `doubt`: whether a broker may not know the topic's log yet;
//! - `share`: which partitions it reads, if there are other archivers;
//! - `archive_again`: what is archived without bytes, after the source's rules have changed (R11);
//! - `reading`: what is read and not committed yet;
//! - `pace`: when it is committed;
//! - `waiting`: partitions whose records name a schema that is not known yet;
//! - `lost_tail`: where a log that lost its tail goes on (R12).

mod archive_again;
mod doubt;
mod lost_tail;
mod pace;
mod reading;
mod share;
mod waiting;

use std::collections::{BTreeMap, BTreeSet};
use std::panic::resume_unwind;
use std::time::{Duration, Instant};

use platform::kafka::{Bound, Consumer, KafkaError, Losses, Membership, Topic, Topics};
use platform::registry::Registry;
use platform::settings::{self, Settings};
use platform::store::Committed;
use platform::task::Backoff;
use platform::telemetry::error_text;
use shared_logic::catalog::Source;
use shared_logic::contracts::archive::{Change, OlderLayout};
use shared_logic::decode::Decoder;
use storage::{Archive, Schemas, Storage};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use self::doubt::Doubt;
use self::reading::{POLL_WAIT, Reading};
use self::share::{Own, Share};
use self::waiting::Waiting;
use super::{SessionError, commit, compact};
use crate::rows::RowsError;

/// The part of `archive.linger` for which Kafka may gather records, and how long that is at least.
const GATHERED_PART: u32 = 4;
const GATHERED_MIN: Duration = Duration::from_millis(50);

/// Archives one source. It blocks the thread that runs it.
pub(super) struct Archiver {
    runtime: Handle,
    settings: settings::Archive,
    source: Source,
    stop: CancellationToken,
    kafka: settings::Kafka,
    topics: Topics,
    consumer: Consumer,
    losses: Losses,
    /// The group of the archivers of this archive.
    group: String,
    membership: Membership,
    share: Share,
    doubt: Doubt,
    /// Whether the topic is compacted, asked once.
    compacted: Option<bool>,
    archive: Archive,
    decoder: Decoder,
    schemas: Schemas,
    /// How often it has committed rows.
    commits: u64,
    /// Whether the session before ended because another archiver had archived partitions that the group has given to this one.
    is_overtaken: bool,
}

/// Where the partitions of a topic start and end, as Kafka said at the start of a session.
struct Bounds {
    starts: BTreeMap<i32, i64>,
    ends: BTreeMap<i32, i64>,
}

impl Archiver {
    /// Joins the group, connects to Kafka and opens the archive, created where it is missing.
    pub(super) fn start(
        runtime: Handle,
        settings: &Settings,
        storage: &Storage,
        source: Source,
        group: String,
        stop: CancellationToken,
    ) -> Result<Archiver, SessionError> {
        let kafka = settings.kafka.clone();
        let membership = Membership::join(&kafka, &group, &source.topic)?;
        let archive = runtime.block_on(super::create(storage, &source))?;
        let consumer = consumer(&kafka, &settings.archive, &source)?;
        Ok(Archiver {
            topics: Topics::new(&kafka)?,
            losses: consumer.losses(),
            consumer,
            group,
            membership,
            share: Share::new(kafka.session_timeout.get()),
            doubt: Doubt::new(kafka.session_timeout.get()),
            kafka,
            compacted: None,
            archive,
            decoder: Decoder::new(&source),
            schemas: Schemas::new(storage, &source.name, &Registry::new(&settings.registry)),
            runtime,
            settings: settings.archive.clone(),
            source,
            stop,
            commits: 0,
            is_overtaken: false,
        })
    }

    /// Runs one session after another until `stop`. Leaves the group after its last commit, so that whoever gets its partitions goes on
    /// behind it.
    ///
    /// # Errors
    /// [`SessionError::RulesChanged`], which no other session can change.
    pub(super) fn run(mut self) -> Result<(), SessionError> {
        let mut backoff = Backoff::new(self.settings.retry_backoff.get());
        while !self.stop.is_cancelled() {
            match self.session() {
                Ok(()) => backoff.reset(),
                Err(refused @ SessionError::RulesChanged { .. }) => return Err(refused),
                Err(failed) => {
                    let wait = backoff.wait();
                    error!(
                        source = self.source.name,
                        error = error_text(&failed),
                        wait_ms = wait.as_millis(),
                        "archiving stopped; starting again"
                    );
                    self.pause(wait);
                }
            }
        }
        Ok(())
    }

    /// Runs one session. It ends without an error when something has changed since its start, and at `stop`, after a
    /// last commit.
    fn session(&mut self) -> Result<(), SessionError> {
        self.runtime.block_on(self.archive.refresh())?;
        let Some(topic) = self.describe()? else {
            self.doubt.note_missing();
            warn!(topic = self.source.topic, "the topic does not exist; waiting for it");
            self.pause(self.settings.discover_every.get());
            return Ok(());
        };
        if self.doubts(&topic) {
            return Ok(());
        }
        self.rejoin()?;
        let own = self.own(topic.partitions);
        let Some(bounds) = self.register(&topic, &own)? else { return Ok(()) };
        if self.archives_again(&topic, &bounds)? {
            return Ok(());
        }
        let mut reading = self.start_reading(topic, bounds, own)?;
        while self.read_on(&mut reading)? {}
        Ok(())
    }

    /// R6: whether the topic may be another log by now than a broker has just said. Then it is asked again after a while.
    fn doubts(&mut self, topic: &Topic) -> bool {
        let Some(doubted) = self.doubt.of(&topic.log, &self.archive.facts(), Instant::now()) else { return false };
        if doubted.is_zero() {
            warn!(
                topic = self.source.topic,
                log = topic.log,
                "a broker says that the topic is an older log than the archive knows of; asking again, as that broker may be behind"
            );
        }
        self.pause(self.settings.retry_backoff.get());
        true
    }

    /// Joins the group again if membership has ended, by an error that is in the log.
    fn rejoin(&mut self) -> Result<(), KafkaError> {
        if self.membership.has_ended() {
            self.pause(self.settings.retry_backoff.get());
            self.membership = Membership::join(&self.kafka, &self.group, &self.source.topic)?;
        }
        Ok(())
    }

    /// Which of the topic's partitions to read now.
    fn own(&mut self, partitions: i32) -> Own {
        self.share.now(self.membership.granted(), partitions, Instant::now())
    }

    /// R6: registers the topic in the facts, before any of its records is archived. Returns nothing if another archiver
    /// committed first: then the topic is asked for again, as that one may have seen another.
    fn register(&mut self, topic: &Topic, own: &Own) -> Result<Option<Bounds>, SessionError> {
        let starts = self.offsets(topic, Bound::Start)?;
        let ends = self.offsets(topic, Bound::End)?;
        let before = self.archive.facts();
        let mut facts = before.clone();
        let layout = OlderLayout::of(&self.source, &self.archive.columns()?);
        facts.keep_bytes(&self.source.rules(), layout);
        // What the log lost of other partitions may have been read by their archivers, and is theirs to say.
        let changes = facts.register_topic(&topic.log, self.source.start, &starts, &ends, &own.partitions);
        let columns = commit::missing_columns(&self.archive, &self.source)?;
        if facts != before || columns.is_some() {
            let committed = commit::facts(&mut self.archive, facts, columns.as_ref());
            if self.runtime.block_on(committed)? == Committed::Conflict {
                return Ok(None);
            }
            changes.iter().for_each(|change| self.log_change(change, topic));
        }
        Ok(Some(Bounds { starts, ends }))
    }

    /// Starts to read the own partitions where the archive stands.
    fn start_reading(&mut self, topic: Topic, bounds: Bounds, own: Own) -> Result<Reading, SessionError> {
        let positions = self.positions(&topic, &self.archive.facts(), &bounds.starts)?.of(&own.partitions);
        let by = if own.is_granted { "that the group has given" } else { "while the group says nothing" };
        let (some, all) = (own.partitions.len(), topic.partitions);
        info!(topic = self.source.topic, log = topic.log, next = ?positions.next, "archiving {some} of {all} partitions, {by}");
        self.consumer.assign(&positions.starts())?;
        let hurries = std::mem::take(&mut self.is_overtaken) && own.is_granted;
        let mut reading = Reading::new(&self.source, &self.archive.columns()?, topic, positions, bounds.ends, own);
        if hurries {
            reading.hurry();
        }
        Ok(reading)
    }

    /// R12: replaces the client, which may stall for ever after a broker went back to an older copy of its data.
    fn renew(&mut self) -> Result<(), KafkaError> {
        self.consumer = consumer(&self.kafka, &self.settings, &self.source)?;
        self.losses = self.consumer.losses();
        Ok(())
    }

    /// Reads once, and commits if it is time to. Returns whether the session goes on.
    fn read_on(&mut self, reading: &mut Reading) -> Result<bool, SessionError> {
        if reading.waiting.is_empty() {
            reading.poll(&mut self.consumer, &self.source, &mut self.decoder, &self.schemas)?;
        } else if self.learns(&mut reading.waiting) {
            self.consumer.assign(&reading.starts())?;
        }
        let stalled = self.consumer.stalled();
        // Whatever came after the loss may be of another copy of the log: the next session compares first.
        if self.losses.take() || stalled.is_some() {
            let rows = reading.buffer.rows();
            warn!(
                topic = self.source.topic,
                rows,
                ?stalled,
                "a connection to kafka broke or stalls; reading again what is not archived"
            );
            self.renew()?;
            // Connections may break again and again.
            self.pause(self.settings.retry_backoff.get());
            return Ok(false);
        }
        let own = self.own(reading.topic.partitions);
        let moves = own.partitions != reading.own.partitions || self.membership.has_ended();
        if moves && !reading.own.is_granted {
            info!(
                topic = self.source.topic,
                rows = reading.buffer.rows(),
                "what to archive has changed; starting again with that"
            );
            return Ok(false);
        }
        if !moves {
            reading.own.is_granted = own.is_granted;
        }
        // What was read of partitions that others get now is committed first, so that they go on behind it.
        let ends_here =
            moves || !reading.out_of_range.is_empty() || !reading.differs.is_empty() || self.stop.is_cancelled();
        let asks = reading.ends_asked.elapsed() >= self.settings.discover_every.get();
        let commits = reading.buffer.has_progress() && (ends_here || reading.is_due(&self.settings));
        if !(ends_here || asks || commits) {
            return Ok(true);
        }
        // R7: what was read and asked belongs to this log only if the topic still has its id afterwards.
        let ends = asks.then(|| self.offsets(&reading.topic, Bound::End)).transpose();
        let now = self.describe()?;
        if now.as_ref().map(|now| &now.log) != Some(&reading.topic.log) {
            warn!(
                topic = self.source.topic,
                log = reading.topic.log,
                rows = reading.buffer.rows(),
                "the topic was created again or deleted; discarding what was just read, it may belong to another log"
            );
            return Ok(false);
        }
        if let Some(ends) = ends? {
            self.consumer.note_ends(&ends);
            (reading.ends, reading.ends_asked) = (ends, Instant::now());
        }
        if commits && !self.commit(reading)? {
            return Ok(false);
        }
        if !reading.differs.is_empty() {
            self.lose_tails(&reading.topic, &reading.differs)?;
            return Ok(false);
        }
        self.explain_out_of_range(reading)?;
        Ok(!ends_here && now.as_ref() == Some(&reading.topic))
    }

    /// Asks for the schema that partitions wait for. Returns whether it is learned, so that they can be read on. Nothing is read
    /// meanwhile, but what was read is committed in time.
    fn learns(&mut self, waiting: &mut Waiting) -> bool {
        let is_learned = self.runtime.block_on(waiting.ask(&mut self.schemas, &mut self.decoder));
        if !is_learned {
            self.pause(POLL_WAIT);
        }
        is_learned
    }

    /// Says what it means that a log does not hold the next offset. If the log lost records below its new start, the
    /// next session notes the loss. If it ends before the offset, nothing can be done but wait, so that is an error.
    fn explain_out_of_range(&self, reading: &Reading) -> Result<(), SessionError> {
        if reading.out_of_range.is_empty() {
            return Ok(());
        }
        let starts = self.offsets(&reading.topic, Bound::Start)?;
        let ends = self.offsets(&reading.topic, Bound::End)?;
        let of = |offsets: &BTreeMap<i32, i64>, partition: &i32| offsets.get(partition).copied().unwrap_or_default();
        for partition in &reading.out_of_range {
            let id = self.archive.facts().current(&reading.topic.log, *partition);
            let (start, end) = (of(&starts, partition), of(&ends, partition));
            let next = reading.next(*partition).unwrap_or_default();
            if next > end {
                return Err(SessionError::BeyondTheEnd { id, next, end });
            }
            warn!(%id, next, start, end, "kafka said that the log does not hold the next offset; starting again");
            if next >= start {
                // By now the log holds the offset. The wait keeps this from repeating without a pause.
                self.pause(self.settings.retry_backoff.get());
            }
        }
        Ok(())
    }

    /// Commits what was read, and reads on meanwhile, up to what one more commit may hold. Returns false if the session has to end: another
    /// archiver has archived some of its partitions, or something under rules that this one has to replace.
    fn commit(&mut self, reading: &mut Reading) -> Result<bool, SessionError> {
        let rows = reading.take_rows(&self.settings);
        let added = rows.adds(&self.source, &reading.ends);
        // Whether others read the same is not known. Who has committed goes on.
        if !reading.own.is_granted {
            self.runtime.block_on(self.archive.refresh())?;
        }
        let ends = reading.ends.clone();
        let tidies = (self.commits + 1).is_multiple_of(self.settings.checkpoint_every);
        let Archiver { runtime, archive, source, consumer, decoder, schemas, losses, settings, stop, .. } = self;
        let (runtime, source, schemas): (&Handle, &Source, &Schemas) = (runtime, source, schemas);
        let (committed, read) = std::thread::scope(|scope| {
            let committing = scope.spawn(move || {
                runtime.block_on(async {
                    let committed = commit::rows(archive, source, rows, &ends).await?;
                    if tidies && committed != Committed::Conflict {
                        compact::tidy_up(archive, source, schemas).await;
                    }
                    Ok::<_, RowsError>(committed)
                })
            });
            let mut read = Ok(());
            let goes_on = |reading: &Reading| {
                reading.takes_more(settings) && !losses.is_new() && !stop.is_cancelled() && !committing.is_finished()
            };
            while read.is_ok() && goes_on(reading) {
                read = reading.poll(consumer, source, decoder, schemas);
            }
            (committing.join().unwrap_or_else(|panic| resume_unwind(panic)), read)
        });
        if committed? == Committed::Conflict {
            let others: BTreeSet<i32> = self.archive.facts().archived_by_others(&added).collect();
            if reading.own.is_granted {
                // The other one gives way once it has lost, so this one has to come first once.
                self.is_overtaken = !others.is_empty();
            } else {
                self.share.give_way(others, Instant::now());
            }
            return Ok(false);
        }
        self.commits += 1;
        read?;
        // Another archiver may still write under older rules.
        Ok(!archive_again::lacks_bytes(&self.archive.facts(), &self.source))
    }

    fn log_change(&self, change: &Change, now: &Topic) {
        let topic = &self.source.topic;
        match change {
            Change::Closed { log } => {
                warn!(topic, log, now = now.log, "the topic has another id: its old log is closed")
            }
            Change::Reopened { log } => {
                warn!(topic, log, "the topic has the id of a closed log: the log is open again")
            }
            Change::Begun { .. } => {}
            Change::Lost { id, from, to } => {
                error!(%id, from, to, "the log lost offsets before they were archived: answers have a gap until `braid lost accept`");
            }
        }
    }

    fn describe(&self) -> Result<Option<Topic>, KafkaError> {
        self.runtime.block_on(self.topics.describe(&self.source.topic))
    }

    fn offsets(&self, topic: &Topic, bound: Bound) -> Result<BTreeMap<i32, i64>, KafkaError> {
        let partitions: Vec<i32> = (0..topic.partitions).collect();
        self.runtime.block_on(self.topics.offsets(&self.source.topic, &partitions, bound))
    }

    /// Waits that long, or until `stop`.
    fn pause(&self, wait: Duration) {
        self.runtime.block_on(async {
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = self.stop.cancelled() => {}
            }
        });
    }
}

/// A consumer of the source. A commit waits for more records, and so may Kafka for a part of that.
fn consumer(kafka: &settings::Kafka, settings: &settings::Archive, source: &Source) -> Result<Consumer, KafkaError> {
    let gathered = (settings.linger.get() / GATHERED_PART).max(GATHERED_MIN);
    Consumer::gathering(kafka, &source.topic, gathered)
}
