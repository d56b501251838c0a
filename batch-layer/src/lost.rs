//! Ranges that a log lost before they were archived: a gap in every answer, until an operator accepts it.

use anyhow::Context;
use platform::settings::Settings;
use platform::store::{Commit, Committed, Store};
use shared_logic::catalog::Catalog;
use shared_logic::contracts::archive::{DAY, FACTS_DOMAIN};

use crate::reconcile::Archive;

/// How often an acceptance that met the archiver's commit is tried again.
const ATTEMPTS: u32 = 20;

/// Prints every lost range.
///
/// # Errors
/// If the store cannot be read.
pub async fn list(settings: &Settings, catalog: &Catalog) -> anyhow::Result<()> {
    let store = Store::new(&settings.store, &catalog.pipeline.name)?;
    for source in catalog.sources.values() {
        let Some(archive) = Archive::open(&store, source).await? else { continue };
        for (id, partition) in archive.facts.partitions() {
            for lost in &partition.lost {
                let state = if lost.accepted { "accepted" } else { "open" };
                println!("{} {id} [{}, {}) {state}", source.name, lost.from, lost.to);
            }
        }
    }
    Ok(())
}

/// Accepts every loss of a source that is known so far.
///
/// # Errors
/// If there is no such source or archive, or the store cannot be written.
pub async fn accept(settings: &Settings, catalog: &Catalog, source: &str) -> anyhow::Result<()> {
    let names = || catalog.sources.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
    let source = catalog.sources.get(source).with_context(|| format!("no source {source}; there are {}", names()))?;
    let store = Store::new(&settings.store, &catalog.pipeline.name)?;
    let mut archive = Archive::open(&store, source).await?.context("nothing is archived yet")?;
    for _ in 0..ATTEMPTS {
        let mut facts = archive.facts.clone();
        let accepted = facts.accept_losses();
        let commit = Commit::new("ACCEPT LOSSES", DAY, platform::clock::now_us()).note(FACTS_DOMAIN, &facts);
        if accepted == 0 || archive.table.commit(commit).await? != Committed::Conflict {
            println!("{}: {accepted} lost ranges accepted", source.name);
            return Ok(());
        }
        archive.refresh().await?;
    }
    anyhow::bail!("the archiver committed first {ATTEMPTS} times; try again")
}
