//! An operator changes the catalog while events flow and somebody asks: no answer that calls itself complete is ever wrong,
//! and after the next reconcile all are exact.

use anyhow::{Context, Result, ensure};
use e2e_tests::exactness::every_answer_is_exact;
use e2e_tests::load::Counted;
use e2e_tests::scenario::now_us;
use e2e_tests::stage::LAYERS;
use e2e_tests::views::{CatalogOptions, DEFAULT_DEDUP_WINDOW, METRIC, Mix, NEVER, Views, catalog};
use e2e_tests::wait::{DEADLINE, Look, wait_for};
use e2e_tests::{Client, Kafka, Layer, Load, Oracle, Producer, Stage, scenario};
use rand::rngs::StdRng;
use rand::seq::SliceRandom;

const SOME: usize = 500;
/// Questions between two steps of the operator.
const POLLS: usize = 25;
const WHERE: &str = "where = \"status = 200\"";
/// By a column that another metric groups by already: a new one would be held to a key's length, which changes what is
/// rejected, and so every definition over the source.
const HOURLY: &str = r#"
[metrics.hourly]
source = "views"
where = "status >= 200"
by = ["video_id"]
grain = "1h"
[metrics.hourly.measures]
views = "count()"
dwell_ms = "sum(dwell_ms)"
"#;

#[test]
fn operators_day() {
    scenario("operators_day", async |scenario| {
        let kafka = Kafka::shared().await?;
        let topic = scenario.unique_name();
        let options =
            CatalogOptions { name: &topic, topic: &topic, reconcile: NEVER, dedup_window: DEFAULT_DEDUP_WINDOW };
        let first = catalog(&options);
        let stage = Stage::with_catalog(scenario, &kafka.brokers(), &topic, &first).await?;
        kafka.create_topic(&topic, 4).await?;
        stage.deployment.start_all(&LAYERS).await?;
        let now = now_us();
        let mix = Mix { late: 0.02, broken: 0.01, ..Mix::PLAIN };
        let load = Load::start(Producer::new(&stage.brokers, &topic)?, Views::new(scenario.rng(), now, 50, mix));
        let mut day = Day {
            stage: &stage,
            load: &load,
            rng: scenario.rng(),
            complete: 0,
            incomplete: 0,
            last_gaps: String::new(),
        };
        let arrived = load.arrive(SOME).await?;
        stage.client()?.total_as_of(arrived, METRIC, &[]).await?;
        let status_200 = [(METRIC, Counted::Status200)];
        day.reconcile(&status_200).await.context("the first reconcile")?;

        let every_status = first.replace(WHERE, "where = \"status >= 200\"");
        ensure!(every_status != first, "the catalog has no such line");
        let every = [(METRIC, Counted::EveryStatus)];
        day.change(&every_status, &status_200, &every).await.context("another where")?;

        let coarse = every_status.replace("grain = \"1m\"", "grain = \"5m\"");
        ensure!(coarse != every_status, "the catalog has no such line");
        day.change(&coarse, &every, &every).await.context("another grain")?;

        let two = [(METRIC, Counted::EveryStatus), ("hourly", Counted::EveryStatus)];
        let before = day.incomplete;
        day.change(&format!("{coarse}{HOURLY}"), &every, &two).await.context("one metric more")?;
        day.change(&coarse, &two, &every).await.context("one metric less")?;
        let gaps = day.incomplete - before;
        ensure!(gaps == 0, "the metric that stayed had gaps {gaps} times, the last were {}", day.last_gaps);
        let (status, problem) = stage.client()?.get("/v1/metrics/hourly/total", &[]).await?;
        ensure!(status == 404, "{status} {problem}");

        // Back to where the day began: the old definition is counted anew, not taken up where it was left.
        day.change(&first, &every, &status_200).await.context("the first catalog again")?;

        // Another deployment on the same Kafka, the same Redis and the same store.
        let before = day.incomplete;
        let name = format!("{topic}-second");
        let second = catalog(&CatalogOptions { name: &name, ..options });
        let dir = scenario.dir().join("second");
        let second = stage.deployment.beside(&dir, &second)?;
        second.start_all(&LAYERS).await?;
        let arrived = load.arrive(SOME).await?;
        second.client()?.total_as_of(arrived, METRIC, &[]).await?;
        for _ in 0..POLLS {
            day.ask(&status_200).await?;
            day.hold(&second.client()?, METRIC, Counted::Status200).await?;
        }
        second.reconcile().await?;
        for _ in 0..POLLS {
            day.ask(&status_200).await?;
            day.hold(&second.client()?, METRIC, Counted::Status200).await?;
        }
        let gaps = day.incomplete - before;
        ensure!(gaps == 0, "beside a second deployment there were gaps {gaps} times, the last were {}", day.last_gaps);
        println!("{} complete and {} incomplete answers", day.complete, day.incomplete);

        let stopped = load.stop().await?;
        for deployment in [&stage.deployment, &second] {
            let client = deployment.client()?;
            client.total_as_of(stopped.arrived_us, METRIC, &[]).await?;
            every_answer_is_exact(&client, &stopped.oracle, now).await?;
            deployment.reconcile().await?;
            client.authoritative_total(METRIC, &[]).await?;
            every_answer_is_exact(&client, &stopped.oracle, now).await?;
        }
        Ok(())
    });
}

#[test]
fn changed_where_is_exact_for_every_key() {
    scenario("changed_where_is_exact_for_every_key", async |scenario| {
        let kafka = Kafka::shared().await?;
        let stage = Stage::new(scenario, &kafka.brokers()).await?;
        kafka.create_topic(&stage.topic, 4).await?;
        stage.deployment.start_all(&LAYERS).await?;
        let now = now_us();
        let mut views = Views::new(scenario.rng(), now, 50, Mix::USUAL);
        let producer = Producer::new(&stage.brokers, &stage.topic)?;
        let mut oracle = Oracle::of_every_status();
        let sent = views.batch(2 * SOME);
        oracle.observe(&sent);
        let arrived = producer.send_all(sent.iter().map(|sent| &sent.record))?;
        stage.client()?.total_as_of(arrived, METRIC, &[]).await?;
        stage.deployment.reconcile().await?;
        let name = &stage.topic;
        let options = CatalogOptions { name, topic: name, reconcile: NEVER, dedup_window: DEFAULT_DEDUP_WINDOW };
        stage.deployment.write_catalog(&catalog(&options).replace(WHERE, "where = \"status >= 200\""))?;
        for layer in LAYERS {
            stage.deployment.start(layer).await?;
        }
        let sent = views.batch(2 * SOME);
        oracle.observe(&sent);
        let arrived = producer.send_all(sent.iter().map(|sent| &sent.record))?;
        // Nothing that is complete is asked for before the view is counted anew.
        let answer = stage.client()?.total(METRIC, &[]).await?;
        ensure!(!answer.complete, "complete without a view of this definition: {answer:?}");
        stage.deployment.reconcile().await?;
        let client = stage.client()?;
        client.total_as_of(arrived, METRIC, &[]).await?;
        every_answer_is_exact(&client, &oracle, now).await?;
        stage.reconciled_is(&oracle).await?;
        every_answer_is_exact(&client, &oracle, now).await
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
                Ok(if done { Look::Done(()) } else { Look::NotYet(format!("{answer:?}")) })
            })
            .await?;
        }
        for _ in 0..POLLS {
            self.ask(metrics).await?;
        }
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
