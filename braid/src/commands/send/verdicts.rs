//! What the catalog says of the lines that were sent: how many every layer will reject, and why.
//!
//! This is only told. A line goes to Kafka whatever its verdict is, and the layers judge it by the catalog and the record's
//! timestamp that they find.

use std::collections::BTreeMap;

use shared_logic::catalog::Source;
use shared_logic::decode::Decoder;
use shared_logic::rejection::{Reason, Rejected};
use shared_logic::schema::Field;

use super::lines::Line;
use crate::number::integer;

/// Counts rejected lines by reason.
pub(super) struct Verdicts {
    decoder: Decoder,
    fields: Vec<Field>,
    rejected: BTreeMap<Reason, Rejects>,
}

/// The lines that are rejected for one reason.
struct Rejects {
    count: u64,
    first_line: usize,
    first: Rejected,
}

impl Verdicts {
    /// Verdicts on records of this source; there are none yet.
    pub(super) fn of(source: &Source) -> Verdicts {
        Verdicts { decoder: Decoder::new(source), fields: source.fields.clone(), rejected: BTreeMap::new() }
    }

    /// Judges a line as a record that is sent at `now_us`, in microseconds since 1970.
    pub(super) fn judge(&mut self, line: &Line, now_us: i64) {
        if let Err(first) = self.decoder.decode(Some(line.text.as_slice()), Some(now_us)) {
            let rejects = self.rejected.entry(first.reason);
            rejects.or_insert(Rejects { count: 0, first_line: line.number, first }).count += 1;
        }
    }

    /// How many lines are rejected and why, such as `the catalog rejects 12: 10 missing_field, 2 not_json`; empty if none are.
    pub(super) fn counts(&self) -> String {
        self.text(|reason, rejects| format!("{} {reason}", integer(rejects.count)))
    }

    /// The same with the first line of each reason, and its field.
    pub(super) fn summary(&self) -> String {
        self.text(|reason, rejects| {
            let (count, line) = (integer(rejects.count), integer(rejects.first_line));
            let field = rejects.first.field.and_then(|at| self.fields.get(at));
            let field = field.map_or_else(String::new, |field| format!(", field {}", field.name));
            format!("{count} {reason} (first on line {line}{field})")
        })
    }

    fn text(&self, of_reason: impl Fn(Reason, &Rejects) -> String) -> String {
        if self.rejected.is_empty() {
            return String::new();
        }
        let total: u64 = self.rejected.values().map(|rejects| rejects.count).sum();
        let reasons: Vec<String> = self.rejected.iter().map(|(reason, rejects)| of_reason(*reason, rejects)).collect();
        format!("the catalog rejects {}: {}", integer(total), reasons.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use shared_logic::catalog::Catalog;

    use super::*;

    const NOW: &str = "2026-04-24T09:30:00Z";

    fn verdicts(lines: &[&str]) -> Verdicts {
        let catalog = Catalog::parse(crate::catalog_file::SHIPPED).expect("the shipped catalog is valid");
        let mut verdicts = Verdicts::of(&catalog.sources["views"]);
        let now_us = shared_logic::time::parse_rfc3339(NOW.as_bytes()).expect("a time");
        for (at, text) in lines.iter().enumerate() {
            verdicts.judge(&Line { number: at + 1, text: text.as_bytes().to_vec() }, now_us);
        }
        verdicts
    }

    fn view(members: &str) -> String {
        format!(r#"{{"event_id":"e","occurred_at":"{NOW}","user_id":"u","status":200{members}}}"#)
    }

    #[test]
    fn valid_lines_are_not_mentioned() {
        let verdicts = verdicts(&[&view(r#","video_id":"v""#)]);
        assert_eq!((verdicts.counts(), verdicts.summary()), (String::new(), String::new()));
    }

    #[test]
    fn rejected_lines_are_counted_by_reason_with_the_first_of_each() {
        let late = view(r#","video_id":"v""#).replace(NOW, "1999-04-24T09:30:00Z");
        let verdicts = verdicts(&[&view(""), "not json", &view(r#","video_id":"v""#), "{", &late, &view("")]);
        assert_eq!(verdicts.counts(), "the catalog rejects 5: 2 not_json, 2 missing_field, 1 too_old");
        let expected = "the catalog rejects 5: 2 not_json (first on line 2), 2 missing_field (first on line 1, field video_id), \
                        1 too_old (first on line 5, field occurred_at)";
        assert_eq!(verdicts.summary(), expected);
    }
}
