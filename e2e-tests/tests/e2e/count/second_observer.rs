//! Another engine reads the tables, after reconciles that add and one that recomputes, and after the log of the archive lost its
//! first entries: rows, offsets, days and sums are those that were sent, in the archive's bytes, in the view and over HTTP.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use e2e_tests::kafka::end_offsets;
use e2e_tests::observer::{Besides, Observer, Seen};
use e2e_tests::oracle::EVER;
use e2e_tests::time::rfc3339;
use e2e_tests::views::{Event, METRIC, Mix, Sent};
use e2e_tests::{Stage, Traffic, scenario};
use test_kit::{DEADLINE, Progress, wait_for};

const VIDEOS: u32 = 60;
const ROUNDS: usize = 3;
const BEFORE_EACH_RECONCILE: usize = 5_000;
/// Sent again and again until the log was cleaned.
const SOME: usize = 20;
/// Events that are counted before a copy arrives that stands in their place.
const REPLACED: usize = 40;
/// Where their copies are sent; of two copies in one log, the one in the smaller partition stands.
const FIRST: i32 = 0;
const LAST: i32 = 3;
/// What the copies say.
const DWELL_MS: i64 = 1;

#[test]
fn second_observer() {
    scenario("second_observer", async |scenario| {
        let Some(observer) = Observer::find(scenario)? else { return Ok(()) };
        let setup = Stage::of(scenario).set("store.log_retention", "1s").set("archive.checkpoint_every", "4");
        let stage = setup.set("archive.linger", "100ms").without_kills().start().await?;
        let (mut traffic, mut sent) = (stage.traffic(VIDEOS, Mix::USUAL)?, Archived::default());
        for _ in 0..ROUNDS {
            let arrived = sent.more(&mut traffic, BEFORE_EACH_RECONCILE)?;
            stage.total_as_of(arrived).await?;
            stage.reconciled_is(&traffic.oracle).await?;
            agrees(&stage, &observer.look(&stage.deployment).await?, &traffic, &sent)?;
        }

        let first_entry = stage.deployment.store().join(format!("archive/{METRIC}/_delta_log/{:020}.json", 0));
        wait_for("the log to be cleaned", DEADLINE, async || {
            sent.more(&mut traffic, SOME)?;
            stage.archived().await?;
            Ok(Progress::when(!first_entry.exists(), "its first entry"))
        })
        .await?;

        // The copies say something else than the events that are counted, and come before them: hours are recomputed.
        let video = "replaced";
        let counted: Vec<Sent> = (0..REPLACED).map(|_| placed(traffic.views.about(video), LAST)).collect();
        let arrived = traffic.deliver(&counted)?;
        sent.add(&counted)?;
        stage.total_as_of(arrived).await?;
        stage.deployment.reconcile().await?;
        let events: Vec<Event> = counted.into_iter().filter_map(|sent| sent.event).collect();
        let say_otherwise = events.into_iter().map(|event| Event { dwell_ms: Some(DWELL_MS), ..event });
        let copies: Vec<Sent> = say_otherwise.map(|event| placed(traffic.views.copy(&event), FIRST)).collect();
        let arrived = traffic.send_these(&copies)?;
        sent.add(&copies)?;
        stage.total_as_of(arrived).await?;
        let reconcile = stage.deployment.launch_reconcile("")?;
        reconcile.success(DEADLINE).await?;
        let report = reconcile.output()?;
        ensure!(report.contains(" hours recomputed") && !report.contains(" 0 hours recomputed"), "{report}");
        stage.authoritative_total().await?;
        stage.is_exact(&traffic.oracle).await?;
        let replaced = traffic.oracle.total(Some(video), EVER);
        ensure!(replaced.dwell_ms == replaced.views * DWELL_MS, "the copies stand: {replaced:?}");
        agrees(&stage, &observer.look(&stage.deployment).await?, &traffic, &sent)?;
        stage.ran_without_trouble()
    });
}

/// What the archive has to hold.
#[derive(Default)]
struct Archived {
    rows: u64,
    /// Valid records, by the day of their event.
    events: BTreeMap<String, u64>,
}

impl Archived {
    /// Sends the next views. Returns when all had arrived.
    fn more(&mut self, traffic: &mut Traffic, count: usize) -> Result<i64> {
        let sent = traffic.views.batch(count);
        self.add(&sent)?;
        traffic.send_these(&sent)
    }

    fn add(&mut self, sent: &[Sent]) -> Result<()> {
        self.rows += u64::try_from(sent.len())?;
        for event in sent.iter().filter_map(|sent| sent.event.as_ref()) {
            let at = rfc3339(event.at_ms * 1_000);
            let (day, _) = at.split_once('T').context("a date and a time")?;
            *self.events.entry(day.to_owned()).or_default() += 1;
        }
        Ok(())
    }
}

fn placed(mut sent: Sent, partition: i32) -> Sent {
    sent.record.partition = Some(partition);
    sent
}

/// The tables hold exactly what was sent.
fn agrees(stage: &Stage, seen: &Seen, traffic: &Traffic, sent: &Archived) -> Result<()> {
    seen.agrees(&end_offsets(&stage.brokers, &stage.topic)?, Besides::default(), &traffic.oracle)?;
    let Seen { archive, .. } = seen;
    ensure!(archive.rows == sent.rows, "{} rows: {archive:?}", sent.rows);
    ensure!(archive.events == sent.events, "{:?} instead of {:?}", archive.events, sent.events);
    Ok(())
}
