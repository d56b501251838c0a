//! A rebuild and reconciles whose days are counted by the executors of a cluster, one of which is killed in the middle, and so is the
//! scheduler. Answers are those of a view that was counted by one process, and what fails has changed nothing.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use e2e_tests::cluster::{Cluster, has_begun, kill_alone, program};
use e2e_tests::time::rfc3339;
use e2e_tests::views::{self, CatalogOptions, LATE_MS, METRIC, Mix};
use e2e_tests::{Deployment, Stage, Traffic, scenario};
use serde_json::Value;
use test_kit::{DEADLINE, Progress, wait_for};

const MANY: usize = 2_000;
const SOME: usize = 500;
const VIDEOS: u32 = 20;
/// With about so many events, a day that is rebuilt is divided.
const ROWS_MAX: u64 = 300;
/// How many orders an executor carries out at a time.
const SLOTS: usize = 2;
/// An executor stays at the first order, until it is killed.
const STAYS: &str = "cluster::before_count=return(600000)";
const HOUR_US: i64 = 3_600_000_000;
/// With this the folders of a view's days begin: they are of this century.
const DAY: &str = "20";
/// What an executor says of each order that is done.
const CARRIED_OUT: &str = ": carried out";

#[test]
fn reconciled_on_a_cluster() {
    scenario("reconciled_on_a_cluster", async |scenario| {
        let Some(program) = program(scenario.name()) else { return Ok(()) };
        let stage = Stage::of(scenario).catalog(catalog).start().await?;
        let mut traffic = stage.traffic(VIDEOS, Mix::USUAL)?;
        send(&stage, &mut traffic, MANY).await?;
        stage.deployment.reconcile().await?;
        let alone = told(&stage, &traffic).await.context("counted by one process")?;

        let mut elsewhere = stage.beside("elsewhere", &stage.catalog)?;
        let mut cluster = Cluster::start(program, &elsewhere).await?;
        cluster.counts_for(&mut elsewhere, ROWS_MAX);
        let first = cluster.executor(&elsewhere, ("executor-1", SLOTS), STAYS)?;
        let rebuilt = elsewhere.batch(&["rebuild", METRIC])?;
        let begun = has_begun(&first).await?;
        let second = cluster.executor(&elsewhere, ("executor-2", SLOTS), "")?;
        kill_alone(&first, begun).await?;
        rebuilt.success(DEADLINE).await?;
        ensure!(rebuilt.output()?.contains("(rebuilt)"), "it was not rebuilt");
        let carried_out = second.output()?.matches(CARRIED_OUT).count();
        ensure!(carried_out > days(&stage)?, "a day was not divided: {carried_out} orders were carried out");
        is_seen(&stage).await?;
        ensure!(told(&stage, &traffic).await? == alone, "a view that a cluster has rebuilt says something else");

        send(&stage, &mut traffic, SOME).await?;
        elsewhere.reconcile().await?;
        ensure!(second.output()?.matches(CARRIED_OUT).count() > carried_out, "no executor has added anything");
        stage.reconciled_is(&traffic.oracle).await.context("added to by a cluster")?;
        let added = told(&stage, &traffic).await?;
        let audit = stage.deployment.braid(&["audit", METRIC], DEADLINE).await?;
        ensure!(audit.contains("the view says what the records say"), "{audit}");
        stage.deployment.batch(&["rebuild", METRIC])?.success(DEADLINE).await?;
        is_seen(&stage).await?;
        ensure!(told(&stage, &traffic).await? == added, "rebuilt by one process, the view says something else");

        second.kill();
        send(&stage, &mut traffic, SOME).await?;
        lost_scheduler(&stage, &elsewhere, &mut cluster, &traffic).await?;
        ensure!(orders(&stage)? == 0, "orders are left that nothing waits for");
        stage.is_exact(&traffic.oracle).await?;
        stage.ran_without_trouble()
    });
}

/// The sample catalog with a measure of each kind. Eighths add up exactly in any order.
fn catalog(name: &str) -> String {
    let (known, more) = (
        "dwell_ms = \"sum(dwell_ms)\"\n",
        "eighths = \"sum(dwell_ms / 8.0)\"\nleast = \"min(dwell_ms)\"\nmost = \"max(dwell_ms)\"\nusers = \"distinct(user_id)\"\n\
         spread = \"quantile(dwell_ms)\"\noften = \"top(video_id, 3)\"\n",
    );
    views::catalog(&CatalogOptions::of(name)).replace(known, &format!("{known}{more}"))
}

/// Sends views and waits until they are counted by speed and archived.
async fn send(stage: &Stage, traffic: &mut Traffic, count: usize) -> Result<()> {
    let arrived = traffic.send(count)?;
    stage.total_as_of(arrived).await?;
    stage.archived().await
}

/// The scheduler dies while an order is carried out: the reconcile fails and has changed nothing. Started again, it finds its executors,
/// and the next reconcile adds everything.
async fn lost_scheduler(stage: &Stage, elsewhere: &Deployment, cluster: &mut Cluster, traffic: &Traffic) -> Result<()> {
    let version = version(stage).await?;
    let stays = cluster.executor(elsewhere, ("executor-3", SLOTS), STAYS)?;
    let reconciled = elsewhere.launch_reconcile("")?;
    let begun = has_begun(&stays).await?;
    cluster.kill_scheduler();
    let ended = reconciled.end(DEADLINE).await?;
    ensure!(!ended.success(), "it has reconciled without a scheduler");
    ensure!(reconciled.output()?.contains("the cluster did not count order"), "it does not say why");
    stage.is_exact(&traffic.oracle).await.context("without a scheduler")?;
    ensure!(version_in(stage)? == version, "it has committed something");
    kill_alone(&stays, begun).await?;

    let waits = cluster.executor(elsewhere, ("executor-4", SLOTS), "")?;
    cluster.start_scheduler(elsewhere).await?;
    elsewhere.reconcile().await.context("with a new scheduler")?;
    ensure!(waits.output()?.contains(CARRIED_OUT), "the executor that had waited has done nothing");
    stage.reconciled_is(&traffic.oracle).await
}

/// What the view says of every video and of all together: total and hours, every measure.
async fn told(stage: &Stage, traffic: &Traffic) -> Result<BTreeMap<Option<String>, Value>> {
    stage.authoritative_total().await?;
    let (client, mut told) = (stage.client()?, BTreeMap::new());
    let to = stage.now_us - stage.now_us.rem_euclid(HOUR_US) + HOUR_US;
    let from = to - LATE_MS * 1_000 - 2 * HOUR_US;
    for video in traffic.oracle.videos().into_iter().map(Some).chain([None]) {
        let mut parameters: Vec<(&str, String)> = video.iter().map(|video| ("video_id", video.clone())).collect();
        let total = client.total(METRIC, &parameters).await?;
        parameters.extend([("from", rfc3339(from)), ("to", rfc3339(to)), ("step", "1h".to_owned())]);
        let series = client.series(METRIC, &parameters).await?;
        ensure!(total.complete && series.complete, "incomplete: {total:?}");
        let hours = series.points.into_iter().map(|point| Value::Object(point.values));
        told.insert(video, Value::Array([Value::Object(total.values)].into_iter().chain(hours).collect()));
    }
    Ok(told)
}

/// Waits until answers are made with the newest version of the view.
async fn is_seen(stage: &Stage) -> Result<()> {
    let newest = version_in(stage)?;
    wait_for("the newest view to answer", DEADLINE, async || {
        let seen = version(stage).await?;
        Ok(Progress::when(seen == newest, format_args!("version {seen} instead of {newest}")))
    })
    .await
}

/// The version of the view that answers are made with.
async fn version(stage: &Stage) -> Result<u64> {
    stage.client()?.total(METRIC, &[]).await?.batch_version().context("no view answers")
}

/// The newest version of the view's table.
fn version_in(stage: &Stage) -> Result<u64> {
    let mut newest = None;
    for entry in std::fs::read_dir(view(stage).join("_delta_log"))? {
        let path = entry?.path();
        let name = path.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| stem.parse::<u64>().ok());
        newest = newest.max(name);
    }
    newest.context("the view has no version")
}

/// The days of the view.
fn days(stage: &Stage) -> Result<usize> {
    Ok(count(std::fs::read_dir(view(stage))?, DAY))
}

/// The files of orders.
fn orders(stage: &Stage) -> Result<usize> {
    let folder = view(stage).join("_orders");
    Ok(if folder.is_dir() { count(std::fs::read_dir(folder)?, "") } else { 0 })
}

fn count(entries: std::fs::ReadDir, begin: &str) -> usize {
    entries.flatten().filter(|entry| entry.file_name().to_string_lossy().starts_with(begin)).count()
}

fn view(stage: &Stage) -> std::path::PathBuf {
    stage.deployment.store().join("views").join("v1").join(METRIC)
}
