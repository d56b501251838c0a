//! How far each stream is, as Kafka and the archive of its source say it, and what stops it.

use std::collections::BTreeMap;
use std::time::Duration;

use platform::kafka::{Bound, KafkaError, Topics};
use platform::settings::Settings;
use platform::store::StoreError;
use serde::Serialize;
use shared_logic::catalog::{Catalog, DefinitionHash, Source};
use shared_logic::contracts::archive::Facts;
use shared_logic::contracts::reconciliation::StreamCheck;
use shared_logic::contracts::stream::{ProgressNoted, Published};
use shared_logic::log::PartitionId;
use shared_logic::stream::LanePlan;
use storage::{ReconciliationsError, RowsOf, Storage};

use super::progress::{self, Asked};

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
    /// Where the log ends.
    pub end: i64,
    /// How many offsets are not published.
    pub behind: i64,
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
    let plan = LanePlan::new(catalog, source);
    let mut stopped = Vec::new();
    let cluster = platform::kafka::cluster(&settings.kafka, CLUSTER_WITHIN).await?;
    if cluster.is_some_and(|cluster| cluster.is_in_process()) {
        stopped.push("the in-process broker knows no transactions, so streams are not written".to_owned());
    }
    let asked = match progress::ask(&settings.kafka, catalog, source).await? {
        Ok(asked) => Some(asked),
        Err(missing) => {
            stopped.push(no_topic(&missing.0));
            None
        }
    };
    let topics = Topics::new(&settings.kafka)?;
    for stream in catalog.streams_of(&source.name).filter(|stream| stream.has_side_output()) {
        let late = stream.late_topic();
        if topics.describe(&late).await?.is_none() {
            stopped.push(no_topic(&late));
        }
    }
    let (mut ends, mut facts) = (BTreeMap::new(), Facts::default());
    let archive = storage.archive(&source.name).await?;
    if let Some(asked) = &asked {
        let partitions: Vec<i32> = (0..asked.partitions).collect();
        ends = topics.offsets(&source.topic, &partitions, Bound::End).await?;
        match &archive {
            Some(archive) => {
                facts = archive.facts();
                let version = &catalog.deployment.version;
                let begun = archive.lanes_begun(version).await?;
                let mut lost = begun.is_some_and(|begun| begun != asked.progress_log);
                for id in ids(asked, &facts) {
                    let nothing = asked.noted.get(&id.partition).is_none_or(|noted| noted.published.is_empty());
                    lost = lost || (nothing && archive.has_snapshot(&id).await?);
                }
                if lost {
                    stopped.push(format!(
                        "the progress topic was lost, so nothing says what was published: see `braid streams set-published {}`",
                        source.name
                    ));
                }
            }
            None => stopped.push(format!("nothing of {} is archived yet", source.name)),
        }
    }
    let rows = storage.reconciliations().await?;
    let mut standings = Vec::new();
    for (stream, declared) in plan.streams().iter().zip(catalog.streams_of(&source.name)) {
        let check = match &rows {
            Some(rows) => rows.newest(RowsOf::Stream(&stream.name), 1).await?.pop().and_then(|row| row.stream_check),
            None => None,
        };
        let (mut partitions, mut stopped) = (Vec::new(), stopped.clone());
        for id in asked.iter().flat_map(|asked| ids(asked, &facts)) {
            let noted = asked.as_ref().and_then(|asked| asked.noted.get(&id.partition));
            let end = ends.get(&id.partition).copied().unwrap_or_default();
            let begin = facts.partition(&id).map(|known| known.begin);
            let (partition, why) = of_partition(&stream.name, &stream.definition, &id, noted, end, begin);
            partitions.push(partition);
            stopped.extend(why);
        }
        standings.push(Standing {
            stream: stream.name.clone(),
            from: declared.from.clone(),
            topic: stream.topic.clone(),
            definition: stream.definition.clone(),
            partitions,
            stopped,
            check,
        });
    }
    Ok(standings)
}

fn no_topic(topic: &str) -> String {
    format!("topic {topic} does not exist; `batch-layer init` creates it")
}

/// The partitions of the source's log.
fn ids<'a>(asked: &'a Asked, facts: &'a Facts) -> impl Iterator<Item = PartitionId> + 'a {
    (0..asked.partitions).map(move |partition| facts.current(&asked.log, partition))
}

/// How far a stream is in a partition that ends there, and what stops it. `begin`: where the archive begins the partition.
fn of_partition(
    stream: &str,
    definition: &DefinitionHash,
    id: &PartitionId,
    noted: Option<&ProgressNoted>,
    end: i64,
    begin: Option<i64>,
) -> (StandingPartition, Option<String>) {
    let known = noted.and_then(|noted| noted.published.get(stream));
    let published: Option<&Published> = known.filter(|published| published.log == id.log);
    let offset = published.map(|published| published.position.offset);
    let stopped = match published {
        _ if begin.is_none() => Some(format!("the archive has not begun {id}")),
        Some(published) if published.position.offset > end => {
            let at = published.position.offset;
            Some(format!("{id} was read up to {at}, and its log ends at {end}: the broker lost data"))
        }
        Some(published) if published.definition != *definition => Some(format!(
            "{id} is written by another definition, {}: `speed-layer` runs with another catalog",
            published.definition
        )),
        None => Some(format!("nothing of {id} is published: is `speed-layer` running?")),
        Some(_) => None,
    };
    let partition = StandingPartition {
        partition: id.partition,
        published: offset,
        end,
        behind: (end - offset.or(begin).unwrap_or(end)).max(0),
        incomplete: published.is_some_and(|published| published.incomplete),
    };
    (partition, stopped)
}

#[cfg(test)]
mod tests {
    use shared_logic::stream::{Fronts, OutputPosition};

    use super::*;

    fn hash(n: u8) -> DefinitionHash {
        format!("{n:016x}").parse().expect("16 digits")
    }

    /// How the stream `a` of the definition 1 stands, that is published up to 40 by that definition.
    fn standing(log: &str, published_by: u8, end: i64, begin: Option<i64>) -> (StandingPartition, Option<String>) {
        let published = Published {
            log: "log".to_owned(),
            position: OutputPosition { offset: 40, n: 2 },
            fronts: Fronts::new(false),
            definition: hash(published_by),
            checked: None,
            incomplete: false,
        };
        let published = BTreeMap::from([("a".to_owned(), published)]);
        let noted = ProgressNoted { published, ..ProgressNoted::default() };
        of_partition("a", &hash(1), &PartitionId::new(log, 0), Some(&noted), end, begin)
    }

    #[test]
    fn a_stream_is_behind_by_what_its_log_holds_beyond_what_is_published() {
        let (partition, stopped) = standing("log", 1, 100, Some(5));
        assert_eq!((partition.published, partition.behind, stopped), (Some(40), 60, None));
        let (partition, stopped) = standing("another", 1, 100, Some(5));
        assert_eq!((partition.published, partition.behind), (None, 95));
        assert!(stopped.expect("it stands").contains("is `speed-layer` running?"));
    }

    #[test]
    fn what_stops_a_stream_is_said() {
        let why = |(_, stopped): (StandingPartition, Option<String>)| stopped.expect("it stands");
        assert!(why(standing("log", 1, 100, None)).contains("has not begun"));
        assert!(why(standing("log", 1, 39, Some(5))).contains("the broker lost data"));
        assert!(why(standing("log", 2, 100, Some(5))).contains("another definition"));
    }
}
