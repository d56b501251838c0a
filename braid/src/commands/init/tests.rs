//! Small samples of many kinds: the catalog is valid, accepts the sample, and says what it should.
//!
//! - `json`, `tables`, `logs`: samples by the way in which their records are written.

mod json;
mod logs;
mod tables;

use shared_logic::time::parse_rfc3339;

use super::*;

const NOW: &str = "2026-11-26T00:00:00Z";

/// The catalog for a sample that is a file of this name.
fn draft(name: &str, sample: &str) -> Result<Draft> {
    draft_of(name, sample, &RowArgs::default())
}

fn draft_of(name: &str, sample: &str, rows: &RowArgs) -> Result<Draft> {
    let now_us = parse_rfc3339(NOW.as_bytes()).expect("a time");
    let sample = Sample::read(name.to_owned(), sample.as_bytes(), 5_000, now_us)?;
    let name = small_name(name.split('.').next().unwrap_or_default(), "events");
    Draft::of(&sample, &Told { name: &name, topic: &name, layout: None, rows })
}

/// So many records, one a line, behind a first line if there is one.
fn sample(first: &str, records: usize, record: impl Fn(usize) -> String) -> String {
    let first = Some(first.to_owned()).filter(|first| !first.is_empty());
    first.into_iter().chain((0..records).map(record)).map(|line| format!("{line}\n")).collect()
}

/// The catalog accepts all but so many records of the sample, and has these lines; comments behind them are left out.
fn says(name: &str, sample: &str, rejected: u64, lines: &[&str]) {
    let draft = draft(name, sample).unwrap_or_else(|error| panic!("{name}: {error:#}"));
    let told = draft.verdicts.summary();
    assert_eq!(draft.verdicts.rejected(), rejected, "{name}: {told}\n{}", draft.text);
    let said: Vec<&str> =
        draft.text.lines().map(|line| line.split("    # ").next().unwrap_or_default().trim_end()).collect();
    for line in lines {
        assert!(said.contains(line), "{name} does not say {line:?}\n{}", draft.text);
    }
}

fn refused(name: &str, sample: &str) -> String {
    match draft(name, sample) {
        Ok(draft) => panic!("{name} was guessed\n{}", draft.text),
        Err(error) => format!("{error:#}"),
    }
}

#[test]
fn the_catalog_reads_like_one_that_a_person_wrote() {
    let draft = draft("orders.ndjson", &json::orders()).expect("guessed");
    assert_eq!(draft.text, include_str!("tests/orders.toml"));
    let rows = RowArgs { header: false, comment: Some("#".to_owned()) };
    let (output, file) = (Some(Path::new("my catalog.toml")), Some(Path::new("orders.ndjson")));
    let summary = "source orders (json, 6 fields), metric orders (by country, coupon)\nit accepts 40 of 40 records\n";
    assert_eq!(report::summary(&draft), summary);
    let next = report::next_commands(&draft, &Next { output, file, rows: &rows, brokers: None });
    let expected = "  braid catalog check 'my catalog.toml'
  braid up --no-traffic --catalog 'my catalog.toml'
  braid send --source orders --catalog 'my catalog.toml' --kafka ADDRESS --comment '#' orders.ndjson
  # ADDRESS is what `braid up` prints behind kafka=
  braid query orders
  braid query orders country=DE
";
    assert_eq!(next, expected);
}

#[test]
fn a_sample_without_an_event_time_says_what_there_is() {
    let told = refused("users.json", &sample("", 20, |n| format!(r#"{{"id": {n}, "name": "u{n}"}}"#)));
    assert!(
        told.starts_with("cannot use users.json: no field holds instants; the fields are `id`, `name`\n"),
        "{told}"
    );
    let told = refused("x.csv", "a;b\n1;2\n");
    assert!(told.starts_with("cannot tell how x.csv is written: columns are separated by `;`"), "{told}");
    let told = refused("x.csv", "at,at\n2026-11-25T10:00:00Z,1\n");
    assert!(told.starts_with("cannot use x.csv: the header names two columns `at`"), "{told}");
}

#[test]
fn a_catalog_is_not_overwritten_unless_asked_for() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("catalog.toml");
    save(&file, "first", false).expect("written");
    let error = save(&file, "second", false).expect_err("it exists").to_string();
    assert!(
        error.ends_with("catalog.toml exists: name another file with --output, or replace it with --force"),
        "{error}"
    );
    assert_eq!(std::fs::read_to_string(&file).expect("kept"), "first");
    save(&file, "2nd", true).expect("replaced");
    assert_eq!(std::fs::read_to_string(&file).expect("replaced"), "2nd");
}
