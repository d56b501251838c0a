//! What the batch layer holds, for an operator or a program.

use std::collections::BTreeMap;

use platform::settings::Settings;
use platform::store::Store;
use serde::Serialize;
use shared_logic::catalog::Catalog;
use shared_logic::contracts::archive::Facts;
use shared_logic::contracts::batch_view::{self, NOTE_DOMAIN, Note};

use crate::archive::Archive;

/// Everything that is shown.
#[derive(Debug, Serialize)]
struct Status {
    archives: BTreeMap<String, ArchiveStatus>,
    views: BTreeMap<String, ViewStatus>,
}

#[derive(Debug, Serialize)]
struct ArchiveStatus {
    version: u64,
    rows: u64,
    files: usize,
    facts: Facts,
}

#[derive(Debug, Serialize)]
struct ViewStatus {
    version: u64,
    rows: u64,
    /// Whether it counts the catalog's definition.
    current: bool,
    note: Note,
}

/// Prints it.
///
/// # Errors
/// If the store cannot be read.
pub async fn run(settings: &Settings, catalog: &Catalog, json: bool) -> anyhow::Result<()> {
    let status = look(settings, catalog).await?;
    if json {
        println!("{}", serde_json::to_string_pretty(&status)?);
        return Ok(());
    }
    for (source, archive) in &status.archives {
        println!("archive {source}: version {}, {} rows in {} files", archive.version, archive.rows, archive.files);
        for (id, partition) in archive.facts.partitions() {
            let closed = if archive.facts.is_closed(&id.log) { ", closed" } else { "" };
            println!("  {id}: offsets {} to {}{closed}", partition.begin, partition.next);
            for lost in partition.lost.iter().filter(|lost| !lost.accepted) {
                println!("    LOST {} to {}", lost.from, lost.to);
            }
        }
        for (reason, rejects) in &archive.facts.rejects {
            let last = &rejects.last;
            println!(
                "  rejected {reason}: {}, last {} at {}/{} offset {}",
                rejects.count, last.error, last.log, last.partition, last.offset
            );
        }
    }
    for (metric, view) in &status.views {
        let stale = if view.current { "" } else { ", counts another definition: reconcile to rebuild" };
        println!("view {metric}: version {}, {} rows{stale}", view.version, view.rows);
        for (id, cut) in view.note.cut.iter() {
            println!("  cut {id}: {cut}");
        }
    }
    Ok(())
}

async fn look(settings: &Settings, catalog: &Catalog) -> anyhow::Result<Status> {
    let store = Store::new(&settings.store, &catalog.deployment.name)?;
    let mut status = Status { archives: BTreeMap::new(), views: BTreeMap::new() };
    for source in catalog.sources.values() {
        if let Some(Archive { table, facts }) = Archive::open(&store, source).await? {
            let files = table.files().await?;
            let rows = files.iter().map(|file| file.rows).sum();
            let archive = ArchiveStatus { version: table.version(), rows, files: files.len(), facts };
            status.archives.insert(source.name.clone(), archive);
        }
    }
    for metric in catalog.metrics.values() {
        let path = batch_view::path(&catalog.deployment.version, &metric.name);
        let Some(view) = store.open(&path).await? else { continue };
        let Some(note) = view.note::<Note>(NOTE_DOMAIN).await? else { continue };
        let rows = view.files().await?.iter().map(|file| file.rows).sum();
        let current = note.definition == catalog.definition(metric);
        status.views.insert(metric.name.clone(), ViewStatus { version: view.version(), rows, current, note });
    }
    Ok(status)
}
