//! `s3_…`: a reconcile and an archiver whose tables lie on an S3 server on this machine, beside the same on local disk. The server is
//! one inside this process, whose objects are files that are never synced; or SeaweedFS, if `BRAID_TEST_S3` names its program.

use anyhow::Result;
use e2e_tests::scenario::Scenario;
use e2e_tests::{Layer, Stage};

use crate::archive::drained::Drained;
use crate::figures::Figures;
use crate::reconcile::world::{Reconciled, World};

const PARTITIONS: i32 = 4;
/// How many events are archived of a topic.
const ARCHIVED: u64 = 2_000_000;
/// How many events are reconciled at first, and then as new ones.
const RECONCILED: usize = 1_000_000;
const NEW: usize = 10_000;
const DAYS: i64 = 8;

pub(crate) async fn measure(scenario: &Scenario, figures: &mut Figures) -> Result<()> {
    let local = reconcile(World::new(scenario, "reconcile-on-disk", DAYS).await?).await?;
    let s3 = reconcile(World::on_s3(scenario, "reconcile-on-s3", DAYS).await?).await?;
    for (name, at) in [("full", 0), ("today", 1)] {
        figures.beside(format!("s3_reconcile_{name}_seconds"), s3[at].seconds, "s", local[at].seconds);
    }
    let setup = || Stage::of(scenario).as_users_get_it().partitions(PARTITIONS).running(&[Layer::Archive]);
    let local = Drained::of(&setup().start().await?, ARCHIVED).await?;
    let s3 = Drained::of(&setup().on_s3().start().await?, ARCHIVED).await?;
    figures.beside("s3_archive_rows_per_second", s3.rate, "rows/s", local.rate);
    Ok(())
}

/// A full reconcile, and one of new events.
async fn reconcile(mut world: World) -> Result<[Reconciled; 2]> {
    world.archive_history(RECONCILED).await?;
    let full = world.reconcile().await?;
    world.archive_new(NEW, 0.0).await?;
    Ok([full, world.reconcile().await?])
}
