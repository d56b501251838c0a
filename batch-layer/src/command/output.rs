//! What jobs print on standard output: a line for each metric, for a person or as JSON.

use platform::telemetry::error_text;
use serde_json::{Value, json};
use shared_logic::contracts::batch_view::Pause;
use shared_logic::time::format_rfc3339;

use crate::maintenance::{self, MaintenanceError, Step};
use crate::output::Output;
use crate::reconcile::{Changed, Outcome, ReconcileError, Reconciled, Report};
use crate::schedule::Done;

impl Output {
    /// Prints what a job did, and returns how many failures there were among it. As text these go to standard error.
    pub(super) fn print(self, done: &Done) -> usize {
        match done {
            Done::Reconciled(reconciled) => self.print_reconciled(reconciled),
            Done::Maintained(Ok(reports)) => {
                for report in reports {
                    match self {
                        Output::Text => println!("{report}"),
                        Output::Json => println!("{}", maintained(report)),
                    }
                }
                0
            }
            Done::Reported(_, Ok(run)) => {
                self.print_run(run);
                0
            }
            Done::Reported(report, Err(failure)) => {
                match self {
                    Output::Text => eprintln!("error: {report}: {}", error_text(failure)),
                    Output::Json => {
                        println!("{}", json!({ "report": report, "outcome": "failed", "error": error_text(failure) }))
                    }
                }
                1
            }
            Done::Maintained(Err(failure)) => {
                match self {
                    Output::Text => eprintln!("error: {}", error_text(failure)),
                    Output::Json => println!("{}", not_maintained(failure)),
                }
                1
            }
        }
    }

    /// The same for a reconcile.
    pub(super) fn print_reconciled(self, reconciled: &Reconciled) -> usize {
        let Reconciled { reports, tables, failed } = reconciled;
        for report in reports {
            match self {
                Output::Text => println!("{report}"),
                Output::Json => println!("{}", reported(report)),
            }
        }
        for table in tables {
            match self {
                Output::Text => println!("{table}"),
                Output::Json => println!("{}", table.to_json()),
            }
        }
        for failure in failed {
            match self {
                Output::Text => eprintln!("error: {}", error_text(failure)),
                Output::Json => println!("{}", failed_as_json(failure)),
            }
        }
        failed.len()
    }
}

/// What maintenance did to a table, or would do, as programs read it.
fn maintained(report: &maintenance::Report) -> Value {
    let maintenance::Report { table, dry_run, step } = report;
    let mut said = match step {
        Step::Retired { before, files, bytes } => {
            json!({ "step": "retired", "before": before, "files": files, "bytes": bytes })
        }
        Step::NotCounted { metric } => json!({ "step": "not_counted", "metric": metric }),
        Step::Merged { day, files, bytes } => json!({ "step": "merged", "day": day, "files": files, "bytes": bytes }),
        Step::Removed { files, listed } => {
            let listed = listed.iter().map(|file| json!({ "path": file.path, "bytes": file.size }));
            json!({ "step": "removed", "files": files, "listed": listed.collect::<Vec<Value>>() })
        }
    };
    said["table"] = json!(table);
    said["outcome"] = json!("maintained");
    said["dry_run"] = json!(dry_run);
    said["text"] = json!(report.to_string());
    said
}

/// Why maintenance failed, and of which table, as programs read it.
fn not_maintained(failure: &MaintenanceError) -> Value {
    let table = match failure {
        MaintenanceError::Table { table, .. } => Some(table),
        MaintenanceError::UnknownName { .. } => None,
    };
    json!({ "table": table, "outcome": "failed", "error": error_text(failure) })
}

/// A report as programs read it. Keys are there if they say something of the outcome.
pub(super) fn reported(report: &Report) -> Value {
    let Report { source, metric, outcome, took } = report;
    let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    match outcome {
        Outcome::Changed(Changed { version, cut, days, rows, rebuilt, work, .. }) => json!({
            "source": source,
            "metric": metric,
            "outcome": if *rebuilt { "rebuilt" } else { "reconciled" },
            "version": version,
            "cut": cut,
            "days": days,
            "rows": rows,
            "rows_read": work.rows_read,
            "events_added": work.added,
            "took_ms": took_ms,
        }),
        Outcome::Unfinished { done, days } => json!({
            "source": source,
            "metric": metric,
            "outcome": "unfinished",
            "days_done": done,
            "days": days,
            "took_ms": took_ms,
        }),
        Outcome::Waiting { partition } => json!({
            "source": source,
            "metric": metric,
            "outcome": "waiting",
            "partition": partition.to_string(),
            "took_ms": took_ms,
        }),
        Outcome::Paused(Pause { rolled_back_to, since_us }) => json!({
            "source": source,
            "metric": metric,
            "outcome": "paused",
            "rolled_back_to": rolled_back_to,
            "since": format_rfc3339(*since_us),
            "took_ms": took_ms,
        }),
    }
}

fn failed_as_json(failure: &ReconcileError) -> Value {
    let (key, name) = match failure {
        ReconcileError::Source { name, .. } => ("source", name),
        ReconcileError::Table { name, .. } => ("table", name),
        ReconcileError::Index { name, .. } => ("index", name),
        ReconcileError::Metric { name, .. } => ("metric", name),
    };
    json!({ key: name, "outcome": "failed", "error": error_text(failure) })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use platform::store::StoreError;
    use shared_logic::log::{Offsets, PartitionId};

    use super::*;
    use crate::reconcile::{SourceError, Work};

    #[test]
    fn a_step_of_maintenance_says_what_it_did_in_words_and_in_numbers() {
        let step = Step::Merged { day: "2026-04-24".to_owned(), files: 7, bytes: 1_024 };
        let report = maintenance::Report { table: "archive/s".to_owned(), dry_run: true, step };
        let said = maintained(&report);
        assert_eq!((&said["step"], &said["day"], &said["files"]), (&json!("merged"), &json!("2026-04-24"), &json!(7)));
        assert_eq!(
            (&said["outcome"], &said["dry_run"], &said["bytes"]),
            (&json!("maintained"), &json!(true), &json!(1_024))
        );
        assert_eq!(said["text"], report.to_string());
    }

    fn report(outcome: Outcome) -> Value {
        let took = Duration::from_millis(1_500);
        reported(&Report { source: "shop".to_owned(), metric: "orders".to_owned(), outcome, took })
    }

    #[test]
    fn every_outcome_names_its_metric_and_what_it_took() {
        let (cut, work) = (Offsets::from_iter([(PartitionId::new("log", 3), 40)]), Work::default());
        let changed = Changed { version: 7, cut, days: 2, rows: 9, rebuilt: false, rebuild_asked: false, work };
        let line = report(Outcome::Changed(changed.clone()));
        assert_eq!(
            line.to_string(),
            "{\"source\":\"shop\",\"metric\":\"orders\",\"outcome\":\"reconciled\",\"version\":7,\"cut\":{\"log\":{\"3\":40}},\
             \"days\":2,\"rows\":9,\"rows_read\":0,\"events_added\":0,\"took_ms\":1500}"
        );
        assert_eq!(report(Outcome::Changed(Changed { rebuilt: true, ..changed }))["outcome"], "rebuilt");
        let unfinished = report(Outcome::Unfinished { done: 3, days: 8 });
        assert_eq!((&unfinished["outcome"], &unfinished["days_done"]), (&json!("unfinished"), &json!(3)));
        assert_eq!(report(Outcome::Waiting { partition: PartitionId::new("log", 1) })["partition"], "log/1");
        let paused = report(Outcome::Paused(Pause { rolled_back_to: 5, since_us: 0 }));
        assert_eq!((&paused["rolled_back_to"], &paused["since"]), (&json!(5), &json!("1970-01-01T00:00:00Z")));
    }

    #[test]
    fn a_failure_names_what_failed_and_why() {
        let gone = StoreError::Gone { table: "archive/shop".to_owned() };
        let failure = ReconcileError::of_source("shop", SourceError::Store(gone));
        let line = failed_as_json(&failure);
        assert_eq!((&line["source"], &line["outcome"]), (&json!("shop"), &json!("failed")));
        assert!(line["error"].as_str().is_some_and(|error| error.contains("archive/shop")), "{line}");
    }
}
