//! S3 is out for a while; and an S3 server with which two writers could commit one version of a table is refused.

use anyhow::ensure;
use e2e_tests::stage::LAYERS;
use e2e_tests::views::{METRIC, Mix};
use e2e_tests::watch::{lines_with, prints_again, watched};
use e2e_tests::{Layer, Stage, busy_scenario, scenario};
use test_kit::{DEADLINE, Fault, S3Server};

const SOME: usize = 1_000;
/// What an archiver prints that cannot commit.
const STOPPED: &str = "archiving stopped";

#[test]
fn s3_out() {
    busy_scenario("s3_out", async |scenario| {
        let server = S3Server::start_in(&scenario.dir().join("s3")).await?;
        let mut stage = Stage::of(scenario).set("store.retry_for", "1s").not_started().start().await?;
        stage.deployment.lie_on(&server.settings(), server.tables());
        stage.deployment.start_all(&LAYERS).await?;
        let archiver = stage.deployment.process(Layer::Archive)?;
        let (client, load) = (stage.client()?, stage.load(50, Mix::USUAL)?);
        stage.counts_more(&load, SOME).await?;
        for fault in [Fault::Outage, Fault::LastWords] {
            watched(&client, &load, async {
                let stopped = lines_with(&archiver, STOPPED)?;
                server.befall(1, fault);
                prints_again(&archiver, STOPPED, stopped).await?;
                server.heal();
                Ok(())
            })
            .await?;
            stage.counts_more(&load, SOME).await?;
            stage.deployment.reconcile().await?;
        }
        stage.ends_exactly(load).await?;
        stage.archive_is_whole().map(drop)
    });
}

#[test]
fn s3_that_replaces_objects() {
    scenario("s3_that_replaces_objects", async |scenario| {
        let server = S3Server::start_in(&scenario.dir().join("s3")).await?;
        server.replace_objects();
        let mut stage = Stage::of(scenario).not_started().start().await?;
        stage.deployment.lie_on(&server.settings(), server.tables());
        let file = scenario.dir().join("export.ndjson");
        std::fs::write(&file, "{}\n")?;
        let file = file.to_string_lossy();
        let import = ["import", "views", file.as_ref()];
        let erase = ["erase", "views", "--where", "status = 200"];
        let jobs: [&[&str]; 10] = [
            &["init"],
            &["archive"],
            &["reconcile"],
            &["schedule"],
            &["maintain"],
            &import,
            &erase,
            &["rebuild", METRIC],
            &["rollback", METRIC],
            &["resume", METRIC],
        ];
        let marks: [&[&str]; 2] = [&["lost", "accept", "--source", "views"], &["streams", "set-published", "views"]];
        let jobs = jobs.map(|command| (command, true)).into_iter();
        for (command, is_job) in jobs.chain(marks.map(|command| (command, false))) {
            let deployment = &stage.deployment;
            let refused = if is_job { deployment.batch(command)? } else { deployment.launch_braid(command)? };
            let status = refused.end(DEADLINE).await?;
            let output = refused.output()?;
            ensure!(!status.success(), "{command:?} took a store in which two writers win: {output}");
            for part in ["s3://lake/tables", "cannot hold tables", "If-None-Match", "SeaweedFS"] {
                ensure!(output.contains(part), "{command:?} did not name {part:?}: {output}");
            }
        }
        ensure!(!stage.deployment.store().join("archive").exists(), "a table was created");
        Ok(())
    });
}
