//! `GET /v1/tables/{table}/{key}`: the row of a key, and as of when.

use axum::Json;
use axum::extract::RawQuery;
use serde::Serialize;
use serde_json::{Map, Value, json};
use shared_logic::contracts::table_rows::HeldChange;
use shared_logic::log::{Offsets, PartitionId};
use shared_logic::schema::Field;
use shared_logic::table::RowValue;
use shared_logic::time::format_rfc3339;
use utoipa::ToSchema;

use crate::openapi::{Refusals, Row, WhichVersion};
use crate::problem::Problem;
use crate::routes::parameters::Parameters;
use crate::routes::{NameInPath, OfVersion, RequestedVersion, of_version};

/// The body of the response.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = TableRow)]
pub(crate) struct Body {
    table: String,
    key: String,
    /// The declared fields; null if the key has no row, because it was never changed or is deleted.
    #[schema(required = true, value_type = Option<Row>)]
    row: Option<Map<String, Value>>,
    /// The time of the change that decides, a delete too: the timestamp of its record.
    #[schema(required = true, format = DateTime)]
    changed_at: Option<String>,
    /// Where that change lies; null if the key was never changed.
    #[schema(required = true)]
    at: Option<ChangeAt>,
    /// Per log and partition, the first offset whose change is not regarded.
    offsets: Offsets,
}

/// Where a change lies.
#[derive(Debug, Serialize, ToSchema)]
struct ChangeAt {
    log: String,
    partition: i32,
    offset: i64,
}

/// The row of a key
///
/// The row that the last change of the key has left, as of the moment of the request. There is no answer while the rows of a partition are being
/// filled in: so a row that is null is none.
#[utoipa::path(
    get, path = "/v1/tables/{table}/{key}", operation_id = "readRow", tag = "tables",
    params(
        ("table" = String, Path, description = "A table of the catalog."),
        ("key" = String, Path, description = "The key: a text as it is written, percent-encoded, or an integer in decimal.", min_length = 1),
        WhichVersion,
    ),
    responses((status = 200, description = "The row, or null.", body = OfVersion<Body>), Refusals),
)]
pub(crate) async fn row(
    RequestedVersion(version): RequestedVersion,
    NameInPath((name, key)): NameInPath<(String, String)>,
    RawQuery(query): RawQuery,
) -> Result<Json<OfVersion<Body>>, Problem> {
    Parameters::refuse_all(query.as_deref())?;
    let reader = version.table(&name)?;
    let found = reader.row(&version.snapshots, &key).await?;
    let (change, at) = found.change.unzip();
    let body = Body {
        row: change.as_ref().and_then(|change| row_of(change, &reader.source.fields)),
        changed_at: change.as_ref().map(|change| format_rfc3339(change.timestamp_us)),
        at: change.as_ref().zip(at.as_ref()).map(place),
        offsets: found.cursors.into_iter().collect(),
        table: name,
        key,
    };
    Ok(of_version(&version, body))
}

fn place((change, id): (&HeldChange, &PartitionId)) -> ChangeAt {
    ChangeAt { log: id.log.clone(), partition: id.partition, offset: change.offset }
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
