//! Records of tables and logs → the texts of their columns, and how these are called.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use input::rows::Line;
use shared_logic::catalog::Source;

use super::layout::Layout;
use super::profile::{Profile, of_rows};

/// So many rows show whether the first one is a header.
const ROWS: usize = 20;

/// What was seen in records with columns, each with the moment at which it was sent. The first row of a table is a header if it
/// `has_header`, or looks like one.
///
/// # Errors
/// If there are no records, or the header names two columns alike.
pub(super) fn profile(layout: Layout, records: &[(Line, i64)], has_header: bool) -> Result<Profile> {
    if layout == Layout::Combined {
        let source = layout.source()?;
        let names: Vec<String> = source.fields.iter().map(|field| field.name.clone()).collect();
        let rows: Vec<_> = records.iter().map(|(record, sent_us)| (of_log(&source, &record.text), *sent_us)).collect();
        return Ok(of_rows(&names, &rows));
    }
    let mut rows: Vec<_> = records.iter().map(|(record, sent_us)| (of_table(layout, &record.text), *sent_us)).collect();
    let (first, _) = rows.first().context("there are no rows")?;
    let names = if has_header || is_header(first, rows.get(1..).unwrap_or_default()) {
        rows.remove(0).0
    } else {
        (1..=first.len()).map(|number| format!("column_{number}")).collect()
    };
    let mut seen = BTreeSet::new();
    let repeated = names.iter().find(|name| !seen.insert(name.as_str()));
    ensure!(
        repeated.is_none(),
        "the header names two columns `{}`, which could not be told apart: call one of them otherwise",
        repeated.map(String::as_str).unwrap_or_default()
    );
    Ok(of_rows(&names, &rows))
}

/// The texts of a log's columns; an absent one is empty. A line that is none has no columns.
fn of_log(source: &Source, line: &[u8]) -> Vec<String> {
    let text = |at: usize| source.field_text(line, at).map(|text| String::from_utf8_lossy(&text).into_owned());
    if text(0).is_none() {
        return Vec::new();
    }
    (0..source.fields.len()).map(|at| text(at).unwrap_or_default()).collect()
}

/// The texts of a row's columns, without their quotes.
fn of_table(layout: Layout, row: &[u8]) -> Vec<String> {
    if layout == Layout::Tsv {
        let row = String::from_utf8_lossy(row.strip_suffix(b"\r").unwrap_or(row));
        return row.split('\t').map(str::to_owned).collect();
    }
    let mut reader = csv::ReaderBuilder::new();
    let mut rows = reader.has_headers(false).flexible(true).from_reader(row).into_byte_records();
    let Some(Ok(row)) = rows.next() else { return Vec::new() };
    row.iter().map(|text| String::from_utf8_lossy(text).into_owned()).collect()
}

/// Whether a row names columns: nothing in it begins like a number or a date, and what stands below some of it does.
fn is_header(first: &[String], below: &[(Vec<String>, i64)]) -> bool {
    let is_value = |text: &String| text.trim_start_matches('-').starts_with(|letter: char| letter.is_ascii_digit());
    let below = &below[..below.len().min(ROWS)];
    let is_column_of_values =
        |at: usize| below.iter().filter(|(row, _)| row.get(at).is_some_and(is_value)).count() * 2 > below.len();
    !first.iter().any(is_value) && (0..first.len()).any(is_column_of_values)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(layout: Layout, rows: &[&str]) -> Result<Vec<String>> {
        let line = |(at, row): (usize, &&str)| (Line { number: at + 1, text: row.as_bytes().to_vec() }, 0);
        let records: Vec<(Line, i64)> = rows.iter().enumerate().map(line).collect();
        let profile = profile(layout, &records, false)?;
        Ok(profile.places.into_iter().map(|seen| seen.steps.concat()).collect())
    }

    #[test]
    fn a_header_is_told_from_values() {
        assert_eq!(names(Layout::Csv, &["at,\"a, b\"", "2026-11-25,x"]).expect("named"), ["at", "a, b"]);
        assert_eq!(names(Layout::Csv, &["2026-11-25,x", "2026-11-26,y"]).expect("numbered"), ["column_1", "column_2"]);
        assert_eq!(names(Layout::Tsv, &["x\ty\r", "a\t-1\r"]).expect("named"), ["x", "y"]);
        assert_eq!(names(Layout::Tsv, &["x\ty", "a\tb"]).expect("numbered"), ["column_1", "column_2"], "nothing tells");
        let error = names(Layout::Csv, &["a,b,a", "1,2,3"]).expect_err("alike").to_string();
        assert!(error.starts_with("the header names two columns `a`"), "{error}");
        assert!(names(Layout::Csv, &[]).is_err());
    }

    #[test]
    fn a_log_has_its_own_columns() {
        let line = "::1 - - [25/Nov/2026:10:00:00 +0000] \"\\x16\" 400 - \"-\" \"say \\\"hi\\\"\"";
        let records =
            [(Line { number: 1, text: line.as_bytes().to_vec() }, 5), (Line { number: 2, text: b"x".to_vec() }, 6)];
        let profile = profile(Layout::Combined, &records, false).expect("a log");
        let texts: Vec<String> = profile
            .places
            .iter()
            .flat_map(|seen| seen.values.iter().map(|(_, value)| format!("{}={value}", seen.steps.concat())))
            .collect();
        assert_eq!(profile.sent_us, [5], "the second line is none of a log");
        let expected = ["remote_host=::1", "time=25/Nov/2026:10:00:00 +0000", "status=400", "user_agent=say \"hi\""];
        assert_eq!(texts, expected);
    }
}
