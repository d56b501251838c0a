//! What a catalog says of records: how many every layer will reject, and why.
//!
//! This is only told. `braid send` sends a line whatever its verdict is, and the layers judge it by the catalog and the record's
//! timestamp that they find.

use std::collections::BTreeMap;

use input::rows::Line;
use shared_logic::catalog::Source;
use shared_logic::decode::Decoder;
use shared_logic::rejection::{Reason, Rejected};
use shared_logic::schema::Field;

use crate::number::integer;

/// Counts rejected records by reason.
pub(crate) struct Verdicts {
    /// What a record's number counts.
    noun: &'static str,
    decoder: Decoder,
    fields: Vec<Field>,
    rejected: BTreeMap<Reason, Rejects>,
}

/// The records that are rejected for one reason.
struct Rejects {
    count: u64,
    first_number: usize,
    first: Rejected,
}

impl Verdicts {
    /// Verdicts on records of this source; there are none yet. `noun` is what a record's number counts, such as `line`.
    pub(crate) fn of(source: &Source, noun: &'static str) -> Verdicts {
        Verdicts { noun, decoder: Decoder::new(source), fields: source.fields.clone(), rejected: BTreeMap::new() }
    }

    /// Judges a record that is sent at `sent_us`, in microseconds since 1970.
    pub(crate) fn judge(&mut self, record: &Line, sent_us: i64) {
        if let Err(first) = self.decoder.decode(Some(record.text.as_slice()), Some(sent_us)) {
            let rejects = self.rejected.entry(first.reason);
            rejects.or_insert(Rejects { count: 0, first_number: record.number, first }).count += 1;
        }
    }

    /// How many records are rejected.
    pub(crate) fn rejected(&self) -> u64 {
        self.rejected.values().map(|rejects| rejects.count).sum()
    }

    /// How many records are rejected and why, such as `the catalog rejects 12: 10 missing_field, 2 not_json`; empty if none are.
    pub(crate) fn counts(&self) -> String {
        self.text(|reason, rejects| format!("{} {reason}", integer(rejects.count)))
    }

    /// The same with the first record of each reason, and its field.
    pub(crate) fn summary(&self) -> String {
        self.text(|reason, rejects| {
            let (count, number) = (integer(rejects.count), integer(rejects.first_number));
            let field = rejects.first.field.and_then(|at| self.fields.get(at));
            let field = field.map_or_else(String::new, |field| format!(", field {}", field.name));
            format!("{count} {reason} (first on {} {number}{field})", self.noun)
        })
    }

    fn text(&self, of_reason: impl Fn(Reason, &Rejects) -> String) -> String {
        if self.rejected.is_empty() {
            return String::new();
        }
        let reasons: Vec<String> = self.rejected.iter().map(|(reason, rejects)| of_reason(*reason, rejects)).collect();
        format!("the catalog rejects {}: {}", integer(self.rejected()), reasons.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use shared_logic::catalog::Catalog;

    use super::*;

    const NOW: &str = "2026-04-24T09:30:00Z";

    fn verdicts(lines: &[&str]) -> Verdicts {
        let catalog = Catalog::parse(crate::catalog_file::SHIPPED).expect("the shipped catalog is valid");
        let mut verdicts = Verdicts::of(&catalog.sources["views"], "line");
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
