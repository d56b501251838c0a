//! Reads what is known about one source: its archive and its batch views from the snapshot, its shards from Redis, and the ends of
//! its partitions from Kafka.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use shared_logic::catalog::Source;
use shared_logic::complete::TopicState;
use shared_logic::contracts::archive::{ColumnsOnly, Facts, LogFacts, PartitionFacts};
use shared_logic::log::PartitionId;
use shared_logic::time::{format_day, format_rfc3339};

use super::OVER_SHOWN;
use super::body::{ImportStatus, LogStatus, PartitionStatus, RejectStatus, SourceStatus};
use super::erasures;
use crate::snapshot::Snapshot;
use crate::speed_view::ShardReadings;
use crate::topics::TopicClient;
use crate::versions::Version;

/// How long Kafka may take to give the ends of partitions. Beyond, the status comes without them.
const KAFKA_WITHIN: Duration = Duration::from_secs(2);

/// Reads the status of one source, as of one snapshot.
pub(in crate::routes) struct SourceReader<'a> {
    version: &'a Version,
    snapshot: &'a Snapshot,
    source: &'a Source,
    /// The last description of the topic.
    topic: Option<&'a TopicState>,
}

impl<'a> SourceReader<'a> {
    pub(in crate::routes) fn new(version: &'a Version, snapshot: &'a Snapshot, source: &'a Source) -> SourceReader<'a> {
        let topic = snapshot.topic(&source.name).and_then(|topic| topic.value.as_ref());
        SourceReader { version, snapshot, source, topic }
    }

    /// The status of the source, and why Kafka could not be asked about it.
    pub(in crate::routes) async fn read(&self, topics: &dyn TopicClient) -> (SourceStatus, Option<String>) {
        let archive = self.snapshot.archive(&self.source.name);
        let no_facts = Facts::default();
        let facts = archive.map_or(&no_facts, |archive| archive.facts.as_ref());
        let rules = self.source.decoding_rules();
        let hidden = facts.hidden(&self.version.catalog.deployment.version, &rules, OVER_SHOWN);
        let ids = self.partitions(facts, &hidden);
        let read = self.version.speed.positions(&self.source.name, ids.iter().cloned()).await.unwrap_or_default();
        let (ends, error) = match self.ends(topics).await {
            Ok(ends) => (ends, self.topic_error()),
            Err(error) => (BTreeMap::new(), Some(error)),
        };
        let partitions = ids.iter().map(|id| {
            let is_current = self.log().is_some_and(|log| facts.current(log, id.partition) == *id);
            let end = ends.get(&id.partition).copied().filter(|_| is_current);
            self.partition(facts, id, &read, end)
        });
        let logs = facts.logs.iter().filter(|log| !hidden.contains(log.log.as_str()));
        let logs = logs.map(|log| LogStatus { log: log.log.clone(), closed: log.closed, import: import(log) });
        let rejects = facts.rejects.iter().map(|(reason, rejects)| RejectStatus {
            reason: *reason,
            count: rejects.count,
            last: rejects.last.clone(),
        });
        let version = &self.version.catalog.deployment.version;
        let (erasures, erasures_not_shown) = erasures::outstanding(facts, version, &self.first_held());
        let status = SourceStatus {
            name: self.source.name.clone(),
            topic: self.source.topic.clone(),
            log: self.log().cloned(),
            looked_at: self.topic.map(|topic| format_rfc3339(topic.at_us)),
            archive_version: archive.map(|archive| archive.version),
            retired_before: facts.retired_before.map(format_day),
            logs: logs.collect(),
            logs_not_shown: hidden.len(),
            partitions: partitions.collect(),
            rejects: rejects.collect(),
            erasures,
            erasures_not_shown,
        };
        (status, error)
    }

    /// The first day that each view of the source holds, in days since 1970; `None`: every day.
    fn first_held(&self) -> Vec<Option<i64>> {
        let metrics = self.version.catalog.metrics_of(&self.source.name);
        metrics.filter_map(|metric| self.snapshot.view(&metric.name)).map(|view| view.note.retired_before).collect()
    }

    /// The topic's log.
    fn log(&self) -> Option<&String> {
        self.topic?.log.as_ref().map(|(log, _)| log)
    }

    /// Every partition that the topic, the archive or a cut names, without those of hidden logs.
    fn partitions(&self, facts: &Facts, hidden: &BTreeSet<&str>) -> BTreeSet<PartitionId> {
        let shown = facts.logs.iter().filter(|log| !hidden.contains(log.log.as_str()));
        let mut ids: BTreeSet<PartitionId> = shown.flat_map(|log| log.ids()).collect();
        let log = self.topic.and_then(|topic| topic.log.as_ref()).into_iter();
        ids.extend(log.flat_map(|(log, count)| (0..*count).map(|n| facts.current(log, n))));
        for metric in self.version.catalog.metrics_of(&self.source.name) {
            let view = self.snapshot.view(&metric.name).into_iter();
            let named = view.flat_map(|view| view.note.cut.iter().map(|(id, _)| id));
            ids.extend(named.filter(|id| !hidden.contains(id.log.as_str())).cloned());
        }
        ids
    }

    fn partition(&self, facts: &Facts, id: &PartitionId, read: &ShardReadings, end: Option<i64>) -> PartitionStatus {
        let archived = facts.partition(id);
        let shard = read.shards.get(id).and_then(Option::as_ref);
        let cursor = shard.map(|shard| shard.cursor);
        let cuts = self.version.catalog.metrics_of(&self.source.name).map(|metric| {
            let view = self.snapshot.own_view(self.version.asked(metric));
            (metric.name.clone(), view.and_then(|view| view.note.cut.get(id)))
        });
        PartitionStatus {
            log: id.log.clone(),
            partition: id.partition,
            closed: facts.is_ended(id),
            begin: archived.map(|archived| archived.begin).or_else(|| read.begin(id)),
            next: archived.map(|archived| archived.next),
            cursor,
            slices: shard.map(|shard| shard.slices.clone()),
            as_of: read.as_of_us(id).map(format_rfc3339),
            cuts: cuts.collect(),
            end,
            speed_lag: end.zip(cursor).map(|(end, cursor)| (end - cursor).max(0)),
            archive_lag: end.zip(archived).map(|(end, archived)| (end - archived.next).max(0)),
            lost: archived.map(|archived| archived.lost.clone()).unwrap_or_default(),
            not_decodable: self.not_decodable(facts, archived),
        }
    }

    /// The ranges that were archived without bytes, and that cannot be decoded under the rules that the source has now.
    fn not_decodable(&self, facts: &Facts, archived: Option<&PartitionFacts>) -> Vec<ColumnsOnly> {
        let rules = self.source.decoding_rules();
        let decodable = facts.decodable(&rules);
        let ranges = archived.into_iter().flat_map(|archived| &archived.columns_only);
        ranges.filter(|range| !decodable.holds(range)).cloned().collect()
    }

    /// Why the topic's last description failed.
    fn topic_error(&self) -> Option<String> {
        match self.snapshot.topic(&self.source.name) {
            Some(topic) if topic.is_tried() => topic.error.clone(),
            _ => Some(format!("kafka has not described topic {} yet", self.source.topic)),
        }
    }

    /// The end offsets of the topic's partitions; none of them if there is no topic.
    async fn ends(&self, topics: &dyn TopicClient) -> Result<BTreeMap<i32, i64>, String> {
        let Some((_, count)) = self.topic.and_then(|topic| topic.log.as_ref()) else { return Ok(BTreeMap::new()) };
        let partitions: Vec<i32> = (0..*count).collect();
        let topic = &self.source.topic;
        match tokio::time::timeout(KAFKA_WITHIN, topics.ends(topic, &partitions)).await {
            Ok(ends) => ends.map_err(|error| error.to_string()),
            Err(_) => Err(format!("kafka did not give the ends of topic {topic} within {KAFKA_WITHIN:?}")),
        }
    }
}

/// The file that a log was imported from, if it was.
fn import(log: &LogFacts) -> Option<ImportStatus> {
    let import = log.import.as_ref()?;
    Some(ImportStatus {
        file: import.file.clone(),
        at: format_rfc3339(import.at_us),
        rows: log.partitions.values().map(|partition| partition.next - partition.begin).sum(),
        rejected: import.rejects.values().sum(),
    })
}
