//! `report_…`: a day of five million clicks of 200,000 users whose profiles change, from the batch view to the table of the warehouse, beside
//! DuckDB and Polars for Python, which compute the same from the files of the archives. A report reads what reconciles have counted
//! during the day; beside them stands as well what it takes with a full reconcile of that day. Processes' starts are part of all times. `BENCH_REPORT_CLICKS` and
//! `BENCH_REPORT_USERS` measure with other numbers.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e_tests::kafka::Record;
use e2e_tests::scenario::{Scenario, now_us};
use e2e_tests::{Archive, Layer, Producer, Stage};
use platform::settings;
use platform::store::Store;
use polars::prelude::{Column, DataFrame, ParquetWriter};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use shared_logic::contracts::archive::path;
use shared_logic::time::{DAY_US, day_of, format_day};
use test_kit::{Progress, wait_for};

use crate::amount::amount;
use crate::duckdb::DuckDb;
use crate::figures::Figures;
use crate::usage::Took;

const CLICKS: usize = 5_000_000;
const USERS: usize = 200_000;
const PAGES: u32 = 2_000;
/// Each user has a profile, and so many change once more.
const CHANGED: f64 = 0.3;
/// So long the archiver may take.
const ARCHIVED_WITHIN: Duration = Duration::from_secs(300);

fn catalog(name: &str) -> String {
    format!(
        r#"[pipeline]
name = "{name}"
version = "v1"
[sources.clicks]
topic = "{name}"
event_time = "at"
[sources.clicks.fields]
at = {{ type = "timestamp", format = "epoch_us" }}
user_id = "string"
page = "string"
dwell_ms = "int"
[tables.users]
topic = "{name}.users"
key = "user_id"
[tables.users.fields]
user_id = "string"
name = "string?"
plan = "string?"
[metrics.engagement]
source = "clicks"
by = ["user_id"]
grain = "1h"
[metrics.engagement.measures]
click_count = "count()"
unique_pages = "distinct(page)"
avg_dwell_ms = "avg(dwell_ms)"
[reports.engagement]
metric = "engagement"
schedule = "0 0 2 * * *"
settle = "0s"
join.users = {{ on = "user_id", take = ["name", "plan"] }}
[reports.engagement.columns]
engagement_score = "click_count * 0.3 + unique_pages * 0.5 + avg_dwell_ms / 1000 * 0.2"
"#
    )
}

pub(crate) async fn measure(scenario: &Scenario, figures: &mut Figures) -> Result<()> {
    let (clicks, users) = (amount("BENCH_REPORT_CLICKS", CLICKS)?, amount("BENCH_REPORT_USERS", USERS)?);
    let (rivals, folder) = (DuckDb::find()?, scenario.dir().join("reports"));
    std::fs::create_dir_all(&folder)?;
    let setup = Stage::of(scenario).catalog(catalog).topic("", 4, &[]).topic(".users", 4, &[]);
    let stage = setup.running(&[Layer::Archive]).start().await?;
    let day_us = now_us() / DAY_US * DAY_US - 2 * DAY_US;
    let changes = send_users(&stage, users, day_us)?;
    let file = folder.join("clicks.parquet");
    write_clicks(&file, clicks, users, day_us)?;
    // Five million records through a broker would measure the broker.
    let file = file.to_string_lossy();
    Took::by(|| stage.deployment.batch(&["import", "clicks", &file])).await?;
    let store = stage.deployment.store();
    wait_for("the users to be archived", ARCHIVED_WITHIN, async || {
        let archived = Archive::rows(&store, "users", &["_offset"]).map_or(0, |rows| rows.height());
        Ok(Progress::when(archived == changes, format!("{archived} of {changes} changes")))
    })
    .await?;
    let reconciled = Took::by(|| stage.deployment.launch_reconcile("")).await?;
    let date = format_day(day_of(day_us));
    let run = ["report", "run", "engagement", "--date", date.as_str(), "--wait", "0s", "--output", "json"];
    let reported = Took::by(|| stage.deployment.batch(&run)).await?;
    ensure!(reported.output.contains("\"outcome\":\"written\""), "the report was not written: {}", reported.output);
    let files = [files(&stage, "clicks").await?, files(&stage, "users").await?];
    for rival in ["duckdb", "polars"] {
        let (took, rows) = rivals.report(&files, &folder, rival).await?;
        let counted = format!("\"rows\":{rows},");
        ensure!(reported.output.contains(&counted), "{rival} has {rows} rows: {}", reported.output);
        figures.beside(format!("report_seconds_beside_{rival}"), reported.seconds, "s", took.seconds);
        // Rivals count what a reconcile has counted before the report.
        let with_reconcile = reconciled.seconds + reported.seconds;
        figures.beside(format!("report_with_reconcile_seconds_beside_{rival}"), with_reconcile, "s", took.seconds);
        figures.add(format!("report_{rival}_peak_memory"), took.peak_mib, "MiB");
    }
    figures.add("report_peak_memory", reported.peak_mib, "MiB");
    figures.add("report_full_reconcile_seconds", reconciled.seconds, "s");
    Ok(())
}

/// Where the files of an archive lie.
async fn files(stage: &Stage, source: &str) -> Result<Vec<PathBuf>> {
    let root = stage.deployment.store();
    let (parent, name) = (root.parent().context("a folder")?, root.file_name().context("a name")?);
    let settings = settings::Store { url: parent.display().to_string(), ..settings::Store::default() };
    let table = Store::new(&settings, &name.to_string_lossy())?.open(&path(source)).await?.context("it is archived")?;
    Ok(table.files().await?.iter().map(|file| root.join(path(source)).join(&file.path)).collect())
}

/// Profiles from before the day. Returns how many changes there are.
fn send_users(stage: &Stage, users: usize, day_us: i64) -> Result<usize> {
    let producer = Producer::new(&stage.brokers, &format!("{}.users", stage.topic))?;
    let mut rng = StdRng::seed_from_u64(7);
    let changed = (users as f64 * CHANGED) as usize;
    let changed: Vec<usize> = (0..changed).map(|_| rng.random_range(0..users)).collect();
    let all = (0..users).chain(changed.iter().copied());
    for (number, user) in all.enumerate() {
        let (key, plan) = (format!("u-{user}"), ["free", "pro", "team"][number % 3]);
        let payload = format!(r#"{{"user_id":"{key}","name":"name {number}","plan":"{plan}"}}"#).into_bytes();
        producer.send_at(&Record { key, payload, partition: None }, (day_us - DAY_US / 2) / 1_000)?;
    }
    producer.flush()?;
    Ok(users + changed.len())
}

/// Clicks of one day, in the order of their times.
fn write_clicks(path: &Path, clicks: usize, users: usize, day_us: i64) -> Result<()> {
    let mut rng = StdRng::seed_from_u64(11);
    let at_us = |n: usize| day_us + (DAY_US as f64 * n as f64 / clicks as f64) as i64;
    let columns = vec![
        Column::new("at".into(), (0..clicks).map(at_us).collect::<Vec<i64>>()),
        Column::new(
            "user_id".into(),
            (0..clicks).map(|_| format!("u-{}", rng.random_range(0..users))).collect::<Vec<String>>(),
        ),
        Column::new(
            "page".into(),
            (0..clicks).map(|_| format!("/p/{}", rng.random_range(0..PAGES))).collect::<Vec<String>>(),
        ),
        Column::new("dwell_ms".into(), (0..clicks).map(|_| rng.random_range(0..60_000)).collect::<Vec<i64>>()),
    ];
    ParquetWriter::new(File::create(path)?).finish(&mut DataFrame::new(clicks, columns)?)?;
    Ok(())
}
