//! What a cluster is asked.

use polars::prelude::{DataType, PlSmallStr, TimeUnit};
use serde::Serialize;

/// A query of SQL over files of tables.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Query {
    /// What it is for, as an operator reads it.
    pub(crate) name: String,
    /// The query.
    pub(crate) sql: String,
    /// About how many rows of the result a piece has.
    pub(crate) rows_at_once: usize,
    /// What it reads.
    pub(crate) tables: Vec<TableFiles>,
}

/// Files that are one table of a query.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct TableFiles {
    /// What the query calls it.
    pub(crate) name: String,
    columns: Vec<Column>,
    /// The URLs of Parquet files. A column that one of them lacks is null there.
    files: Vec<String>,
}

/// A column of files.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Column {
    name: String,
    #[serde(rename = "type")]
    kind: &'static str,
}

/// What the program gets.
#[derive(Debug, Serialize)]
pub(super) struct Request<'a> {
    /// Where the scheduler listens, `host:port`.
    pub(super) scheduler: &'a str,
    /// By which version of plans the query was written: the program refuses another one, and executors have the functions of theirs alone.
    pub(super) plan_version: u32,
    #[serde(flatten)]
    pub(super) query: &'a Query,
}

impl TableFiles {
    /// Files with those columns, as they are in the files. Columns of other types than a query knows are left out.
    pub(crate) fn new(
        name: &str,
        columns: impl IntoIterator<Item = (PlSmallStr, DataType)>,
        files: Vec<String>,
    ) -> TableFiles {
        let column =
            |(name, dtype): (PlSmallStr, DataType)| Some(Column { name: name.to_string(), kind: kind(&dtype)? });
        TableFiles { name: name.to_owned(), columns: columns.into_iter().filter_map(column).collect(), files }
    }
}

impl Request<'_> {
    pub(super) fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("queries are plain data")
    }
}

/// What the program calls a type.
fn kind(dtype: &DataType) -> Option<&'static str> {
    Some(match dtype {
        DataType::String => "text",
        DataType::Int64 => "int",
        DataType::Int32 => "int32",
        DataType::Float64 => "float",
        DataType::Boolean => "bool",
        DataType::Datetime(TimeUnit::Microseconds, Some(_)) => "instant",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use shared_logic::contracts::archive::record_columns;
    use shared_logic::schema::FieldType;

    use super::*;

    #[test]
    fn a_request_names_files_and_what_their_columns_are() {
        let tables = vec![TableFiles::new("archive", record_columns(), vec!["file:///a%20b.parquet".to_owned()])];
        let query = Query { name: "views 2026-11-27".to_owned(), sql: "SELECT 1".to_owned(), rows_at_once: 7, tables };
        let request = Request { scheduler: "host:1", plan_version: 7, query: &query }.to_json();
        let request: Value = serde_json::from_slice(&request).expect("JSON");
        let column = |name: &str, kind: &str| json!({"name": name, "type": kind});
        let columns = [
            column("_log", "text"),
            column("_partition", "int32"),
            column("_offset", "int"),
            column("_rules", "text"),
            column("_timestamp", "instant"),
            column("_headers", "text"),
            column("_hash", "int32"),
            column("_error", "text"),
        ];
        let expected = json!({
            "scheduler": "host:1", "plan_version": 7, "name": "views 2026-11-27", "sql": "SELECT 1", "rows_at_once": 7,
            "tables": [{"name": "archive", "columns": columns, "files": ["file:///a%20b.parquet"]}],
        });
        assert_eq!(request, expected, "and no bytes");
    }

    #[test]
    fn whatever_type_a_field_has_a_query_knows_its_column() {
        let fields = [FieldType::String, FieldType::Int, FieldType::Float, FieldType::Bool, FieldType::Timestamp];
        let kinds: Vec<_> = fields.iter().map(|field| kind(&field.table_type())).collect();
        assert_eq!(kinds, ["text", "int", "float", "bool", "instant"].map(Some));
    }
}
