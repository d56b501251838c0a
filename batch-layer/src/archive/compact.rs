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

#[cfg(test)]
mod tests {
    use platform::store::{Store, Table};
    use shared_logic::catalog::Catalog;
    use shared_logic::contracts::archive::{FACTS_DOMAIN, Facts};
    use shared_logic::log::PartitionId;

    use super::super::buffer::{Buffer, Incoming};
    use super::super::commit;
    use super::*;

    async fn offsets(table: &Table, source: &Source) -> Vec<i64> {
        let files = table.files().await.expect("listed");
        let rows = table.read(&files, &buffer::schema(source)).await.expect("read");
        let rows = tokio::task::spawn_blocking(move || rows.collect()).await.expect("no panic").expect("decoded");
        let mut offsets: Vec<i64> =
            rows.column(OFFSET).expect("there").i64().expect("integers").iter().flatten().collect();
        offsets.sort_unstable();
        offsets
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn small_files_become_one_and_no_row_or_fact_is_lost() {
        let folder = tempfile::tempdir().expect("a folder");
        let settings = platform::settings::Store { url: folder.path().display().to_string(), ..Default::default() };
        let store = Store::new(&settings, "braid").expect("a store");
        let catalog = Catalog::parse(test_kit::catalogs::TINY).expect("a valid catalog");
        let source = &catalog.sources["s"];
        let mut table = crate::archive::table(&store, source).await.expect("created");
        let mut facts = Facts::default();
        facts.begin(&PartitionId::new("log", 0), 0);
        let commits = FILES_MIN as i64 + 4;
        for offset in 0..commits {
            let mut buffer = Buffer::new(source, "log", &BTreeMap::from([(0, offset)]));
            // One of them is no event.
            let payload: &[u8] = if offset == 3 { b"broken" } else { br#"{"at": 1000, "k": "a"}"# };
            let (partition, timestamp_ms) = (0, Some(1_000));
            buffer.push(Incoming { partition, offset, timestamp_ms, key: None, payload: Some(payload), headers: None });
            let outcome = commit::rows(&mut table, &mut facts, "log", buffer, &BTreeMap::new()).await.expect("written");
            assert_eq!(outcome, commit::Outcome::Committed);
        }
        assert_eq!(table.files().await.expect("listed").len(), commits as usize);

        run(&mut table, source).await.expect("compacted");

        assert_eq!(table.files().await.expect("listed").len(), 1);
        assert_eq!(offsets(&table, source).await, (0..commits).collect::<Vec<_>>());
        assert_eq!(table.note::<Facts>(FACTS_DOMAIN).await.expect("read"), Some(facts));
    }
}
