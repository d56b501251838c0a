//! An operator changes the catalog while events flow and clients ask: no complete answer is ever wrong, and after the next
//! reconcile all are exact.

use anyhow::{Context, Result, ensure};
use e2e_tests::exactness::every_answer_is_exact;
use e2e_tests::load::Counted;
use e2e_tests::observer::Besides;
use e2e_tests::stage::LAYERS;
use e2e_tests::views::{CatalogOptions, METRIC, Mix, catalog};
use e2e_tests::{Client, Deployment, Layer, Load, Oracle, Stage, busy_scenario};
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use test_kit::{DEADLINE, Progress, wait_for};

const SOME: usize = 500;
/// Questions between two steps of the operator.
const POLLS: usize = 25;
const WHERE: &str = "where = \"status = 200\"";
/// Groups by a column more than the other metric, which changes nothing about that one. It may be absent.
const HOURLY: &str = r#"
[metrics.hourly]
source = "views"
where = "status >= 200"
by = ["video_id", "url"]
grain = "1h"
[metrics.hourly.measures]
views = "count()"
dwell_ms = "sum(dwell_ms)"
"#;

#[test]
fn operators_day() {
    busy_scenario("operators_day", async |scenario| {
        let stage = Stage::of(scenario).start().await?;
        let load = stage.load(50, Mix::NO_COPIES)?;
        let mut day =
            Day { stage: &stage, load: &load, rng: stage.rng(), complete: 0, incomplete: 0, last_gaps: String::new() };
        stage.counts_more(&load, SOME).await?;
        let status_200 = [(METRIC, Counted::Status200)];
        day.reconcile(&status_200).await.context("the first reconcile")?;

        let every_status = stage.catalog.replace(WHERE, "where = \"status >= 200\"");
        ensure!(every_status != stage.catalog, "the catalog has no such line");
        let every = [(METRIC, Counted::EveryStatus)];
        day.change(&every_status, &status_200, &every).await.context("another where")?;

        let coarse = every_status.replace("grain = \"1m\"", "grain = \"5m\"");
        ensure!(coarse != every_status, "the catalog has no such line");
        day.change(&coarse, &every, &every).await.context("another grain")?;

        let two = [(METRIC, Counted::EveryStatus), ("hourly", Counted::EveryStatus)];
        let before = day.incomplete;
        day.change(&format!("{coarse}{HOURLY}"), &every, &two).await.context("one metric more")?;
        day.change(&coarse, &two, &every).await.context("one metric less")?;
        day.had_no_gaps_since(before).context("the metric that stayed")?;
        let (status, problem) = stage.client()?.get("/v1/metrics/hourly/total", &[]).await?;
        ensure!(status == 404, "{status} {problem}");

        // Back to where the day began: the old definition is counted anew, not continued where it was left.
        day.change(&stage.catalog, &every, &status_200).await.context("the first catalog again")?;

        // Another deployment on the same Kafka, the same Redis and the same store.
        let before = day.incomplete;
        let name = format!("{}-second", stage.topic);
        let options = CatalogOptions { name: &name, ..CatalogOptions::of(&stage.topic) };
        let second = stage.beside("second", &catalog(&options))?;
        second.start_all(&LAYERS).await?;
        let arrived = load.arrive(SOME).await?;
        second.client()?.total_as_of(arrived, METRIC, &[]).await?;
        day.ask_both(&status_200, &second).await?;
        second.reconcile().await?;
        day.ask_both(&status_200, &second).await?;
        day.had_no_gaps_since(before).context("beside a second deployment")?;
        println!("{} complete and {} incomplete answers", day.complete, day.incomplete);

        let stopped = stage.ends_exactly(load).await?;
        let client = second.client()?;
        client.total_as_of(stopped.arrived_us, METRIC, &[]).await?;
        every_answer_is_exact(&client, &stopped.oracle, stage.now_us).await?;
        second.reconcile().await?;
        client.authoritative_total(METRIC, &[]).await?;
        every_answer_is_exact(&client, &stopped.oracle, stage.now_us).await?;
        stage.second_observer_agrees(scenario, Besides::default(), &stopped.oracle).await
    });
}

#[test]
fn changed_where_is_exact_for_every_key() {
    busy_scenario("changed_where_is_exact_for_every_key", async |scenario| {
        let stage = Stage::of(scenario).start().await?;
        let mut traffic = stage.traffic(50, Mix::USUAL)?;
        traffic.oracle = Oracle::of_every_status();
        let arrived = traffic.send(2 * SOME)?;
        stage.total_as_of(arrived).await?;
        stage.deployment.reconcile().await?;
        stage.deployment.write_catalog(&stage.catalog.replace(WHERE, "where = \"status >= 200\""))?;
        for layer in LAYERS {
            stage.deployment.start(layer).await?;
        }
        stage.client()?.serves(METRIC).await?;
        let arrived = traffic.send(2 * SOME)?;
        // No answer is complete before the view was counted anew.
        let answer = stage.client()?.total(METRIC, &[]).await?;
        ensure!(!answer.complete, "complete without a view of this definition: {answer:?}");
        stage.deployment.reconcile().await?;
        stage.total_as_of(arrived).await?;
        stage.stays_exact(&traffic.oracle).await
    });
}

/// Metrics, and which views each counts.
type Metrics<'a> = [(&'a str, Counted)];

struct Day<'a> {
    stage: &'a Stage,
    load: &'a Load,
    rng: StdRng,
    complete: usize,
    /// Answers with gaps about the metric that is there all day.
    incomplete: usize,
    last_gaps: String,
}

impl Day<'_> {
    /// Starts every layer with another catalog, in any order, and reconciles with it; questions go on all the time.
    async fn change(&mut self, catalog: &str, before: &Metrics<'_>, after: &Metrics<'_>) -> Result<()> {
        self.stage.deployment.write_catalog(catalog)?;
        let mut order = LAYERS;
        order.shuffle(&mut self.rng);
        let mut asked = before;
        for layer in order {
            self.stage.deployment.start(layer).await?;
            if layer == Layer::Serving {
                asked = after;
                for (metric, _) in asked {
                    self.stage.client()?.serves(metric).await?;
                }
            }
            for _ in 0..POLLS {
                self.ask(asked).await.with_context(|| format!("after {layer:?} of {order:?}"))?;
            }
        }
        self.load.arrive(SOME).await?;
        self.ask(after).await?;
        self.reconcile(after).await.with_context(|| format!("{order:?}"))
    }

    /// Reconciles; then every metric is soon complete as of now, and stays so.
    async fn reconcile(&mut self, metrics: &Metrics<'_>) -> Result<()> {
        let reconcile = self.stage.deployment.launch_reconcile("")?;
        while reconcile.ended()?.is_none() {
            self.ask(metrics).await?;
        }
        reconcile.success(DEADLINE).await?;
        let arrived = self.load.arrive(SOME).await?;
        let client = self.stage.client()?;
        for (metric, counted) in metrics {
            wait_for(&format!("{metric} to be complete again"), DEADLINE, async || {
                let answer = client.total(metric, &[]).await?;
                self.load.check_of(*counted, &answer)?;
                let done = answer.complete && answer.as_of_us()? >= Some(arrived);
                Ok(Progress::when(done, format_args!("{answer:?}")))
            })
            .await?;
        }
        for _ in 0..POLLS {
            self.ask(metrics).await?;
        }
        Ok(())
    }

    /// Asks this deployment and another that counts the same views.
    async fn ask_both(&mut self, metrics: &Metrics<'_>, other: &Deployment) -> Result<()> {
        for _ in 0..POLLS {
            self.ask(metrics).await?;
            self.hold(&other.client()?, METRIC, Counted::Status200).await?;
        }
        Ok(())
    }

    fn had_no_gaps_since(&self, incomplete_before: usize) -> Result<()> {
        let gaps = self.incomplete - incomplete_before;
        ensure!(gaps == 0, "there were gaps {gaps} times, the last were {}", self.last_gaps);
        Ok(())
    }

    async fn ask(&mut self, metrics: &Metrics<'_>) -> Result<()> {
        let client = self.stage.client()?;
        for (metric, counted) in metrics {
            self.hold(&client, metric, *counted).await?;
        }
        Ok(())
    }

    async fn hold(&mut self, client: &Client, metric: &str, counted: Counted) -> Result<()> {
        let answer = client.total(metric, &[]).await?;
        // What is not complete may be anything but more than what was sent.
        self.load.check_of(counted, &answer).with_context(|| format!("{metric} {counted:?}"))?;
        if answer.complete {
            self.complete += 1;
        } else if metric == METRIC {
            self.incomplete += 1;
            self.last_gaps = format!("{:?}", answer.gaps);
        }
        Ok(())
    }
}
