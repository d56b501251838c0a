//! Snapshots of lanes are deleted, torn, changed, or of other definitions, while the speed layer is down: it goes on exactly, from an
//! older one or from the log.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use e2e_tests::{Layer, scenario};
use serde_json::Value;
use test_kit::{DEADLINE, Progress, wait_for};

use super::payments::{Mix, Payments};

const SOME: usize = 200;
/// The sources that lanes read.
const SOURCES: [&str; 2] = ["payments", "by_country"];
/// What a lane prints that has found no snapshot.
const WARMS: &str = "no snapshot; reading the past that matters";

/// What befalls the snapshots.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    Deleted,
    /// Every file ends in its middle.
    Torn,
    /// A byte of every piece is another one.
    Changed,
    /// Manifests name another definition.
    OfOthers,
    /// The newest manifest of each lane is torn, and the one before is whole.
    NewestTorn,
}

#[test]
fn streams_snapshots_lost() {
    scenario("streams_snapshots_lost", async |scenario| {
        let Some(mut payments) = Payments::start(scenario, 2, Mix::Usual).await? else { return Ok(()) };
        let store = payments.stage.deployment.store();
        for fault in [Fault::Deleted, Fault::Torn, Fault::Changed, Fault::OfOthers, Fault::NewestTorn] {
            payments.send(SOME)?;
            payments.are_written().await.with_context(|| format!("before {fault:?}"))?;
            wait_for("snapshots of every source", DEADLINE, async || {
                let cursors = SOURCES.map(|source| newest_cursor(&store, source));
                let all = cursors.iter().all(|cursor| matches!(cursor, Ok(Some(_))));
                Ok(Progress::when(all, format_args!("{cursors:?}")))
            })
            .await?;
            payments.stage.deployment.kill(Layer::Speed);
            // Some of it lies beyond what the last snapshot includes.
            payments.send(SOME)?;
            for source in SOURCES {
                befalls(fault, &files(&store, source)?)?;
            }
            let process = payments.stage.deployment.start(Layer::Speed).await?;
            payments.are_written().await.with_context(|| format!("after {fault:?}"))?;
            let has_warmed = process.output()?.contains(WARMS);
            ensure!(has_warmed || fault == Fault::NewestTorn, "a snapshot was used in spite of {fault:?}");
        }
        payments.end_exactly().await
    });
}

fn befalls(fault: Fault, files: &[PathBuf]) -> Result<()> {
    let is_manifest = |path: &Path| cursor(path).is_some();
    ensure!(files.iter().any(|path| is_manifest(path)), "there is no snapshot: {files:?}");
    for path in files {
        match fault {
            Fault::Deleted => fs::remove_file(path)?,
            Fault::Torn => tear(path)?,
            Fault::Changed if !is_manifest(path) => {
                let mut bytes = fs::read(path)?;
                if let Some(last) = bytes.last_mut() {
                    *last ^= 1;
                }
                fs::write(path, bytes)?;
            }
            Fault::OfOthers if is_manifest(path) => {
                let mut manifest: Value = serde_json::from_slice(&fs::read(path)?)?;
                let definitions = manifest["definitions"].as_object_mut().context("a manifest without definitions")?;
                definitions.values_mut().for_each(|definition| *definition = "0123456789abcdef".into());
                fs::write(path, manifest.to_string())?;
            }
            Fault::NewestTorn if is_newest(path, files) => tear(path)?,
            Fault::Changed | Fault::OfOthers | Fault::NewestTorn => {}
        }
    }
    Ok(())
}

fn tear(path: &Path) -> Result<()> {
    let bytes = fs::read(path)?;
    Ok(fs::write(path, &bytes[..bytes.len() / 2])?)
}

/// Whether it is the newest manifest of its lane. Their names sort as cursors do.
fn is_newest(path: &Path, files: &[PathBuf]) -> bool {
    let of_lane = files.iter().filter(|file| file.parent() == path.parent() && cursor(file).is_some());
    cursor(path).is_some() && of_lane.max().map(PathBuf::as_path) == Some(path)
}

/// The greatest cursor of the snapshots of a source's lanes.
pub(super) fn newest_cursor(store: &Path, source: &str) -> Result<Option<i64>> {
    Ok(files(store, source)?.iter().filter_map(|path| cursor(path)).max())
}

/// The cursor of a manifest, which is its name.
fn cursor(path: &Path) -> Option<i64> {
    let name = path.file_name()?.to_str()?;
    name.strip_suffix(".json")?.parse().ok()
}

/// All files of the snapshots of a source's lanes, beside its archive.
fn files(store: &Path, source: &str) -> Result<Vec<PathBuf>> {
    let folder = store.join("archive").join(source).join("_lanes");
    let mut files = Vec::new();
    if folder.is_dir() {
        push_files(&folder, &mut files)?;
    }
    Ok(files)
}

/// What says which progress topic the lanes began with, and how far they were checked, is no snapshot.
fn push_files(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() && !(path.ends_with("begun") || path.ends_with("checked")) {
            push_files(&path, files)?;
        } else if path.is_file() {
            files.push(path);
        }
    }
    Ok(())
}
