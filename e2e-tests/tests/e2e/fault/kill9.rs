//! `kill -9` for the speed worker, the archiver and the reconcile, many times each under load, some between a write and its
//! acknowledgement and the others at moments drawn from the printed seed: answers stay exact, and the archive holds each
//! offset once. The tables lie in a folder; or on S3, where another archiver has its share of the partitions, and goes on with those of the one
//! that is killed.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e_tests::views::Mix;
use e2e_tests::{Deployment, Layer, Load, Stage, busy_scenario};
use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use test_kit::{DEADLINE, Process, repetitions};

/// How often each victim is killed, and when. At a write it is killed at a fail point whose passage is seen before the kill.
const USUAL_KILLS: [(When, usize); 3] = [(When::AfterAWrite, 3), (When::BeforeAWrite, 2), (When::Whenever, 3)];
const MANY_KILLS: [(When, usize); 3] = [(When::AfterAWrite, 6), (When::BeforeAWrite, 4), (When::Whenever, 10)];
const MOST_PASSAGES_BEFORE: u32 = 6;
/// How long a victim stays at a fail point if it is not killed.
const LONG_ENOUGH_MS: u32 = 60_000;
const LATEST_KILL_MS: u64 = 3_000;

/// When it is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum When {
    /// Its write is ready, and nothing of it is written.
    BeforeAWrite,
    /// The write is done and not yet acknowledged.
    AfterAWrite,
    /// At a moment drawn from the seed.
    Whenever,
}

/// What is killed.
#[derive(Debug, Clone, Copy)]
enum Victim {
    Speed,
    Archive,
    Reconcile,
}

impl Victim {
    fn moment(self, when: When) -> Option<&'static str> {
        Some(match (self, when) {
            (Victim::Speed, When::BeforeAWrite) => "speed::before_apply",
            (Victim::Speed, When::AfterAWrite) => "speed::after_apply",
            (Victim::Archive, When::BeforeAWrite) => "archive::before_commit",
            (Victim::Archive, When::AfterAWrite) => "archive::after_commit",
            (Victim::Reconcile, When::BeforeAWrite) => "reconcile::before_commit",
            (Victim::Reconcile, When::AfterAWrite) => "reconcile::after_commit",
            (_, When::Whenever) => return None,
        })
    }

    /// How often the fail point may be passed before the kill; a reconcile passes each once.
    fn passages_before(self, rng: &mut StdRng) -> u32 {
        match self {
            Victim::Speed | Victim::Archive => rng.random_range(0..MOST_PASSAGES_BEFORE),
            Victim::Reconcile => 0,
        }
    }

    fn launch(self, deployment: &Deployment, fail_points: &str) -> Result<Process> {
        match self {
            Victim::Speed => deployment.launch(Layer::Speed, fail_points),
            Victim::Archive => deployment.launch(Layer::Archive, fail_points),
            Victim::Reconcile => deployment.launch_reconcile(fail_points),
        }
    }

    async fn restore(self, deployment: &Deployment) -> Result<()> {
        match self {
            Victim::Speed => deployment.start(Layer::Speed).await.map(drop),
            Victim::Archive => deployment.start(Layer::Archive).await.map(drop),
            Victim::Reconcile => deployment.reconcile().await,
        }
    }
}

#[test]
fn kill9() {
    busy_scenario("kill9", async |scenario| survives_kills(&Stage::of(scenario).start().await?).await);
}

#[test]
fn kill9_on_s3() {
    busy_scenario("kill9_on_s3", async |scenario| {
        let stage = Stage::of(scenario).on_s3().start().await?;
        let _second = stage.second_archiver().await?;
        survives_kills(&stage).await
    });
}

async fn survives_kills(stage: &Stage) -> Result<()> {
    let load = Load::slow(stage.producer()?, stage.views(100, Mix::USUAL));
    let mut rng = stage.rng();
    for victim in [Victim::Speed, Victim::Archive, Victim::Reconcile] {
        kill_often(victim, &stage.deployment, &mut rng).await.with_context(|| format!("{victim:?}"))?;
    }
    let stopped = stage.ends_exactly(load).await?;
    let (archive, broken) = (stage.archive_is_whole()?, stopped.oracle.broken);
    ensure!(archive.rejected as u64 == broken, "{} rejected of {broken}", archive.rejected);
    Ok(())
}

async fn kill_often(victim: Victim, deployment: &Deployment, rng: &mut StdRng) -> Result<()> {
    let kills = repetitions(USUAL_KILLS, MANY_KILLS);
    let mut kills: Vec<When> = kills.into_iter().flat_map(|(when, count)| vec![when; count]).collect();
    kills.shuffle(rng);
    for (kill, when) in kills.into_iter().enumerate() {
        let killed = match victim.moment(when) {
            Some(fail_point) => kill_at(victim, fail_point, deployment, rng).await,
            None => kill_at_any_moment(victim, deployment, rng).await,
        };
        killed.with_context(|| format!("kill {kill}, {when:?}"))?;
    }
    victim.restore(deployment).await
}

/// Lets the victim stop at a fail point, and kills it there.
async fn kill_at(victim: Victim, fail_point: &str, deployment: &Deployment, rng: &mut StdRng) -> Result<()> {
    let passages = victim.passages_before(rng);
    let process = victim.launch(deployment, &format!("{fail_point}={passages}*off->return({LONG_ENOUGH_MS})"))?;
    process.line(&format!("failpoint {fail_point}"), DEADLINE).await?;
    process.kill();
    Ok(())
}

/// Kills the victim at a moment drawn from the seed. A reconcile may be done before; then it is started again.
async fn kill_at_any_moment(victim: Victim, deployment: &Deployment, rng: &mut StdRng) -> Result<()> {
    loop {
        let moment = Duration::from_millis(rng.random_range(0..LATEST_KILL_MS));
        let process = victim.launch(deployment, "")?;
        // Not a wait for anything: the moment is the test.
        tokio::time::sleep(moment).await;
        match process.ended()? {
            None => {
                process.kill();
                return Ok(());
            }
            Some(status) => ensure!(status.success(), "it ended by itself with {status}"),
        }
    }
}
