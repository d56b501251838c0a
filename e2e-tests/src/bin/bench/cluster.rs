//! What a cluster makes of a rebuild: `cluster_large_alone_…` counts twenty million events of eight days anew in one process, beside DuckDB;
//! `cluster_large_by_1_executor_…` and `…_by_2_executors_…` are the same, counted by executors of a Ballista cluster on the same processors,
//! beside the former. `cluster_small_…` is a quarter of it. So what is measured is what a cluster costs, and how that changes with the amount;
//! what it gains takes more machines.
//!
//! It is measured only if it is named, with the variable of `make test-cluster`, and with `braid-cluster` built in release.
//! `BENCH_CLUSTER_EVENTS` measures with another number.

use std::path::PathBuf;
use std::thread::available_parallelism;

use anyhow::{Context, Result, ensure};
use e2e_tests::Scenario;
use e2e_tests::cluster::{Cluster, program, tasks_ended};

use crate::amount::amount;
use crate::duckdb::DuckDb;
use crate::figures::Figures;
use crate::reconcile::world::World;

const EVENTS: usize = 20_000_000;
/// The smaller amount is this part of the larger one.
const SMALL: usize = 4;
const DAYS: i64 = 8;

pub(crate) async fn measure(scenario: &Scenario, figures: &mut Figures) -> Result<()> {
    let program = program("bench cluster").context("BRAID_TEST_CLUSTER names no program of a cluster")?;
    let events = amount("BENCH_CLUSTER_EVENTS", EVENTS)?;
    for (name, events) in [("small", events / SMALL), ("large", events)] {
        rebuilds(scenario, figures, program.clone(), (name, events)).await?;
    }
    Ok(())
}

/// Rebuilds of so many events.
async fn rebuilds(
    scenario: &Scenario,
    figures: &mut Figures,
    program: PathBuf,
    (name, events): (&str, usize),
) -> Result<()> {
    let mut world = World::new(scenario, &format!("cluster-{name}"), DAYS).await?;
    world.archive_history(events).await?;
    world.reconcile().await?;
    let alone = world.rebuild().await?;
    let (archived, files) = world.archived.events().await?;
    let (duckdb, _) = DuckDb::find()?.count(&files, &world.folder.join("duckdb")).await?;
    let rate = |seconds: f64| archived as f64 / seconds;
    figures.beside(format!("cluster_{name}_alone_rows_per_second"), rate(alone), "rows/s", rate(duckdb.seconds));
    let cluster = Cluster::start(program, world.deployment(), None).await?;
    cluster.counts_for(world.deployment());
    let processors = available_parallelism()?.get();
    for (count, by) in [(1, "by_1_executor"), (2, "by_2_executors")] {
        // Those of the first round have ended: together, executors have as many slots as there are processors.
        let mut executors = Vec::new();
        for number in 1..=count {
            let (executor, slots) = (format!("executor-{number}-of-{count}"), (processors / count).max(1));
            executors.push(cluster.executor(world.deployment(), &executor, slots).await?);
        }
        let figure = format!("cluster_{name}_{by}_rows_per_second");
        let seconds = world.rebuild().await?;
        for executor in &executors {
            ensure!(tasks_ended(executor)? > 0, "{figure}: an executor has had no part in it");
        }
        figures.beside(figure, rate(seconds), "rows/s", rate(alone));
    }
    Ok(())
}
