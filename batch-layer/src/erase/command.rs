//! `batch-layer erase` and `batch-layer erasures`.

use std::fmt::Write;

use anyhow::Context;
use platform::settings::{Settings, Span};
use shared_logic::catalog::Catalog;
use shared_logic::contracts::archive::{Erasure, Unreached};
use shared_logic::time::{format_day, format_rfc3339};
use storage::Storage;

use super::{Condition, Eraser};
use crate::output::Output;

/// The arguments of `batch-layer erase`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  batch-layer erase views --where \"user_id = 'u-7'\" --dry-run
  batch-layer erase views --where \"user_id = 'u-7'\" --invalid-with '\"u-7\"'
  batch-layer erase orders --where \"customer in ('c-1', 'c-2') or email = 'a@b.example'\" --output json

An erase that was ended is continued by calling it again. See \"Erase a person\" in docs/operations.md.")]
pub(crate) struct EraseArgs {
    /// The source whose events are erased
    source: String,
    /// Which events: a condition over the source's fields, as in a metric's `where`
    #[arg(long = "where", value_name = "CONDITION")]
    condition: String,
    /// Also erase invalid records, and deletes of a table, whose key, payload or headers hold this text: they have no fields, so no
    /// condition selects them
    #[arg(long, value_name = "TEXT")]
    invalid_with: Option<String>,
    /// Only count what would be erased
    #[arg(long)]
    dry_run: bool,
    /// How long to wait for the archive to hold what has arrived, and then for answers to follow
    #[arg(long, default_value = "2m")]
    wait: Span,
    /// How to print the report
    #[arg(long, value_enum, default_value = "text")]
    output: Output,
}

/// The arguments of `batch-layer erasures`.
#[derive(Debug, clap::Args)]
pub(crate) struct ErasuresArgs {
    /// The source; all of them if it is left out
    source: Option<String>,
    /// How to print the list
    #[arg(long, value_enum, default_value = "text")]
    output: Output,
}

/// Erases events, or counts those that would be erased, and prints the report.
///
/// # Errors
/// If there is no such source, the condition is wrong, or the events could not be erased everywhere.
pub(crate) async fn erase(
    args: EraseArgs,
    settings: &Settings,
    storage: &Storage,
    catalog: &Catalog,
) -> anyhow::Result<()> {
    let source = catalog.source(&args.source)?;
    let condition = Condition::parse(source, &args.condition, args.invalid_with.as_deref())?;
    if !args.dry_run {
        storage.check().await?;
    }
    let eraser = Eraser::new(settings, storage, catalog, source, &condition, args.wait.get());
    let report = if args.dry_run { eraser.count().await? } else { eraser.erase().await? };
    match args.output {
        Output::Text => print!("{report}"),
        Output::Json => println!("{}", serde_json::to_string_pretty(&report).context("cannot print the report")?),
    }
    Ok(())
}

/// Prints the erasures that the archives remember. Conditions are not among what they remember.
///
/// # Errors
/// If there is no such source, or the store cannot be read.
pub(crate) async fn erasures(args: ErasuresArgs, storage: &Storage, catalog: &Catalog) -> anyhow::Result<()> {
    let sources = match &args.source {
        Some(name) => vec![catalog.source(name)?],
        None => catalog.sources.values().collect(),
    };
    let mut listed = serde_json::Map::new();
    for source in sources {
        let Some(archive) = storage.archive(&source.name).await? else { continue };
        let erasures = archive.facts().erasures;
        if args.output == Output::Text {
            for erasure in &erasures {
                println!("{} {}", source.name, line(erasure, &catalog.deployment.version));
            }
        }
        listed.insert(source.name.clone(), serde_json::to_value(erasures).context("cannot print the list")?);
    }
    if args.output == Output::Json {
        println!("{}", serde_json::to_string_pretty(&listed).context("cannot print the list")?);
    }
    Ok(())
}

/// How far an erasure has come in a version of the deployment, and what it could not reach.
fn line(erasure: &Erasure, version: &str) -> String {
    let since = erasure.since_us(version).map(format_rfc3339);
    let state = match (erasure.left_in(version), since) {
        (None, since) => format!("in no file of this store since {}", since.unwrap_or_default()),
        (Some(left_in), None) => left_in.to_string(),
        (Some(left_in), Some(since)) => format!("{left_in} (since {since})"),
    };
    let Unreached { retired_before, without_bytes } = erasure.unreached;
    let mut line = format!("{} {} events, {state}", erasure.id, erasure.events());
    if let Some(before) = retired_before.map(format_day) {
        let _ = write!(line, "; events of days before {before} were retired, and not found");
    }
    if without_bytes > 0 {
        let _ = write!(line, "; {without_bytes} records without bytes could not be judged under these rules");
    }
    line
}

#[cfg(test)]
mod tests {
    use shared_logic::contracts::archive::{ErasedIn, ErasedPart, Facts};

    use super::*;

    #[test]
    fn a_line_says_how_far_an_erasure_has_come() {
        let part = |version| ErasedPart { version, rules: "a".into(), list: String::new(), events: 2, at_us: None };
        let mut facts = Facts::default();
        let said = |facts: &Facts| line(&facts.erasures[0], "v1");
        facts.erase("x", Some(part(3)), None);
        assert!(said(&facts).starts_with("x 2 events, was ended"), "{}", said(&facts));
        facts.erase("x", Some(part(4)), Some(0));
        assert!(said(&facts).starts_with("x 4 events, erased from the archive"), "{}", said(&facts));
        for (deleted_at_us, expected) in
            [(None, "in no answer; later"), (Some(0), "in no file of this store since 1970")]
        {
            let seen = facts.erasures[0].clone();
            facts.note_erased_in(&seen, "v1", ErasedIn { uncounted_at_us: 0, deleted_at_us });
            assert!(said(&facts).contains(expected), "{}", said(&facts));
            assert!(!line(&facts.erasures[0], "v2").contains(expected), "another version has views of its own");
        }
    }

    #[test]
    fn a_line_says_what_an_erasure_could_not_reach() {
        let mut facts = Facts::default();
        facts.erase("x", None, Some(0));
        facts.note_unreached("x", Unreached { retired_before: Some(1), without_bytes: 4 });
        let said = line(&facts.erasures[0], "v1");
        assert!(
            said.contains("days before 1970-01-02 were retired") && said.contains("4 records without bytes"),
            "{said}"
        );
    }
}
