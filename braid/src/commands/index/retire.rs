//! `braid index retire`: builds that are not searched any more are deleted.

use std::process::ExitCode;

use anyhow::{Result, bail};
use shared_logic::contracts::index::{BuildStage, IndexState, IndexStepError, build_name};
use storage::SearchError;

use super::Indexes;

/// Deletes the builds of an index that are kept, but not searched any more
///
/// Without numbers, all that are kept. Of an index that no version has any more, everything is deleted: all builds, and the alias.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  braid index retire users
  braid index retire users 3 4")]
pub(super) struct Args {
    /// The index
    #[arg(value_name = "INDEX")]
    index: String,
    /// Only these builds, of which `braid index list` says the numbers
    #[arg(value_name = "BUILD")]
    builds: Vec<u64>,
}

/// Why a step was not taken.
#[derive(Debug, thiserror::Error)]
enum NotRetired {
    #[error(transparent)]
    Search(#[from] SearchError),
    #[error(transparent)]
    Step(#[from] IndexStepError),
}

/// Runs the command.
pub(super) async fn run(args: Args, indexes: &Indexes) -> Result<ExitCode> {
    let name = args.index.as_str();
    let state = indexes.client.state(name).await?.state;
    let is_declared = indexes.names().contains(name);
    if !is_declared && state.begun == 0 && indexes.client.indexes_of(name).await?.is_empty() {
        bail!("no version has an index `{name}`, and the search server holds nothing of it");
    }
    let numbers = if args.builds.is_empty() { all(&state, is_declared) } else { args.builds };
    for number in &numbers {
        retire(indexes, name, *number, is_declared).await?;
        println!("build {number} of {name} is deleted");
    }
    if numbers.is_empty() {
        println!("no build of {name} is kept");
    }
    if !is_declared {
        forget(indexes, name).await?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Those that can be retired: of an index that no version has, all.
fn all(state: &IndexState, is_declared: bool) -> Vec<u64> {
    let can_be = state.builds.iter().filter(|(_, build)| !is_declared || build.stage == BuildStage::Kept);
    can_be.map(|(number, _)| *number).collect()
}

async fn retire(indexes: &Indexes, name: &str, number: u64, is_declared: bool) -> Result<()> {
    let client = &indexes.client;
    let step = |state: &IndexState| -> Result<IndexState, NotRetired> {
        Ok(if is_declared { state.retire(number)? } else { state.end(number) })
    };
    client.step(name, step).await?;
    client.delete_index(&build_name(client.deployment(), name, number)).await?;
    client.forget_build(name, number).await?;
    client.step(name, |state| Ok::<_, SearchError>(state.forget(number))).await?;
    Ok(())
}

/// What is left of an index that no version has, after its builds: the alias, and builds of which the state does not know.
async fn forget(indexes: &Indexes, name: &str) -> Result<()> {
    let client = &indexes.client;
    let left = client.state(name).await?.state;
    // If only some builds were named, the alias may be that of another.
    if !left.builds.is_empty() {
        return Ok(());
    }
    for unknown in client.indexes_of(name).await? {
        client.delete_index(&unknown.name).await?;
        println!("{} is deleted", unknown.name);
    }
    client.align_alias(name, None).await?;
    client.step(name, |state| Ok::<_, SearchError>(IndexState { aliased: None, ..state.clone() })).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use shared_logic::contracts::index::{Build, Why};
    use shared_logic::log::Offsets;

    use super::*;

    #[test]
    fn what_serves_is_retired_only_if_no_version_has_the_index() {
        let build = Build {
            definition: "00000000000000aa".parse().expect("16 digits"),
            stage: BuildStage::Loading,
            why: Why::None,
            loader: "me".to_owned(),
            uuid: String::new(),
            base: Offsets::default(),
            table_version: 7,
            erasures: 0,
            rows: 1,
            loaded: 0,
            beats: 0,
            begun_at_us: 0,
            equal_at_us: None,
        };
        let mut state = IndexState::default();
        for _ in 0..2 {
            let (next, number) = state.begin(build.clone());
            state = next.follow(number, "me").and_then(|next| next.promote(number, 7)).expect("it serves");
        }
        assert_eq!(all(&state, true), [1]);
        assert_eq!(all(&state, false), [1, 2]);
    }
}
