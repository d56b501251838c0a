//! The headers of what lanes write.

use std::ops::Range;
use std::sync::Arc;

use crate::catalog::DefinitionHash;
use crate::log::PartitionId;
use crate::stream::{Mark, OutputPosition, Upstream};
use crate::time::format_rfc3339;

/// The names of the headers.
#[derive(Debug, Clone, Copy)]
pub struct HeaderNames;

impl HeaderNames {
    /// The stream that the record belongs to.
    pub const STREAM: &'static str = "braid-stream";
    /// `<log>/<partition>/<offset>/<n>`: the record that completed the output, and which of its outputs this is.
    pub const POSITION: &'static str = "braid-position";
    /// The definition that it was written under.
    pub const DEFINITION: &'static str = "braid-definition";
    /// `<log>/<partition>`: where a re-keying map has read the record's event.
    pub const UPSTREAM: &'static str = "braid-upstream";
    /// Why a record stands in a side output.
    pub const REASON: &'static str = "braid-reason";
    /// The table in which an event has no row that its output must have.
    pub const TABLE: &'static str = "braid-table";
    /// As of which changes of the table: `<log>/<partition>/<cursor>`.
    pub const SEEN: &'static str = "braid-seen";
    /// `<start>/<end>`: from the first to the last window that a late event missed.
    pub const MISSED: &'static str = "braid-missed";
    /// The log that the lane reads which wrote the mark.
    pub const MARK_LOG: &'static str = "braid-mark-log";
    /// The partition that it reads.
    pub const MARK_PARTITION: &'static str = "braid-mark-partition";
    /// How many partitions that log has.
    pub const MARK_PARTITIONS: &'static str = "braid-mark-partitions";
    /// The lane's front in microseconds since 1970; left out before its first event.
    pub const MARK_FRONT: &'static str = "braid-mark-front";
    /// `true` or `false`.
    pub const MARK_IDLE: &'static str = "braid-mark-idle";
}

/// Names and values of headers, in their order.
type Headers = Vec<(&'static str, Vec<u8>)>;

/// The headers of an output. `upstream`: whether a re-keying map writes it.
pub fn output_headers(
    stream: &str,
    id: &PartitionId,
    position: OutputPosition,
    definition: &DefinitionHash,
    upstream: bool,
) -> Headers {
    let mut headers = vec![
        (HeaderNames::STREAM, stream.as_bytes().to_vec()),
        (HeaderNames::POSITION, format!("{id}/{position}").into_bytes()),
        (HeaderNames::DEFINITION, definition.as_str().as_bytes().to_vec()),
    ];
    if upstream {
        headers.push((HeaderNames::UPSTREAM, id.to_string().into_bytes()));
    }
    headers
}

/// The headers of a late event in a side output. `missed`: of a window stream, from the start of the first window that it missed
/// to the end of the last one.
pub fn late_headers(
    stream: &str,
    id: &PartitionId,
    position: OutputPosition,
    definition: &DefinitionHash,
    missed: Option<&Range<i64>>,
) -> Headers {
    let mut headers = output_headers(stream, id, position, definition, false);
    headers.push((HeaderNames::REASON, b"late".to_vec()));
    if let Some(missed) = missed {
        let text = format!("{}/{}", format_rfc3339(missed.start), format_rfc3339(missed.end));
        headers.push((HeaderNames::MISSED, text.into_bytes()));
    }
    headers
}

/// The headers of an event in a side output that has no row in a table (B5). `seen`: as of which changes of it; `None` if the event
/// names no key.
pub fn no_row_headers(
    stream: &str,
    id: &PartitionId,
    position: OutputPosition,
    definition: &DefinitionHash,
    table: &str,
    seen: Option<&str>,
) -> Headers {
    let mut headers = output_headers(stream, id, position, definition, false);
    headers.push((HeaderNames::REASON, b"no_row".to_vec()));
    headers.push((HeaderNames::TABLE, table.as_bytes().to_vec()));
    headers.extend(seen.map(|seen| (HeaderNames::SEEN, seen.as_bytes().to_vec())));
    headers
}

/// The headers of a mark, which has neither key nor value.
pub fn mark_headers(stream: &str, mark: &Mark) -> Headers {
    let mut headers = vec![
        (HeaderNames::STREAM, stream.as_bytes().to_vec()),
        (HeaderNames::MARK_LOG, mark.log.as_bytes().to_vec()),
        (HeaderNames::MARK_PARTITION, mark.partition.to_string().into_bytes()),
        (HeaderNames::MARK_PARTITIONS, mark.partitions.to_string().into_bytes()),
        (HeaderNames::MARK_IDLE, mark.idle.to_string().into_bytes()),
    ];
    if let Some(front_us) = mark.front_us {
        headers.push((HeaderNames::MARK_FRONT, front_us.to_string().into_bytes()));
    }
    headers
}

/// The mark that a record's headers hold; `None` if it is none. A record with a value is none, whatever its headers say.
pub fn mark_of<'a>(headers: impl Iterator<Item = (&'a str, Option<&'a [u8]>)>) -> Option<Mark> {
    let mut mark = Mark { log: String::new(), partition: -1, partitions: 0, front_us: None, idle: false };
    for (name, value) in headers {
        let text = || std::str::from_utf8(value.unwrap_or_default()).ok();
        match name {
            HeaderNames::MARK_LOG => text()?.clone_into(&mut mark.log),
            HeaderNames::MARK_PARTITION => mark.partition = text()?.parse().ok()?,
            HeaderNames::MARK_PARTITIONS => mark.partitions = text()?.parse().ok()?,
            HeaderNames::MARK_FRONT => mark.front_us = Some(text()?.parse().ok()?),
            HeaderNames::MARK_IDLE => mark.idle = text()?.parse().ok()?,
            _ => {}
        }
    }
    (!mark.log.is_empty() && (0..mark.partitions).contains(&mark.partition)).then_some(mark)
}

/// Where a re-keying map has read the event of a record; `None` if another program wrote it.
pub fn upstream_of<'a>(mut headers: impl Iterator<Item = (&'a str, Option<&'a [u8]>)>) -> Option<Upstream> {
    let (_, value) = headers.find(|(name, _)| *name == HeaderNames::UPSTREAM)?;
    let (log, partition) = std::str::from_utf8(value?).ok()?.rsplit_once('/')?;
    Some(Upstream { log: Arc::from(log), partition: partition.parse().ok()? })
}

/// The stream that a record of a topic belongs to, and the definition that it was written under.
pub fn stream_of<'a>(headers: impl Iterator<Item = (&'a str, Option<&'a [u8]>)>) -> Option<(String, DefinitionHash)> {
    let (mut stream, mut definition) = (None, None);
    for (name, value) in headers {
        let text = || std::str::from_utf8(value.unwrap_or_default()).ok();
        match name {
            HeaderNames::STREAM => stream = Some(text()?.to_owned()),
            HeaderNames::DEFINITION => definition = Some(text()?.parse().ok()?),
            _ => {}
        }
    }
    Some((stream?, definition?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(headers: &Headers) -> impl Iterator<Item = (&str, Option<&[u8]>)> {
        headers.iter().map(|(name, value)| (*name, Some(value.as_slice())))
    }

    #[test]
    fn what_headers_say_is_read_back() {
        let id = PartitionId::new("topic-id.2", 3);
        let definition: DefinitionHash = "0123456789abcdef".parse().expect("a hash");
        let position = OutputPosition { offset: 41, n: 2 };
        let headers = output_headers("alerts", &id, position, &definition, true);
        assert_eq!(headers[1], (HeaderNames::POSITION, b"topic-id.2/3/41/2".to_vec()));
        assert_eq!(upstream_of(read(&headers)), Some(Upstream { log: Arc::from("topic-id.2"), partition: 3 }));
        assert_eq!(stream_of(read(&headers)), Some(("alerts".to_owned(), definition.clone())));
        assert_eq!(mark_of(read(&headers)), None);
        let late = late_headers("w", &id, position, &definition, Some(&(0..60_000_000)));
        assert_eq!(upstream_of(read(&late)), None);
        let no_row = no_row_headers("w", &id, position, &definition, "users", Some("log/0/7"));
        let [.., reason, table, seen] = no_row.as_slice() else { panic!("headers") };
        assert_eq!(
            (reason.1.as_slice(), table.1.as_slice(), seen.1.as_slice()),
            (&b"no_row"[..], &b"users"[..], &b"log/0/7"[..])
        );
        let (name, missed) = late.last().expect("headers");
        assert_eq!(*name, HeaderNames::MISSED);
        assert_eq!(missed, b"1970-01-01T00:00:00Z/1970-01-01T00:01:00Z");
    }

    #[test]
    fn marks_are_read_back_and_nothing_else_is_one() {
        for front_us in [None, Some(-5), Some(1_700_000_000_000_000)] {
            let mark = Mark { log: "topic-id".to_owned(), partition: 0, partitions: 4, front_us, idle: true };
            assert_eq!(mark_of(read(&mark_headers("m", &mark))), Some(mark));
        }
        let beyond = Mark { log: "topic-id".to_owned(), partition: 4, partitions: 4, front_us: None, idle: false };
        assert_eq!(mark_of(read(&mark_headers("m", &beyond))), None);
        assert_eq!(mark_of(std::iter::once((HeaderNames::MARK_LOG, Some(&b"x"[..])))), None);
        assert_eq!(mark_of(std::iter::once((HeaderNames::MARK_PARTITIONS, None))), None);
    }
}
