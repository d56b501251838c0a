//! Documents, sent until each is written or refused for good (I3).
//!
//! While the server is away, full, blocked or has too much to do, it is waited for, and only what was not taken is sent again. Nothing is
//! left out. Whoever writes reads no further meanwhile.

use std::time::Instant;

use tokio_util::sync::CancellationToken;

use super::{BulkItem, SearchClient, SearchError};

/// How large the next request is. It becomes smaller where the server cannot keep up, and slowly larger again.
#[derive(Debug, Clone)]
pub struct Pace {
    /// The most bytes of the next request.
    bytes: usize,
    /// The most bytes of any.
    most: usize,
}

/// What became of documents.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Written {
    /// How many were there already, in that version or a later one.
    pub newer: u64,
    /// Those that the server refuses for good: their places among the items, and its words.
    pub refused: Vec<(usize, String)>,
}

/// Why documents were not all written. Some of them may have been.
#[derive(Debug, thiserror::Error)]
pub enum NotWritten {
    /// The index is gone.
    #[error("the search server has no index {index} any more")]
    NoIndex {
        /// The index.
        index: String,
    },
    /// They have waited for so long that the server may have forgotten what was deleted since (I1).
    #[error("documents for {index} have waited for too long to be written as they are")]
    TooOld {
        /// The index.
        index: String,
    },
    /// It was to stop.
    #[error("stopped while waiting for the search server")]
    Stopped,
    /// The server's answer makes no sense.
    #[error(transparent)]
    Search(SearchError),
}

impl Pace {
    /// Requests of less than 16 KiB are not made smaller.
    pub const LEAST: usize = 16 << 10;

    /// Begins with requests of at most that many bytes.
    pub fn new(most: usize) -> Pace {
        Pace { bytes: most.max(Pace::LEAST), most: most.max(Pace::LEAST) }
    }

    /// The most bytes of the next request.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The server could not keep up, or did not answer in time.
    pub fn slow_down(&mut self) {
        self.bytes = (self.bytes / 2).max(Pace::LEAST);
    }

    /// The server has taken a request as a whole.
    pub fn speed_up(&mut self) {
        self.bytes = (self.bytes + self.bytes / 8).min(self.most);
    }

    /// How many of these items the next request holds, at least one.
    pub fn next(&self, items: &[BulkItem]) -> usize {
        let mut bytes = 0;
        let fitting = items.iter().take_while(|item| {
            bytes += item.bytes();
            bytes <= self.bytes
        });
        fitting.count().max(1).min(items.len())
    }
}

impl SearchClient {
    /// Writes documents, of which no two have one id, until each is written, known to be there, or refused for good. After `too_old_at`
    /// nothing is sent any more. Waits are those of `search.retry_backoff`; the telemetry is `braid_index_back_pressure_total{index}`.
    ///
    /// # Errors
    /// [`NotWritten`].
    pub async fn write_all(
        &self,
        index: &str,
        items: &[BulkItem],
        pace: &mut Pace,
        too_old_at: Instant,
        stop: &CancellationToken,
    ) -> Result<Written, NotWritten> {
        todo!("A: {index} {} {pace:?} {too_old_at:?} {}", items.len(), stop.is_cancelled())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_as_large_as_the_server_takes() {
        let item = |bytes| BulkItem { id: "x".to_owned(), version: 1, document: Some(vec![b'x'; bytes]) };
        let items = [item(10_000), item(10_000), item(50_000), item(100)];
        let mut pace = Pace::new(32 << 10);
        assert_eq!(pace.next(&items), 2);
        pace.slow_down();
        assert_eq!((pace.next(&items), pace.next(&items[2..]), pace.next(&[])), (1, 1, 0));
        (0..20).for_each(|_| pace.slow_down());
        assert_eq!(pace.bytes(), Pace::LEAST);
        (0..20).for_each(|_| pace.speed_up());
        assert_eq!(pace.bytes(), 32 << 10);
    }
}
