//! A first reconcile, rebuilds and a report that let the executors of a cluster count: rows of views and reports are in every value those that
//! one process counts. An executor is killed in the middle of a task, and another one goes on; the scheduler is killed, and what fails
//! has changed no row.

use std::path::PathBuf;

use anyhow::{Context, Result, bail, ensure};
use e2e_tests::archive::sorted_rows;
use e2e_tests::cluster::{Cluster, freeze_within_a_task, program, tasks_ended};
use e2e_tests::stage::Setup;
use e2e_tests::time::rfc3339;
use e2e_tests::views::{self, CatalogOptions, METRIC, Mix, NEVER};
use e2e_tests::{Deployment, Stage, Traffic, scenario};
use polars::prelude::DataFrame;
use test_kit::{DEADLINE, Process};

const MANY: usize = 5_000;
const SOME: usize = 1_000;
const VIDEOS: u32 = 20;
/// How many tasks an executor carries out at a time.
const SLOTS: usize = 2;
const DAY_US: i64 = 86_400_000_000;
/// What a cluster counts; and what it does not, because its measure is a sketch.
const COUNTED: [&str; 2] = [METRIC, "pages"];
const REFUSED: &str = "watchers";
const WHY: &str = "`users` is a sketch";
/// The same report twice: computed by one process, and by a cluster.
const REPORTS: [&str; 2] = ["by_one_process", "by_a_cluster"];

#[test]
fn reconciled_on_a_cluster() {
    scenario("reconciled_on_a_cluster", async |scenario| {
        let Some(program) = program(scenario.name()) else { return Ok(()) };
        let mut play = Play::begin(Stage::of(scenario), program).await?;
        let executors = play.counts_the_same().await?;
        let [first, second] = &executors;
        second.kill();
        let third = play.loses_an_executor(first).await?;
        play.loses_its_scheduler(&third).await?;
        play.end().await
    });
}

#[test]
fn reconciled_on_a_cluster_on_s3() {
    scenario("reconciled_on_a_cluster_on_s3", async |scenario| {
        let Some(program) = program(scenario.name()) else { return Ok(()) };
        let mut play = Play::begin(Stage::of(scenario).on_s3(), program).await?;
        let _executors = play.counts_the_same().await?;
        play.end().await
    });
}

/// A deployment, the same one with a cluster that counts for it, and what was sent.
struct Play {
    stage: Stage,
    traffic: Traffic,
    elsewhere: Deployment,
    cluster: Cluster,
}

impl Play {
    /// Nothing is reconciled yet.
    async fn begin(setup: Setup<'_>, program: PathBuf) -> Result<Play> {
        let stage = setup.catalog(catalog).without_kills().start().await?;
        let traffic = stage.traffic(VIDEOS, Mix::USUAL)?;
        let mut elsewhere = stage.beside("elsewhere", &stage.catalog)?;
        let cluster = Cluster::start(program, &elsewhere, stage.s3.as_ref()).await?;
        cluster.counts_for(&mut elsewhere);
        let mut play = Play { stage, traffic, elsewhere, cluster };
        play.send(MANY).await?;
        Ok(play)
    }

    /// A first reconcile, rebuilds and a report by two executors, which say what one process says. Returns the executors.
    async fn counts_the_same(&mut self) -> Result<[Process; 2]> {
        let executors = [
            self.cluster.executor(&self.elsewhere, "executor-1", SLOTS).await?,
            self.cluster.executor(&self.elsewhere, "executor-2", SLOTS).await?,
        ];
        let first = self.elsewhere.launch_reconcile("")?;
        first.success(DEADLINE).await.context("a first reconcile on a cluster")?;
        ensure!(first.output()?.contains(WHY), "it does not say why `{REFUSED}` is not counted by the cluster");
        let ended = self.has_worked(&executors, 0)?;
        self.stage.authoritative_total().await?;
        self.stage.is_exact(&self.traffic.oracle).await.context("reconciled by a cluster")?;

        for metric in [&COUNTED[..], &[REFUSED]].concat() {
            let reconciled = self.rows(metric)?;
            self.stage.deployment.batch(&["rebuild", metric])?.success(DEADLINE).await?;
            self.is_still(metric, &reconciled).context("reconciled by a cluster, and then rebuilt by one process")?;
            self.elsewhere.batch(&["rebuild", metric])?.success(DEADLINE).await?;
            self.is_still(metric, &reconciled).context("rebuilt by a cluster")?;
        }
        self.has_worked(&executors, ended)?;

        // What is added stands in rows of its own, which a report merges.
        self.send(SOME).await?;
        self.elsewhere.reconcile().await?;
        self.stage.authoritative_total().await?;
        self.stage.is_exact(&self.traffic.oracle).await.context("added to")?;
        let ended = self.has_worked(&executors, 0)?;
        let date = rfc3339(self.stage.now_us - DAY_US)[..10].to_owned();
        for (deployment, report) in [&self.stage.deployment, &self.elsewhere].into_iter().zip(REPORTS) {
            let run = ["report", "run", report, "--date", date.as_str(), "--wait", "1m"];
            deployment.batch(&run)?.success(DEADLINE).await.with_context(|| format!("the report `{report}`"))?;
        }
        let [by_one, by_cluster] = REPORTS.map(|report| self.table(&format!("warehouse/{report}")));
        are_equal(&by_one?, &by_cluster?).context("a report")?;
        self.has_worked(&executors, ended)?;
        Ok(executors)
    }

    /// An executor is killed in the middle of a task of a rebuild; another one, which comes then, ends it. Returns that one.
    async fn loses_an_executor(&self, alone: &Process) -> Result<Process> {
        self.stage.deployment.batch(&["rebuild", METRIC])?.success(DEADLINE).await?;
        let before = self.rows(METRIC)?;
        let rebuild = self.elsewhere.batch(&["rebuild", METRIC])?;
        freeze_within_a_task(alone, &rebuild).await?;
        alone.kill();
        let other = self.cluster.executor(&self.elsewhere, "executor-3", SLOTS).await?;
        rebuild.success(DEADLINE).await.context("an executor was killed")?;
        ensure!(tasks_ended(&other)? > 0, "the other executor has done nothing");
        self.is_still(METRIC, &before).context("an executor was killed")?;
        Ok(other)
    }

    /// The scheduler is killed while a reconcile that has to rebuild waits for a task: it fails, says so and no row is another one. With the
    /// scheduler back, the executor is as well, and the next reconcile does it.
    async fn loses_its_scheduler(&mut self, executor: &Process) -> Result<()> {
        self.stage.deployment.batch(&["rebuild", METRIC, "--ask"])?.success(DEADLINE).await?;
        let (before, version) = (self.rows(METRIC)?, self.version()?);
        let reconcile = self.elsewhere.launch_reconcile("")?;
        freeze_within_a_task(executor, &reconcile).await?;
        self.cluster.kill_scheduler();
        let ended = reconcile.end(DEADLINE).await?;
        ensure!(!ended.success(), "it has reconciled without a scheduler");
        ensure!(reconcile.output()?.contains("the cluster did not compute"), "it does not say why it has failed");
        self.is_still(METRIC, &before).context("the scheduler was killed")?;
        self.stage.is_exact(&self.traffic.oracle).await.context("without a scheduler")?;

        executor.resume()?;
        self.cluster.start_scheduler(&self.elsewhere).await?;
        let ended = tasks_ended(executor)?;
        self.elsewhere.reconcile().await.context("with a new scheduler")?;
        ensure!(tasks_ended(executor)? > ended, "the executor that had waited has done nothing");
        ensure!(self.version()? > version, "the view was not rebuilt");
        self.stage.reconciled_is(&self.traffic.oracle).await
    }

    /// All is as it was sent, and no layer had to start anew.
    async fn end(&self) -> Result<()> {
        self.stage.is_exact(&self.traffic.oracle).await?;
        let audit = self.stage.deployment.braid(&["audit", METRIC], DEADLINE).await?;
        ensure!(audit.contains("the view says what the records say"), "{audit}");
        self.stage.ran_without_trouble()
    }

    /// Sends views and waits until they are counted by speed and archived.
    async fn send(&mut self, count: usize) -> Result<()> {
        let arrived = self.traffic.send(count)?;
        self.stage.total_as_of(arrived).await?;
        self.stage.archived().await
    }

    /// Executors have ended more tasks than these. Returns how many.
    fn has_worked(&self, executors: &[Process], before: usize) -> Result<usize> {
        let ended = executors.iter().map(tasks_ended).sum::<Result<usize>>()?;
        ensure!(ended > before, "the cluster at {} was not asked: {ended} tasks have ended", self.cluster.address);
        Ok(ended)
    }

    /// The rows of a view.
    fn rows(&self, metric: &str) -> Result<DataFrame> {
        self.table(&format!("views/v1/{metric}"))
    }

    /// The rows of a view are those.
    fn is_still(&self, metric: &str, expected: &DataFrame) -> Result<()> {
        are_equal(expected, &self.rows(metric)?).with_context(|| format!("the view of `{metric}`"))
    }

    fn table(&self, table: &str) -> Result<DataFrame> {
        self.shown()?;
        sorted_rows(&self.stage.deployment.store(), table)
    }

    /// The newest version of the view's table.
    fn version(&self) -> Result<u64> {
        self.shown()?;
        let mut newest = None;
        let log = self.stage.deployment.store().join("views").join("v1").join(METRIC).join("_delta_log");
        for entry in std::fs::read_dir(log)? {
            let path = entry?.path();
            let name = path.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| stem.parse::<u64>().ok());
            newest = newest.max(name);
        }
        newest.context("the view has no version")
    }

    /// Tables can be read as files.
    fn shown(&self) -> Result<()> {
        self.stage.s3.as_ref().map_or(Ok(()), |s3| s3.show())
    }
}

/// The sample catalog with measures of each kind that a cluster counts; a metric with registered functions, whose key some events lack; one
/// with a sketch; and a report, twice.
fn catalog(name: &str) -> String {
    // Eighths add up exactly in any order.
    let (known, more) = (
        "dwell_ms = \"sum(dwell_ms)\"\n",
        "eighths = \"sum(dwell_ms / 8.0)\"\nleast = \"min(dwell_ms)\"\nmost = \"max(dwell_ms / 8.0)\"\n",
    );
    let [by_one, by_cluster] = REPORTS
        .map(|report| format!("[reports.{report}]\nmetric = \"{METRIC}\"\nschedule = \"{NEVER}\"\nsettle = \"0s\"\n"));
    let others = format!(
        r#"
[metrics.pages]
source = "views"
where = "url IS NULL OR url_path(url) <> '/watch/video-0'"
by = ["url"]
grain = "1h"
[metrics.pages.measures]
views = "count()"
named = "count(url)"
length = "sum(length(url_path(url)))"
far = "max(distance_km(status / 10.0, 0.0, dwell_ms / 1000.0, 0.0))"
[metrics.{REFUSED}]
source = "views"
by = ["video_id"]
grain = "1h"
[metrics.{REFUSED}.measures]
views = "count()"
users = "distinct(user_id)"
"#
    );
    let sample = views::catalog(&CatalogOptions::of(name)).replace(known, &format!("{known}{more}"));
    format!("{sample}{others}{by_one}{by_cluster}")
}

/// Two tables have the same rows, null where the other one is.
fn are_equal(expected: &DataFrame, rows: &DataFrame) -> Result<()> {
    if rows.equals_missing(expected) {
        return Ok(());
    }
    ensure!(
        rows.shape() == expected.shape(),
        "rows and columns are {:?} instead of {:?}",
        rows.shape(),
        expected.shape()
    );
    for (wanted, got) in expected.columns().iter().zip(rows.columns()) {
        ensure!(got.name() == wanted.name(), "the column {} instead of {}", got.name(), wanted.name());
        for row in 0..rows.height() {
            let (expected, found) = (wanted.get(row)?, got.get(row)?);
            ensure!(found == expected, "row {row}: {} is {found:?} instead of {expected:?}", got.name());
        }
    }
    bail!("the columns have other types: {:?} instead of {:?}", rows.schema(), expected.schema())
}
