//! Documents, sent until each is written or refused for good (I3).
//!
//! While the server is away, full, blocked or has too much to do, it is waited for, and only what was not taken is sent again. Nothing is
//! left out. Whoever writes reads no further meanwhile.

use std::time::{Duration, Instant};

use metrics::counter;
use shared_logic::contracts::index::alias;
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use super::{BulkItem, BulkOutcome, SearchClient, SearchError};

/// The longest wait, as a multiple of the first.
const LONGEST: u32 = 32;
/// How often a wait is logged.
const LOGGED_EVERY: Duration = Duration::from_secs(60);
const TOO_LARGE: &str = "document_too_large: the server takes no request that is as large as this document alone (413)";

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
    #[error(
        "documents for {index} have waited for too long to be written as they are; try again, which begins with what is newest"
    )]
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
        self.next_of(items.iter())
    }

    fn next_of<'i>(&self, items: impl ExactSizeIterator<Item = &'i BulkItem>) -> usize {
        let (mut bytes, number) = (0, items.len());
        let fitting = items.take_while(|item| {
            bytes += item.bytes();
            bytes <= self.bytes
        });
        fitting.count().max(1).min(number)
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
        let mut written = Written::default();
        let mut left: Vec<usize> = (0..items.len()).collect();
        let mut waits = Waits::new(self, index);
        // How many items a request may hold, after one was too large.
        let mut most = usize::MAX;
        while !left.is_empty() {
            if stop.is_cancelled() {
                return Err(NotWritten::Stopped);
            }
            if Instant::now() >= too_old_at {
                return Err(NotWritten::TooOld { index: index.to_owned() });
            }
            let number = pace.next_of(left.iter().map(|at| &items[*at])).min(most);
            let rest = left.split_off(number);
            let sent = std::mem::replace(&mut left, rest);
            let request: Vec<&BulkItem> = sent.iter().map(|at| &items[*at]).collect();
            let answered = tokio::select! {
                biased;
                () = stop.cancelled() => return Err(NotWritten::Stopped),
                answered = self.bulk_of(index, &request) => answered,
            };
            let (again, why) = match answered {
                Ok(outcomes) => take(index, &sent, outcomes, &mut written)?,
                Err(SearchError::TooLarge { .. }) if number == 1 => {
                    written.refused.push((sent[0], TOO_LARGE.to_owned()));
                    continue;
                }
                Err(SearchError::TooLarge { .. }) => {
                    most = number / 2;
                    pace.slow_down();
                    left.splice(..0, sent);
                    continue;
                }
                Err(SearchError::NoIndex { .. }) => return Err(NotWritten::NoIndex { index: index.to_owned() }),
                Err(error) if error.is_back_pressure() || matches!(error, SearchError::NotAllowed { .. }) => {
                    (sent, Some(error))
                }
                Err(error) => return Err(NotWritten::Search(error)),
            };
            let Some(why) = why else {
                pace.speed_up();
                most = most.saturating_mul(2);
                waits.over();
                continue;
            };
            pace.slow_down();
            if again.len() < number {
                // The server takes some: it is not away.
                waits.over();
            }
            left.splice(..0, again);
            tokio::select! {
                biased;
                () = stop.cancelled() => return Err(NotWritten::Stopped),
                () = waits.next(&why) => {}
            }
        }
        written.refused.sort_by_key(|(at, _)| *at);
        Ok(written)
    }
}

/// Notes what became of the items of a request. What is to be sent again, and why.
fn take(
    index: &str,
    sent: &[usize],
    outcomes: Vec<BulkOutcome>,
    written: &mut Written,
) -> Result<(Vec<usize>, Option<SearchError>), NotWritten> {
    let (mut again, mut why) = (Vec::new(), None);
    for (at, outcome) in sent.iter().zip(outcomes) {
        match outcome {
            BulkOutcome::Done => {}
            BulkOutcome::Newer => written.newer += 1,
            BulkOutcome::Refused(reason) => written.refused.push((*at, reason)),
            BulkOutcome::NoIndex => return Err(NotWritten::NoIndex { index: index.to_owned() }),
            BulkOutcome::Later(reason) => {
                again.push(*at);
                why = Some(SearchError::Busy { operation: "write documents", status: 503, reason });
            }
        }
    }
    Ok((again, why))
}

/// Waits for the server, and logs what for.
struct Waits<'a> {
    index: &'a str,
    /// The name of the index in telemetry: without the number of the build.
    label: String,
    first: Duration,
    times: u32,
    logged: Option<Instant>,
}

impl<'a> Waits<'a> {
    fn new(client: &SearchClient, index: &'a str) -> Waits<'a> {
        let name = index.strip_prefix(&alias(&client.deployment, "")).unwrap_or(index);
        let label = name.rsplit_once('.').map_or(name, |(name, _)| name).to_owned();
        Waits { index, label, first: client.settings.retry_backoff.get(), times: 0, logged: None }
    }

    /// The server has taken something.
    fn over(&mut self) {
        self.times = 0;
    }

    async fn next(&mut self, why: &SearchError) {
        counter!("braid_index_back_pressure_total", "index" => self.label.clone()).increment(1);
        let index = self.index;
        if self.logged.is_none_or(|logged| logged.elapsed() >= LOGGED_EVERY) {
            self.logged = Some(Instant::now());
            if why.is_back_pressure() {
                warn!(index, "documents wait for the search server: {why}");
            } else {
                error!(index, "documents wait, as nothing can be written: {why}");
            }
        }
        let wait = self.first.saturating_mul(2_u32.saturating_pow(self.times).min(LONGEST));
        self.times = self.times.saturating_add(1);
        tokio::time::sleep(wait).await;
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
