//! What a plan follows from: the archive's files, the cut, and the index of identities up to what is counted.

use platform::store::DataFile;
use shared_logic::catalog::{Metric, Source};
use shared_logic::cut::Rotated;
use shared_logic::log::{OffsetRange, Offsets};
use storage::{Archive, BatchView, Identities, Schemas};

use super::erased::Erased;
use super::error::MetricError;
use super::plan::{self, Basis, Counted, Plan};
use super::report::Work;
use super::touched::{self, Touched};
use super::{Reconciler, cut, identities, retired};
use crate::archive_rows;
use crate::rows::RowsError;

impl Reconciler {
    /// Finds out what a plan follows from.
    pub(super) async fn plan(
        &self,
        metric: &Metric,
        view: &BatchView,
        counted: Counted,
        archive: &Archive,
        rotated: &Rotated,
    ) -> Result<Plan, MetricError> {
        let source = &self.catalog.sources[&metric.source];
        let files = self.files(archive, source).await?;
        let definition = self.catalog.definition(metric);
        let cut = cut::of_view(view.note().map(|note| &note.cut), rotated, archive)?;
        let (facts, view_files) = (archive.facts(), view.files().await?);
        let retired_before = retired::first_held(&counted, view.note().map(AsRef::as_ref), &facts);
        retired::check(&counted, (view.note().map(AsRef::as_ref), view_files.as_slice()), (&definition, &facts))?;
        let (mut again, mut identities, mut work) = (Touched::new(), Identities::default(), Work::default());
        let unit_us = plan::unit_us(metric.grain_us);
        if let Some(own) = counted.cut() {
            // What a rebuild has counted may end above the next cut.
            let ranges = OffsetRange::between(Some(&cut), own);
            (again, work.rows_read) = touched::units(archive, source, &files, unit_us, &ranges).await?;
            retired::take_out(&mut again, &counted, &facts)?;
            // It names what is counted. New events are compared among themselves, and enter it with the next reconcile.
            if !source.event_id.is_empty() {
                if let Counted::Staged(staged) = &counted
                    && let Some(days) = &staged.identities
                {
                    identities::begin_with(days, &staged.cut, staged.archive_version, archive, source).await?;
                }
                let (index, rows_read) =
                    identities::up_to(&retired::indexed(own, &counted), archive, source, &files, self.rows_at_once())
                        .await?;
                identities = index;
                work.rows_read += rows_read;
            }
        }
        // Of a rebuild, days with erased events are counted again before it is whole.
        if let (Counted::InView(_), Some(note)) = (&counted, view.note()) {
            let erased = Erased::since(note.archive_version, archive, &source.rules()).await?;
            let days = view_files.iter().chain(&files).map(|file| file.partition.as_str());
            for (day, units) in retired::recomputable(erased.units(unit_us, days), &facts) {
                again.entry(day).or_default().extend(units);
            }
        }
        Ok(Plan::new(Basis {
            metric,
            definition,
            counted,
            view: view_files,
            retired_before,
            facts: &facts,
            archive_version: archive.version(),
            archive: files,
            cut,
            again,
            identities: &identities,
            work,
        }))
    }

    /// The index of identities under the source's rules, once it names every event below that cut.
    ///
    /// # Errors
    /// If the archive or the index cannot be read or written.
    pub(crate) async fn index_up_to(
        &self,
        cut: &Offsets,
        archive: &Archive,
        source: &Source,
    ) -> Result<Identities, MetricError> {
        let files = self.files(archive, source).await?;
        Ok(identities::up_to(cut, archive, source, &files, self.rows_at_once()).await?.0)
    }

    /// The archive's files, decoded under the source's rules.
    pub(super) async fn files(&self, archive: &Archive, source: &Source) -> Result<Vec<DataFile>, RowsError> {
        let schemas = Schemas::new(&self.storage, &source.name, &self.registry);
        archive_rows::files(archive, source, &schemas).await
    }
}
