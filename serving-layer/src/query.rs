//! The parameters of a request, read strictly: what is not known, is repeated or makes no sense is refused by name,
//! because a parameter that is silently ignored gives a number that was not asked for.
//!
//! - `pairs`: the query string as names and values;
//! - `step`: the width of a series' points.

mod pairs;
mod step;
#[cfg(test)]
mod tests;

use serde_json::{Map, Value};
use shared_logic::catalog::{Catalog, Metric};
use shared_logic::group_key::{GroupKey, KeyValue};
use shared_logic::schema::FieldType;
use shared_logic::time::{TimeRange, parse_instant};

use crate::problem::Problem;
pub(crate) use pairs::Pairs;
pub(crate) use step::{duration_text, step};

/// What `total` and `series` are asked for.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Query {
    /// The group key; a column that was left out is summed over.
    pub(crate) key: GroupKey,
    /// The columns that were given, for the answer.
    pub(crate) columns: Map<String, Value>,
    /// From when on, widened to the grain; `None`: from the first event on.
    pub(crate) from_us: Option<i64>,
    /// Until when, widened to the grain; `None`: to the last event.
    pub(crate) to_us: Option<i64>,
    /// Whether an incomplete answer is no answer.
    pub(crate) require_complete: bool,
}

/// The parameters of `total`, besides the columns.
pub(crate) const TOTAL: [&str; 3] = ["from", "to", "require"];
/// The parameters of `series`, besides the columns.
pub(crate) const SERIES: [&str; 4] = ["from", "to", "step", "require"];

impl Query {
    /// Reads columns, range and `require`; `more` are the names that are not columns.
    ///
    /// # Errors
    /// The first parameter that cannot be used.
    pub(crate) fn read(
        pairs: &Pairs,
        catalog: &Catalog,
        metric: &Metric,
        more: &[&str],
        now_us: i64,
    ) -> Result<Query, Problem> {
        pairs.only(metric.by.iter().map(String::as_str).chain(more.iter().copied()))?;
        let source = &catalog.sources[&metric.source];
        let mut columns = Map::new();
        let mut values = Vec::new();
        for name in &metric.by {
            let kind = source.field(name).map_or(FieldType::String, |field| field.kind);
            let value = pairs.get(name).map(|text| column(name, kind, text)).transpose()?;
            if let Some(value) = &value {
                columns.insert(name.clone(), value.to_json());
            }
            values.push(value);
        }
        let (from, to) = (instant(pairs, "from", now_us)?, instant(pairs, "to", now_us)?);
        if let (Some(from), Some(to)) = (from, to)
            && from >= to
        {
            let detail = "from must be before to: the range holds its start and not its end".to_owned();
            return Err(Problem::parameter("from", detail));
        }
        let all = TimeRange::ALL;
        let range = TimeRange { from_us: from.unwrap_or(all.from_us), to_us: to.unwrap_or(all.to_us) };
        let range = range.widened(metric.grain_us);
        Ok(Query {
            key: GroupKey::new(&values),
            columns,
            from_us: from.map(|_| range.from_us),
            to_us: to.map(|_| range.to_us),
            require_complete: require(pairs)?,
        })
    }

    /// The range in which buckets count.
    pub(crate) fn range(&self) -> TimeRange {
        let all = TimeRange::ALL;
        TimeRange { from_us: self.from_us.unwrap_or(all.from_us), to_us: self.to_us.unwrap_or(all.to_us) }
    }
}

fn column(name: &str, kind: FieldType, text: &str) -> Result<KeyValue, Problem> {
    KeyValue::parse(kind, text).ok_or_else(|| {
        let wanted = match kind {
            FieldType::Bool => "true or false".to_owned(),
            FieldType::Timestamp => format!("an RFC 3339 timestamp such as 2026-04-24T09:30:00Z{}", plus_hint(text)),
            kind => format!("an {}", kind.name()),
        };
        Problem::parameter(name, format!("{name}={text} is not of the column's type {}: write {wanted}", kind.name()))
    })
}

fn instant(pairs: &Pairs, name: &str, now_us: i64) -> Result<Option<i64>, Problem> {
    let Some(text) = pairs.get(name) else { return Ok(None) };
    parse_instant(text, now_us).map(Some).ok_or_else(|| {
        let wanted = "an RFC 3339 timestamp such as 2026-04-24T09:30:00Z, now, or a time before now such as -24h";
        Problem::parameter(name, format!("{name}={text} is no instant: write {wanted}{}", plus_hint(text)))
    })
}

fn require(pairs: &Pairs) -> Result<bool, Problem> {
    match pairs.get("require") {
        None => Ok(false),
        Some("complete") => Ok(true),
        Some(other) => {
            let detail = format!("require={other} is not known: write require=complete, or leave it out");
            Err(Problem::parameter("require", detail))
        }
    }
}

/// A zone such as `+02:00` loses its plus in a query string.
fn plus_hint(text: &str) -> &'static str {
    if text.contains('T') && text.contains(' ') { " (a + in a query string has to be written %2B)" } else { "" }
}
