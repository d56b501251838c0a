//! Reads streams: what is archived of them, what only the log holds yet, and what is written from now on.
//!
//! An answer takes the archive's rows and facts from one snapshot, and reads the log from exactly where these facts end. So every output is
//! in one of the two, and none between them. Whatever both hold, or was written twice, is one output by its id and time. Only committed records
//! are read.
//!
//! - `question`: what is asked;
//! - `archive`: archived rows; `tail`: what lies behind them; `newest`: the newest of both;
//! - `events`: those who watch a stream;
//! - `lanes`: how far the lanes have come that write streams;
//! - `output`: records → outputs;
//! - `positions`: how far a reader has come; `log_bounds`: what there is to read;
//! - `log`: bounded ranges of a log; `log_client`: who reads them; `access`: what all readers share.

mod access;
mod archive;
mod events;
mod lanes;
mod log;
mod log_bounds;
mod log_client;
mod newest;
mod output;
mod positions;
mod question;
mod tail;

use std::collections::BTreeMap;
use std::sync::Arc;

use platform::kafka::KafkaError;
use platform::store::StoreError;
use platform::telemetry::error_text;
use serde_json::Value;
use shared_logic::catalog::{DefinitionHash, Source, Stream};
use shared_logic::complete::{Gap, Why};
use shared_logic::contracts::archive::Facts;
use tracing::warn;

use crate::snapshot::{ArchiveFacts, SnapshotCache, Unreadable};
use events::SharedTail;
use log_bounds::LogBounds;
use newest::Newest;

pub(crate) use access::Access;
pub(crate) use events::{Served, Serves, Watcher};
pub(crate) use lanes::{LaneReader, Lanes};
pub(crate) use log_client::KafkaLogs;
pub use log_client::{Follower, LogClient, LogRecord, Told};
pub(crate) use positions::Positions;
pub(crate) use question::{Filter, Question, WantedValue};

/// How often an answer is begun anew, if the topic changes while it is read.
const ATTEMPTS: usize = 3;

/// Reads one stream.
pub(crate) struct StreamReader {
    pub(crate) stream: Stream,
    /// The stream as what is read of its topic.
    pub(crate) source: Source,
    pub(crate) definition: DefinitionHash,
    snapshots: Arc<SnapshotCache>,
    access: Arc<Access>,
    tail: SharedTail,
}

/// The newest outputs of a stream.
pub(crate) struct Outputs {
    /// As they were written, the newest first.
    pub(crate) outputs: Vec<Value>,
    /// Whether there are older ones within the range.
    pub(crate) has_more: bool,
    /// Every output below is regarded; `None` if there is no topic.
    pub(crate) at: Option<Positions>,
    /// What may be missing.
    pub(crate) gaps: Vec<Gap>,
}

/// Why a stream cannot be read now.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotRead {
    /// The archives are still being read for the first time.
    #[error("the archive of {0} is still being loaded")]
    Loading(String),
    /// The archive was never read, or cannot be read now.
    #[error("{0}")]
    Store(String),
    /// The topic changed again and again.
    #[error("topic {0} changed while it was read")]
    Changed(String),
}

/// What came of one attempt to read what lies behind the archive.
struct Behind {
    newest: Newest,
    at: Option<Positions>,
    gaps: Vec<Gap>,
}

impl StreamReader {
    /// Nothing is read yet.
    pub(crate) fn new(
        stream: &Stream,
        source: &Source,
        definition: DefinitionHash,
        snapshots: &Arc<SnapshotCache>,
        access: &Arc<Access>,
    ) -> StreamReader {
        StreamReader {
            stream: stream.clone(),
            source: source.clone(),
            definition,
            snapshots: Arc::clone(snapshots),
            access: Arc::clone(access),
            tail: SharedTail::default(),
        }
    }

    /// The newest outputs that a question asks for. `from_us`: the start of its range, if it names one.
    ///
    /// # Errors
    /// [`NotRead`]. That Kafka does not answer is a gap.
    pub(crate) async fn newest(&self, question: &Question, from_us: Option<i64>) -> Result<Outputs, NotRead> {
        for _ in 0..ATTEMPTS {
            let archive = self.archived().await?;
            let facts = archive.as_ref().map(|archive| Arc::clone(&archive.facts)).unwrap_or_default();
            let archived = self.newest_archived(archive.as_ref(), question);
            let (archived, behind) = tokio::join!(archived, self.newest_behind(&facts, question));
            let Some(Behind { mut newest, at, mut gaps }) = behind else { continue };
            newest.merge(archived.map_err(|error| NotRead::Store(error_text(&error)))?);
            gaps.extend(tail::archive_gaps(&facts, &self.source.decoding_rules(), from_us));
            let (outputs, has_more) = newest.into_outputs();
            return Ok(Outputs { outputs, has_more, at, gaps });
        }
        Err(NotRead::Changed(self.source.topic.clone()))
    }

    /// A client that watches this stream of that version, and whatever `serves` says later; `None` if there are too many.
    pub(crate) fn watch(
        self: &Arc<Self>,
        version: &str,
        filter: Filter,
        serves: Box<dyn Serves>,
        at: Option<Positions>,
    ) -> Option<Watcher> {
        let place = self.access.watchers.place()?;
        Some(Watcher::new(version, (Arc::clone(self), filter), serves, at, place))
    }

    /// The log of its topic, as it was described last.
    pub(crate) fn log(&self) -> Option<String> {
        let snapshot = self.snapshots.current()?;
        let (log, _) = snapshot.topic(&self.source.name)?.value.as_ref()?.log.clone()?;
        Some(log)
    }

    async fn newest_archived(&self, archive: Option<&ArchiveFacts>, question: &Question) -> Result<Newest, StoreError> {
        let Some(archive) = archive else { return Ok(Newest::new(question.limit)) };
        // Never closed.
        let _place = self.access.archive_reads.acquire().await;
        archive::newest(&archive.table, &archive.facts, &self.source, question).await
    }

    /// What lies behind an archive of those facts; `None` if the topic has changed meanwhile.
    async fn newest_behind(&self, facts: &Facts, question: &Question) -> Option<Behind> {
        match self.read_behind(facts, question).await {
            Ok(behind) => behind,
            Err(error) => {
                warn!(stream = self.source.name, error = error_text(&error), "cannot read what is not archived yet");
                let gap = Gap { partition: None, why: Why::TopicUnknown };
                Some(Behind { newest: Newest::new(question.limit), at: self.archived_at(facts), gaps: vec![gap] })
            }
        }
    }

    async fn read_behind(&self, facts: &Facts, question: &Question) -> Result<Option<Behind>, KafkaError> {
        let Some(bounds) = LogBounds::ask(&self.access, &self.source.topic, facts).await? else {
            return Ok(Some(Behind { newest: Newest::new(question.limit), at: None, gaps: Vec::new() }));
        };
        let tail::Tail { ranges, at, gaps } = tail::behind(facts, &bounds);
        let read = tail::newest(&self.access, &self.source, ranges, question).await?;
        // R7: offsets and records are of this log if the topic still has its id.
        let now = self.access.topics.describe(&self.source.topic).await?;
        let is_same = now.is_some_and(|now| now.log == bounds.topic());
        Ok((is_same && !read.is_out_of_range).then_some(Behind { newest: read.made, at: Some(at), gaps }))
    }

    /// Where the archive ends, of the topic as it was described last.
    fn archived_at(&self, facts: &Facts) -> Option<Positions> {
        let snapshot = self.snapshots.current()?;
        let (log, partitions) = snapshot.topic(&self.source.name)?.value.as_ref()?.log.clone()?;
        let nothing: BTreeMap<i32, i64> = (0..partitions).map(|partition| (partition, 0)).collect();
        let bounds = LogBounds::new(&log, &nothing, &nothing, facts);
        Some(bounds.positions(|bounds| facts.partition(&bounds.id).map_or(0, |known| known.next)))
    }

    /// Asks Kafka what there is to read; `None` if there is no topic.
    async fn bounds(&self) -> Result<Option<LogBounds>, KafkaError> {
        let facts = self.archive().map(|archive| archive.facts).unwrap_or_default();
        LogBounds::ask(&self.access, &self.source.topic, &facts).await
    }

    /// The archive as it was read last; `None` if there is none, or it was never read.
    fn archive(&self) -> Option<ArchiveFacts> {
        self.snapshots.current()?.archive(&self.source.name).cloned()
    }

    /// The archive; `None` if there is none yet.
    async fn archived(&self) -> Result<Option<ArchiveFacts>, NotRead> {
        let loading = || NotRead::Loading(self.source.name.clone());
        let snapshot = self.snapshots.newest().await.ok_or_else(loading)?;
        match snapshot.archive_unreadable(&self.source.name) {
            None => Ok(snapshot.archive(&self.source.name).cloned()),
            Some(Unreadable::Loading) => Err(loading()),
            Some(Unreadable::Failed(reason)) => Err(NotRead::Store(reason.to_owned())),
        }
    }
}
