//! Bytes → numbered lines, unpacked if they are compressed.
//!
//! A separate thread reads, because a terminal or a pipe may stay silent for ever, and the process must still be able to end.
//! The queue between this thread and the sender is short, so little is read ahead.

use std::fs::File;
use std::io::{BufRead, Read};
use std::path::Path;
use std::thread;

use anyhow::{Context, Result, anyhow, bail};
use tokio::sync::mpsc::{Receiver, Sender, channel};

use super::plain::plain;

/// A longer line is an error: the file probably has no lines. It is far above what a broker accepts as one record.
const LINE_BYTES_MAX: u64 = 16 << 20;
/// How many lines may wait to be sent.
const QUEUE_LINES: usize = 256;

/// A line without its line feed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// Counted from 1.
    pub(super) number: usize,
    pub(super) text: Vec<u8>,
}

/// Lines in the order of the input.
pub(super) struct Lines(Receiver<Result<Line>>);

impl Lines {
    /// The next line; nothing after the last one, or after an error.
    pub(super) async fn next(&mut self) -> Option<Result<Line>> {
        self.0.recv().await
    }
}

/// Opens a file, or standard input for `-`, and starts to read it.
pub(super) fn open(path: &Path) -> Result<Lines> {
    if path == Path::new("-") {
        return read("standard input".to_owned(), std::io::stdin());
    }
    let name = path.display().to_string();
    let file = File::open(path).with_context(|| format!("cannot read {name}"))?;
    read(name, file)
}

/// Reads lines from `input`; `name` is its name in errors.
fn read(name: String, input: impl Read + Send + 'static) -> Result<Lines> {
    let (sender, receiver) = channel(QUEUE_LINES);
    let work = move || {
        if let Err(error) = pass_on(input, &name, &sender) {
            // If the receiver is gone, the error is not needed.
            let _ = sender.blocking_send(Err(error));
        }
    };
    thread::Builder::new().name("lines".to_owned()).spawn(work).context("cannot start a thread that reads")?;
    Ok(Lines(receiver))
}

fn pass_on(input: impl Read, name: &str, sender: &Sender<Result<Line>>) -> Result<()> {
    let mut input = plain(input).with_context(|| format!("cannot read {name}"))?;
    for number in 1.. {
        let mut text = Vec::new();
        let read = input.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut text);
        let bytes = read.map_err(|error| anyhow!(error).context(format!("cannot read {name} at line {number}")))?;
        if bytes == 0 {
            return Ok(());
        }
        if text.last() == Some(&b'\n') {
            text.pop();
        } else if bytes as u64 == LINE_BYTES_MAX {
            bail!("line {number} of {name} is longer than {} MiB: is it one record a line?", LINE_BYTES_MAX >> 20);
        }
        if sender.blocking_send(Ok(Line { number, text })).is_err() {
            return Ok(());
        }
    }
    Ok(())
}

/// Whether the line is empty. A carriage return is part of the line end on some systems.
pub(super) fn is_blank(text: &[u8]) -> bool {
    matches!(text, b"" | b"\r")
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn lines_of(text: &'static [u8]) -> Vec<(usize, Vec<u8>)> {
        let mut lines = read("a test".to_owned(), text).expect("a thread");
        let mut all = Vec::new();
        while let Some(line) = lines.next().await {
            let Line { number, text } = line.expect("readable");
            all.push((number, text));
        }
        all
    }

    #[tokio::test]
    async fn lines_are_numbered_and_kept_as_they_are() {
        let lines = lines_of(b"{\"a\":1}\r\n\n  x\t\xff\nlast").await;
        let expected: [(usize, &[u8]); 4] = [(1, b"{\"a\":1}\r"), (2, b""), (3, b"  x\t\xff"), (4, b"last")];
        assert_eq!(lines, expected.map(|(number, text)| (number, text.to_vec())));
        assert!(lines_of(b"").await.is_empty());
        assert_eq!(lines_of(b"one\n").await.len(), 1);
    }

    #[tokio::test]
    async fn a_line_without_end_is_an_error() {
        let mut lines = read("a test".to_owned(), std::io::repeat(b'x')).expect("a thread");
        let error = lines.next().await.expect("an error").expect_err("an error");
        assert!(error.to_string().contains("line 1 of a test is longer than 16 MiB"), "{error}");
        assert!(lines.next().await.is_none());
    }

    #[test]
    fn only_a_line_end_is_blank() {
        assert!(is_blank(b"") && is_blank(b"\r"));
        assert!(!is_blank(b" ") && !is_blank(b"\t") && !is_blank(b"{}"));
    }
}
