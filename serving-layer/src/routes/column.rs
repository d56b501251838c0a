//! What a request says of one group-key column: `country=DE` for the events with that value, `country.missing=true` for those
//! without any, or nothing, which sums over the column.

use std::borrow::Cow;
use std::iter;

use shared_logic::group_key::{KeyPart, KeyValue};
use shared_logic::schema::{Field, FieldType};

use crate::problem::Problem;
use crate::routes::parameters::{Parameters, plus_hint};

/// How the name of the parameter ends that asks for the events without a value.
const MISSING: &str = ".missing";

/// The parameters of a column. Names of fields hold no dot, so no other column has one of these names.
pub(crate) fn names(field: &Field) -> impl Iterator<Item = Cow<'_, str>> + Clone {
    let of_optional = iter::once(field).filter(|field| field.optional);
    iter::once(Cow::Borrowed(field.name.as_str())).chain(of_optional.map(|field| Cow::Owned(missing(field))))
}

/// Reads the parameters of a column.
///
/// # Errors
/// If the value is not of the column's type, or the parameters contradict each other or the column.
pub(crate) fn part(parameters: &Parameters, field: &Field) -> Result<KeyPart, Problem> {
    let name = &field.name;
    match (parameters.get(name), parameters.get_ending(name, MISSING)) {
        (None, None) => Ok(KeyPart::All),
        (Some(text), None) => value(name, field.kind, text).map(KeyPart::Value),
        (value, Some(says)) => absent(field, value.is_some(), says),
    }
}

/// The same where a request may give several values: it asks for the events of each.
///
/// # Errors
/// As [`part`].
pub(crate) fn parts(parameters: &Parameters, field: &Field) -> Result<Vec<KeyPart>, Problem> {
    if parameters.all(&field.name).nth(1).is_none() || parameters.get_ending(&field.name, MISSING).is_some() {
        return part(parameters, field).map(|part| vec![part]);
    }
    let values = parameters.all(&field.name).map(|text| value(&field.name, field.kind, text).map(KeyPart::Value));
    let parts: Vec<KeyPart> = values.collect::<Result<_, _>>()?;
    match parts.iter().enumerate().find(|(at, part)| parts[..*at].contains(part)) {
        None => Ok(parts),
        // Written otherwise, such as 1 and 01.
        Some((at, _)) => {
            let text = parameters.all(&field.name).nth(at).unwrap_or_default();
            let detail = format!("{}={text} is a value that is given already: give each value once", field.name);
            Err(Problem::parameter(&field.name, detail))
        }
    }
}

/// What a request says of a column by the parameter that asks for events without a value, beside a value or not.
fn absent(field: &Field, has_value: bool, says: &str) -> Result<KeyPart, Problem> {
    let (name, missing) = (&field.name, missing(field));
    let detail = match says {
        _ if !field.optional => {
            format!("{missing} is not known: {name} is required, so every event has one; leave it out")
        }
        _ if has_value => format!("{name} and {missing} exclude each other: give one of them"),
        "true" => return Ok(KeyPart::Missing),
        other => format!(
            "{missing}={other} is not known: write {missing}=true for the events without {name}, or leave it out to sum \
             over {name}"
        ),
    };
    Err(Problem::parameter(&missing, detail))
}

/// The parameter that asks for the events without a value.
fn missing(field: &Field) -> String {
    format!("{}{MISSING}", field.name)
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
