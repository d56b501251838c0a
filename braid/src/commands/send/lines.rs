//! Bytes → numbered records, unpacked if they are compressed.
//!
//! A separate thread reads, because a terminal or a pipe may stay silent for ever, and the process must still be able to end.
//! The queue between this thread and the sender is short, so little is read ahead.

use std::io::Read;
use std::path::Path;
use std::thread;

use anyhow::{Context, Result};
use input::plain::plain;
use input::rows::{Line, Rows};
use tokio::sync::mpsc::{Receiver, Sender, channel};

/// How many records may wait to be sent.
const QUEUE_LINES: usize = 256;

/// Records in the order of the input.
pub(super) struct Lines(Receiver<Result<Line>>);

impl Lines {
    /// The next record; nothing after the last one, or after an error.
    pub(super) async fn next(&mut self) -> Option<Result<Line>> {
        self.0.recv().await
    }
}

/// Opens a file, or standard input for `-`, and starts to read it; `rows` tells its records apart.
pub(super) fn open(path: &Path, rows: Rows) -> Result<Lines> {
    let (name, input) = input::open(path)?;
    read(name, input, rows)
}

/// Reads records from `input`; `name` is its name in errors.
fn read(name: String, input: impl Read + Send + 'static, rows: Rows) -> Result<Lines> {
    let (sender, receiver) = channel(QUEUE_LINES);
    let work = move || {
        if let Err(error) = pass_on(input, &name, rows, &sender) {
            // If the receiver is gone, the error is not needed.
            let _ = sender.blocking_send(Err(error));
        }
    };
    thread::Builder::new().name("lines".to_owned()).spawn(work).context("cannot start a thread that reads")?;
    Ok(Lines(receiver))
}

fn pass_on(input: impl Read + Send, name: &str, mut rows: Rows, sender: &Sender<Result<Line>>) -> Result<()> {
    let mut input = plain(input).with_context(|| format!("cannot read {name}"))?;
    while let Some(line) = rows.next(&mut input, name)? {
        if sender.blocking_send(Ok(line)).is_err() {
            return Ok(());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use input::rows::RowArgs;
    use shared_logic::catalog::Catalog;

    use super::*;

    fn rows() -> Rows {
        let catalog = Catalog::parse(crate::catalog_file::SHIPPED).expect("the shipped catalog is valid");
        Rows::of(&catalog.sources["views"], &RowArgs::default()).expect("records are lines")
    }

    async fn lines_of(text: &'static [u8]) -> Vec<(usize, Vec<u8>)> {
        let mut lines = read("a test".to_owned(), text, rows()).expect("a thread");
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
        let mut lines = read("a test".to_owned(), std::io::repeat(b'x'), rows()).expect("a thread");
        let error = lines.next().await.expect("an error").expect_err("an error");
        assert!(error.to_string().contains("line 1 of a test is longer than 16 MiB"), "{error}");
        assert!(lines.next().await.is_none());
    }
}
