//! `GET /v1/tables`: every table, and how far its rows are kept.

use axum::Json;
use axum::extract::RawQuery;
use serde_json::{Value, json};

use crate::problem::Problem;
use crate::routes::parameters::Parameters;
use crate::routes::{OfVersion, RequestedVersion, of_version};
use crate::table_read::{Kept, TableReader};
use crate::versions::Version;

/// All tables, in the order of their names.
pub(crate) async fn all(
    RequestedVersion(version): RequestedVersion,
    RawQuery(query): RawQuery,
) -> Result<Json<OfVersion<Value>>, Problem> {
    Parameters::refuse_all(query.as_deref())?;
    let described = version.rows.values().map(|table| described(&version, table));
    Ok(of_version(&version, json!({"tables": futures::future::join_all(described).await})))
}

async fn described(version: &Version, reader: &TableReader) -> Value {
    let TableReader { table, source, definition, .. } = reader;
    let fields = source
        .fields
        .iter()
        .map(|field| json!({"name": field.name, "type": field.kind.name(), "optional": field.optional}));
    let fields: Vec<Value> = fields.collect();
    let (partitions, why) = match reader.kept(&version.snapshots).await {
        Ok(kept) => (Some(kept.iter().map(of_partition).collect::<Vec<Value>>()), None),
        Err(problem) => (None, Some(problem.detail)),
    };
    json!({
        "name": table.name,
        "topic": table.topic,
        "key": table.key,
        "format": table.format.name(),
        "fields": fields,
        "definition": definition.as_str(),
        "partitions": partitions,
        "why": why,
    })
}

fn of_partition(kept: &Kept) -> Value {
    json!({"log": kept.id.log, "partition": kept.id.partition, "cursor": kept.cursor})
}
