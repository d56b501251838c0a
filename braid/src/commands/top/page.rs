//! The largest keys as a person reads them.

use std::fmt::Write;

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::commands::query::shown;
use crate::number::{duration, integer};
use crate::serving::Gap;
use crate::table::{Cell, Column, Table};
use crate::terminal::{Screen, Tint, printable};

/// What stands for the events without a value in a column.
const MISSING: &str = "(none)";

/// The answer of the serving layer, as far as a person is told it.
#[derive(Debug, Deserialize)]
pub(super) struct Answer {
    metric: String,
    by: Vec<String>,
    measure: String,
    key: Map<String, Value>,
    from: Option<String>,
    to: Option<String>,
    gaps: Vec<Gap>,
    provenance: Provenance,
    ranked: u64,
    rows: Vec<Row>,
}

#[derive(Debug, Deserialize)]
struct Provenance {
    speed: Speed,
}

#[derive(Debug, Deserialize)]
struct Speed {
    lag_ms: Option<u64>,
}

#[derive(Debug, Deserialize)]
struct Row {
    key: Map<String, Value>,
    values: Map<String, Value>,
}

/// The whole page, as it fits on the screen.
pub(super) fn page(answer: &Answer, screen: Screen) -> String {
    let mut page = format!("{}\n\n", screen.paint(Some(Tint::Heading), &asked(answer)));
    page.push_str(&table(answer).text(screen));
    let lag = answer.provenance.speed.lag_ms;
    let lag = lag.map_or_else(|| "how far behind is not known".to_owned(), |ms| format!("{} behind", duration(ms)));
    // Writing to a String cannot fail.
    let _ = writeln!(page, "\n{} of {} keys; {lag}", integer(answer.rows.len()), integer(answer.ranked));
    for gap in &answer.gaps {
        let _ = writeln!(page, "{}", screen.paint(Some(Tint::Bad), &format!("gap: {gap}")));
    }
    page
}

/// What was asked, such as `orders by revenue, country=DE, from 2026-04-24T09:00:00Z`.
fn asked(answer: &Answer) -> String {
    let key = answer.key.iter().map(|(name, value)| match value {
        Value::Null => format!("{name} missing"),
        value => format!("{name}={}", text(value)),
    });
    let range = match (&answer.from, &answer.to) {
        (Some(from), Some(to)) => format!("{from} to {to}"),
        (Some(from), None) => format!("from {from}"),
        (None, Some(to)) => format!("until {to}"),
        (None, None) => "all time".to_owned(),
    };
    let head = format!("{} by {}", answer.metric, answer.measure);
    let parts: Vec<String> = [head].into_iter().chain(key).chain([range]).collect();
    printable(&parts.join(", ")).into_owned()
}

/// A row for each key: its place, its columns and its values.
fn table(answer: &Answer) -> Table {
    let names: Vec<&String> = answer.rows.first().map(|row| row.values.keys().collect()).unwrap_or_default();
    let mut columns = vec![Column::right("#")];
    columns.extend(answer.by.iter().map(|name| Column::left(name)));
    columns.extend(names.iter().map(|name| Column::right(name)));
    let mut table = Table::new(columns);
    for (place, row) in (1..).zip(&answer.rows) {
        let key = answer.by.iter().map(|name| match row.key.get(name) {
            None | Some(Value::Null) => Cell::new(MISSING),
            Some(value) => Cell::new(&text(value)),
        });
        let values = names.iter().map(|name| Cell::new(&shown(row.values.get(*name))));
        table.push([Cell::new(&integer(place))].into_iter().chain(key).chain(values).collect());
    }
    table
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_listed_with_their_places() {
        let body = r#"{"version":"v1","metric":"orders","by":["country","shop"],"measure":"revenue","limit":2,"key":{"paid":true},
            "from":"2026-04-24T09:00:00Z","to":null,"grain":"1m","complete":false,"authoritative":false,"as_of":null,
            "gaps":[{"reason":"lost","text":"gone","source":"orders","log":"L","partition":0,"from":null,"to":null}],
            "provenance":{"batch":{"version":3,"committed_at":"2026-04-24T09:00:00Z"},"speed":{"lag_ms":1200}},"ranked":1234,
            "rows":[{"key":{"country":"DE","shop":7},"values":{"orders":1042,"revenue":null},"layer":"both"},
                    {"key":{"country":null,"shop":8},"values":{"orders":3,"revenue":2.5},"layer":"batch"}]}"#;
        let answer: Answer = serde_json::from_str(body).expect("an answer");
        let expected = "orders by revenue, paid=true, from 2026-04-24T09:00:00Z\n\n\
                        #  country  shop  orders  revenue\n\
                        1  DE       7      1,042        -\n\
                        2  (none)   8          3    2.500\n\n\
                        2 of 1,234 keys; 1.2 s behind\n\
                        gap: gone (source orders, log L, partition 0)\n";
        assert_eq!(page(&answer, Screen::NONE), expected);
    }

    #[test]
    fn no_keys_are_an_empty_table() {
        let body = r##"{"metric":"m","by":["k"],"measure":"n","key":{},"from":null,"to":null,"gaps":[],
            "provenance":{"speed":{"lag_ms":null}},"ranked":0,"rows":[]}"##;
        let answer: Answer = serde_json::from_str(body).expect("an answer");
        let expected = "m by n, all time\n\n#  k\n\n0 of 0 keys; how far behind is not known\n";
        assert_eq!(page(&answer, Screen::NONE), expected);
    }
}
