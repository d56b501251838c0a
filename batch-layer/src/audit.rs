//! An audit: is what a batch view says of one group key what the archived records say?
//!
//! The records are decoded from their bytes, one by one, and folded by code that shares nothing with a reconcile but the decoder
//! and the meaning of an expression and a measure for one row: neither the plan, nor its grouping, nor the index of identities.
//! Where the view differs, the audit shows each record that makes the number: those that count, those left out as copies of
//! which, and those that the metric's condition leaves out.
//!
//! Memory is bounded by the events of the key, not by the archive. It is read twice: first for the events of the key, then for
//! their copies, which may have another key.
//!
//! - `events`: the archive → events of the key, and the first copy of each;
//! - `fold`: events → what each bucket should say;
//! - `view_rows`: the view → what each bucket says;
//! - `difference`: both → where they differ.

mod difference;
mod events;
mod fold;
mod view_rows;

use std::collections::BTreeSet;

use platform::registry::Registry;
use platform::settings::Settings;
use platform::store::StoreError;
use shared_logic::catalog::{Catalog, Metric, Source};
use shared_logic::complete;
use shared_logic::group_key::KeyPart;
use shared_logic::log::Offsets;
use shared_logic::time::{DAY_US, TimeRange, format_day};
use storage::{Archive, BatchView, Schemas, Storage};

use crate::progress::Progress;
use crate::rows::RowsError;

pub use self::difference::{Difference, MeasureDifference};
pub use self::fold::{Fate, Seen};

/// What is audited.
#[derive(Debug, Clone, PartialEq)]
pub struct Question {
    /// What the key says of each of the metric's `by` columns, in their order.
    pub key: Vec<KeyPart>,
    /// Which event times. It is widened to whole buckets.
    pub times: TimeRange,
}

/// What an audit has found.
#[derive(Debug, Clone, PartialEq)]
pub struct Audit {
    /// The version of the view.
    pub version: u64,
    /// The view's cut: what lies above it is not looked at.
    pub cut: Offsets,
    /// The event times that were audited.
    pub times: TimeRange,
    /// How many buckets have events or rows.
    pub buckets: usize,
    /// How many events of the key lie below the cut, copies and those that the condition leaves out among them.
    pub events: usize,
    /// The first day, in days since 1970, that was audited, if older ones were asked for: the archive does not hold all rows of these
    /// any more, or the view none (`retain`), so they cannot be recounted.
    pub retired_before: Option<i64>,
    /// How many records were not looked at, because their bytes were not kept. The audit proves nothing if there are any.
    pub without_bytes: u64,
    /// The buckets in which the view differs, in order.
    pub differences: Vec<Difference>,
}

/// Why nothing was audited.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// There is no view of the metric, or it counts another definition.
    #[error("metric {metric} has no batch view of the catalog's definition; reconcile first")]
    NoView {
        /// The metric's name.
        metric: String,
    },
    /// Nothing is archived.
    #[error("nothing of source {source_name} is archived yet")]
    NothingArchived {
        /// The source's name.
        source_name: String,
    },
    /// Events were erased since the view was counted.
    #[error("events were erased since the view of {metric} was counted; reconcile first")]
    Erased {
        /// The metric's name.
        metric: String,
    },
    /// All of the times lie in days that are retired.
    #[error("nothing of these times can be recounted: rows of days before {before} are retired (`retain`)")]
    Retired {
        /// The first day that can be audited, `YYYY-MM-DD`.
        before: String,
    },
    /// The archive or the view could not be read.
    #[error(transparent)]
    Rows(#[from] RowsError),
}

impl From<StoreError> for AuditError {
    fn from(error: StoreError) -> AuditError {
        RowsError::from(error).into()
    }
}

/// What an audit reads.
struct Audited<'a> {
    source: &'a Source,
    metric: &'a Metric,
    question: &'a Question,
    /// Whole buckets.
    times: TimeRange,
    /// The first day that can be audited, if older ones were asked for.
    retired_before: Option<i64>,
    archive: Archive,
    view: BatchView,
    cut: Offsets,
    schemas: Schemas,
    progress: &'a Progress,
}

/// Audits the newest view of a metric, and says how far that has come.
///
/// # Errors
/// [`AuditError`].
pub async fn audit(
    settings: &Settings,
    storage: &Storage,
    catalog: &Catalog,
    metric: &Metric,
    question: &Question,
    progress: &Progress,
) -> Result<Audit, AuditError> {
    let source = &catalog.sources[&metric.source];
    let no_view = || AuditError::NoView { metric: metric.name.clone() };
    // The view first, so that the archive is not older than what it names.
    let view = storage.batch_view(&metric.name).await?.ok_or_else(no_view)?;
    let archive = storage.archive(&source.name).await?;
    let archive = archive.ok_or_else(|| AuditError::NothingArchived { source_name: source.name.clone() })?;
    let (definition, rules, facts) = (catalog.definition(metric), source.rules(), archive.facts());
    let own = complete::own_view(view.note().map(AsRef::as_ref), &definition, &rules, Some(&facts));
    let own = own.ok_or_else(no_view)?;
    if facts.erased_since(own.archive_version).next().is_some() {
        return Err(AuditError::Erased { metric: metric.name.clone() });
    }
    let cut = own.cut.clone();
    let (times, retired_before) =
        recountable(question.times.widened(metric.grain_us), facts.retired_before.max(own.retired_before))?;
    let schemas = Schemas::new(storage, &source.name, &Registry::new(&settings.registry));
    Audited { source, metric, question, times, retired_before, archive, view, cut, schemas, progress }.run().await
}

/// What of some times can be recounted, if days before that one are retired, and that day if this is not all of them.
fn recountable(times: TimeRange, retired_before: Option<i64>) -> Result<(TimeRange, Option<i64>), AuditError> {
    let Some((day, from_us)) = retired_before.map(|day| (day, day.saturating_mul(DAY_US))) else {
        return Ok((times, None));
    };
    if times.from_us >= from_us {
        return Ok((times, None));
    }
    if times.to_us <= from_us {
        return Err(AuditError::Retired { before: format_day(day) });
    }
    Ok((TimeRange { from_us, ..times }, Some(day)))
}

impl Audited<'_> {
    async fn run(&self) -> Result<Audit, AuditError> {
        let found = self.events().await?;
        let firsts = self.first_copies(&found.events).await?;
        let (events, without_bytes) = (found.events.len(), found.without_bytes);
        let expected = fold::buckets(self.metric, found.events, &firsts);
        let held = self.view_rows().await?;
        Ok(Audit {
            version: self.view.version(),
            cut: self.cut.clone(),
            times: self.times,
            buckets: held.keys().chain(expected.keys()).collect::<BTreeSet<_>>().len(),
            events,
            retired_before: self.retired_before,
            without_bytes,
            differences: difference::differences(self.metric, expected, &held),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_that_are_retired_are_not_recounted() {
        let of = |from_us, to_us, before| recountable(TimeRange { from_us, to_us }, before).ok();
        let range = |from_us, to_us| TimeRange { from_us, to_us };
        assert_eq!(of(0, 3 * DAY_US, None), Some((range(0, 3 * DAY_US), None)));
        assert_eq!(of(0, 3 * DAY_US, Some(2)), Some((range(2 * DAY_US, 3 * DAY_US), Some(2))));
        assert_eq!(of(2 * DAY_US, 3 * DAY_US, Some(2)), Some((range(2 * DAY_US, 3 * DAY_US), None)));
        assert_eq!(of(0, 2 * DAY_US, Some(2)), None, "nothing is left");
    }
}
