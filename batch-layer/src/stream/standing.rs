//! How far each stream is, as Kafka and the archive of its source say it, and what stops it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use platform::kafka::{Bound, KafkaError, Topics};
use platform::settings::Settings;
use platform::store::StoreError;
use serde::Serialize;
use shared_logic::catalog::{Catalog, DefinitionHash, Source};
use shared_logic::contracts::reconciliation::StreamCheck;
use shared_logic::contracts::stream::ProgressNoted;
use shared_logic::stream_standing::{self, SeenArchive, SeenLane, SeenLanes, SeenTopic};
use shared_logic::stream_topics::{WrittenKind, written_topics};
use storage::{Archive, ReconciliationsError, RowsOf, Storage};

use super::progress;

/// How long a broker may take to say who it is.
const CLUSTER_WITHIN: Duration = Duration::from_secs(5);

/// A stream as it stands.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Standing {
    /// The stream's name.
    pub stream: String,
    /// The source or stream that it reads.
    pub from: String,
    /// The topic that it writes.
    pub topic: String,
    /// Its definition in this catalog.
    pub definition: DefinitionHash,
    /// How far it is in each partition that it reads.
    pub partitions: Vec<StandingPartition>,
    /// What stops it, as sentences; nothing if nothing does.
    pub stopped: Vec<String>,
    /// What the newest check has found; `None` before the first.
    pub check: Option<StreamCheck>,
}

/// How far a stream is in a partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StandingPartition {
    /// The partition.
    pub partition: i32,
    /// The offset of the first output that is not published; `None`: nothing of this log is.
    pub published: Option<i64>,
    /// Where the log ends; `None` if that is not known.
    pub end: Option<i64>,
    /// How many offsets are not decided; `None` if that is not known.
    pub behind: Option<i64>,
    /// Whether outputs are decided from an incomplete past (T8).
    pub incomplete: bool,
}

/// Why it is not known how streams stand.
#[derive(Debug, thiserror::Error)]
pub enum StandingError {
    /// Kafka did not answer.
    #[error(transparent)]
    Kafka(#[from] KafkaError),
    /// An archive could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The rows of checks could not be read.
    #[error(transparent)]
    Reconciliations(#[from] ReconciliationsError),
}

/// How the streams over a source stand.
///
/// # Errors
/// [`StandingError`].
pub async fn of_source(
    settings: &Settings,
    storage: &Storage,
    catalog: &Catalog,
    source: &Source,
) -> Result<Vec<Standing>, StandingError> {
    let archive = storage.archive(&source.name).await?;
    let seen = seen(settings, catalog, source, archive.as_ref()).await?;
    let rows = storage.reconciliations().await?;
    let mut standings = Vec::new();
    for stream in catalog.streams_of(&source.name) {
        let check = match &rows {
            Some(rows) => rows.newest(RowsOf::Stream(&stream.name), 1).await?.pop().and_then(|row| row.stream_check),
            None => None,
        };
        let definition = catalog.stream_definition(stream);
        let known = seen.standing(&stream.name, &definition);
        standings.push(Standing {
            stream: stream.name.clone(),
            from: stream.from.clone(),
            topic: stream.topic.clone(),
            definition,
            partitions: known.partitions.iter().map(StandingPartition::new).collect(),
            stopped: known.stopped.iter().map(ToString::to_string).collect(),
            check,
        });
    }
    Ok(standings)
}

/// Looks at all that says how the streams over a source stand. The archive was read before: a lane publishes before it leaves anything
/// there.
async fn seen(
    settings: &Settings,
    catalog: &Catalog,
    source: &Source,
    archive: Option<&Archive>,
) -> Result<SeenLanes, StandingError> {
    let archive = match archive {
        Some(archive) => {
            SeenArchive::Of(Arc::new(archive.facts()), archive.lanes_noted(&catalog.deployment.version).await?)
        }
        None => SeenArchive::Nothing,
    };
    let cluster = platform::kafka::cluster(&settings.kafka, CLUSTER_WITHIN).await?;
    let topics = Topics::new(&settings.kafka)?;
    let described = async |topic: &str| -> Result<Option<SeenTopic>, KafkaError> {
        let known = topics.describe(topic).await?;
        Ok(known.map(|known| SeenTopic { log: known.log, partitions: known.partitions }))
    };
    let topic = described(&source.topic).await?;
    let mut written = Vec::new();
    let mut noted = BTreeMap::new();
    for of in written_topics(catalog, &source.name) {
        let known = described(&of.name).await?;
        if let (WrittenKind::Progress, Some(known)) = (of.kind, &known) {
            noted = progress::noted(&settings.kafka, &topics, &of.name, known.partitions).await?;
        }
        written.push((of, known));
    }
    let partitions: Vec<i32> = (0..topic.as_ref().map_or(0, |topic| topic.partitions)).collect();
    // After what was published: that was read up to there.
    let ends = topics.offsets(&source.topic, &partitions, Bound::End).await?;
    let lane = |partition: i32, noted: ProgressNoted| {
        let end = ends.get(&partition).copied();
        (partition, SeenLane { end, published_us: noted.written_us, published: noted.published })
    };
    let lanes = partitions.into_iter().map(|partition| lane(partition, noted.remove(&partition).unwrap_or_default()));
    let lanes = lanes.collect();
    let former = noted.into_iter().map(|(partition, noted)| lane(partition, noted)).collect();
    let knows_transactions = cluster.map(|cluster| !cluster.is_in_process());
    Ok(SeenLanes { source: source.name.clone(), knows_transactions, topic, written, lanes, former, archive })
}

impl StandingPartition {
    fn new(known: &stream_standing::StandingPartition) -> StandingPartition {
        StandingPartition {
            partition: known.id.partition,
            published: known.published.map(|position| position.offset),
            end: known.end,
            behind: known.behind,
            incomplete: known.incomplete,
        }
    }
}
