//! A rebuild that an operator asks for: everything is counted anew, though the view counts the catalog's definition.
//!
//! The request is a commit that changes nothing but the view's note. From then on any reconcile carries it out, as it does where
//! a definition has changed: day by day beside the view, which is used and reconciled meanwhile, until one commit replaces all of
//! its files. That commit's note asks for nothing any more. So the request outlives whoever made it, and asking again before it is
//! done changes nothing. The days that were counted belong to this request alone: a list that an earlier one has left is not used.
//!
//! A view whose table another program has changed is not used, so nobody can go on with it. A commit takes all of its files out,
//! and notes that no definition was counted; its cut stands (R1). Then it is rebuilt like any view of another definition, once it is
//! resumed if it is paused. Days that the archive has retired cannot be counted again, so a view that holds some is emptied only if an
//! operator gives them up. What is rebuilt then says from which day on it holds events, as every first view of such an archive does.

use std::time::Duration;

use platform::store::{Committed, StoreError};
use shared_logic::catalog::Metric;
use shared_logic::contracts::batch_view::{Asked, Note};
use shared_logic::time::format_day;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::error::{ReconcileError, RepairError};
use super::plan::day_of_file;
use super::rebuild::Turn;
use super::report::{Outcome, Report};
use super::{Reconciler, rollback};

/// How often progress is reported, unless a day takes longer.
const PROGRESS_EVERY: Duration = Duration::from_secs(1);

/// What became of the request to count a view anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request {
    /// It is noted in this version of the view.
    Noted(u64),
    /// It was noted before, in this version, and is not done yet.
    NotedBefore(u64),
    /// There is no view yet, or none that could be kept: the next reconcile counts everything anyway.
    NotNeeded,
}

/// What becomes of days that the archive has retired, if they are in a view that has to be emptied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetiredDays {
    /// They are kept, so it is not emptied.
    Kept,
    /// They are lost: an operator has said so.
    GivenUp,
}

impl Reconciler {
    /// A metric of the catalog.
    ///
    /// # Errors
    /// [`RepairError::UnknownMetric`].
    pub fn metric(&self, name: &str) -> Result<&Metric, RepairError> {
        self.catalog.metrics.get(name).ok_or_else(|| RepairError::UnknownMetric {
            name: name.to_owned(),
            known: self.catalog.metrics.keys().cloned().collect(),
        })
    }

    /// Asks for a metric's view to be counted anew. The next reconcile begins with it, whichever process makes it. `retired` matters
    /// only if another program has changed the view's table: of any other view, retired days are carried over.
    ///
    /// # Errors
    /// If the view is paused, has to be emptied and holds retired days that are not given up, or its table cannot be read or written.
    pub async fn ask_rebuild(&self, metric: &Metric, retired: RetiredDays) -> Result<Request, RepairError> {
        for _ in 0..self.settings.max_attempts {
            let mut view = match self.storage.batch_view(&metric.name).await {
                Ok(Some(view)) => view,
                Ok(None) => return Ok(Request::NotNeeded),
                Err(damaged @ StoreError::FilesDiffer { .. }) => {
                    self.emptied(metric, retired, &damaged).await?;
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            if let Some(pause) = rollback::pause(&view) {
                return Err(RepairError::Paused { metric: metric.name.clone(), pause: pause.clone() });
            }
            let Some(note) = view.note().cloned() else { return Ok(Request::NotNeeded) };
            if note.definition != self.catalog.definition(metric) {
                return Ok(Request::NotNeeded);
            }
            if let Some(version) = note.asked.rebuild {
                return Ok(Request::NotedBefore(version));
            }
            let asked = Asked { rebuild: Some(view.version() + 1), pause: None };
            let note = Note { asked, ..Note::clone(&note) };
            if let Committed::At(version) = view.commit(view.begin("ASK REBUILD"), Some(note)).await? {
                return Ok(Request::Noted(version));
            }
        }
        Err(RepairError::Overtaken { attempts: self.settings.max_attempts })
    }

    /// Takes every file out of a view whose table another program has changed, if no other process does so first.
    async fn emptied(&self, metric: &Metric, retired: RetiredDays, damaged: &StoreError) -> Result<(), RepairError> {
        let Some(mut view) = self.storage.batch_view_as_it_is(&metric.name).await? else { return Ok(()) };
        let (files, archive) = (view.files().await?, self.storage.archive(&metric.source).await?);
        // Only the view still says what was counted of such days.
        let retired_before = archive.and_then(|archive| archive.facts().retired_before);
        let lost = retired_before.filter(|before| files.iter().any(|file| day_of_file(file) < Some(*before)));
        let lost = lost.map(format_day);
        if let Some(before) = lost.clone().filter(|_| retired == RetiredDays::Kept) {
            return Err(RepairError::HoldsRetired { metric: metric.name.clone(), before });
        }
        // Days that a finished rebuild has left listed would be taken for those of the one that follows.
        view.forget_rebuild(&self.catalog.definition(metric)).await?;
        let note = view.note().map(|note| note.of_no_rows(platform::clock::now_us()));
        let commit = view.begin("EMPTY").removing(files);
        if let Committed::At(version) = view.commit(commit, note).await? {
            let lost_before = lost.unwrap_or_else(|| "none".to_owned());
            warn!(
                table = view.path(),
                version, %damaged, lost_before, "all files are taken out of the view; it is counted anew"
            );
        }
        Ok(())
    }

    /// Rebuilds a metric's view now, if that is asked for or needed, and tells `progress` how many days of how many are counted.
    /// Another process may do the same: the days of both are kept. From `stop` on no further day is begun; the rest is left to
    /// the next reconcile.
    ///
    /// # Errors
    /// If nothing is archived yet, or the reconcile of this metric fails.
    pub async fn rebuild_now(
        &self,
        metric: &Metric,
        stop: &CancellationToken,
        mut progress: impl FnMut(usize, usize),
    ) -> Result<Report, RepairError> {
        let source = &self.catalog.sources[&metric.source];
        let of_source = |error| ReconcileError::of_source(&source.name, error);
        let of_metric = |error| ReconcileError::of_metric(&metric.name, error);
        loop {
            let prepared = self.prepare(source, stop).await.map_err(of_source)?;
            let Some(mut prepared) = prepared else {
                return Err(RepairError::NothingArchived { source_name: source.name.clone() });
            };
            let report = self.rebuild(metric, &mut prepared, &self.moment(stop)).await;
            self.keep_reconciliations(&mut prepared).await;
            let report = report?;
            let Outcome::Unfinished { done, days } = report.outcome else { return Ok(report) };
            progress(done, days);
            // Without a rotation in between: each may leave a slice.
            let mut is_left = true;
            while is_left && !stop.is_cancelled() {
                let counted = self.advance_metric(metric, &self.moment(stop)).await.map_err(of_metric)?;
                if let Some((done, days)) = counted {
                    progress(done, days);
                }
                is_left = counted.is_some_and(|(done, days)| done < days);
            }
            if stop.is_cancelled() {
                return Ok(report);
            }
        }
    }

    /// A turn after which progress is reported.
    fn moment<'a>(&self, stop: &'a CancellationToken) -> Turn<'a> {
        let now = Instant::now();
        Turn { wait_until: now + self.settings.wait.get(), until: now + PROGRESS_EVERY, stop }
    }
}
