//! A sample of records: the first lines of a file or a pipe, or the newest records of a topic.
//!
//! - `topic`: reads records of a topic.

mod topic;

use std::borrow::Cow;
use std::io::{BufRead, Read};
use std::path::Path;

use anyhow::{Context, Result, ensure};
use input::plain::plain;
use input::rows::{Line, RowArgs, Rows, is_blank};
use platform::settings;
use shared_logic::catalog::Source;

use crate::number::integer;

/// No more bytes are read. This many records of usual length are far more than a guess needs.
const BYTES_MAX: usize = 64 << 20;

/// A sample of records that belong to one source.
pub(super) struct Sample {
    /// What it is of, in messages: `standard input`, a file, or `topic orders`.
    pub(super) of: String,
    /// What the number of a record counts: `line` or `record`.
    pub(super) noun: &'static str,
    content: Content,
}

enum Content {
    /// Lines, the last of which may belong to a row that is cut off; and when they would be sent, in microseconds since 1970.
    Lines { text: Vec<u8>, whole: bool, sent_us: i64 },
    /// Payloads, and the timestamps of their records.
    Records(Vec<(Line, i64)>),
}

impl Sample {
    /// The first lines of a file, or of standard input for `-`, at most so many.
    ///
    /// # Errors
    /// If it cannot be read, or its first line is too long to be one.
    pub(super) fn of_input(path: &Path, lines_max: usize, now_us: i64) -> Result<Sample> {
        let (of, input) = input::open(path)?;
        Sample::read(of.clone(), input, lines_max, now_us).with_context(|| format!("cannot read {of}"))
    }

    /// The newest records of a topic, at most so many.
    ///
    /// # Errors
    /// If there is no such topic, or its records do not arrive.
    pub(super) async fn of_topic(
        kafka: &settings::Kafka,
        topic: &str,
        records_max: usize,
        now_us: i64,
    ) -> Result<Sample> {
        let records = topic::newest(kafka, topic, records_max, BYTES_MAX, now_us).await?;
        Ok(Sample { of: format!("topic {topic}"), noun: "record", content: Content::Records(records) })
    }

    /// The first lines of an input.
    pub(super) fn read(of: String, input: impl Read + Send, lines_max: usize, now_us: i64) -> Result<Sample> {
        let mut input = plain(input)?;
        let (mut text, mut whole) = (Vec::new(), false);
        for _ in 0..lines_max {
            let begin = text.len();
            let room = (BYTES_MAX - begin) as u64;
            whole = input.by_ref().take(room).read_until(b'\n', &mut text)? == 0;
            let is_full = text.len() == BYTES_MAX;
            if is_full && text.last() != Some(&b'\n') {
                ensure!(begin > 0, "its first {} MiB are one line: is it one record a line?", BYTES_MAX >> 20);
                text.truncate(begin);
            }
            if is_full || whole {
                break;
            }
        }
        Ok(Sample { of, noun: "line", content: Content::Lines { text, whole, sent_us: now_us } })
    }

    /// What it is, in words, if it has so many records.
    pub(super) fn title(&self, records: usize) -> String {
        let which = match self.content {
            Content::Lines { .. } => "first",
            Content::Records(_) => "newest",
        };
        format!("the {which} {} records of {}", integer(records), self.of)
    }

    /// All of it as a text, one record behind the other, without comments.
    pub(super) fn text(&self, args: &RowArgs) -> Cow<'_, [u8]> {
        let comment = args.comment.as_deref().unwrap_or_default().as_bytes();
        let records: Vec<&[u8]> = match &self.content {
            Content::Lines { text, .. } if comment.is_empty() => return Cow::Borrowed(text),
            Content::Lines { text, .. } => {
                text.split(|byte| *byte == b'\n').filter(|line| !line.starts_with(comment)).collect()
            }
            Content::Records(records) => records.iter().map(|(record, _)| record.text.as_slice()).collect(),
        };
        Cow::Owned(records.join(&b'\n'))
    }

    /// The records as `braid send` would send them to that source, each with the moment of that.
    ///
    /// # Errors
    /// If a header lacks what the source requires.
    pub(super) fn records(&self, source: &Source, args: &RowArgs) -> Result<Vec<(Line, i64)>> {
        let (mut rest, whole, sent_us) = match &self.content {
            Content::Lines { text, whole, sent_us } => (text.as_slice(), *whole, *sent_us),
            Content::Records(records) => return Ok(records.clone()),
        };
        let mut rows = Rows::of(source, args)?;
        let mut records = Vec::new();
        while let Some(record) = rows.next(&mut rest, &self.of)? {
            if !is_blank(&record.text) {
                records.push((record, sent_us));
            }
        }
        let spans_lines = records.last().is_some_and(|(last, _)| last.text.contains(&b'\n'));
        if !whole && spans_lines {
            records.pop();
        }
        Ok(records)
    }
}

#[cfg(test)]
mod tests {
    use super::super::layout::Layout;
    use super::*;

    fn records(layout: Layout, text: &str, lines_max: usize) -> Vec<String> {
        let sample = Sample::read("a test".to_owned(), text.as_bytes(), lines_max, 7).expect("readable");
        let records = sample.records(&layout.source().expect("a source"), &RowArgs::default()).expect("rows");
        assert!(records.iter().all(|(_, sent_us)| *sent_us == 7));
        records.into_iter().map(|(record, _)| String::from_utf8(record.text).expect("a text")).collect()
    }

    #[test]
    fn no_more_lines_are_read_than_asked_for() {
        assert_eq!(records(Layout::Json, "{}\n\n[]\nx", 10), ["{}", "[]", "x"]);
        assert_eq!(records(Layout::Json, "{}\n\n[]\nx", 3), ["{}", "[]"]);
    }

    #[test]
    fn a_row_that_is_cut_off_is_left_out() {
        let text = "a,\"1\n2\"\nb,\"3\n4\"\nc,5\n";
        assert_eq!(records(Layout::Csv, text, 10), ["a,\"1\n2\"", "b,\"3\n4\"", "c,5"]);
        assert_eq!(records(Layout::Csv, text, 3), ["a,\"1\n2\""]);
    }
}
