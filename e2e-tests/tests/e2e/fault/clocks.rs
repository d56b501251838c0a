//! Processes whose clocks differ: no number depends on any of them.
//!
//! Two deployments count one topic. Their clocks are wrong in opposite directions and are exchanged half-way, so that each clock
//! also jumps forth and back. An event's age is judged by its record's own timestamp. Therefore producers, whose clocks differ
//! again, send events close to the limits of age: a layer that asked its own clock would judge these otherwise. The moments
//! that answers name (`as_of`, `committed_at`) are those of the clocks and for information only; here they show that the
//! clocks are wrong indeed.

use anyhow::{Context, Result, ensure};
use e2e_tests::exactness::every_answer_is_exact;
use e2e_tests::oracle::EVER;
use e2e_tests::scenario::now_us;
use e2e_tests::stage::LAYERS;
use e2e_tests::time::micros;
use e2e_tests::views::{CatalogOptions, Event, METRIC, Mix, Sent, Views, catalog, video};
use e2e_tests::{Deployment, Layer, Oracle, Stage, scenario};
use rand::rngs::StdRng;
use serde_json::Value;
use test_kit::{DEADLINE, Progress, wait_for};

const VIDEOS: u32 = 30;
const EACH: usize = 1_000;
/// The batch and the speed layer are as far apart as this from the true time, in opposite directions.
const WRONG_BY_S: i64 = 90;
/// Producers are apart from each of them by no less.
const PRODUCERS_WRONG_BY_S: [i64; 3] = [-180, 0, 180];
/// How far from a limit of age events are: less than any two clocks are apart.
const MARGIN_MS: i64 = WRONG_BY_S * 1_000 / 2;
/// The platform's defaults.
const MAX_AHEAD_MS: i64 = 3_600_000;
const MAX_AGE_MS: i64 = 400 * 86_400_000;
const HOUR_US: i64 = 3_600_000_000;

#[test]
fn clocks_apart() {
    scenario("clocks_apart", async |scenario| {
        let Some(mut stage) = Stage::of(scenario).not_started().start_on_real_kafka().await? else { return Ok(()) };
        let name = format!("{}-other", stage.topic);
        let options = CatalogOptions { name: &name, ..CatalogOptions::of(&stage.topic) };
        let mut other = stage.beside("other", &catalog(&options))?;
        let producer = stage.producer()?;
        let mut oracle = Oracle::default();

        for (round, batch_s) in [-WRONG_BY_S, WRONG_BY_S].into_iter().enumerate() {
            for (deployment, batch_s) in [(&mut stage.deployment, batch_s), (&mut other, -batch_s)] {
                deployment.set_clock("batch-layer", batch_s);
                deployment.set_clock("speed-layer", -batch_s);
                let layers = if round == 0 { &LAYERS[..] } else { &[Layer::Archive, Layer::Speed] };
                deployment.start_all(layers).await?;
            }
            let now = now_us();
            for wrong_by_s in PRODUCERS_WRONG_BY_S {
                let sent = of_producer(stage.rng(), now + wrong_by_s * 1_000_000);
                oracle.observe(&sent);
                for sent in &sent {
                    producer.send_at(&sent.record, now / 1_000 + wrong_by_s * 1_000)?;
                }
            }
            producer.flush()?;
            for (deployment, batch_s) in [(&stage.deployment, batch_s), (&other, -batch_s)] {
                is_exact(deployment, &oracle, -batch_s, now).await.with_context(|| format!("round {round}"))?;
                deployment.reconcile().await?;
                is_reconciled(deployment, &oracle, batch_s, now).await.with_context(|| format!("round {round}"))?;
            }
        }
        Ok(())
    });
}

/// What a producer with that clock sends: usual events, and some close to either side of the limits of age.
fn of_producer(rng: StdRng, its_now_us: i64) -> Vec<Sent> {
    let its_now_ms = its_now_us / 1_000;
    let mut views = Views::new(rng, its_now_us, VIDEOS, Mix::USUAL);
    let mut sent = views.batch(EACH);
    let edges = [
        (its_now_ms + MAX_AHEAD_MS - MARGIN_MS, true),
        (its_now_ms + MAX_AHEAD_MS + MARGIN_MS, false),
        (its_now_ms - MAX_AGE_MS + MARGIN_MS, true),
        (its_now_ms - MAX_AGE_MS - MARGIN_MS, false),
    ];
    for rank in 0..VIDEOS {
        for (number, (at_ms, counts)) in edges.into_iter().enumerate() {
            let id = format!("edge-{its_now_ms}-{rank}-{number}");
            let event = Event { id, at_ms, video: video(rank), status: 200, dwell_ms: Some(1) };
            let Sent { record, event } = views.copy(&event);
            sent.push(Sent { record, event: event.filter(|_| counts) });
        }
    }
    sent
}

/// Soon every answer is exact, mostly by the speed layer, whose clock is wrong by so much. Where it is slow, answers are soon
/// dated by it, too; until the worker has asked for the log's end, by the worker before.
async fn is_exact(deployment: &Deployment, oracle: &Oracle, speed_s: i64, now: i64) -> Result<()> {
    let client = deployment.client()?;
    let expected = oracle.total(None, EVER);
    wait_for("everything to be counted", DEADLINE, async || {
        let answer = client.total(METRIC, &[]).await?;
        let counts = answer.counts()?;
        ensure!(counts.views <= expected.views && counts.dwell_ms <= expected.dwell_ms, "{expected:?}: {answer:?}");
        let by_a_slow_clock = |as_of| as_of < now_us() + speed_s * 1_000_000 / 2;
        let dated = speed_s >= 0 || answer.as_of_us()?.is_some_and(by_a_slow_clock);
        let done = answer.complete && counts == expected && dated;
        Ok(Progress::when(done, format_args!("{expected:?}: {answer:?}")))
    })
    .await?;
    every_answer_is_exact(&client, oracle, now + 2 * HOUR_US).await
}

/// The same from the batch view alone, whose committer's clock is wrong by so much.
async fn is_reconciled(deployment: &Deployment, oracle: &Oracle, batch_s: i64, now: i64) -> Result<()> {
    let client = deployment.client()?;
    let answer = client.authoritative_total(METRIC, &[]).await?;
    let body: Value = serde_json::from_str(&answer.text)?;
    let committed = body["provenance"]["batch"]["committed_at"].as_str().context("no committed_at")?;
    let off_us = (micros(committed)? - now_us()) * batch_s.signum();
    ensure!(off_us > WRONG_BY_S * 1_000_000 / 2, "the batch layer's clock is not wrong: {answer:?}");
    every_answer_is_exact(&client, oracle, now + 2 * HOUR_US).await
}
