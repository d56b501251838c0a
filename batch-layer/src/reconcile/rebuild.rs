//! A rebuild: the view of a metric that has none yet, or whose newest view cannot be used: it counts another definition, or
//! records were archived again since it was counted (R11). Or an operator has asked for it: then the newest view is used, and
//! reconciled, until it is replaced.
//!
//! It is counted from the archive alone, day by day, into files beside the view, up to a cut of its own. That cut is
//! chosen once and counts for nothing else. Each day that is done is kept, so a process that is killed loses those days that it was
//! counting, two at most, or eight where a cluster counts them, and the next run continues. A run continues rebuilds for a bounded time
//! (the setting `reconcile.rebuild_step`), after it has reconciled all other metrics.
//!
//! Once all days are counted, an ordinary reconcile carries them over as if they were the view: it adds the events that
//! lie between the rebuild's cut and the next view's, and replaces the old view in one commit. The next cut follows
//! from the newest view's (R1) and the shards (R13), not from the rebuild's, and may lie above or below it. Where it
//! lies below, the hours of events that were counted too early are recomputed. Where there is no index of identities yet, it is made
//! of what the days are counted from, so the archive is read once, unless a cluster reads it: then it is made by the reconcile that
//! follows. Days whose rows are retired cannot be counted: they are carried over from the view if it counts the same definition;
//! otherwise the rebuild is refused (`retired`).

use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesOrdered;
use platform::settings;
use platform::store::StoreError;
use platform::telemetry::error_text;
use shared_logic::catalog::Metric;
use shared_logic::complete;
use shared_logic::contracts::batch_view::Note;
use shared_logic::cut::Rotated;
use shared_logic::time::format_day;
use storage::{Archive, BatchView, Rebuild, RebuildDay};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::day::DayDone;
use super::error::{MetricError, ReconcileError};
use super::plan::{Counted, Plan, Staged};
use super::report::{Outcome, Reconciled, Report};
use super::{
    DAYS_AT_ONCE, PARTS_AT_ONCE, Prepared, Reconciler, cut, erased, identities, plan, report, retired, rollback,
    slices, view,
};

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
    /// Reconciles as [`Reconciler::reconcile_to_the_end`] does.
    ///
    /// # Errors
    /// The first failure.
    pub async fn run_to_the_end(&self, stop: &CancellationToken) -> Result<Vec<Report>, ReconcileError> {
        self.reconcile_to_the_end(stop).await.all()
    }

    /// Reconciles as [`Reconciler::reconcile_once`] does, again and again until no rebuild is left unfinished, or until something
    /// fails, or until `stop`. Returns what the last of these runs did.
    pub async fn reconcile_to_the_end(&self, stop: &CancellationToken) -> Reconciled {
        loop {
            let mut reconciled = self.reconcile_once(stop).await;
            if stop.is_cancelled() || !reconciled.failed.is_empty() || !reconciled.is_unfinished() {
                return reconciled;
            }
            // Without a rotation in between: each may leave a slice.
            let mut are_left = true;
            while are_left && !stop.is_cancelled() {
                match self.advance(self.settings.rebuild_step.get(), stop).await {
                    Ok(left) => are_left = left,
                    Err(error) => {
                        reconciled.failed.push(error);
                        return reconciled;
                    }
                }
            }
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
            let left = left.map_err(|error| ReconcileError::of_metric(&metric.name, error))?;
            are_left |= left.is_some_and(|(done, days)| done < days);
        }
        Ok(are_left)
    }

    /// Counts days of a metric's rebuild for a turn. Returns how many days of how many are counted; `None` if none is begun.
    pub(super) async fn advance_metric(
        &self,
        metric: &Metric,
        turn: &Turn<'_>,
    ) -> Result<Option<(usize, usize)>, MetricError> {
        let Some(view) = self.storage.batch_view(&metric.name).await? else { return Ok(None) };
        let Some(archive) = self.storage.archive(&metric.source).await? else { return Ok(None) };
        let is_needed = self.own_view(metric, &view, &archive).is_none() || asked(&view).is_some();
        if !is_needed || rollback::pause(&view).is_some() {
            return Ok(None);
        }
        let Some(mut rebuild) = self.begun(metric, &view, &archive).await? else { return Ok(None) };
        self.count_days(metric, &view, &archive, &mut rebuild, turn).await?;
        Ok(Some((rebuild.done(), rebuild.days.len())))
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
        let outcome = outcome.map_err(|error| ReconcileError::of_metric(&metric.name, error))?;
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
        if let Some(pause) = rollback::pause(&view) {
            return Ok(Outcome::Paused(pause.clone()));
        }
        let Prepared { archive, shards, slices, known, .. } = &mut *prepared;
        let mut progress = (0, 0);
        let is_usable = self.own_view(metric, &view, archive).is_some();
        if !is_usable || asked(&view).is_some() {
            // Two catalogs at once would rebuild each other's view for ever. A first view replaces none, and neither does one
            // that counts the same.
            if view.note().is_some() && !is_usable {
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
        let Some(outcome) = self.attempts(metric, prepared, true).await? else {
            return Ok(Outcome::Unfinished { done, days });
        };
        if !matches!(outcome, Outcome::Changed(_)) {
            return Ok(outcome);
        }
        if let Err(error) = view.forget_rebuild(&definition).await {
            warn!(
                table = view.path(),
                error = error_text(&error),
                "cannot delete the list of a finished rebuild; trying again later"
            );
        }
        Ok(outcome)
    }

    /// What the newest view, or what is `staged` beside it, has counted of a metric's definition; `None` if neither has
    /// counted all days. Where an operator has asked for a rebuild, what is staged replaces a view that could be used.
    pub(super) async fn counted(
        &self,
        metric: &Metric,
        view: &BatchView,
        archive: &Archive,
        staged: bool,
    ) -> Result<Option<Counted>, MetricError> {
        if let Some(own) = self.own_view(metric, view, archive).filter(|_| !staged || asked(view).is_none()) {
            return Ok(Some(Counted::InView(own.cut.clone())));
        }
        let rebuild = if staged { self.begun(metric, view, archive).await? } else { None };
        let note: Option<&Note> = view.note().map(AsRef::as_ref);
        let staged = |whole: Rebuild| Staged {
            files: whole.files().cloned().collect(),
            archive_version: whole.archive_version,
            identities: whole.identities(),
            carried: retired::carried(note, &whole.definition, whole.retired_before),
            retired_before: whole.retired_before,
            cut: whole.cut,
        };
        Ok(rebuild.filter(Rebuild::is_whole).map(|whole| Counted::Staged(staged(whole))))
    }

    /// The newest view, if it can be used for the metric as this catalog defines it.
    fn own_view<'a>(&self, metric: &Metric, view: &'a BatchView, archive: &Archive) -> Option<&'a Note> {
        let (definition, rules) = (self.catalog.definition(metric), self.catalog.sources[&metric.source].rules());
        let (note, facts) = (view.note().map(AsRef::as_ref), archive.note().map(AsRef::as_ref));
        complete::own_view(note, &definition, &rules, facts)
    }

    /// The rebuild of the metric's definition, if one was begun for what the view's note asks now, and the archive holds what it
    /// has counted: it reaches the rebuild's cut, and has not archived any of it again since the rebuild was begun (R11), and no day
    /// that is left to count was retired since then. One that was begun at a newer version of the archive is none for a process that
    /// does not know that version. Days of which events were erased since are counted again, unless they are retired.
    async fn begun(&self, metric: &Metric, view: &BatchView, archive: &Archive) -> Result<Option<Rebuild>, StoreError> {
        let (definition, rules) = (self.catalog.definition(metric), self.catalog.sources[&metric.source].rules());
        let kept = view.rebuild(&definition).await?;
        let facts = archive.facts();
        let kept = kept.filter(|kept| {
            let begun_at = kept.archive_version;
            let is_same = begun_at <= archive.version() && !facts.archived_again_since(begun_at, &rules);
            let can_end = kept.days.iter().all(|(name, day)| day.counted.is_some() || !facts.is_retired_day(name));
            let lacks_rows = kept.retired_before < facts.retired_before && facts.retired_beyond(&kept.cut);
            let is_of_this = kept.definition == definition && kept.asked == asked(view);
            is_of_this && cut::is_covered(&kept.cut, &facts) && is_same && can_end && !lacks_rows
        });
        match kept {
            Some(kept) => erased::forget_days(kept, view, archive, &rules).await.map(Some),
            None => Ok(None),
        }
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
        let mut rebuild = match self.begun(metric, view, archive).await? {
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

    /// Finds out which days there may be, by the archive's statistics, and up to which cut they are to be counted.
    async fn begin(
        &self,
        metric: &Metric,
        view: &BatchView,
        archive: &Archive,
        rotated: &Rotated,
    ) -> Result<Rebuild, MetricError> {
        let Plan { definition, cut, archive_version, retired_before, tasks, .. } =
            self.plan(metric, view, Counted::Nothing, archive, rotated).await?;
        if retired::carried(view.note().map(AsRef::as_ref), &definition, retired_before).is_some() {
            let before = retired_before.map(format_day);
            info!(
                metric = metric.name,
                before, "the rows of older days are retired: the view's own rows of them are carried over"
            );
        }
        let days =
            tasks.into_iter().map(|task| (task.day, RebuildDay { units: task.units, counted: None, identities: None }));
        let (asked, days) = (asked(view), days.collect());
        let rebuild = Rebuild { definition, cut, archive_version, retired_before, asked, days };
        view.keep_rebuild(&rebuild).await?;
        Ok(rebuild)
    }

    /// Counts days that are left, each into files of its own, until the turn is over. A rebuild that another process has begun
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
        let source = &self.catalog.sources[&metric.source];
        let (files, facts) = (self.files(archive, source).await?, archive.facts());
        // What is read to be counted is not read again to be indexed. What a cluster reads is not seen here.
        self.tell_refusal(metric);
        let is_elsewhere = self.is_counted_elsewhere(metric);
        let identified = !is_elsewhere
            && !source.event_id.is_empty()
            && facts.retired_before.is_none()
            && !identities::is_begun(archive, source).await?;
        let tasks = plan::days_left(rebuild, metric, &facts, files, identified);
        let (room, at_once) = (self.room(), if is_elsewhere { DAYS_AT_ONCE } else { PARTS_AT_ONCE });
        let (mut waiting, mut left, mut counting) = (tasks.iter(), tasks.iter(), FuturesOrdered::new());
        loop {
            // At least one, and those that are begun are finished.
            while counting.len() < at_once
                && (waiting.len() == tasks.len() || !turn.is_over())
                && let Some(task) = waiting.next()
            {
                counting.push_back(self.count(task, archive, view, &room));
            }
            let Some((done, task)) = counting.next().await.zip(left.next()) else { break };
            if !keep(view, rebuild, &task.day, done?).await? {
                info!(metric = metric.name, "another process has begun this rebuild anew, or finished it");
                return Ok(());
            }
            let rows = rebuild.files().map(|file| file.rows).sum();
            self.has_counted(metric, rebuild.done(), rebuild.days.len(), rows);
            platform::failpoints::pass("reconcile::between_days");
        }
        let (done, days) = (rebuild.done(), rebuild.days.len());
        info!(metric = metric.name, done, days, "rebuilding the view");
        Ok(())
    }
}

/// The version of the view whose commit asks for a rebuild, until one is done.
pub(super) fn asked(view: &BatchView) -> Option<u64> {
    view.note().and_then(|note| note.asked.rebuild)
}

/// Keeps a day as counted. Returns false, and changes nothing, if that rebuild is not there any more. If another
/// process has counted the day meanwhile, that result stays, and these files are orphans.
async fn keep(view: &BatchView, rebuild: &mut Rebuild, day: &str, done: DayDone) -> Result<bool, StoreError> {
    let mut next = rebuild.clone();
    if let Some(counted) = next.days.get_mut(day) {
        (counted.counted, counted.identities) = (Some(done.added), done.identities);
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
