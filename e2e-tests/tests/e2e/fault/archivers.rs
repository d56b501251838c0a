//! Two archivers of one archive: their group divides the partitions, a killed one's go on within seconds, and one that was frozen archives
//! nothing that the other has. Each record is archived once, and answers are exact.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e_tests::views::{METRIC, Mix};
use e2e_tests::watch::{lines_with, prints_again, watched};
use e2e_tests::{Archive, Deployment, Layer, Load, Stage, busy_scenario, scenario};
use rand::Rng;
use test_kit::{DEADLINE, Process, repetitions};

const SOME: usize = 400;
const VIDEOS: u32 = 50;
/// What an archiver prints that reads half of the four partitions, because its group says so.
const HALF: &str = "archiving 2 of 4 partitions, that the group has given";
/// The same of one that has all of them to itself.
const ALL: &str = "archiving 4 of 4 partitions, that the group has given";
/// What an archiver prints that finds its rows archived.
const DROPPED: &str = "another archiver writes what this one has read";
/// It stops right before its first commit once it was armed, long enough to be frozen there.
const STOPS_BEFORE_A_COMMIT: &str = "archive::before_commit=1*off->1*return(5000)->off";
const LATEST_KILL_MS: u64 = 2_000;

#[test]
fn archivers_divide() {
    scenario("archivers_divide", async |scenario| {
        let stage = Stage::of(scenario).start().await?;
        let mut traffic = stage.traffic(VIDEOS, Mix::USUAL)?;
        let first = stage.deployment.process(Layer::Archive)?;
        // Alone, it waits for no group.
        stage.total_as_of(traffic.send(SOME)?).await?;
        stage.archived().await?;
        let second = stage.second_archiver().await?;
        for archiver in [&first, &second.process(Layer::Archive)?] {
            archiver.line_with(HALF, DEADLINE).await.context("each has its half")?;
        }
        stage.total_as_of(traffic.send(SOME)?).await?;
        stage.archived().await?;

        // One is killed: nothing says so but its silence.
        let halves = lines_with(&first, HALF)?;
        second.kill(Layer::Archive);
        stage.total_as_of(traffic.send(SOME)?).await?;
        stage.archived().await.context("what the killed one had goes on")?;
        second.start(Layer::Archive).await?;
        prints_again(&first, HALF, halves).await.context("its successor has its half again")?;

        // The other one leaves in good order.
        let halves = second.process(Layer::Archive)?;
        halves.line_with(HALF, DEADLINE).await?;
        first.terminate()?;
        first.success(DEADLINE).await?;
        halves.line_with(ALL, DEADLINE).await.context("it has all partitions to itself")?;
        stage.total_as_of(traffic.send(SOME)?).await?;
        stage.archived().await?;
        stage.stays_exact(&traffic.oracle).await?;
        stage.archive_is_whole().map(drop)
    });
}

#[test]
fn archivers_kill9() {
    busy_scenario("archivers_kill9", async |scenario| {
        let stage = Stage::of(scenario).start().await?;
        let second = stage.second_archiver().await?;
        let load = Load::slow(stage.producer()?, stage.views(VIDEOS, Mix::USUAL));
        let mut rng = stage.rng();
        watched(&stage.client()?, &load, async {
            zombie_wakes_up(&stage, &second, &load).await.context("a zombie")?;
            for kill in 0..repetitions(4, 20) {
                let victim = if kill % 2 == 0 { &second } else { &stage.deployment };
                // Not a wait for anything: the moment is the test.
                tokio::time::sleep(Duration::from_millis(rng.random_range(0..LATEST_KILL_MS))).await;
                victim.kill(Layer::Archive);
                if kill == 2 {
                    stage.deployment.reconcile().await?;
                }
                victim.start(Layer::Archive).await.with_context(|| format!("kill {kill}"))?;
            }
            Ok(())
        })
        .await?;
        let stopped = stage.ends_exactly(load).await?;
        stage.archived().await?;
        let (archive, broken) = (stage.archive_is_whole()?, stopped.oracle.broken);
        ensure!(archive.rejected as u64 == broken, "{} rejected of {broken}", archive.rejected);
        Ok(())
    });
}

/// An archiver is frozen with its rows written and not committed; the other one gets its partitions, and it wakes up.
async fn zombie_wakes_up(stage: &Stage, second: &Deployment, load: &Load) -> Result<()> {
    let zombie: Process = second.launch(Layer::Archive, STOPS_BEFORE_A_COMMIT)?;
    zombie.line("failpoint archive::before_commit", DEADLINE).await?;
    zombie.suspend()?;
    // By the table: the serving layer may not know of its last commit yet.
    let archive = Archive::read(&stage.deployment.store(), METRIC)?;
    let archived = (0..next(stage).await?.len() as i64).map(|number| {
        let ends = archive.offsets.iter().filter(|((_, partition), _)| *partition == number);
        ends.filter_map(|(_, offsets)| offsets.last()).max().map_or(0, |last| last + 1)
    });
    let archived: Vec<i64> = archived.collect();
    // The other one has them all, once the group has noticed.
    test_kit::wait_for("every partition to go on without the zombie", DEADLINE, async || {
        load.arrive(SOME).await?;
        let now = next(stage).await?;
        let all = now.iter().zip(&archived).all(|(now, before)| now > before);
        Ok(test_kit::Progress::when(all, format_args!("{archived:?}, {now:?}")))
    })
    .await?;
    let dropped = lines_with(&zombie, DROPPED)?;
    zombie.resume()?;
    prints_again(&zombie, DROPPED, dropped).await.map(drop)
}

/// How far each partition is archived.
async fn next(stage: &Stage) -> Result<Vec<i64>> {
    let rows = stage.partitions().await?;
    rows.iter().map(|row| row["next"].as_i64().with_context(|| row.to_string())).collect()
}
