//! `GET /v1/tables`: every table, and how far its rows are kept.

use axum::Json;
use axum::extract::RawQuery;
use serde::Serialize;
use utoipa::ToSchema;

use crate::openapi::{Refusals, WhichVersion};
use crate::problem::Problem;
use crate::routes::declared::DeclaredField;
use crate::routes::parameters::Parameters;
use crate::routes::{OfVersion, RequestedVersion, of_version};
use crate::table_read::{Kept, TableReader};
use crate::versions::Version;

/// The body of the response.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Tables)]
pub(crate) struct Body {
    tables: Vec<Described>,
}

/// What a table is made of, and how far its rows are kept.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Table)]
struct Described {
    name: String,
    /// The topic of its changes.
    topic: String,
    /// The field that is the key.
    key: String,
    /// `json` or `debezium`.
    format: &'static str,
    fields: Vec<DeclaredField>,
    /// Names what decides what a change is, and what a row.
    definition: String,
    #[schema(required = true)]
    partitions: Option<Vec<PartitionKept>>,
    /// Why the partitions cannot be told.
    #[schema(required = true)]
    why: Option<String>,
}

/// How far the rows of a partition are kept.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = TablePartition)]
struct PartitionKept {
    log: String,
    partition: i32,
    /// The first offset whose change is not among the rows; null while these are being filled in.
    #[schema(required = true)]
    cursor: Option<i64>,
}

/// All tables, and how far their rows are kept
///
/// What each table is made of, and per partition of its topic the first offset whose change is not among its rows; null where these are being
/// filled in. What cannot be read is null, with the reason in `why`.
#[utoipa::path(
    get, path = "/v1/tables", operation_id = "listTables", tag = "tables",
    params(WhichVersion),
    responses((status = 200, description = "All tables, in the order of their names.", body = OfVersion<Body>), Refusals),
)]
pub(crate) async fn all(
    RequestedVersion(version): RequestedVersion,
    RawQuery(query): RawQuery,
) -> Result<Json<OfVersion<Body>>, Problem> {
    Parameters::refuse_all(query.as_deref())?;
    let described = version.rows.values().map(|table| described(&version, table));
    let tables = futures::future::join_all(described).await;
    Ok(of_version(&version, Body { tables }))
}

async fn described(version: &Version, reader: &TableReader) -> Described {
    let TableReader { table, source, definition, .. } = reader;
    let (partitions, why) = match reader.kept(&version.snapshots).await {
        Ok(kept) => (Some(kept.into_iter().map(PartitionKept::new).collect()), None),
        Err(problem) => (None, Some(problem.detail)),
    };
    Described {
        name: table.name.clone(),
        topic: table.topic.clone(),
        key: table.key.clone(),
        format: table.format.name(),
        fields: source.fields.iter().map(DeclaredField::new).collect(),
        definition: definition.as_str().to_owned(),
        partitions,
        why,
    }
}

impl PartitionKept {
    fn new(Kept { id, cursor }: Kept) -> PartitionKept {
        PartitionKept { log: id.log, partition: id.partition, cursor }
    }
}
