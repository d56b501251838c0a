//! The parameters of `total` and `series`, read strictly: a parameter that is not known, is repeated or makes no sense is refused
//! by name. If it were ignored, the answer would be a number that the client did not ask for.
//!
//! - `step`: the width of a series' points.

mod step;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use shared_logic::catalog::{Catalog, Metric};
use shared_logic::group_key::GroupKey;
use shared_logic::schema::Field;
use shared_logic::time::TimeRange;

use crate::answer::Selection;
use crate::problem::Problem;
use crate::routes::column;
use crate::routes::parameters::Parameters;
use step::step;

/// What a request asks of a metric.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Query {
    pub(super) selection: Selection,
    /// Whether an incomplete answer is refused.
    pub(super) require_complete: bool,
}

/// The parameters of `total`, besides the columns.
const TOTAL: [&str; 3] = ["from", "to", "require"];
/// The parameters of `series`, besides the columns.
const SERIES: [&str; 4] = ["from", "to", "step", "require"];

impl Query {
    /// Reads the parameters of `total`.
    ///
    /// # Errors
    /// If a parameter cannot be used; the problem names the first.
    pub(super) fn total(
        query: Option<&str>,
        catalog: &Catalog,
        metric: &Metric,
        now_us: i64,
    ) -> Result<Query, Problem> {
        Query::read(&Parameters::read(query)?, catalog, metric, &TOTAL, now_us)
    }

    /// Reads the parameters of `series`; the second value is the step in microseconds.
    ///
    /// # Errors
    /// As [`Query::total`].
    pub(super) fn series(
        query: Option<&str>,
        catalog: &Catalog,
        metric: &Metric,
        now_us: i64,
    ) -> Result<(Query, i64), Problem> {
        let parameters = Parameters::read(query)?;
        Ok((Query::read(&parameters, catalog, metric, &SERIES, now_us)?, step(&parameters, metric)?))
    }

    /// `others` are the parameters that are not columns.
    fn read(
        parameters: &Parameters,
        catalog: &Catalog,
        metric: &Metric,
        others: &[&str],
        now_us: i64,
    ) -> Result<Query, Problem> {
        let source = &catalog.sources[&metric.source];
        let fields: Vec<&Field> = metric.by.iter().filter_map(|name| source.field(name)).collect();
        let parts = fields.iter().map(|field| column::part(parameters, field)).collect::<Result<Vec<_>, _>>()?;
        let columns = fields.iter().flat_map(|field| column::names(field));
        parameters.only(columns.chain(others.iter().map(|other| Cow::Borrowed(*other))))?;
        let (from_us, to_us) = range(parameters, metric.grain_us, now_us)?;
        let selection = Selection { key: GroupKey::new(&parts), parts, from_us, to_us };
        Ok(Query { selection, require_complete: require(parameters)? })
    }
}

/// Reads `from` and `to`, widened to whole buckets.
fn range(parameters: &Parameters, grain_us: i64, now_us: i64) -> Result<(Option<i64>, Option<i64>), Problem> {
    let (from, to) = parameters.range(now_us)?;
    let all = TimeRange::ALL;
    let range = TimeRange { from_us: from.unwrap_or(all.from_us), to_us: to.unwrap_or(all.to_us) };
    let range = range.widened(grain_us);
    Ok((from.map(|_| range.from_us), to.map(|_| range.to_us)))
}

fn require(pairs: &Parameters) -> Result<bool, Problem> {
    match pairs.get("require") {
        None => Ok(false),
        Some("complete") => Ok(true),
        Some(other) => {
            let detail = format!("require={other} is not known: write require=complete, or leave it out");
            Err(Problem::parameter("require", detail))
        }
    }
}
