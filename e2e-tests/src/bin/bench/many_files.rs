//! `files_…`: what an archive of many small files costs, before a compaction has merged them: opening it, counting all of it, a commit
//! to it, and a reconcile of one per cent new events, which come in small files as well. `BENCH_FILES` measures with another number of
//! files.
//!
//! No Kafka takes part: the archive is written as the archiver writes it, a checkpoint included.

use std::time::Instant;

use anyhow::Result;
use e2e_tests::scenario::Scenario;

use crate::amount::amount;
use crate::figures::Figures;
use crate::reconcile::world::World;

const FEW: usize = 1_000;
const MANY: usize = 100_000;
/// How many rows each file has.
const ROWS: usize = 10;
/// Over how many days they lie.
const DAYS: i64 = 60;
/// How many files of new events each commit has.
const FILES: usize = 10;

pub(crate) async fn measure(scenario: &Scenario, figures: &mut Figures) -> Result<()> {
    for files in [FEW, amount("BENCH_FILES", MANY)?] {
        let mut world = World::new(scenario, &format!("files-{files}"), DAYS).await?;
        world.archive_history_in_files(files * ROWS, ROWS).await?;
        world.archived.checkpoint().await?;
        let (opened, _) = world.archived.opened().await?;
        figures.add(format!("files_{files}_opened_ms"), opened.as_secs_f64() * 1e3, "ms");
        let full = world.reconcile().await?;
        figures.add(format!("files_{files}_full_seconds"), full.seconds, "s");
        figures.add(format!("files_{files}_full_peak_memory"), full.peak_mib, "MiB");

        let new = world.new_events(files * ROWS / 100, 0.0);
        let (commits, committing) = (new.chunks(FILES * ROWS), Instant::now());
        let count = commits.len();
        for commit in commits {
            world.archived.commit_in_files(commit, ROWS).await?;
        }
        let commit_ms = committing.elapsed().as_secs_f64() * 1e3 / count.max(1) as f64;
        figures.add(format!("files_{files}_commit_ms"), commit_ms, "ms");
        let added = world.reconcile().await?;
        figures.beside(format!("files_{files}_reconcile_seconds"), added.seconds, "s", full.seconds);
        figures.add(format!("files_{files}_reconcile_peak_memory"), added.peak_mib, "MiB");
    }
    Ok(())
}
