//! Jobs by cron: what is due runs once, however many ticks were missed and whatever clocks say, and one source's job holds up no
//! other's.

use anyhow::{Context, Result, ensure};
use e2e_tests::views::{CatalogOptions, METRIC, Mix, catalog};
use e2e_tests::{Deployment, Layer, Stage, scenario};
use serde_json::Value;
use test_kit::{DEADLINE, Progress, wait_for};

const SOME: usize = 500;
/// Past the next 29th of February, wherever the clock stands now.
const AHEAD_S: i64 = 4 * 366 * 86_400;
/// How many reconciles of one source there are while the other's is stuck.
const MEANWHILE: usize = 5;
const STUCK: &str = "reconcile::before_commit";

#[test]
fn what_is_due_runs_once() {
    scenario("what_is_due_runs_once", async |scenario| {
        // Only on the 29th of February is it due, and if it never ran.
        let mut stage = Stage::of(scenario).start().await?;
        let mut traffic = stage.traffic(20, Mix::USUAL)?;
        let arrived = traffic.send(SOME)?;
        stage.total_as_of(arrived).await?;
        stage.archived().await?;
        ran(&stage, &["rebuilt"]).await.context("it never ran")?;
        stage.is_exact(&traffic.oracle).await?;
        ran(&stage, &[]).await.context("right after it ran")?;

        stage.deployment.set_clock("batch-layer", AHEAD_S);
        ran(&stage, &["reconciled"]).await.context("one tick or two were missed")?;
        ran(&stage, &[]).await.context("they are made up for")?;
        // The last run lies ahead of this clock.
        stage.deployment.set_clock("batch-layer", 0);
        ran(&stage, &["reconciled"]).await.context("the clock went back")?;
        ran(&stage, &[]).await.context("the clock went back, and it ran")?;

        // What failed has not run.
        stage.deployment.set_clock("batch-layer", AHEAD_S);
        stage.deployment.set("redis.response_timeout", "1s");
        stage.redis.suspend()?;
        let (code, lines) = once(&stage.deployment).await?;
        ensure!(code == Some(1), "it ended with {code:?} without a Redis: {lines:?}");
        ensure!(lines.len() == 1 && lines[0]["outcome"] == "failed" && lines[0]["error"].is_string(), "{lines:?}");
        stage.redis.resume()?;
        ran(&stage, &["reconciled"]).await.context("after a failure")?;
        stage.stays_exact(&traffic.oracle).await
    });
}

#[test]
fn a_script_is_told_that_a_view_waits() {
    scenario("a_script_is_told_that_a_view_waits", async |scenario| {
        let stage = Stage::of(scenario).set("reconcile.wait", "1s").start().await?;
        let mut traffic = stage.traffic(20, Mix::USUAL)?;
        let arrived = traffic.send(SOME)?;
        stage.total_as_of(arrived).await?;
        stage.archived().await?;
        ran(&stage, &["rebuilt"]).await?;
        // The worker counts the older definition, so the view is not replaced by one that counts another.
        let mut newer = stage.beside("newer", &stage.catalog.replace("grain = \"1m\"", "grain = \"1h\""))?;
        newer.set_clock("batch-layer", AHEAD_S);
        let (code, lines) = once(&newer).await?;
        ensure!(code == Some(3), "it ended with {code:?}: {lines:?}");
        ensure!(lines.len() == 1 && lines[0]["outcome"] == "waiting" && lines[0]["partition"].is_string(), "{lines:?}");
        stage.is_exact(&traffic.oracle).await?;
        // Once it counts the newer one, there is nothing to wait for.
        stage.deployment.kill(Layer::Speed);
        newer.start(Layer::Speed).await?;
        wait_for("the view to be replaced", DEADLINE, async || {
            let (code, lines) = once(&newer).await?;
            ensure!(matches!(code, Some(0 | 3)), "it ended with {code:?}: {lines:?}");
            let is_rebuilt = lines.first().is_some_and(|line| line["outcome"] == "rebuilt");
            Ok(Progress::when(code == Some(0) && is_rebuilt, format_args!("{code:?}: {lines:?}")))
        })
        .await
    });
}

#[test]
fn sources_do_not_wait_for_each_other() {
    scenario("sources_do_not_wait_for_each_other", async |scenario| {
        let stage = Stage::of(scenario).catalog(two_sources).start().await?;
        let schedule = stage.deployment.launch(Layer::Schedule, &format!("{STUCK}=1*return(60000)->off"))?;
        schedule.line(&format!("failpoint {STUCK}"), DEADLINE).await?;
        // Whichever source is stuck, the other one's schedule goes on.
        let reconciled = |output: &str, metric: &str| {
            let of_metric = format!("metric=\"{metric}\"");
            output.lines().filter(|line| line.contains("reconciled") && line.contains(&of_metric)).count()
        };
        wait_for("reconciles of the other source", DEADLINE, async || {
            let output = schedule.output()?;
            let counts = [METRIC, "other"].map(|metric| reconciled(&output, metric));
            ensure!(counts.contains(&0), "neither was stuck: {counts:?}");
            Ok(Progress::when(counts.iter().any(|count| *count >= MEANWHILE), format_args!("{counts:?}")))
        })
        .await
    });
}

/// Runs what is due; expects success, and a line for the metric with each of these outcomes.
async fn ran(stage: &Stage, outcomes: &[&str]) -> Result<()> {
    let (code, lines) = once(&stage.deployment).await?;
    ensure!(code == Some(0), "it ended with {code:?}: {lines:?}");
    let found: Vec<&str> = lines.iter().filter_map(|line| line["outcome"].as_str()).collect();
    ensure!(found == outcomes, "expected {outcomes:?}: {lines:?}");
    for line in &lines {
        let cut = line["cut"].as_object().context("no cut")?;
        ensure!(line["source"] == "views" && line["metric"] == METRIC && cut.len() == 1, "{line}");
    }
    Ok(())
}

/// `batch-layer schedule --once`: its exit code, and the JSON lines that it printed.
async fn once(deployment: &Deployment) -> Result<(Option<i32>, Vec<Value>)> {
    let process = deployment.batch(&["schedule", "--once", "--output", "json"])?;
    let code = process.end(DEADLINE).await?.code();
    let output = process.output()?;
    let lines = output.lines().filter(|line| line.starts_with('{')).map(serde_json::from_str);
    Ok((code, lines.collect::<Result<_, _>>()?))
}

/// The sample source, and another one beside it, each with a schedule of its own: every second. The catalog's is not used.
fn two_sources(topic: &str) -> String {
    let own = "reconcile = \"* * * * * *\"\n";
    let first = catalog(&CatalogOptions::of(topic));
    let first = first.replacen("[sources.views]\n", &format!("[sources.views]\n{own}"), 1);
    format!(
        r#"{first}
[sources.other]
topic = "{topic}-other"
{own}event_time = "at"
[sources.other.fields]
at = "timestamp"
[metrics.other]
source = "other"
[metrics.other.measures]
events = "count()"
"#
    )
}
