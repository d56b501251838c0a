//! `GET /v1/tables/{table}/{key}`: the row of a key, and as of when.

use axum::Json;
use axum::extract::{Path, RawQuery};
use serde_json::{Map, Value, json};
use shared_logic::contracts::table_rows::HeldChange;
use shared_logic::log::{Offsets, PartitionId};
use shared_logic::schema::Field;
use shared_logic::table::RowValue;
use shared_logic::time::format_rfc3339;

use crate::problem::Problem;
use crate::routes::parameters::Parameters;
use crate::routes::{OfVersion, RequestedVersion, of_version};

/// The row of a key; null if there is none.
pub(crate) async fn row(
    RequestedVersion(version): RequestedVersion,
    Path((name, key)): Path<(String, String)>,
    RawQuery(query): RawQuery,
) -> Result<Json<OfVersion<Value>>, Problem> {
    Parameters::refuse_all(query.as_deref())?;
    let reader = version.table(&name)?;
    let found = reader.row(&version.snapshots, &key).await?;
    let (change, at) = found.change.unzip();
    let body = json!({
        "table": name,
        "key": key,
        "row": change.as_ref().and_then(|change| row_of(change, &reader.source.fields)),
        "changed_at": change.as_ref().map(|change| format_rfc3339(change.timestamp_us)),
        "at": change.as_ref().zip(at.as_ref()).map(place),
        "offsets": found.cursors.into_iter().collect::<Offsets>(),
    });
    Ok(of_version(&version, body))
}

fn place((change, id): (&HeldChange, &PartitionId)) -> Value {
    json!({"log": id.log, "partition": id.partition, "offset": change.offset})
}

/// The declared fields of a row; `None` where the change deleted it.
fn row_of(change: &HeldChange, fields: &[Field]) -> Option<Map<String, Value>> {
    let values = change.row.as_ref()?.iter().map(|value| match value {
        None => Value::Null,
        Some(RowValue::Text(text)) => json!(text),
        Some(RowValue::Int(x)) => json!(x),
        Some(RowValue::Float(x)) => json!(x),
        Some(RowValue::Bool(x)) => json!(x),
        Some(RowValue::Instant(us)) => json!(format_rfc3339(*us)),
    });
    Some(fields.iter().map(|field| field.name.clone()).zip(values).collect())
}

#[cfg(test)]
mod tests {
    use shared_logic::schema::FieldType;

    use super::*;

    #[test]
    fn a_row_has_its_declared_fields_and_a_deleted_one_none() {
        let fields = ["name", "since", "changed_at"].map(|name| Field::new(name, FieldType::String, true));
        let row = vec![Some(RowValue::Text("Ada".into())), Some(RowValue::Instant(1_000_000))];
        let change = HeldChange { offset: 7, timestamp_us: 5, row: Some(row) };
        let expected = json!({"name": "Ada", "since": "1970-01-01T00:00:01Z"});
        assert_eq!(row_of(&change, &fields).map(Value::Object), Some(expected));
        assert_eq!(row_of(&HeldChange { row: None, ..change }, &fields), None);
    }
}
