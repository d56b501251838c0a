//! Many small files of a day into one: each commit writes a file per day, and a reconcile reads every file of a day.
//!
//! The archiver does it itself, between its own commits, so nobody else's commit is in the way. The rows stay the same and
//! so do the facts; whoever reads an older version still finds the small files, until they are old enough to be removed.

use std::collections::BTreeMap;
use std::time::Duration;

use metrics::counter;
use platform::store::{Commit, DataFile, Table};
use polars::prelude::SortMultipleOptions;
use shared_logic::catalog::Source;
use shared_logic::contracts::archive::{DAY, LOG, OFFSET, PARTITION};
use tracing::{debug, warn};

use super::buffer;

/// A day with fewer small files than this is left alone.
const FILES_MIN: usize = 16;
/// A file with more rows than this is not small.
const ROWS_SMALL: u64 = 250_000;
/// The most rows that are brought together at once, which bounds the memory it takes.
const ROWS_MAX: u64 = 1_000_000;
/// How long small files stay after they were brought together: longer than any reader looks at an old version.
const OLD: Duration = Duration::from_secs(3600);

/// Brings small files together, a day at a time, and removes files that nobody can refer to any more.
///
/// # Errors
/// If the store cannot be read or written. What was done by then is whole.
pub(super) async fn run(table: &mut Table, source: &Source) -> anyhow::Result<()> {
    let mut days: BTreeMap<String, Vec<DataFile>> = BTreeMap::new();
    for file in table.files().await?.into_iter().filter(|file| file.rows < ROWS_SMALL) {
        days.entry(file.partition.clone()).or_default().push(file);
    }
    days.retain(|_, files| files.len() >= FILES_MIN);
    for (day, mut files) in days {
        let mut rows = 0;
        files.retain(|file| {
            rows += file.rows;
            rows <= ROWS_MAX
        });
        let place = SortMultipleOptions::default().with_maintain_order(true);
        let together = table.read(&files, &buffer::schema(source)).await?.sort([LOG, PARTITION, OFFSET], place);
        let frame = tokio::task::spawn_blocking(move || together.collect()).await??;
        let one = table.write(&day, frame, &[LOG, PARTITION, OFFSET]).await?;
        debug!(table = table.path(), day, files = files.len(), rows = one.rows, "compacting");
        counter!("braid_archive_files_compacted_total").increment(files.len() as u64);
        let commit = Commit::new("COMPACT", DAY, platform::clock::now_us()).adding([one]).removing(files).same_rows();
        table.commit(commit).await?;
    }
    if let Err(error) = table.remove_orphans(OLD).await {
        warn!(table = table.path(), error = format!("{error:#}"), "cannot remove old files");
    }
    Ok(())
}
