//! Reads the state of an index, the progress of its lanes, and the log's ends, every so often and beside requests.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use platform::clock::now_us;
use platform::telemetry::error_text;
use shared_logic::contracts::index::{Build, IndexState, Refused};
use shared_logic::log::PartitionId;
use storage::SearchClient;
use tracing::warn;

use super::seen::Seen;
use super::{Behind, EVERY, Known, SearchReader, chosen};

/// How long the server, and Kafka, may take to say it.
const WITHIN: Duration = Duration::from_secs(2);
/// By how much later than it is set to a busy server may make visible what it has, in microseconds.
const LATE_US: i64 = 1_000_000;
/// At every how manieth look it is asked what was refused.
const REFUSED_EVERY: u32 = 10;
/// How many refused documents are named.
const REFUSED_NAMED: u64 = 5;

/// The partitions that a topic has now.
type Partitions = Vec<(i32, PartitionId)>;

impl SearchReader {
    /// Looks how far the index is, until the task is ended. It ends at once where no server is named.
    pub(crate) async fn follow(&self) {
        let Some(client) = &self.client else { return };
        let (mut seen, mut refused) = (Seen::default(), None);
        for round in 0_u32.. {
            let known = self.look(client, &mut seen).await;
            if round.is_multiple_of(REFUSED_EVERY) {
                refused = self.refused(client, known.build).await;
            }
            let of_build = refused.clone().filter(|(number, ..)| known.build == Some(*number));
            let known = Known { refused: of_build.map(|(_, count, first)| (count, first)), ..known };
            let before = self.known.send_replace(known).error;
            if let Some(error) = self.known.borrow().error.as_ref().filter(|_| before.is_none()) {
                warn!(index = self.index.name, error, "cannot tell how far the index is");
            }
            tokio::time::sleep(EVERY).await;
        }
    }

    async fn look(&self, client: &SearchClient, seen: &mut Seen) -> Known {
        let source = self.index.from.source();
        let snapshot = self.snapshots.current();
        let archive_is_known = snapshot.as_ref().is_some_and(|snapshot| snapshot.archive_unreadable(source).is_none());
        let facts =
            snapshot.as_ref().and_then(|snapshot| snapshot.archive(source)).map(|archive| Arc::clone(&archive.facts));
        // Where nothing was ever archived, nothing was erased.
        let erasures = facts.as_ref().map(|facts| facts.erased_parts()).or(archive_is_known.then_some(0));
        let state = match within(client.state(&self.index.name)).await {
            Ok(read) => Arc::new(read.state),
            Err(error) => {
                let before = self.known.borrow().clone();
                let records = None;
                return Known { error: Some(error), erasures, behind: Behind { records, ..before.behind }, ..before };
            }
        };
        let build = chosen(&state, &self.definition).map(|(number, _)| number);
        let topic = snapshot.as_ref().and_then(|snapshot| snapshot.topic(source)?.value.as_ref()?.log.clone());
        let log = topic.map(|(log, partitions)| -> Partitions {
            let facts = facts.unwrap_or_default();
            (0..partitions).map(|partition| (partition, facts.current(&log, partition))).collect()
        });
        let looked = match (build, &log) {
            (Some(number), Some(partitions)) => self.behind(client, (number, &state), partitions, seen).await,
            _ => Ok(Behind::default()),
        };
        let (behind, error) = match looked {
            Ok(behind) => (behind, None),
            Err(error) => {
                let before = self.known.borrow().clone();
                let is_same = before.build == build;
                let behind = if is_same { Behind { records: None, ..before.behind } } else { Behind::default() };
                (behind, Some(error))
            }
        };
        Known { state: Some(state), error, erasures, build, behind, refused: None }
    }

    /// How far a build is behind the log.
    async fn behind(
        &self,
        client: &SearchClient,
        (number, state): (u64, &IndexState),
        partitions: &[(i32, PartitionId)],
        seen: &mut Seen,
    ) -> Result<Behind, String> {
        let Build { uuid, base, .. } = &state.builds[&number];
        seen.of(number, uuid);
        let numbers: Vec<i32> = partitions.iter().map(|(partition, _)| *partition).collect();
        let asked_us = now_us();
        let ends = within(self.topics.ends(&self.topic, &numbers)).await?;
        let ids: Vec<PartitionId> = partitions.iter().map(|(_, id)| id.clone()).collect();
        let progress = within(client.progress(&self.index.name, number, &ids)).await?;
        let read_us = now_us();
        let lacking: Vec<i32> =
            partitions.iter().filter(|(_, id)| base.get(id).is_none()).map(|(partition, _)| *partition).collect();
        let starts = if lacking.is_empty() {
            BTreeMap::new()
        } else {
            within(self.topics.starts(&self.topic, &lacking)).await?
        };
        let mut records = Some(0_i64);
        for ((partition, id), progress) in partitions.iter().zip(&progress) {
            let end = ends.get(partition).copied();
            if let Some(end) = end {
                seen.end(id, asked_us, end);
            }
            let cursor = match (progress, starts.get(partition)) {
                (Some(progress), _) => {
                    seen.cursor(id, read_us, progress.cursor);
                    Some(progress.cursor)
                }
                // What the build does not have, it lacks from where it begins.
                (None, Some(start)) => Some(*start),
                (None, None) => None,
            };
            let of_partition = end.zip(cursor).map(|(end, cursor)| (end - cursor).max(0));
            records = records.zip(of_partition).map(|(all, one)| all + one);
        }
        let refresh_us = i64::try_from(self.refresh_ms()).unwrap_or(i64::MAX).saturating_mul(1_000);
        let as_of_us = seen.as_of(&ids, read_us, refresh_us.saturating_add(LATE_US));
        Ok(Behind { records, as_of_us, lacks_partitions: !lacking.is_empty() })
    }

    /// What the server has refused of a build. That it does not say so is told by the next look.
    async fn refused(&self, client: &SearchClient, build: Option<u64>) -> Option<(u64, u64, Vec<Refused>)> {
        let number = build?;
        let (first, count) = within(client.refused(&self.index.name, number, REFUSED_NAMED)).await.ok()?;
        Some((number, count, first))
    }
}

/// What comes of it in time, or why nothing does.
async fn within<T, E: std::error::Error + 'static>(asked: impl Future<Output = Result<T, E>>) -> Result<T, String> {
    match tokio::time::timeout(WITHIN, asked).await {
        Ok(answered) => answered.map_err(|error| error_text(&error)),
        Err(_) => Err(format!("no answer within {WITHIN:?}")),
    }
}
