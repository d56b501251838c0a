//! `braid close`: closes the log of a topic that was deleted and will not be created again. Only an operator can know that, so only an
//! operator can do this. From the next reconcile on, the whole log is on the batch side.

use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use platform::kafka::Topics;
use platform::settings::SettingsArgs;
use shared_logic::contracts::archive::Facts;

/// Closes the log of a topic that was deleted and will not be created again
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  braid close --source orders")]
pub struct Args {
    /// The source whose topic was deleted
    #[arg(long)]
    source: String,
}

/// Runs the command: closes every log of a source whose topic does not exist.
///
/// # Errors
/// If the topic exists, there is no such source or archive, or Kafka or the store cannot be reached.
pub async fn run(args: Args, settings: &SettingsArgs) -> Result<ExitCode> {
    let (settings, catalog, storage) = super::deployment(settings).await?;
    let source = catalog.source(&args.source)?;
    if let Some(topic) = Topics::new(&settings.kafka)?.describe(&source.topic).await? {
        bail!(
            "topic {} exists, its log is {}: nothing is closed. A log ends when its topic is deleted; if the topic was \
             created again, `batch-layer archive` closes its old log",
            source.topic,
            topic.log
        );
    }
    storage.check().await?;
    let mut archive = storage.archive(&source.name).await?.context("nothing is archived yet")?;
    let closed = archive.change("CLOSE", close_all).await?;
    println!("{}: {} logs closed; the next reconcile takes all of them", source.name, closed.len());
    Ok(ExitCode::SUCCESS)
}

fn close_all(facts: &mut Facts) -> Vec<String> {
    let open: Vec<String> = facts.logs.iter().filter(|log| !log.closed).map(|log| log.log.clone()).collect();
    open.iter().for_each(|log| facts.close(log));
    open
}
