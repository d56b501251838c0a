//! `served_…`: totals from a batch view that is many times larger than the memory for it, and how soon a changed day is served.
//!
//! No event is produced. The view is written as a reconcile commits one, so that it can have millions of rows in a minute.
//! `BENCH_VIEW_ROWS` says how many; by default twenty million.

use std::ops::Range;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use e2e_tests::scenario::{Scenario, now_us};
use e2e_tests::time::rfc3339;
use e2e_tests::views::{METRIC, video};
use e2e_tests::{Client, Layer, Stage};
use platform::settings;
use platform::store::{Commit, Committed, Store, Table};
use polars::prelude::{DataFrame, DataType, NamedFrom, Schema, Series, TimeUnit, TimeZone, df};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use shared_logic::catalog::{Catalog, DefinitionHash};
use shared_logic::contracts::batch_view::{self, Asked, Note};
use shared_logic::log::Offsets;
use shared_logic::time::{DAY_US, HOUR_US, SECOND_US, day_of, format_day};
use test_kit::{Progress, wait_for};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use crate::amount::amount;
use crate::figures::Figures;
use crate::usage::Usage;

const ROWS: usize = 20_000_000;
const DAYS: i64 = 60;
const VIDEOS: u32 = 100_000;
const VIEW_MEMORY_MIB: f64 = 256.0;
/// What `docs/operations.md` says that the process takes besides.
const BESIDE_MIB: f64 = 128.0;
/// Questions per second, whether or not earlier ones are answered; for how long they are asked before anything is measured, and then.
const RATE: u32 = 200;
const BEFORE: Duration = Duration::from_secs(60);
const LASTS: Duration = Duration::from_secs(10);
/// How long the first load may take.
const LOADED_WITHIN: Duration = Duration::from_secs(900);
/// What we aim at for a changed day, in seconds.
const AIM_S: f64 = 1.0;

pub(crate) async fn measure(scenario: &Scenario, figures: &mut Figures) -> Result<()> {
    let setup = Stage::of(scenario).as_users_get_it().set("serving.view_memory", "256MiB").running(&[]);
    let stage = setup.start().await?;
    let rows = amount("BENCH_VIEW_ROWS", ROWS)?;
    let mut view = LargeView::open(&stage, rows).await?;
    view.write(0..DAYS).await?;

    let began = Instant::now();
    let serving = stage.deployment.start(Layer::Serving).await?;
    let client = stage.client()?;
    wait_for("the view to be loaded", LOADED_WITHIN, async || {
        let (status, body) = client.get("/readyz", &[]).await?;
        Ok(Progress::when(status == 200, body))
    })
    .await?;
    figures.add("served_view_rows", rows as f64, "rows");
    figures.add("served_first_load", began.elapsed().as_secs_f64(), "s");
    let (_, metric) = client.get(&format!("/v1/metrics/{METRIC}"), &[]).await?;
    let bytes = metric["cut"]["segments"]["bytes"].as_f64().context("no size of segments")?;
    figures.add("served_bytes_per_row", bytes / rows as f64, "bytes");

    let last = view.first_day + DAYS;
    for (name, length_us) in [("hour", HOUR_US), ("day", DAY_US), ("60_days", DAYS * DAY_US)] {
        let mut rng = StdRng::seed_from_u64(23);
        let mut question = || {
            let latest = last * DAY_US - length_us;
            let from = latest - rng.random_range(0..=(latest - view.first_day * DAY_US) / HOUR_US) * HOUR_US;
            vec![
                ("video_id", video(rng.random_range(0..VIDEOS))),
                ("from", rfc3339(from)),
                ("to", rfc3339(from + length_us)),
            ]
        };
        ask(&client, BEFORE, &mut question).await?;
        let took_ms = ask(&client, LASTS, &mut question).await?;
        let at = |share: f64| took_ms[((took_ms.len() - 1) as f64 * share) as usize];
        figures.add(format!("served_total_{name}_p50_ms"), at(0.5), "ms");
        figures.add(format!("served_total_{name}_p99_ms"), at(0.99), "ms");
    }
    figures.beside("served_peak_memory", Usage::of(serving.id())?.peak_mib, "MiB", VIEW_MEMORY_MIB + BESIDE_MIB);

    let version = view.write(DAYS - 1..DAYS).await?;
    let committed = Instant::now();
    while client.total(METRIC, &[]).await?.batch_version() != Some(version) {
        ensure!(committed.elapsed() < Duration::from_secs(60), "version {version} is not served");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    figures.beside("served_after_commit", committed.elapsed().as_secs_f64(), "s", AIM_S);
    let peak = Usage::of(serving.id())?.peak_mib;
    figures.beside("served_peak_memory_after_commit", peak, "MiB", VIEW_MEMORY_MIB + BESIDE_MIB);
    Ok(())
}

/// Asks for totals at a rate, for so long; returns how long each took from when it was due, in milliseconds, the fastest first.
async fn ask(
    client: &Client,
    lasts: Duration,
    parameters: &mut impl FnMut() -> Vec<(&'static str, String)>,
) -> Result<Vec<f64>> {
    let mut ticks = interval(Duration::from_secs(1) / RATE);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut asked = JoinSet::new();
    let began = Instant::now();
    while began.elapsed() < lasts {
        let due = ticks.tick().await;
        let (client, parameters) = (client.clone(), parameters());
        asked.spawn(async move {
            client.total(METRIC, &parameters).await?;
            anyhow::Ok(due.elapsed().as_secs_f64() * 1e3)
        });
    }
    let mut took_ms = Vec::new();
    while let Some(answered) = asked.join_next().await {
        took_ms.push(answered??);
    }
    took_ms.sort_by(f64::total_cmp);
    Ok(took_ms)
}

/// The view of a stage, written as a reconcile does.
struct LargeView {
    table: Table,
    definition: DefinitionHash,
    rows_per_day: usize,
    first_day: i64,
    rng: StdRng,
}

impl LargeView {
    async fn open(stage: &Stage, rows: usize) -> Result<LargeView> {
        let catalog = Catalog::parse(&stage.catalog).map_err(|mistakes| anyhow::anyhow!("{mistakes:?}"))?;
        let folder = stage.deployment.store();
        let url = folder.parent().context("a store without a folder")?.display().to_string();
        let store = Store::new(&settings::Store { url, ..settings::Store::default() }, &stage.topic)?;
        let path = batch_view::path("v1", METRIC);
        let table = store.open_or_create(&path, &Schema::default(), batch_view::DAY).await?;
        Ok(LargeView {
            table,
            definition: catalog.definition(&catalog.metrics[METRIC]),
            rows_per_day: rows / DAYS as usize,
            first_day: day_of(now_us()) - DAYS,
            rng: StdRng::seed_from_u64(19),
        })
    }

    /// Replaces these days, numbered from the first, in one commit; returns its version.
    async fn write(&mut self, days: Range<i64>) -> Result<u64> {
        let mut commit = Commit::new("RECONCILE", batch_view::DAY, now_us());
        let mut names = Vec::new();
        let first_day = self.first_day;
        for day in days.map(|day| first_day + day) {
            let rows = self.rows(day)?;
            commit = commit.adding([self.table.write(&format_day(day), rows, &[]).await?]);
            names.push(format_day(day));
        }
        let old = self.table.files().await?.into_iter().filter(|file| names.contains(&file.partition));
        let note = Note {
            definition: self.definition.clone(),
            cut: Offsets::default(),
            archive_version: 0,
            retired_before: None,
            committed_at_us: now_us(),
            asked: Asked::default(),
        };
        match self.table.commit(commit.removing(old).note(batch_view::NOTE_DOMAIN, &note)).await? {
            Committed::At(version) => Ok(version),
            Committed::Conflict => anyhow::bail!("another process has committed to the view"),
        }
    }

    /// Rows of a day: a minute and a video in each, in no order.
    fn rows(&mut self, day: i64) -> Result<DataFrame> {
        let (rows, rng) = (self.rows_per_day, &mut self.rng);
        let minutes = (0..rows).map(|_| rng.random_range(0..24 * 60_i64));
        let buckets: Vec<i64> = minutes.map(|minute| day * DAY_US + minute * 60 * SECOND_US).collect();
        let videos: Vec<String> = (0..rows).map(|_| video(rng.random_range(0..VIDEOS))).collect();
        let views: Vec<i64> = (0..rows).map(|_| rng.random_range(1..20_i64)).collect();
        let dwell: Vec<i64> = views.iter().map(|views| *views * rng.random_range(0..10_000_i64)).collect();
        let mut frame = df!("video_id" => videos, "views" => views, "dwell_ms" => dwell)?;
        let instant = DataType::Datetime(TimeUnit::Microseconds, Some(TimeZone::UTC));
        let buckets = Series::new(batch_view::BUCKET.into(), buckets).cast(&instant)?;
        frame.with_column(buckets.into())?;
        Ok(frame)
    }
}
