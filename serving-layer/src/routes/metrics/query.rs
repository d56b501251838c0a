//! The parameters of answers about metrics, read strictly: a parameter that is not known, is repeated or makes no sense is refused
//! by name. If it were ignored, the answer would be a number that the client did not ask for.
//!
//! Columns may be repeated with other values: then every combination of values is a key that is asked for.
//!
//! - `step`: how a series is divided.

mod step;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use platform::settings;
use shared_logic::catalog::{Catalog, Metric};
use shared_logic::group_key::KeyPart;
use shared_logic::schema::Field;
use shared_logic::time::TimeRange;

use crate::answer::{AskedKey, Selection};
use crate::asked::Stepping;
use crate::problem::Problem;
use crate::routes::column;
use crate::routes::parameters::Parameters;
use step::stepping;

/// What a request asks of a metric.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Query {
    pub(crate) selection: Selection,
    /// Whether an incomplete answer is refused.
    pub(crate) require_complete: bool,
}

/// What parameters are read with.
#[derive(Clone, Copy)]
pub(crate) struct Reader<'a> {
    pub(crate) catalog: &'a Catalog,
    pub(crate) metric: &'a Metric,
    pub(crate) http: &'a settings::Http,
    pub(crate) now_us: i64,
}

/// The parameters of `total`, besides the columns.
const TOTAL: [&str; 3] = ["from", "to", "require"];
/// The parameters of `series`, besides the columns.
const SERIES: [&str; 6] = ["from", "to", "step", "tz", "window", "require"];

impl Reader<'_> {
    /// Reads the parameters of `total`.
    ///
    /// # Errors
    /// If a parameter cannot be used; the problem names the first.
    pub(crate) fn total(&self, parameters: &Parameters) -> Result<Query, Problem> {
        self.read(parameters, &TOTAL)
    }

    /// Reads the parameters of `series`.
    ///
    /// # Errors
    /// As [`Reader::total`].
    pub(crate) fn series(&self, parameters: &Parameters) -> Result<(Query, Stepping), Problem> {
        Ok((self.read(parameters, &SERIES)?, stepping(parameters, self.metric)?))
    }

    /// `others` are the parameters that are not columns.
    fn read(&self, parameters: &Parameters, others: &[&str]) -> Result<Query, Problem> {
        let source = &self.catalog.sources[&self.metric.source];
        let fields: Vec<&Field> = self.metric.by.iter().filter_map(|name| source.field(name)).collect();
        parameters.repeat_only(|name| fields.iter().any(|field| field.name == name))?;
        let parts = fields.iter().map(|field| column::parts(parameters, field)).collect::<Result<Vec<_>, _>>()?;
        let columns = fields.iter().flat_map(|field| column::names(field));
        parameters.only(columns.chain(others.iter().map(|other| Cow::Borrowed(*other))))?;
        let keys = self.combined(&fields, parts)?;
        let (from_us, to_us) = range(parameters, self.metric.grain_us, self.now_us)?;
        Ok(Query { selection: Selection { keys, from_us, to_us }, require_complete: require(parameters)? })
    }

    /// Every combination of what a request says of the columns; those of the last column beside each other.
    fn combined(&self, fields: &[&Field], parts: Vec<Vec<KeyPart>>) -> Result<Vec<AskedKey>, Problem> {
        let most = self.http.max_keys;
        let count = parts.iter().try_fold(1_usize, |count, parts| count.checked_mul(parts.len()));
        if count.is_none_or(|count| count > most) {
            let repeated = fields.iter().zip(&parts).max_by_key(|(_, parts)| parts.len());
            let name = repeated.map_or("", |(field, _)| field.name.as_str());
            let count = count.map_or_else(|| "too many".to_owned(), |count| count.to_string());
            let detail =
                format!("these columns name {count} keys, but one request asks for at most {most} (http.max_keys)");
            return Err(Problem::parameter(name, detail));
        }
        // Most requests ask for one key, for which no column is copied.
        if count == Some(1) {
            return Ok(vec![AskedKey::new(parts.into_iter().flatten().collect())]);
        }
        let combined = parts.iter().fold(vec![Vec::new()], |keys: Vec<Vec<KeyPart>>, parts| {
            let with = |key: &Vec<KeyPart>, part: &KeyPart| [key.as_slice(), std::slice::from_ref(part)].concat();
            keys.iter().flat_map(|key| parts.iter().map(move |part| with(key, part))).collect()
        });
        Ok(combined.into_iter().map(AskedKey::new).collect())
    }
}

/// Reads `from` and `to`, widened to whole buckets.
pub(super) fn range(
    parameters: &Parameters,
    grain_us: i64,
    now_us: i64,
) -> Result<(Option<i64>, Option<i64>), Problem> {
    let (from, to) = parameters.range(now_us)?;
    let all = TimeRange::ALL;
    let range = TimeRange { from_us: from.unwrap_or(all.from_us), to_us: to.unwrap_or(all.to_us) };
    let range = range.widened(grain_us);
    Ok((from.map(|_| range.from_us), to.map(|_| range.to_us)))
}

pub(super) fn require(pairs: &Parameters) -> Result<bool, Problem> {
    match pairs.get("require") {
        None => Ok(false),
        Some("complete") => Ok(true),
        Some(other) => {
            let detail = format!("require={other} is not known: write require=complete, or leave it out");
            Err(Problem::parameter("require", detail))
        }
    }
}
