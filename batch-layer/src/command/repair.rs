//! The commands that repair a batch view: `rebuild`, `rollback` and `resume`.

use std::io::IsTerminal;

use anyhow::{Result, ensure};
use platform::shutdown::Shutdown;
use platform::telemetry::error_text;
use serde_json::{Value, json};
use shared_logic::catalog::Metric;
use shared_logic::contracts::batch_view::Pause;
use shared_logic::time::format_rfc3339;

use super::output::reported;
use crate::output::Output;
use crate::reconcile::{OlderVersion, Outcome, Reconciler, Request, RetiredDays, RolledBack};

/// Counts a metric's view anew from the archive, though its definition is the same
///
/// The view is used and reconciled meanwhile, and replaced in one commit once every day is counted. A view that another program
/// has changed is emptied first. Killed or stopped, the next reconcile or `batch-layer schedule` goes on where it was.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  batch-layer rebuild views
  batch-layer rebuild views --ask               # leaves the work to `batch-layer schedule`
  batch-layer rebuild views --give-up-retired   # if its table is damaged, and no version of it is kept")]
pub(super) struct RebuildArgs {
    /// The metric's name
    metric: String,
    /// Only ask for it: a running `batch-layer schedule` begins with it at its next tick
    #[arg(long)]
    ask: bool,
    /// Empty a view that another program has changed, though it holds days whose rows `retain` has taken out of the archive
    ///
    /// What it had counted of these days is lost for good, and answers say from which day on they hold. Without this, such a view is not
    /// emptied: roll it back if a version is kept. Of a view that no other program has changed, such days are kept in any case.
    #[arg(long)]
    give_up_retired: bool,
    /// How to print what was done
    #[arg(long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

/// Puts a metric's view back to an older version, files and cut together, and pauses it
///
/// Answers are incomplete, and say so, until `batch-layer resume` and the reconcile that follows: what the view no longer includes
/// is in Redis only as far as it was not dropped there. Versions are kept for the setting `reconcile.keep_versions`. Without --to
/// it is the newest version before the view's.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  batch-layer rollback views --list
  batch-layer rollback views
  batch-layer rollback views --to 1017
  batch-layer resume views")]
pub(super) struct RollbackArgs {
    /// The metric's name
    metric: String,
    /// The version of the view to go back to
    #[arg(long, value_name = "VERSION", conflicts_with = "list")]
    to: Option<u64>,
    /// List the versions that can be had, and change nothing
    #[arg(long)]
    list: bool,
    /// How to print what was done or found
    #[arg(long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

/// Lets reconciles go on with a metric's view that was rolled back
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  batch-layer resume views && batch-layer reconcile")]
pub(super) struct ResumeArgs {
    /// The metric's name
    metric: String,
    /// How to print what was done
    #[arg(long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

/// Counts a view anew.
pub(super) async fn rebuild(args: RebuildArgs, reconciler: &Reconciler) -> Result<()> {
    let metric = reconciler.metric(&args.metric)?;
    let name = &metric.name;
    let retired = if args.give_up_retired { RetiredDays::GivenUp } else { RetiredDays::Kept };
    let request = reconciler.ask_rebuild(metric, retired).await?;
    match args.output {
        Output::Text => println!("{name}: {}", asked(&request)),
        Output::Json => println!("{}", asked_as_json(name, &request)),
    }
    if args.ask {
        return Ok(());
    }
    let shutdown = Shutdown::on_signals()?;
    // On a terminal a line that is written anew shows it, and a program waits for the end.
    let in_lines = args.output == Output::Text && !std::io::stderr().is_terminal();
    let progress = |done, days| {
        if in_lines {
            println!("{name}: {done} of {days} days counted");
        }
    };
    let report = reconciler.rebuild_now(metric, &shutdown.token(), progress).await?;
    match args.output {
        Output::Text => println!("{report}"),
        Output::Json => println!("{}", reported(&report)),
    }
    ensure!(matches!(report.outcome, Outcome::Changed(_)), "the view of {name} is not rebuilt yet");
    Ok(())
}

/// Rolls a view back, or lists the versions that it can be rolled back to.
pub(super) async fn rollback(args: RollbackArgs, reconciler: &Reconciler) -> Result<()> {
    let metric = reconciler.metric(&args.metric)?;
    if args.list {
        let older = reconciler.older_versions(metric).await?;
        if args.output == Output::Text {
            println!("{:>10}  {:<27}  {:>12}  {:>6}", "version", "committed at", "rows", "files");
        }
        older.iter().for_each(|version| match args.output {
            Output::Text => println!("{}", listed(version)),
            Output::Json => println!("{}", listed_as_json(metric, version)),
        });
        return Ok(());
    }
    reconciler.storage.check().await?;
    let rolled_back = reconciler.roll_back(metric, args.to).await?;
    match args.output {
        Output::Text => println!("{}", told(metric, &rolled_back)),
        Output::Json => println!("{}", told_as_json(metric, &rolled_back)),
    }
    Ok(())
}

/// Lets reconciles go on with a view.
pub(super) async fn resume(args: ResumeArgs, reconciler: &Reconciler) -> Result<()> {
    let metric = reconciler.metric(&args.metric)?;
    reconciler.storage.check().await?;
    let resumed = reconciler.resume(metric).await?;
    match args.output {
        Output::Text => println!("{}", resumed_from(metric, resumed.as_ref())),
        Output::Json => println!("{}", resumed_as_json(metric, resumed.as_ref())),
    }
    Ok(())
}

fn asked(request: &Request) -> String {
    match request {
        Request::Noted(version) => format!("a rebuild is asked for, in version {version} of the view"),
        Request::NotedBefore(version) => format!("a rebuild was asked for before, in version {version}"),
        Request::NotNeeded => "there is no view to be kept; everything is counted".to_owned(),
    }
}

fn asked_as_json(metric: &str, request: &Request) -> Value {
    let (outcome, version) = match request {
        Request::Noted(version) => ("asked", Some(version)),
        Request::NotedBefore(version) => ("asked_before", Some(version)),
        Request::NotNeeded => ("not_needed", None),
    };
    json!({ "metric": metric, "outcome": outcome, "version": version })
}

fn resumed_from(metric: &Metric, pause: Option<&Pause>) -> String {
    let name = &metric.name;
    match pause {
        Some(pause) => format!(
            "{name}: resumed from version {}; the next reconcile (`batch-layer reconcile`, or the schedule's next tick) adds what \
             the view lacks, and answers are complete again",
            pause.rolled_back_to
        ),
        None => format!("{name}: the view is not paused"),
    }
}

fn resumed_as_json(metric: &Metric, pause: Option<&Pause>) -> Value {
    let outcome = if pause.is_some() { "resumed" } else { "not_paused" };
    json!({ "metric": metric.name, "outcome": outcome, "rolled_back_to": pause.map(|pause| pause.rolled_back_to) })
}

fn listed_as_json(metric: &Metric, OlderVersion { name, rows, files, refused }: &OlderVersion) -> Value {
    json!({
        "metric": metric.name,
        "version": name.version,
        "committed_at": format_rfc3339(name.committed_at_us),
        "rows": rows,
        "files": files,
        "refused": refused.as_ref().map(|why| error_text(why)),
    })
}

fn told_as_json(metric: &Metric, RolledBack { to, version, above_cut }: &RolledBack) -> Value {
    json!({ "metric": metric.name, "outcome": "rolled_back", "to": to, "version": version, "above_cut": above_cut })
}

fn listed(OlderVersion { name, rows, files, refused }: &OlderVersion) -> String {
    let at = format_rfc3339(name.committed_at_us);
    let refused = refused.as_ref().map(|why| format!("  not to be had: {why}")).unwrap_or_default();
    format!("{:>10}  {at:<27}  {rows:>12}  {files:>6}{refused}", name.version)
}

/// What was done, and for how long answers lack something.
fn told(metric: &Metric, RolledBack { to, version, above_cut }: &RolledBack) -> String {
    let name = &metric.name;
    let done = match version {
        Some(version) => format!("{name}: rolled back to version {to}, as version {version}, and paused"),
        None => format!("{name}: it is rolled back to version {to} already, and paused"),
    };
    format!(
        "{done}\n{above_cut} archived offsets lie above its cut; answers lack those of them that Redis no longer holds, and say so \
         (`no_slice_at_cut`)\nthey are complete again after `batch-layer resume {name}` and the next reconcile, which adds these \
         offsets\nresume it before `speed.max_slices` reconciles: until then Redis keeps every slice from this cut on"
    )
}

#[cfg(test)]
mod tests {
    use shared_logic::catalog::Catalog;
    use storage::KeptName;

    use super::*;
    use crate::reconcile::RepairError;

    const CATALOG: &str = r#"
[sources.s]
event_time = "at"
[sources.s.fields]
at = "timestamp"
[metrics.m]
source = "s"
by = []
grain = "1m"
[metrics.m.measures]
events = "count()"
"#;

    #[test]
    fn a_version_is_listed_with_why_it_cannot_be_had() {
        let name = KeptName { version: 17, committed_at_us: 1_776_988_800_000_000 };
        let usable = OlderVersion { name, rows: 1_234, files: 5, refused: None };
        assert_eq!(listed(&usable), format!("{:>10}  {:<27}  {:>12}  {:>6}", 17, "2026-04-24T00:00:00Z", 1_234, 5));
        let refused = Some(RepairError::ArchiveLacks { version: 17 });
        let text = listed(&OlderVersion { refused, ..usable });
        assert!(text.ends_with("  not to be had: the archive does not reach the cut of version 17"), "{text}");
    }

    #[test]
    fn programs_are_told_what_was_asked_and_resumed() {
        let catalog = Catalog::parse(CATALOG).expect("a valid catalog");
        let metric = &catalog.metrics["m"];
        for (request, outcome, version) in [
            (Request::Noted(4), "asked", json!(4)),
            (Request::NotedBefore(3), "asked_before", json!(3)),
            (Request::NotNeeded, "not_needed", Value::Null),
        ] {
            assert_eq!(asked_as_json("m", &request), json!({"metric": "m", "outcome": outcome, "version": version}));
        }
        let pause = Pause { rolled_back_to: 3, since_us: 0 };
        assert_eq!(resumed_as_json(metric, Some(&pause))["outcome"], "resumed");
        assert_eq!(resumed_as_json(metric, None)["rolled_back_to"], Value::Null);
        assert!(resumed_from(metric, Some(&pause)).starts_with("m: resumed from version 3"));
    }

    #[test]
    fn a_rollback_says_for_how_long_answers_lack_something_and_a_repetition_that_nothing_changed() {
        let catalog = Catalog::parse(CATALOG).expect("a valid catalog");
        let metric = &catalog.metrics["m"];
        let text = told(metric, &RolledBack { to: 3, version: Some(9), above_cut: 120 });
        assert!(
            text.starts_with("m: rolled back to version 3, as version 9, and paused\n120 archived offsets"),
            "{text}"
        );
        assert!(text.contains("`batch-layer resume m`"), "{text}");
        let json = told_as_json(metric, &RolledBack { to: 3, version: Some(9), above_cut: 120 });
        assert_eq!((&json["to"], &json["version"], &json["above_cut"]), (&json!(3), &json!(9), &json!(120)));
        let text = told(metric, &RolledBack { to: 3, version: None, above_cut: 120 });
        assert!(text.starts_with("m: it is rolled back to version 3 already"), "{text}");
    }
}
