//! Reports of the source: their days are written anew that may hold what was erased, and those that cannot be are named.
//!
//! Which days these are follows from the report's table and the archives ([`ErasedDays`]), so an erase that was killed, or a run of the report
//! at its own schedule, goes on with those that are left.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;
use shared_logic::catalog::{Catalog, Report};
use shared_logic::time::format_day;
use storage::{ErasedDays, Storage};
use tokio_util::sync::CancellationToken;

use super::EraseError;
use crate::report::{DateOutcome, Reporter, Run};

/// What became of a report.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ErasedReport {
    /// How many days were written anew: their rows are others now.
    pub revised: u64,
    /// How many were computed again, with the same rows.
    pub unchanged: u64,
    /// Why days are left that may hold what was erased, and until when; `None`: none is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waiting: Option<String>,
    /// What stays in it: days that cannot be written anew, or only with what was not found.
    #[serde(skip)]
    pub(super) stays: Vec<String>,
}

/// Writes the days of the reports anew that count a source, or join it, and may hold what was erased of it. Waits for each report that long.
///
/// # Errors
/// If a report cannot be read or written. Days that were written before stay.
pub(super) async fn written_anew(
    reporter: &Reporter,
    storage: &Storage,
    catalog: &Catalog,
    source: &str,
    patience: Duration,
) -> Result<BTreeMap<String, ErasedReport>, EraseError> {
    let (mut reports, stop) = (BTreeMap::new(), CancellationToken::new());
    for report in catalog.reports_of(source) {
        let run = reporter.run_erased(report, patience, &stop).await?;
        let days = storage.erased_days(catalog, report).await?;
        reports.insert(report.name.clone(), ErasedReport::new(report, &run, &days));
    }
    Ok(reports)
}

impl ErasedReport {
    /// What a run did, and which days are left.
    fn new(report: &Report, run: &Run, days: &ErasedDays) -> ErasedReport {
        let with = |outcome| run.dates.iter().filter(|done| done.outcome == outcome).count() as u64;
        let waiting = run.waiting.as_ref().map(|(date, waiting)| {
            format!("{date} and what follows may hold what was erased, until {waiting}; the report's own runs go on")
        });
        let mut stays = Vec::new();
        if let Some(which) = listed(&days.not_in_view) {
            stays.push(format!(
                "rows of the report {} of {which}: the view of {} does not hold these days any more, so they cannot be written anew",
                report.name, report.metric
            ));
        }
        if let Some(which) = listed(&days.retired) {
            stays.push(format!(
                "rows of the report {} of {which}, as far as events of these days were retired (`retain`) before they could be found",
                report.name
            ));
        }
        let revised = with(DateOutcome::Revised) + with(DateOutcome::LeftToAnother);
        ErasedReport { revised, unchanged: with(DateOutcome::Unchanged), waiting, stays }
    }
}

/// Days as a person reads them; `None` if there are none.
fn listed(days: &[i64]) -> Option<String> {
    let (first, last) = (days.first()?, days.last()?);
    Some(match days.len() {
        1 => format_day(*first),
        count => format!("{count} days from {} to {}", format_day(*first), format_day(*last)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{DateDone, Waiting};

    const CATALOG: &str = "[sources.clicks]\nevent_time = \"at\"\n[sources.clicks.fields]\nat = \"timestamp\"\nuser = \"string\"\n\
                           [metrics.m]\nsource = \"clicks\"\nby = [\"user\"]\n[metrics.m.measures]\nn = \"count()\"\n\
                           [reports.r]\nmetric = \"m\"\nschedule = \"0 0 2 * * *\"\n";

    #[test]
    fn days_that_were_written_anew_are_counted_and_those_that_cannot_be_are_named() {
        let catalog = Catalog::parse(CATALOG).unwrap_or_else(|mistakes| panic!("{mistakes:?}"));
        let done = |outcome| DateDone { date: "1970-01-02".to_owned(), outcome, rows: 1, version: 3 };
        let dates = [DateOutcome::Revised, DateOutcome::Unchanged, DateOutcome::Revised].map(done).to_vec();
        let waiting = Some(("1970-01-09".to_owned(), Waiting::Erased { metric: "m".to_owned(), is_paused: true }));
        let run = Run { report: "r".to_owned(), table: "warehouse/r".to_owned(), dates, waiting };
        let days = ErasedDays { due: vec![8], not_in_view: vec![0, 1, 4], retired: vec![5] };
        let said = ErasedReport::new(&catalog.reports["r"], &run, &days);
        assert_eq!((said.revised, said.unchanged), (2, 1));
        assert!(
            said.waiting.as_ref().is_some_and(|why| why.contains("1970-01-09") && why.contains("paused")),
            "{said:?}"
        );
        assert!(said.stays[0].contains("r of 3 days from 1970-01-01 to 1970-01-05: the view of m"), "{said:?}");
        assert!(said.stays[1].contains("r of 1970-01-06, as far as"), "{said:?}");
        let nothing = Run { waiting: None, dates: Vec::new(), ..run };
        let report = &catalog.reports["r"];
        assert_eq!(ErasedReport::new(report, &nothing, &ErasedDays::default()), ErasedReport::default());
    }
}
