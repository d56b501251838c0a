//! What both views say of one group key in a period, as values: for a report of a day that is not written yet.

use platform::settings;
use shared_logic::catalog::Metric;
use shared_logic::group_key::GroupKey;
use shared_logic::measure::Value;
use shared_logic::time::{TimeRange, format_rfc3339};

use super::selection::{AskedKey, range};
use super::{About, gather, next_bucket};
use crate::batch_view::{Cells, Fold};
use crate::gap_text::GapText;
use crate::problem::Problem;
use crate::versions::Version;
use crate::written::Shape;

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
    let keys = &[AskedKey { key: key.clone(), parts: Vec::new() }];
    let about = About { keys, bounds, shape: Shape::default() };
    let mut gathered = gather(version, metric, about, http.request_timeout.get() / 2).await?;
    let held = (gathered.hold(bounds, |instant_us| next_bucket(instant_us, metric)), bounds.1);
    let range = range(held);
    let batch = gathered.batch(metric, keys, range, Fold::Whole, usize::MAX).await?;
    let has_events = batch.iter().flat_map(Cells::iter).any(|(bucket, _)| range.contains(bucket))
        || gathered.speed(0).any(|(bucket, ..)| range.contains(bucket));
    let all = gathered.totals(version.asked(metric).kinds, &batch, range).remove(0);
    let (from, to) = (held.0.map(format_rfc3339), held.1.map(format_rfc3339));
    let gaps = gathered.gaps().map(|gap| GapText::new(gap, &metric.source, &from, &to)).collect();
    Ok(OfKey { values: has_events.then_some(all.values), gaps, as_of_us: gathered.as_of_us() })
}
