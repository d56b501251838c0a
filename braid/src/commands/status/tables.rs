//! What archives and batch views hold, read from the store without a serving layer.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use anyhow::Result;
use platform::settings::SettingsArgs;
use platform::store::StoreError;
use serde::Serialize;
use shared_logic::catalog::{Catalog, DecodingRules, RulesHash};
use shared_logic::complete;
use shared_logic::contracts::archive::Facts;
use shared_logic::contracts::batch_view::Note;
use shared_logic::log::PartitionId;
use storage::Storage;

use super::rejects;
use crate::commands::deployment;
use crate::number::integer;
use crate::table::{Cell, Column, Table};
use crate::terminal::Screen;

/// How many logs that are over are shown, the newest ones.
const OVER_SHOWN: usize = 3;

/// Everything that is shown.
#[derive(Debug, Serialize)]
pub(super) struct Held {
    archives: BTreeMap<String, ArchiveHeld>,
    views: BTreeMap<String, ViewHeld>,
}

#[derive(Debug, Serialize)]
struct ArchiveHeld {
    version: u64,
    rows: u64,
    files: usize,
    /// The rules by which this catalog decodes the source.
    rules: RulesHash,
    #[serde(skip)]
    decoding: DecodingRules,
    facts: Facts,
    /// The version of the deployment whose status it is.
    #[serde(skip)]
    deployment_version: String,
}

#[derive(Debug, Serialize)]
struct ViewHeld {
    version: u64,
    rows: u64,
    /// Whether it can be used: it counts the definition of this catalog, and no record was archived again since.
    current: bool,
    note: Note,
}

impl ArchiveHeld {
    /// The logs that are not shown.
    fn hidden(&self) -> BTreeSet<&str> {
        self.facts.hidden(&self.deployment_version, &self.decoding, OVER_SHOWN)
    }
}

/// Reads every table of the deployment that the settings name.
///
/// # Errors
/// If the settings or the catalog are not usable, or the store cannot be read.
pub(super) async fn read(settings: &SettingsArgs) -> Result<Held> {
    let (_, catalog, storage) = deployment(settings).await?;
    Ok(gather(&storage, &catalog).await?)
}

/// What the tables hold, as a person reads it.
pub(super) fn page(held: &Held, screen: Screen) -> String {
    let archives = held.archives.iter().map(|(source, archive)| of_archive(source, archive, screen));
    let hidden: BTreeSet<&str> = held.archives.values().flat_map(|archive| archive.hidden()).collect();
    let views = held.views.iter().map(|(metric, view)| of_view(metric, view, &hidden, screen));
    archives.chain(views).collect::<Vec<_>>().join("\n")
}

fn of_archive(source: &str, archive: &ArchiveHeld, screen: Screen) -> String {
    let (version, rows, files) = (integer(archive.version), integer(archive.rows), integer(archive.files));
    let mut text = format!("archive {source}: version {version}, {rows} rows in {files} files\n");
    let facts = &archive.facts;
    let mut table = Table::new(vec![
        Column::right("begin"),
        Column::right("next"),
        Column::left("partition"),
        Column::left("state"),
    ]);
    let hidden = archive.hidden();
    for (id, partition) in facts.partitions().filter(|(id, _)| !hidden.contains(id.log.as_str())) {
        let offsets = [partition.begin, partition.next].map(|offset| Cell::new(&integer(offset)));
        let place = [id.to_string().as_str(), state(facts, &id)].map(Cell::new);
        table.push(offsets.into_iter().chain(place).collect());
    }
    text.push_str(&table.text(screen));
    if !hidden.is_empty() {
        let _ = writeln!(text, "{} older logs have ended; nothing is missing of them", integer(hidden.len()));
    }
    let decodable = facts.decodable(&archive.decoding);
    for (id, partition) in facts.partitions() {
        for lost in partition.lost.iter().filter(|lost| !lost.accepted) {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "LOST in {id}: {} to {}", integer(lost.from), integer(lost.to));
        }
        for range in partition.columns_only.iter().filter(|range| !decodable.holds(range) && !range.accepted) {
            let (from, to) = (integer(range.from), integer(range.to));
            let _ = writeln!(text, "NOT DECODABLE in {id}: {from} to {to}, archived without bytes under other rules");
        }
    }
    for erasure in &facts.erasures {
        if let Some(left_in) = erasure.left_in(&archive.deployment_version) {
            let events = integer(erasure.events());
            let _ = writeln!(text, "ERASURE {} of {events} events: {left_in}", erasure.id);
        }
    }
    let rejects = facts.rejects.iter().map(|(reason, rejects)| (reason.name(), rejects.count, &rejects.last));
    text.push_str(&rejects::table(rejects, screen));
    text
}

fn state(facts: &Facts, id: &PartitionId) -> &'static str {
    match (facts.is_truncated(id), facts.is_closed(&id.log)) {
        (true, _) => "closed: the log lost its tail",
        (false, true) => "closed",
        (false, false) => "open",
    }
}

fn of_view(metric: &str, view: &ViewHeld, hidden: &BTreeSet<&str>, screen: Screen) -> String {
    let stale = if view.current { "" } else { ", out of date: reconcile to rebuild it" };
    let paused = match &view.note.asked.pause {
        Some(pause) => format!(", PAUSED since it was rolled back to version {}", integer(pause.rolled_back_to)),
        None => String::new(),
    };
    let mut table = Table::new(vec![Column::right("cut"), Column::left("partition")]);
    for (id, cut) in view.note.cut.iter().filter(|(id, _)| !hidden.contains(id.log.as_str())) {
        table.push(vec![Cell::new(&integer(cut)), Cell::new(&id.to_string())]);
    }
    let (version, rows) = (integer(view.version), integer(view.rows));
    format!("view {metric}: version {version}, {rows} rows{stale}{paused}\n{}", table.text(screen))
}

async fn gather(storage: &Storage, catalog: &Catalog) -> std::result::Result<Held, StoreError> {
    let mut held = Held { archives: BTreeMap::new(), views: BTreeMap::new() };
    for source in catalog.sources.values() {
        let Some(archive) = storage.archive(&source.name).await? else { continue };
        let files = archive.files().await?;
        let rows = files.iter().map(|file| file.rows).sum();
        let (version, files, facts) = (archive.version(), files.len(), archive.facts());
        let deployment_version = catalog.deployment.version.clone();
        let decoding = source.decoding_rules();
        let rules = decoding.hash().clone();
        let archive = ArchiveHeld { version, rows, files, rules, decoding, facts, deployment_version };
        held.archives.insert(source.name.clone(), archive);
    }
    for metric in catalog.metrics.values() {
        let Some(view) = storage.batch_view(&metric.name).await? else { continue };
        let Some(note) = view.note() else { continue };
        let rows = view.files().await?.iter().map(|file| file.rows).sum();
        let (definition, rules) = (catalog.definition(metric), catalog.sources[&metric.source].rules());
        let facts = held.archives.get(&metric.source).map(|archive| &archive.facts);
        let current = complete::own_view(Some(note.as_ref()), &definition, &rules, facts).is_some();
        let of_metric = ViewHeld { version: view.version(), rows, current, note: Note::clone(note) };
        held.views.insert(metric.name.clone(), of_metric);
    }
    Ok(held)
}
