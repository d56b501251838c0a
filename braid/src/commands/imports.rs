//! `braid imports`: the files that `batch-layer import` has archived.

use std::process::ExitCode;

use anyhow::Result;
use platform::settings::SettingsArgs;
use serde_json::json;
use shared_logic::contracts::archive::{Import, LogFacts};
use shared_logic::time::format_rfc3339;

use super::output::ListOutput;
use crate::terminal::printable;

/// Lists the files that were imported into a source
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  braid imports views
  braid imports views --output json | jq .file")]
pub struct Args {
    /// The source of the catalog
    #[arg(value_name = "SOURCE")]
    source: String,
    /// How each file is listed
    #[arg(long, value_name = "FORM", value_enum, default_value = "text")]
    output: ListOutput,
}

/// Runs the command.
///
/// # Errors
/// If the settings or the catalog are not usable, there is no such source, or the store cannot be read.
pub async fn run(args: Args, settings: &SettingsArgs) -> Result<ExitCode> {
    let (_, catalog, storage) = super::deployment(settings).await?;
    let source = catalog.source(&args.source)?;
    let facts = storage.archive(&source.name).await?.map(|archive| archive.facts()).unwrap_or_default();
    for (log, import) in facts.imports() {
        println!("{}", line(log, import, args.output));
    }
    Ok(ExitCode::SUCCESS)
}

fn line(log: &LogFacts, import: &Import, output: ListOutput) -> String {
    let rows: i64 = log.partitions.values().map(|partition| partition.next - partition.begin).sum();
    let (name, file, at) = (&log.log, &import.file, format_rfc3339(import.at_us));
    match output {
        ListOutput::Text => {
            let rejected: u64 = import.rejects.values().sum();
            format!("{at}  {name}  {rows} rows, {rejected} rejected  {}", printable(file))
        }
        ListOutput::Json => {
            json!({"log": name, "file": file, "at": at, "rows": rows, "rejected": import.rejects}).to_string()
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;
    use shared_logic::contracts::archive::{Facts, ImportedRecords};

    use super::*;

    #[test]
    fn a_line_says_when_a_file_was_imported_and_what_it_held() {
        let mut facts = Facts::default();
        let records = ImportedRecords { rows: 10, ..ImportedRecords::default() };
        assert!(facts.add_import(7, "a.csv", 1_777_022_999_000_000, &records));
        let (log, import) = facts.imports().next().expect("one");
        let text = line(log, import, ListOutput::Text);
        assert!(
            text.starts_with("2026-04-24T09:29:59Z  import-") && text.ends_with("  10 rows, 0 rejected  a.csv"),
            "{text}"
        );
        let json: Value = serde_json::from_str(&line(log, import, ListOutput::Json)).expect("JSON");
        assert_eq!((&json["rows"], &json["file"]), (&json!(10), &json!("a.csv")));
    }
}
