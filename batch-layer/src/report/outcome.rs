//! What a run of a report did, and what it waits for.

use std::fmt;

use serde_json::{Value, json};
use shared_logic::report::Lacking;
use shared_logic::time::format_rfc3339;

/// What a run did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// The report's name.
    pub report: String,
    /// The table, below the deployment's folder.
    pub table: String,
    /// The days that were done, in that order.
    pub dates: Vec<DateDone>,
    /// The day that could not be written yet, and why. Days behind it were not tried.
    pub waiting: Option<(String, Waiting)>,
}

/// What was done with a day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DateDone {
    /// The day, `YYYY-MM-DD`.
    pub date: String,
    /// What was done.
    pub outcome: DateOutcome,
    /// How many rows it has.
    pub rows: u64,
    /// The version of the table that holds it.
    pub version: u64,
}

/// What was done with a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DateOutcome {
    /// Its rows were written for the first time.
    Written,
    /// They were written before and say something else now, for later events or another definition.
    Revised,
    /// They say what they did.
    Unchanged,
    /// The view does not hold the day any more (`retain`), so what was written stays as it is.
    Retired,
    /// Another run has written them meanwhile, from a view that is not older.
    LeftToAnother,
}

/// What is waited for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Waiting {
    /// The day is not settled yet.
    Settles {
        /// When it is, microseconds since 1970.
        at_us: i64,
    },
    /// Nothing was ever archived.
    NotArchived {
        /// The source or table.
        source: String,
    },
    /// The topic does not exist, and its log is not closed.
    NoTopic {
        /// The topic.
        topic: String,
    },
    /// The topic is another one than the archive knows.
    OtherLog {
        /// The topic.
        topic: String,
        /// The log that the archive has to close.
        log: String,
    },
    /// There is no view of the metric's definition yet.
    NoView {
        /// The metric.
        metric: String,
    },
    /// The view does not include all that had arrived.
    Cut {
        /// The metric.
        metric: String,
        /// A partition of which it does not.
        lacking: Lacking,
        /// Whether it was rolled back, so that no reconcile changes it until an operator resumes it.
        is_paused: bool,
    },
    /// The view may count events that were erased.
    Erased {
        /// The metric.
        metric: String,
        /// Whether it was rolled back, so that no reconcile changes it until an operator resumes it.
        is_paused: bool,
    },
    /// The archive of a table does not hold all that had arrived.
    Table {
        /// The table.
        table: String,
        /// A partition of which it does not.
        lacking: Lacking,
    },
}

impl Run {
    /// How many days were written or revised.
    pub fn committed(&self) -> usize {
        let commits = |done: &&DateDone| matches!(done.outcome, DateOutcome::Written | DateOutcome::Revised);
        self.dates.iter().filter(commits).count()
    }

    /// What was done with each day, as programs read it.
    pub(crate) fn lines(&self) -> Vec<Value> {
        let done = self.dates.iter().map(|DateDone { date, outcome, rows, version }| {
            json!({"report": self.report, "date": date, "outcome": outcome.name(), "rows": rows, "version": version})
        });
        let waiting = self.waiting.iter().map(|(date, waiting)| {
            json!({"report": self.report, "date": date, "outcome": "waiting", "until": waiting.to_string()})
        });
        done.chain(waiting).collect()
    }
}

impl DateOutcome {
    /// Its name, as programs read it.
    pub fn name(self) -> &'static str {
        match self {
            DateOutcome::Written => "written",
            DateOutcome::Revised => "revised",
            DateOutcome::Unchanged => "unchanged",
            DateOutcome::Retired => "retired",
            DateOutcome::LeftToAnother => "left_to_another",
        }
    }
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Run { report, table, dates, waiting } = self;
        let unchanged = dates.iter().filter(|done| done.outcome == DateOutcome::Unchanged).count();
        let days = self.committed();
        write!(f, "{report}: {days} day{} written to {table}", if days == 1 { "" } else { "s" })?;
        if unchanged > 0 {
            write!(f, ", {unchanged} unchanged")?;
        }
        for DateDone { date, outcome, rows, version } in dates {
            let said = match outcome {
                DateOutcome::Written => "written",
                DateOutcome::Revised => "revised, as later events or an erasure had changed it",
                DateOutcome::Retired => "left as they are, as the view does not hold the day any more",
                DateOutcome::LeftToAnother => "written by another run",
                DateOutcome::Unchanged => continue,
            };
            write!(f, "\n  {date}: {rows} rows {said} (version {version})")?;
        }
        if let Some((date, waiting)) = waiting {
            write!(f, "\n  {date}: not written yet, waiting until {waiting}")?;
        }
        Ok(())
    }
}

/// Continues a sentence that says until when.
impl fmt::Display for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let paused = |is: bool| if is { "; it is paused: `batch-layer resume` ends that" } else { "" };
        let shown =
            |reached: Option<i64>| reached.map_or("none of it".to_owned(), |reached| format!("up to {reached}"));
        match self {
            Waiting::Settles { at_us } => write!(f, "{}, when the day is settled", format_rfc3339(*at_us)),
            Waiting::NotArchived { source } => write!(f, "something of {source} is archived"),
            Waiting::NoTopic { topic } => {
                write!(f, "the topic {topic} exists again, or `braid close` has closed its log")
            }
            Waiting::OtherLog { topic, log } => {
                write!(f, "the archiver has seen that the topic {topic} is another one than {log}")
            }
            Waiting::NoView { metric } => write!(f, "a reconcile has counted {metric} by its definition"),
            Waiting::Erased { metric, is_paused } => {
                write!(f, "a reconcile has taken what was erased out of the view of {metric}{}", paused(*is_paused))
            }
            Waiting::Cut { metric, lacking: Lacking { id, wanted, reached }, is_paused } => {
                let paused = paused(*is_paused);
                write!(f, "the view of {metric} includes {id} up to {wanted} (now {}){paused}", shown(*reached))
            }
            Waiting::Table { table, lacking: Lacking { id, wanted, reached } } => {
                write!(f, "the archive of the table {table} includes {id} up to {wanted} (now {})", shown(*reached))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use shared_logic::log::PartitionId;

    use super::*;

    #[test]
    fn a_person_reads_what_was_written_and_what_is_waited_for() {
        let done = |date: &str, outcome| DateDone { date: date.to_owned(), outcome, rows: 7, version: 3 };
        let dates = vec![
            done("2026-04-22", DateOutcome::Unchanged),
            done("2026-04-23", DateOutcome::Revised),
            done("2026-04-24", DateOutcome::Written),
        ];
        let lacking = Lacking { id: PartitionId::new("log", 3), wanted: 40, reached: Some(30) };
        let waiting = Waiting::Cut { metric: "clicks".to_owned(), lacking, is_paused: false };
        let waiting = Some(("2026-04-25".to_owned(), waiting));
        let run = Run { report: "engagement".to_owned(), table: "warehouse/engagement".to_owned(), dates, waiting };
        let text = run.to_string();
        assert_eq!(run.committed(), 2);
        assert!(
            text.starts_with(
                "engagement: 2 days written to warehouse/engagement, 1 unchanged\n  2026-04-23: 7 rows revised"
            ),
            "{text}"
        );
        assert!(text.ends_with("waiting until the view of clicks includes log/3 up to 40 (now up to 30)"), "{text}");
    }
}
