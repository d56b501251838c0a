//! The ranges that a log lost before they were archived. Each is a gap in every answer until an operator accepts it.

use anyhow::Context;
use shared_logic::catalog::Catalog;
use shared_logic::contracts::archive::Facts;
use storage::Storage;

/// Prints every lost range.
///
/// # Errors
/// If the store cannot be read.
pub async fn list(storage: &Storage, catalog: &Catalog) -> anyhow::Result<()> {
    for source in catalog.sources.values() {
        let Some(archive) = storage.archive(&source.name).await? else { continue };
        for (id, partition) in archive.facts().partitions() {
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
pub async fn accept(storage: &Storage, catalog: &Catalog, source: &str) -> anyhow::Result<()> {
    let source = catalog.source(source)?;
    let mut archive = storage.archive(&source.name).await?.context("nothing is archived yet")?;
    let accepted = archive.change("ACCEPT LOSSES", Facts::accept_losses).await?;
    println!("{}: {accepted} lost ranges accepted", source.name);
    Ok(())
}
