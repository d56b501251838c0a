//! What a cluster makes of a rebuild: `cluster_rebuild_alone_…` counts twenty million events of eight days anew in one process, beside
//! DuckDB; `cluster_rebuild_by_…` is the same, counted by the executors of a Ballista cluster on the same processors, beside the former. So
//! what is measured is what a cluster costs; what it gains takes more machines.
//!
//! It is measured only if it is named, with the variable of `make test-cluster`, and with `braid-cluster` built in release.
//! `BENCH_CLUSTER_EVENTS` measures with another number.

use anyhow::{Context, Result};
use e2e_tests::Scenario;
use e2e_tests::cluster::{Cluster, program};

use crate::amount::amount;
use crate::duckdb::DuckDb;
use crate::figures::Figures;
use crate::reconcile::world::World;

const EVENTS: usize = 20_000_000;
const DAYS: i64 = 8;
/// No day is divided.
const ROWS_MAX: u64 = 100_000_000;
/// Of each executor.
const SLOTS: usize = 1;

pub(crate) async fn measure(scenario: &Scenario, figures: &mut Figures) -> Result<()> {
    let program = program("bench cluster").context("no program of a cluster is named")?;
    let events = amount("BENCH_CLUSTER_EVENTS", EVENTS)?;
    let mut world = World::new(scenario, "cluster", DAYS).await?;
    world.archive_history(events).await?;
    world.reconcile().await?;
    let alone = world.rebuild().await?;
    let (archived, files) = world.archived.events().await?;
    let (duckdb, _) = DuckDb::find()?.count(&files, &world.folder.join("duckdb")).await?;
    let rate = |seconds: f64| archived as f64 / seconds;
    figures.beside("cluster_rebuild_alone_rows_per_second", rate(alone), "rows/s", rate(duckdb.seconds));
    let cluster = Cluster::start(program, world.deployment()).await?;
    cluster.counts_for(world.deployment(), ROWS_MAX);
    let mut executors = Vec::new();
    for count in 1..=2 {
        let name = format!("executor-{count}");
        executors.push(cluster.executor(world.deployment(), (name.as_str(), SLOTS), "")?);
        let name = format!("cluster_rebuild_by_{count}_rows_per_second");
        figures.beside(name, rate(world.rebuild().await?), "rows/s", rate(alone));
    }
    Ok(())
}
