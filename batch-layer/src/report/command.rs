//! `batch-layer report list`, `run` and `show`.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use chrono::DateTime;
use platform::settings::Settings;
use serde_json::json;
use shared_logic::catalog::{Catalog, Report};
use shared_logic::contracts::report::{DateNote, Note};
use shared_logic::expression::of_column;
use shared_logic::log::Offsets;
use shared_logic::report::{Layout, json, revisable_until};
use shared_logic::schema::FieldType;
use shared_logic::time::{format_day, format_rfc3339, parse_day, parse_duration_us};
use storage::Storage;
use tokio_util::sync::CancellationToken;

use super::{Reporter, Run};
use crate::output::Output;

/// The exit code if nothing failed, and a day has to wait.
const WAITING: u8 = 3;
/// How many rows of a day are shown.
const ROWS_SHOWN: usize = 10;

/// Writes and shows reports, the tables of the warehouse
#[derive(Debug, clap::Args)]
pub(crate) struct ReportArgs {
    #[command(subcommand)]
    command: ReportCommand,
}

#[derive(Debug, clap::Subcommand)]
enum ReportCommand {
    List(ListArgs),
    Run(RunArgs),
    Show(ShowArgs),
}

/// Lists the reports of the catalog, what was written of them last, and when they run next
#[derive(Debug, clap::Args)]
struct ListArgs {
    /// How to print them
    #[arg(long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

/// Writes days of a report: those that are due or, with --date, any
///
/// The rows of a day take the place of those that were written, in one commit, if they differ. A day is waited for until the view of its
/// metric holds what had arrived when it was settled. Exits with 3 if that took longer than --wait: the days before are written, and the
/// same call goes on there. A day that was never written can be written as long as the view holds it.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  batch-layer report run engagement                                    # what is due
  batch-layer report run engagement --date 2026-04-24
  batch-layer report run engagement --date 2026-01-01 --to 2026-03-31 --output json")]
struct RunArgs {
    /// The report's name
    name: String,
    /// The first day, YYYY-MM-DD, by the clocks of the report's zone
    #[arg(long, value_name = "DATE")]
    date: Option<String>,
    /// The last day; without it, only --date
    #[arg(long, value_name = "DATE", requires = "date")]
    to: Option<String>,
    /// How long to wait for what is missing
    #[arg(long, value_name = "DURATION", default_value = "15m")]
    wait: String,
    /// How to print what was done
    #[arg(long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

/// Shows what days of a report were computed from, and the first rows of a single day
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  batch-layer report show engagement --date 2026-04-24
  batch-layer report show engagement --date 2026-04-01 --to 2026-04-24 --output json")]
struct ShowArgs {
    /// The report's name
    name: String,
    /// The first day, YYYY-MM-DD
    #[arg(long, value_name = "DATE")]
    date: String,
    /// The last day; without it, only --date
    #[arg(long, value_name = "DATE")]
    to: Option<String>,
    /// How to print it
    #[arg(long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

/// Runs `batch-layer report`, and returns its exit code.
///
/// # Errors
/// If there is no such report, the arguments are not usable, or the store cannot be used.
pub(crate) async fn report(
    args: ReportArgs,
    settings: &Settings,
    storage: &Storage,
    catalog: &Catalog,
) -> Result<ExitCode> {
    let reporter = Reporter::new(settings, storage, catalog);
    match args.command {
        ReportCommand::List(args) => list(&args, storage, catalog).await.map(|()| ExitCode::SUCCESS),
        ReportCommand::Show(args) => show(&args, &reporter).await.map(|()| ExitCode::SUCCESS),
        ReportCommand::Run(args) => {
            storage.check().await?;
            let run = run(&args, &reporter).await?;
            args.output.print_run(&run);
            Ok(if run.waiting.is_some() { ExitCode::from(WAITING) } else { ExitCode::SUCCESS })
        }
    }
}

impl Output {
    /// Prints what a run of a report did.
    pub(crate) fn print_run(self, run: &Run) {
        match self {
            Output::Text => println!("{run}"),
            Output::Json => run.lines().iter().for_each(|line| println!("{line}")),
        }
    }
}

async fn run(args: &RunArgs, reporter: &Reporter) -> Result<Run> {
    let report = reporter.report(&args.name)?;
    let wait_us = parse_duration_us(&args.wait).filter(|us| *us >= 0);
    let wait_us =
        wait_us.with_context(|| format!("--wait {} is no duration: write one such as 15m or 0s", args.wait))?;
    let (patience, stop) = (Duration::from_micros(wait_us.unsigned_abs()), CancellationToken::new());
    let days = args.date.as_deref().map(|date| days(date, args.to.as_deref())).transpose()?;
    let work = async {
        match &days {
            Some(days) => reporter.run(report, days, patience, &stop).await,
            None => reporter.run_due(report, platform::clock::now_us(), patience, &stop).await,
        }
    };
    Ok(reporter.progress().shown(work).await?)
}

/// The days of a range, both ends among them.
fn days(date: &str, to: Option<&str>) -> Result<Vec<i64>> {
    let day = |name: &str, text: &str| {
        parse_day(text).with_context(|| format!("{name} {text} is no day: write it as 2026-04-24"))
    };
    let from = day("--date", date)?;
    let to = to.map_or(Ok(from), |to| day("--to", to))?;
    ensure!(from <= to, "--date must not be after --to");
    Ok((from..=to).collect())
}

async fn list(args: &ListArgs, storage: &Storage, catalog: &Catalog) -> Result<()> {
    if catalog.reports.is_empty() {
        eprintln!("the catalog declares no report");
    }
    for report in catalog.reports.values() {
        let table = storage.report(&report.name).await?;
        let note = table.as_ref().and_then(|table| table.note());
        let last = note.and_then(|note| note.last());
        let (name, zone) = (&report.name, report.time_zone.name());
        let next = DateTime::from_timestamp_micros(platform::clock::now_us())
            .and_then(|now| report.schedule.next(now, report.time_zone))
            .map(|next| format_rfc3339(next.timestamp_micros()));
        match args.output {
            Output::Text => {
                let last = last.map_or("nothing written yet".to_owned(), |(date, note)| {
                    format!("written up to {date} ({} rows, {})", note.rows, format_rfc3339(note.committed_at_us))
                });
                let next = next.as_deref().unwrap_or("never");
                println!("{name}: of {}, {last}; next run {next} ({} {zone})", report.metric, report.schedule);
            }
            Output::Json => println!(
                "{}",
                json!({
                    "report": name,
                    "metric": report.metric,
                    "schedule": report.schedule.to_string(),
                    "time_zone": zone,
                    "dates": note.map_or(0, |note| note.dates.len()),
                    "last_date": last.map(|(date, _)| date),
                    "last_committed_at": last.map(|(_, note)| format_rfc3339(note.committed_at_us)),
                    "next_run": next,
                })
            ),
        }
    }
    Ok(())
}

async fn show(args: &ShowArgs, reporter: &Reporter) -> Result<()> {
    let report = reporter.report(&args.name)?;
    let days = days(&args.date, args.to.as_deref())?;
    let table = reporter.storage.report(&report.name).await?;
    let table = table.with_context(|| format!("nothing of {} was ever written", report.name))?;
    let note = table.note().map(|note| Note::clone(note)).unwrap_or_default();
    for day in &days {
        let date = format_day(*day);
        match (note.dates.get(&date), args.output) {
            (Some(note), Output::Text) => println!("{}", shown(report, *day, note)),
            (Some(note), Output::Json) => {
                let mut line = serde_json::to_value(note).context("cannot print what is noted")?;
                line["report"] = json!(report.name);
                line["date"] = json!(date);
                println!("{line}");
            }
            (None, Output::Text) => println!("{date}: not written"),
            (None, Output::Json) => println!("{}", json!({"report": report.name, "date": date, "rows": null})),
        }
    }
    if let ([day], Output::Text) = (days.as_slice(), args.output) {
        let files = table.files_of(&format_day(*day)).await?;
        let layout = Layout::of(&reporter.catalog, report);
        let rows = table.read(&files, &layout.in_memory()).await?;
        let rows =
            crate::rows::compute("read rows", table.path(), move || rows.collect()).await?.head(Some(ROWS_SHOWN));
        let (names, kinds): (Vec<&str>, Vec<FieldType>) = layout.columns().into_iter().unzip();
        let columns = rows.columns().iter().zip(kinds).map(|(column, kind)| of_column(column, kind));
        let mut columns = columns.collect::<Result<Vec<_>, _>>()?;
        println!("{}", names.join("\t"));
        for _ in 0..rows.height() {
            let cells = columns.iter_mut().filter_map(Iterator::next).map(|cell| json(&cell).to_string());
            println!("{}", cells.collect::<Vec<String>>().join("\t"));
        }
    }
    Ok(())
}

/// What is known of a day, for a person.
fn shown(report: &Report, day: i64, note: &DateNote) -> String {
    let DateNote { definition, version, view_version, cut, tables, rows, committed_at_us, revisions, .. } = note;
    let until = revisable_until(report, day).map_or("-".to_owned(), format_rfc3339);
    let offsets = |offsets: &Offsets| {
        let all: Vec<String> = offsets.iter().map(|(id, offset)| format!("{id} {offset}")).collect();
        if all.is_empty() { "without offsets: none, or of a day that is over".to_owned() } else { all.join(", ") }
    };
    let mut text = format!(
        "{}: {rows} rows, committed {} (revised {revisions} times, calculated again until {until})\n  of version {view_version} of \
         the view of {} in {version}, cut {}\n  definition {definition}",
        format_day(day),
        format_rfc3339(*committed_at_us),
        report.metric,
        offsets(cut),
    );
    for (table, of_table) in tables {
        text.push_str(&format!("\n  {table} as of {}", offsets(of_table)));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_a_range_with_both_ends() {
        assert_eq!(days("1970-01-02", None).expect("a day"), [1]);
        assert_eq!(days("1970-01-02", Some("1970-01-04")).expect("days"), [1, 2, 3]);
        assert!(days("1970-01-02", Some("1970-01-01")).is_err());
        let error = days("yesterday", None).expect_err("no day").to_string();
        assert_eq!(error, "--date yesterday is no day: write it as 2026-04-24");
    }
}
