//! Rows of a batch view → one row for each key, as a query.

use super::InSql;
use super::cell::Cell;
use crate::expression::in_sql::int;
use crate::expression::quoted;
use crate::schema::FieldType;
use crate::time::TimeRange;

impl InSql<'_> {
    /// The query of a view's rows whose buckets begin in that range; `bucket` is the column of these. Its result is sorted by the
    /// `by` columns.
    pub fn of_rows(&self, table: &str, bucket: &str, range: TimeRange) -> String {
        let cells = self.cells(Cell::of_rows);
        let merged = cells.iter().map(|cell| cell.selected(&quoted(cell.name)));
        let keys: Vec<String> = self.keys().map(|(name, _)| quoted(&name)).collect();
        let selected: Vec<String> = keys.iter().cloned().chain(merged).collect();
        let read = self.keys().map(|(name, kind)| match (quoted(&name), kind) {
            (name, FieldType::Timestamp) => format!("CAST({name} AS BIGINT) AS {name}"),
            (name, _) => name,
        });
        let read: Vec<String> = read.chain(cells.iter().map(|cell| quoted(cell.name))).collect();
        let start = format!("CAST({} AS BIGINT)", quoted(bucket));
        let (from, to) = (int(range.from_us), int(range.to_us));
        let rows =
            format!("SELECT {} FROM {} WHERE {start} >= {from} AND {start} < {to}", read.join(", "), quoted(table),);
        let grouped = if keys.is_empty() {
            // Without keys there would be a row of no rows, too.
            "HAVING count(*) > 0".to_owned()
        } else {
            format!("GROUP BY {} ORDER BY {}", keys.join(", "), self.sorted_by(None))
        };
        format!("SELECT {} FROM ({rows}) AS kept {grouped}", selected.join(", "))
    }
}
