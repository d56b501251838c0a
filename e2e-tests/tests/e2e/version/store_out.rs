//! The store is out while a version is to be promoted: nothing is decided, processes go on with what they know and say so, and once the store is
//! back the promotion is done and heard of.

use anyhow::{Result, ensure};
use e2e_tests::load::Counted;
use e2e_tests::stage::LAYERS;
use e2e_tests::versions::{Polls, Step, Versions, corrected};
use e2e_tests::{Load, busy_scenario};
use test_kit::{DEADLINE, Fault, Progress, S3Server, wait_for};

use super::{sends_still, setup, views};

const SOME: usize = 500;
const COUNTED: [(&str, Counted); 2] = [("v1", Counted::EveryStatus), ("v2", Counted::Status200)];

#[test]
fn version_store_out() {
    busy_scenario("version_store_out", async |scenario| {
        let server = S3Server::start_in(&scenario.dir().join("s3")).await?;
        let setup = setup(scenario).set("store.retry_for", "1s").not_started();
        let Some(mut stage) = setup.start_on_real_kafka().await? else { return Ok(()) };
        stage.deployment.lie_on(&server.settings(), server.tables());
        stage.deployment.start_all(&LAYERS).await?;
        let (sent, views, still) = sends_still(&stage, views(&stage)).await?;
        let load = Load::after(sent, stage.producer()?, views);
        let versions = Versions::of(&stage.deployment);
        versions.take(Step::Create { version: "v2", catalog: &corrected(&stage.topic) }).await?;
        versions.take(Step::Replay { version: "v2", from: "log" }).await?;
        versions.take(Step::Verify("v2")).await?;
        // Without the store, nobody may know that nothing is missing.
        let polls = Polls::new(stage.client()?, &load, still, &COUNTED).that_may_lack();
        polls
            .during(async {
                is_known(versions, false).await?;
                server.befall(1, Fault::Outage);
                is_known(versions, true).await?;
                versions.refused(Step::Promote("v2")).await?;
                ensure!(versions.active()? == "v1", "{} is active", versions.active()?);
                load.arrive(SOME).await?;
                server.heal();
                versions.take(Step::Promote("v2")).await?;
                versions.is_active("v2").await?;
                is_known(versions, false).await?;
                load.arrive(SOME).await.map(drop)
            })
            .await?;
        ensure!(polls.turns() == ["v1", "v2"], "answers were of {:?}", polls.turns());
        let stopped = load.stop().await?;
        stage.total_as_of(stopped.arrived_us).await?;
        stage.is_exact(&stopped.oracle).await
    });
}

/// Waits until the serving layer says that it cannot read which versions there are, or no longer does.
async fn is_known(versions: Versions<'_>, is_out: bool) -> Result<()> {
    wait_for(&format!("a store that is out: {is_out}"), DEADLINE, async || {
        let told = versions.told().await?;
        Ok(Progress::when(told["error"].is_string() == is_out && told["read_at"].is_string(), told))
    })
    .await
}
