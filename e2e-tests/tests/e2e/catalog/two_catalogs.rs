//! Workers of two catalogs are at work at once: no complete answer is wrong.

use anyhow::ensure;
use e2e_tests::exactness::every_answer_is_exact;
use e2e_tests::views::{METRIC, Mix};
use e2e_tests::watch::{prints_again, watched};
use e2e_tests::{Layer, Stage, busy_scenario};
use test_kit::{DEADLINE, Progress, wait_for};

const SOME: usize = 500;
const PARTITIONS: i32 = 6;
/// What a worker prints when it begins to count a partition.
const COUNTING: &str = "counting id";

/// The two definitions differ in their grain. So both must say the same about all of time, and yet nothing that one counted is
/// of use to the other.
#[test]
fn two_catalogs_at_once() {
    busy_scenario("two_catalogs_at_once", async |scenario| {
        // A reconcile that finds workers of the other catalog at work waits that long, and then leaves the view as it is.
        let stage = Stage::of(scenario).partitions(PARTITIONS).set("reconcile.wait", "5s").start().await?;
        let newer = stage.catalog.replace("grain = \"1m\"", "grain = \"1h\"");
        ensure!(newer != stage.catalog, "the catalogs are the same");
        let newer = stage.beside("newer", &newer)?;
        let old = &stage.deployment;
        newer.start(Layer::Serving).await?;
        let client = newer.client()?;
        let load = stage.load(50, Mix::USUAL)?;

        let both_at_work = async {
            stage.counts_more(&load, SOME).await?;
            old.reconcile().await?;
            for _ in 0..2 {
                // The newer worker takes partitions from the older one. The older one takes some back: it ends when it meets
                // definitions that it does not know, and is started again.
                newer.start(Layer::Speed).await?.line_with(COUNTING, DEADLINE).await?;
                load.arrive(SOME).await?;
                newer.reconcile().await?;
                load.arrive(SOME).await?;
                old.start(Layer::Speed).await?.line_with(COUNTING, DEADLINE).await?;
                load.arrive(SOME).await?;
                old.reconcile().await?;
                load.arrive(SOME).await?;
            }
            // The old one is gone, and a last worker is started with the newer catalog.
            old.kill(Layer::Speed);
            let last = newer.start(Layer::Speed).await?;
            prints_again(&last, COUNTING, PARTITIONS as usize - 1).await?;
            let arrived = load.arrive(SOME).await?;
            // As a schedule does: a reconcile that finds the archive far behind leaves the cut to the next one.
            wait_for("a complete total of the newer catalog", DEADLINE, async || {
                newer.reconcile().await?;
                let answer = client.total(METRIC, &[]).await?;
                let is_it = answer.complete && answer.as_of_us()? >= Some(arrived);
                Ok(if is_it { Progress::Done(answer) } else { Progress::NotYet(format!("{answer:?}")) })
            })
            .await
        };
        watched(&client, &load, watched(&stage.client()?, &load, both_at_work)).await?;

        let stopped = load.stop().await?;
        client.total_as_of(stopped.arrived_us, METRIC, &[]).await?;
        every_answer_is_exact(&client, &stopped.oracle, stage.now_us).await?;
        wait_for("an authoritative total", DEADLINE, async || {
            newer.reconcile().await?;
            let answer = client.total(METRIC, &[]).await?;
            Ok(Progress::when(answer.complete && answer.authoritative, format_args!("{answer:?}")))
        })
        .await?;
        every_answer_is_exact(&client, &stopped.oracle, stage.now_us).await
    });
}
