//! The values of one column, page by page.

use std::time::Duration;

use serde::Serialize;
use serde_json::Value as Json;
use shared_logic::catalog::Metric;
use shared_logic::group_key::GroupKey;
use shared_logic::time::format_rfc3339;
use utoipa::ToSchema;

use super::all_keys::{AskedKeys, GatheredKeys, MergedKeys, gather_keys};
use super::csv::Csv;
use super::duration_text;
use super::listing::Listing;
use super::selection::Given;
use crate::batch_view::SegmentError;
use crate::gap_text::GapText;
use crate::problem::Problem;
use crate::versions::Version;
use crate::written::{Form, Written};

/// What a request asks of a column.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Listed {
    pub(crate) asked: AskedKeys,
    /// The number of the column among those of the metric, and its name.
    pub(crate) column: usize,
    pub(crate) by: String,
    pub(crate) prefix: Option<String>,
    /// How many keys at most.
    pub(crate) limit: usize,
}

/// The body of the answer.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Keys)]
pub(crate) struct Body<'a> {
    version: &'a str,
    metric: &'a str,
    /// The column whose values these are.
    by: &'a str,
    #[schema(required = true)]
    prefix: Option<&'a str>,
    limit: usize,
    /// The columns that the request gave.
    #[schema(value_type = crate::openapi::Key)]
    key: Given<'a>,
    #[schema(required = true, format = DateTime)]
    from: Option<String>,
    #[schema(required = true, format = DateTime)]
    to: Option<String>,
    grain: String,
    complete: bool,
    gaps: Vec<GapText>,
    authoritative: bool,
    #[schema(required = true, format = DateTime)]
    as_of: Option<String>,
    /// Null stands for the events without a value, and comes last.
    #[schema(value_type = Vec<Value>)]
    keys: Vec<Json>,
    /// Whether there are keys behind these.
    more: bool,
}

/// Answers `keys`.
///
/// # Errors
/// If one of the views cannot be read, or there are too many keys in the speed view.
pub(super) async fn keys(
    version: &Version,
    metric: &Metric,
    listed: &Listed,
    form: Form,
    first_within: Duration,
) -> Result<Written, Problem> {
    let mut gathered = gather_keys(version, metric, &listed.asked, first_within).await?;
    let limit = listed.limit;
    let page = gathered.work(move |keys| page(keys, limit)).await?;
    Ok(written(version, metric, listed, form, &gathered, &page))
}

/// The texts of the first keys, and whether there are others.
fn page(mut keys: MergedKeys, limit: usize) -> Result<(Vec<String>, bool), SegmentError> {
    let mut texts = Vec::new();
    while let Some(merged) = keys.next()? {
        if texts.len() == limit {
            return Ok((texts, true));
        }
        texts.push(merged.key);
    }
    Ok((texts, false))
}

fn written(
    version: &Version,
    metric: &Metric,
    listed: &Listed,
    form: Form,
    gathered: &GatheredKeys,
    (texts, more): &(Vec<String>, bool),
) -> Written {
    let value = |text: &String| GroupKey::values_of(text, metric.by.len()).swap_remove(listed.column);
    let keys: Vec<Json> = texts.iter().map(|text| value(text).unwrap_or_default()).collect();
    let (listing, given) = (Listing::of(gathered, metric), listed.asked.given());
    let Listing { from, to, is_batch_alone, .. } = &listing;
    let undated = (version.version_name(), &listed.by, is_batch_alone, from, to, &keys, more);
    let undated = serde_json::to_vec(&undated).expect("an answer is plain data");
    let body = Body {
        version: version.version_name(),
        metric: &metric.name,
        by: &listed.by,
        prefix: listed.prefix.as_deref(),
        limit: listed.limit,
        key: given.given(metric),
        from: from.clone(),
        to: to.clone(),
        grain: duration_text(metric.grain_us),
        complete: listing.gaps.is_empty(),
        authoritative: listing.gaps.is_empty() && *is_batch_alone,
        gaps: listing.gaps.clone(),
        as_of: listing.as_of_us.map(format_rfc3339),
        keys,
        more: *more,
    };
    listing.written(form, &body, &undated, csv).with_more(*more)
}

/// One row for each value: the columns that the request gives, and it.
fn csv(body: &Body<'_>) -> Csv {
    let given: Vec<(&str, Json)> = body.key.columns().collect();
    let mut csv = Csv::new(given.iter().map(|(name, _)| *name).chain([body.by]));
    for key in &body.keys {
        csv.row(given.iter().map(|(_, value)| value.clone()).chain([key.clone()]));
    }
    csv
}
