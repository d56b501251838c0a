//! Streams across a promotion and a roll-back, while payments flow. Two of them are others in the new version, and the rest is shared: each window,
//! session and alert of a shared stream is written once, and the topics of the changed ones hold what the new definitions decide from the
//! begin of the log, active or not.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use e2e_tests::printed::objects;
use e2e_tests::scenario::now_us;
use e2e_tests::stage::LAYERS;
use e2e_tests::streams::Decided;
use e2e_tests::streams::fraud::RULES;
use e2e_tests::streams::log::Step as LogStep;
use e2e_tests::streams::written::Stream;
use e2e_tests::versions::{Step, Versions};
use e2e_tests::{Client, Stage, busy_scenario};
use serde_json::{Value, json};
use test_kit::{DEADLINE, Progress, wait_for};

use crate::stream::payments::{Kind, LARGE, Mix, Payments, catalog, decided, large, spent_within, steps_of};

const PARTITIONS: i32 = 2;
const SOME: usize = 400;
/// A payment is large from this amount on in the new version.
const LESS: i64 = 20;
/// How long its windows of a minute wait for events that are out of order, instead of ten seconds.
const LATENESS_S: i64 = 40;
/// What a definition decides of a partition.
type Decides = fn(&[LogStep]) -> Vec<Decided>;

#[test]
fn version_streams() {
    busy_scenario("version_streams", async |scenario| {
        let setup = Payments::setup(scenario, PARTITIONS)
            .catalog(|name| with_metric(&catalog(name, PARTITIONS, RULES, LARGE)))
            .running(&LAYERS)
            .set("versions.refresh", "200ms")
            .without_kills();
        let Some(stage) = setup.start_on_real_kafka().await? else { return Ok(()) };
        let mut payments = Payments::of(stage, PARTITIONS, Mix::Usual)?;
        payments.send(SOME)?;
        payments.are_written().await.context("before there was another version")?;
        payments.flow_during(come_and_go).await?;
        payments.send(SOME)?;
        payments.are_written().await.context("what is shared, and what only the first version has")?;
        own_are_written(&payments).await.context("what is the new version's own")?;
        backtests_find_nothing_else(&payments.stage).await?;
        is_counted(&payments.stage).await?;
        payments.stage.ran_without_trouble()?;
        payments.end_exactly().await?;
        // And nothing more when nothing is left that writes.
        own_are_written(&payments).await
    });
}

/// The new version is created, replayed, verified, promoted, rolled back and promoted again.
async fn come_and_go(stage: &Stage) -> Result<()> {
    let (versions, name) = (Versions::of(&stage.deployment), &stage.topic);
    let newer = with_metric(&catalog(name, PARTITIONS, RULES, LESS));
    let waiting = format!("[streams.spent]\nlateness = \"{LATENESS_S}s\"\n");
    let newer = newer.replace("[streams.spent]\n", &waiting);
    ensure!(newer.contains(&waiting), "the catalog has no such stream");
    let created = versions.take(Step::Create { version: "v2", catalog: &newer }).await?;
    for topic in ["-large.v2", "-spent.v2"] {
        ensure!(created.contains(&format!("{name}{topic}")), "it does not name the topic {topic}: {created}");
    }
    let changed = versions.recorded("v2")?["changed"]["streams"].clone();
    ensure!(changed == json!({"large": "v2", "spent": "v2"}), "{changed}");
    versions.take(Step::Replay { version: "v2", from: "log" }).await?;
    versions.take(Step::Verify("v2")).await?;
    for (step, active) in [(Step::Promote("v2"), "v2"), (Step::RollBack, "v1"), (Step::Promote("v2"), "v2")] {
        let said = versions.take(step).await?;
        ensure!(said.contains(&format!("{name}-large")), "it lists no topic that changes: {said}");
        is_read_of(&stage.client()?, "large", active).await?;
        // A stream that is shared is read of the same topic whichever is active.
        let alerts = outputs(&stage.client()?, "alerts").await?;
        ensure!(alerts.iter().all(|alert| id_of(alert).starts_with("alerts/v1/")), "{alerts:?}");
    }
    Ok(())
}

/// Waits until the newest outputs of a stream are those of a generation.
async fn is_read_of(client: &Client, stream: &str, generation: &str) -> Result<()> {
    wait_for(&format!("{stream} to be read of {generation}"), DEADLINE, async || {
        let outputs = outputs(client, stream).await?;
        let prefix = format!("{stream}/{generation}/");
        let are = !outputs.is_empty() && outputs.iter().all(|output| id_of(output).starts_with(&prefix));
        Ok(Progress::when(are, format_args!("{outputs:?}")))
    })
    .await
}

/// The newest outputs of a stream.
async fn outputs(client: &Client, stream: &str) -> Result<Vec<Value>> {
    let (status, body) = client.get(&format!("/v1/streams/{stream}"), &[("limit", "5".to_owned())]).await?;
    ensure!(status == 200 && body["version"].is_string(), "{status}: {body}");
    body["outputs"].as_array().cloned().with_context(|| format!("no outputs: {body}"))
}

fn id_of(output: &Value) -> &str {
    output["output_id"].as_str().unwrap_or_default()
}

/// What the new version has written of the streams that are its own is what it decides of every record.
async fn own_are_written(payments: &Payments) -> Result<()> {
    let own: [(Kind, Decides); 2] = [(Kind::Large, large_now), (Kind::Spent, spent_now)];
    let brokers = &payments.stage.brokers;
    let steps = steps_of(Kind::Alerts, &payments.read_by(Kind::Alerts)?)?;
    for (kind, decides) in own {
        let expected: BTreeMap<i32, Vec<Decided>> =
            steps.iter().map(|(partition, steps)| (*partition, decides(steps))).collect();
        // It is not what the old definition decides.
        ensure!(expected != decided(kind, &steps), "{kind:?} has not changed");
        let stream = payments.stream(kind);
        let own = Stream { version: "v2".to_owned(), topic: format!("{}.v2", stream.topic), ..stream };
        own.becomes(brokers, || Ok(expected.clone())).await?;
    }
    Ok(())
}

/// Backtests by the active version, which is the new one, decide from the begin what its streams have published.
async fn backtests_find_nothing_else(stage: &Stage) -> Result<()> {
    for stream in ["large", "spent"] {
        wait_for(&format!("a backtest of {stream} to find what is archived"), DEADLINE, async || {
            let backtest = stage.deployment.batch(&["backtest", stream, "--output", "json"])?;
            backtest.success(DEADLINE).await?;
            let output = backtest.output()?;
            let report = objects(&output)?.pop().with_context(|| format!("no report: {output}"))?;
            let compared = &report["compared"];
            let is_equal = ["missing", "extra", "different"].iter().all(|name| compared[*name] == 0);
            Ok(Progress::when(is_equal && compared["outputs"].as_u64() > Some(0), report))
        })
        .await?;
    }
    Ok(())
}

fn large_now(steps: &[LogStep]) -> Vec<Decided> {
    large(steps, LESS)
}

fn spent_now(steps: &[LogStep]) -> Vec<Decided> {
    spent_within(steps, LATENESS_S)
}

/// A metric over a changed stream counts, in each version, what that version has written.
async fn is_counted(stage: &Stage) -> Result<()> {
    let (client, moment) = (stage.client()?, now_us());
    for (version, ending) in [("v1", "large"), ("v2", "large.v2")] {
        let (version_of, topic) = (version.to_owned(), format!("{}-{ending}", stage.topic));
        let stream =
            Stream { version: version_of, topic, has_late: false, ..Stream::of(&stage.topic, Kind::Large.name()) };
        let written = i64::try_from(stream.read(&stage.brokers)?.len())?;
        let answer = client.of_version(version).total_as_of(moment, "large", &[]).await?;
        ensure!(answer.int("payments")? == written, "{version} has written {written} of them: {answer:?}");
    }
    let active = client.total("large", &[]).await?;
    ensure!(active.version == "v2", "of another version: {active:?}");
    Ok(())
}

/// The catalog with a metric over a stream that changes.
fn with_metric(catalog: &str) -> String {
    format!(
        r#"{catalog}
[metrics.large]
source = "large"
by = ["country"]
grain = "1m"
[metrics.large.measures]
payments = "count()"
"#
    )
}
