//! The archive of a table at one version: its changes, and which offsets it had reached at some time.

use std::collections::BTreeMap;

use platform::registry::Registry;
use platform::settings;
use platform::store::DataFile;
use polars::prelude::*;
use shared_logic::catalog::Source;
use shared_logic::contracts::archive::{Facts, LOG, OFFSET, PARTITION, TIMESTAMP};
use shared_logic::log::{OffsetRange, Offsets, PartitionId};
use shared_logic::table::LogOrder;
use shared_logic::time::{day_of, parse_day};
use storage::{Archive, Schemas, Storage};

use super::TableError;
use crate::archive_rows::picked::Picked;
use crate::archive_rows::{self, may_hold, within};
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

    /// Per partition, the first offset whose record has a timestamp beyond that; the first that is not archived if there is none.
    ///
    /// # Errors
    /// If the archive cannot be read.
    pub(super) async fn until(&self, time_us: i64) -> Result<BTreeMap<PartitionId, i64>, RowsError> {
        let picked = Picked::new(&self.archive, &self.source, &[TIMESTAMP], |_| false)?;
        let mut until: BTreeMap<PartitionId, i64> = self.next().iter().map(|(id, next)| (id.clone(), next)).collect();
        for file in &self.files {
            // A record lies in the day of its timestamp.
            if parse_day(&file.partition).is_some_and(|day| day < day_of(time_us)) {
                continue;
            }
            let ranges: Vec<OffsetRange> = until
                .iter()
                .map(|(id, to)| OffsetRange { id: id.clone(), from: i64::MIN, to: *to })
                .filter(|range| may_hold(file, std::slice::from_ref(range)))
                .collect();
            for group in picked.groups(file, |part| may_hold(part, &ranges)).await? {
                let beyond = col(TIMESTAMP).cast(DataType::Int64).gt(lit(time_us)).and(within(&ranges));
                for (id, offset) in group.read(beyond, first_offsets).await? {
                    until.entry(id).and_modify(|to| *to = offset.min(*to));
                }
            }
        }
        Ok(until)
    }
}

/// The smallest offset of each partition.
fn first_offsets(rows: DataFrame) -> PolarsResult<BTreeMap<PartitionId, i64>> {
    let (logs, partitions) = (rows.column(LOG)?.str()?, rows.column(PARTITION)?.i32()?);
    let offsets = rows.column(OFFSET)?.i64()?;
    let mut first = BTreeMap::new();
    for row in 0..rows.height() {
        let id = PartitionId::new(logs.get(row).unwrap_or_default(), partitions.get(row).unwrap_or_default());
        let offset = offsets.get(row).unwrap_or_default();
        let known = first.entry(id).or_insert(offset);
        *known = offset.min(*known);
    }
    Ok(first)
}
