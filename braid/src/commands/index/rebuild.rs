//! `braid index rebuild`: another build of an index.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use shared_logic::contracts::index::{BuildStage, IndexState};
use storage::SearchError;

use super::Indexes;
use crate::number::integer;

/// How often it is looked how far a build is.
const EVERY: Duration = Duration::from_secs(1);

/// Asks for another build of an index, which takes the place of the one that serves once it is equal to the table
///
/// `batch-layer schedule` begins it within seconds, and a reconcile of what the index follows does so, too. Searches ask the old build
/// meanwhile, which is kept then: `braid index retire` deletes it.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  braid index rebuild users
  braid index rebuild users --wait")]
pub(super) struct Args {
    /// The index, as the active version has it
    #[arg(value_name = "INDEX")]
    index: String,
    /// Waits until another build serves, and says how far it is
    #[arg(long)]
    wait: bool,
}

/// Runs the command.
pub(super) async fn run(args: Args, indexes: &Indexes) -> Result<ExitCode> {
    let unit = indexes.active(&args.index)?;
    let (client, name) = (&indexes.client, &unit.index);
    let asked = client.step(name, |state| Ok::<_, SearchError>(state.ask(&unit.definition))).await?;
    println!(
        "another build of {name} is asked for; `batch-layer schedule` begins it, and so does the next reconcile of {}",
        unit.source
    );
    if !args.wait {
        return Ok(ExitCode::SUCCESS);
    }
    let begun = asked.begun;
    let mut said = String::new();
    loop {
        match client.state(name).await {
            Ok(read) => {
                let serving = read.state.serving(&unit.definition).map(|(number, _)| number);
                if let Some(number) = serving.filter(|number| *number > begun) {
                    println!("build {number} serves");
                    return Ok(ExitCode::SUCCESS);
                }
                say(&mut said, progress(&read.state, begun));
            }
            Err(error) if error.is_back_pressure() => say(&mut said, error.to_string()),
            Err(error) => return Err(error.into()),
        }
        tokio::time::sleep(EVERY).await;
    }
}

/// Says what was not said last.
fn say(said: &mut String, now: String) {
    if *said != now {
        println!("{now}");
        *said = now;
    }
}

/// How far the newest build is that was begun since.
fn progress(state: &IndexState, begun: u64) -> String {
    let newest = state.builds.iter().next_back().filter(|(number, _)| **number > begun);
    let Some((number, build)) = newest else { return "waiting for the batch layer".to_owned() };
    match build.stage {
        BuildStage::Loading => {
            format!("build {number}: {} of {} rows are written", integer(build.loaded), integer(build.rows))
        }
        BuildStage::Following => {
            format!("build {number}: its rows are written; it serves once it is equal to the table")
        }
        stage => format!("build {number} is {}", stage.name()),
    }
}

#[cfg(test)]
mod tests {
    use shared_logic::contracts::index::{Build, Why};
    use shared_logic::log::Offsets;

    use super::*;

    #[test]
    fn it_says_how_far_the_build_is_that_was_begun_since() {
        let build = Build {
            definition: "00000000000000aa".parse().expect("16 digits"),
            stage: BuildStage::Loading,
            why: Why::Asked,
            loader: "me".to_owned(),
            uuid: String::new(),
            base: Offsets::default(),
            table_version: 7,
            erasures: 0,
            rows: 12_000,
            loaded: 0,
            beats: 0,
            begun_at_us: 0,
            equal_at_us: None,
        };
        let (state, number) = IndexState::default().begin(build);
        assert_eq!(progress(&state, number), "waiting for the batch layer", "that one was there before");
        let state = state.load(number, "me", "uuid", 5_000).expect("it loads");
        assert_eq!(progress(&state, 0), "build 1: 5,000 of 12,000 rows are written");
        let state = state.follow(number, "me").expect("loaded");
        assert!(progress(&state, 0).contains("once it is equal"));
        assert_eq!(progress(&state.end(number), 0), "build 1 is ended");
    }
}
