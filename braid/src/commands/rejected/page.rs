//! Invalid records as a person reads them.

use std::fmt::Write;

use batch_layer::rejected::{ArchivedRecord, Rejections, Verdict};
use shared_logic::time::format_rfc3339;

use super::hex;
use crate::number::integer;
use crate::table::{Cell, Column, Table};
use crate::terminal::{Screen, Tint, printable};

/// How many bytes that are no text stand on a line.
const HEX_BYTES: usize = 32;

/// The newest ones, and how many there are.
pub(super) fn list(found: &Rejections, screen: Screen) -> String {
    if found.newest.is_empty() {
        return format!("{} records are rejected\n", integer(found.total));
    }
    let mut table = Table::new(vec![Column::left("produced at"), Column::left("error"), Column::left("record")]);
    for rejection in &found.newest {
        let place = format!("{}/{}/{}", rejection.log, rejection.partition, rejection.offset);
        let at = rejection.timestamp_us.map_or_else(|| "-".to_owned(), format_rfc3339);
        table.push([at, rejection.error.clone(), place].iter().map(|text| Cell::new(text)).collect());
    }
    let mut text = table.text(screen);
    let (shown, total) = (found.newest.len(), found.total);
    if total > shown as u64 {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "the newest {} of {} rejected records", integer(shown), integer(total));
    }
    text
}

/// One record, and what the catalog makes of it.
pub(super) fn record(record: &ArchivedRecord, verdict: &Verdict, screen: Screen) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: &str| {
        let name = screen.paint(Some(Tint::Heading), &format!("{name:<12}"));
        let _ = writeln!(text, "{name}{}", printable(value));
    };
    line("record", &format!("{}/{}", record.id, record.offset));
    line("produced at", &record.timestamp_us.map_or_else(|| "-".to_owned(), format_rfc3339));
    line("key", &record.key.as_deref().map_or_else(|| "-".to_owned(), short));
    line("headers", record.headers.as_deref().unwrap_or("-"));
    line("archived as", record.error.as_deref().unwrap_or("an event"));
    match verdict {
        Verdict::Event(fields) => {
            line("now", "an event");
            fields.iter().for_each(|(name, value)| line(&format!("  {name}"), &value.to_string()));
        }
        Verdict::Rejected(error) => line("now", &format!("rejected: {error}")),
        Verdict::Mark => line("now", "a mark of the stream: neither an event nor rejected"),
        Verdict::Delete => line("now", "a delete of the table: neither a row nor rejected"),
        Verdict::Erased => line("now", "nothing: it is erased"),
        Verdict::NotKept => line("now", "cannot be judged: the archive does not keep its bytes"),
    }
    text.push('\n');
    match record.payload.as_deref() {
        Some(payload) => text.push_str(&bytes(payload)),
        None => text.push_str("no payload\n"),
    }
    text
}

/// Bytes as a text, if they are one, with its line feeds; else in lines of hexadecimal digits.
fn bytes(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.lines().map(|line| format!("{}\n", printable(line))).collect(),
        Err(_) => bytes.chunks(HEX_BYTES).map(|line| format!("{}\n", hex(line))).collect(),
    }
}

fn short(bytes: &[u8]) -> String {
    std::str::from_utf8(bytes).map_or_else(|_| hex(bytes), str::to_owned)
}

#[cfg(test)]
mod tests {
    use batch_layer::rejected::Rejection;
    use serde_json::{Map, json};
    use shared_logic::log::PartitionId;

    use super::*;

    #[test]
    fn the_newest_records_are_listed_with_their_places() {
        let rejection = Rejection {
            timestamp_us: Some(0),
            log: "L1".to_owned(),
            partition: 3,
            offset: 1_041,
            error: "missing_field:video_id".to_owned(),
        };
        let found = Rejections { newest: vec![rejection], total: 1_204 };
        let expected = "\
produced at           error                   record
1970-01-01T00:00:00Z  missing_field:video_id  L1/3/1041
the newest 1 of 1,204 rejected records
";
        assert_eq!(list(&found, Screen::NONE), expected);
        assert_eq!(list(&Rejections { newest: Vec::new(), total: 0 }, Screen::NONE), "0 records are rejected\n");
    }

    #[test]
    fn a_record_is_shown_with_its_bytes_and_what_the_catalog_makes_of_it() {
        let shown = ArchivedRecord {
            id: PartitionId::new("L1", 3),
            offset: 7,
            timestamp_us: None,
            key: Some(vec![0xff]),
            headers: None,
            payload: Some(b"{\"a\": 1}\x1b[2J".to_vec()),
            has_bytes: true,
            error: Some("not_json".to_owned()),
        };
        let mut fields = Map::new();
        fields.insert("a".to_owned(), json!(1));
        let text = record(&shown, &Verdict::Event(fields), Screen::NONE);
        let expected = "\
record      L1/3/7
produced at -
key         ff
headers     -
archived as not_json
now         an event
  a         1

{\"a\": 1}\\u{1b}[2J
";
        assert_eq!(text, expected);
        let text = record(&shown, &Verdict::Rejected("not_json".to_owned()), Screen::NONE);
        assert!(text.contains("now         rejected: not_json\n"), "{text}");
    }
}
