//! `braid erasures`: what `batch-layer erase` has taken out, as the archives remember it, and how far each erasure has come. Conditions are
//! not among what they remember.

use std::fmt::Write;
use std::process::ExitCode;

use anyhow::{Context, Result};
use platform::settings::SettingsArgs;
use shared_logic::contracts::archive::{Erasure, Unreached};
use shared_logic::time::{format_day, format_rfc3339};

use super::output::ListOutput;

/// Lists the erasures that the archives remember, and how far each has come
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  braid erasures
  braid erasures views --output json")]
pub struct Args {
    /// The source; all of them if it is left out
    source: Option<String>,
    /// How it is printed
    #[arg(long, value_name = "FORM", value_enum, default_value = "text")]
    output: ListOutput,
}

/// Runs the command.
///
/// # Errors
/// If the settings or the catalog are not usable, there is no such source, or the store cannot be read.
pub async fn run(args: Args, settings: &SettingsArgs) -> Result<ExitCode> {
    let (_, catalog, storage) = super::deployment(settings).await?;
    let sources = match &args.source {
        Some(name) => vec![catalog.source(name)?],
        None => catalog.sources.values().collect(),
    };
    let mut listed = serde_json::Map::new();
    for source in sources {
        let Some(archive) = storage.archive(&source.name).await? else { continue };
        let erasures = archive.facts().erasures;
        if args.output == ListOutput::Text {
            for erasure in &erasures {
                println!("{} {}", source.name, line(erasure, &catalog.deployment.version));
            }
        }
        listed.insert(source.name.clone(), serde_json::to_value(erasures).context("cannot print the list")?);
    }
    if args.output == ListOutput::Json {
        println!("{}", serde_json::to_string_pretty(&listed).context("cannot print the list")?);
    }
    Ok(ExitCode::SUCCESS)
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
