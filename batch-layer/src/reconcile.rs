//! A reconcile: counts what is new in the archive exactly, and moves the cut up to there.
//!
//! For each source, it rotates every shard, so that a slice of the speed view begins where the batch view will end, and
//! waits until the archive covers those offsets. If it does not in time, the batch view ends at an older slice, so that
//! answers stay complete. For each metric, it then *adds* the events between the view's cut and the new one, so its work follows
//! these events and not the history that they touch. Events that have an older copy are left out; an index of identities says
//! which. Only where a new event takes the place of an older copy, the hour is recomputed from all rows below the cut. Rows, cut
//! and definition are one commit. If another reconcile commits first, it plans anew on the newest view. A reconcile that is
//! killed leaves files that no version refers to, never half a view. A view of another definition is *rebuilt* instead: beside
//! it, day by day, after all other metrics, for a bounded time.
//!
//! - `prepared`: what the reconciles of a source share;
//! - `shards`: new slices, and how far closed logs were counted (R3, R6, R12, R13);
//! - `slices`: which slices the archive can vouch for (R12);
//! - `cut`: which offsets (R1, R13);
//! - `basis`: what the plan follows from;
//! - `identities`: where older copies of events lie;
//! - `touched`: which hours hold what is counted too early;
//! - `plan`: which days, from which files; the days are values that any process could take;
//! - `day`: a day → files; `elsewhere`: which metrics a cluster counts;
//! - `room`: how much of days is in memory at a time;
//! - `commit`: rows, cut and definition at once (R1);
//! - `drift`: what speed had said of these offsets, compared with what was found, and a row that keeps it;
//! - `compared_buckets`: how much of what was found is kept for that;
//! - `erased`: which hours are counted again, as events of them were erased; `erasures` follows how far that has come;
//! - `rebuild`: the days of a view of another definition, in steps, until a commit makes it the view; `asked` does so for an
//!   operator;
//! - `retired`: what can still be done with days whose rows are retired;
//! - `rollback`: files, cut and definition of an older version, for an operator, and a pause;
//! - `over`: which logs no process has to ask for any more (R6);
//! - `streams`: whether the streams over a source are what their definitions decide;
//! - `tables`: the table that a source is, materialised;
//! - `indexes`: the search indexes that follow it, built and compared.
//!
//! Besides these, `upkeep` keeps versions to be rolled back to and removes what no version needs, `view` is the table of a batch view,
//! `progress` says how far it has come, `report` what was done, and `error` what failed.

mod asked;
mod basis;
mod commit;
mod compared_buckets;
mod cut;
mod day;
mod drift;
mod elsewhere;
mod erased;
mod erasures;
mod error;
mod identities;
mod indexes;
mod over;
mod plan;
mod prepared;
mod progress;
mod rebuild;
mod report;
mod retired;
mod rollback;
mod room;
mod shards;
mod slices;
mod streams;
mod tables;
mod touched;
mod upkeep;
pub(crate) mod view;

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesOrdered;
use metrics::counter;
use platform::registry::Registry;
use platform::settings::{self, Settings};
use platform::store::DataFile;
use platform::task::Backoff;
use shared_logic::catalog::{Catalog, Deployment, Metric, Source};
use shared_logic::cut::Rotated;
use shared_logic::version::DeployedVersions;
use storage::{Archive, BatchView, Storage};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use self::day::{DayDone, DayTask};
use self::plan::{Counted, Plan};
use self::prepared::Prepared;
use self::rebuild::Turn;
use self::room::{DAYS_AT_ONCE, Room};
use self::shards::Shards;
use self::slices::Slices;

use crate::cluster::Cluster;
use crate::index::Loads;
use crate::progress::Progress;

pub use self::asked::{Request, RetiredDays};
pub use self::error::{DayError, MetricError, ReconcileError, RepairError, SourceError};
pub use self::report::{Changed, Outcome, Reconciled, Report, Work};
pub use self::rollback::{OlderVersion, RolledBack};

/// What a row takes, about, while it is deduplicated and grouped, in bytes: its columns, its identity and place, twice, what is sorted to
/// group it, its partial, and what of all this the allocator keeps.
const ROW_BYTES: u64 = 800;

/// How many large parts of days, and how many large days, are counted at a time. A part is counted by one processor.
const PARTS_AT_ONCE: usize = 2;

/// Reconciles the metrics of one catalog.
#[derive(Debug, Clone)]
pub struct Reconciler {
    pub(crate) catalog: Catalog,
    /// The whole catalog, of which `catalog` may be what belongs to one source.
    pub(crate) whole: Arc<Catalog>,
    /// All versions of the deployment, this one among them.
    pub(crate) versions: Arc<DeployedVersions>,
    /// Whether only logs that have ended are counted, and everything else is left to the speed layer (K5).
    closed_logs_alone: bool,
    pub(crate) storage: Storage,
    pub(crate) settings: settings::Reconcile,
    streams: settings::Streams,
    pub(crate) kafka: settings::Kafka,
    redis: settings::Redis,
    registry: Registry,
    /// The setting `speed.max_slices`.
    max_slices: usize,
    /// The setting `archive.checkpoint_every`.
    pub(crate) checkpoint_every: u64,
    /// Where the versions of the deployment are.
    store: settings::Store,
    /// The search server that holds the indexes.
    search: settings::Search,
    /// How far other processes have loaded builds of indexes.
    loads: Loads,
    /// The cluster that counts for it, if the setting `reconcile.engine` names one.
    pub(crate) cluster: Option<Cluster>,
    /// How far it has come.
    progress: Progress,
    /// The setting `store.log_retention`.
    log_retention: Duration,
}

impl Reconciler {
    /// Takes its settings from several sections. Nothing is opened yet.
    pub fn new(settings: &Settings, storage: &Storage, catalog: &Catalog) -> Reconciler {
        Reconciler {
            catalog: catalog.clone(),
            whole: Arc::new(catalog.clone()),
            versions: Arc::new(DeployedVersions::alone(catalog.clone())),
            closed_logs_alone: false,
            storage: storage.clone(),
            settings: settings.reconcile.clone(),
            streams: settings.streams.clone(),
            kafka: settings.kafka.clone(),
            redis: settings.redis.clone(),
            registry: Registry::new(&settings.registry),
            max_slices: settings.speed.max_slices,
            checkpoint_every: settings.archive.checkpoint_every,
            store: settings.store.clone(),
            search: settings.search.clone(),
            loads: Loads::default(),
            cluster: Cluster::of(settings),
            progress: Progress::new("looking for what is new"),
            log_retention: settings.store.log_retention.get(),
        }
    }

    /// The same, which knows of the other versions of the deployment: what it shares with them, and what it must leave to them. Without
    /// this, its own is the only one.
    #[must_use]
    pub fn among(mut self, versions: Arc<DeployedVersions>) -> Reconciler {
        self.versions = versions;
        self
    }

    /// The same for another version of the deployment; `None` if none of that name lives.
    pub(crate) fn of_version(&self, name: &str) -> Option<Reconciler> {
        if name == self.whole.deployment.version {
            return Some(self.clone());
        }
        let catalog = self.versions.version(name)?;
        Some(Reconciler {
            catalog: Catalog::clone(catalog),
            whole: Arc::clone(catalog),
            storage: self.storage.of(&catalog.deployment),
            ..self.clone()
        })
    }

    /// The same, which counts logs that have ended and nothing else.
    pub(crate) fn of_closed_logs(mut self) -> Reconciler {
        self.closed_logs_alone = true;
        self
    }

    /// The same for one source of the catalog alone.
    pub(crate) fn of(&self, source: &str) -> Reconciler {
        let mut one = self.clone();
        one.catalog.sources.retain(|name, _| name == source);
        one.catalog.metrics.retain(|_, metric| metric.source == source);
        one
    }

    /// Reconciles every metric once, as [`Reconciler::reconcile_once`] does.
    ///
    /// # Errors
    /// The first failure, after every metric was tried.
    pub async fn run(&self, stop: &CancellationToken) -> Result<Vec<Report>, ReconcileError> {
        self.reconcile_once(stop).await.all()
    }

    /// Reconciles every metric once; then it rebuilds the views that count another definition, for the setting
    /// `reconcile.rebuild_step` altogether. If one metric fails, the others are reconciled all the same. Streams are checked with the
    /// source that they read, tables are materialised behind that, and then search indexes are looked after. From `stop` on it no longer waits for the archive, and takes the
    /// slices that are archived.
    pub async fn reconcile_once(&self, stop: &CancellationToken) -> Reconciled {
        let Reconciled { mut reports, mut tables, mut failed } = Reconciled::default();
        let mut others = Vec::new();
        for source in self.catalog.sources.values() {
            let asked = self.ask_streams(source).await;
            match self.prepare(source, stop).await {
                Ok(Some(mut prepared)) => {
                    let mut rebuilds = Vec::new();
                    let reconciled = async {
                        for metric in self.catalog.metrics_of(&source.name) {
                            match self.reconcile(metric, &mut prepared).await {
                                Ok(Some(report)) => {
                                    rebuilds.extend(report.is_rebuild_asked().then_some(metric));
                                    reports.push(report);
                                }
                                Ok(None) => rebuilds.push(metric),
                                Err(error) => failed.push(error),
                            }
                        }
                    };
                    // On S3, to read a table takes several requests, one after the other.
                    let ((), rows) = tokio::join!(reconciled, self.open_reconciliations(source));
                    prepared.rows = rows;
                    self.keep_reconciliations(&mut prepared).await;
                    others.push((prepared, rebuilds));
                }
                Ok(None) => info!(source = source.name, "nothing is archived yet"),
                Err(error) => failed.push(ReconcileError::of_source(&source.name, error)),
            }
            self.check_streams(source, asked, stop).await;
            match self.materialise(source).await {
                Ok(materialised) => tables.extend(materialised),
                Err(error) => failed.push(error),
            }
            failed.extend(Box::pin(self.keep_indexes(source, stop)).await);
        }
        let turn = Turn::new(&self.settings, stop);
        for (prepared, rebuilds) in &mut others {
            for metric in rebuilds.iter() {
                match self.rebuild(metric, prepared, &turn).await {
                    Ok(report) => reports.push(report),
                    Err(error) => failed.push(error),
                }
            }
        }
        for (prepared, _) in &mut others {
            self.keep_reconciliations(prepared).await;
            self.note_over(prepared).await;
            self.follow_erasures(prepared).await;
        }
        Reconciled { reports, tables, failed }
    }

    /// Rotates the shards of a source, and waits until the archive covers their new slices. Returns `None` if nothing was ever
    /// archived.
    async fn prepare<'a>(
        &'a self,
        source: &'a Source,
        stop: &CancellationToken,
    ) -> Result<Option<Prepared<'a>>, SourceError> {
        let Some(mut archive) = self.storage.archive(&source.name).await? else { return Ok(None) };
        let mut shards = Shards::connect(&self.redis, &self.catalog.deployment, &source.name).await?;
        shards.others = self.others_with(source);
        if self.closed_logs_alone {
            let slices = shards::of_open_partitions(&archive.facts());
            return Ok(Some(Prepared::new(archive, shards, slices)));
        }
        let slices = shards.rotate(&mut archive, self.max_slices).await?;
        cut::wait_for_archive(&self.settings, stop, &mut archive, &slices::begins(&slices)).await?;
        Ok(Some(Prepared::new(archive, shards, slices)))
    }

    /// Whether the speed layer has opened a shard of a source for this version, of a log that has not ended.
    ///
    /// # Errors
    /// If the archive cannot be read, or Redis does not answer.
    pub(crate) async fn has_shards(&self, source: &str) -> Result<bool, ReconcileError> {
        let looked = async {
            let Some(archive) = self.storage.archive(source).await? else { return Ok::<_, SourceError>(false) };
            let mut shards = Shards::connect(&self.redis, &self.catalog.deployment, source).await?;
            Ok(shards.opened_meanwhile(&archive.facts(), &mut Slices::new()).await?)
        };
        looked.await.map_err(|error| ReconcileError::of_source(source, error))
    }

    /// The other versions that are counted and count the same archive of a source.
    fn others_with(&self, source: &Source) -> Vec<Deployment> {
        let own = &self.whole.deployment;
        let units = self.versions.counted();
        let others = units.iter().filter(|unit| unit.version != own.version && unit.source == source.name);
        let deployments = others.map(|unit| &unit.catalog.deployment);
        let archive = own.archive_name(&source.name);
        deployments.filter(|other| other.archive_name(&source.name) == archive).cloned().collect()
    }

    /// Reconciles a metric whose view counts its definition; returns `None` if it does not.
    async fn reconcile(&self, metric: &Metric, prepared: &mut Prepared<'_>) -> Result<Option<Report>, ReconcileError> {
        let started = Instant::now();
        let outcome = self.attempts(metric, prepared, false).await;
        let outcome = outcome.map_err(|error| ReconcileError::of_metric(&metric.name, error))?;
        Ok(outcome.map(|outcome| report(metric, outcome, started)))
    }

    /// Attempts it until no other reconcile commits first, a bounded number of times; a view that is paused is left as it is.
    /// Returns `None` if the newest view counts another definition or is to be counted anew, unless what is `staged` beside it
    /// may replace it and is whole.
    async fn attempts(
        &self,
        metric: &Metric,
        prepared: &mut Prepared<'_>,
        staged: bool,
    ) -> Result<Option<Outcome>, MetricError> {
        let mut view = view::create(&self.storage, &self.catalog, metric).await?;
        let mut backoff = Backoff::unlimited(self.settings.retry_backoff.get());
        for attempt in 1..=self.settings.max_attempts {
            // At first it has just been read.
            if attempt > 1 {
                view.refresh().await?;
            }
            if let Some(pause) = rollback::pause(&view) {
                return Ok(Some(Outcome::Paused(pause.clone())));
            }
            // After the view, so that the facts are never older than the archive from which the view was computed.
            prepared.archive.refresh().await?;
            prepared.shards.settle(&mut prepared.archive).await?;
            prepared.shards.settle_truncated(&mut prepared.archive).await?;
            let counted = self.counted(metric, &view, &prepared.archive, staged).await?;
            let Some(counted) = counted else { return Ok(None) };
            if let Some(changed) = self.attempt(metric, &mut view, &counted, prepared).await? {
                self.keep_version(&view).await;
                self.tidy_up(metric, &view, &prepared.archive).await;
                return Ok(Some(Outcome::Changed(changed)));
            }
            warn!(metric = metric.name, attempt, "another reconcile committed first; planning anew");
            counter!("braid_reconcile_conflicts_total").increment(1);
            let wait = backoff.wait();
            // The clock serves as jitter: two reconciles that collided wake at different times.
            let jitter = platform::clock::now_us().unsigned_abs() % wait.as_micros().max(1) as u64;
            tokio::time::sleep(wait + Duration::from_micros(jitter)).await;
        }
        Err(MetricError::Overtaken { attempts: self.settings.max_attempts })
    }

    /// Counts on these versions of view and archive, and commits. Returns `None` if another reconcile committed to
    /// the view first.
    ///
    /// Shards that were missing are asked for again just before the commit (R13): where one was opened meanwhile, the
    /// cut has to be one of its slices, so everything is counted again. That ends, because each round adds a partition
    /// of the same facts.
    async fn attempt(
        &self,
        metric: &Metric,
        view: &mut BatchView,
        counted: &Counted,
        prepared: &mut Prepared<'_>,
    ) -> Result<Option<Changed>, MetricError> {
        let Prepared { archive, shards, slices, known, reconciliations, .. } = prepared;
        let began = Instant::now();
        loop {
            let rotated = slices::confirmed(archive, slices, view.note().map(|note| &note.cut), known).await?;
            let (plan, done) = self.recount(metric, view, counted, archive, &rotated).await?;
            if shards.opened_meanwhile(&archive.facts(), slices).await? {
                continue;
            }
            let measured = self.measured(metric, counted, (&plan, done.as_slice()), &archive.facts(), shards).await;
            let changed = self.commit(metric, view, plan, done).await?;
            reconciliations.extend(changed.as_ref().map(|changed| measured.row(metric, view, changed, began)));
            return Ok(changed);
        }
    }

    /// Plans, and counts the days. Their files belong to the view once they are committed.
    async fn recount(
        &self,
        metric: &Metric,
        view: &BatchView,
        counted: &Counted,
        archive: &Archive,
        rotated: &Rotated,
    ) -> Result<(Plan, Vec<DayDone>), MetricError> {
        self.tell_refusal(metric);
        let plan = self.plan(metric, view, counted.clone(), archive, rotated).await?;
        let (mut done, mut rows, mut buckets) = (Vec::with_capacity(plan.tasks.len()), 0, 0);
        let room = self.room();
        let (mut waiting, mut counting) = (plan.tasks.iter(), FuturesOrdered::new());
        loop {
            while counting.len() < DAYS_AT_ONCE
                && let Some(task) = waiting.next()
            {
                counting.push_back(self.count(task, archive, view, &room));
            }
            let Some(day) = counting.next().await else { break };
            let mut day: DayDone = day?;
            buckets = compared_buckets::with_day(buckets, &mut day.found);
            rows += day.added.iter().map(|file| file.rows).sum::<u64>();
            done.push(day);
            self.has_counted(metric, done.len(), plan.tasks.len(), rows);
        }
        drop(counting);
        Ok((plan, done))
    }

    /// Counts one day, of which as many parts are in memory as there is room for.
    async fn count(
        &self,
        task: &DayTask,
        archive: &Archive,
        view: &BatchView,
        room: &Room,
    ) -> Result<DayDone, MetricError> {
        let done = task.count(&self.catalog, archive, view, room, self.cluster.as_ref()).await;
        done.map_err(|source| MetricError::Day { day: task.day.clone(), source })
    }

    /// Room for the parts that are counted at a time.
    fn room(&self) -> Room {
        Room::new(self.rows_at_once())
    }

    /// How many rows of a part are in memory at a time, about.
    pub(crate) fn rows_at_once(&self) -> usize {
        let of_all = usize::try_from(self.settings.memory.bytes() / ROW_BYTES).unwrap_or(usize::MAX);
        (of_all / PARTS_AT_ONCE).max(1)
    }

    /// How many rows of a metric's view are in memory at a time, and about how many a file has at most.
    pub(crate) fn view_rows_at_once(&self, metric: &Metric) -> usize {
        view::rows_max(self.rows_at_once(), metric)
    }

    /// Writes the rows of files of one day of a metric's view into fewer files, in which those of one key and bucket are merged. They
    /// belong to the view once they are committed.
    ///
    /// # Errors
    /// If a file cannot be read or written.
    pub(crate) async fn merged(
        &self,
        metric: &Metric,
        view: &BatchView,
        day: &str,
        files: &[DataFile],
    ) -> Result<Vec<DataFile>, MetricError> {
        let merged = day::merged(&self.catalog, metric, view, (day, files), self.rows_at_once()).await;
        merged.map_err(|source| MetricError::Day { day: day.to_owned(), source })
    }

    async fn commit(
        &self,
        metric: &Metric,
        view: &mut BatchView,
        plan: Plan,
        done: Vec<DayDone>,
    ) -> Result<Option<Changed>, MetricError> {
        let columns = view::columns(&self.catalog.sources[&metric.source], metric);
        Ok(commit::commit(view, plan, done, &columns).await?)
    }
}

/// Reports what became of a metric's view since that moment.
fn report(metric: &Metric, outcome: Outcome, started: Instant) -> Report {
    let (source, name) = (metric.source.clone(), metric.name.clone());
    let report = Report { source, metric: name, outcome, took: started.elapsed() };
    report.record();
    report
}

#[cfg(test)]
mod tests;
