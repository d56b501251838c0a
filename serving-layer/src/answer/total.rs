//! One merged value per measure over a range.

use std::sync::Arc;

use platform::settings;
use shared_logic::catalog::Metric;

use super::selection::range;
use super::written::{AnswerOfKey, Head};
use super::{About, Selection, finalized, gather, next_bucket};
use crate::batch_view::Fold;
use crate::problem::Problem;
use crate::versions::Version;
use crate::written::{Form, Shape, Written};

/// Answers `total`.
///
/// # Errors
/// If one of the views cannot be read.
pub(crate) async fn total(
    version: &Version,
    metric: &Metric,
    selection: &Selection,
    form: Form,
    http: &settings::Http,
) -> Result<Arc<Written>, Problem> {
    let (keys, bounds) = (&selection.keys, (selection.from_us, selection.to_us));
    let about = About { keys, bounds, shape: Shape { stepping: None, form } };
    let mut gathered = gather(version, metric, about, http.request_timeout.get() / 2).await?;
    if let Some(written) = gathered.written() {
        return Ok(written);
    }
    let held = (gathered.hold(bounds, |instant_us| next_bucket(instant_us, metric)), selection.to_us);
    let range = range(held);
    let batch = gathered.batch(metric, keys, range, Fold::Whole, usize::MAX).await?;
    let totals = gathered.totals(version.asked(metric).kinds, &batch, range);
    let of_keys = keys.iter().zip(&totals);
    let of_keys = of_keys.map(|(asked, all)| AnswerOfKey::new(metric, asked, all).with(finalized(metric, &all.values)));
    let head = Head { version, metric, covered: held, stepping: None, gathered: &gathered };
    let written = head.written(form, of_keys.collect());
    Ok(gathered.write(written))
}
