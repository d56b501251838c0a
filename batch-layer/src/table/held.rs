//! The archive of a table at one version: its changes, and which offsets it had reached at some time.

use std::collections::BTreeMap;

use platform::registry::Registry;
use platform::settings;
use platform::store::DataFile;
use shared_logic::catalog::Source;
use shared_logic::contracts::archive::Facts;
use shared_logic::log::{OffsetRange, Offsets, PartitionId};
use shared_logic::table::LogOrder;
use storage::{Archive, Schemas, Storage};

use super::TableError;
use crate::archive_rows;
use crate::archive_rows::since::{believed, first_since};
use crate::rows::RowsError;

/// The archive of a table, each record decoded under its source's rules.
pub(super) struct Held {
    pub(super) archive: Archive,
    pub(super) files: Vec<DataFile>,
    pub(super) facts: Facts,
    pub(super) logs: LogOrder,
    pub(super) source: Source,
}

impl Held {
    /// The newest archive; `None` if nothing was ever archived.
    ///
    /// # Errors
    /// If it cannot be read, or does not hold every change.
    pub(super) async fn open(storage: &Storage, source: &Source) -> Result<Option<Held>, TableError> {
        let Some(archive) = storage.archive(&source.name).await? else { return Ok(None) };
        let facts = archive.facts();
        let why = if facts.retired_before.is_some() {
            Some("rows of old days were taken out when it was a source with `retain`; give the table another name")
        } else if facts.columns_only().next().is_some() {
            Some("the bytes of some records were not kept when it was a source; give the table another name")
        } else {
            None
        };
        if let Some(why) = why {
            return Err(TableError::NotWhole { table: source.name.clone(), why });
        }
        // Its formats name no schemas, so no registry is ever asked.
        let schemas = Schemas::new(storage, &source.name, &Registry::new(&settings::Registry::default()));
        let files = archive_rows::files(&archive, source, &schemas).await?;
        let logs = LogOrder::new(facts.logs.iter().map(|log| log.log.as_str()));
        Ok(Some(Held { archive, files, facts, logs, source: source.clone() }))
    }

    /// Per partition, the first offset that is not archived.
    pub(super) fn next(&self) -> Offsets {
        self.facts.partitions().map(|(id, known)| (id, known.next)).collect()
    }

    /// Per partition, the first offset whose record has a timestamp beyond that; the first that is not archived if there is none. What is
    /// dated ahead of the clock is not believed.
    ///
    /// # Errors
    /// If the archive cannot be read.
    pub(super) async fn until(&self, time_us: i64) -> Result<BTreeMap<PartitionId, i64>, RowsError> {
        let mut until: BTreeMap<PartitionId, i64> = self.next().iter().map(|(id, next)| (id.clone(), next)).collect();
        let ranges = until.iter().map(|(id, to)| OffsetRange { id: id.clone(), from: i64::MIN, to: *to }).collect();
        let times = believed(time_us.saturating_add(1), platform::clock::now_us());
        until.extend(first_since(&self.archive, &self.files, ranges, times).await?);
        Ok(until)
    }
}
