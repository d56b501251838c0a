//! `braid version list`: every version, how far it has come, and what it costs, as the serving layer says.

use std::process::ExitCode;

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::commands::output::Output;
use crate::number::{duration, integer};
use crate::serving::{ServingArgs, indented};
use crate::table::{Cell, Column, Table};
use crate::terminal::{Screen, print, printable};

/// What is not known.
const UNKNOWN: &str = "-";

/// Lists the versions: how far each has come, whether its answers are complete, and what it takes
///
/// The serving layer is asked. Its own view of each version counts: how far its answers are behind, what they lack, what its shards take of Redis,
/// and what its views take on that process's disk.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  braid version list
  braid version list --output json | jq .active")]
pub(super) struct Args {
    /// How it is printed; a table on a terminal unless given, and JSON elsewhere
    #[arg(long, value_name = "FORM", value_enum)]
    output: Option<Output>,
    #[command(flatten)]
    serving: ServingArgs,
}

/// The body of `/v1/versions`, as far as a person is told it.
#[derive(Debug, Deserialize)]
pub(super) struct Versions {
    /// In the order of their creation.
    pub(super) versions: Vec<Version>,
    error: Option<String>,
}

/// A version.
#[derive(Debug, Deserialize)]
pub(super) struct Version {
    pub(super) version: String,
    stage: String,
    active: bool,
    replay: Option<Replay>,
    pub(super) verified: Option<Verified>,
    /// Whether the schedule reconciles it, if anything is archived.
    reconciled: Option<bool>,
    complete: bool,
    lag_ms: Option<u64>,
    progress: Option<Progress>,
    redis_bytes: Option<u64>,
    view_bytes: Option<u64>,
    incomplete: Vec<String>,
    streams: Vec<StreamOf>,
    error: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Replay {
    from: String,
}

/// The newest verification that found no difference.
#[derive(Debug, Deserialize)]
pub(super) struct Verified {
    at: String,
    /// Where its report lies.
    pub(super) report: String,
}

#[derive(Debug, Deserialize)]
struct Progress {
    to_go: Option<u64>,
}

#[derive(Debug, Deserialize)]
struct StreamOf {
    generation: String,
    topic: String,
}

/// Runs the command.
///
/// # Errors
/// If no serving layer answers.
pub(super) async fn run(args: Args) -> Result<ExitCode> {
    let body = args.serving.serving()?.answer(&["v1", "versions"]).await?;
    let screen = Screen::behind(&std::io::stdout());
    match Output::for_reader(args.output, screen) {
        Output::Table => print(&page(&read(&body)?, screen))?,
        Output::Json => print(&format!("{}\n", indented(&body)))?,
    }
    Ok(ExitCode::SUCCESS)
}

/// What the serving layer said.
///
/// # Errors
/// If it is no answer of a serving layer.
pub(super) fn read(body: &str) -> Result<Versions> {
    serde_json::from_str(body).context("this is no answer of a serving layer; --output json shows it")
}

fn page(versions: &Versions, screen: Screen) -> String {
    let left = ["version", "stage", "active", "from", "verified", "complete"].map(Column::left);
    let right = ["lag", "to go", "redis", "views"].map(Column::right);
    let mut table = Table::new(left.into_iter().chain(right).chain([Column::left("streams of its own")]).collect());
    for version in &versions.versions {
        table.push(row(version));
    }
    let mut page = table.text(screen);
    let said = versions.versions.iter().flat_map(|version| {
        let why = version.incomplete.iter().chain(&version.error);
        let why = why.map(|why| printable(why).into_owned()).chain(holds_up(version).map(str::to_owned));
        why.map(move |why| format!("{}: {why}\n", version.version))
    });
    let said: Vec<String> = said.collect();
    if !said.is_empty() {
        page.push('\n');
        page.extend(said);
    }
    if let Some(error) = &versions.error {
        page.push_str(&format!("\nwhich versions there are could not be read since: {}\n", printable(error)));
    }
    page
}

/// What a version holds up as long as it lives, since nobody knows what it still needs.
fn holds_up(version: &Version) -> Option<&'static str> {
    let is_held_up = version.reconciled == Some(false) && !is_gone(version);
    is_held_up.then_some(
        "it is not reconciled before it is verified: until then, or until it is retired, no days of its sources are retired (`retain`) and no large \
         files of their archives are merged",
    )
}

/// Whether it lives no more.
fn is_gone(version: &Version) -> bool {
    matches!(version.stage.as_str(), "retiring" | "retired")
}

fn row(version: &Version) -> Vec<Cell> {
    let text = |text: Option<&str>| Cell::new(text.unwrap_or(UNKNOWN));
    let bytes = |bytes: Option<u64>| Cell::new(&bytes.map_or_else(|| UNKNOWN.to_owned(), size));
    let own = version.streams.iter().filter(|stream| stream.generation == version.version);
    let own: Vec<&str> = own.map(|stream| stream.topic.as_str()).collect();
    let to_go = version.progress.as_ref().and_then(|progress| progress.to_go);
    vec![
        Cell::new(&version.version),
        Cell::new(&version.stage),
        Cell::new(if version.active { "yes" } else { "" }),
        text(version.replay.as_ref().map(|replay| replay.from.as_str())),
        text(version.verified.as_ref().map(|verified| verified.at.as_str())),
        if is_gone(version) { Cell::new(UNKNOWN) } else { Cell::yes_or_no(version.complete) },
        Cell::new(&version.lag_ms.map_or_else(|| UNKNOWN.to_owned(), duration)),
        Cell::new(&to_go.map_or_else(|| UNKNOWN.to_owned(), integer)),
        bytes(version.redis_bytes),
        bytes(version.view_bytes),
        Cell::new(&own.join(", ")),
    ]
}

/// A size, in the largest unit of which there is one.
fn size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    let (mut value, mut unit) = (bytes as f64, "B");
    for larger in UNITS {
        if value < 1_024.0 {
            break;
        }
        (value, unit) = (value / 1_024.0, larger);
    }
    if unit == "B" { format!("{bytes} B") } else { format!("{value:.1} {unit}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &str = r#"{"active": "v1", "before": null, "pointer": 4, "read_at": "2026-04-24T09:30:00Z", "versions": [
        {"version": "v1", "stage": "following", "active": true, "created_at": null, "replay": null, "verified": null,
         "last_active_at": null, "reconciled": true, "complete": true, "gaps": 0, "incomplete": [], "lag_ms": 83, "progress": {"done": 9, "to_go": 0},
         "redis_bytes": 2048, "view_bytes": 5242880, "metrics": ["views"], "streams": [], "error": null},
        {"version": "v2", "stage": "following", "active": false, "created_at": "2026-04-24T09:00:00Z",
         "replay": {"from": "log", "started_at": "2026-04-24T09:00:01Z"}, "verified": null, "last_active_at": null, "reconciled": false, "complete": false,
         "gaps": 2, "incomplete": ["metric views: no worker counts it"], "lag_ms": null, "progress": {"done": 1000, "to_go": 25000},
         "redis_bytes": null, "view_bytes": 0, "metrics": ["views"],
         "streams": [{"stream": "few", "generation": "v1", "topic": "few"}, {"stream": "many", "generation": "v2", "topic": "many.v2"}],
         "error": null}], "promotions": []}"#;

    #[test]
    fn versions_are_shown_with_what_they_cost_and_lack() {
        let page = page(&read(BODY).expect("an answer"), Screen::NONE);
        let lines: Vec<&str> = page.lines().collect();
        assert!(lines[0].starts_with("version  stage      active  from  verified  complete"), "{page}");
        assert!(lines[1].contains("83 ms") && lines[1].contains("2.0 KiB") && lines[1].contains("5.0 MiB"), "{page}");
        assert!(lines[2].contains("log") && lines[2].contains("25,000") && lines[2].ends_with("many.v2"), "{page}");
        assert_eq!(lines[4], "v2: metric views: no worker counts it");
        assert!(lines[5].starts_with("v2: it is not reconciled before it is verified"), "{page}");
        assert_eq!(lines.len(), 6, "v1 holds nothing up");
    }

    #[test]
    fn a_version_that_is_retired_holds_nothing_up() {
        let mut second = read(BODY).expect("an answer").versions.remove(1);
        assert!(holds_up(&second).is_some());
        second.stage = "retired".to_owned();
        assert_eq!(holds_up(&second), None);
        second = Version { stage: "following".to_owned(), reconciled: None, ..second };
        assert_eq!(holds_up(&second), None, "nothing is archived");
    }

    #[test]
    fn sizes_have_the_largest_unit_that_they_fill() {
        let all = [0, 1_023, 1_024, 1 << 20, 3 << 29].map(size);
        assert_eq!(all, ["0 B", "1023 B", "1.0 KiB", "1.0 MiB", "1.5 GiB"]);
    }
}
