//! What a request says of one group-key column: `country=DE` for the events with that value, `country.missing=true` for those
//! without any, or nothing, which sums over the column.

use shared_logic::group_key::{KeyPart, KeyValue};
use shared_logic::schema::{Field, FieldType};

use crate::problem::Problem;
use crate::routes::parameters::{Parameters, plus_hint};

/// The parameters of a column. Names of fields hold no dot, so no other column has one of these names.
pub(crate) fn names(field: &Field) -> impl Iterator<Item = String> {
    [field.name.clone()].into_iter().chain(field.optional.then(|| missing(field)))
}

/// Reads the parameters of a column.
///
/// # Errors
/// If the value is not of the column's type, or the parameters contradict each other or the column.
pub(crate) fn part(parameters: &Parameters, field: &Field) -> Result<KeyPart, Problem> {
    let (name, missing) = (&field.name, missing(field));
    let refused = |detail: String| Err(Problem::parameter(&missing, detail));
    match (parameters.get(name), parameters.get(&missing)) {
        (None, None) => Ok(KeyPart::All),
        (Some(text), None) => value(name, field.kind, text).map(KeyPart::Value),
        (_, Some(_)) if !field.optional => {
            refused(format!("{missing} is not known: {name} is required, so every event has one; leave it out"))
        }
        (Some(_), Some(_)) => refused(format!("{name} and {missing} exclude each other: give one of them")),
        (None, Some("true")) => Ok(KeyPart::Missing),
        (None, Some(other)) => refused(format!(
            "{missing}={other} is not known: write {missing}=true for the events without {name}, or leave it out to sum \
             over {name}"
        )),
    }
}

/// The parameter that asks for the events without a value.
fn missing(field: &Field) -> String {
    format!("{}.missing", field.name)
}

fn value(name: &str, kind: FieldType, text: &str) -> Result<KeyValue, Problem> {
    KeyValue::parse(kind, text).ok_or_else(|| {
        let wanted = match kind {
            FieldType::Bool => "true or false".to_owned(),
            FieldType::Timestamp => format!("an RFC 3339 timestamp such as 2026-04-24T09:30:00Z{}", plus_hint(text)),
            kind => format!("an {}", kind.name()),
        };
        Problem::parameter(name, format!("{name}={text} is not of the column's type {}: write {wanted}", kind.name()))
    })
}
