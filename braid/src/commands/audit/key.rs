//! What arguments such as `video_id=video-42` say of a group key.

use anyhow::{Context, Result, bail, ensure};
use shared_logic::catalog::{Metric, Source};
use shared_logic::group_key::{KeyPart, KeyValue};
use shared_logic::schema::{Field, FieldType};

/// What ends the name of an argument that asks for events without a value in a column.
const MISSING: &str = ".missing";

/// What the arguments say of each of the metric's `by` columns, in their order.
///
/// # Errors
/// If an argument names no column of the key, or names one twice, or its value is not of the column's type.
pub(super) fn parts(source: &Source, metric: &Metric, arguments: &[(String, String)]) -> Result<Vec<KeyPart>> {
    let mut parts = vec![KeyPart::All; metric.by.len()];
    for (name, text) in arguments {
        let column = name.strip_suffix(MISSING).unwrap_or(name);
        let at = metric.by.iter().position(|by| by == column);
        let at =
            at.with_context(|| format!("{name} is no column of the group key of {}: {}", metric.name, listed(metric)))?;
        let field = source.field(column).with_context(|| format!("{column} is no field of {}", source.name))?;
        ensure!(parts[at] == KeyPart::All, "{column} is given twice");
        parts[at] = if column == name { value(field, text)? } else { missing(field, text)? };
    }
    Ok(parts)
}

fn listed(metric: &Metric) -> String {
    if metric.by.is_empty() { "it has none".to_owned() } else { format!("it has {}", metric.by.join(", ")) }
}

fn value(field: &Field, text: &str) -> Result<KeyPart> {
    let wanted = match field.kind {
        FieldType::Bool => "true or false",
        FieldType::Timestamp => "an RFC 3339 timestamp such as 2026-04-24T09:30:00Z",
        _ => "an integer",
    };
    let value = KeyValue::parse(field.kind, text);
    value
        .map(KeyPart::Value)
        .with_context(|| format!("{}={text} is not of the column's type: write {wanted}", field.name))
}

fn missing(field: &Field, text: &str) -> Result<KeyPart> {
    let name = &field.name;
    ensure!(field.optional, "{name}{MISSING} is not known: {name} is required, so every event has one; leave it out");
    match text {
        "true" => Ok(KeyPart::Missing),
        other => bail!(
            "{name}{MISSING}={other} is not known: write {name}{MISSING}=true, or leave it out to sum over {name}"
        ),
    }
}

#[cfg(test)]
mod tests {
    use shared_logic::catalog::Catalog;

    use super::*;

    const CATALOG: &str = r#"
[sources.s]
event_time = "at"
[sources.s.fields]
at = "timestamp"
video = "string"
status = "int?"
[metrics.m]
source = "s"
by = ["video", "status"]
grain = "1m"
[metrics.m.measures]
events = "count()"
"#;

    fn parsed(arguments: &[(&str, &str)]) -> Result<Vec<KeyPart>> {
        let catalog = Catalog::parse(CATALOG).expect("a valid catalog");
        let arguments: Vec<(String, String)> =
            arguments.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
        parts(&catalog.sources["s"], &catalog.metrics["m"], &arguments)
    }

    #[test]
    fn columns_that_are_not_named_are_summed_over() {
        assert_eq!(parsed(&[]).expect("valid"), [KeyPart::All, KeyPart::All]);
        let named = [KeyPart::Value(KeyValue::Text("7".to_owned())), KeyPart::Value(KeyValue::Int(7))];
        assert_eq!(parsed(&[("status", "7"), ("video", "7")]).expect("valid"), named);
        assert_eq!(parsed(&[("status.missing", "true")]).expect("valid"), [KeyPart::All, KeyPart::Missing]);
    }

    #[test]
    fn what_makes_no_sense_is_refused_by_name() {
        for (arguments, why) in [
            (&[("country", "DE")][..], "country is no column of the group key of m: it has video, status"),
            (&[("status", "ok")][..], "status=ok is not of the column's type: write an integer"),
            (&[("status", "1"), ("status.missing", "true")][..], "status is given twice"),
            (&[("status.missing", "yes")][..], "status.missing=yes is not known"),
            (&[("video.missing", "true")][..], "video.missing is not known: video is required"),
        ] {
            let error = parsed(arguments).expect_err(why).to_string();
            assert!(error.starts_with(why), "{error}");
        }
    }
}
