//! The process that loads the first build of an index is killed in the middle: another one takes it for dead, begins another build and goes
//! on. Then two load at the same time.

use std::time::Duration;

use anyhow::ensure;
use e2e_tests::{Layer, scenario};
use test_kit::{DEADLINE, Progress, wait_for};

use super::people::People;

const AT_FIRST: usize = 2_000;
const SOME: usize = 100;
/// A load that does not get on is taken for dead after a minute, by the next run. The schedule's runs have 40 and then 80 s between them.
const TAKEN_FOR_DEAD: Duration = Duration::from_secs(155 + 90);
/// Between two looks in that minute. This leaves the machine to others; nothing depends on it.
const PAUSE: Duration = Duration::from_millis(500);
const KILLED: &str = "index::while_loading=return(60000)";

#[test]
fn index_loader_killed() {
    scenario("index_loader_killed", async |scenario| {
        let Some(mut people) = People::start(scenario).await? else { return Ok(()) };
        people.send(AT_FIRST)?;
        people.stage.archived().await?;
        wait_for("a load to begin", DEADLINE, async || {
            let load = people.stage.deployment.launch_reconcile(KILLED)?;
            // The first runs may come before the rows are materialised.
            let begun = load.line_with("failpoint index::while_loading", DEADLINE).await;
            if begun.is_err() && load.ended()?.is_some() {
                return Ok(Progress::NotYet(load.output()?));
            }
            begun?;
            load.kill();
            Ok(Progress::Done(()))
        })
        .await?;
        let (status, body) = people.ask(&[]).await?;
        ensure!(status == 503, "half an index is searched: {status}: {body}");
        people.stage.deployment.start(Layer::Schedule).await?;
        people.send(SOME)?;
        let goes_on = wait_for("another process to go on", TAKEN_FOR_DEAD, async || {
            let (status, body) = people.ask(&[]).await?;
            if status != 200 {
                tokio::time::sleep(PAUSE).await;
            }
            Ok(Progress::when(status == 200, format_args!("{status}: {body}")))
        });
        scenario.without_place(goes_on).await?;
        people.are_exact().await?;
        ensure!(people.serving().await? > 1, "the build that was killed serves");

        people.stage.deployment.kill(Layer::Schedule);
        let before = people.serving().await?;
        people.command(&["rebuild", "people"]).await?;
        let loads = [people.stage.deployment.launch_reconcile("")?, people.stage.deployment.launch_reconcile("")?];
        people.send(SOME)?;
        for load in loads {
            // The one that was too late may say so.
            load.end(DEADLINE).await?;
        }
        wait_for("another build to serve", 2 * DEADLINE, async || {
            people.stage.deployment.reconcile().await?;
            let serving = people.serving().await?;
            Ok(Progress::when(serving > before, format_args!("{serving}")))
        })
        .await?;
        people.become_exact().await?;
        people.are_checked().await
    });
}
