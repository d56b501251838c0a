//! What a lane leaves for others to see while it does not go on: a note beside the archive of its source.
//!
//! Nothing depends on the note. It says that a lane has failed several times in a row, and why, or that it waits for a table; each further
//! failure, and waiting on, renews it. Who reads it holds what was published later against it, so a note that nobody removes is not
//! believed for long.
//!
//! Only the first failure may say why: a producer cannot start as long as the broker cannot end the transaction that a topic has refused. So
//! the last reason that names something to mend is kept while Kafka merely does not go on.

use std::sync::Arc;
use std::time::Duration;

use platform::clock;
use platform::store::StoreError;
use platform::telemetry::error_text;
use shared_logic::contracts::stream::Stopped;
use tracing::warn;

use super::source::Shared;

/// How many times in a row a lane has failed when it is worth a note. A rebalance, or a broker that restarts, interrupts one once or twice.
const NOTED_AFTER: u32 = 3;
/// How long the store may hold up a lane that tries again anyhow.
const WITHIN: Duration = Duration::from_secs(2);
/// How long a lane has waited for a table when it is worth a note, microseconds: rows are filled again within seconds.
const WAITED_US: i64 = 5_000_000;
/// After how many microseconds that note is written anew, so that nobody takes it for over.
const RENEWED_US: i64 = 30_000_000;

/// The note of a lane that fails.
pub struct StopNote {
    place: Place,
    failures: Failures,
}

/// The note of a lane that is open, and waits for a table before it decides more (B4).
pub struct WaitNote {
    place: Place,
    waited: Waited,
}

/// Where the note of a lane lies.
struct Place {
    shared: Arc<Shared>,
    partition: i32,
}

/// How long a lane has waited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Waited {
    /// Since when, microseconds since 1970.
    since_us: i64,
    /// When that was noted last.
    noted_us: Option<i64>,
}

/// What a failure says of its cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// What the broker refuses: it names the topic or the right.
    Named,
    /// Nothing: Kafka does not go on, maybe because of what has failed before.
    Unknown,
    /// Something else.
    Other,
}

/// How often a lane has failed since it has last published.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Failures {
    in_a_row: u32,
    /// When the first of them was, microseconds since 1970.
    since_us: i64,
    /// Whether the last of them came after the lane had opened.
    was_open: bool,
    /// The last reason that names a topic or a right, if nothing else has failed since than Kafka.
    named: Option<String>,
}

impl Failures {
    /// After another one. Returns since when the lane has failed, if that is to be noted.
    fn another(&mut self, was_open: bool, now_us: i64) -> Option<i64> {
        if self.in_a_row == 0 {
            self.since_us = now_us;
        }
        self.in_a_row = self.in_a_row.saturating_add(1);
        self.was_open = was_open;
        (self.in_a_row >= NOTED_AFTER).then_some(self.since_us)
    }

    /// Why the lane stands, after another one that says this.
    fn reason(&mut self, cause: Cause, why: String) -> String {
        match cause {
            Cause::Named => self.named = Some(why.clone()),
            Cause::Other => self.named = None,
            Cause::Unknown => {}
        }
        self.named.clone().unwrap_or(why)
    }

    /// Whether a lane that opens now has left behind what it had failed by. One that fails at work may open as often as it likes.
    fn are_over(&self) -> bool {
        !self.was_open
    }
}

impl Waited {
    /// Whether it is to be noted now that the lane still waits.
    fn still(&mut self, now_us: i64) -> bool {
        let is_due = match self.noted_us {
            None => now_us - self.since_us >= WAITED_US,
            Some(noted_us) => now_us - noted_us >= RENEWED_US,
        };
        if is_due {
            self.noted_us = Some(now_us);
        }
        is_due
    }
}

impl StopNote {
    /// The note of the lane of a partition.
    pub fn new(shared: Arc<Shared>, partition: i32) -> StopNote {
        StopNote { place: Place { shared, partition }, failures: Failures::default() }
    }

    /// The lane has opened. What another process has noted before is over, too, or will be noted again.
    pub async fn opened(&self) {
        if self.failures.are_over() {
            self.place.forget().await;
        }
    }

    /// The lane has published something.
    pub fn published(&mut self) {
        self.failures = Failures::default();
    }

    /// The lane has failed; `was_open`: at work, and not while it was opened.
    pub async fn failed(&mut self, was_open: bool, cause: Cause, why: String) {
        let (tried_us, why) = (clock::now_us(), self.failures.reason(cause, why));
        let Some(since_us) = self.failures.another(was_open, tried_us) else { return };
        self.place.note(Stopped { since_us, tried_us, why }).await;
    }
}

impl WaitNote {
    /// The note of the lane of a partition, which begins to wait.
    pub fn new(shared: Arc<Shared>, partition: i32) -> WaitNote {
        let waited = Waited { since_us: clock::now_us(), noted_us: None };
        WaitNote { place: Place { shared, partition }, waited }
    }

    /// The lane still waits, for this reason.
    pub async fn still(&mut self, why: String) {
        let tried_us = clock::now_us();
        if self.waited.still(tried_us) {
            self.place.note(Stopped { since_us: self.waited.since_us, tried_us, why }).await;
        }
    }

    /// The lane goes on.
    pub async fn is_over(self) {
        if self.waited.noted_us.is_some() {
            self.place.forget().await;
        }
    }
}

impl Place {
    async fn forget(&self) {
        let Place { shared, partition } = self;
        self.within(async {
            match shared.archive().await? {
                Some(archive) => archive.forget_stopped(&shared.deployment.version, *partition).await,
                None => Ok(()),
            }
        })
        .await;
    }

    async fn note(&self, stopped: Stopped) {
        let Place { shared, partition } = self;
        self.within(async {
            match shared.archive().await? {
                Some(archive) => archive.note_stopped(&shared.deployment.version, *partition, &stopped).await,
                // Everybody can see that nothing is archived.
                None => Ok(()),
            }
        })
        .await;
    }

    async fn within(&self, noted: impl Future<Output = Result<(), StoreError>>) {
        let (source, partition) = (&self.shared.source.name, self.partition);
        match tokio::time::timeout(WITHIN, noted).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                warn!(source, partition, error = error_text(&error), "cannot note how the lane stands");
            }
            Err(_) => warn!(source, partition, "the store did not take in time how the lane stands"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_failures_in_a_row_are_noted_since_the_first() {
        let mut failures = Failures::default();
        assert_eq!((failures.another(false, 10), failures.another(true, 20)), (None, None));
        assert_eq!((failures.another(false, 30), failures.another(false, 40)), (Some(10), Some(10)));
        failures = Failures::default();
        assert_eq!(failures.another(false, 50), None, "it has published in between");
    }

    #[test]
    fn a_lane_that_waits_says_so_after_a_while_and_again_now_and_then() {
        let mut waited = Waited { since_us: 100, noted_us: None };
        assert!(!waited.still(99 + WAITED_US) && waited.noted_us.is_none(), "rows are filled again within seconds");
        assert!(waited.still(100 + WAITED_US) && !waited.still(101 + WAITED_US));
        let renewed_us = 100 + WAITED_US + RENEWED_US;
        assert!(!waited.still(renewed_us - 1) && waited.still(renewed_us) && !waited.still(renewed_us + 1));
    }

    #[test]
    fn a_reason_that_names_a_topic_is_kept_while_kafka_does_not_go_on() {
        let mut failures = Failures::default();
        let mut reason = |cause, why: &str| failures.reason(cause, why.to_owned());
        assert_eq!(reason(Cause::Unknown, "no producer"), "no producer");
        assert_eq!(reason(Cause::Named, "topic a lacks replicas"), "topic a lacks replicas");
        assert_eq!(reason(Cause::Unknown, "no producer"), "topic a lacks replicas");
        assert_eq!(reason(Cause::Named, "topic b does not exist"), "topic b does not exist");
        assert_eq!(reason(Cause::Other, "another worker"), "another worker");
        assert_eq!(reason(Cause::Unknown, "no producer"), "no producer", "it is another failure now");
    }

    #[test]
    fn a_lane_that_fails_at_work_has_left_nothing_behind_when_it_opens() {
        let mut failures = Failures::default();
        assert!(failures.are_over(), "another process may have failed to open");
        failures.another(true, 10);
        assert!(!failures.are_over());
        failures.another(false, 20);
        assert!(failures.are_over());
    }
}
