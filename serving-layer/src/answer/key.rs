//! What both views say of one group key in a period, as values: for a report of a day that is not written yet.

use platform::settings;
use shared_logic::catalog::Metric;
use shared_logic::group_key::GroupKey;
use shared_logic::measure::Value;
use shared_logic::merge;
use shared_logic::time::{TimeRange, format_rfc3339};

use super::selection::range;
use super::{About, gather};
use crate::batch_view::{Cells, Fold};
use crate::gap_text::GapText;
use crate::problem::Problem;
use crate::versions::Version;

/// The merged values of a key.
pub(crate) struct OfKey {
    /// One for each measure; `None`: the key has no events in the period.
    pub(crate) values: Option<Vec<Value>>,
    pub(crate) gaps: Vec<GapText>,
    pub(crate) as_of_us: Option<i64>,
}

/// Merges what both views say of a key in a period of whole buckets.
///
/// # Errors
/// If one of the views cannot be read.
pub(crate) async fn of_key(
    version: &Version,
    metric: &Metric,
    key: &GroupKey,
    times: TimeRange,
    http: &settings::Http,
) -> Result<OfKey, Problem> {
    let bounds = (Some(times.from_us), Some(times.to_us));
    let about = About { key, bounds, step_us: None };
    let mut gathered = gather(version, metric, about, http.request_timeout.get() / 2).await?;
    let held = (gathered.hold(bounds, metric.grain_us), bounds.1);
    let range = range(held);
    let batch = match &gathered.ground.view {
        Some(view) => view.cells(key, range, Fold::Whole).await?,
        None => Cells::new(metric, Fold::Whole),
    };
    let has_events = batch.iter().any(|(bucket, _)| range.contains(bucket))
        || gathered.speed().any(|(bucket, ..)| range.contains(bucket));
    let all = merge::total(version.asked(metric).kinds, batch.iter(), gathered.speed(), range);
    let (from, to) = (held.0.map(format_rfc3339), held.1.map(format_rfc3339));
    let gaps = gathered.gaps().map(|gap| GapText::new(gap, &metric.source, &from, &to)).collect();
    Ok(OfKey { values: has_events.then_some(all.values), gaps, as_of_us: gathered.as_of_us() })
}
