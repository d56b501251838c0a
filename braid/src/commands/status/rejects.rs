//! Rejected records by reason, with the place of the last one.

use shared_logic::contracts::archive::Place;

use crate::number::integer;
use crate::table::{Cell, Column, Table};
use crate::terminal::Screen;

/// A table with a row for each reason, and nothing if there are none.
pub(super) fn table<'a>(rejects: impl Iterator<Item = (&'a str, u64, &'a Place)>, screen: Screen) -> String {
    let mut table = Table::new(vec![
        Column::left("rejected"),
        Column::right("count"),
        Column::left("last error"),
        Column::right("partition"),
        Column::right("offset"),
        Column::left("log"),
    ]);
    for (reason, count, last) in rejects {
        table.push(vec![
            Cell::new(reason),
            Cell::new(&integer(count)),
            Cell::new(&last.error),
            Cell::new(&last.partition.to_string()),
            Cell::new(&integer(last.offset)),
            Cell::new(&last.log),
        ]);
    }
    if table.is_empty() { String::new() } else { table.text(screen) }
}
