//! Lookups of lanes: the rows that the events of a micro-batch name, before these are decided (B4).
//!
//! A lane asks all partitions of a table, each for all keys by one command: which partition holds a key is its producer's choice. What it
//! is told of a partition is as of the cursor that the same command reads.
//!
//! A lane waits until every partition's rows have reached what its log's end was when the lane began to look, and again after they were
//! filled anew. So a row is missing only because the table has none.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use metrics::counter;
use platform::kafka::{Bound, KafkaError, Topics};
use platform::redis::Connection;
use platform::store::StoreError;
use polars::prelude::{DataFrame, PolarsResult};
use shared_logic::catalog::{Catalog, DefinitionHash, Deployment, Source};
use shared_logic::contracts::archive::Facts;
use shared_logic::contracts::speed_view::Instance;
use shared_logic::contracts::table_rows::{HeldChange, LastChange, NotAChange, RowsKey, found, partitions};
use shared_logic::log::PartitionId;
use shared_logic::stream::{Found, LanePlan, LookedUp, LookupPlan};
use shared_logic::table::LogOrder;
use storage::{Followed, Storage, TableRowsClient, TableRowsError};
use tokio::sync::Mutex;

/// How many fields are read with one round trip, about.
const FIELDS_MAX: usize = 16_000;
/// After how long it is asked whether the topic has more partitions by now.
const ASKED_EVERY: Duration = Duration::from_secs(10);

/// The tables that the streams over a source look into.
pub struct LookedInto {
    plan: Arc<LanePlan>,
    /// By the table's name.
    tables: BTreeMap<String, LookedIntoTable>,
    topics: Topics,
    rows: TableRowsClient,
    redis: Connection,
}

struct LookedIntoTable {
    deployment: Deployment,
    source: Source,
    definition: DefinitionHash,
    archive: Mutex<Followed<Facts>>,
}

/// The lookups of one lane.
pub struct Lookups {
    into: Arc<LookedInto>,
    /// What is known of each table.
    known: BTreeMap<String, Known>,
}

/// What a lane knows of a table.
struct Known {
    /// The topic's log.
    log: String,
    logs: LogOrder,
    partitions: Vec<Watched>,
    /// How many commits had taken erased changes out of the archive.
    erasures: usize,
    asked: Instant,
}

/// A partition of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Watched {
    id: PartitionId,
    key: RowsKey,
    /// What its cursor has to have reached.
    at_least: i64,
    /// Whose rows were read last.
    instance: Option<Instance>,
}

/// A table cannot be looked into yet.
#[derive(Debug, thiserror::Error)]
#[error("waits for the table `{table}`")]
pub struct NotYet {
    /// The table's name.
    pub table: String,
    /// Why not.
    #[source]
    pub why: WhyNotYet,
}

/// Why a table cannot be looked into yet.
#[derive(Debug, thiserror::Error)]
pub enum WhyNotYet {
    /// Its topic is not there.
    #[error("topic {topic} does not exist: `batch-layer init` creates the topics that the catalog declares")]
    NoTopic {
        /// The topic's name.
        topic: String,
    },
    /// Redis has no rows of a partition.
    #[error(
        "the rows of {id} are not filled in yet; if its topic is compacted, the table has to be materialised first: the next reconcile does that, \
         or `batch-layer table materialise`"
    )]
    Missing {
        /// The partition.
        id: PartitionId,
    },
    /// Rows have not come to where the log ended when the lane began to look.
    #[error("the rows of {id} stand for offsets below {cursor}, and the log had reached {at_least}")]
    Behind {
        /// The partition.
        id: PartitionId,
        /// The first offset that they do not stand for.
        cursor: i64,
        /// What that has to be at least.
        at_least: i64,
    },
    /// A worker with another catalog keeps them.
    #[error(
        "the rows of {id} are kept by another definition of the table: start every speed-layer of this version with this catalog, or \
         give the deployment another version"
    )]
    OtherDefinition {
        /// The partition.
        id: PartitionId,
    },
    /// Rows may hold what was erased since they were filled.
    #[error(
        "changes of the table were erased since the rows of {id} were filled: it has to be materialised without them, which \
         `batch-layer schedule` does within seconds, or `batch-layer table materialise`"
    )]
    Erased {
        /// The partition.
        id: PartitionId,
    },
    /// They are other rows than those that were read before, so the log's ends are asked for again.
    #[error("the rows of {id} were filled anew")]
    Refilled {
        /// The partition.
        id: PartitionId,
    },
    /// A row cannot be understood.
    #[error(transparent)]
    Unreadable(#[from] NotAChange),
    /// Kafka did not answer.
    #[error(transparent)]
    Kafka(#[from] KafkaError),
    /// Redis did not answer.
    #[error(transparent)]
    Rows(#[from] TableRowsError),
    /// The archive of the table cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl LookedInto {
    /// The tables that a plan looks into.
    pub fn of(
        catalog: &Catalog,
        plan: Arc<LanePlan>,
        storage: &Storage,
        topics: Topics,
        redis: Connection,
    ) -> LookedInto {
        let tables = plan.lookups().iter().filter_map(|lookup| {
            let table = catalog.tables.get(&lookup.table)?;
            let looked_into = LookedIntoTable {
                deployment: catalog.deployment.clone(),
                source: catalog.sources.get(&table.name)?.clone(),
                definition: catalog.table_definition(table),
                archive: Mutex::new(storage.follow_archive(&table.name)),
            };
            Some((table.name.clone(), looked_into))
        });
        LookedInto { tables: tables.collect(), plan, topics, rows: TableRowsClient::default(), redis }
    }
}

impl Lookups {
    /// Those of a lane that begins now.
    pub fn new(into: Arc<LookedInto>) -> Lookups {
        Lookups { into, known: BTreeMap::new() }
    }

    /// What each of the plan's lookups finds for these events; or why that cannot be known yet, as Redis, Kafka or a table is not that far.
    ///
    /// # Errors
    /// If the events lack a field: a mistake of the caller.
    pub async fn find(&mut self, events: &DataFrame) -> PolarsResult<Result<Vec<LookedUp>, NotYet>> {
        let plan = Arc::clone(&self.into.plan);
        let mut all = Vec::with_capacity(plan.lookups().len());
        for lookup in plan.lookups() {
            let keys = lookup.keys(events)?;
            match self.rows(lookup, &keys.keys).await {
                Ok(found) => all.push(LookedUp { of: keys.of, found }),
                Err(why) => {
                    if matches!(why, WhyNotYet::Refilled { .. }) {
                        self.known.remove(&lookup.table);
                    }
                    return Ok(Err(NotYet { table: lookup.table.clone(), why }));
                }
            }
        }
        for (lookup, looked_up) in plan.lookups().iter().zip(&all) {
            let missing = looked_up.missing();
            if missing > 0 {
                counter!("braid_lookup_missing_total", "table" => lookup.table.clone()).increment(missing as u64);
            }
        }
        Ok(Ok(all))
    }

    /// What stands under these keys, in their order.
    async fn rows(&mut self, lookup: &LookupPlan, keys: &[String]) -> Result<Vec<Found>, WhyNotYet> {
        let mut found = Vec::with_capacity(keys.len());
        while found.len() < keys.len() {
            found.extend(self.some_rows(lookup, &keys[found.len()..]).await?);
        }
        Ok(found)
    }

    /// What stands under the first of these keys, as many as one look is for.
    async fn some_rows(&mut self, lookup: &LookupPlan, keys: &[String]) -> Result<Vec<Found>, WhyNotYet> {
        let into = Arc::clone(&self.into);
        let Some(table) = into.tables.get(&lookup.table) else { return Ok(Vec::new()) };
        let known = self.known(&into, table).await?;
        let step = (FIELDS_MAX / known.partitions.len().max(1)).clamp(1, keys.len());
        let keys: Vec<&str> = keys[..step].iter().map(String::as_str).collect();
        let partitions: Vec<RowsKey> = known.partitions.iter().map(|watched| watched.key.clone()).collect();
        let read = into.rows.read(&mut into.redis.clone(), &partitions, &keys).await?;
        let erasures = known.erasures;
        let mut of_partitions = Vec::with_capacity(read.len());
        for (watched, (slot, rows)) in known.partitions.iter_mut().zip(read) {
            let held = slot.rows().ok_or_else(|| WhyNotYet::Missing { id: watched.id.clone() })?;
            if held.basis.definition != table.definition {
                return Err(WhyNotYet::OtherDefinition { id: watched.id.clone() });
            }
            if !held.basis.is_without_erased(erasures) {
                return Err(WhyNotYet::Erased { id: watched.id.clone() });
            }
            watched.see(held.cursor, held.instance)?;
            of_partitions.push((held.cursor, rows));
        }
        let mut all = Vec::with_capacity(keys.len());
        for (at, key) in keys.iter().enumerate() {
            let mut lasts = Vec::with_capacity(of_partitions.len());
            for (watched, (cursor, rows)) in known.partitions.iter().zip(&of_partitions) {
                let bytes = rows.get(at).and_then(Option::as_deref);
                let change = bytes.map(|bytes| HeldChange::parse(bytes, &table.source.fields)).transpose()?;
                lasts.push(LastChange { id: &watched.id, cursor: *cursor, change });
            }
            let (decides, seen) = found(key, &lasts, &known.log, &known.logs);
            let change = decides.and_then(|at| lasts[at].change.as_ref());
            let row = change.and_then(|change| Some(lookup.values(change.row.as_ref()?, change.timestamp_us)));
            all.push(Found { seen: seen.to_string(), row });
        }
        Ok(all)
    }

    /// What is known of a table, asked for when the lane begins to look, and now and then.
    async fn known<'a>(&'a mut self, into: &LookedInto, table: &LookedIntoTable) -> Result<&'a mut Known, WhyNotYet> {
        let name = &table.source.name;
        if self.known.get(name).is_none_or(|known| known.asked.elapsed() >= ASKED_EVERY) {
            let mut now = table.ask(&into.topics).await?;
            if let Some(before) = self.known.get(name) {
                now.go_on(before);
            }
            self.known.insert(name.clone(), now);
        }
        self.known.get_mut(name).ok_or_else(|| WhyNotYet::NoTopic { topic: table.source.topic.clone() })
    }
}

impl LookedIntoTable {
    /// The partitions of the topic up to their ends, and those that go on no more up to what is archived of them.
    async fn ask(&self, topics: &Topics) -> Result<Known, WhyNotYet> {
        let topic = &self.source.topic;
        let asked = Instant::now();
        let described = topics.describe(topic).await?.ok_or_else(|| WhyNotYet::NoTopic { topic: topic.clone() })?;
        let numbers: Vec<i32> = (0..described.partitions).collect();
        let ends = topics.offsets(topic, &numbers, Bound::End).await?;
        let facts = self.archive.lock().await.newest().await?.and_then(|archive| archive.note().cloned());
        let facts = facts.unwrap_or_default();
        let watched = |id: PartitionId, at_least: i64| {
            let key = RowsKey::new(&self.deployment, &self.source.name, &id);
            Watched { id, key, at_least, instance: None }
        };
        // The first ones are those of the topic, in the order of their numbers.
        let ids = partitions(&facts, &described.log, described.partitions);
        let partitions = ids.into_iter().enumerate().map(|(at, id)| {
            let end = numbers.get(at).and_then(|number| ends.get(number)).copied();
            let archived = || facts.partition(&id).map(|known| known.next);
            let at_least = end.or_else(archived).unwrap_or_default();
            watched(id, at_least)
        });
        let partitions = partitions.collect();
        let logs = LogOrder::new(facts.logs.iter().map(|log| log.log.as_str()));
        Ok(Known { log: described.log, logs, partitions, erasures: facts.erased_parts(), asked })
    }
}

impl Known {
    /// Goes on from what was known before: a partition that was reached needs not be reached again.
    fn go_on(&mut self, before: &Known) {
        for watched in &mut self.partitions {
            if let Some(known) = before.partitions.iter().find(|known| known.id == watched.id) {
                (watched.at_least, watched.instance) = (known.at_least, known.instance);
            }
        }
    }
}

impl Watched {
    /// Notes as of which cursor rows are, if they may be used. From then on they are of that instance, and never as of less.
    fn see(&mut self, cursor: i64, instance: Instance) -> Result<(), WhyNotYet> {
        if self.instance.is_some_and(|known| known != instance) {
            return Err(WhyNotYet::Refilled { id: self.id.clone() });
        }
        if cursor < self.at_least {
            return Err(WhyNotYet::Behind { id: self.id.clone(), cursor, at_least: self.at_least });
        }
        (self.at_least, self.instance) = (cursor, Some(instance));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watched(at_least: i64) -> Watched {
        let id = PartitionId::new("log", 3);
        let deployment = Deployment::new("braid", "v1");
        Watched { key: RowsKey::new(&deployment, "users", &id), id, at_least, instance: None }
    }

    #[test]
    fn rows_are_used_once_they_have_reached_the_logs_end_and_never_as_of_less() {
        let (one, other) = (Instance::new(1), Instance::new(2));
        let mut watched = watched(100);
        assert!(matches!(watched.see(99, one), Err(WhyNotYet::Behind { cursor: 99, at_least: 100, .. })));
        assert!(watched.see(100, one).is_ok() && watched.see(140, one).is_ok());
        assert!(matches!(watched.see(139, one), Err(WhyNotYet::Behind { .. })), "an older copy of redis");
        assert!(matches!(watched.see(500, other), Err(WhyNotYet::Refilled { .. })));
    }

    #[test]
    fn what_was_reached_is_known_when_the_topic_is_described_again() {
        let known = |partitions| Known {
            log: "log".to_owned(),
            logs: LogOrder::default(),
            partitions,
            erasures: 0,
            asked: Instant::now(),
        };
        let mut reached = watched(100);
        reached.see(120, Instance::new(1)).expect("reached");
        let mut now = known(vec![watched(900)]);
        now.go_on(&known(vec![reached.clone()]));
        assert_eq!(now.partitions, [reached], "the end that was asked for first is the one that counts");
        now.go_on(&known(Vec::new()));
        assert_eq!(now.partitions.len(), 1);
    }
}
