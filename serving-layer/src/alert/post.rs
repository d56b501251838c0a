//! Posts notifications, one after the other, until the receiver has taken them.
//!
//! A notification is noted in the transaction of its change, and its note is removed once it was taken. A process that dies in between leaves the
//! note to the next one, which posts it again: the receiver drops it by its id.
//!
//! What waits for a receiver that is away is bounded: beyond [`OWED_MAX`], older notifications of alerts that have changed since are dropped.

use std::time::Duration;

use platform::settings;
use platform::task::Backoff;
use platform::telemetry::error_text;
use platform::webhook::{Webhook, WebhookError};
use shared_logic::contracts::alert::{AlertStates, Undelivered};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tracing::warn;

/// The wait before a notification is posted again, doubled up to 32 times this.
const FIRST_WAIT: Duration = Duration::from_secs(1);

/// How many notifications may wait for the receiver.
pub(super) const OWED_MAX: usize = 1_000;

/// How many of those that are too many go in one transaction, which has to end in time.
pub(super) const DROPPED_AT_ONCE: usize = 10_000;

/// Posts what is not delivered yet.
pub(super) struct Poster {
    webhook: Option<Webhook>,
    under_way: Option<(u64, JoinHandle<Result<(), WebhookError>>)>,
    not_before: Instant,
    backoff: Backoff,
}

/// What became of a notification.
pub(super) enum Posted {
    /// The receiver has taken the one with that number.
    Taken(u64),
    /// It is posted again later.
    Failed(String),
}

impl Poster {
    /// Posts to the receiver of the settings, if they name one.
    ///
    /// # Errors
    /// If it cannot be used.
    pub(super) fn new(settings: &settings::Alerts) -> Result<Poster, WebhookError> {
        Ok(Poster {
            webhook: Webhook::new(settings)?,
            under_way: None,
            not_before: Instant::now(),
            backoff: Backoff::new(FIRST_WAIT),
        })
    }

    /// Whether there is a receiver.
    pub(super) fn has_receiver(&self) -> bool {
        self.webhook.is_some()
    }

    /// The number of the notification that is under way.
    pub(super) fn posting(&self) -> Option<u64> {
        self.under_way.as_ref().map(|(number, _)| *number)
    }

    /// Begins to post the oldest notification, if it is time.
    pub(super) fn begin(&mut self, states: &AlertStates) {
        let Some(webhook) = &self.webhook else { return };
        if self.under_way.is_some() || Instant::now() < self.not_before {
            return;
        }
        let Some(Undelivered { id, number, body }) = states.undelivered.values().next().cloned() else { return };
        let webhook = webhook.clone();
        self.under_way = Some((number, tokio::spawn(async move { webhook.post(&id, &body).await })));
    }

    /// Waits until the one that is under way was taken or not; without one, for ever.
    pub(super) async fn ended(&mut self) -> Posted {
        let Some((number, task)) = &mut self.under_way else { return std::future::pending().await };
        let (number, outcome) = (*number, platform::task::joined(task.await));
        self.under_way = None;
        let word = if outcome.is_ok() { "taken" } else { "failed" };
        metrics::counter!("braid_alert_posts_total", "outcome" => word).increment(1);
        match outcome {
            Ok(()) => {
                self.backoff.reset();
                Posted::Taken(number)
            }
            Err(error) => {
                let (reason, wait) = (error_text(&error), self.backoff.wait());
                warn!(
                    error = reason,
                    wait_ms = wait.as_millis(),
                    "a notification could not be delivered; trying again"
                );
                self.not_before = Instant::now() + wait;
                Posted::Failed(reason)
            }
        }
    }

    /// When to try again, if something failed.
    pub(super) fn next_try(&self) -> Instant {
        self.not_before
    }
}

/// Says that these notifications are posted no more: their numbers, and the ids of their changes.
pub(super) fn count_dropped(dropped: &[(u64, String)]) {
    if let Some((_, first)) = dropped.first() {
        metrics::counter!("braid_alert_dropped_total").increment(dropped.len() as u64);
        warn!(
            dropped = dropped.len(),
            first, "more than {OWED_MAX} notifications wait for the receiver; the oldest ones are dropped"
        );
    }
}

impl Drop for Poster {
    fn drop(&mut self) {
        if let Some((_, task)) = &self.under_way {
            task.abort();
        }
    }
}
