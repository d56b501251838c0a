//! A speed worker is frozen between reading a shard and writing it, another one takes its partitions, and the first wakes up:
//! what it writes then changes nothing.

use e2e_tests::views::Mix;
use e2e_tests::watch::{prints_again, watched};
use e2e_tests::{Layer, Stage, busy_scenario};
use test_kit::DEADLINE;

const SOME: usize = 1_000;
/// One lane stops right before a write, long enough to be frozen there. Whatever else it learns when it wakes up, it writes
/// first.
const STOPS_BEFORE_A_WRITE: &str = "speed::before_apply=30*off->1*return(5000)->off";
/// What a worker prints whose write was refused.
const REFUSED: &str = "a micro-batch was not applied";

#[test]
fn zombie() {
    busy_scenario("zombie", async |scenario| {
        let stage = Stage::of(scenario).start().await?;
        let other = stage.beside("other", &stage.catalog)?;
        let load = stage.load(50, Mix::USUAL)?;
        let zombie = stage.deployment.launch(Layer::Speed, STOPS_BEFORE_A_WRITE)?;
        watched(&stage.client()?, &load, async {
            zombie.line("failpoint speed::before_apply", DEADLINE).await?;
            zombie.suspend()?;
            other.start(Layer::Speed).await?;
            // Only the other worker can have counted these, in every partition.
            stage.counts_more(&load, SOME).await?;
            zombie.resume()?;
            prints_again(&zombie, REFUSED, 0).await?;
            stage.counts_more(&load, SOME).await?;
            // Once more, with both at work, and with a reconcile while it is frozen.
            zombie.suspend()?;
            stage.counts_more(&load, SOME).await?;
            stage.deployment.reconcile().await?;
            zombie.resume()?;
            stage.counts_more(&load, SOME).await
        })
        .await?;
        stage.ends_exactly(load).await.map(drop)
    });
}
