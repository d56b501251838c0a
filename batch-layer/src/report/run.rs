//! Which days a run writes, in which order, and for how long each is waited for (P2, P3).

use std::time::Duration;

use metrics::{counter, gauge};
use platform::task::Backoff;
use shared_logic::catalog::Report;
use shared_logic::contracts::report::{DateNote, Note, path};
use shared_logic::report::{Layout, due, revised};
use shared_logic::time::{TimeRange, format_day, local_day, parse_day};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::info;

use super::outcome::{DateDone, DateOutcome, Run, Waiting};
use super::ready::{Ready, Standing};
use super::{ReportError, Reporter};

impl Reporter {
    /// P3: what is due at that moment: the days that were missed or have just ended, the oldest first; then those among the days of before
    /// that are calculated again, and those that may hold what was erased since they were written. The first that has to be waited for is waited
    /// for as long as `patience` allows, and not after `stop`; then only days with what was erased are still written, if they can be at once.
    ///
    /// # Errors
    /// [`ReportError`]. The days of before are committed.
    pub async fn run_due(
        &self,
        report: &Report,
        now_us: i64,
        patience: Duration,
        stop: &CancellationToken,
    ) -> Result<Run, ReportError> {
        let table = self.storage.report(&report.name).await?;
        let note = table.as_ref().and_then(|table| table.note()).map(|note| Note::clone(note)).unwrap_or_default();
        let written: Vec<i64> = note.dates.keys().filter_map(|date| parse_day(date)).collect();
        let due = due(report, &written, now_us);
        let mut run = self.run(report, &due, patience, stop).await?;
        if run.waiting.is_none() {
            let again = self.run(report, &revised(report, written, now_us), patience, stop).await?;
            run.dates.extend(again.dates);
            run.waiting = again.waiting;
        }
        // A day that is waited for, maybe for ever, keeps no other day from forgetting.
        let patience = if run.waiting.is_none() { patience } else { Duration::ZERO };
        let erased = self.run_erased(report, patience, stop).await?;
        run.dates.extend(erased.dates);
        run.waiting = run.waiting.or(erased.waiting);
        Ok(run)
    }

    /// P1: writes the days anew that may hold what was erased since they were written, the oldest first.
    ///
    /// # Errors
    /// [`ReportError`]. The days of before are committed.
    pub async fn run_erased(
        &self,
        report: &Report,
        patience: Duration,
        stop: &CancellationToken,
    ) -> Result<Run, ReportError> {
        let days = self.storage.erased_days(&self.catalog, report).await?;
        self.for_erased().run(report, &days.due, patience, stop).await
    }

    /// Writes these days, in this order. From the first on that is waited for in vain, the rest is left.
    ///
    /// # Errors
    /// [`ReportError`]. The days of before are committed.
    pub async fn run(
        &self,
        report: &Report,
        days: &[i64],
        patience: Duration,
        stop: &CancellationToken,
    ) -> Result<Run, ReportError> {
        let (name, table) = (report.name.clone(), path(&report.name));
        let mut run = Run { report: name, table, dates: Vec::new(), waiting: None };
        let deadline = Instant::now() + patience;
        for (done, day) in days.iter().enumerate() {
            let date = format_day(*day);
            let nth = format!("{date}: day {} of {}", done + 1, days.len());
            match self.wait_for(report, *day, &nth, deadline, stop).await? {
                Ok(done) => {
                    record(report, &done);
                    run.dates.push(done);
                }
                Err(waiting) => {
                    run.waiting = Some((date, waiting));
                    break;
                }
            }
        }
        if run.waiting.is_none() {
            self.arrivals.forget(&report.name);
        }
        Ok(run)
    }

    /// Writes a day as soon as all is there, but not later than the deadline. `nth` says which one of the run it is.
    async fn wait_for(
        &self,
        report: &Report,
        day: i64,
        nth: &str,
        deadline: Instant,
        stop: &CancellationToken,
    ) -> Result<Result<DateDone, Waiting>, ReportError> {
        let mut backoff = Backoff::new(self.settings.poll.get());
        loop {
            self.progress.say(nth);
            let waiting = match self.write(report, day).await? {
                Ok(done) => return Ok(Ok(done)),
                Err(waiting) => waiting,
            };
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || stop.is_cancelled() {
                return Ok(Err(waiting));
            }
            self.progress.say(format_args!("{nth}, waiting until {waiting}"));
            tokio::select! {
                () = tokio::time::sleep(backoff.wait().min(left)) => {}
                () = stop.cancelled() => {}
            }
        }
    }

    /// Writes a day, if all is there.
    async fn write(&self, report: &Report, day: i64) -> Result<Result<DateDone, Waiting>, ReportError> {
        let (date, times) = (format_day(day), self.times(report, day)?);
        let layout = Layout::of(&self.catalog, report);
        // Before the view, so that whoever commits between has not read a newer one, or is noticed.
        let mut table = self.storage.create_report(&report.name, &layout.in_table()).await?;
        let before =
            table.note().and_then(|note| note.dates.range(..date.clone()).next_back()).map(|(_, note)| note.clone());
        let ready = match self.ready(report, day, times, before.as_ref()).await? {
            Standing::Ready(ready) => ready,
            Standing::Waits(waiting) => return Ok(Err(waiting)),
            Standing::Retired => {
                let (rows, version) = (table.date(&date).map_or(0, |note| note.rows), table.version());
                return Ok(Ok(DateDone { date, outcome: DateOutcome::Retired, rows, version }));
            }
        };
        let Ready { view, note, arrived, tables, erased } = *ready;
        let offsets = tables.iter().map(|(name, table)| {
            (name.clone(), table.offsets.iter().map(|(id, offset)| (id.clone(), *offset)).collect())
        });
        let offsets = offsets.collect();
        let frames = tables.into_iter().map(|(name, table)| (name, table.rows)).collect();
        let rows = self.rows(report, times, &view, frames).await?;
        let of_date = DateNote {
            definition: self.catalog.report_definition(report),
            version: self.catalog.deployment.version.clone(),
            view_version: view.version(),
            cut: note.cut.clone(),
            arrived,
            tables: offsets,
            erased,
            rows: rows.height() as u64,
            committed_at_us: 0,
            revisions: 0,
        };
        self.commit(report, &mut table, &date, rows, of_date).await.map(Ok)
    }

    /// The instants of a day, which are those of whole buckets.
    fn times(&self, report: &Report, day: i64) -> Result<TimeRange, ReportError> {
        let (date, zone) = (format_day(day), report.time_zone.name());
        let Some(times) = local_day(day, report.time_zone) else { return Err(ReportError::NoDay { date, zone }) };
        let grain_us = self.catalog.metrics[&report.metric].grain_us;
        if times.widened(grain_us) == times { Ok(times) } else { Err(ReportError::Grain { date, zone }) }
    }
}

/// Logs and counts what was done with a day.
fn record(report: &Report, done: &DateDone) {
    let DateDone { date, outcome, rows, version } = done;
    let (name, outcome) = (report.name.clone(), outcome.name());
    counter!("braid_report_dates_total", "report" => name.clone(), "outcome" => outcome).increment(1);
    gauge!("braid_report_last_done_seconds", "report" => name).set(platform::clock::now_us() as f64 / 1e6);
    info!(report = report.name, date, outcome, rows, version, "a day of a report is done");
}
