//! Which hours a reconcile has to recompute before it knows of any copy: those of events that are counted although they lie above the
//! next cut. Only what a rebuild has counted may do so.

use std::collections::{BTreeMap, BTreeSet};

use platform::store::DataFile;
use shared_logic::catalog::Source;
use shared_logic::log::OffsetRange;
use shared_logic::time::{bucket_start, day_of, format_day};
use storage::Archive;

use crate::archive_rows::scan::{Scan, Wanted};
use crate::rows::{self, RowsError};

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
) -> Result<(Touched, u64), RowsError> {
    let fields = source.field(&source.event_time).into_iter().collect();
    let mut scan = Scan::new(archive, source, files, Wanted { fields, ranges, times: None })?;
    let mut touched = Touched::new();
    while let Some(events) = scan.next().await? {
        let event_time = source.event_time.clone();
        touched = rows::compute("find the events above the cut", archive.path(), move || {
            for time in events.column(&event_time)?.i64()?.iter().flatten() {
                touched.entry(format_day(day_of(time))).or_default().insert(bucket_start(time, unit_us));
            }
            Ok(touched)
        })
        .await?;
    }
    Ok((touched, scan.rows_read))
}
