//! A deployment without an archive (Kappa alone): no process of the batch layer runs. What is counted begins with the log, a version is replayed
//! from it, and it is promoted and rolled back; nothing can be verified, and that has to be overridden by its name.

use anyhow::{Result, ensure};
use e2e_tests::exactness::every_answer_is_exact;
use e2e_tests::versions::{Step, Versions, corrected, mistaken};
use e2e_tests::views::{METRIC, Mix};
use e2e_tests::{Layer, Oracle, Stage, Traffic, busy_scenario};

const SOME: usize = 800;
const KEEPS_NONE: &str = "version = \"v1\"\narchive = false\n";

#[test]
fn version_without_an_archive() {
    busy_scenario("version_without_an_archive", async |scenario| {
        let without = |catalog: String| catalog.replace("version = \"v1\"\n", KEEPS_NONE);
        let setup = Stage::of(scenario).catalog(|name| without(mistaken(name))).set("versions.refresh", "200ms");
        let setup = setup.running(&[Layer::Speed, Layer::Serving]);
        let Some(stage) = setup.start_on_real_kafka().await? else { return Ok(()) };
        let versions = Versions::of(&stage.deployment);
        let mut traffic = Traffic::new(stage.producer()?, stage.views(20, Mix::USUAL));
        let mut every_status = Oracle::of_every_status();
        let mut arrived = send(&mut traffic, &mut every_status)?;
        is_exact(&stage, "v1", arrived, &every_status).await?;
        let (_, status) = stage.client()?.get("/v1/status", &[]).await?;
        ensure!(status["recounted"] == false, "it claims that something is recounted: {status}");

        versions.take(Step::Create { version: "v2", catalog: &without(corrected(&stage.topic)) }).await?;
        let refused = versions.refused(Step::Replay { version: "v2", from: "archive" }).await?;
        ensure!(refused.contains("archive"), "{refused}");
        versions.take(Step::Replay { version: "v2", from: "log" }).await?;
        is_exact(&stage, "v2", arrived, &traffic.oracle).await?;
        let refused = versions.refused(Step::Promote("v2")).await?;
        ensure!(refused.contains("unverified"), "it does not say what may be overridden: {refused}");
        versions.take(Step::Force("v2", "unverified")).await?;
        for (step, active) in
            [(None, "v2"), (Some(Step::RollBack), "v1"), (Some(Step::Force("v2", "unverified")), "v2")]
        {
            if let Some(step) = step {
                versions.take(step).await?;
            }
            versions.is_active(active).await?;
            arrived = send(&mut traffic, &mut every_status)?;
            is_exact(&stage, "v1", arrived, &every_status).await?;
            is_exact(&stage, "v2", arrived, &traffic.oracle).await?;
        }
        // A worker that starts again goes on where it was.
        stage.deployment.kill(Layer::Speed);
        arrived = send(&mut traffic, &mut every_status)?;
        stage.deployment.start(Layer::Speed).await?;
        is_exact(&stage, "v1", arrived, &every_status).await?;
        is_exact(&stage, "v2", arrived, &traffic.oracle).await
    });
}

/// Sends some views, which the one version counts by the oracle of the traffic, and the other by this one.
fn send(traffic: &mut Traffic, every_status: &mut Oracle) -> Result<i64> {
    let sent = traffic.views.batch(SOME);
    every_status.observe(&sent);
    traffic.send_these(&sent)
}

/// Everything that a version answers is complete and exactly that.
async fn is_exact(stage: &Stage, version: &str, arrived_us: i64, expected: &Oracle) -> Result<()> {
    let client = stage.client()?.of_version(version);
    client.total_as_of(arrived_us, METRIC, &[]).await?;
    every_answer_is_exact(&client, expected, stage.now_us).await
}
