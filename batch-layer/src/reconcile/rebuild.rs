//! A rebuild: the view of a metric whose newest view counts another definition, or that has none yet.
//!
//! It is counted from the archive alone, day by day, into files beside the view, up to a cut of its own. That cut is
//! chosen once and counts for nothing else. Each day that is done is kept, so a process that is killed loses one day,
//! and the next run continues. A run continues rebuilds for a bounded time (the setting `reconcile.rebuild_step`),
//! after it has reconciled all other metrics.
//!
//! Once all days are counted, an ordinary reconcile carries them over as if they were the view: it recomputes the hours
//! that events between the rebuild's cut and the next view's cut touch, and replaces the old view in one commit. The
//! next cut follows from the newest view's (R1) and the shards (R13), not from the rebuild's, and may lie above or
//! below it.

use std::time::Duration;

use platform::settings;
use platform::store::{DataFile, StoreError};
use platform::telemetry::error_text;
use shared_logic::catalog::{DefinitionHash, Metric};
use shared_logic::complete::own_view;
use shared_logic::cut::Rotated;
use storage::{Archive, BatchView, Rebuild, RebuildDay};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::error::{MetricError, ReconcileError};
use super::plan::Counted;
use super::report::{Outcome, Report};
use super::{Prepared, Reconciler, cut, plan, report, slices, view};

/// How long rebuilds may go on.
#[derive(Debug)]
pub(super) struct Turn<'a> {
    /// Until when shards that do not count the definition are waited for.
    pub(super) wait_until: Instant,
    /// After this moment no further day is begun.
    pub(super) until: Instant,
    /// The same once this is requested.
    pub(super) stop: &'a CancellationToken,
}

impl<'a> Turn<'a> {
    /// A turn that begins now.
    pub(super) fn new(settings: &settings::Reconcile, stop: &'a CancellationToken) -> Turn<'a> {
        let (now, step) = (Instant::now(), settings.rebuild_step.get());
        Turn { wait_until: now + step.min(settings.wait.get()), until: now + step, stop }
    }

    fn is_over(&self) -> bool {
        self.stop.is_cancelled() || Instant::now() >= self.until
    }
}

impl Reconciler {
    /// Reconciles as [`Reconciler::run`] does, again and again until no rebuild is left unfinished, or until `stop`.
    /// Returns what the last of these runs did.
    ///
    /// # Errors
    /// The first failure.
    pub async fn run_to_the_end(&self, stop: &CancellationToken) -> Result<Vec<Report>, ReconcileError> {
        loop {
            let reports = self.run(stop).await?;
            if stop.is_cancelled() || !reports.iter().any(Report::is_unfinished) {
                return Ok(reports);
            }
            // Without a rotation in between: each may leave a slice.
            while !stop.is_cancelled() && self.advance(self.settings.rebuild_step.get(), stop).await? {}
        }
    }

    /// Counts days of rebuilds that were begun, for that long and at least one of each. Returns whether days are left.
    /// No shard is rotated and no view replaced: that is left to the next [`Reconciler::run`].
    ///
    /// # Errors
    /// The first failure.
    pub async fn advance(&self, step: Duration, stop: &CancellationToken) -> Result<bool, ReconcileError> {
        let now = Instant::now();
        let turn = Turn { wait_until: now, until: now + step, stop };
        let mut are_left = false;
        for metric in self.catalog.metrics.values() {
            let left = self.advance_metric(metric, &turn).await;
            are_left |= left.map_err(|source| ReconcileError::Metric { name: metric.name.clone(), source })?;
        }
        Ok(are_left)
    }

    async fn advance_metric(&self, metric: &Metric, turn: &Turn<'_>) -> Result<bool, MetricError> {
        let definition = self.catalog.definition(metric);
        let Some(view) = self.storage.batch_view(&metric.name).await? else { return Ok(false) };
        if own_view(view.note().map(AsRef::as_ref), &definition).is_some() {
            return Ok(false);
        }
        let Some(archive) = self.storage.archive(&metric.source).await? else { return Ok(false) };
        let Some(mut rebuild) = begun(&view, &archive, &definition).await? else { return Ok(false) };
        self.count_days(metric, &view, &archive, &mut rebuild, turn).await?;
        Ok(!rebuild.is_whole())
    }

    /// Goes on with the rebuild of a metric's view for a turn, and makes it the view if all days are counted then.
    pub(super) async fn rebuild(
        &self,
        metric: &Metric,
        prepared: &mut Prepared<'_>,
        turn: &Turn<'_>,
    ) -> Result<Report, ReconcileError> {
        let started = Instant::now();
        let outcome = self.rebuild_view(metric, prepared, turn).await;
        let outcome = outcome.map_err(|source| ReconcileError::Metric { name: metric.name.clone(), source })?;
        Ok(report(metric, outcome, started))
    }

    async fn rebuild_view(
        &self,
        metric: &Metric,
        prepared: &mut Prepared<'_>,
        turn: &Turn<'_>,
    ) -> Result<Outcome, MetricError> {
        let definition = self.catalog.definition(metric);
        let view = view::create(&self.storage, &self.catalog, metric).await?;
        prepared.archive.refresh().await?;
        let Prepared { archive, shards, slices, known } = &mut *prepared;
        let mut progress = (0, 0);
        if own_view(view.note().map(AsRef::as_ref), &definition).is_none() {
            // Two catalogs at once would rebuild each other's view for ever. A first view replaces none.
            if view.note().is_some() {
                let (patience, facts) = ((self.settings.poll.get(), turn.wait_until), archive.facts());
                let uncounted = shards.wait_until_counted(&definition, &facts, patience, turn.stop).await?;
                if let Some(partition) = uncounted {
                    return Ok(Outcome::Waiting { partition });
                }
            }
            let rotated = slices::confirmed(archive, slices, view.note().map(|note| &note.cut), known).await?;
            let rebuild = self.step(metric, &view, archive, &rotated, turn).await?;
            progress = (rebuild.done(), rebuild.days.len());
        }
        let (done, days) = progress;
        // Where days are left, nothing is attempted.
        let Some(replaced) = self.attempts(metric, prepared, true).await? else {
            return Ok(Outcome::Unfinished { done, days });
        };
        if let Err(error) = view.forget_rebuild(&definition).await {
            warn!(
                table = view.path(),
                error = error_text(&error),
                "cannot delete the list of a finished rebuild; trying again later"
            );
        }
        Ok(Outcome::Replaced(replaced))
    }

    /// What the newest view, or what is `staged` beside it, has counted of a metric's definition; `None` if neither has
    /// counted all days.
    pub(super) async fn counted(
        &self,
        metric: &Metric,
        view: &BatchView,
        archive: &Archive,
        staged: bool,
    ) -> Result<Option<Counted>, MetricError> {
        let definition = self.catalog.definition(metric);
        if let Some(own) = own_view(view.note().map(AsRef::as_ref), &definition) {
            return Ok(Some(Counted::InView(own.cut.clone())));
        }
        let rebuild = if staged { begun(view, archive, &definition).await? } else { None };
        let whole = rebuild.filter(Rebuild::is_whole);
        Ok(whole.map(|whole| Counted::Staged(whole.cut.clone(), whole.files().cloned().collect())))
    }

    /// Continues the rebuild that was kept, or begins one.
    pub(super) async fn step(
        &self,
        metric: &Metric,
        view: &BatchView,
        archive: &Archive,
        rotated: &Rotated,
        turn: &Turn<'_>,
    ) -> Result<Rebuild, MetricError> {
        let definition = self.catalog.definition(metric);
        let mut rebuild = match begun(view, archive, &definition).await? {
            Some(rebuild) => {
                // So that it does not look abandoned.
                view.keep_rebuild(&rebuild).await?;
                rebuild
            }
            None => self.begin(metric, view, archive, rotated).await?,
        };
        self.count_days(metric, view, archive, &mut rebuild, turn).await?;
        Ok(rebuild)
    }

    /// Finds out which days there are, and up to which cut they are to be counted.
    async fn begin(
        &self,
        metric: &Metric,
        view: &BatchView,
        archive: &Archive,
        rotated: &Rotated,
    ) -> Result<Rebuild, MetricError> {
        let plan = self.plan(metric, view, Counted::Nothing, archive, rotated).await?;
        let days = plan.tasks.into_iter().map(|task| (task.day, RebuildDay { units: task.units, counted: None }));
        let rebuild = Rebuild { definition: plan.definition, cut: plan.cut, days: days.collect() };
        view.keep_rebuild(&rebuild).await?;
        Ok(rebuild)
    }

    /// Counts days that are left, each into a file, until the turn is over. A rebuild that another process has begun
    /// anew or finished meanwhile stays as it is.
    async fn count_days(
        &self,
        metric: &Metric,
        view: &BatchView,
        archive: &Archive,
        rebuild: &mut Rebuild,
        turn: &Turn<'_>,
    ) -> Result<(), MetricError> {
        if rebuild.is_whole() {
            return Ok(());
        }
        let files = self.files(archive, &self.catalog.sources[&metric.source]).await?;
        for task in plan::days_left(rebuild, metric, &archive.facts(), files) {
            let file = task.recompute(&self.catalog, archive, view).await;
            let file = file.map_err(|source| MetricError::Day { day: task.day.clone(), source })?;
            if !keep(view, rebuild, &task.day, file).await? {
                info!(metric = metric.name, "another process has begun this rebuild anew, or finished it");
                return Ok(());
            }
            platform::failpoints::pass("reconcile::between_days");
            if turn.is_over() {
                break;
            }
        }
        let (done, days) = (rebuild.done(), rebuild.days.len());
        info!(metric = metric.name, done, days, "rebuilding the view");
        Ok(())
    }
}

/// The rebuild of that definition, if one was begun and the archive holds what it has counted.
pub(super) async fn begun(
    view: &BatchView,
    archive: &Archive,
    definition: &DefinitionHash,
) -> Result<Option<Rebuild>, StoreError> {
    let kept = view.rebuild(definition).await?;
    Ok(kept.filter(|kept| kept.definition == *definition && cut::is_covered(&kept.cut, &archive.facts())))
}

/// Keeps a day as counted. Returns false, and changes nothing, if that rebuild is not there any more. If another
/// process has counted the day meanwhile, that result stays, and this file is an orphan.
async fn keep(view: &BatchView, rebuild: &mut Rebuild, day: &str, file: Option<DataFile>) -> Result<bool, StoreError> {
    let mut next = rebuild.clone();
    if let Some(counted) = next.days.get_mut(day) {
        counted.counted = Some(file.into_iter().collect());
    }
    let is_there = match view.rebuild(&rebuild.definition).await? {
        Some(kept) => next.take_over(&kept),
        None => false,
    };
    if is_there {
        view.keep_rebuild(&next).await?;
        *rebuild = next;
    }
    Ok(is_there)
}
