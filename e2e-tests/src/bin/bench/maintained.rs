//! What maintenance makes of a day that was committed once a minute, with 2 % of its events late by up to 60 days: `maintained_…`.
//!
//! The numbers of commits, files and log entries are real. The rows are fewer than at 1,000 events a second, and
//! `BENCH_MAINTAINED_ROWS=60000` makes them as many, for each commit. No Kafka takes part.

use std::time::{Duration, Instant};

use anyhow::Result;
use e2e_tests::Deployment;
use e2e_tests::scenario::{Scenario, now_us};
use e2e_tests::views::{CatalogOptions, catalog};
use test_kit::{Durability, Redis};

use crate::amount::amount;
use crate::figures::Figures;
use crate::reconcile::archived::{Archived, Event, in_folder};

const COMMITS: i64 = 24 * 60;
const ROWS: i64 = 600;
const MINUTE_US: i64 = 60_000_000;
const DAY_US: i64 = 24 * 60 * MINUTE_US;
const LATE_DAYS: i64 = 60;
/// One of so many events is late.
const LATE: i64 = 50;
/// How long a reconcile and a pass may take.
const DEADLINE: Duration = Duration::from_secs(3_600);

pub(crate) async fn measure(scenario: &Scenario, figures: &mut Figures) -> Result<()> {
    let rows = amount("BENCH_MAINTAINED_ROWS", ROWS)?;
    let folder = scenario.dir().join("maintained");
    let redis = Redis::start_in(&folder.join("redis"), Durability::None).await?;
    let text = catalog(&CatalogOptions::of(&scenario.unique_name()));
    // Neither reconciles nor maintenance ask a broker.
    let deployment = Deployment::new(&folder.join("braid"), &text, "127.0.0.1:9", &redis.url())?;
    let mut archived = Archived::create(&in_folder(&folder.join("braid/store")), &text).await?;
    let begin_us = now_us() / DAY_US * DAY_US - DAY_US;
    for minute in 0..COMMITS {
        let events: Vec<Event> = (0..rows).map(|row| event(begin_us, minute, minute * rows + row, rows)).collect();
        archived.commit(&events).await?;
    }
    let (opened, before) = archived.opened().await?;
    figures.add("maintained_opened_before_ms", opened.as_secs_f64() * 1e3, "ms");
    figures.add("maintained_files_before", before.values().map(Vec::len).sum::<usize>() as f64, "files");
    deployment.batch(&["reconcile"])?.success(DEADLINE).await?;
    let begun = Instant::now();
    deployment.batch(&["maintain"])?.success(DEADLINE).await?;
    figures.add("maintained_in_seconds", begun.elapsed().as_secs_f64(), "s");
    let (opened, after) = archived.opened().await?;
    figures.add("maintained_opened_ms", opened.as_secs_f64() * 1e3, "ms");
    figures.add("maintained_files_of_a_day", after.values().map(Vec::len).max().unwrap_or_default() as f64, "files");
    Ok(())
}

/// The event of that number, which arrives in that minute.
fn event(begin_us: i64, minute: i64, number: i64, rows: i64) -> Event {
    let late_us = if number % LATE == 0 { (1 + number / LATE % LATE_DAYS) * DAY_US } else { 0 };
    let at_us = begin_us + minute * MINUTE_US + number % rows * (MINUTE_US / rows) - late_us;
    Event { id: number.unsigned_abs(), at_us, video: (number % 10_007) as u32 }
}
