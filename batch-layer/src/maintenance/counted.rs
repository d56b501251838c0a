//! What every view of a source has counted of its archive, whichever version of the deployment it belongs to. Nothing else of an archive is taken out, or merged into large files.

use std::sync::Arc;

use platform::store::DataFile;
use polars::prelude::{DataFrame, IntoLazy, Schema, col};
use shared_logic::catalog::{Catalog, Metric, Source};
use shared_logic::complete;
use shared_logic::contracts::archive::{Facts, LOG, OFFSET, PARTITION, record_columns};
use shared_logic::contracts::batch_view::Note;
use shared_logic::log::{OffsetRange, Offsets};
use storage::Archive;

use super::TableError;
use crate::archive_rows::{may_hold, within};
use crate::reconcile::Reconciler;
use crate::rows::RowsError;

/// What all views of a source have counted.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Counted {
    /// Every view has counted up to these offsets, or there is no view.
    UpTo(Offsets),
    /// The view of this metric is not there yet, or has to be rebuilt, or still counts events that were erased.
    NotBy(String),
}

/// What all views of a source have counted, by their newest commits. Cuts only fall by a rollback, which is refused below what is retired,
/// so it stays counted. A view that an erasure has
/// touched has counted nothing in this sense before it has counted those hours again: for that it needs their rows.
///
/// # Errors
/// If a view cannot be read.
pub(super) async fn by_all_views(
    reconciler: &Reconciler,
    source: &Source,
    facts: &Facts,
) -> Result<Counted, TableError> {
    let mut below: Offsets = facts.partitions().map(|(id, known)| (id, known.next)).collect();
    for version in versions_with(reconciler, source) {
        let Some(source) = version.catalog.sources.get(&source.name) else { continue };
        for metric in version.catalog.metrics_of(&source.name) {
            let view = version.storage.batch_view(&metric.name).await?;
            let note = view.as_ref().and_then(|view| view.note());
            let definition = version.catalog.definition(metric);
            let own = complete::own_view(note.map(AsRef::as_ref), &definition, &source.rules(), Some(facts));
            let is_behind = |own: &Note| facts.erased_since(own.archive_version).next().is_some();
            let Some(own) = own.filter(|own| !is_behind(own)) else {
                return Ok(Counted::NotBy(named(reconciler, &version, metric)));
            };
            for (id, known) in facts.partitions() {
                let cut = own.cut.get(&id).unwrap_or(known.begin);
                let least = below.get(&id).map_or(cut, |below| below.min(cut));
                below.set(id, least);
            }
        }
    }
    Ok(Counted::UpTo(below))
}

/// The versions that live and read the same archive of a source, the own one first. What a version has not counted yet, as it was only
/// created, it still needs.
pub(super) fn versions_with(reconciler: &Reconciler, source: &Source) -> Vec<Reconciler> {
    let own = &reconciler.whole.deployment;
    let shares = |(name, catalog): &(&str, &Arc<Catalog>)| {
        let archive = catalog.deployment.archive_name(&source.name);
        *name != own.version && catalog.sources.contains_key(&source.name) && archive == own.archive_name(&source.name)
    };
    let others = reconciler.versions.living().filter(shares).filter_map(|(name, _)| reconciler.of_version(name));
    std::iter::once(reconciler.clone()).chain(others).collect()
}

/// A metric as an operator knows it, who may have several versions.
fn named(own: &Reconciler, version: &Reconciler, metric: &Metric) -> String {
    let name = &version.whole.deployment.version;
    if *name == own.whole.deployment.version {
        metric.name.clone()
    } else {
        format!("{} of version {name}", metric.name)
    }
}

/// What is archived at or above those offsets.
pub(super) fn archived_above(below: &Offsets, facts: &Facts) -> Vec<OffsetRange> {
    let next: Offsets = facts.partitions().map(|(id, known)| (id, known.next)).collect();
    OffsetRange::between(Some(below), &next)
}

/// Whether a file holds records in those ranges. Its statistics tell ranges apart only if it holds one partition; otherwise the places
/// of its rows are read.
///
/// # Errors
/// If the file cannot be read.
pub(super) async fn holds(archive: &Archive, file: &DataFile, ranges: &[OffsetRange]) -> Result<bool, RowsError> {
    if !may_hold(file, ranges) {
        return Ok(false);
    }
    let is_place = |name: &str| [LOG, PARTITION, OFFSET].contains(&name);
    let places: Schema = record_columns().into_iter().filter(|(name, _)| is_place(name.as_str())).collect();
    for group in archive.row_groups(file, &places, |part| may_hold(part, ranges)).await? {
        let filter = within(ranges);
        let look = move |rows: DataFrame| Ok(rows.lazy().filter(filter).select([col(OFFSET)]).collect()?.height() > 0);
        if group.read(look).await? {
            return Ok(true);
        }
    }
    Ok(false)
}
