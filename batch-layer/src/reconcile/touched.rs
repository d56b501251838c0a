//! Which hours a reconcile has to recompute before it knows of any copy: those of events that are counted although they lie above the
//! next cut. Only what a rebuild has counted may do so.

use std::collections::{BTreeMap, BTreeSet};

use platform::store::{DataFile, StoreError};
use polars::prelude::DataFrame;
use shared_logic::catalog::Source;
use shared_logic::log::OffsetRange;
use shared_logic::time::{DAY_US, bucket_start, day_of, format_day, parse_day};
use storage::Archive;

use crate::archive_rows::scan::{Scan, Wanted};

/// Per day, `YYYY-MM-DD`, the starts of the touched units of event time (see [`unit_us`](super::plan::unit_us)).
pub(super) type Touched = BTreeMap<String, BTreeSet<i64>>;

/// The units, `unit_us` long, of the events in those ranges, and how many archive rows were read. `files` are the archive's,
/// decoded under the source's rules.
///
/// # Errors
/// If the archive cannot be read.
pub(super) async fn units(
    archive: &Archive,
    source: &Source,
    files: &[DataFile],
    unit_us: i64,
    ranges: &[OffsetRange],
) -> Result<(Touched, u64), StoreError> {
    let (fields, event_time) = (source.field(&source.event_time).into_iter().collect(), source.event_time.clone());
    let of_group = move |events: DataFrame| {
        let mut touched = Touched::new();
        for time in events.column(&event_time)?.i64()?.iter().flatten() {
            touched.entry(format_day(day_of(time))).or_default().insert(bucket_start(time, unit_us));
        }
        Ok(touched)
    };
    let mut scan = Scan::new(archive, source, files, Wanted { fields, ranges, times: None }, of_group)?;
    let mut touched = Touched::new();
    while let Some(of_group) = scan.next().await? {
        for (day, units) in of_group {
            touched.entry(day).or_default().extend(units);
        }
    }
    Ok((touched, scan.rows_read))
}

/// The units of a day. The days of the archive that are none hold invalid records only.
pub(super) fn units_of(day: &str, unit_us: i64) -> BTreeSet<i64> {
    let start = parse_day(day).map(|day| day * DAY_US);
    let starts = start.map(|start| (start..start + DAY_US).step_by(usize::try_from(unit_us).unwrap_or(usize::MAX)));
    starts.into_iter().flatten().collect()
}
