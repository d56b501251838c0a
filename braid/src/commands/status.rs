//! `braid status`: shows what archives and batch views hold, to an operator or a program.

use std::collections::BTreeMap;
use std::process::ExitCode;

use anyhow::Result;
use platform::settings::SettingsArgs;
use platform::store::StoreError;
use serde::Serialize;
use shared_logic::catalog::{Catalog, RulesHash};
use shared_logic::contracts::archive::Facts;
use shared_logic::contracts::batch_view::Note;
use storage::Storage;

/// Shows archives, views, cuts, losses and rejects
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  braid status
  braid status --json")]
pub struct Args {
    /// As JSON
    #[arg(long)]
    json: bool,
}

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
    /// The rules by which this catalog decodes the source.
    rules: RulesHash,
    facts: Facts,
}

#[derive(Debug, Serialize)]
struct ViewStatus {
    version: u64,
    rows: u64,
    /// Whether it counts the definition of this catalog.
    current: bool,
    note: Note,
}

/// Runs the command: prints the state of every archive and every view.
///
/// # Errors
/// If the settings or the catalog are not usable, or the store cannot be read.
pub async fn run(args: Args, settings: &SettingsArgs) -> Result<ExitCode> {
    let (_, catalog, storage) = super::deployment(settings)?;
    let status = gather(&storage, &catalog).await?;
    if args.json {
        println!("{}", serde_json::to_string_pretty(&status)?);
    } else {
        print(&status);
    }
    Ok(ExitCode::SUCCESS)
}

fn print(status: &Status) {
    for (source, archive) in &status.archives {
        println!("archive {source}: version {}, {} rows in {} files", archive.version, archive.rows, archive.files);
        for (id, partition) in archive.facts.partitions() {
            let closed = match (archive.facts.is_truncated(&id), archive.facts.is_closed(&id.log)) {
                (true, _) => ", closed: the log lost its tail",
                (false, true) => ", closed",
                (false, false) => "",
            };
            println!("  {id}: offsets {} to {}{closed}", partition.begin, partition.next);
            for lost in partition.lost.iter().filter(|lost| !lost.accepted) {
                println!("    LOST {} to {}", lost.from, lost.to);
            }
            for range in partition.columns_only.iter().filter(|range| range.rules != archive.rules && !range.accepted) {
                println!("    NOT DECODABLE {} to {}: archived without bytes under other rules", range.from, range.to);
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
}

async fn gather(storage: &Storage, catalog: &Catalog) -> std::result::Result<Status, StoreError> {
    let mut status = Status { archives: BTreeMap::new(), views: BTreeMap::new() };
    for source in catalog.sources.values() {
        let Some(archive) = storage.archive(&source.name).await? else { continue };
        let files = archive.files().await?;
        let rows = files.iter().map(|file| file.rows).sum();
        let (version, files, facts) = (archive.version(), files.len(), archive.facts());
        let archive = ArchiveStatus { version, rows, files, rules: source.rules(), facts };
        status.archives.insert(source.name.clone(), archive);
    }
    for metric in catalog.metrics.values() {
        let Some(view) = storage.batch_view(&metric.name).await? else { continue };
        let Some(note) = view.note() else { continue };
        let rows = view.files().await?.iter().map(|file| file.rows).sum();
        let current = note.definition == catalog.definition(metric);
        let of_metric = ViewStatus { version: view.version(), rows, current, note: Note::clone(note) };
        status.views.insert(metric.name.clone(), of_metric);
    }
    Ok(status)
}
