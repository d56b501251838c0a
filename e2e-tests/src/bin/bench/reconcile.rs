//! What a reconcile costs: `reconcile_full_…` counts five million events of eight days at once, beside DuckDB, which counts the same files;
//! `reconcile_today_…` adds to as many of 60 days one per cent that happened today, and `reconcile_late_…` one per cent of which some are
//! late by up to 60 days, beside the former. Of the new records, 3 % are copies, a tenth of these of events that were counted before.
//! `reconcile_large_…` is the same with twenty million events, and `busy_day_…` counts fifty million of a single day at once.
//!
//! No Kafka takes part: the archive is written as the archiver writes it. The reconciles are processes of their own, whose starts
//! are part of their times. `BENCH_RECONCILE_EVENTS`, `BENCH_LARGE_EVENTS` and `BENCH_BUSY_DAY_EVENTS` measure with other numbers.
//!
//! - `archived`: an archive of made-up events;
//! - `world`: a deployment of which only reconciles run.

pub(crate) mod archived;
pub(crate) mod world;

use anyhow::{Result, ensure};
use e2e_tests::scenario::{Scenario, now_us};
use shared_logic::time::DAY_US;

use self::world::{Reconciled, World};
use crate::amount::amount;
use crate::duckdb::DuckDb;
use crate::figures::Figures;

const EVENTS: usize = 5_000_000;
const LARGE: usize = 20_000_000;
const BUSY_DAY: usize = 50_000_000;
/// Over how many days the events of a full reconcile lie, and those that others are added to.
const FULL_DAYS: i64 = 8;
const DAYS: i64 = 60;
/// Of the new events, how many are late.
const LATE: f64 = 0.02;
/// The setting `reconcile.memory`. The process itself comes on top.
const MEMORY_MIB: f64 = 512.0;

pub(crate) async fn measure(scenario: &Scenario, figures: &mut Figures) -> Result<()> {
    let events = amount("BENCH_RECONCILE_EVENTS", EVENTS)?;
    measure_full(scenario, figures, "reconcile", events).await?;
    measure_added(scenario, figures, "reconcile", events).await
}

/// The same with more events.
pub(crate) async fn measure_large(scenario: &Scenario, figures: &mut Figures) -> Result<()> {
    let (name, events) = ("reconcile_large", amount("BENCH_LARGE_EVENTS", LARGE)?);
    measure_full(scenario, figures, name, events).await?;
    if let (Some(large), Some(small)) = (figures.value(&peak_of(name)), figures.value(&peak_of("reconcile"))) {
        figures.beside("reconcile_large_full_over_full_peak_memory", large, "MiB", small);
    }
    measure_added(scenario, figures, name, events).await
}

/// A full reconcile of all that is archived, beside DuckDB, which has to write as many rows.
async fn measure_full(scenario: &Scenario, figures: &mut Figures, name: &str, events: usize) -> Result<()> {
    let mut world = World::new(scenario, &format!("{name}-full"), FULL_DAYS).await?;
    world.archive_history(events).await?;
    let full = world.reconcile().await?;
    let (events, files) = world.archived.events().await?;
    let (duckdb, rows) = DuckDb::find()?.count(&files, &world.folder.join("duckdb")).await?;
    ensure!(full.rows_written == rows as f64, "{} rows were written, and {rows} by DuckDB", full.rows_written);
    let rate = |seconds: f64| events as f64 / seconds;
    figures.beside(format!("{name}_full_rows_per_second"), rate(full.seconds), "rows/s", rate(duckdb.seconds));
    figures.beside(peak_of(name), full.peak_mib, "MiB", MEMORY_MIB);
    Ok(())
}

/// One per cent of new events, all of today, and then as many of which some are late.
async fn measure_added(scenario: &Scenario, figures: &mut Figures, name: &str, events: usize) -> Result<()> {
    let mut world = World::new(scenario, &format!("{name}-added"), DAYS).await?;
    world.archive_history(events).await?;
    let full = world.reconcile().await?;
    let new = events / 100;
    let today = add_new(&mut world, new, 0.0).await?;
    add_added(figures, &format!("{name}_today"), new, &today, &full);
    let late = add_new(&mut world, new, LATE).await?;
    add_added(figures, &format!("{name}_late"), new, &late, &full);
    figures.beside(format!("{name}_late_over_today_seconds"), late.seconds, "s", today.seconds);
    figures.beside(format!("{name}_late_over_today_rows_read"), late.rows_read, "rows", today.rows_read);
    Ok(())
}

fn peak_of(name: &str) -> String {
    format!("{name}_full_peak_memory")
}

/// A full reconcile of one day.
pub(crate) async fn measure_busy_day(scenario: &Scenario, figures: &mut Figures) -> Result<()> {
    let events = amount("BENCH_BUSY_DAY_EVENTS", BUSY_DAY)?;
    let mut world = World::new(scenario, "busy-day", 1).await?;
    let yesterday_us = now_us() / DAY_US * DAY_US - DAY_US;
    world.archive_day(yesterday_us, events, usize::MAX).await?;
    let full = world.reconcile().await?;
    figures.add("busy_day_rows_per_second", events as f64 / full.seconds, "rows/s");
    figures.beside("busy_day_peak_memory", full.peak_mib, "MiB", MEMORY_MIB);
    Ok(())
}

/// Archives new events, of which that share is late, and adds them to the view.
async fn add_new(world: &mut World, new: usize, late: f64) -> Result<Reconciled> {
    world.archive_new(new, late).await?;
    world.reconcile().await
}

fn add_added(figures: &mut Figures, name: &str, new: usize, added: &Reconciled, full: &Reconciled) {
    figures.beside(format!("{name}_seconds"), added.seconds, "s", full.seconds);
    figures.add(format!("{name}_rows_read_per_new_row"), added.rows_read / new as f64, "rows");
    figures.add(format!("{name}_peak_memory"), added.peak_mib, "MiB");
}
