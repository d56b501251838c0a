//! An audit as a person reads it.

use std::fmt::Write;

use batch_layer::audit::{Audit, Difference, Fate, Seen};
use shared_logic::time::{format_day, format_rfc3339};

use crate::number::integer;
use crate::table::{Cell, Column, Table};
use crate::terminal::{Screen, Tint};

/// What an audit has found; of each bucket that differs, at most `limit` records.
pub(super) fn page(metric: &str, audit: &Audit, limit: usize, screen: Screen) -> String {
    let (version, buckets, events) = (integer(audit.version), integer(audit.buckets), integer(audit.events));
    let mut text =
        format!("{metric}, version {version}: {buckets} buckets, {events} events of this key below the cut\n");
    if let Some(before) = audit.retired_before {
        let _ = writeln!(text, "days before {} cannot be recounted: they are retired", format_day(before));
    }
    if audit.without_bytes > 0 {
        let count = integer(audit.without_bytes);
        let line =
            format!("{count} records were not looked at: the archive does not keep their bytes, so nothing is proven");
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{}", screen.paint(Some(Tint::Bad), &line));
    }
    if audit.differences.is_empty() {
        let _ = writeln!(text, "{}", screen.paint(Some(Tint::Good), "the view says what the records say"));
    }
    for difference in &audit.differences {
        text.push_str(&bucket(difference, limit, screen));
    }
    text
}

fn bucket(difference: &Difference, limit: usize, screen: Screen) -> String {
    let mut text = format!("\nbucket {}\n", format_rfc3339(difference.bucket_us));
    let mut measures = Table::new(vec![Column::left("measure"), Column::right("view"), Column::right("records")]);
    for measure in &difference.measures {
        let view = Cell::tinted(&measure.view.to_string(), Tint::Bad);
        measures.push(vec![Cell::new(&measure.name), view, Cell::new(&measure.records.to_string())]);
    }
    text.push_str(&measures.text(screen));
    if difference.seen.is_empty() {
        text.push_str("no record of this key lies in this bucket\n");
        return text;
    }
    let mut seen = Table::new(vec![Column::left("record"), Column::left("what becomes of it")]);
    for record in difference.seen.iter().take(limit) {
        seen.push(vec![Cell::new(&place(&record.log, record.partition, record.offset)), Cell::new(&fate(record))]);
    }
    text.push_str(&seen.text(screen));
    let left = difference.seen.len().saturating_sub(limit);
    if left > 0 {
        let _ = writeln!(text, "and {} more; --limit or --output json shows them", integer(left));
    }
    text
}

fn fate(seen: &Seen) -> String {
    match &seen.fate {
        Fate::Counted => "counted".to_owned(),
        Fate::CopyOf { log, partition, offset } => format!("a copy of {}", place(log, *partition, *offset)),
        Fate::LeftOutByWhere => "left out by where".to_owned(),
    }
}

fn place(log: &str, partition: i32, offset: i64) -> String {
    format!("{log}/{partition}/{offset}")
}

#[cfg(test)]
mod tests {
    use batch_layer::audit::MeasureDifference;
    use shared_logic::log::Offsets;
    use shared_logic::measure::Value;
    use shared_logic::time::TimeRange;

    use super::*;

    fn audit(differences: Vec<Difference>, without_bytes: u64) -> Audit {
        let (cut, times) = (Offsets::default(), TimeRange::ALL);
        let (version, retired_before) = (1_017, None);
        Audit { version, cut, times, buckets: 3, events: 4, retired_before, without_bytes, differences }
    }

    #[test]
    fn a_view_that_is_right_is_said_to_be() {
        let text = page("views", &audit(Vec::new(), 0), 20, Screen::NONE);
        let expected =
            "views, version 1,017: 3 buckets, 4 events of this key below the cut\nthe view says what the records say\n";
        assert_eq!(text, expected);
        let retired = page("views", &Audit { retired_before: Some(20_567), ..audit(Vec::new(), 0) }, 20, Screen::NONE);
        assert!(retired.contains("days before 2026-04-24 cannot be recounted: they are retired\n"), "{retired}");
        assert!(page("views", &audit(Vec::new(), 2), 20, Screen::NONE).contains("2 records were not looked at"));
    }

    #[test]
    fn a_bucket_that_differs_shows_the_records_that_make_its_number() {
        let seen = |offset, fate| Seen { log: "L1".to_owned(), partition: 3, offset, fate };
        let copy = Fate::CopyOf { log: "L1".to_owned(), partition: 0, offset: 8 };
        let name = "views".to_owned();
        let difference = Difference {
            bucket_us: 1_776_988_800_000_000,
            measures: vec![MeasureDifference { name, view: Value::Int(7), records: Value::Int(1) }],
            seen: vec![seen(10, Fate::Counted), seen(11, copy), seen(12, Fate::LeftOutByWhere)],
        };
        let text = page("views", &audit(vec![difference], 0), 2, Screen::NONE);
        let expected = "
bucket 2026-04-24T00:00:00Z
measure  view  records
views       7        1
record   what becomes of it
L1/3/10  counted
L1/3/11  a copy of L1/0/8
and 1 more; --limit or --output json shows them
";
        assert!(text.ends_with(expected), "{text}");
    }
}
