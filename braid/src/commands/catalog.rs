//! `braid catalog`: lists every mistake in a catalog, or what the catalog defines; says what a change of it costs.
//!
//! - `streams`, `reports`, `alerts`: what it defines of these;
//! - `kafka`: what is wrong with its topics;
//! - `diff`: what changing from one catalog to another costs.

mod alerts;
mod diff;
mod indexes;
mod kafka;
mod reports;
mod streams;

use std::fmt::Write;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use platform::settings::SettingsArgs;
use shared_logic::catalog::{Catalog, Metric, Source, Table};
use shared_logic::schema::{Field, InstantFormat, Place};

/// Commands about the catalog, the file that defines sources, metrics, streams, tables, reports and alerts
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Check(Check),
    Diff(Diff),
}

/// Checks a catalog and prints every mistake with its line and the fix
///
/// Mistakes are printed as FILE:LINE: WHAT; FIX, and the exit code is 1. A catalog without mistakes is summed up: its
/// sources with their event ids and fields, its tables with their keys, its streams with what they read and write, its metrics with
/// their measures and the hash of their definition, its reports with what they join and when they run, and its alerts with their conditions.
///
/// With --kafka ADDRESS, the brokers there are asked for the topic of each source, table and stream, too, with what the settings say of [kafka].
/// Nothing is changed. What is wrong is printed as WHAT; FIX: a topic that is missing, has too few partitions, or keeps records for less than
/// its streams remember; producers' timestamps; compaction; records that are larger than the next topic takes; a broker older than 3.7; and
/// rights that are missing. The exit code is 1 if something of it stops a lane or a source, and 0 if there are only warnings.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  braid catalog check catalog.toml
  braid catalog check - < my.toml
  braid catalog check catalog.toml --kafka localhost:9092")]
struct Check {
    /// The catalog file; `-` is standard input
    file: PathBuf,
}

/// Says what it costs to change from one catalog to another
///
/// Names each source whose records are decoded otherwise, and why; the tables that are made anew; the streams that write otherwise; the
/// metrics whose views are rebuilt; the reports whose days change; and whether that needs bytes that `raw = "rejected"` did not keep. It
/// reads the two files and nothing else, so it knows nothing of catalogs before OLD. Mistakes are printed as by `check`, and the exit
/// code is 1.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  braid catalog diff catalog.toml new.toml
  git show HEAD:catalog.toml | braid catalog diff - catalog.toml")]
struct Diff {
    /// The catalog in use; `-` is standard input
    old: PathBuf,
    /// The catalog to change to; `-` is standard input
    new: PathBuf,
}

/// Runs the command; the exit code is 1 if there are mistakes, or Kafka was asked and something stops a lane or a source.
///
/// # Errors
/// If a file cannot be read, or Kafka was to be asked and does not answer.
pub async fn run(args: &Args, settings: &SettingsArgs) -> Result<ExitCode> {
    let text = match &args.command {
        Command::Check(Check { file }) => {
            let Some(catalog) = parsed(file)? else { return Ok(ExitCode::FAILURE) };
            print!("{}", summary(&catalog));
            return match settings.kafka {
                Some(_) => kafka::check(&catalog, &settings.load()?).await,
                None => Ok(ExitCode::SUCCESS),
            };
        }
        Command::Diff(Diff { old, new }) => {
            let (old, new) = (parsed(old)?, parsed(new)?);
            old.zip(new).map(|(old, new)| diff::costs(&old, &new))
        }
    };
    let Some(text) = text else { return Ok(ExitCode::FAILURE) };
    print!("{text}");
    Ok(ExitCode::SUCCESS)
}

/// The catalog in a file; `None` if it holds mistakes, which are printed.
fn parsed(file: &Path) -> Result<Option<Catalog>> {
    match Catalog::parse_file(file, &read(file)?) {
        Ok(catalog) => Ok(Some(catalog)),
        Err(refused) => {
            println!("{refused}");
            eprintln!("{}", count(refused.mistakes.len(), "mistake"));
            Ok(None)
        }
    }
}

fn read(file: &Path) -> Result<String> {
    if file == Path::new("-") {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).context("cannot read the catalog from standard input")?;
        return Ok(text);
    }
    std::fs::read_to_string(file).with_context(|| format!("cannot read the catalog {}", file.display()))
}

/// What a catalog defines, as text for a person.
pub fn summary(catalog: &Catalog) -> String {
    let sources = catalog.inputs().filter(|source| !source.is_table).count();
    let mut counts = vec![count(sources, "source"), count(catalog.metrics.len(), "metric")];
    for (others, noun) in [(catalog.streams.len(), "stream"), (catalog.tables.len(), "table")] {
        if others > 0 {
            counts.insert(1, count(others, noun));
        }
    }
    if !catalog.reports.is_empty() {
        counts.push(count(catalog.reports.len(), "report"));
    }
    if !catalog.alerts.is_empty() {
        counts.push(count(catalog.alerts.len(), "alert"));
    }
    if !catalog.indexes.is_empty() {
        counts.push(indexes::count(catalog.indexes.len()));
    }
    let (name, version) = (&catalog.deployment.name, &catalog.deployment.version);
    let mut text = format!("pipeline {name} {version}: {}\n", counts.join(", "));
    let described = catalog.inputs().map(|source| match catalog.tables.get(&source.name) {
        Some(table) => (&source.name, of_table(catalog, table)),
        None => (&source.name, of_source(source)),
    });
    let of_streams = catalog.streams.values().map(|stream| (&stream.name, streams::of_stream(catalog, stream)));
    for (name, line) in described.chain(of_streams) {
        push_line(&mut text, &line);
        for metric in catalog.metrics_of(name) {
            push_line(&mut text, &of_metric(catalog, metric));
        }
    }
    for report in catalog.reports.values() {
        push_line(&mut text, &reports::of_report(catalog, report));
    }
    for alert in catalog.alerts.values() {
        push_line(&mut text, &alerts::of_alert(catalog, alert));
    }
    for index in catalog.indexes.values() {
        push_line(&mut text, &indexes::of_index(catalog, index));
    }
    text
}

fn of_source(source: &Source) -> String {
    let mut text = format!("source {}: topic {}, {}", source.name, source.topic, source.format.name());
    if source.format.null().is_some_and(|usual| source.null != [usual]) {
        let null: Vec<String> = source.null.iter().map(|text| format!("\"{text}\"")).collect();
        text.push_str(&format!(", absent {}", null.join(" or ")));
    }
    if let Some(zone) = source.time_zone {
        text.push_str(&format!(", times in {}", zone.name()));
    }
    let id = if source.event_id.is_empty() { "none".to_owned() } else { source.event_id.join(" + ") };
    text.push_str(&format!(", event id {id}: {}", fields_of(source)));
    text
}

fn of_table(catalog: &Catalog, table: &Table) -> String {
    let Table { name, topic, key, format } = table;
    let (definition, fields) = (catalog.table_definition(table), fields_of(&catalog.sources[name]));
    format!("table {name}: topic {topic}, {}, key {key} (definition {definition}): {fields}", format.name())
}

fn fields_of(source: &Source) -> String {
    source.fields.iter().map(of_field).collect::<Vec<String>>().join(", ")
}

/// Such as `event_time timestamp from date + time as %d.%m.%Y %H:%M:%S`.
fn of_field(field: &Field) -> String {
    let mut text = format!("{} {}{}", field.name, field.kind.name(), if field.optional { "?" } else { "" });
    match &field.place {
        Place::Joined(parts) => text.push_str(&format!(" from {}", parts.join(" + "))),
        Place::Path(_) if field.column() != field.name => text.push_str(&format!(" from {}", field.column())),
        Place::Record => text.push_str(" of the record"),
        Place::Path(_) | Place::Own => {}
    }
    match &field.instants {
        InstantFormat::Usual => {}
        InstantFormat::Epoch(unit) => text.push_str(&format!(" as {}", unit.name())),
        InstantFormat::Pattern(pattern) => text.push_str(&format!(" as {pattern}")),
    }
    text
}

fn of_metric(catalog: &Catalog, metric: &Metric) -> String {
    let by = grouped(&metric.by);
    let measures = metric.measures.iter().map(|measure| measure.name.as_str());
    let values: Vec<&str> = measures.chain(metric.derived.iter().map(|derived| derived.name.as_str())).collect();
    let definition = catalog.definition(metric);
    format!("  metric {}: {by}: {} (definition {definition})", metric.name, values.join(", "))
}

fn grouped(by: &[String]) -> String {
    if by.is_empty() { "all together".to_owned() } else { format!("by {}", by.join(", ")) }
}

fn push_line(text: &mut String, line: &str) {
    // Writing to a String cannot fail.
    let _ = writeln!(text, "{line}");
}

fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    const WRONG: &str = r#"
[sources.clicks]
topic = "clicks"
event_time = "at"
colour = "red"
[sources.clicks.fields]
at = "timestamp"
page = "text"

[metrics.clicks]
source = "clicks"
by = ["pages"]
grain = "7m"
[metrics.clicks.measures]
clicks = "count()"
"#;

    #[test]
    fn every_mistake_has_file_line_what_and_fix() {
        let refused = Catalog::parse_file(Path::new("my.toml"), WRONG).expect_err("it holds mistakes");
        let report = refused.to_string();
        let lines: Vec<&str> = report.lines().collect();
        assert_eq!(lines.len(), refused.mistakes.len());
        assert!(lines.len() >= 3, "{report}");
        for (line, mistake) in lines.iter().zip(&refused.mistakes) {
            assert!(line.starts_with(&format!("my.toml:{}: ", mistake.line)), "{line}");
            assert!(line.contains("; "), "{line}");
        }
        assert!(lines.iter().any(|line| line.starts_with("my.toml:5: ") && line.contains("colour")), "{report}");
        assert!(lines.iter().any(|line| line.starts_with("my.toml:8: ") && line.contains("\"string\"")), "{report}");
        assert!(lines.iter().any(|line| line.starts_with("my.toml:13: ") && line.contains("7m")), "{report}");
    }

    #[test]
    fn a_valid_catalog_is_summarised() {
        let catalog = Catalog::parse(crate::catalog_file::SHIPPED).expect("the shipped catalog is valid");
        let summary = summary(&catalog);
        assert!(
            summary.starts_with(
                "pipeline braid v1: 5 sources, 1 table, 3 streams, 5 metrics, 2 reports, 2 alerts, 1 index\n"
            ),
            "{summary}"
        );
        let of_log = "source access_log: topic access_log, tsv, event id none: timestamp timestamp, user_id string";
        assert!(summary.contains(of_log), "{summary}");
        assert!(summary.contains("source views: topic views, json, event id event_id: event_id string"), "{summary}");
        let two =
            crate::catalog_file::SHIPPED.replace("event_id = \"event_id\"", "event_id = [\"user_id\", \"event_id\"]");
        let summary = super::summary(&Catalog::parse(&two).expect("valid, too"));
        assert!(summary.contains("json, event id user_id + event_id: "), "{summary}");
        assert!(
            summary.contains("  metric views: by video_id: views, dwell_ms, avg_dwell_ms (definition "),
            "{summary}"
        );
    }

    #[test]
    fn the_summary_shows_tables() {
        let text = "[sources.s]\nevent_time = \"at\"\n[sources.s.fields]\nat = \"timestamp\"\n[tables.users]\ntopic = \"db.users\"\n\
                    key = \"id\"\nformat = \"debezium\"\n[tables.users.fields]\nid = \"int\"\nname = \"string?\"\n";
        let summary = summary(&Catalog::parse(text).expect("a valid catalog"));
        assert!(summary.starts_with("pipeline braid v1: 1 source, 1 table, 0 metrics\n"), "{summary}");
        assert!(summary.contains("table users: topic db.users, debezium, key id (definition "), "{summary}");
        assert!(summary.contains("): id int, name string?, changed_at timestamp of the record\n"), "{summary}");
    }

    #[test]
    fn the_summary_shows_how_values_are_written() {
        let catalog = Catalog::parse(
            r#"
[sources.sales]
format = "csv"
null = ["-", ""]
time_zone = "Europe/Berlin"
event_time = { fields = ["date", "time"], format = "%d.%m.%Y %H:%M" }
[sources.sales.fields]
date = "string"
time = "string"
sent = { type = "timestamp?", format = "epoch_s" }
agent = { type = "string", path = "User-Agent" }
"#,
        );
        let summary = summary(&catalog.expect("a valid catalog"));
        let expected = "source sales: topic sales, csv, absent \"-\" or \"\", times in Europe/Berlin, event id none: date string, \
                        time string, sent timestamp? as epoch_s, agent string from User-Agent, \
                        event_time timestamp from date + time as %d.%m.%Y %H:%M\n";
        assert!(summary.contains(expected), "{summary}");
    }
}
