//! Requests that are held back on their way, and arrive late.

use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;

const CHUNK: usize = 64 << 10;
const HEAD_END: &[u8] = b"\r\n\r\n";

/// What a bulk request writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Writes {
    /// Documents of an index.
    Documents,
    /// How far lanes have come, or what was refused.
    Progress,
}

/// What the server has answered to requests that arrived late.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Arrived {
    /// How many there were.
    pub requests: u64,
    /// How many documents they had.
    pub items: u64,
    /// For how many of these a later version was there (409).
    pub conflicts: u64,
}

/// What is held back, and what became of it.
#[derive(Debug, Default)]
pub(super) struct Holding {
    holds: watch::Sender<Option<Writes>>,
    held: AtomicU64,
    requests: AtomicU64,
    items: AtomicU64,
    conflicts: AtomicU64,
}

impl Writes {
    /// What the request with that begin writes; `None`: it is no bulk request.
    fn of(request: &[u8]) -> Option<Writes> {
        let line = request.split(|byte| *byte == b'\r').next().unwrap_or_default();
        let line = std::str::from_utf8(line).ok()?;
        let path = line.strip_prefix("POST /").filter(|path| path.contains("/_bulk"))?;
        Some(if path.starts_with("braid-progress.") { Writes::Progress } else { Writes::Documents })
    }
}

impl Holding {
    pub(super) fn begin(&self, writes: Writes) {
        self.holds.send_replace(Some(writes));
    }

    pub(super) fn end(&self) {
        self.holds.send_replace(None);
    }

    pub(super) fn held(&self) -> u64 {
        self.held.load(Ordering::SeqCst)
    }

    pub(super) fn arrived(&self) -> Arrived {
        let of = |count: &AtomicU64| count.load(Ordering::SeqCst);
        Arrived { requests: of(&self.requests), items: of(&self.items), conflicts: of(&self.conflicts) }
    }

    /// What the request with that begin writes, if it is held back.
    pub(super) fn holds(&self, request: &[u8]) -> Option<Writes> {
        let holds = *self.holds.borrow();
        Writes::of(request).filter(|writes| holds == Some(*writes))
    }

    /// Holds a whole request back until it is to go on; then sends it, and returns the server's answer.
    pub(super) async fn pass(&self, writes: Writes, request: &[u8], server: &mut TcpStream) -> Result<Vec<u8>> {
        self.held.fetch_add(1, Ordering::SeqCst);
        let mut holds = self.holds.subscribe();
        let released = holds.wait_for(|holds| *holds != Some(writes)).await.map(drop);
        self.held.fetch_sub(1, Ordering::SeqCst);
        released?;
        server.write_all(request).await?;
        let answer = whole(server, Vec::new()).await?;
        let (items, conflicts) = statuses(&answer)?;
        self.items.fetch_add(items, Ordering::SeqCst);
        self.conflicts.fetch_add(conflicts, Ordering::SeqCst);
        self.requests.fetch_add(1, Ordering::SeqCst);
        Ok(answer)
    }
}

/// A whole message, of which that much was read.
pub(super) async fn whole(from: &mut TcpStream, mut message: Vec<u8>) -> Result<Vec<u8>> {
    let mut chunk = vec![0; CHUNK];
    loop {
        if let Some(length) = length(&message)?
            && message.len() >= length
        {
            return Ok(message);
        }
        let read = from.read(&mut chunk).await?;
        ensure!(read > 0, "the connection was closed within a message");
        message.extend_from_slice(&chunk[..read]);
    }
}

/// How many bytes a message has with its head; `None`: that is not there yet.
fn length(message: &[u8]) -> Result<Option<usize>> {
    let Some(at) = message.windows(HEAD_END.len()).position(|part| part == HEAD_END) else { return Ok(None) };
    let head = std::str::from_utf8(&message[..at])?.to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
    let length: usize = length.with_context(|| format!("no length in {head:?}"))?.trim().parse()?;
    Ok(Some(at + HEAD_END.len() + length))
}

/// How many items an answer to a bulk request has, and how many of them are conflicts.
fn statuses(answer: &[u8]) -> Result<(u64, u64)> {
    let at = answer.windows(HEAD_END.len()).position(|part| part == HEAD_END).context("no head")?;
    let body: Value = serde_json::from_slice(&answer[at + HEAD_END.len()..])?;
    let items = body["items"].as_array().with_context(|| format!("no answer to a bulk request: {body}"))?;
    let is_conflict = |item: &&Value| {
        item.as_object().is_some_and(|item| item.values().any(|result| result["status"].as_u64() == Some(409)))
    };
    Ok((items.len() as u64, items.iter().filter(is_conflict).count() as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_known_by_what_they_write() {
        assert_eq!(Writes::of(b"POST /braid.a.people.1.writes/_bulk?x=y HTTP/1.1\r\n"), Some(Writes::Documents));
        assert_eq!(Writes::of(b"POST /braid-progress.a.writes/_bulk HTTP/1.1\r\n"), Some(Writes::Progress));
        assert_eq!(Writes::of(b"GET /braid-progress.a/_doc/state HTTP/1.1\r\n"), None);
    }

    #[test]
    fn a_message_is_whole_once_its_body_is_there_and_conflicts_are_counted() {
        let body = r#"{"items":[{"index":{"status":409}},{"delete":{"status":200}},{"update":{"status":404}}]}"#;
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
        assert_eq!(length(&head.as_bytes()[..20]).expect("a head"), None);
        assert_eq!(length(head.as_bytes()).expect("a head"), Some(head.len() + body.len()));
        assert!(length(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").is_err());
        assert_eq!(statuses(format!("{head}{body}").as_bytes()).expect("an answer"), (3, 1));
    }
}
