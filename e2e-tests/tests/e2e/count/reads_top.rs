//! The largest keys, and which keys there are, held against what was sent while reconciles move the cut; and while events flow, no answer
//! lacks what an earlier one had, or has what was never sent.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e_tests::answer::Parameters;
use e2e_tests::oracle::EVER;
use e2e_tests::time::rfc3339;
use e2e_tests::views::{METRIC, Mix};
use e2e_tests::{Client, Layer, Oracle, Stage, Traffic, busy_scenario};
use serde_json::Value;
use test_kit::Process;

const VIDEOS: u32 = 300;
const BEFORE_RECONCILES: usize = 40_000;
const RECONCILES: usize = 3;
const BEFORE_EACH_RECONCILE: usize = 10_000;
const HOUR_US: i64 = 3_600_000_000;
/// While events flow.
const POLLS: usize = 60;
const BURST: usize = 200;
const PAUSE: Duration = Duration::from_millis(20);

#[test]
fn reads_top() {
    busy_scenario("reads_top", async |scenario| {
        let stage = Stage::of(scenario).start().await?;
        let client = stage.client()?;
        let mut traffic = stage.traffic(VIDEOS, Mix::USUAL)?;
        let arrived = traffic.send(BEFORE_RECONCILES)?;
        stage.total_as_of(arrived).await?;
        are_exact(&stage, &client, &traffic.oracle).await?;
        for _ in 0..RECONCILES {
            let arrived = traffic.send(BEFORE_EACH_RECONCILE)?;
            stage.total_as_of(arrived).await?;
            let reconcile = stage.deployment.launch_reconcile("")?;
            exact_until_it_ends(&stage, &client, &reconcile, &traffic.oracle).await?;
        }
        while_events_flow(&stage, &client, &mut traffic).await?;
        stage.authoritative_total().await?;
        are_exact(&stage, &client, &traffic.oracle).await?;

        // The batch layer alone answers, and what Redis has lost is said to be missing.
        stage.deployment.kill(Layer::Speed);
        redis::cmd("FLUSHALL").query_async::<()>(&mut stage.redis.connection().await?).await?;
        let body = top(&client, &[]).await?;
        ensure!(body["complete"] == false && body["gaps"][0]["reason"] == "no_shard", "{body}");
        Ok(())
    });
}

async fn exact_until_it_ends(stage: &Stage, client: &Client, reconcile: &Process, oracle: &Oracle) -> Result<()> {
    loop {
        let ended = reconcile.ended()?;
        are_exact(stage, client, oracle).await?;
        if let Some(status) = ended {
            ensure!(status.success(), "the reconcile ended with {status}");
            return Ok(());
        }
    }
}

/// All keys and the largest ones, of all time and of some hours, are what was sent.
async fn are_exact(stage: &Stage, client: &Client, oracle: &Oracle) -> Result<()> {
    let to = stage.now_us - stage.now_us.rem_euclid(HOUR_US);
    let ranges =
        [(EVER, Vec::new()), (to - 2 * HOUR_US..to, vec![("from", rfc3339(to - 2 * HOUR_US)), ("to", rfc3339(to))])];
    for (range, parameters) in ranges {
        for measure in ["views", "dwell_ms"] {
            let mut expected: Vec<(i64, String)> = Vec::new();
            for video in oracle.videos() {
                let counts = oracle.total(Some(&video), range.clone());
                if counts.views > 0 {
                    expected.push((if measure == "views" { counts.views } else { counts.dwell_ms }, video));
                }
            }
            expected.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
            let limit = 1 + expected.len() / 3;
            let mut all = parameters.clone();
            all.extend([("measure", measure.to_owned()), ("limit", limit.to_string())]);
            let body = top(client, &all).await?;
            ensure!(body["complete"] == true, "{body}");
            ensure!(body["ranked"] == expected.len(), "{} keys were counted: {body}", expected.len());
            let rows = body["rows"].as_array().context("no rows")?;
            let found = rows
                .iter()
                .map(|row| Some((row["values"][measure].as_i64()?, row["key"]["video_id"].as_str()?.to_owned())));
            let found: Vec<(i64, String)> = found.collect::<Option<_>>().context("a row without its key or value")?;
            expected.truncate(limit);
            ensure!(found == expected, "by {measure} in {range:?}: expected {expected:?}, answered {found:?}");
        }
    }
    let mut expected = oracle.videos();
    expected.sort();
    let mut listed: Vec<String> = Vec::new();
    loop {
        let mut parameters = vec![("limit", "100".to_owned())];
        parameters.extend(listed.last().map(|last| ("after", last.clone())));
        let (status, body) = client.get(&format!("/v1/metrics/{METRIC}/keys"), &parameters).await?;
        ensure!(status == 200 && body["complete"] == true, "{status}: {body}");
        let keys = body["keys"].as_array().context("no keys")?;
        listed.extend(keys.iter().filter_map(|key| key.as_str().map(str::to_owned)));
        if body["more"] != true {
            break;
        }
        ensure!(!keys.is_empty(), "a page without keys, and more behind it: {body}");
    }
    ensure!(listed == expected, "expected the keys {expected:?}, listed {listed:?}");
    Ok(())
}

async fn top(client: &Client, parameters: &Parameters<'_>) -> Result<Value> {
    let (status, body) = client.get(&format!("/v1/metrics/{METRIC}/top"), parameters).await?;
    ensure!(status == 200, "{status}: {body}");
    Ok(body)
}

/// Asks while events flow and a reconcile runs: the sum of all keys never falls, and is never more than what was sent.
async fn while_events_flow(stage: &Stage, client: &Client, traffic: &mut Traffic) -> Result<()> {
    let (enough, at_most) = (AtomicBool::new(false), AtomicI64::new(0));
    let flow = async {
        let mut arrived = 0;
        while !enough.load(Ordering::SeqCst) {
            arrived = tokio::task::block_in_place(|| {
                let burst = traffic.views.batch(BURST);
                traffic.oracle.observe(&burst);
                at_most.store(traffic.oracle.total(None, EVER).views, Ordering::SeqCst);
                traffic.deliver(&burst)
            })?;
            // This paces the load; nothing depends on it.
            tokio::time::sleep(PAUSE).await;
        }
        anyhow::Ok(arrived)
    };
    let polls = async {
        let asked = async {
            let reconcile = stage.deployment.launch_reconcile("")?;
            let (mut highest, mut polls) = (0, 0);
            while polls < POLLS || reconcile.ended()?.is_none() {
                let body = top(client, &[("limit", "1000".to_owned())]).await?;
                ensure!(body["complete"] == true, "incomplete without a fault: {body}");
                let rows = body["rows"].as_array().context("no rows")?;
                let sum: i64 = rows.iter().filter_map(|row| row["values"]["views"].as_i64()).sum();
                let at_most = at_most.load(Ordering::SeqCst);
                ensure!(sum >= highest, "poll {polls}: {sum} after {highest}");
                ensure!(sum <= at_most || at_most == 0, "poll {polls}: {sum} of {at_most} sent");
                (highest, polls) = (sum, polls + 1);
            }
            ensure!(reconcile.ended()?.is_some_and(|status| status.success()), "the reconcile failed");
            anyhow::Ok(())
        };
        let asked = asked.await;
        enough.store(true, Ordering::SeqCst);
        asked
    };
    let (arrived, polls) = tokio::join!(flow, polls);
    polls?;
    stage.total_as_of(arrived?).await?;
    stage.deployment.reconcile().await
}
