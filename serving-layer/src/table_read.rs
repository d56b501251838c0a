//! Reads rows of tables from Redis, where the speed layer keeps them (B3).
//!
//! An answer is about all partitions of a table, each as of one moment after the request came. If the rows of one are not there, there is
//! no answer: a row that is missing would not be known to be missing.

use std::sync::Arc;

use platform::telemetry::error_text;
use shared_logic::catalog::{DefinitionHash, Deployment, Source, Table};
use shared_logic::contracts::archive::Facts;
use shared_logic::contracts::table_rows::{Held, HeldChange, LastChange, RowsKey, found, partitions};
use shared_logic::log::PartitionId;
use shared_logic::table::LogOrder;
use storage::{TableRowsClient, TableRowsError};

use crate::problem::Problem;
use crate::redis_link::{RedisLink, Unreachable};
use crate::snapshot::{Snapshot, SnapshotCache, Unreadable};

/// Reads the rows of one table.
pub(crate) struct TableReader {
    pub(crate) table: Table,
    pub(crate) source: Source,
    pub(crate) definition: DefinitionHash,
    deployment: Deployment,
    redis: Arc<RedisLink>,
    client: TableRowsClient,
}

/// How far the rows of a partition are kept.
pub(crate) struct Kept {
    pub(crate) id: PartitionId,
    /// The first offset whose change is not among them; `None`: there are none yet.
    pub(crate) cursor: Option<i64>,
}

/// What stands under a key.
pub(crate) struct FoundRow {
    /// The change that decides, and its partition; a delete, too.
    pub(crate) change: Option<(HeldChange, PartitionId)>,
    /// Per partition, the first offset that is not regarded.
    pub(crate) cursors: Vec<(PartitionId, i64)>,
}

/// What is read of one partition: the rows, if they are there, and the last changes of keys.
type OfPartition = (PartitionId, Option<Held>, Vec<Option<Vec<u8>>>);

/// Why no row can be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RowsNotRead {
    /// Redis cannot be used.
    #[error(transparent)]
    Unreachable(#[from] Unreachable),
    /// Redis refused, or holds something else.
    #[error(transparent)]
    Rows(#[from] TableRowsError),
}

impl TableReader {
    /// Reads nothing yet.
    pub(crate) fn new(
        table: &Table,
        source: &Source,
        definition: DefinitionHash,
        deployment: &Deployment,
        redis: &Arc<RedisLink>,
    ) -> TableReader {
        TableReader {
            table: table.clone(),
            source: source.clone(),
            definition,
            deployment: deployment.clone(),
            redis: Arc::clone(redis),
            client: TableRowsClient::default(),
        }
    }

    /// How far the rows of each partition are kept.
    ///
    /// # Errors
    /// If the archive's facts or Redis cannot be read.
    pub(crate) async fn kept(&self, snapshots: &SnapshotCache) -> Result<Vec<Kept>, Problem> {
        let snapshot = self.snapshot(snapshots).await?;
        let read = self.read(&snapshot, &self.partitions(&snapshot).1, &[]).await?;
        Ok(read.into_iter().map(|(id, held, _)| Kept { id, cursor: held.map(|held| held.cursor) }).collect())
    }

    /// What stands under a key.
    ///
    /// # Errors
    /// If the archive's facts or Redis cannot be read, or rows of a partition are not there yet.
    pub(crate) async fn row(&self, snapshots: &SnapshotCache, key: &str) -> Result<FoundRow, Problem> {
        let snapshot = self.snapshot(snapshots).await?;
        let (log, ids) = self.partitions(&snapshot);
        if ids.is_empty() {
            return Err(Problem::no_rows(&self.table.name, "its topic is not known yet"));
        }
        let read = self.read(&snapshot, &ids, &[key]).await?;
        let (mut lasts, mut cursors) = (Vec::with_capacity(read.len()), Vec::with_capacity(read.len()));
        for (id, held, rows) in &read {
            let Some(held) = held else {
                let why = format!(
                    "those of {id} are being filled in; if its topic is compacted, or something of it was erased, the table has to be \
                     materialised first: `batch-layer schedule` does that, or `batch-layer table materialise`"
                );
                return Err(Problem::no_rows(&self.table.name, &why));
            };
            let bytes = rows.first().and_then(Option::as_deref);
            let change = bytes.map(|bytes| HeldChange::parse(bytes, &self.source.fields)).transpose();
            let change = change.map_err(|error| Problem::no_rows(&self.table.name, &error.to_string()))?;
            lasts.push(LastChange { id, cursor: held.cursor, change });
            cursors.push((id.clone(), held.cursor));
        }
        let (decides, _) = found(key, &lasts, &log, &logs(facts(&snapshot, &self.source.name)));
        let change = decides.and_then(|at| Some((lasts[at].change.clone()?, lasts[at].id.clone())));
        Ok(FoundRow { change, cursors })
    }

    async fn snapshot(&self, snapshots: &SnapshotCache) -> Result<Arc<Snapshot>, Problem> {
        let snapshot = snapshots.newest().await.ok_or_else(Problem::starting)?;
        match snapshot.archive_unreadable(&self.source.name) {
            Some(Unreadable::Failed(reason)) => Err(Problem::store(reason)),
            Some(Unreadable::Loading) => Err(Problem::starting()),
            None => Ok(snapshot),
        }
    }

    /// The log of the topic, and all partitions that may hold a key.
    fn partitions(&self, snapshot: &Snapshot) -> (String, Vec<PartitionId>) {
        let topic = snapshot.topic(&self.source.name).and_then(|topic| topic.value.as_ref()?.log.clone());
        let (log, number) = topic.unwrap_or_default();
        let nothing = Facts::default();
        let ids = partitions(facts(snapshot, &self.source.name).unwrap_or(&nothing), &log, number);
        (log, ids)
    }

    /// What is there of these partitions, by this definition. Rows that may hold what was erased are not there.
    async fn read(
        &self,
        snapshot: &Snapshot,
        ids: &[PartitionId],
        keys: &[&str],
    ) -> Result<Vec<OfPartition>, RowsNotRead> {
        let erasures = facts(snapshot, &self.source.name).map_or(0, Facts::erased_parts);
        let mut redis = self.redis.connection().await?;
        let of = |id: &PartitionId| RowsKey::new(&self.deployment, &self.source.name, id);
        let partitions: Vec<RowsKey> = ids.iter().map(of).collect();
        let read = self.client.read(&mut redis, &partitions, keys).await?;
        let own = |(id, (slot, rows)): (&PartitionId, storage::RowsRead)| {
            let is_own =
                |held: &&Held| held.basis.definition == self.definition && held.basis.is_without_erased(erasures);
            (id.clone(), slot.rows().filter(is_own).cloned(), rows)
        };
        Ok(ids.iter().zip(read).map(own).collect())
    }
}

fn facts<'a>(snapshot: &'a Snapshot, source: &str) -> Option<&'a Facts> {
    snapshot.archive(source).map(|archive| archive.facts.as_ref())
}

fn logs(facts: Option<&Facts>) -> LogOrder {
    LogOrder::new(facts.into_iter().flat_map(|facts| facts.logs.iter().map(|log| log.log.as_str())))
}

impl From<RowsNotRead> for Problem {
    fn from(error: RowsNotRead) -> Problem {
        Problem::redis(&error_text(&error))
    }
}
