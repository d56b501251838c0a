//! What a process does that judges: it judges, writes what has changed with what is known, and posts what receivers are to be told.

use std::sync::Arc;
use std::time::Duration;

use platform::failpoints;
use platform::kafka::{KafkaError, TransactionError};
use platform::shutdown::Shutdown;
use platform::webhook::WebhookError;
use shared_logic::alert::Receiver;
use shared_logic::contracts::alert::{Judge, delivered_record, judge_record};
use tokio::time::Instant;
use tracing::info;

use super::Judging;
use super::asked::Asking;
use super::clock::{Clock, Moment};
use super::log::{AlertLog, AlertRecords, AlertWriter, NoAlertTopics};
use super::post::{self, DROPPED_AT_ONCE, OWED_MAX, Posted, Poster};
use super::round::Round;
use super::seen::Seen;
use super::standing::Role;

/// How often within a lease a process says that it judges.
const BEATS: u32 = 4;

/// How judging has ended without a failure.
pub(super) enum Ended {
    /// A stop is requested.
    Stopped,
    /// Another process judges.
    Overtaken,
}

/// Why alerts cannot be judged by this process now.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotJudged {
    /// Nothing can be answered yet.
    #[error("the batch views are still being loaded")]
    Loading,
    /// Kafka does not answer.
    #[error(transparent)]
    Kafka(#[from] KafkaError),
    /// There are no topics to write to.
    #[error(transparent)]
    Topics(#[from] NoAlertTopics),
    /// A transaction failed; what became of it, the next look says.
    #[error(transparent)]
    Transaction(TransactionError),
    /// The receiver of notifications cannot be used.
    #[error(transparent)]
    Webhook(#[from] WebhookError),
}

/// One process's time as the one that judges.
struct Lead<'a> {
    judging: Judging<'a>,
    seen: &'a mut Seen,
    clock: &'a mut Clock,
    writer: Option<Box<dyn AlertWriter>>,
    poster: Poster,
    beat: u64,
    beaten: Instant,
    /// Notifications that were taken, and whose notes are still there.
    taken: Vec<u64>,
}

/// Takes over and judges until a stop is requested, or another process takes over.
pub(super) async fn lead(
    judging: Judging<'_>,
    log: &dyn AlertLog,
    seen: &mut Seen,
    clock: &mut Clock,
    shutdown: &Shutdown,
) -> Result<Ended, NotJudged> {
    let poster = Poster::new(judging.standings.settings())?;
    log.create().await?;
    failpoints::pass("alerts::before_init");
    let writer = match log.take_over().await {
        Ok(writer) => writer,
        Err(TransactionError::Fenced { .. }) => return Ok(Ended::Overtaken),
        Err(error) => return Err(NotJudged::Transaction(error)),
    };
    // As T4: only now nothing that another process has left open can be committed any more.
    seen.refresh(log).await?;
    seen.leads();
    let beat = seen.states.judge.as_ref().map_or(0, |judge| judge.beat);
    let (writer, beaten) = (Some(writer), Instant::now());
    let mut lead = Lead { judging, seen, clock, writer, poster, beat, beaten, taken: Vec::new() };
    match lead.run(shutdown).await {
        Err(NotJudged::Transaction(TransactionError::Fenced { .. })) => Ok(Ended::Overtaken),
        ended => ended.map(|()| Ended::Stopped),
    }
}

impl Lead<'_> {
    async fn run(&mut self, shutdown: &Shutdown) -> Result<(), NotJudged> {
        let every = self.judging.standings.settings().every.get();
        // Nothing is judged before the others know who does.
        self.commit(AlertRecords::default(), false).await?;
        info!("this process judges the alerts");
        metrics::gauge!("braid_alert_judging").set(1.0);
        let mut next = Instant::now();
        while !shutdown.is_requested() {
            if Instant::now() >= next {
                next = Instant::now() + every;
                self.judge().await?;
            }
            self.poster.begin(&self.seen.states);
            let wake = if self.seen.states.undelivered.is_empty() { next } else { next.min(self.retry(next)) };
            tokio::select! {
                () = tokio::time::sleep_until(wake) => {}
                posted = self.poster.ended() => self.posted(posted).await?,
                () = shutdown.requested() => {}
            }
        }
        self.commit(AlertRecords::default(), true).await
    }

    /// When the poster may go on, or `otherwise` if it does not wait.
    fn retry(&self, otherwise: Instant) -> Instant {
        let at = self.poster.next_try();
        if at > Instant::now() { at } else { otherwise }
    }

    /// Judges all alerts once, and writes what is due.
    async fn judge(&mut self) -> Result<(), NotJudged> {
        let settings = self.judging.standings.settings();
        let version = Arc::clone(self.judging.versions.hosted().active());
        let Moment { now_us, doubt } = self.clock.look();
        let asking = Asking {
            version: &version,
            http: self.judging.http,
            stale_after_us: i64::try_from(settings.stale_after.get().as_micros()).unwrap_or(i64::MAX),
            // The others have to hear of this process meanwhile.
            within: settings.lease.get() / BEATS,
            now_us,
            doubt,
        };
        let round = Round::judge(&asking, &self.seen.states).await;
        if !round.has_changes() && self.beaten.elapsed() < self.beats_every() {
            return Ok(());
        }
        for change in round.changes() {
            info!(alert = change.alert, from = %change.from, to = %change.to, reason = change.reason, "an alert has changed");
        }
        let receiver = self.poster.has_receiver().then(|| Receiver {
            deployment: version.catalog.deployment.name.clone(),
            external_url: settings.external_url.clone(),
        });
        self.commit(round.records(&self.seen.states, receiver.as_ref()), false).await?;
        round.count();
        Ok(())
    }

    /// Takes what became of a notification.
    async fn posted(&mut self, posted: Posted) -> Result<(), NotJudged> {
        match posted {
            Posted::Failed(reason) => self.judging.standings.posted(Some(reason)),
            Posted::Taken(number) => {
                failpoints::pass("alerts::after_post");
                self.taken.push(number);
                self.judging.standings.posted(None);
                self.commit(AlertRecords::default(), false).await?;
            }
        }
        Ok(())
    }

    /// Writes these records, with who judges and what was delivered, in one transaction.
    async fn commit(&mut self, mut records: AlertRecords, resigned: bool) -> Result<(), NotJudged> {
        self.beat += 1;
        records.states.extend(self.taken.drain(..).map(delivered_record));
        let judge = Judge { process: self.seen.process.clone(), beat: self.beat, resigned };
        records.states.push(judge_record(&judge));
        let dropped = self.seen.states.superfluous(&records.states, OWED_MAX, self.poster.posting());
        // The others go with the next ones.
        let dropped = &dropped[..dropped.len().min(DROPPED_AT_ONCE)];
        records.states.extend(dropped.iter().map(|(number, _)| delivered_record(*number)));
        let states = records.states.clone();
        let Some(writer) = self.writer.take() else { return Ok(()) };
        failpoints::pass("alerts::before_commit");
        self.writer = Some(writer.commit(records).await.map_err(NotJudged::Transaction)?);
        failpoints::pass("alerts::after_commit");
        self.beaten = Instant::now();
        post::count_dropped(dropped);
        self.seen.take(&states);
        self.judging.standings.tell(Role::Judging, self.seen);
        Ok(())
    }

    fn beats_every(&self) -> Duration {
        self.judging.standings.settings().lease.get() / BEATS
    }
}
