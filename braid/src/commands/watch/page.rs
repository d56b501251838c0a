//! A total as a person reads it: a row for each key, and whether something may be missing.

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::commands::query::cell;
use crate::serving::Gap;
use crate::table::{Cell, Column, Table};
use crate::terminal::{Screen, Tint, printable};

/// What stands for the events without a value in a column.
const MISSING: &str = "(missing)";

/// An answer to `total`, about one key or about several.
#[derive(Debug, Deserialize)]
pub(super) struct Total {
    pub(super) version: String,
    metric: String,
    from: Option<String>,
    to: Option<String>,
    /// Of an answer about one key.
    #[serde(flatten)]
    of_one: OfKey,
    /// Of an answer about several.
    #[serde(default)]
    keys: Vec<OfKey>,
    complete: bool,
    #[serde(default)]
    gaps: Vec<Gap>,
    pub(super) as_of: Option<String>,
}

/// What is counted of one key.
#[derive(Debug, Default, Deserialize)]
struct OfKey {
    /// The columns that the question names.
    #[serde(default)]
    key: Map<String, Value>,
    #[serde(default)]
    values: Map<String, Value>,
}

/// The page, as it fits on the screen.
pub(super) fn page(total: &Total, screen: Screen) -> String {
    let keys = if total.keys.is_empty() { std::slice::from_ref(&total.of_one) } else { &total.keys };
    // All keys of a question name the same columns, and have the same measures.
    let columns: Vec<&String> = keys.iter().take(1).flat_map(|of| of.key.keys()).collect();
    let names: Vec<&String> = keys.iter().take(1).flat_map(|of| of.values.keys()).collect();
    let left = columns.iter().map(|column| Column::left(column));
    let mut table = Table::new(left.chain(names.iter().map(|name| Column::right(name))).collect());
    for of in keys {
        let key = columns.iter().map(|column| key_cell(of.key.get(*column)));
        table.push(key.chain(names.iter().map(|name| cell(of.values.get(*name)))).collect());
    }
    let mut page =
        format!("{}\n\n{}\n", screen.paint(Some(Tint::Heading), &printable(&asked(total))), table.text(screen));
    page.push_str(&format!("{}\n", judged(total, screen)));
    for gap in &total.gaps {
        page.push_str(&format!("{}\n", screen.paint(Some(Tint::Bad), &format!("gap: {gap}"))));
    }
    page
}

/// What was asked, such as `views of v1, from 2026-04-24T09:00:00Z`.
fn asked(total: &Total) -> String {
    let range = match (&total.from, &total.to) {
        (Some(from), Some(to)) => format!("{from} to {to}"),
        (Some(from), None) => format!("from {from}"),
        (None, Some(to)) => format!("until {to}"),
        (None, None) => "all time".to_owned(),
    };
    format!("{} of {}, {range}", total.metric, total.version)
}

fn judged(total: &Total, screen: Screen) -> String {
    let complete = if total.complete {
        screen.paint(Some(Tint::Good), "complete")
    } else {
        screen.paint(Some(Tint::Bad), "incomplete")
    };
    match &total.as_of {
        Some(as_of) => format!("{complete} as of {}", printable(as_of)),
        None => complete,
    }
}

fn key_cell(value: Option<&Value>) -> Cell {
    match value {
        None | Some(Value::Null) => Cell::new(MISSING),
        Some(Value::String(text)) => Cell::new(text),
        Some(other) => Cell::new(&other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn total(body: &str) -> Total {
        serde_json::from_str(body).expect("a total")
    }

    #[test]
    fn the_total_of_one_key_is_a_row() {
        let body = r#"{"version":"v1","metric":"views","key":{"video":"a"},"from":null,"to":null,"grain":"1m",
            "values":{"views":12345,"mean":null},"complete":true,"gaps":[],"authoritative":false,"as_of":"2026-04-24T09:30:12Z",
            "provenance":{"batch":{},"speed":{}}}"#;
        let expected = "views of v1, all time\n\nvideo   views  mean\na      12,345     -\n\ncomplete as of 2026-04-24T09:30:12Z\n";
        assert_eq!(page(&total(body), Screen::NONE), expected);
    }

    #[test]
    fn each_of_several_keys_has_a_row_and_gaps_are_named() {
        let body = r#"{"version":"v2","metric":"views","from":"2026-04-24T09:00:00Z","to":null,"complete":false,
            "gaps":[{"reason":"lost","text":"gone","source":"s","log":null,"partition":null}],"as_of":null,
            "keys":[{"key":{"video":"a","country":null},"values":{"views":1}},{"key":{"video":"b","country":"de"},"values":{"views":22}}]}"#;
        let expected = "views of v2, from 2026-04-24T09:00:00Z\n\nvideo  country    views\na      (missing)      1\n\
                        b      de            22\n\nincomplete\ngap: gone (source s)\n";
        assert_eq!(page(&total(body), Screen::NONE), expected);
    }

    #[test]
    fn everything_has_no_key() {
        let body = r#"{"version":"v1","metric":"views","key":{},"from":null,"to":null,"values":{"views":0},"complete":true,"as_of":null}"#;
        assert_eq!(page(&total(body), Screen::NONE), "views of v1, all time\n\nviews\n    0\n\ncomplete\n");
    }
}
