//! What an archive holds of its source, as streams need it: by partition, in the order of the offsets.

use platform::store::DataFile;
use polars::prelude::*;
use shared_logic::catalog::Source;
use shared_logic::contracts::archive::{OFFSET, TIMESTAMP};
use shared_logic::drift::{self, Incomparable};
use shared_logic::log::{OffsetRange, PartitionId};
use shared_logic::time::{day_of, format_day, parse_day};
use storage::{Archive, Decoded, Schemas};

use crate::archive_rows::picked::Picked;
use crate::archive_rows::{self, event_time_column, may_hold, within};
use crate::rows::RowsError;

/// An archive at one version, each record decoded under its source's rules.
pub(crate) struct Held {
    pub(super) archive: Archive,
    pub(super) source: Source,
    pub(super) files: Vec<DataFile>,
}

/// When records were written, and when events happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Moment {
    /// By the records' timestamps, microseconds since 1970.
    pub(super) record_us: i64,
    /// By the events' time, where a record has no timestamp.
    pub(super) event_us: i64,
}

impl Held {
    /// Decodes what is not decoded under these rules.
    ///
    /// # Errors
    /// If the archive cannot be read, or what was decoded cannot be kept.
    pub(crate) async fn open(archive: Archive, source: &Source, schemas: &Schemas) -> Result<Held, RowsError> {
        let files = archive_rows::files(&archive, source, schemas).await?;
        Ok(Held { archive, source: source.clone(), files })
    }

    /// How many offsets back an earlier copy of an event is looked for.
    pub(super) fn window(&self) -> i64 {
        if self.source.event_id.is_empty() { 0 } else { i64::try_from(self.source.dedup_window).unwrap_or(i64::MAX) }
    }

    /// Where the archive begins a partition.
    pub(super) fn begin(&self, id: &PartitionId) -> i64 {
        self.archive.facts().partition(id).map_or(0, |known| known.begin)
    }

    /// Whether the archive holds, as they arrived, all records of a range and of the window before it; of retired days only those are
    /// needed whose events happened at `need_us` or later.
    ///
    /// # Errors
    /// Why not.
    pub(super) fn is_whole(&self, range: &OffsetRange, need_us: i64) -> Result<(), Incomparable> {
        let (facts, window) = (self.archive.facts(), self.window());
        drift::whole(range, window.unsigned_abs(), &self.source.decoding_rules(), &facts)?;
        let from = range.from.saturating_sub(window);
        match facts.retired_before {
            Some(before) if day_of(need_us) < before && facts.may_be_retired(&range.id, from) => {
                Err(Incomparable::Retired(format_day(before - 1)))
            }
            _ => Ok(()),
        }
    }

    /// The first offset of a range whose record was written at that moment or later; the range's end if there is none. `from_day`: only
    /// days from there on are looked at, in days since 1970.
    ///
    /// # Errors
    /// If the archive cannot be read.
    pub(super) async fn first_since(
        &self,
        range: &OffsetRange,
        moment: Moment,
        from_day: Option<i64>,
    ) -> Result<i64, RowsError> {
        let event_time = self.source.event_time.as_str();
        let picked = Picked::new(&self.archive, &self.source, &[TIMESTAMP], |name| name == event_time)?;
        let (declared, mut range) = (self.archive.columns()?, range.clone());
        for file in &self.files {
            let is_of_days = from_day.is_none_or(|from| parse_day(&file.partition).is_none_or(|day| day >= from));
            if range.from >= range.to || !is_of_days || !may_hold(file, std::slice::from_ref(&range)) {
                continue;
            }
            let column = if Decoded::is_of(file) {
                event_time_column(&self.source, None)
            } else {
                event_time_column(&self.source, Some(&declared))
            };
            let groups = picked.groups(file, |part| may_hold_since(part, &range, &column, moment)).await?;
            for group in groups {
                if range.from >= range.to {
                    break;
                }
                let event_time = event_time.to_owned();
                let filter = within(std::slice::from_ref(&range));
                let first = group.read(filter, move |rows| first_of(&rows, &event_time, moment)).await?;
                range.to = first.map_or(range.to, |first| first.min(range.to));
            }
        }
        Ok(range.to)
    }
}

/// Whether a row group may hold such a record, by its statistics. They do not say whether some records have no timestamp.
fn may_hold_since(part: &DataFile, range: &OffsetRange, event_time: &str, moment: Moment) -> bool {
    let ends_before = |column: &str, us: i64| part.ranges.get(column).is_some_and(|(_, high)| *high < us);
    let is_before = ends_before(TIMESTAMP, moment.record_us) && ends_before(event_time, moment.event_us);
    may_hold(part, std::slice::from_ref(range)) && !is_before
}

/// The first offset of such a record.
fn first_of(rows: &DataFrame, event_time: &str, moment: Moment) -> PolarsResult<Option<i64>> {
    let (offsets, times) = (rows.column(OFFSET)?.i64()?, rows.column(event_time)?.i64()?);
    let timestamps = rows.column(TIMESTAMP)?.i64()?;
    let is_since = |row: usize| match (timestamps.get(row), times.get(row)) {
        (Some(at), _) => at >= moment.record_us,
        (None, time) => time.is_some_and(|time| time >= moment.event_us),
    };
    Ok((0..rows.height()).filter(|row| is_since(*row)).filter_map(|row| offsets.get(row)).min())
}
