//! `braid index list`: the builds of every index.

use std::process::ExitCode;

use anyhow::Result;
use serde_json::json;
use shared_logic::contracts::index::{Build, IndexState, build_name};
use shared_logic::time::format_rfc3339;

use super::Indexes;
use crate::commands::output::ListOutput;
use crate::number::integer;

/// Lists the builds of every search index that some version has
///
/// A build is what the search server holds of an index from one load on. It is loaded from the materialised table, follows the log, and serves
/// once it was found equal to the table; the one before is kept until it is retired.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  braid index list
  braid index list --output json | jq 'select(.stage == \"serving\")'")]
pub(super) struct Args {
    /// How each build is listed
    #[arg(long, value_name = "FORM", value_enum, default_value = "text")]
    output: ListOutput,
}

/// Runs the command.
pub(super) async fn run(args: Args, indexes: &Indexes) -> Result<ExitCode> {
    for name in indexes.names() {
        let state = indexes.client.state(name).await?.state;
        if state.builds.is_empty() && args.output == ListOutput::Text {
            println!("{name}: no build is begun yet");
        }
        for (number, build) in &state.builds {
            let refused = indexes.client.count_refused(name, *number).await?;
            let versions = versions(indexes, name, build);
            let listed = Listed {
                index: name,
                number: *number,
                place: build_name(indexes.client.deployment(), name, *number),
                build,
                refused,
                versions: &versions,
                is_aliased: state.aliased == Some(*number),
                is_asked: is_asked(&state, build),
            };
            println!("{}", listed.line(args.output));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The versions that have the definition of a build.
fn versions(indexes: &Indexes, name: &str, build: &Build) -> Vec<String> {
    let has_it = |catalog: &shared_logic::catalog::Catalog| {
        catalog.indexes.get(name).is_some_and(|index| catalog.index_definition(index) == build.definition)
    };
    indexes.versions.living().filter(|(_, catalog)| has_it(catalog)).map(|(name, _)| name.to_owned()).collect()
}

fn is_asked(state: &IndexState, build: &Build) -> bool {
    state.asked.contains(&build.definition)
}

/// What is said of a build.
struct Listed<'a> {
    index: &'a str,
    number: u64,
    /// What the server calls it.
    place: String,
    build: &'a Build,
    refused: u64,
    versions: &'a [String],
    is_aliased: bool,
    is_asked: bool,
}

impl Listed<'_> {
    fn line(&self, output: ListOutput) -> String {
        let Listed { index, number, place, build, refused, versions, is_aliased, is_asked } = self;
        let begun_at = format_rfc3339(build.begun_at_us);
        let equal_at = build.equal_at_us.map(format_rfc3339);
        match output {
            ListOutput::Text => {
                let rows = if build.loaded == build.rows {
                    format!("{} rows", integer(build.rows))
                } else {
                    format!("{} of {} rows", integer(build.loaded), integer(build.rows))
                };
                let versions = if versions.is_empty() { "no version".to_owned() } else { versions.join(", ") };
                let equal = equal_at.map_or_else(|| "never compared".to_owned(), |at| format!("equal at {at}"));
                let mut line = format!(
                    "{index} {number}  {}  of {versions}  begun {begun_at} ({}) with {rows}, {equal}",
                    build.stage.name(),
                    build.why.name()
                );
                if *refused > 0 {
                    line += &format!(", {} documents refused", integer(*refused));
                }
                if *is_aliased {
                    line += ", has the alias";
                }
                if *is_asked {
                    line += ", another is asked for";
                }
                line
            }
            ListOutput::Json => json!({
                "index": index, "build": number, "name": place, "definition": build.definition, "versions": versions,
                "stage": build.stage, "why": build.why, "rows": build.rows, "loaded": build.loaded, "begun_at": begun_at,
                "equal_at": equal_at, "refused": refused, "aliased": is_aliased, "asked": is_asked,
            })
            .to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;
    use shared_logic::contracts::index::{BuildStage, Why};
    use shared_logic::log::Offsets;

    use super::*;

    #[test]
    fn a_line_says_what_a_build_is_and_how_far_it_has_come() {
        let build = Build {
            definition: "00000000000000aa".parse().expect("16 digits"),
            stage: BuildStage::Loading,
            why: Why::Partitions,
            loader: "me".to_owned(),
            uuid: String::new(),
            base: Offsets::default(),
            table_version: 7,
            erasures: 0,
            rows: 12_000,
            loaded: 5_000,
            beats: 0,
            begun_at_us: 1_777_022_999_000_000,
            equal_at_us: None,
        };
        let listed = Listed {
            index: "users",
            number: 3,
            place: "braid.braid.users.3".to_owned(),
            build: &build,
            refused: 2,
            versions: &["v1".to_owned()],
            is_aliased: false,
            is_asked: true,
        };
        assert_eq!(
            listed.line(ListOutput::Text),
            "users 3  loading  of v1  begun 2026-04-24T09:29:59Z (partitions) with 5,000 of 12,000 rows, never compared, \
             2 documents refused, another is asked for"
        );
        let json: Value = serde_json::from_str(&listed.line(ListOutput::Json)).expect("JSON");
        assert_eq!(
            (&json["stage"], &json["why"], &json["loaded"]),
            (&json!("loading"), &json!("partitions"), &json!(5_000))
        );
    }
}
