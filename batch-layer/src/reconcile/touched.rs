//! Which hours a reconcile has to recompute: those of every row between what is counted already and the new cut.
//!
//! Files cannot be selected by age, because the archive is usually ahead of the cut. They are selected by their ranges of
//! offsets.

use std::collections::{BTreeMap, BTreeSet};

use platform::store::DataFile;
use polars::prelude::col;
use shared_logic::contracts::archive::ERROR;
use shared_logic::log::{OffsetRange, Offsets};
use shared_logic::schema::Field;
use shared_logic::time::{bucket_start, day_of};
use storage::Archive;

use crate::archive_rows::{self, may_hold, within};
use crate::rows::{self, RowsError};

/// Per day, the starts of the touched units of event time (see [`unit_us`](super::plan::unit_us)).
pub(super) type Touched = BTreeMap<i64, BTreeSet<i64>>;

/// The offsets that one of two cuts counts and the other does not. What a rebuild has counted may end above the next cut.
pub(super) fn ranges(counted: Option<&Offsets>, cut: &Offsets) -> Vec<OffsetRange> {
    let beyond = counted.map(|counted| OffsetRange::between(Some(cut), counted)).unwrap_or_default();
    OffsetRange::between(counted, cut).into_iter().chain(beyond).collect()
}

/// The units that the events in those ranges touch. `files` are the archive's, decoded under the source's rules; `event_time` is
/// the source's field; a unit is `unit_us` long.
///
/// # Errors
/// If the archive cannot be read.
pub(super) async fn units(
    archive: &Archive,
    files: &[DataFile],
    event_time: &Field,
    unit_us: i64,
    ranges: &[OffsetRange],
) -> Result<Touched, RowsError> {
    let files = files.iter().filter(|file| may_hold(file, ranges));
    let mut touched = Touched::new();
    // A day at a time, so that memory is bounded by a day.
    for files in DataFile::by_partition(files.cloned()).values() {
        let rows = archive_rows::read(archive, files, [event_time]).await?;
        let times = rows.filter(col(ERROR).is_null().and(within(ranges))).select([col(event_time.name.as_str())]);
        let times = rows::compute("find the new events", archive.path(), move || {
            Ok(times.collect()?.select_at_idx(0).expect("the selected column").i64()?.clone())
        })
        .await?;
        for time in times.iter().flatten() {
            touched.entry(day_of(time)).or_default().insert(bucket_start(time, unit_us));
        }
    }
    Ok(touched)
}
