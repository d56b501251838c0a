//! Alerts: one serving process judges them, and all tell what is known of them (A1 to A4).
//!
//! What is known lies in a compacted topic, and is written in one transaction with the records of what has changed. All processes of a deployment
//! write under one transactional id, so whoever starts a producer under it fences the one before. Who judges says so every few seconds
//! in the same topic, and the others take over only after a silence of `alerts.lease`: so they do not fence each other again and again. That
//! is a hint. What decides is the fence: the transaction of a process that was overtaken fails, whatever it has judged.
//!
//! - `log`: where all of it is written, Kafka or a stand-in in tests; `kafka`: the first of them;
//! - `seen`: what this process has read of it, and whether it may take over;
//! - `clock`: when it is, and whether that can be believed;
//! - `asked`: the values of an alert's windows, from merged answers; `round`: all alerts, judged once;
//! - `lead`: what a process does that judges; `post`: it posts notifications;
//! - `standing`: what requests are told.

mod asked;
mod clock;
mod kafka;
mod lead;
mod log;
mod post;
mod round;
mod seen;
mod standing;

use std::sync::Arc;
use std::time::Duration;

use platform::settings;
use platform::shutdown::Shutdown;
use platform::task::Backoff;
use platform::telemetry::error_text;
use tracing::{info, warn};

use crate::versions::Versions;
pub use clock::AlertClock;
use clock::Clock;
pub(crate) use kafka::KafkaAlerts;
use lead::{Ended, NotJudged};
pub use log::{AlertLog, AlertRead, AlertRecords, AlertWriter, NoAlertTopics, StoredRecord};
use seen::Seen;
pub(crate) use standing::{Role, Standing, Standings};

/// The first wait after a failure.
const FIRST_WAIT: Duration = Duration::from_millis(500);

/// What alerts are judged with.
#[derive(Clone, Copy)]
pub(crate) struct Judging<'a> {
    /// Where requests are told what is known.
    pub(crate) standings: &'a Standings,
    /// The versions, of which the active one is judged.
    pub(crate) versions: &'a Versions,
    /// The limits of an answer.
    pub(crate) http: &'a settings::Http,
    /// What the wall clock says.
    pub(crate) clock: &'a AlertClock,
}

/// Judges alerts where no other process does, and follows what is known of them elsewhere, until a stop is requested.
pub(crate) async fn run(judging: Judging<'_>, log: Arc<dyn AlertLog>, shutdown: Shutdown) {
    let (mut seen, mut backoff) = (Seen::new(judging.standings.settings().lease.get()), Backoff::new(FIRST_WAIT));
    let mut clock = Clock::new(judging.clock, judging.standings.settings().stale_after.get());
    let mut versions = judging.versions.changes();
    while !shutdown.is_requested() {
        let wait = match attend(judging, log.as_ref(), &mut seen, &mut clock, &shutdown).await {
            Ok(wait) => {
                backoff.reset();
                wait
            }
            Err(error) => {
                let (reason, wait) = (error_text(&error), backoff.wait());
                let is_news = judging.standings.fails(&seen, reason.clone());
                // Without alerts it is of no interest that nobody can say whether there were some.
                if is_news && !judging.versions.hosted().active().catalog.alerts.is_empty() {
                    warn!(error = reason, "alerts are not judged by this process; trying again");
                }
                Some(wait)
            }
        };
        let waited = async {
            match wait {
                Some(wait) => tokio::time::sleep(wait).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = waited => {}
            // Another catalog may declare alerts.
            changed = versions.changed() => if changed.is_err() { return },
            () = shutdown.requested() => {}
        }
    }
}

/// Looks once, and judges for as long as this process is the one that does. Returns in how long to look again; `None`: when another
/// version is active.
async fn attend(
    judging: Judging<'_>,
    log: &dyn AlertLog,
    seen: &mut Seen,
    clock: &mut Clock,
    shutdown: &Shutdown,
) -> Result<Option<Duration>, NotJudged> {
    let settings = judging.standings.settings();
    // Also while others judge: whoever takes over knows whether the clock was set.
    clock.look();
    let exists = seen.refresh(log).await?;
    let are_declared = !judging.versions.hosted().active().catalog.alerts.is_empty();
    // What is owed of alerts that are declared no more is still to be posted, by whoever judges.
    let is_owed = !seen.states.undelivered.is_empty() && !settings.webhook_url.reveal().is_empty();
    if !are_declared && (!exists || (seen.states.alerts.is_empty() && !is_owed)) {
        judging.standings.tell(Role::Idle, seen);
        return Ok(None);
    }
    if let Some(wait) = seen.wait() {
        judging.standings.tell(Role::Following, seen);
        // Often enough to hear of every beat.
        return Ok(Some(wait.min(settings.lease.get() / 4)));
    }
    // A process that cannot answer yet would only find that nothing is known.
    let active = Arc::clone(judging.versions.hosted().active());
    let whole = active.snapshots.whole(&active.catalog);
    tokio::time::timeout(settings.lease.get() / 4, whole).await.map_err(|_| NotJudged::Loading)?;
    let ended = lead::lead(judging, log, seen, clock, shutdown).await;
    metrics::gauge!("braid_alert_judging").set(0.0);
    match ended? {
        Ended::Stopped => {}
        Ended::Overtaken => {
            info!("another process judges the alerts now");
            seen.gives_way();
        }
    }
    Ok(Some(Duration::ZERO))
}
