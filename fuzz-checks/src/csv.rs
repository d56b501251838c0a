//! Any bytes as CSV records: what every decoder promises, and the columns of a reader that goes through a row from quote to quote.

use std::sync::LazyLock;

use shared_logic::catalog::Source;
use shared_logic::rejection::Reason;

use crate::decoder;

static SOURCE: LazyLock<Source> = LazyLock::new(|| decoder::source("csv"));

/// Decodes a batch of CSV records and checks the results.
///
/// # Panics
/// If the decoder breaks a promise.
pub fn csv(batch: &[u8]) {
    for (payload, said) in decoder::judged(&SOURCE, batch) {
        let reason = said.as_ref().err().map(|rejected| rejected.reason);
        if reason == Some(Reason::TooLong) {
            continue;
        }
        let Ok(text) = std::str::from_utf8(payload) else { continue };
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        if text.is_empty() {
            continue;
        }
        let Some(columns) = columns(text).filter(|columns| columns.len() == SOURCE.fields.len()) else {
            assert_eq!(reason, Some(Reason::WrongColumns), "{text:?}");
            continue;
        };
        assert_ne!(reason, Some(Reason::WrongColumns), "{text:?}");
        let is_absent = |column: &String| matches!(column.as_str(), "" | "-");
        let mut columns_of_fields = SOURCE.fields.iter().zip(&columns);
        if columns_of_fields.any(|(field, column)| !field.optional && is_absent(column)) {
            // An earlier field may be the reason of the rejection.
            assert!(reason.is_some(), "{text:?} lacks a field");
        } else {
            assert_ne!(reason, Some(Reason::MissingField), "{text:?}");
        }
        for (at, column) in columns.into_iter().enumerate() {
            let found = SOURCE.field_text(payload, at).map(|text| String::from_utf8_lossy(&text).into_owned());
            assert_eq!(found, Some(column).filter(|column| !is_absent(column)), "column {at} of {text:?}");
        }
    }
}

/// The columns of a row with at most one line end; `None` if it is none, or more than one.
fn columns(text: &str) -> Option<Vec<String>> {
    let row = text.strip_suffix('\n').unwrap_or(text);
    let mut rest = row.strip_suffix('\r').unwrap_or(row);
    let mut columns = Vec::new();
    loop {
        let (column, behind) = match rest.strip_prefix('"') {
            Some(quoted) => in_quotes(quoted)?,
            None => {
                let (column, behind) = rest.split_at(rest.find(',').unwrap_or(rest.len()));
                (!column.contains(['"', '\n', '\r'])).then(|| (column.to_owned(), behind))?
            }
        };
        columns.push(column);
        if behind.is_empty() {
            return Some(columns);
        }
        rest = behind.strip_prefix(',')?;
    }
}

/// The text up to the closing quote, and what follows it.
fn in_quotes(mut rest: &str) -> Option<(String, &str)> {
    let mut column = String::new();
    loop {
        let (before, behind) = rest.split_once('"')?;
        column.push_str(before);
        match behind.strip_prefix('"') {
            Some(more) => {
                column.push('"');
                rest = more;
            }
            None => return Some((column, behind)),
        }
    }
}
