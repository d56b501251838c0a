//! `archive_rows_per_second`: from a full topic to rows committed, beside a bare consumer that reads and drops; what a row takes
//! on disk; and how fast a view is rebuilt from these rows, with and without decoding their bytes again.
//!
//! - `drained`: an archiver on a full topic.

pub(crate) mod drained;

use std::time::Instant;

use anyhow::{Result, ensure};
use e2e_tests::scenario::Scenario;
use e2e_tests::views::METRIC;
use e2e_tests::{Archive, Layer, Stage};

use self::drained::Drained;
use crate::figures::Figures;

const EVENTS: u64 = 4_000_000;
const PARTITIONS: i32 = 4;

pub(crate) async fn measure(scenario: &Scenario, figures: &mut Figures) -> Result<()> {
    let setup = Stage::of(scenario).as_users_get_it().partitions(PARTITIONS).running(&[Layer::Archive]);
    let stage = setup.start().await?;
    let Drained { rate, bare, usage } = Drained::of(&stage, EVENTS).await?;
    figures.beside("archive_rows_per_second", rate, "rows/s", bare);
    figures.add("archive_cpu_per_row", usage.cpu_seconds * 1e6 / EVENTS as f64, "µs");
    figures.add("archive_peak_memory", usage.peak_mib, "MiB");
    let deployment = &stage.deployment;
    let bytes = Archive::bytes(&deployment.store(), METRIC)?;
    figures.add("archive_bytes_per_row", bytes as f64 / EVENTS as f64, "bytes");

    let rebuilt = rebuild(&stage).await?;
    figures.add("rebuild_rows_per_second", rebuilt, "rows/s");
    let source = "[sources.views]\n";
    let other_rules = stage.catalog.replacen(source, &format!("{source}max_age = \"399d\"\n"), 1);
    ensure!(other_rules != stage.catalog, "the catalog has no {source:?}");
    deployment.write_catalog(&other_rules)?;
    figures.beside("rebuild_with_decoding_rows_per_second", rebuild(&stage).await?, "rows/s", rebuilt);
    Ok(())
}

/// Recounts everything, and returns rows per second, the start of the process included.
async fn rebuild(stage: &Stage) -> Result<f64> {
    let began = Instant::now();
    stage.deployment.reconcile().await?;
    Ok(EVENTS as f64 / began.elapsed().as_secs_f64())
}
