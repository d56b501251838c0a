//! `braid lost`: the ranges that a log lost before they were archived, and those that the archive holds without their bytes, so
//! that they cannot be decoded by the catalog's rules. Each is a gap in every answer until an operator accepts it. And what was
//! read of a log that ends before it now, which only an operator can give up.

use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use platform::kafka::{Bound, Topics};
use platform::settings::{Settings, SettingsArgs};
use shared_logic::catalog::Catalog;
use shared_logic::contracts::archive::Facts;
use storage::Storage;

/// Lists or accepts the ranges that answers lack for good
#[derive(Debug, clap::Subcommand)]
#[command(after_help = "Examples:
  braid lost list
  braid lost accept --source orders
  braid lost give-up --source orders")]
pub enum Args {
    /// Lists the ranges that the log lost before they were archived, or that cannot be decoded by this catalog
    List,
    /// Accepts every such range known so far: it is no longer a gap in answers
    Accept {
        /// The source whose losses are accepted
        #[arg(long)]
        source: String,
    },
    /// Gives up what was read beyond the end of its log, which lost its tail and will not be whole again
    ///
    /// Say this only when all brokers are back: if the log becomes whole again afterwards, its tail is archived twice.
    GiveUp {
        /// The source whose topic lost its newest records
        #[arg(long)]
        source: String,
    },
}

/// Runs the command.
///
/// # Errors
/// If the settings or the catalog are not usable, there is no such source, topic or archive, or the store, Kafka or Redis
/// cannot be used.
pub async fn run(args: Args, settings: &SettingsArgs) -> Result<ExitCode> {
    let (settings, catalog, storage) = super::deployment(settings).await?;
    if !matches!(args, Args::List) {
        storage.check().await?;
    }
    match args {
        Args::List => list(&storage, &catalog).await?,
        Args::Accept { source } => accept(&storage, &catalog, &source).await?,
        Args::GiveUp { source } => give_up(&settings, &storage, &catalog, &source).await?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints every lost range.
async fn list(storage: &Storage, catalog: &Catalog) -> Result<()> {
    for source in catalog.sources.values() {
        let Some(archive) = storage.archive(&source.name).await? else { continue };
        let (facts, rules) = (archive.facts(), source.decoding_rules());
        let decodable = facts.decodable(&rules);
        let state = |accepted| if accepted { "accepted" } else { "open" };
        for (id, partition) in facts.partitions() {
            for lost in &partition.lost {
                println!("{} {id} [{}, {}) {}", source.name, lost.from, lost.to, state(lost.accepted));
            }
        }
        for (id, range) in facts.columns_only().filter(|(_, range)| !decodable.holds(range)) {
            let (from, to, state) = (range.from, range.to, state(range.accepted));
            println!("{} {id} [{from}, {to}) {state}, archived without bytes under other rules", source.name);
        }
    }
    Ok(())
}

/// Accepts every loss of a source that is known so far.
async fn accept(storage: &Storage, catalog: &Catalog, source: &str) -> Result<()> {
    let source = catalog.source(source)?;
    let mut archive = storage.archive(&source.name).await?.context("nothing is archived yet")?;
    let rules = source.decoding_rules();
    let accept = |facts: &mut Facts| facts.accept_losses() + facts.accept_not_decodable(&rules);
    let accepted = archive.change("ACCEPT LOSSES", accept).await?;
    println!("{}: {accepted} lost ranges accepted", source.name);
    Ok(())
}

/// Gives up what was read of a source beyond the end of its log.
async fn give_up(settings: &Settings, storage: &Storage, catalog: &Catalog, source: &str) -> Result<()> {
    let source = catalog.source(source)?;
    let mut archive = storage.archive(&source.name).await?.context("nothing is archived yet")?;
    let topics = Topics::new(&settings.kafka)?;
    let topic = topics.describe(&source.topic).await?;
    let topic = topic.with_context(|| format!("topic {} does not exist; see `braid close`", source.topic))?;
    let partitions: Vec<i32> = (0..topic.partitions).collect();
    let ends = topics.offsets(&source.topic, &partitions, Bound::End).await?;
    // Ends are asked for by name. They are of this log only if the topic still has its id (R7).
    let is_same = topics.describe(&source.topic).await?.is_some_and(|now| now.log == topic.log);
    ensure!(is_same, "topic {} was created again in this moment: nothing is given up", source.topic);
    let deployment = &catalog.deployment;
    let given_up =
        batch_layer::give_up::give_up(&mut archive, &settings.redis, deployment, &source.name, &topic.log, &ends)
            .await?;
    for position in &given_up {
        println!("{}: {position}", source.name);
    }
    println!("{}: {} positions given up; reconcile, then see `braid lost list`", source.name, given_up.len());
    Ok(())
}
