//! A rebuild that is killed between two days goes on where it was.

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use e2e_tests::stage::LAYERS;
use e2e_tests::views::{METRIC, Mix};
use e2e_tests::{Oracle, Stage, scenario};
use test_kit::DEADLINE;

/// Events, of which some are late by up to three days.
const MANY: usize = 2_000;
/// At the end of the second day it stays there until it is killed.
const AFTER_TWO_DAYS: &str = "reconcile::between_days=1*off->return(60000)";

#[test]
fn rebuild_killed_between_two_days() {
    scenario("rebuild_killed_between_two_days", async |scenario| {
        let stage = Stage::of(scenario).start().await?;
        let mut traffic = stage.traffic(50, Mix::USUAL)?;
        traffic.oracle = Oracle::of_every_status();
        let arrived = traffic.send(MANY)?;
        stage.total_as_of(arrived).await?;
        stage.archived().await?;
        stage.deployment.reconcile().await?;
        let views = stage.deployment.store().join("views");
        // A day may have views that failed, and no others: then the first view has no file of it.
        let (before, days) = (files(&views)?.len(), traffic.oracle.days());
        ensure!(before >= 3, "events of {before} days");

        let newer = stage.catalog.replace("where = \"status = 200\"", "where = \"status >= 200\"");
        ensure!(newer != stage.catalog, "the catalogs are the same");
        stage.deployment.write_catalog(&newer)?;
        for layer in LAYERS {
            stage.deployment.start(layer).await?;
        }
        let killed = stage.deployment.launch_reconcile(AFTER_TWO_DAYS)?;
        killed.line("failpoint reconcile::between_days", DEADLINE).await?;
        killed.kill();
        let written = files(&views)?.len() - before;
        // Another day is being counted meanwhile.
        ensure!((2..=3).contains(&written), "{written} files instead of 2 or 3");
        let answer = stage.client()?.total(METRIC, &[]).await?;
        ensure!(!answer.complete, "complete without a view of this definition: {answer:?}");

        stage.deployment.reconcile().await?;
        let written = files(&views)?.len() - before;
        ensure!((days..=days + 1).contains(&written), "{written} files of {days} days: some were counted twice");
        stage.total_as_of(arrived).await?;
        stage.stays_exact(&traffic.oracle).await
    });
}

/// The Parquet files below a folder that hold rows of views.
fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() && !path.ends_with("_delta_log") {
            found.extend(files(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "parquet") {
            found.push(path);
        }
    }
    Ok(found)
}
